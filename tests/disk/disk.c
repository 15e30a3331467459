/*
 * A disk that fails on cue. Preloaded into a server (LD_PRELOAD), it counts what the process changes below one folder,
 * and strikes one of these operations. The C library's own functions are not called: each stands here anew, over the
 * system call. Only Linux with glibc, 64 bits. Reading is neither counted nor struck, and what goes through a mapping
 * (SQLite's -shm) is not seen.
 *
 *   TARN_DISK_FOLDER   the folder: absolute, no links in it; without it, nothing here does anything
 *   TARN_DISK_LOG      every counted operation is appended to this file: "kind path", and " struck" if it was
 *   TARN_DISK_SWITCH   operations are counted, and struck, only while this file exists
 *   TARN_DISK_STRIKE   the operation to strike: "3 write slots.sqlite" is the third write to that file, "1 unlink chunks/"
 *                      the first removal of a file in that folder. Which operation has which number among all of them
 *                      differs from run to run; this does not
 *   TARN_DISK_FAULT    kill-before, kill-after   the process is killed (SIGKILL) before or after the operation
 *                      eio, enospc               it fails, and nothing is done
 *                      short                     a write writes half and says so, and the next write fails with ENOSPC;
 *                                                any other operation fails with ENOSPC itself
 *   TARN_DISK_LASTING  if it is set, everything after that operation is struck, too, as long as the switch exists
 *   TARN_DISK_PLATTER  a folder that is kept at what a loss of power would leave; what is in it stands further down
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum verdict { PASS, FAIL, HALF, LAST };

static const char *folder, *control, *platter, *target;
static long countdown;
static int lasting, kills_before, kills_after, halves, error_number = ENOSPC, log_file = -1;

/* One operation runs at a time, so that those before the one that is struck are done, and those after it are not begun. */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

static void give_up(const char *why)
{
	dprintf(STDERR_FILENO, "the failing disk panicked: %s: %s\n", why, strerror(errno));
	abort();
}

__attribute__((constructor)) static void begin_to_fail(void)
{
	const char *fault = getenv("TARN_DISK_FAULT"), *strike = getenv("TARN_DISK_STRIKE");
	const char *log = getenv("TARN_DISK_LOG");
	char *rest;

	control = getenv("TARN_DISK_SWITCH");
	folder = control && log ? getenv("TARN_DISK_FOLDER") : NULL;
	platter = getenv("TARN_DISK_PLATTER");
	lasting = getenv("TARN_DISK_LASTING") != NULL;
	if (strike) {
		countdown = strtol(strike, &rest, 10);
		target = rest + 1;
	}
	if (!folder)
		return;
	log_file = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (log_file < 0)
		give_up(log);
	kills_before = fault && !strcmp(fault, "kill-before");
	kills_after = fault && !strcmp(fault, "kill-after");
	halves = fault && !strcmp(fault, "short");
	if (fault && !strcmp(fault, "eio"))
		error_number = EIO;
}

/* The part of a path that lies below the folder, which itself is called root; NULL if it does not. */
static const char *inside(const char *path)
{
	size_t length = folder ? strlen(folder) : 0;

	if (!length || strncmp(path, folder, length) || (path[length] != '/' && path[length]))
		return NULL;
	path += length + (path[length] == '/');
	return *path ? path : "root";
}

/* The same for a path that may begin at a descriptor's folder, which nobody does yet. */
static const char *inside_at(int at, const char *path)
{
	if (folder && *path != '/' && at != AT_FDCWD)
		give_up("a path that begins at a descriptor is not understood");
	return inside(path);
}

/* The same for what a descriptor stands for now, whatever it was called when it was opened. */
static const char *inside_of(int fd, char whole[PATH_MAX])
{
	char link[40];
	ssize_t length;

	if (!folder)
		return NULL;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	length = readlink(link, whole, PATH_MAX - 1);
	whole[length < 0 ? 0 : length] = '\0';
	return inside(whole);
}

static void die(void)
{
	syscall(SYS_kill, getpid(), SIGKILL);
	for (;;)
		pause();
}

/* Whether this is what is counted down to; a path that ends with a slash stands for all that begin like it. */
static int is_target(const char *kind, const char *path)
{
	size_t length = strlen(kind);
	const char *place = target ? target + length + 1 : "";
	int whole = !*place || place[strlen(place) - 1] != '/';

	return target && !strncmp(target, kind, length) && target[length] == ' ' &&
	       (whole ? !strcmp(place, path) : !strncmp(place, path, strlen(place)));
}

/* What becomes of an operation. Those that come after one that was cut short see to it that it is not finished. */
static enum verdict judge(const char *kind, const char *path)
{
	static int over, cut;

