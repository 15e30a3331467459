//! Locks that the operating system takes back when their holder ends, however it ends. The lock file's content is
//! its holder's process id, for others to read. Knows nothing of what a lock guards.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::home::open_private;

/// A lock held until this is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct FileLock {
    _file: File,
}

/// Whether a lock could be had.
#[derive(Debug)]
pub(crate) enum Locked {
    /// It is ours now.
    Ours(FileLock),
    /// Another process holds it; its id, if it could be read.
    Held(Option<u32>),
}

impl FileLock {
    /// Takes the lock if nobody holds it.
    pub(crate) fn try_acquire(path: &Path) -> io::Result<Locked> {
        let file = open_private(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Locked::Ours(Self::signed(file)?)),
            Err(TryLockError::WouldBlock) => Ok(Locked::Held(holder(&file))),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Takes the lock, waiting up to `patience` for whoever holds it; `waiting` is called once, with the holder's
    /// process id, before a wait.
    pub(crate) async fn acquire(
        path: &Path,
        patience: Duration,
        waiting: impl FnOnce(Option<u32>),
    ) -> io::Result<Locked> {
        let holder_pid = match Self::try_acquire(path)? {
            Locked::Ours(lock) => return Ok(Locked::Ours(lock)),
            Locked::Held(pid) => pid,
        };
        waiting(holder_pid);
        match tokio::time::timeout(patience, locked(open_private(path)?)).await {
            Ok(file) => Ok(Locked::Ours(Self::signed(file?)?)),
            Err(_) => Ok(Locked::Held(holder(&open_private(path)?))),
        }
    }

    /// Waits until nobody holds the lock. Answers whether that came within `patience`.
    pub(crate) async fn released(path: &Path, patience: Duration) -> io::Result<bool> {
        match tokio::time::timeout(patience, locked(open_private(path)?)).await {
            Ok(file) => file.map(|_| true),
            Err(_) => Ok(false),
        }
    }

    fn signed(mut file: File) -> io::Result<Self> {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Self { _file: file })
    }
}

/// The process that holds the lock of this file; `None` if nobody does.
pub(crate) fn holder_of(path: &Path) -> io::Result<Option<u32>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(holder(&file)),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Waits for the lock on a thread of its own: there is no other way to wait for a file lock without asking over
/// and over. A wait that is given up leaves the thread behind, and with it nothing but a queue place.
async fn locked(file: File) -> io::Result<File> {
    let (send, receive) = oneshot::channel();
    std::thread::spawn(move || {
        let result = loop {
            match file.lock() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result.map(|()| file),
            }
        };
        // Nobody listens after a timeout: the file closes here and the lock is free again.
        drop(send.send(result));
    });
    receive.await.unwrap_or_else(|_| Err(io::Error::other("the waiting thread ended")))
}

fn holder(mut file: &File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_held_lock_names_its_holder_and_is_had_when_it_is_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let Locked::Ours(first) = FileLock::try_acquire(&path).unwrap() else {
            panic!("nobody else holds it");
        };
        let me = Some(std::process::id());
        assert_eq!(holder_of(&path).unwrap(), me);
        assert!(matches!(FileLock::try_acquire(&path).unwrap(), Locked::Held(pid) if pid == me));

        let mut first = Some(first);
        let second = FileLock::acquire(&path, Duration::from_secs(60), |pid| {
            assert_eq!(pid, me);
            first = None;
        });
        assert!(matches!(second.await.unwrap(), Locked::Ours(_)));
        assert_eq!(holder_of(&path).unwrap(), None);
    }

    #[tokio::test]
    async fn a_wait_ends_when_patience_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let _held = FileLock::try_acquire(&path).unwrap();
        let second = FileLock::acquire(&path, Duration::from_millis(1), |_| {});
        assert!(matches!(second.await.unwrap(), Locked::Held(Some(_))));
    }

    #[test]
    fn a_file_that_is_not_there_is_held_by_nobody() {
        assert_eq!(holder_of(Path::new("/nowhere/lock")).unwrap(), None);
    }
}
