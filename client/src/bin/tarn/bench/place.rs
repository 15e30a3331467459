//! The folder that a bench has to itself: the servers' data, what is published, what the disk is tried with. It goes when
//! this is dropped.

use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;

use super::file::Inputs;
use crate::error::CommandError;
use crate::home;

/// A new folder.
#[derive(Debug)]
pub(super) struct Place(tempfile::TempDir);

impl Place {
    /// A new folder below this one, which is made if it is not there; below the system's if none is named.
    pub(super) fn make(dir: Option<&Path>) -> Result<Self, CommandError> {
        let dir = dir.map_or_else(std::env::temp_dir, Path::to_owned);
        let made = home::create_folder(&dir)
            .and_then(|()| std::path::absolute(&dir))
            .and_then(|dir| tempfile::Builder::new().prefix("tarn-bench-").tempdir_in(dir));
        made.map(Self).map_err(|error| CommandError::file("make a folder in", &dir, &error))
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Where the servers' cluster lies.
    pub(super) fn servers(&self) -> PathBuf {
        self.path().join("servers")
    }

    /// Where the disk is tried.
    pub(super) fn scratch(&self) -> Result<PathBuf, CommandError> {
        self.inside("scratch")
    }

    /// What is published as files of this length.
    pub(super) async fn inputs(&self, length: u64) -> Result<Inputs, CommandError> {
        let folder = self.inside("inputs")?;
        let made = spawn_blocking(move || Inputs::make(&folder, length)).await;
        made.map_err(CommandError::failed)?
    }

    fn inside(&self, name: &str) -> Result<PathBuf, CommandError> {
        let folder = self.path().join(name);
        home::create_folder(&folder)
            .map_err(|error| CommandError::file("create the folder", &folder, &error))?;
        Ok(folder)
    }
}
