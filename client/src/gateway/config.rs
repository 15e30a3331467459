//! What bounds a gateway, and who may use it.

use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::queue::Limits;

/// How a gateway is run.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// Where tasks, contents and the key that seals write caps are kept.
    pub folder: PathBuf,
    /// What bounds the queue.
    pub queue: Limits,
    /// The longest content, in bytes.
    pub body_bytes_max: u64,
    /// How many bytes of contents may wait on disk.
    pub staged_bytes_max: u64,
    /// How long an ended task is kept, and its idempotency key with it.
    pub keep: Duration,
    /// How long a task that runs may go on once the gateway is told to stop. It is taken up again by the next one.
    pub drain: Duration,
    /// What callers must send on connections from other machines.
    pub token: Option<BearerToken>,
}

impl GatewayConfig {
    /// A week, as DESIGN §8 promises for keys.
    pub const KEEP: Duration = Duration::from_secs(7 * 24 * 60 * 60);

    /// The usual bounds, with everything kept in this folder.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            queue: Limits::default(),
            body_bytes_max: 64 << 30,
            staged_bytes_max: 128 << 30,
            keep: Self::KEEP,
            drain: Duration::from_secs(20),
            token: None,
        }
    }
}

/// A bearer token: whoever sends it may use the gateway. Not shown by `Debug`.
#[derive(Clone)]
pub struct BearerToken(Zeroizing<String>);

/// What cannot be a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Too easy to guess.
    #[error("a token needs at least 16 characters")]
    Short,
    /// It could not be sent as a header.
    #[error("a token must be printable ASCII without spaces")]
    Unprintable,
}

impl BearerToken {
    /// The token of this text.
    pub fn new(text: Zeroizing<String>) -> Result<Self, TokenError> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::Unprintable);
        }
        if text.len() < 16 {
            return Err(TokenError::Short);
        }
        Ok(Self(text))
    }

    /// Whether this is what a caller's `authorization` header says. Takes the same time whatever is wrong with it.
    pub(super) fn is_in(&self, header: &[u8]) -> bool {
        use subtle::ConstantTimeEq;
        header.strip_prefix(b"Bearer ").is_some_and(|sent| sent.ct_eq(self.0.as_bytes()).into())
    }
}

impl std::fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BearerToken")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Result<BearerToken, TokenError> {
        BearerToken::new(Zeroizing::new(text.to_owned()))
    }

    #[test]
    fn a_token_is_long_and_printable_and_never_shown() {
        assert!(matches!(token("short"), Err(TokenError::Short)));
        assert!(matches!(token("with a space in it"), Err(TokenError::Unprintable)));
        let good = token("0123456789abcdef").unwrap();
        assert!(!format!("{good:?}").contains("0123"));
        assert!(good.is_in(b"Bearer 0123456789abcdef"));
        assert!(!good.is_in(b"0123456789abcdef"));
        assert!(!good.is_in(b"Bearer 0123456789abcdeg"));
        assert!(!good.is_in(b"Bearer 0123456789abcdef "));
    }
}
