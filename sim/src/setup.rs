//! What a world is made of before anything happens in it. Together with the events it is a whole run.

use std::sync::LazyLock;

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};
use tarn_client::servermap::Patience;
use tarn_client::time::Millis;
use tarn_proto::{StorageIndex, VerifyKey, Window};

use crate::ids::ServerId;

/// The world before its first event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    /// How many servers there are, at most 80.
    pub servers: u8,
    /// How many of them, the first ones, are the file's window.
    pub window: u8,
    /// Whether the file prefers every other server to those of its window: whoever knows no window asks these last.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub window_last: bool,
    /// Whether callers remember which servers kept a publish waiting, and do not wait for these the next time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub remembers: bool,
    /// Whether a publish begins with what servers held when its caller was told of its last task, whatever was done since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hands_maps_on: bool,
    /// How long a promise holds, in milliseconds.
    pub promise: u64,
    /// The clients' patience, in milliseconds: nobody is late before this.
    pub patience_floor: u64,
    /// Late is this many times what the faster half took.
    pub patience_factor: u64,
    /// How long to wait when not even a quorum answers, in milliseconds.
    pub patience_limit: u64,
    /// Whether a change is durable at once, without an event of its own.
    pub instant_disk: bool,
    /// Whether all publishes are one writer's, one after another.
    pub single_writer: bool,
    /// Whether servers may lie: then only the promises that hold against liars are demanded.
    pub liars: bool,
    /// The planted bug, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bug: Option<String>,
}

impl Default for Setup {
    fn default() -> Self {
        let patience = Patience::default();
        Self {
            servers: 3,
            window: 3,
            window_last: false,
            remembers: false,
            hands_maps_on: false,
            promise: 30_000,
            patience_floor: 500,
            patience_factor: patience.factor,
            patience_limit: patience.limit.0,
            instant_disk: true,
            single_writer: false,
            liars: false,
            bug: None,
        }
    }
}

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_bytes(&[1; 32]));
static FILE: LazyLock<StorageIndex> = LazyLock::new(|| VerifyKey::of(&KEY).storage_index());

/// The writers' key: there is one file in a world.
pub fn key() -> &'static SigningKey {
    &KEY
}

/// The file.
pub fn file() -> StorageIndex {
    *FILE
}

impl Setup {
    /// The stores of the file's window.
    pub fn window(&self) -> Window {
        let stores = (0..self.window.clamp(1, self.servers.max(1))).map(|n| ServerId(n).store());
        Window::new(stores.collect()).expect("distinct stores, at least one, at most 64")
    }

    /// The clients' patience.
    pub const fn patience(&self) -> Patience {
        Patience {
            floor: Millis(self.patience_floor),
            stall: Millis(4 * self.patience_floor),
            factor: self.patience_factor,
            limit: Millis(self.patience_limit),
        }
    }
}
