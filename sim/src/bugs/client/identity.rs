//! Bugs in what a writer takes for its own: its versions, its attempt, its signed header, its conversation.

use std::collections::{BTreeMap, BTreeSet};

use tarn_client::publish::action::{Action, Draft, MessageId};
use tarn_client::publish::event::Event;
use tarn_client::publish::{Publish, Request};
use tarn_proto::{AttemptId, ConversationId, Header, Origin, VersionId};

use super::lens::Mistake;
use crate::ids::ClientId;
use crate::plant::Plant;
use crate::world::{Request as Asked, Server, World};

/// A version that bears our attempt id is taken for somebody else's.
#[derive(Debug, Clone)]
pub(super) struct OwnIsForeign;

impl Mistake for OwnIsForeign {
    fn takes(&self, world: &World, client: ClientId, header: &Header) -> Header {
        let mut taken = header.clone();
        if world.client(client).and_then(|client| client.attempt()) == Some(header.attempt) {
            taken.attempt = AttemptId::new([0xee; 16]);
        }
        taken
    }
}

/// A second round commits the header of the first again, in place of a new version. Shows nothing where one submission
/// has two tries at a time: what this one believes to have made may then be the very version of the other.
#[derive(Debug, Clone, Default)]
pub(super) struct HeaderAgain {
    drafted: BTreeMap<ClientId, Draft>,
    committed: BTreeMap<ClientId, Draft>,
}

impl Mistake for HeaderAgain {
    fn drafts(&mut self, client: ClientId, draft: &mut Draft) {
        if let Some(before) = self.committed.get(&client)
            && before.predecessor == draft.predecessor
        {
            *draft = before.clone();
        }
        self.drafted.insert(client, draft.clone());
    }

    fn commits(&mut self, client: ClientId) {
        if let Some(draft) = self.drafted.get(&client) {
            self.committed.insert(client, draft.clone());
        }
    }
}

/// Whoever tries again does so under an attempt id of its own.
#[derive(Debug, Clone)]
pub(super) struct NewAttempt;

impl Plant for NewAttempt {
    fn begins(&mut self, world: &World, client: ClientId, request: &mut Request) {
        if world.oracle().tries(request.attempt).next().is_some() {
            // The submission can still be told from its first two bytes.
            let mut again = *request.attempt.as_bytes();
            again[14..].copy_from_slice(&client.0.to_be_bytes());
            request.attempt = AttemptId::new(again);
        }
    }
}

/// What a version was built on does not go along with it.
#[derive(Debug, Clone)]
pub(super) struct LinksLeftOut;

impl Plant for LinksLeftOut {
    fn serves(&mut self, _: u64, _: &mut Server, request: &mut Asked) -> bool {
        if let Asked::Seal { ancestors, .. } | Asked::Bring { ancestors, .. } = request {
            ancestors.clear();
        }
        true
    }
}

/// Who maps once more for missing links asks for no more history than before.
#[derive(Debug, Clone)]
pub(super) struct LinksNotAsked;

impl Plant for LinksNotAsked {
    fn does(&mut self, _: &World, _: ClientId, mut actions: Vec<Action>) -> Vec<Action> {
        for action in &mut actions {
            if let Action::Query { since, .. } = action {
                *since = None;
            }
        }
        actions
    }
}

/// Whether a commit whose answer was lost was accepted is told by whether the version is there, not by whether our
/// conversation brought it there.
#[derive(Debug, Clone, Default)]
pub(super) struct SettledByVersion {
    committed: BTreeMap<ClientId, VersionId>,
    asked: BTreeMap<(ClientId, MessageId), ConversationId>,
}

impl Plant for SettledByVersion {
    fn hears(
        &mut self,
        _: &World,
        client: ClientId,
        _: &mut Publish,
        mut event: Event,
    ) -> Vec<Event> {
        if let Event::Mapped { message, state } = &mut event
            && let Some(&conversation) = self.asked.get(&(client, *message))
        {
            let ours = self.committed.get(&client);
            for held in &mut state.generations {
                if ours == Some(&held.header.version()) {
                    held.origin = Origin::Committed(conversation);
                }
            }
        }
        vec![event]
    }

    fn does(&mut self, _: &World, client: ClientId, actions: Vec<Action>) -> Vec<Action> {
        for action in &actions {
            if let Action::Commit { header, .. } = action {
                self.committed.insert(client, header.version());
            }
            if let Action::Query { message, conversation: Some(conversation), .. } = action {
                self.asked.insert((client, *message), *conversation);
            }
        }
        actions
    }
}

/// The messages of each client that a bug keeps an eye on.
pub(super) type Messages = BTreeSet<(ClientId, MessageId)>;
