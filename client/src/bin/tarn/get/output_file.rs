//! A file that appears complete or not at all: written beside its place, then moved there.

use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::CommandError;

/// A file being written. Dropping it unfinished leaves what was there before.
pub(super) struct OutputFile {
    path: PathBuf,
    file: NamedTempFile,
}

impl OutputFile {
    /// Begins a file that is to stand at `path`.
    pub(super) fn create(path: &Path) -> Result<Self, CommandError> {
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            Some(_) | None => Path::new("."),
        };
        if path.is_dir() {
            let error = std::io::Error::from(std::io::ErrorKind::IsADirectory);
            return Err(CommandError::file("write", path, &error));
        }
        let file = tempfile::Builder::new()
            .prefix(".tarn-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666))
            .tempfile_in(folder)
            .map_err(|error| CommandError::file("write in", folder, &error))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Appends bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), CommandError> {
        self.file.write_all(bytes).map_err(|error| CommandError::file("write", &self.path, &error))
    }

    /// Puts the complete file in its place.
    pub(super) fn finish(self) -> Result<(), CommandError> {
        let Self { path, file } = self;
        file.persist(&path).map_err(|error| CommandError::file("write", &path, &error.error))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_replaced_before_everything_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        std::fs::write(&path, "old").unwrap();
        let mut cut_off = OutputFile::create(&path).unwrap();
        cut_off.write(b"ne").unwrap();
        drop(cut_off);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        let mut whole = OutputFile::create(&path).unwrap();
        whole.write(b"new").unwrap();
        whole.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
