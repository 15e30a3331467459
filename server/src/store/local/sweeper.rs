//! A thread that removes files, so that nobody who answers requests waits for large ones to go.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

use super::folder::remove_file;

/// The thread. Dropping it removes what is waiting and ends it.
#[derive(Debug)]
pub(super) struct Sweeper {
    bin: Bin,
    thread: Option<JoinHandle<()>>,
}

/// Where files go that nobody needs.
#[derive(Debug, Clone)]
pub(super) struct Bin(Sender<Waste>);

#[derive(Debug)]
enum Waste {
    File(PathBuf),
    Last,
}

impl Sweeper {
    pub(super) fn start() -> io::Result<Self> {
        let (sender, waste) = channel();
        let thread = Builder::new().name("tarn-sweeper".into()).spawn(move || sweep(&waste))?;
        Ok(Self { bin: Bin(sender), thread: Some(thread) })
    }

    pub(super) fn bin(&self) -> Bin {
        self.bin.clone()
    }
}

impl Drop for Sweeper {
    fn drop(&mut self) {
        // Both fail only if the thread is gone already, which is what is wanted.
        let _ = self.bin.0.send(Waste::Last);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Bin {
    /// Has a file removed.
    pub(super) fn throw(&self, path: PathBuf) {
        if let Err(returned) = self.0.send(Waste::File(path))
            && let Waste::File(path) = returned.0
        {
            remove(&path);
        }
    }
}

fn sweep(waste: &Receiver<Waste>) {
    while let Ok(Waste::File(path)) = waste.recv() {
        remove(&path);
    }
}

/// A file that cannot be removed is garbage until the next start: nothing names it.
fn remove(path: &Path) {
    if let Err(error) = remove_file(path) {
        tracing::warn!(path = %path.display(), %error, "a file could not be removed");
    }
}
