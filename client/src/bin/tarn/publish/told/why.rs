//! Why a publish was none: one sentence, what to do about it, and the exit code.

use tarn_client::base::Undecided;
use tarn_client::publish::outcome::{Landed, Outcome};
use tarn_proto::SignedHeader;

use super::Told;
use crate::error::{CommandError, Exit};

/// What to do when an input that was not kept was read in vain.
const AGAIN: &str = "publish it again from its beginning, or without --no-spool: then a copy of it is kept, and tried again";

impl Told<'_> {
    /// The error that ends the command, unless it published.
    pub(in crate::publish) fn ended(&self) -> Result<(), CommandError> {
        let Some(sentence) = self.sentence() else { return Ok(()) };
        let error = CommandError::ended(sentence, exit(&self.report.outcome));
        Err(match self.hint() {
            Some(hint) => error.hint(hint),
            None => error,
        })
    }

    /// What went wrong; none when nothing did.
    pub(super) fn sentence(&self) -> Option<String> {
        let sentence = self.what_went_wrong()?;
        let says_so = matches!(self.report.outcome, Outcome::InputUsedUp | Outcome::Cancelled);
        Some(match self.used_up && self.report.outcome.nothing_changed() && !says_so {
            true => format!("{sentence}; the input is used up"),
            false => sentence,
        })
    }

    fn what_went_wrong(&self) -> Option<String> {
        Some(match &self.report.outcome {
            Outcome::Published(_) => return None,
            Outcome::UncoordinatedWrite { theirs } if self.lost => {
                format!(
                    "it had not taken effect, and will not: the newest version is {}",
                    version(theirs.as_ref())
                )
            }
            Outcome::UncoordinatedWrite { theirs } => {
                format!(
                    "another writer published {} meanwhile; nothing was changed",
                    version(theirs.as_ref())
                )
            }
            Outcome::Stale { now } => {
                format!("the newest version is {}; nothing was changed", version(now.as_ref()))
            }
            Outcome::Contended => format!(
                "others kept publishing this file, through {} tries; nothing was changed",
                self.report.rounds
            ),
            Outcome::NotEnoughServers(shortfall) => format!(
                "only {} of the file's {} servers can be used and {} are needed; nothing was changed",
                shortfall.usable, shortfall.window, shortfall.quorum
            ),
            Outcome::BaseMissing(shortfall) => format!(
                "only {} of the file's {} servers have the version to be changed and {} are needed; nothing was changed",
                shortfall.usable, shortfall.window, shortfall.quorum
            ),
            Outcome::InputUsedUp => "servers or other writers came in between, and the input is used up; nothing was changed".to_owned(),
            Outcome::Undecided(undecided) => {
                format!("{}; nothing was changed", self.undecided(undecided))
            }
            Outcome::Partial(landed) => {
                format!(
                    "{} and cannot be completed: it may or may not be built on",
                    self.landed(landed)
                )
            }
            Outcome::Unknown(landed) if self.lost => {
                format!(
                    "{}: without its content it cannot be told whether it takes effect",
                    self.landed(landed)
                )
            }
            Outcome::Unknown(landed) => {
                format!(
                    "{}, then the servers stopped answering: it may be published or not",
                    self.landed(landed)
                )
            }
            Outcome::Cancelled => "called off; nothing was changed".to_owned(),
            Outcome::SourceChanged => {
                "the input changed while it was read; nothing was changed on the servers".to_owned()
            }
            Outcome::Failed { cause } => format!("{cause}; nothing was changed"),
        })
    }

    fn hint(&self) -> Option<&'static str> {
        match &self.report.outcome {
            Outcome::UncoordinatedWrite { .. } | Outcome::Stale { .. } => {
                Some("read the newest version, then publish again on top of it with --if-version")
            }
            Outcome::Contended => Some("try again, or agree on who writes"),
            Outcome::Undecided(undecided) if undecided.needed().is_empty() => {
                Some("bring back servers or disks that have it, then publish again")
            }
            Outcome::NotEnoughServers(_) | Outcome::Undecided(_) => {
                Some("start the servers named above, then publish again")
            }
            Outcome::Unknown(_) if self.lost => Some(
                "`tarn resume` it again when more servers answer, publish anew, which settles it, or `tarn abandon` it",
            ),
            Outcome::BaseMissing(_) => Some("publish all of its content instead"),
            Outcome::Partial(_) | Outcome::Unknown(_) if self.used_up => {
                Some("`tarn resume` tells what became of it, when its servers answer")
            }
            Outcome::Partial(_) | Outcome::Unknown(_) => {
                Some("publish it again, or `tarn resume` it, when its servers answer")
            }
            Outcome::SourceChanged => Some("publish again when nobody writes to it"),
            Outcome::InputUsedUp => Some(AGAIN),
            Outcome::Failed { .. } if self.used_up => Some(AGAIN),
            Outcome::Published(_) | Outcome::Cancelled | Outcome::Failed { .. } => None,
        }
    }

    fn undecided(&self, undecided: &Undecided) -> String {
        let needed = undecided.needed();
        let named: Vec<String> = needed.iter().map(|store| self.address(*store)).collect();
        let needed = if named.is_empty() {
            String::new()
        } else {
            format!("; any of these would help: {}", named.join(", "))
        };
        match undecided {
            Undecided::NoMajority { .. } => {
                format!("too few of the file's servers answered to tell its newest version{needed}")
            }
            // Everybody answered: it is no answer that lacks, but shares.
            Undecided::InDoubt { newest, silent } if silent.is_empty() => format!(
                "{} may have been published, and too few good shares of it are left to build on",
                version(Some(newest))
            ),
            Undecided::InDoubt { newest, .. } => {
                format!("it cannot be told whether {} was published{needed}", version(Some(newest)))
            }
            Undecided::BelowHighWater { seen, .. } => format!(
                "the newest version these servers know is older than version {} ({}), which was seen here before{needed}",
                seen.sequence_number, seen.version
            ),
            Undecided::Windows => {
                "the file's headers name different sets of servers, and none names both".to_owned()
            }
            Undecided::NoHeader { .. } => {
                "no server that answered knows this file: is this the right grid?".to_owned()
            }
        }
    }

    fn landed(&self, landed: &Landed) -> String {
        let version = version(Some(&landed.header));
        let unknown = match landed.unknown.len() {
            0 => String::new(),
            count => format!(" and perhaps on {count} more"),
        };
        format!("{version} is on {} servers{unknown}", landed.accepted.len())
    }
}

const fn exit(outcome: &Outcome) -> Exit {
    match outcome {
        Outcome::Published(_) => Exit::Done,
        Outcome::UncoordinatedWrite { .. } | Outcome::Stale { .. } | Outcome::Contended => {
            Exit::Conflict
        }
        Outcome::NotEnoughServers(_) | Outcome::BaseMissing(_) | Outcome::Undecided(_) => {
            Exit::Unavailable
        }
        Outcome::Partial(_) | Outcome::Unknown(_) => Exit::Unsettled,
        Outcome::Cancelled
        | Outcome::SourceChanged
        | Outcome::InputUsedUp
        | Outcome::Failed { .. } => Exit::Failed,
    }
}

fn version(header: Option<&SignedHeader>) -> String {
    match header {
        None => "none".to_owned(),
        Some(header) => {
            format!("version {} ({})", header.header().sequence_number, header.version())
        }
    }
}
