//! Writers come and go, and what happens that nobody asked for.

use std::collections::{BTreeMap, BTreeSet};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tarn_client::base::Origin;
use tarn_client::publish::event::Event;
use tarn_client::publish::{Follows, Input, Learnt, Publish, Request, Roster};
use tarn_client::servermap::Patience;
use tarn_client::time::Millis;
use tarn_proto::{AttemptId, Shape, StoreId};

use crate::messages::Message;
use crate::servers::slot;
use crate::{LENGTH, PROMISE, World, Writer};

impl World {
    /// A new submission, or another try of one that was cut off.
    pub(crate) fn add_writer(&mut self, attempt: Option<AttemptId>) {
        let id = self.writers.len();
        let is_new = attempt.is_none();
        let attempt =
            attempt.unwrap_or_else(|| AttemptId::new([u8::try_from(id).unwrap() + 1; 16]));
        let n = u32::try_from(self.servers.len()).unwrap();
        let k = self.rng.random_range(1..=n);
        let happy = self.rng.random_range(1..=n);
        let shape = Shape::new(k, happy, n).unwrap();
        let follows = match (self.published.last(), self.rng.random_range(0..4)) {
            (Some(&version), 0) => Follows::Version(version),
            _ => Follows::Whatever,
        };
        // Some change a part of the version that they name, some can read their content only once.
        let input = match follows {
            Follows::Version(of) if id.is_multiple_of(2) => Input::Part { of, length: LENGTH },
            _ if is_new && id % 4 == 3 => Input::Once,
            Follows::Version(_) | Follows::Whatever | Follows::Nothing => {
                Input::Whole { length: LENGTH }
            }
        };
        let learnt = if id.is_multiple_of(2) { Learnt::Asked } else { Learnt::Remembered };
        let request = Request {
            storage_index: self.storage_index(),
            attempt,
            origin: Origin::Creator(self.window.clone()),
            follows,
            shape: Some(shape),
            first_shape: shape,
            high_water: None,
            spent: None,
            suspects: BTreeSet::new(),
            left: None,
            // What is known now may be long out of date when it begins.
            map: (id % 3 == 2).then(|| learnt(self.map(attempt))),
            input,
            tombstone: false,
        };
        let roster = Roster(self.servers.keys().copied().collect());
        let rng = ChaCha8Rng::seed_from_u64(self.seed * 1000 + id as u64);
        let machine = Publish::new(
            request,
            roster,
            Patience { floor: Millis(500), ..Patience::default() },
            rng,
        );
        let writer = Writer {
            machine,
            attempt,
            lanes: BTreeMap::new(),
            ended: false,
            killed: false,
            began: self.now,
        };
        self.writers.insert(id, writer);
        self.in_flight.push(Message::To(id, Event::Started));
    }

    /// Something happens that nobody asked for.
    pub(crate) fn disturb(&mut self) {
        match self.rng.random_range(0..400) {
            0..8 if self.losses > 0 => {
                self.now += PROMISE;
                self.log.push("promises lapse".to_owned());
            }
            8..11 if self.losses > 0 => {
                let store = self.any_store();
                let si = self.storage_index();
                let server = self.servers.get_mut(&store).unwrap();
                server.slot = slot(store, si, server.slot.manifest().clone());
                self.log.push(format!("{store:?} restarts"));
            }
            11..14 if self.losses > 0 => {
                // A writer is killed; its submission may be tried again.
                let running: Vec<usize> =
                    self.writers.iter().filter(|(_, w)| !w.ended).map(|(&id, _)| id).collect();
                if let Some(&id) = running.first() {
                    self.log.push(format!("writer {id} is killed"));
                    let writer = self.writers.get_mut(&id).unwrap();
                    (writer.ended, writer.killed) = (true, true);
                    let attempt = writer.attempt;
                    let lanes: Vec<_> =
                        writer.lanes.iter().map(|(c, (store, ..))| (*store, *c)).collect();
                    self.in_flight
                        .retain(|message| !matches!(message, Message::To(to, _) if *to == id));
                    for (store, conversation) in lanes {
                        self.in_flight.push(Message::End(store, conversation));
                    }
                    if self.rng.random_bool(0.5) {
                        self.add_writer(Some(attempt));
                    }
                }
            }
            14..18 if self.writers.len() < 9 => self.add_writer(None),
            _ => {}
        }
    }

    fn any_store(&mut self) -> StoreId {
        let index = self.rng.random_range(0..self.servers.len());
        *self.servers.keys().nth(index).unwrap()
    }
}
