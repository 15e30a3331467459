//! What a world's machines ask for, put on its way: conversations are opened and ended, requests sent, timers set. All of it
//! is outstanding before it goes.

use std::collections::BTreeSet;
use std::sync::Arc;

use tarn_client::publish::action::{Draft, MessageId, PrepareLane};
use tarn_client::quorum::{Placement, distinct_shares};
use tarn_proto::{
    AttemptId, Certificate, ConversationId, SequenceNumber, ShareNumber, SignedHeader, StoreId,
};

use crate::ids::{ClientId, EnvelopeId, Leg, ServerId};

use super::client::{LaneCopy, Pass};
use super::{Body, Client, Envelope, Local, Reply, Request, World, WriteMark};

/// What a publish or a read asks to be brought.
pub(super) struct Brought {
    pub(super) header: SignedHeader,
    pub(super) certificate: Option<Certificate>,
    pub(super) ancestors: Vec<SignedHeader>,
    pub(super) shares: BTreeSet<ShareNumber>,
    pub(super) sources: Placement,
}
impl World {
    pub(super) fn prepare(
        &mut self,
        id: ClientId,
        draft: Draft,
        finalize: Option<Certificate>,
        ancestors: &[SignedHeader],
        lanes: Vec<PrepareLane>,
    ) {
        let version = (draft.sequence_number, draft.predecessor, draft.attempt);
        let Some(client) = self.clients.get_mut(&id).map(Arc::make_mut) else { return };
        let mut conversations = Vec::new();
        for lane in lanes {
            let number = client.draw_number();
            let server = ServerId::of(lane.server);
            conversations.push(lane.conversation);
            let mark = WriteMark {
                server,
                shares: lane.shares.clone(),
                version,
                conversation: Some(lane.conversation),
            };
            client.writes.insert(number, mark);
            client.messages.insert(number, lane.message);
            let copy = LaneCopy {
                server,
                shares: lane.shares,
                tests: lane.tests,
                base: lane.base,
                message: lane.message,
                number,
                made: None,
                finalize,
                ancestors: ancestors.to_vec(),
            };
            client.lanes.insert(lane.conversation, copy);
        }
        let pass = client.next_number;
        client.passes_begun += 1;
        client.passes.insert(pass, Pass { draft, conversations, edited: false });
        self.send_local(id, None, Local::Encoded { pass });
    }

    /// What a server is to be brought is regenerated from others first.
    pub(super) fn bring(
        &mut self,
        id: ClientId,
        message: MessageId,
        server: StoreId,
        brought: Brought,
    ) {
        let Brought { header, certificate, ancestors, shares, sources } = brought;
        let Some(made) = self.made.get(&header.version()).cloned() else {
            return self.fail(id, message, "nobody ever made that version");
        };
        let readable: Placement = sources
            .iter()
            .filter_map(|(&store, shares)| {
                let server = self.servers.get(&ServerId::of(store)).filter(|s| s.is_up())?;
                let whole = |share: &ShareNumber| server.has_whole(header.version(), *share);
                Some((store, shares.iter().copied().filter(whole).collect()))
            })
            .collect();
        let header = header.header();
        let need = if header.geometry.length() == 0 { 0 } else { header.shape.k() };
        if distinct_shares(&readable) < usize::from(need) {
            return self.fail(id, message, "too few shares can be read");
        }
        let bring = Request::Bring { made, shares, certificate, ancestors };
        self.ask(id, Some(message), server, bring);
    }

    pub(super) fn release(&mut self, id: ClientId, server: StoreId, conversation: ConversationId) {
        self.with_client(id, |client| {
            client.lanes.remove(&conversation);
            client.writes.retain(|_, mark| mark.conversation != Some(conversation));
        });
        self.send_request(id, ServerId::of(server), Request::End { conversation });
    }

    /// Sends a request that is answered to the machine.
    pub(super) fn ask(
        &mut self,
        id: ClientId,
        message: Option<MessageId>,
        to: StoreId,
        request: Request,
    ) {
        let server = ServerId::of(to);
        let Some(client) = self.clients.get_mut(&id).map(Arc::make_mut) else { return };
        let mark = mark_of(client, server, &request);
        let number = client.draw_number();
        if let Some(mark) = mark {
            client.writes.insert(number, mark);
        }
        if let Some(message) = message {
            client.messages.insert(number, message);
        }
        let envelope = EnvelopeId { client: id, number, leg: Leg::Request, copy: 0 };
        self.put_request(envelope, server, request);
    }

    /// Sends a request that nobody waits for.
    pub(super) fn send_request(&mut self, id: ClientId, server: ServerId, request: Request) {
        let Some(client) = self.clients.get_mut(&id).map(Arc::make_mut) else { return };
        let number = client.draw_number();
        let envelope = EnvelopeId { client: id, number, leg: Leg::Request, copy: 0 };
        self.put_request(envelope, server, request);
    }

    pub(super) fn put_request(&mut self, id: EnvelopeId, server: ServerId, request: Request) {
        let body = Body::Request { server, request: Arc::new(request) };
        self.put(Envelope { id, sent: self.now, due: None, body });
    }

    pub(super) fn send_local(&mut self, id: ClientId, due: Option<u64>, local: Local) {
        let Some(client) = self.clients.get_mut(&id).map(Arc::make_mut) else { return };
        let number = client.draw_number();
        let id = EnvelopeId { client: id, number, leg: Leg::Local, copy: 0 };
        self.put(Envelope { id, sent: self.now, due, body: Body::Local(local) });
    }

    /// A message that cannot even be sent: its failure is on its way, like any answer.
    pub(super) fn fail(&mut self, id: ClientId, message: MessageId, why: &str) {
        let Some(client) = self.clients.get_mut(&id).map(Arc::make_mut) else { return };
        let number = client.draw_number();
        client.messages.insert(number, message);
        let envelope = EnvelopeId { client: id, number, leg: Leg::Answer, copy: 0 };
        let body = Body::Answer {
            server: ServerId(0),
            request: Arc::new(Request::Query { history: None, conversation: None }),
            reply: Box::new(Reply::Dead(why.to_owned())),
        };
        self.put(Envelope { id: envelope, sent: self.now, due: None, body });
    }
}

/// What P1 counts of a request.
fn mark_of(client: &Client, server: ServerId, request: &Request) -> Option<WriteMark> {
    let of = |header: &SignedHeader| {
        let header = header.header();
        (header.sequence_number, header.predecessor, header.attempt)
    };
    let mark = |shares: &BTreeSet<ShareNumber>, version: (SequenceNumber, _, AttemptId)| {
        WriteMark { server, shares: shares.clone(), version, conversation: request.conversation() }
    };
    match request {
        Request::Seal { shares, made, .. } | Request::Bring { shares, made, .. } => {
            Some(mark(shares, of(&made.header)))
        }
        // The shares are those of its Seal, which was answered.
        Request::Commit { header, conversation } => {
            let lane = client.lanes.get(conversation);
            Some(mark(lane.map_or(&BTreeSet::new(), |lane| &lane.shares), of(header)))
        }
        Request::Query { .. }
        | Request::Extend { .. }
        | Request::Finalize { .. }
        | Request::End { .. }
        | Request::ReadRows { .. }
        | Request::ReadBlocks { .. } => None,
    }
}
