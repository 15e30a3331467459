//! One open database of names for publishes that run side by side, and for their journals, which are written on other
//! threads. Held for one statement or transaction at a time, never across an await.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Names, NamesError};

/// The database of names, for many. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct SharedNames(Arc<Mutex<Names>>);

impl SharedNames {
    /// Opens the database in this folder, making both if they lack.
    pub(crate) fn open(folder: &Path) -> Result<Self, NamesError> {
        Ok(Self(Arc::new(Mutex::new(Names::open(folder)?))))
    }

    /// The database, for a moment: others wait.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Names> {
        // Whoever panicked left no more than a transaction, which was rolled back with it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
