//! A store's folder on a disk that fails on cue: `disk/disk.c`, preloaded into the server, counts what the server changes
//! there, strikes one of these operations, and keeps what a loss of power would leave. Here it is told what to do, and
//! asked what it did. Knows nothing of servers.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fmt, fs};

use tempfile::TempDir;

use crate::remains::nothing_remains;

/// A folder with a store in it, and beside that what the disk needs.
#[derive(Debug)]
pub struct Disk {
    folder: TempDir,
}

/// What happens to one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strike {
    /// Which operation.
    pub mark: Mark,
    /// What happens to it.
    pub fault: Fault,
    /// Whether it also happens to all that come after, until the disk is well again.
    pub lasting: bool,
}

/// What can happen to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The server is killed before it.
    KillBefore,
    /// The server is killed when it is done.
    KillAfter,
    /// It fails with EIO and nothing is done.
    Eio,
    /// It fails with ENOSPC and nothing is done.
    NoSpace,
    /// Half of a write is done, and for the next there is no space; for anything else there is none at once.
    ShortWrite,
}

/// What a loss of power does not take, though it was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It takes all.
    Nothing,
    /// Files that were made, moved or removed; not what was written to them.
    Names,
    /// What was written to the database itself, and not to its log.
    Database,
}

/// An operation that the server began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Which one it is.
    pub mark: Mark,
    /// Whether it was struck.
    pub struck: bool,
}

/// What tells an operation from the others, in this run of a server and in the next.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// What it does: write, fsync, create, truncate, rename, unlink, mkdir.
    pub kind: String,
    /// To what: a file or folder, seen from the store's; a slash at the end stands for any file in a folder.
    pub place: String,
    /// The how manieth of this kind at this place it is, counted from 1.
    pub nth: u64,
}

/// Why no disk can fail here; none if it can.
pub fn unavailable() -> Option<&'static str> {
    env!("TARN_DISK").is_empty().then_some("only Linux with glibc lets a test preload a disk")
}

/// The library to preload.
pub fn library() -> &'static Path {
    Path::new(env!("TARN_DISK"))
}

impl Disk {
    /// A disk with a folder for a store, which is not there yet.
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A disk with a copy of this one's store.
    pub fn copy(&self) -> Self {
        let copy = Self::new();
        copy_folder(&self.store(), &copy.store());
        copy
    }

    /// The store's folder.
    pub fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// Puts the disk under a server that is going to be started. It works from the first operation on if it is watching
    /// by then.
    pub fn preload(&self, server: &mut Command, strike: Option<&Strike>) {
        server.env("LD_PRELOAD", library());
        server.env("TARN_DISK_FOLDER", self.store());
        server.env("TARN_DISK_LOG", self.path("log"));
        server.env("TARN_DISK_SWITCH", self.path("switch"));
        if self.path("platter").exists() {
            server.env("TARN_DISK_PLATTER", self.path("platter"));
        }
        if let Some(strike) = strike {
            server.env("TARN_DISK_STRIKE", strike.mark.to_string());
            server.env("TARN_DISK_FAULT", strike.fault.name());
            if strike.lasting {
                server.env("TARN_DISK_LASTING", "");
            }
        }
    }

    /// From now on operations are counted and struck.
    pub fn watch(&self) {
        fs::write(self.path("switch"), "").unwrap();
    }

    /// From now on nothing fails any more.
    pub fn heal(&self) {
        fs::remove_file(self.path("switch")).unwrap();
    }

    /// What was counted.
    pub fn operations(&self) -> Vec<Operation> {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        let mut counts = BTreeMap::new();
        let operations = log.lines().map(|line| {
            let mut operation = Operation::parse(line);
            let Mark { kind, place, nth } = &mut operation.mark;
            let count = counts.entry((kind.clone(), place.clone())).or_default();
            *count += 1;
            *nth = *count;
            operation
        });
        operations.collect()
    }

