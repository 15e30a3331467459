//! Bugs in what still happens after the decision, when it should be carried out and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use tarn_client::publish::Publish;
use tarn_client::publish::action::{Action, Draft, MessageId, PrepareLane};
use tarn_client::publish::event::Event;
use tarn_proto::{ConversationId, SignedHeader, StoreId};

use crate::ids::ClientId;
use crate::plant::Plant;
use crate::world::World;

/// Extra messages are numbered far from the machine's own.
const EXTRA: u32 = 1 << 30;

/// Commits that the machine knows nothing of.
#[derive(Debug, Clone, Default)]
struct Extra {
    /// What is to be committed once it is sealed, by the message that seals it.
    sealing: BTreeMap<(ClientId, MessageId), (StoreId, ConversationId)>,
    headers: BTreeMap<ClientId, SignedHeader>,
    sealed: BTreeMap<ClientId, Vec<Action>>,
}

impl Extra {
    fn hears(&mut self, client: ClientId, event: &Event) {
        if let Event::Sealed { message, .. } = event
            && let Some((server, conversation)) = self.sealing.remove(&(client, *message))
            && let Some(header) = self.headers.get(&client).cloned()
        {
            let message = MessageId(2 * EXTRA + message.0 % EXTRA);
            let commit = Action::Commit { message, server, conversation, header };
            self.sealed.entry(client).or_default().push(commit);
        }
    }

    fn does(&mut self, client: ClientId, actions: &mut Vec<Action>) {
        actions.extend(self.sealed.remove(&client).unwrap_or_default());
    }

    fn note_header(&mut self, client: ClientId, actions: &[Action]) -> bool {
        let mut commits = false;
        for action in actions {
            if let Action::Commit { header, .. } = action {
                self.headers.insert(client, header.clone());
                commits = true;
            }
        }
        commits
    }
}

/// The stream of a server that is let go at the decision stays open, and what it seals then is committed.
#[derive(Debug, Clone, Default)]
pub(super) struct LateSealedCommitted {
    lanes: BTreeMap<(ClientId, ConversationId), (MessageId, StoreId)>,
    extra: Extra,
}

impl Plant for LateSealedCommitted {
    fn hears(&mut self, _: &World, client: ClientId, _: &mut Publish, event: Event) -> Vec<Event> {
        self.extra.hears(client, &event);
        vec![event]
    }

    fn does(&mut self, _: &World, client: ClientId, mut actions: Vec<Action>) -> Vec<Action> {
        for action in &actions {
            if let Action::Prepare { lanes, .. } = action {
                for lane in lanes {
                    let sent = (lane.message, lane.server);
                    self.lanes.insert((client, lane.conversation), sent);
                }
            }
            if let Action::Retest { message, server, conversation, .. } = action {
                self.lanes.insert((client, *conversation), (*message, *server));
            }
        }
        let decides = actions.iter().any(|action| matches!(action, Action::Journal { .. }));
        if decides {
            actions.retain(|action| {
                let Action::Release { conversation, .. } = action else { return true };
                let Some(&(message, server)) = self.lanes.get(&(client, *conversation)) else {
                    return true;
                };
                self.extra.sealing.insert((client, message), (server, *conversation));
                false
            });
        }
        self.extra.note_header(client, &actions);
        self.extra.does(client, &mut actions);
        actions
    }
}

/// A server that fell out before the decision is prepared again after it, and committed.
#[derive(Debug, Clone, Default)]
pub(super) struct PreparedAgain {
    drafts: BTreeMap<ClientId, (Draft, Vec<PrepareLane>)>,
    extra: Extra,
}

impl Plant for PreparedAgain {
    fn hears(&mut self, _: &World, client: ClientId, _: &mut Publish, event: Event) -> Vec<Event> {
        self.extra.hears(client, &event);
        vec![event]
    }

    fn does(&mut self, _: &World, client: ClientId, mut actions: Vec<Action>) -> Vec<Action> {
        for action in &actions {
            if let Action::Prepare { draft, lanes, .. } = action {
                self.drafts.insert(client, (draft.clone(), lanes.clone()));
            }
        }
        let committing: BTreeSet<StoreId> = actions
            .iter()
            .filter_map(|action| match action {
                Action::Commit { server, .. } => Some(*server),
                Action::Query { .. }
                | Action::Prepare { .. }
                | Action::Retest { .. }
                | Action::Extend { .. }
                | Action::Release { .. }
                | Action::Journal { .. }
                | Action::Bring { .. }
                | Action::Finalize { .. }
                | Action::WaitUntil { .. }
                | Action::Finish(_) => None,
            })
            .collect();
        if self.extra.note_header(client, &actions)
            && let Some((draft, lanes)) = self.drafts.remove(&client)
        {
            let mut again = Vec::new();
            for lane in lanes.into_iter().filter(|lane| !committing.contains(&lane.server)) {
                let mut bytes = *lane.conversation.as_bytes();
                bytes[0] ^= 0xff;
                let conversation = ConversationId::new(bytes);
                let message = MessageId(EXTRA + lane.message.0);
                self.extra.sealing.insert((client, message), (lane.server, conversation));
                again.push(PrepareLane { message, conversation, ..lane });
            }
            if !again.is_empty() {
                let (finalize, ancestors) = (None, Vec::new());
                actions.push(Action::Prepare { draft, finalize, ancestors, lanes: again });
            }
        }
        self.extra.does(client, &mut actions);
        actions
    }
}
