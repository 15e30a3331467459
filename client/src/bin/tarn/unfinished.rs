//! Publishes whose outcome nobody was told: of commands that still run, and of such as were cut off. Each publish has
//! a lock that ends with its process, and, if its content came through a pipe, a copy of that; both are gone when
//! its outcome is known. Knows nothing of servers.
//!
//! ```text
//! data/publishing/
//!   <attempt id>.lock    held while the command runs
//!   <attempt id>.input   what came through a pipe
//! ```

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tarn_proto::{AttemptId, StorageIndex};

use crate::error::CommandError;
use crate::home::{Home, create_folder};
use crate::lock::{FileLock, Locked, holder_of};
use crate::names::{JournalEntry, Names, NamesError};
use crate::target::Target;

/// Where the traces of a publish are.
#[derive(Debug, Clone)]
struct Traces {
    folder: PathBuf,
    attempt: AttemptId,
}

impl Traces {
    fn of(home: &Home, attempt: AttemptId) -> Self {
        Self { folder: home.publishing(), attempt }
    }

    fn lock(&self) -> PathBuf {
        self.folder.join(format!("{}.lock", self.attempt))
    }

    fn input(&self) -> PathBuf {
        self.folder.join(format!("{}.input", self.attempt))
    }

    /// Removes both. What cannot be removed is swept up by a later publish.
    fn remove(&self) {
        for path in [self.input(), self.lock()] {
            if let Err(error) = std::fs::remove_file(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %error, "cannot be removed");
            }
        }
    }
}

/// A publish of this process, on record as running until this is dropped.
#[derive(Debug)]
pub(crate) struct Running {
    traces: Traces,
    /// Whether its traces are wanted by whoever comes after.
    keeps: bool,
    _lock: FileLock,
}

impl Running {
    /// Puts a publish on record. None if another process has this attempt in hand.
    pub(crate) fn begin(home: &Home, attempt: AttemptId) -> Result<Option<Self>, CommandError> {
        let traces = Traces::of(home, attempt);
        let failed = |error| CommandError::file("prepare", &traces.folder, &error);
        create_folder(&traces.folder).map_err(failed)?;
        loop {
            match FileLock::try_acquire(&traces.lock()).map_err(failed)? {
                // Somebody who swept up may have removed it in between.
                Locked::Ours(_) if !traces.lock().exists() => {}
                Locked::Ours(lock) => return Ok(Some(Self { traces, keeps: false, _lock: lock })),
                Locked::Held(_) => return Ok(None),
            }
        }
    }

    /// The submission.
    pub(crate) const fn attempt(&self) -> AttemptId {
        self.traces.attempt
    }

    /// Where content that comes through a pipe is kept.
    pub(crate) fn input(&self) -> PathBuf {
        self.traces.input()
    }

    /// Its outcome is not known: whoever settles it later wants its traces.
    pub(crate) const fn keep(&mut self) {
        self.keeps = true;
    }

    /// Its outcome is known: nobody wants its traces any more.
    pub(crate) const fn forget(&mut self) {
        self.keeps = false;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.keeps {
            self.traces.remove();
        }
    }
}

/// A publish that wrote its journal and was not settled.
#[derive(Debug, Clone)]
pub(crate) struct Unfinished {
    /// The submission.
    pub(crate) attempt: AttemptId,
    /// The last version that it was about to commit.
    pub(crate) newest: JournalEntry,
    /// Every version of it that may have been committed, that one included.
    pub(crate) entries: Vec<JournalEntry>,
    /// The process that still runs it; none if it was cut off.
    pub(crate) runs: Option<u32>,
}

impl Unfinished {
    /// Those of the file that was typed.
    pub(crate) fn of(file: &Target, names: &Names, home: &Home) -> Result<Vec<Self>, CommandError> {
        let storage_index = match file {
            Target::Name(name) => names.find(name)?.storage_index(),
            Target::Cap(cap) => cap.verify_cap().storage_index(),
        };
        Self::list(names, home, Some(storage_index))
    }

