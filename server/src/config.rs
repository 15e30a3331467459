//! What a server is told when it starts: plain data, with defaults that suit a person's own machine.

use std::fmt;
use std::time::Duration;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::scrub::Scrubbing;

/// How a server behaves.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// How long a Sealed holds without Extend.
    pub promise: Duration,
    /// A conversation, a request that does not come whole, or an answer that its client does not take, ends after so
    /// long without a sign of life.
    pub idle: Duration,
    /// How long a certificate waits for a commit that can record it too, before it is recorded by itself.
    pub certificate_waits: Duration,
    /// What every request must show; none admits everybody.
    pub token: Option<Token>,
    /// Whether every write is refused.
    pub read_only: bool,
    /// How it looks for damage by itself, if it does.
    pub scrubbing: Option<Scrubbing>,
    /// Bytes of memory in which slots are kept that nobody uses right now.
    pub idle_slots_bytes_max: u64,
    /// Bytes of the disk that writes must leave free.
    pub reserved_bytes: u64,
    /// Work that costs less than hashing so many bytes is done by the threads that serve connections, as handing it
    /// over costs more than holding others up; what costs more is done elsewhere.
    pub hash_in_place_max: usize,
    /// How much one client, and all together, may ask for.
    pub limits: Limits,
}

/// How much may be asked for.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of one share of one version.
    pub share_bytes_max: u64,
    /// Bytes of one version's table.
    pub table_bytes_max: u64,
    /// How much may be in use at once on one connection.
    pub connection: Quota,
    /// The same on all connections together.
    pub server: Quota,
}

/// How much may be in use at once.
#[derive(Debug, Clone, Copy)]
pub struct Quota {
    /// Open conversations.
    pub conversations_max: u32,
    /// Bytes staged and neither committed nor released.
    pub staged_bytes_max: u64,
    /// Bytes of memory that open conversations hold: hashes of what they staged, and data too small for a chunk.
    pub memory_bytes_max: u64,
    /// Streams of blocks and rows being read.
    pub reads_max: u32,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            promise: Duration::from_secs(30),
            idle: Duration::from_secs(60),
            certificate_waits: Duration::from_millis(25),
            token: None,
            read_only: false,
            scrubbing: None,
            idle_slots_bytes_max: 4 << 20,
            reserved_bytes: 64 << 20,
            hash_in_place_max: 1 << 20,
            limits: Limits::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            share_bytes_max: 64 << 30,
            table_bytes_max: 64 << 20,
            connection: Quota {
                conversations_max: 256,
                staged_bytes_max: 128 << 30,
                memory_bytes_max: 256 << 20,
                reads_max: 256,
            },
            server: Quota {
                conversations_max: 4096,
                staged_bytes_max: 1 << 40,
                memory_bytes_max: 1 << 30,
                reads_max: 4096,
            },
        }
    }
}

/// A bearer token, kept as its digest: comparing digests takes the same time whatever was shown.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    /// The token of this text.
    pub fn new(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// Whether this text is the token.
    pub fn admits(&self, text: &str) -> bool {
        self.0.ct_eq(&Self::new(text).0).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_admits_its_own_text_and_prints_none_of_it() {
        let token = Token::new("open sesame");
        assert!(token.admits("open sesame"));
        assert!(!token.admits("open sesam") && !token.admits(""));
        assert_eq!(format!("{token:?}"), "Token(…)");
    }
}
