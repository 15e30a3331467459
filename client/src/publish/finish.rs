//! How a round ends: anew, or with a report. Step 6 of a publish: tell the caller, then, off the critical path, leave the
//! word that the version was Published and bring what is missing to servers that can take it.

use std::collections::BTreeSet;

use rand::RngExt;
use tarn_proto::{ShareNumber, SignedHeader, StoreId};

use super::action::Action;
use super::outcome::{During, Outcome, Published, Report};
use super::{Kind, Phase, Publish, ROUNDS_MAX};
use crate::bring::Bring;
use crate::quorum::Placement;
use crate::servermap::Failure;
use crate::time::Millis;

/// The longest wait before mapping again, in milliseconds.
const BACK_OFF_MAX: u64 = 1_000;
/// The bound on the first wait, in milliseconds; it doubles with every round.
const BACK_OFF_FIRST: u64 = 20;

impl Publish {
    /// Lets go of every conversation, and maps again after a wait with full jitter; or gives up.
    pub(super) fn begin_anew(&mut self) {
        self.release_all();
        if self.cancelled {
            return self.cancel();
        }
        if self.rounds >= ROUNDS_MAX {
            return self.finish_unchanged(Outcome::Contended);
        }
        if self.from_memory && matches!(self.phase, Phase::Preparing { .. }) {
            // What is remembered was out of date: nobody needs to be given way.
            return self.map();
        }
        let bound = (BACK_OFF_FIRST << self.rounds.min(16)).min(BACK_OFF_MAX);
        let wait = self.rng.random_range(0..=bound);
        self.phase = Phase::BackingOff { until: self.now + Millis(wait) };
    }

    pub(super) fn cancel(&mut self) {
        self.release_all();
        self.finish_unchanged(Outcome::Cancelled);
    }

    /// Ends with an outcome that says "nothing was changed", unless something was.
    pub(super) fn finish_unchanged(&mut self, outcome: Outcome) {
        debug_assert!(outcome.nothing_changed());
        let unanswered = matches!(
            outcome,
            Outcome::Undecided(_)
                | Outcome::NotEnoughServers(_)
                | Outcome::BaseMissing(_)
                | Outcome::Cancelled
        );
        let outcome = match self.landed.take() {
            None => outcome,
            Some(landed) if unanswered || !landed.unknown.is_empty() => Outcome::Unknown(landed),
            Some(landed) => Outcome::Partial(landed),
        };
        self.finish(outcome);
    }

    pub(super) fn finish(&mut self, outcome: Outcome) {
        self.phase = Phase::Ended;
        self.actions.push(Action::Finish(Report {
            outcome,
            troubles: self.troubles.clone(),
            heard: self.heard.clone(),
            rounds: self.rounds,
            elapsed: self.now,
        }));
    }

    /// The version is durable at a quorum: the caller is told, and the courtesies begin.
    pub(super) fn publish_ended(&mut self, published: Published) {
        let (header, placement) = (published.header.clone(), published.placement.clone());
        let missing = published.missing.clone();
        self.finish(Outcome::Published(published));
        let Some(header) = header else { return };
        for &server in placement.keys() {
            let message = self.send(server, Kind::Finalize);
            self.actions.push(Action::Finalize {
                message,
                server,
                sequence_number: header.header().sequence_number,
                version: header.version(),
            });
        }
        self.bring_missing(&header, &placement, &missing);
    }

    /// Each missing share goes to a server of the window that has the version and fewest of its shares: it takes a
    /// share that it lacks at once, whatever else it was late with.
    fn bring_missing(
        &mut self,
        header: &SignedHeader,
        placement: &Placement,
        missing: &BTreeSet<ShareNumber>,
    ) {
        let mut wanted = Placement::new();
        for &share in missing {
            let load = |store: &StoreId| {
                placement[store].len() + wanted.get(store).map_or(0, BTreeSet::len)
            };
            let in_order = self.order().iter().filter(|store| placement.contains_key(store));
            if let Some(&home) = in_order.min_by_key(|store| load(store)) {
                wanted.entry(home).or_default().insert(share);
            }
        }
        for (server, shares) in wanted {
            let (message, conversation) =
                (self.send(server, Kind::Bring), self.draw_conversation());
            self.actions.push(Action::Bring {
                message,
                server,
                conversation,
                header: header.clone(),
                certificate: None,
                // Whoever gets more shares of it has linked it already.
                ancestors: Vec::new(),
                shares,
                sources: placement.clone(),
            });
        }
    }

    pub(super) fn send_bring(&mut self, bring: &Bring, sending: Placement) {
        for (server, shares) in sending {
            let (message, conversation) =
                (self.send(server, Kind::Bring), self.draw_conversation());
            self.actions.push(Action::Bring {
                message,
                server,
                conversation,
                header: bring.header().clone(),
                certificate: bring.certificate(),
                ancestors: bring.ancestors().to_vec(),
                shares,
                sources: bring.sources().clone(),
            });
        }
    }

    pub(super) fn brought(&mut self, server: StoreId) {
        if let Phase::Bringing { bring, .. } = &mut self.phase {
            bring.arrived(server);
        }
    }

    pub(super) fn bring_failed(&mut self, server: StoreId, failure: Failure) {
        if let Phase::Bringing { bring, .. } = &mut self.phase {
            bring.failed(server);
            if let (Some(landed), false) =
                (&mut self.landed, matches!(failure, Failure::Refused(_)))
            {
                landed.unknown.insert(server);
            }
        }
        self.trouble(server, During::Bring, failure);
    }
}
