//! Both engines for the same test, with what is to be seen of their disks from beside.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rand::{SeedableRng, TryRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use super::STORE;
use crate::store::Store;
use crate::store::local::LocalStore;
use crate::store::memory::MemoryStore;

/// An engine that a test can make, look into from beside, and open again.
pub(crate) trait Engine: Store + Sized {
    /// What it is called in tables.
    const NAME: &'static str;
    /// Whether it does everything in the caller's thread, so that turns of the runtime can be counted.
    const HAS_NO_THREADS: bool;
    /// Where it keeps everything.
    type Disk: Clone;

    /// An empty store on a disk of its own.
    fn fresh() -> (Self, Self::Disk);
    /// How many chunks there are, finished or not.
    fn chunks(disk: &Self::Disk) -> usize;
    /// Changes a bit of every chunk.
    fn bend_chunks(disk: &Self::Disk);
    /// The store once more, knowing only what is durable. Nobody may have it open.
    fn again(disk: &Self::Disk) -> Self;
}

impl Engine for MemoryStore {
    const NAME: &'static str = "memory";
    const HAS_NO_THREADS: bool = true;
    type Disk = Self;

    fn fresh() -> (Self, Self) {
        let store = Self::new(STORE, 1 << 30, rng());
        (store.clone(), store)
    }

    fn chunks(disk: &Self) -> usize {
        disk.chunks().len()
    }

    fn bend_chunks(disk: &Self) {
        for chunk in disk.chunks() {
            disk.tamper_chunk(chunk, |bytes| bytes[0] ^= 1);
        }
    }

    fn again(disk: &Self) -> Self {
        disk.crash();
        disk.clone()
    }
}

impl Engine for LocalStore {
    const NAME: &'static str = "local";
    const HAS_NO_THREADS: bool = false;
    type Disk = Arc<TempDir>;

    fn fresh() -> (Self, Arc<TempDir>) {
        let folder = Arc::new(TempDir::new().unwrap());
        assert_eq!(Self::init(folder.path(), &mut OneByte(STORE.as_bytes()[0])).unwrap(), STORE);
        (Self::again(&folder), folder)
    }

    fn chunks(disk: &Arc<TempDir>) -> usize {
        ["staging", "chunks"].map(|below| entries(&disk.path().join(below)).len()).iter().sum()
    }

    fn bend_chunks(disk: &Arc<TempDir>) {
        for chunk in entries(&disk.path().join("chunks")) {
            let mut bytes = std::fs::read(&chunk).unwrap();
            bytes[0] ^= 1;
            std::fs::write(&chunk, bytes).unwrap();
        }
    }

    fn again(disk: &Arc<TempDir>) -> Self {
        Self::open(disk.path(), 0, rng()).unwrap()
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Draws the id that versions for tests are prepared for.
struct OneByte(u8);

impl TryRng for OneByte {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_ne_bytes([self.0; 4]))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_ne_bytes([self.0; 8]))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(self.0);
        Ok(())
    }
}

fn rng() -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(1)
}
