//! An input that can be read only once, as it comes: what a pipe gives and nobody keeps. Its length shows when it ends.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::AsyncRead;

type Input = Box<dyn AsyncRead + Send + Unpin>;

/// An input that can be read once, by whoever takes it first: clones share it. It is read from no earlier than that.
#[derive(Clone)]
pub struct Once(Arc<Mutex<Option<Input>>>);

impl Once {
    /// What `input` gives until it ends. It is dropped when it has been read, or when nobody reads on.
    pub fn new(input: impl AsyncRead + Send + Unpin + 'static) -> Self {
        Self(Arc::new(Mutex::new(Some(Box::new(input)))))
    }

    /// The input; none if it was taken before.
    pub(crate) fn take(&self) -> Option<impl AsyncRead + Send + Unpin + use<>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for Once {
    /// Shows whether it can still be read, never the plaintext.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let input = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        f.write_str(if input.is_some() { "Once(not read yet)" } else { "Once(read)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_takes_it_first_has_it() {
        let once = Once::new(&b"content"[..]);
        let clone = once.clone();
        assert_eq!(format!("{clone:?}"), "Once(not read yet)");
        assert!(clone.take().is_some() && once.take().is_none());
        assert_eq!(format!("{once:?}"), "Once(read)");
    }
}
