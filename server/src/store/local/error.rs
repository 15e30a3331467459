//! Why a folder is not made a store, or a store is not opened.

use std::path::PathBuf;

use crate::store::StoreError;

/// Why a folder was not made a store. Nothing was changed, or the same call may be made again.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// Open it instead.
    #[error("{folder} is a store already")]
    AlreadyInitialised {
        /// The folder.
        folder: PathBuf,
    },
    /// Choose another folder, or move away what is in it.
    #[error("{folder} holds files that are not a store's")]
    NotEmpty {
        /// The folder.
        folder: PathBuf,
    },
    /// Another process is at work there.
    #[error("{folder} is in use by another process")]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The disk or database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a store was not opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Initialise it first, or look for the right folder.
    #[error("{folder} is not a store: initialise it first")]
    NotInitialised {
        /// The folder.
        folder: PathBuf,
    },
    /// End the other process first.
    #[error("{folder} is in use by another process")]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The disk or database failed, or the store cannot be used by this version.
    #[error(transparent)]
    Store(#[from] StoreError),
}