	if (over && !lasting && !(cut && !strcmp(kind, "write")))
		return PASS;
	if (!over && (!is_target(kind, path) || --countdown > 0))
		return PASS;
	if (kills_before || kills_after)
		return LAST;
	cut = halves && !over && !strcmp(kind, "write");
	over = 1;
	return cut ? HALF : FAIL;
}

/* Waits for its turn and counts. Between this and `done`, nobody else changes anything below the folder. */
static enum verdict begin(const char *kind, const char *path)
{
	char line[PATH_MAX + 64];
	enum verdict verdict;
	int length;

	pthread_mutex_lock(&turn);
	if (access(control, F_OK))
		return PASS;
	verdict = judge(kind, path);
	length = snprintf(line, sizeof line, "%s %s%s\n", kind, path, verdict == PASS ? "" : " struck");
	if (syscall(SYS_write, log_file, line, length) != length)
		give_up("its log");
	if (verdict == LAST && kills_before)
		die();
	return verdict;
}

static long failed(void)
{
	errno = error_number;
	return -1;
}

static long done(enum verdict verdict, long result)
{
	int error = errno;

	if (verdict == LAST)
		die();
	pthread_mutex_unlock(&turn);
	errno = error;
	return result;
}

/*
 * What a loss of power would leave:
 *
 *   platter/files/INODE   what that file held when it was last synced; nothing, if it never was
 *   platter/folders/NAME  the files that the folder of that name (root: the whole) held when it was last synced:
 *                         a line "INODE NAME" for each
 *   platter/kept/INODE    a link that keeps the inode's number from being used again
 *
 * A name is there after the loss if its folder was synced since it got it, and its file holds what was synced last. That
 * is the least that a disk may keep. It outlives the process: what a killed server had not synced, the next one may find,
 * and a loss of power may still take. Folders are taken to stay; SQLite's -shm is worth nothing after a loss.
 */

static int create_on_platter(const char *group, const char *name)
{
	char path[PATH_MAX];
	int file;

	snprintf(path, sizeof path, "%s/%s/%s", platter, group, name);
	file = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (file < 0)
		give_up(path);
	return file;
}

static void put(int file, const char *bytes, ssize_t length)
{
	if (syscall(SYS_write, file, bytes, length) != length)
		give_up("its platter");
}

/* SQLite's locks on a file go when any descriptor of it is closed: where it can be read, the one that is there serves. */
static void keep_file(int fd, ino_t inode)
{
	static char bytes[1 << 16];
	char name[40];
	int copy, readable = (fcntl(fd, F_GETFL) & O_ACCMODE) != O_WRONLY;
	int from = fd;
	ssize_t length;
	off_t at = 0;

	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	if (!readable && (from = syscall(SYS_openat, AT_FDCWD, name, O_RDONLY | O_CLOEXEC, 0)) < 0)
		give_up(name);
	snprintf(name, sizeof name, "%lu", (unsigned long)inode);
	copy = create_on_platter("files", name);
	for (; (length = pread(from, bytes, sizeof bytes, at)) > 0; at += length)
		put(copy, bytes, length);
	if (length < 0)
		give_up("reading what was synced");
	close(copy);
	if (!readable)
		close(from);
}

static void keep_names(const char *path, const char *name)
{
	char line[NAME_MAX + 40];
	struct dirent *entry;
	DIR *names = opendir(path);
	int list = create_on_platter("folders", name);

	if (!names)
		give_up(path);
	while ((entry = readdir(names)))
		if (entry->d_type == DT_REG)
			put(list, line, snprintf(line, sizeof line, "%lu %s\n", (unsigned long)entry->d_ino, entry->d_name));
	closedir(names);
	close(list);
}

static void synced(int fd)
{
	char whole[PATH_MAX];
	const char *path = inside_of(fd, whole);
	struct stat found;

	if (!platter || !path)
		return;
	if (fstat(fd, &found))
		give_up(path);
	if (S_ISDIR(found.st_mode))
		keep_names(whole, path);
	else
		keep_file(fd, found.st_ino);
}

static void created(int fd, const char *path)
{
	char kept[PATH_MAX];
	struct stat found;

	if (!platter)
		return;
	if (fstat(fd, &found))
		give_up(path);
	snprintf(kept, sizeof kept, "%s/kept/%lu", platter, (unsigned long)found.st_ino);
	if (syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, kept, 0))
		give_up(path);
}

/* Opening changes something if it makes a file or empties one. */
int openat(int at, const char *path, int flags, ...)
{
	const char *ours = inside_at(at, path), *kind = NULL;
	enum verdict verdict;
	va_list more;
	mode_t mode;
	int fd;

	/* Read whether it was given or not: the kernel looks at it only where it was. */
	va_start(more, flags);
	mode = va_arg(more, mode_t);
	va_end(more);
	if (ours && flags & O_CREAT && access(path, F_OK))
		kind = "create";
	else if (ours && flags & O_TRUNC)
		kind = "truncate";
	if (!kind)
		return syscall(SYS_openat, at, path, flags, mode);
	verdict = begin(kind, ours);
	fd = verdict == FAIL ? failed() : syscall(SYS_openat, at, path, flags, mode);
	if (fd >= 0 && *kind == 'c')
		created(fd, path);
	return done(verdict, fd);
}

