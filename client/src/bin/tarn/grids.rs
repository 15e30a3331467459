//! Finding the grid: the one named, else the user's, else the servers inside the process. Starts no server.

use std::path::{Path, PathBuf};

use tarn_client::grid::{Grid, GridError};

use crate::error::CommandError;
use crate::home::Home;

/// The grid a command is to use.
#[derive(Debug)]
pub(crate) enum GridChoice {
    /// The servers that a file lists.
    File {
        /// The file, absolute.
        path: PathBuf,
        /// What it lists.
        grid: Grid,
    },
    /// No grid is configured: ten servers inside the process.
    Embedded,
}

impl GridChoice {
    /// Chooses: the file that `--grid` or `$TARN_GRID` names, else the user's `grid.toml` if there is one, else the
    /// embedded default. A file that is there and wrong is an error, never passed over.
    pub(crate) fn find(named: Option<&Path>, home: &Home) -> Result<Self, CommandError> {
        let own = home.grid_file();
        let path = match named {
            Some(path) => path,
            None if own.exists() => &own,
            None => return Ok(Self::Embedded),
        };
        let path =
            std::path::absolute(path).map_err(|error| CommandError::file("find", path, &error))?;
        let grid = Grid::read(&path)?;
        Ok(Self::File { path, grid })
    }
}

impl From<GridError> for CommandError {
    fn from(error: GridError) -> Self {
        Self::usage(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRID: &str =
        "[[server]]\nstore = \"01010101010101010101010101010101\"\naddress = \"a:1\"\n";

    fn trial() -> (tempfile::TempDir, Home) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::locate(Some(folder.path().as_os_str())).unwrap();
        (folder, home)
    }

    #[test]
    fn without_any_grid_the_embedded_one_is_used() {
        let (_folder, home) = trial();
        assert!(matches!(GridChoice::find(None, &home), Ok(GridChoice::Embedded)));
    }

    #[test]
    fn the_named_grid_goes_before_the_users() {
        let (folder, home) = trial();
        std::fs::create_dir_all(home.grid_file().parent().unwrap()).unwrap();
        std::fs::write(home.grid_file(), "broken").unwrap();
        let named = folder.path().join("named.toml");
        std::fs::write(&named, GRID).unwrap();

        let choice = GridChoice::find(Some(&named), &home).unwrap();
        assert!(matches!(choice, GridChoice::File { path, .. } if path == named));
        let error = GridChoice::find(None, &home).unwrap_err();
        assert!(error.to_string().contains("grid.toml, line 1: "));
    }

    #[test]
    fn a_named_grid_that_is_not_there_is_not_passed_over() {
        let (_folder, home) = trial();
        let error = GridChoice::find(Some(Path::new("/nowhere.toml")), &home).unwrap_err();
        assert_eq!(error.exit() as u8, 2);
    }
}