    /// Takes all that is there for synced, and keeps track of what is from now on: power may be lost.
    pub fn power_may_fail(&self) {
        for group in ["files", "folders", "kept"] {
            fs::create_dir_all(self.platter(group)).unwrap();
        }
        for folder in FOLDERS {
            let names = self.names(folder);
            for (inode, name) in parse_names(&names) {
                let file = self.folder_of(folder).join(name);
                fs::copy(&file, self.platter("files").join(inode)).unwrap();
                fs::hard_link(&file, self.platter("kept").join(inode)).unwrap();
            }
            fs::write(self.platter("folders").join(folder), names).unwrap();
        }
    }

    /// Takes away what was not synced, but for what is kept, now that no server runs.
    pub fn lose_power(&self, kept: Kept) {
        let before = self.path("before");
        copy_folder(&self.store(), &before);
        for folder in FOLDERS {
            let synced = fs::read_to_string(self.platter("folders").join(folder)).unwrap();
            let names = if kept == Kept::Names { self.names(folder) } else { synced };
            for file in files(&self.folder_of(folder)) {
                fs::remove_file(file).unwrap();
            }
            for (inode, name) in parse_names(&names) {
                let file = self.folder_of(folder).join(name);
                let synced = self.platter("files").join(inode);
                if kept == Kept::Database && name == DATABASE {
                    fs::copy(before.join(name), file).unwrap();
                } else if synced.exists() {
                    fs::copy(synced, file).unwrap();
                } else {
                    fs::write(file, "").unwrap();
                }
            }
        }
        fs::remove_dir_all(before).unwrap();
        fs::remove_dir_all(self.path("platter")).unwrap();
    }

    /// A line "INODE NAME" for each file in a folder now.
    fn names(&self, folder: &str) -> String {
        let mut names = String::new();
        for file in files(&self.folder_of(folder)) {
            let name = file.file_name().unwrap().to_str().unwrap();
            names += &format!("{} {name}\n", file.metadata().unwrap().ino());
        }
        names
    }

    /// Files under `chunks/`.
    pub fn chunks(&self) -> usize {
        files(&self.folder_of("chunks")).len()
    }

    /// Files under `staging/`.
    pub fn staged(&self) -> usize {
        files(&self.folder_of("staging")).len()
    }

    fn folder_of(&self, folder: &str) -> PathBuf {
        if folder == ROOT { self.store() } else { self.store().join(folder) }
    }

    fn platter(&self, group: &str) -> PathBuf {
        self.path("platter").join(group)
    }

    fn path(&self, inside: &str) -> PathBuf {
        // The disk knows files by the paths that the system has for them.
        self.folder.path().canonicalize().unwrap().join(inside)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        nothing_remains(self.folder.path());
    }
}

/// What `disk.c` calls the store's own folder.
const ROOT: &str = "root";
/// The name of the database in it.
const DATABASE: &str = "slots.sqlite";
/// The folders of a store.
const FOLDERS: [&str; 3] = [ROOT, "chunks", "staging"];

impl Fault {
    const fn name(self) -> &'static str {
        match self {
            Self::KillBefore => "kill-before",
            Self::KillAfter => "kill-after",
            Self::Eio => "eio",
            Self::NoSpace => "enospc",
            Self::ShortWrite => "short",
        }
    }

    /// Whether the server dies of it.
    pub const fn kills(self) -> bool {
        matches!(self, Self::KillBefore | Self::KillAfter)
    }
}

impl Operation {
    /// What a line of the log says, but for which one it is.
    fn parse(line: &str) -> Self {
        let words: Vec<&str> = line.split(' ').collect();
        let (kind, path, struck) = match words[..] {
            [kind, path] => (kind, path, false),
            [kind, path, "struck"] => (kind, path, true),
            _ => panic!("no operation: {line}"),
        };
        let place = path.split_inclusive('/').next().unwrap();
        Self { mark: Mark { kind: kind.into(), place: place.into(), nth: 0 }, struck }
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.nth, self.kind, self.place)
    }
}

/// The inodes and names of files, but for SQLite's shared memory.
fn parse_names(names: &str) -> impl Iterator<Item = (&str, &str)> {
    let names = names.lines().map(|line| line.split_once(' ').unwrap());
    names.filter(|(_, name)| !name.ends_with("-shm"))
}

/// The files in a folder, not those in folders below it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.filter(|entry| entry.file_type().unwrap().is_file()).map(|entry| entry.path()).collect()
}

/// Copies a folder and all below it.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}