int open(const char *path, int flags, ...)
{
	va_list more;
	mode_t mode;

	va_start(more, flags);
	mode = va_arg(more, mode_t);
	va_end(more);
	return openat(AT_FDCWD, path, flags, mode);
}

int creat(const char *path, mode_t mode) { return openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode); }

/* Everything that writes, at a place in the file or, if that is negative, at its position. */
static ssize_t write_parts(int fd, const struct iovec *parts, int count, off_t at)
{
	char whole[PATH_MAX];
	const char *ours = inside_of(fd, whole);
	struct iovec half = { count > 0 ? parts->iov_base : NULL, count > 0 ? parts->iov_len / 2 : 0 };
	enum verdict verdict = ours ? begin("write", ours) : PASS;
	ssize_t written;

	if (verdict == HALF)
		parts = &half, count = 1;
	if (verdict == FAIL || (verdict == HALF && !half.iov_len))
		written = failed();
	else if (at < 0)
		written = syscall(SYS_writev, fd, parts, count);
	else
		written = syscall(SYS_pwritev, fd, parts, count, at, 0);
	return ours ? done(verdict, written) : written;
}

ssize_t writev(int fd, const struct iovec *parts, int count) { return write_parts(fd, parts, count, -1); }
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) { return write_parts(fd, parts, count, at); }

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at)
{
	struct iovec part = { (void *)bytes, length };
	return write_parts(fd, &part, 1, at);
}

ssize_t write(int fd, const void *bytes, size_t length) { return pwrite(fd, bytes, length, -1); }

/* Everything else: one system call that answers 0 if it changed what it should. */
static int change(const char *kind, const char *ours, long call, long a, long b, long c, long d, long e)
{
	enum verdict verdict;
	int result;

	if (!ours)
		return syscall(call, a, b, c, d, e);
	verdict = begin(kind, ours);
	result = verdict == FAIL ? failed() : syscall(call, a, b, c, d, e);
	if (!result && !strcmp(kind, "fsync"))
		synced(a);
	return done(verdict, result);
}

/* The same for what is done to a descriptor. */
static int change_of(const char *kind, int fd, long call, long b, long c, long d)
{
	char whole[PATH_MAX];
	return change(kind, inside_of(fd, whole), call, fd, b, c, d, 0);
}

int fsync(int fd) { return change_of("fsync", fd, SYS_fsync, 0, 0, 0); }
int fdatasync(int fd) { return change_of("fsync", fd, SYS_fdatasync, 0, 0, 0); }
int ftruncate(int fd, off_t length) { return change_of("truncate", fd, SYS_ftruncate, length, 0, 0); }

int fallocate(int fd, int mode, off_t at, off_t length)
{
	return change_of("allocate", fd, SYS_fallocate, mode, at, length);
}

int posix_fallocate(int fd, off_t at, off_t length) { return fallocate(fd, 0, at, length) ? errno : 0; }

int renameat(int from_at, const char *from, int to_at, const char *to)
{
	const char *ours = inside_at(to_at, to);

	ours = ours ? ours : inside_at(from_at, from);
	return change("rename", ours, SYS_renameat2, from_at, (long)from, to_at, (long)to, 0);
}

int rename(const char *from, const char *to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }

int linkat(int from_at, const char *from, int to_at, const char *to, int flags)
{
	if (inside_at(to_at, to))
		give_up("a link is not understood");
	return syscall(SYS_linkat, from_at, from, to_at, to, flags);
}

int unlinkat(int at, const char *path, int flags)
{
	return change("unlink", inside_at(at, path), SYS_unlinkat, at, (long)path, flags, 0, 0);
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int mkdirat(int at, const char *path, mode_t mode)
{
	const char *ours = access(path, F_OK) ? inside_at(at, path) : NULL;
	return change("mkdir", ours, SYS_mkdirat, at, (long)path, mode, 0, 0);
}

int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

/* With 64 bits, the same under other names. */
int openat64(int at, const char *path, int flags, ...) __attribute__((alias("openat")));
int open64(const char *path, int flags, ...) __attribute__((alias("open")));
int creat64(const char *path, mode_t mode) __attribute__((alias("creat")));
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) __attribute__((alias("pwrite")));
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at) __attribute__((alias("pwritev")));
int ftruncate64(int fd, off64_t length) __attribute__((alias("ftruncate")));
int fallocate64(int fd, int mode, off64_t at, off64_t length) __attribute__((alias("fallocate")));
int posix_fallocate64(int fd, off64_t at, off64_t length) __attribute__((alias("posix_fallocate")));
