//! Tahoe-LAFS #877 made again: a send that fails at once re-enters the loop while the pass that made it is still
//! sending. What that pass has not reached yet is on no record, so the inner pass sends it, and then the outer one
//! does.

use std::collections::{BTreeMap, BTreeSet};

use tarn_client::publish::Publish;
use tarn_client::publish::action::{Action, Draft, MessageId, PrepareLane};
use tarn_client::publish::event::Event;
use tarn_client::publish::outcome::Outcome;
use tarn_proto::{ConversationId, Refusal};

use super::identity::Messages;
use crate::ids::ClientId;
use crate::plant::Plant;
use crate::world::World;

/// See the module's documentation.
#[derive(Debug, Clone, Default)]
pub(super) struct InlineReentry {
    /// The last pass of each client, and at which event it was sent.
    passes: BTreeMap<ClientId, Pass>,
    /// What the inner pass sends.
    inner: BTreeMap<ClientId, Vec<Action>>,
    /// Messages of which there are two.
    doubled: Messages,
    copies: BTreeMap<(ClientId, MessageId), Action>,
    /// Clients of which one copy failed its test against the other: to them it looks like a foreign write.
    surprised: BTreeSet<ClientId>,
}

#[derive(Debug, Clone)]
struct Pass {
    sent: u64,
    draft: Draft,
    lanes: Vec<PrepareLane>,
}

/// Copies are numbered far from the machine's own messages.
const COPIES: u32 = 1 << 30;

fn copy_of(lane: &PrepareLane) -> PrepareLane {
    let mut bytes = *lane.conversation.as_bytes();
    bytes[0] ^= 0xff;
    let message = MessageId(COPIES + lane.message.0);
    PrepareLane { message, conversation: ConversationId::new(bytes), ..lane.clone() }
}

impl InlineReentry {
    /// A send failed within its own pass: the servers behind it are not on record, and are sent their shares.
    fn reenter(&mut self, world: &World, client: ClientId, failed: MessageId) {
        let Some(pass) = self.passes.get(&client) else { return };
        if pass.sent != world.oracle().events() {
            return;
        }
        let behind = pass.lanes.iter().skip_while(|lane| lane.message != failed).skip(1);
        let mut lanes = Vec::new();
        for lane in behind {
            let copy = copy_of(lane);
            let (server, conversation) = (copy.server, copy.conversation);
            self.doubled.extend([(client, lane.message), (client, copy.message)]);
            self.copies.insert((client, copy.message), Action::Release { server, conversation });
            lanes.push(copy);
        }
        if !lanes.is_empty() {
            let prepare = Action::Prepare {
                draft: pass.draft.clone(),
                finalize: None,
                ancestors: Vec::new(),
                lanes,
            };
            self.inner.entry(client).or_default().push(prepare);
        }
    }
}

impl Plant for InlineReentry {
    fn reenters(&self) -> bool {
        true
    }

    fn hears(
        &mut self,
        world: &World,
        client: ClientId,
        _: &mut Publish,
        event: Event,
    ) -> Vec<Event> {
        match &event {
            Event::Failed { message, .. } => self.reenter(world, client, *message),
            Event::Refused { message, refusal, .. }
                if matches!(refusal, Refusal::Conflict | Refusal::Busy { .. })
                    && self.doubled.contains(&(client, *message)) =>
            {
                self.surprised.insert(client);
            }
            // The copy came first: it is let go, as the machine knows of the other only.
            Event::Sealed { message, .. } => {
                let release = self.copies.get(&(client, *message)).cloned();
                self.inner.entry(client).or_default().extend(release);
            }
            Event::Refused { .. }
            | Event::Started
            | Event::Mapped { .. }
            | Event::Encoded { .. }
            | Event::Progressed { .. }
            | Event::Stalled { .. }
            | Event::Extended { .. }
            | Event::LeftToNext { .. }
            | Event::Journaled
            | Event::JournalFailed { .. }
            | Event::Written { .. }
            | Event::SourceFailed(_)
            | Event::TimedOut { .. }
            | Event::CancelRequested => {}
        }
        vec![event]
    }

    fn does(&mut self, world: &World, client: ClientId, actions: Vec<Action>) -> Vec<Action> {
        let mut done = self.inner.remove(&client).unwrap_or_default();
        for mut action in actions {
            match &mut action {
                Action::Prepare { draft, lanes, .. } => {
                    let (draft, lanes) = (draft.clone(), lanes.clone());
                    let sent = world.oracle().events();
                    self.passes.insert(client, Pass { sent, draft, lanes });
                }
                // As Tahoe ended: an uncoordinated write if anything was a surprise, else success.
                Action::Finish(report) if self.surprised.contains(&client) => {
                    if let Outcome::Published(published) = &report.outcome {
                        let theirs = published.header.clone();
                        report.outcome = Outcome::UncoordinatedWrite { theirs };
                    }
                }
                Action::Query { .. }
                | Action::Retest { .. }
                | Action::Extend { .. }
                | Action::Release { .. }
                | Action::Journal { .. }
                | Action::Commit { .. }
                | Action::Bring { .. }
                | Action::Finalize { .. }
                | Action::WaitUntil { .. }
                | Action::Finish(_) => {}
            }
            done.push(action);
        }
        done
    }
}
