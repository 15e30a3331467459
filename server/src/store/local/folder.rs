//! The folder a store lives in: its layout, its lock, its permissions. Knows nothing of what the files hold.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::manifest::ChunkId;

const OWNER_ONLY_FOLDER: u32 = 0o700;
const OWNER_ONLY_FILE: u32 = 0o600;

const LOCK: &str = "lock";
const DATABASE: &str = "slots.sqlite";
const LOG: &str = "slots.sqlite-wal";
const STAGING: &str = "staging";
const CHUNKS: &str = "chunks";

/// Paths in a store's folder.
#[derive(Debug, Clone)]
pub(super) struct Folder(PathBuf);

/// Keeps other processes, and other opens in this one, off a folder.
#[derive(Debug)]
pub(super) struct FolderLock {
    _file: File,
}

impl Folder {
    pub(super) fn at(path: &Path) -> Self {
        Self(path.to_path_buf())
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn database(&self) -> PathBuf {
        self.0.join(DATABASE)
    }

    pub(super) fn staging(&self) -> PathBuf {
        self.0.join(STAGING)
    }

    pub(super) fn chunks(&self) -> PathBuf {
        self.0.join(CHUNKS)
    }

    pub(super) fn staged(&self, id: ChunkId) -> PathBuf {
        self.staging().join(chunk_name(id))
    }

    pub(super) fn chunk(&self, id: ChunkId) -> PathBuf {
        self.chunks().join(chunk_name(id))
    }

    pub(super) fn has_database(&self) -> bool {
        self.database().exists()
    }

    /// Makes the folder itself.
    pub(super) fn make(&self) -> io::Result<()> {
        make_folder(&self.0)
    }

    /// Makes the folder and what belongs in it, without the database's contents. Running it again is harmless.
    pub(super) fn lay_out(&self) -> io::Result<()> {
        self.make()?;
        make_folder(&self.staging())?;
        make_folder(&self.chunks())?;
        // SQLite gives its side files the permissions of the database.
        owner_only(OpenOptions::new().write(true).create(true)).open(self.database())?;
        Ok(())
    }

    /// Makes the names of everything laid out durable, the folder's own included; and first the database's log. What a
    /// process had written there when it was killed is taken for committed by the next, synced or not, and told.
    pub(super) fn sync(&self) -> io::Result<()> {
        sync_if_there(&self.0.join(LOG))?;
        sync_folder(&self.0)?;
        match self.0.canonicalize()?.parent() {
            Some(parent) => sync_folder(parent),
            None => Ok(()),
        }
    }

    /// Whether there is nothing but what [`Folder::lay_out`] makes and no chunk: a folder nobody has used yet.
    pub(super) fn is_unused(&self) -> io::Result<bool> {
        let ours = [LOCK, DATABASE, STAGING, CHUNKS].map(PathBuf::from);
        let side_file = |name: &Path| name.to_string_lossy().starts_with("slots.sqlite-");
        for entry in entries(&self.0)? {
            let name = PathBuf::from(entry?.file_name());
            if !ours.contains(&name) && !side_file(&name) {
                return Ok(false);
            }
        }
        Ok(entries(&self.staging())?.next().is_none() && entries(&self.chunks())?.next().is_none())
    }

    /// Takes the folder for this process; `None` if somebody else has it.
    pub(super) fn lock(&self) -> io::Result<Option<FolderLock>> {
        let file =
            owner_only(OpenOptions::new().write(true).create(true)).open(self.0.join(LOCK))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(FolderLock { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Creates the file of a chunk that is going to be written.
    pub(super) fn stage(&self, id: ChunkId) -> io::Result<File> {
        owner_only(OpenOptions::new().write(true).create_new(true)).open(self.staged(id))
    }

    /// Moves a staged and synced chunk to its place, durably.
    pub(super) fn place(&self, id: ChunkId) -> io::Result<()> {
        fs::rename(self.staged(id), self.chunk(id))?;
        sync_folder(&self.chunks())
    }

    /// Everything under `staging/`.
    pub(super) fn list_staged(&self) -> io::Result<Vec<PathBuf>> {
        entries(&self.staging())?.map(|entry| Ok(entry?.path())).collect()
    }

    /// The chunks in their place. Files with other names are not ours and are left alone.
    pub(super) fn list_chunks(&self) -> io::Result<Vec<ChunkId>> {
        let mut ids = Vec::new();
        for entry in entries(&self.chunks())? {
            ids.extend(entry?.file_name().to_str().and_then(parse_chunk_name));
        }
        Ok(ids)
    }
}

/// Removes a file; that it is gone already is no error.
pub(super) fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn chunk_name(id: ChunkId) -> String {
    format!("{:032x}", id.0)
}

fn parse_chunk_name(name: &str) -> Option<ChunkId> {
    let id = ChunkId(u128::from_str_radix(name, 16).ok()?);
    (chunk_name(id) == name).then_some(id)
}

/// Makes a folder and those above it; the name of each that was missing is durable then.
fn make_folder(path: &Path) -> io::Result<()> {
    let there = |folder: &Path| folder.as_os_str().is_empty() || folder.exists();
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| !there(folder)).collect();
    DirBuilder::new().recursive(true).mode(OWNER_ONLY_FOLDER).create(path)?;
    fs::set_permissions(path, Permissions::from_mode(OWNER_ONLY_FOLDER))?;
    for folder in missing {
        if let Some(parent) = folder.canonicalize()?.parent() {
            sync_folder(parent)?;
        }
    }
    Ok(())
}

fn owner_only(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(OWNER_ONLY_FILE)
}

fn sync_if_there(file: &Path) -> io::Result<()> {
    match File::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        file => file?.sync_all(),
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The entries of a folder; none if there is no folder.
fn entries(path: &Path) -> io::Result<Box<dyn Iterator<Item = io::Result<fs::DirEntry>>>> {
    match fs::read_dir(path) {
        Ok(entries) => Ok(Box::new(entries)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Box::new(std::iter::empty())),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_is_known_by_its_name_and_other_files_are_not() {
        let id = ChunkId(0xab);
        assert_eq!(parse_chunk_name(&chunk_name(id)), Some(id));
        let upper = chunk_name(id).to_uppercase();
        for name in ["", "ab", "notes.txt", upper.as_str(), &"+".repeat(32)] {
            assert_eq!(parse_chunk_name(name), None, "{name}");
        }
    }
}
