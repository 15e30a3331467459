//! Where the command keeps its things. `$TARN_HOME` moves all of it at once, so that a trial leaves no trace
//! elsewhere. Knows folders only, not what lies in them.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;

use crate::error::CommandError;

/// The variable that moves every folder.
pub(crate) const TARN_HOME: &str = "TARN_HOME";

/// The user's folders, all absolute. None is created before it is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Home {
    data: PathBuf,
    config: PathBuf,
}

impl Home {
    /// The folders of this user, or those below `tarn_home` if the variable is set.
    pub(crate) fn locate(tarn_home: Option<&OsStr>) -> Result<Self, CommandError> {
        let Some(root) = tarn_home else {
            return Self::of_user();
        };
        if root.is_empty() {
            return Err(CommandError::usage(format_args!("{TARN_HOME} is set to nothing"))
                .hint("name a folder, or unset it to use your own"));
        }
        let root = std::path::absolute(root)
            .map_err(|error| CommandError::file("use", Path::new(root), &error))?;
        Ok(Self { data: root.join("data"), config: root.join("config") })
    }

    fn of_user() -> Result<Self, CommandError> {
        let user = etcetera::choose_base_strategy().map_err(|_| {
            CommandError::failed("your home folder cannot be found")
                .hint(format_args!("set HOME, or {TARN_HOME} for tarn alone"))
        })?;
        Ok(Self { data: user.data_dir().join("tarn"), config: user.config_dir().join("tarn") })
    }

    /// Names and caps lie here.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Traces of publishes whose outcome is not known yet.
    pub(crate) fn publishing(&self) -> PathBuf {
        self.data.join("publishing")
    }

    /// The grid that is used when none is named.
    pub(crate) fn grid_file(&self) -> PathBuf {
        self.config.join("grid.toml")
    }

    /// The servers inside the process, when there is no grid.
    pub(crate) fn embedded(&self) -> PathBuf {
        self.data.join("embedded")
    }

    /// The gateway's tasks, when no folder is named.
    pub(crate) fn gateway(&self) -> PathBuf {
        self.data.join("gateway")
    }

    /// The cluster of processes, when no folder is named.
    pub(crate) fn cluster(&self) -> PathBuf {
        self.data.join("cluster")
    }
}

/// Creates a folder, and those above it that lack, for its owner only. One that exists stays as it is.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Opens a file for reading and writing, creating it if it lacks; only its owner may use it afterwards.
pub(crate) fn open_private(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    let permissions = file.metadata()?.permissions();
    if permissions.mode() & 0o077 != 0 {
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// Replaces a file's content, or leaves it as it was; only its owner may use it. Durable when this returns.
pub(crate) fn write_private(path: &Path, content: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(content.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn one_variable_moves_every_folder() {
        let home = Home::locate(Some(OsStr::new("/trial"))).unwrap();
        for path in [home.data().to_owned(), home.grid_file(), home.embedded(), home.cluster()] {
            assert!(path.starts_with("/trial"), "{}", path.display());
        }
    }

    #[test]
    fn a_relative_home_becomes_absolute() {
        let home = Home::locate(Some(OsStr::new("trial"))).unwrap();
        assert!(home.data().is_absolute());
    }

    #[test]
    fn a_home_set_to_nothing_is_refused_rather_than_taken_for_the_users() {
        let error = Home::locate(Some(OsStr::new(""))).unwrap_err();
        assert!(error.to_string().contains("TARN_HOME is set to nothing"));
    }

    #[test]
    fn what_is_created_is_its_owners_only() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a/b");
        create_folder(&folder).unwrap();
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(mode(&root.path().join("a")), 0o700);

        open_private(&folder.join("opened")).unwrap();
        assert_eq!(mode(&folder.join("opened")), 0o600);
        write_private(&folder.join("written"), "x").unwrap();
        assert_eq!(mode(&folder.join("written")), 0o600);
    }

    #[test]
    fn an_open_file_is_closed_to_others() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("names");
        std::fs::write(&path, "kept").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        open_private(&path).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "kept");
    }
}
