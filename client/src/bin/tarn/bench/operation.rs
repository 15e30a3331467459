//! What is measured: one entry for each thing that is done with a file. Another one is an entry more here.

use std::fmt;
use std::time::Duration;

use super::file::{File, Inputs};
use super::limits::Work;
use crate::error::CommandError;

/// Something that is done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Operation {
    /// Publishes the first version of a new file.
    Create,
    /// Publishes other content on top of the newest version of a file.
    Update,
    /// The same through a gateway, which is a process of its own: only if it is asked for.
    Through,
    /// Changes 1 KiB in the middle of a file, or half of a smaller one.
    Change,
    /// Reads all of a file.
    Read,
}

impl Operation {
    /// Those that are measured if nothing is said, in this order.
    pub(super) const USUAL: [Self; 4] = [Self::Create, Self::Update, Self::Change, Self::Read];

    /// Its name, as it is typed and printed.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Through => "through",
            Self::Change => "change",
            Self::Read => "read",
        }
    }

    /// What this machine has to do for it.
    pub(super) const fn work(self) -> Work {
        match self {
            Self::Create | Self::Update | Self::Through => Work::Publish,
            Self::Change => Work::Change,
            Self::Read => Work::Read,
        }
    }

    /// Whether it wants a file of its own every time.
    pub(super) const fn makes_a_file(self) -> bool {
        match self {
            Self::Create => true,
            Self::Update | Self::Through | Self::Change | Self::Read => false,
        }
    }

    /// Does it once. Says how long it took until the caller knew; what is done after that for courtesy goes on meanwhile.
    pub(super) async fn once(
        self,
        file: &mut File,
        inputs: &Inputs,
    ) -> Result<Duration, CommandError> {
        match self {
            Self::Create | Self::Update => file.publish(inputs).await,
            Self::Through => file.publish_through(inputs).await,
            Self::Change => file.change(inputs).await,
            Self::Read => file.read(inputs.length()).await,
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