    /// Those of a file, or all there are; by the time of their last entry.
    pub(crate) fn list(
        names: &Names,
        home: &Home,
        file: Option<StorageIndex>,
    ) -> Result<Vec<Self>, CommandError> {
        let mut by_attempt = BTreeMap::<AttemptId, Vec<JournalEntry>>::new();
        for entry in names.journal_pending(file)? {
            by_attempt.entry(entry.signed.header().attempt).or_default().push(entry);
        }
        let mut unfinished = Vec::new();
        for (attempt, entries) in by_attempt {
            let lock = Traces::of(home, attempt).lock();
            let runs = holder_of(&lock).map_err(|e| CommandError::file("look at", &lock, &e))?;
            let newest = entries.iter().max_by_key(|entry| entry.signed.order()).cloned();
            unfinished.extend(newest.map(|newest| Self { attempt, newest, entries, runs }));
        }
        unfinished.sort_by_key(|unfinished| unfinished.newest.written_at);
        Ok(unfinished)
    }

    /// Whether nobody runs it and its input is its content.
    pub(crate) fn can_be_sent_again(&self) -> bool {
        self.runs.is_none() && !self.is_part()
    }

    /// Whether it changed a part of the file: what it made of it is nowhere here.
    pub(crate) fn is_part(&self) -> bool {
        self.entries.iter().any(|entry| entry.part)
    }

    /// What it had kept of a pipe, if it is there.
    pub(crate) fn kept_input(&self, home: &Home) -> Option<PathBuf> {
        Some(Traces::of(home, self.attempt).input()).filter(|path| path.exists())
    }

    /// For people.
    pub(crate) fn sentence(&self) -> String {
        let number = self.newest.signed.header().sequence_number;
        match self.runs {
            Some(pid) => format!("version {number} is being published by process {pid}"),
            None => format!("a publish of version {number} was cut off"),
        }
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        json!({
            "version": {
                "seqnum": self.newest.signed.header().sequence_number.get(),
                "id": self.newest.signed.version().to_string(),
            },
            "storage_index": self.newest.signed.header().storage_index.to_string(),
            "journaled_at": self.newest.written_at.get(),
            "process": self.runs,
        })
    }

    /// Takes it up. None if another process came first, to take it up or to settle it.
    pub(crate) fn take_up(
        &self,
        names: &Names,
        home: &Home,
    ) -> Result<Option<Running>, CommandError> {
        let Some(mut running) = Running::begin(home, self.attempt)? else { return Ok(None) };
        let file = self.newest.signed.header().storage_index;
        let pending = names.journal_pending(Some(file))?;
        let still = pending.iter().any(|entry| entry.signed.header().attempt == self.attempt);
        // From here on it is settled by whoever took it up, or stays as it is.
        if still {
            running.keep();
        }
        Ok(still.then_some(running))
    }

    /// Takes it off the record. Only for what is settled, or is to be given up, by whoever has taken it up.
    pub(crate) fn take_off(&self, names: &mut Names) -> Result<(), NamesError> {
        self.entries.iter().try_for_each(|entry| names.journal_clear(entry.signed.version()))
    }
}

/// Removes what publishes left that were cut off before they had anything to settle.
pub(crate) fn sweep(names: &Names, home: &Home) -> Result<(), CommandError> {
    let folder = home.publishing();
    let pending = names.journal_pending(None)?;
    let is_pending =
        |attempt: AttemptId| pending.iter().any(|e| e.signed.header().attempt == attempt);
    for attempt in attempts_in(&folder).map_err(|e| CommandError::file("read", &folder, &e))? {
        let traces = Traces::of(home, attempt);
        // Whoever holds the lock has yet to write its journal.
        let lock = FileLock::try_acquire(&traces.lock());
        if let (false, Ok(Locked::Ours(_lock))) = (is_pending(attempt), lock) {
            traces.remove();
        }
    }
    Ok(())
}

fn attempts_in(folder: &Path) -> io::Result<Vec<AttemptId>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut attempts = Vec::new();
    for entry in entries {
        let path = entry?.path();
        attempts.extend(path.file_stem().and_then(|stem| stem.to_str()?.parse::<AttemptId>().ok()));
    }
    Ok(attempts)
}
