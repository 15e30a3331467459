//! What only tests may do to a world: make it break a promise by hand.

use std::collections::BTreeSet;
use std::sync::Arc;

use tarn_proto::{SequenceNumber, ShareNumber, VersionId};
use tarn_server::manifest::Manifest;

use crate::event::Task;
use crate::ids::{ClientId, EnvelopeId, ServerId};
use crate::made::Made;

use super::{Client, Fact, Server, Told, World, WriteMark};

impl World {
    /// A version is signed.
    pub(crate) fn invent(&mut self, made: Made) -> VersionId {
        let version = made.version();
        Arc::make_mut(&mut self.made).insert(version, Arc::new(made));
        version
    }

    /// A task begins of which no machine knows.
    pub(crate) fn pretend_task(&mut self, client: ClientId, task: &Task) {
        let oracle = Arc::make_mut(&mut self.oracle);
        oracle.count_event();
        oracle.task_began(client, task);
    }

    /// A caller is told something.
    pub(crate) fn pretend_told(&mut self, client: ClientId, told: Told) {
        let oracle = Arc::make_mut(&mut self.oracle);
        oracle.count_event();
        oracle.task_told(client, told);
    }

    /// A server acknowledges shares.
    pub(crate) fn pretend_acknowledged(
        &mut self,
        server: ServerId,
        version: VersionId,
        shares: &BTreeSet<ShareNumber>,
    ) {
        Arc::make_mut(&mut self.oracle).acknowledge(server, version, shares);
    }

    /// A server had remembered, durably, to have sealed this number.
    pub(crate) fn pretend_sealed(&mut self, server: ServerId, sealed: SequenceNumber) {
        let disk = Manifest { sealed: Some(sealed), ..Manifest::default() };
        Arc::make_mut(&mut self.oracle).note_floor(server, &disk);
    }

    /// A client has sent one more write.
    pub(crate) fn pretend_write(&mut self, client: ClientId, mark: WriteMark) {
        let client = self.client_mut(client);
        let number = client.draw_number();
        client.writes.insert(number, mark);
    }

    /// A client has begun to read its content so often.
    pub(crate) fn pretend_passes(&mut self, client: ClientId, passes: u32) {
        self.client_mut(client).passes_begun = passes;
    }

    /// A read asked for blocks of so many segments beyond what its caller took.
    pub(crate) fn pretend_furthest(&mut self, client: ClientId, ahead: u32) {
        self.client_mut(client).reading.furthest = ahead;
    }

    /// A read handed over a segment that nobody verified.
    pub(crate) fn pretend_short(&mut self, client: ClientId) {
        self.client_mut(client).reading.short = true;
    }

    /// Something on its way vanishes without a trace.
    pub(crate) fn vanish(&mut self, wanted: impl Fn(EnvelopeId) -> bool) {
        self.in_flight.retain(|id, _| !wanted(*id));
    }

    /// A server, to be changed behind its back.
    pub(crate) fn server_mut(&mut self, id: ServerId) -> &mut Server {
        Arc::make_mut(self.servers.get_mut(&id).expect("a server of this world"))
    }

    /// What came of the last event.
    pub(crate) fn set_facts(&mut self, facts: &[Fact]) {
        self.facts = facts.to_vec();
    }

    fn client_mut(&mut self, id: ClientId) -> &mut Client {
        Arc::make_mut(self.clients.get_mut(&id).expect("a client of this world"))
    }
}
