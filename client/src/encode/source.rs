//! Where plaintext comes from. A source can be opened as often as shares must be encoded again, and every reading
//! starts at the beginning; what can be read only once is no [`Source`] but [`Once`]. Does not decide whether two readings
//! were the same: the pass compares their rows.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::{Buf, Bytes};

use super::spool::{Spool, SpoolReader};

mod chain;
mod once;

pub use chain::{Chain, ChainReader};
pub use once::Once;

/// Plaintext of known length that can be read again. Cheap to clone.
#[derive(Clone)]
pub enum Source {
    /// A regular file, opened anew for every reading.
    File {
        /// Where it is.
        path: Arc<Path>,
        /// Its length in bytes when it was looked at.
        length: u64,
    },
    /// Bytes in memory.
    Bytes(Bytes),
    /// What came through a pipe.
    Spool(Spool),
    /// So many zeros: what a change leaves between the end of a file and itself.
    Zeros(u64),
    /// One after the other.
    Chain(Chain),
}

/// Why a path is no source.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It is not there, or not for us.
    #[error("{path} cannot be opened", path = path.display())]
    Open {
        /// The path asked for.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A folder, pipe or device: only regular files can be read twice. Pipes are spooled.
    #[error("{path} is not a regular file", path = path.display())]
    NotAFile {
        /// The path asked for.
        path: PathBuf,
    },
}

impl Source {
    /// The file at `path`, whose length is taken now. Blocks for one look at the file system.
    pub fn file(path: &Path) -> Result<Self, SourceError> {
        let metadata = std::fs::metadata(path)
            .map_err(|source| SourceError::Open { path: path.to_owned(), source })?;
        if metadata.is_file() {
            Ok(Self::File { path: path.into(), length: metadata.len() })
        } else {
            Err(SourceError::NotAFile { path: path.to_owned() })
        }
    }

    /// How many bytes there are, for all that was known when the source was made.
    pub const fn length(&self) -> u64 {
        match self {
            Self::File { length, .. } => *length,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Spool(spool) => spool.length(),
            Self::Zeros(length) => *length,
            Self::Chain(chain) => chain.length(),
        }
    }

    /// Whether reading it waits for nothing.
    pub fn is_in_memory(&self) -> bool {
        match self {
            Self::File { .. } | Self::Spool(_) => false,
            Self::Bytes(_) | Self::Zeros(_) => true,
            Self::Chain(chain) => chain.parts().iter().all(Self::is_in_memory),
        }
    }

    /// A reader from the start. Blocks, as does the reader.
    pub fn open(&self) -> io::Result<SourceReader> {
        Ok(match self {
            Self::File { path, .. } => {
                let file = File::open(path)?;
                let opened = Stamp::of(&file.metadata()?)?;
                SourceReader::File { file, opened }
            }
            Self::Bytes(bytes) => SourceReader::Bytes(bytes.clone()),
            Self::Spool(spool) => SourceReader::Spool(spool.reader()),
            Self::Zeros(length) => SourceReader::Zeros(io::repeat(0).take(*length)),
            Self::Chain(chain) => SourceReader::Chain(chain.open()?),
        })
    }
}

impl fmt::Debug for Source {
    /// Shows where the plaintext comes from, never the plaintext.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, length } => write!(f, "File({}, {length} bytes)", path.display()),
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Self::Spool(spool) => write!(f, "Spool({} bytes)", spool.length()),
            Self::Zeros(length) => write!(f, "Zeros({length} bytes)"),
            Self::Chain(chain) => chain.fmt(f),
        }
    }
}

/// One reading of a source.
pub enum SourceReader {
    /// Of a file, with what it looked like when it was opened.
    File {
        /// The open file.
        file: File,
        /// Its looks.
        opened: Stamp,
    },
    /// Of the bytes that are left.
    Bytes(Bytes),
    /// Of a spool.
    Spool(SpoolReader),
    /// Of the zeros that are left.
    Zeros(io::Take<io::Repeat>),
    /// Of several sources.
    Chain(ChainReader),
}

impl SourceReader {
    /// Whether the source still looks as it did when it was opened; if not, what was read may be half old, half new.
    pub fn unchanged(&self) -> io::Result<bool> {
        match self {
            Self::File { file, opened } => Ok(Stamp::of(&file.metadata()?)? == *opened),
            Self::Bytes(_) | Self::Spool(_) | Self::Zeros(_) => Ok(true),
            Self::Chain(chain) => chain.unchanged(),
        }
    }
}

impl Read for SourceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File { file, .. } => file.read(buffer),
            Self::Bytes(bytes) => bytes.reader().read(buffer),
            Self::Spool(spool) => spool.read(buffer),
            Self::Zeros(zeros) => zeros.read(buffer),
            Self::Chain(chain) => chain.read(buffer),
        }
    }
}

/// What a file looks like from outside.
#[derive(Debug, PartialEq, Eq)]
pub struct Stamp {
    length: u64,
    modified: SystemTime,
}

impl Stamp {
    fn of(metadata: &Metadata) -> io::Result<Self> {
        Ok(Self { length: metadata.len(), modified: metadata.modified()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_sources() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Source::file(folder.path()), Err(SourceError::NotAFile { .. })));
        assert!(matches!(
            Source::file(&folder.path().join("missing")),
            Err(SourceError::Open { .. })
        ));
        let path = folder.path().join("file");
        std::fs::write(&path, "content").unwrap();
        assert_eq!(Source::file(&path).unwrap().length(), 7);
    }

    #[test]
    fn a_file_that_is_written_while_open_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "content").unwrap();
        let reader = Source::file(&path).unwrap().open().unwrap();
        assert!(reader.unchanged().unwrap());
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert!(!reader.unchanged().unwrap());
    }

    #[test]
    fn every_reading_starts_at_the_beginning() {
        let source = Source::Bytes(Bytes::from_static(b"content"));
        for _ in 0..2 {
            let mut read = String::new();
            source.open().unwrap().read_to_string(&mut read).unwrap();
            assert_eq!(read, "content");
        }
    }
}
