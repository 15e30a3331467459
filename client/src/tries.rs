//! How often a change of a file is tried, and what follows a try. A change is never applied twice: only a try of which
//! nothing can be left is followed by another reading; one that may have taken effect is repeated as the same submission
//! until it is known what became of it. Decides nothing about versions, and publishes nothing itself.

use std::num::NonZeroU32;
use std::time::Duration;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::publish::outcome::{Landed, Outcome, Published, Report};

/// The first wait after a try that was in vain is at most this long; it doubles with every further one.
const WAIT_FIRST: Duration = Duration::from_millis(20);
/// The longest wait.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// How often it was tried, and what follows a try. Pure, but for its own random numbers.
pub(crate) struct Tries {
    made: u32,
    most: NonZeroU32,
    rng: ChaCha8Rng,
}

/// Why a change came to nothing, or may have.
#[derive(Debug)]
pub(crate) enum Fruitless {
    /// Others came first, each time. Nothing was changed.
    Contended { tries: NonZeroU32, report: Box<Report> },
    /// Nothing was changed, and trying again would not help.
    NotPublished(Box<Report>),
    /// It may have taken effect or not.
    Unsettled(Box<Report>),
}

/// What follows a try.
#[derive(Debug)]
pub(crate) enum Next {
    Done(Published),
    ReadAgain { wait: Duration },
    Fail(Fruitless),
}

impl Tries {
    pub(crate) const fn new(most: NonZeroU32, rng: ChaCha8Rng) -> Self {
        Self { made: 0, most, rng }
    }

    /// What may be left of this submission and how long to wait before it is repeated; none if it is settled, or if it
    /// was tried often enough.
    pub(crate) fn unsettled(&mut self, outcome: &Outcome) -> Option<(Landed, Duration)> {
        let landed = match outcome {
            Outcome::Partial(landed) | Outcome::Unknown(landed) => landed,
            Outcome::Published(_)
            | Outcome::UncoordinatedWrite { .. }
            | Outcome::Stale { .. }
            | Outcome::Contended
            | Outcome::NotEnoughServers(_)
            | Outcome::BaseMissing(_)
            | Outcome::InputUsedUp
            | Outcome::Undecided(_)
            | Outcome::Cancelled
            | Outcome::SourceChanged
            | Outcome::Failed { .. } => return None,
        };
        let wait = self.wait()?;
        Some((landed.clone(), wait))
    }

    /// What follows the end of a submission.
    pub(crate) fn after(&mut self, report: Report) -> Next {
        match report.outcome {
            Outcome::Published(published) => Next::Done(published),
            outcome @ (Outcome::UncoordinatedWrite { .. }
            | Outcome::Stale { .. }
            | Outcome::Contended) => match self.wait() {
                Some(wait) => Next::ReadAgain { wait },
                None => Next::Fail(Fruitless::Contended {
                    tries: self.most,
                    report: Box::new(Report { outcome, ..report }),
                }),
            },
            Outcome::Partial(_) | Outcome::Unknown(_) => {
                Next::Fail(Fruitless::Unsettled(Box::new(report)))
            }
            Outcome::NotEnoughServers(_)
            | Outcome::BaseMissing(_)
            | Outcome::InputUsedUp
            | Outcome::Undecided(_)
            | Outcome::Cancelled
            | Outcome::SourceChanged
            | Outcome::Failed { .. } => Next::Fail(Fruitless::NotPublished(Box::new(report))),
        }
    }

    /// Counts a try that was in vain; how long to wait for the next, with full jitter, if there may be one.
    fn wait(&mut self) -> Option<Duration> {
        let doublings = self.made.min(16);
        self.made += 1;
        let longest = WAIT_FIRST.saturating_mul(1 << doublings).min(WAIT_MAX);
        (self.made < self.most.get()).then(|| self.rng.random_range(Duration::ZERO..=longest))
    }
}

#[cfg(test)]
mod tests;
