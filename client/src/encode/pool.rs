//! Buffers that are used again. The system's allocator gives large blocks back to the kernel as soon as they are
//! freed, and each comes back one page fault at a time, which halves the speed of encoding. Does not limit how many
//! buffers are out at once: the pass does.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Bytes at rest that a pool keeps; buffers beyond these are freed.
const RESTING_BYTES_MAX: usize = 32 << 20;

/// A pool of buffers; clones share it.
#[derive(Clone, Default)]
pub struct BufferPool(Arc<Mutex<Vec<Vec<u8>>>>);

impl BufferPool {
    /// A buffer of `length` bytes, of unknown content left from earlier use.
    pub fn take(&self, length: usize) -> Buffer {
        let mut bytes = self.resting().pop().unwrap_or_default();
        if bytes.capacity() < length {
            bytes = vec![0; length];
        }
        bytes.resize(length, 0);
        Buffer { bytes, pool: self.clone() }
    }

    fn resting(&self) -> std::sync::MutexGuard<'_, Vec<Vec<u8>>> {
        // A poisoned pool is as good as a whole one: a list of buffers has no state in between.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BufferPool({} at rest)", self.resting().len())
    }
}

/// A buffer that goes back to its pool when it, or the last [`Bytes`] made from it, is dropped.
pub struct Buffer {
    bytes: Vec<u8>,
    pool: BufferPool,
}

impl Buffer {
    /// The buffer as shared bytes, without copying.
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl fmt::Debug for Buffer {
    /// Shows the length only: a buffer may hold plaintext.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({} bytes)", self.bytes.len())
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl AsMut<[u8]> for Buffer {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut resting = self.pool.resting();
        let at_rest: usize = resting.iter().map(Vec::capacity).sum();
        if at_rest + bytes.capacity() <= RESTING_BYTES_MAX {
            resting.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_rests_until_the_last_slice_of_it_is_gone() {
        let pool = BufferPool::default();
        let bytes = pool.take(100).freeze();
        let slice = bytes.slice(90..);
        drop(bytes);
        assert_eq!(pool.resting().len(), 0);
        drop(slice);
        assert_eq!(pool.resting().len(), 1);
        assert_eq!(pool.take(40).as_ref().len(), 40);
        assert_eq!(pool.take(400).as_ref().len(), 400);
    }

    #[test]
    fn a_pool_keeps_only_so_many() {
        let pool = BufferPool::default();
        let out: Vec<Buffer> = (0..6).map(|_| pool.take(RESTING_BYTES_MAX / 4)).collect();
        drop(out);
        assert_eq!(pool.resting().len(), 4);
    }
}
