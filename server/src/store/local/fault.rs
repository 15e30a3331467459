//! What the operating system and SQLite report, as errors of the store.

use std::io;

use rusqlite::ffi;

use crate::store::StoreError;

/// An error of the operating system.
pub(super) fn io(operation: &'static str, source: io::Error) -> StoreError {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    if matches!(source.kind(), StorageFull | QuotaExceeded) {
        StoreError::NoSpace
    } else {
        StoreError::Io { operation, source }
    }
}

/// An error of the database. Values of the wrong type are damage like any other.
pub(super) fn database(operation: &'static str, source: rusqlite::Error) -> StoreError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, DiskFull, NotADatabase};
    let code = source.sqlite_error_code();
    if code == Some(DiskFull) {
        StoreError::NoSpace
    } else if code == Some(NotADatabase) {
        StoreError::Unusable { reason: "slots.sqlite is not a database".into() }
    } else if code == Some(DatabaseCorrupt) || is_wrong_type(&source) {
        tracing::error!(operation, error = %source, "the database is damaged");
        StoreError::Damaged
    } else {
        StoreError::Database { operation, source }
    }
}

/// The same error once more, for another change of the same group.
pub(super) fn again(error: &StoreError) -> StoreError {
    match error {
        StoreError::Changed => StoreError::Changed,
        StoreError::NoSpace => StoreError::NoSpace,
        StoreError::Damaged => StoreError::Damaged,
        StoreError::Io { operation, source } => {
            StoreError::Io { operation, source: io::Error::new(source.kind(), source.to_string()) }
        }
        StoreError::Database { operation, source } => StoreError::Database {
            operation,
            source: rusqlite::Error::SqliteFailure(
                source.sqlite_error().copied().unwrap_or(ffi::Error::new(ffi::SQLITE_ERROR)),
                Some(source.to_string()),
            ),
        },
        StoreError::Unusable { reason } => StoreError::Unusable { reason: reason.clone() },
    }
}

fn is_wrong_type(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
    )
}

/// Runs work that waits for the disk where it may wait.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(StoreError::Io {
            operation: "running work on a blocking thread",
            source: io::Error::other(error),
        }),
    }
}
