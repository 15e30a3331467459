//! The servers' side of a world: a request arrives, waits for the slot's lock, is handled, made durable and answered. What
//! a server does about it is its own.

use std::sync::Arc;

use tarn_proto::Refusal;

use crate::ids::{EnvelopeId, Leg, ServerId};

use super::server::{Handled, Pending, Stage};
use super::{Body, Envelope, Fact, Reply, Request, RequestKind, Said, World};

impl World {
    /// A request reached its server.
    pub(super) fn arrive(&mut self, id: ServerId, envelope: EnvelopeId, request: Arc<Request>) {
        let Some(server) = self.servers.get_mut(&id).map(Arc::make_mut) else { return };
        if server.is_up() && server.is_locked() {
            self.served(id, envelope, &request, Said::Waiting);
            self.planted(|plant, world| {
                if let Some(server) = world.servers.get_mut(&id) {
                    plant.waits(Arc::make_mut(server), &request);
                }
            });
            if let Some(server) = self.servers.get_mut(&id) {
                Arc::make_mut(server).wait(envelope, request);
            }
            return;
        }
        self.serve(id, envelope, request, Stage::Arrived);
    }

    fn serve(
        &mut self,
        id: ServerId,
        envelope: EnvelopeId,
        mut request: Arc<Request>,
        mut stage: Stage,
    ) {
        let now = self.now;
        if stage == Stage::Arrived {
            let taken = self.planted(|plant, world| {
                let server = world.servers.get_mut(&id).map(Arc::make_mut)?;
                Some(plant.serves(now, server, Arc::make_mut(&mut request)))
            });
            if taken.flatten() == Some(false) {
                return self.served(id, envelope, &request, Said::Ended);
            }
        }
        loop {
            let planted = self.planted(|plant, world| {
                let server = world.servers.get_mut(&id).map(Arc::make_mut)?;
                plant.handles(now, server, &request, &stage)
            });
            let Some(server) = self.servers.get_mut(&id).map(Arc::make_mut) else { return };
            let handled = planted.flatten();
            match handled.unwrap_or_else(|| server.handle(now, &request, &stage)) {
                Handled::Say(reply) => return self.say(id, envelope, &request, *reply),
                Handled::Silent => return self.served(id, envelope, &request, Said::Ended),
                Handled::Write { mut manifest, then } => {
                    let old = server.disk().clone();
                    self.planted(|plant, _| plant.changes(id, &old, &mut manifest));
                    let early =
                        self.plant.as_ref().is_some_and(|plant| plant.acknowledges_before_sync());
                    let Some(server) = self.servers.get_mut(&id).map(Arc::make_mut) else { return };
                    if self.setup.instant_disk {
                        server.became(*manifest);
                        self.durable(id);
                    } else if early {
                        server.pretend(*manifest);
                        self.fact(Fact::Writing { server: id });
                    } else {
                        server.lock(Pending { manifest: *manifest, envelope, request, then });
                        return self.fact(Fact::Writing { server: id });
                    }
                    stage = then;
                }
            }
        }
    }

    /// A server says something, or something else if it lies.
    fn say(&mut self, id: ServerId, envelope: EnvelopeId, request: &Arc<Request>, reply: Reply) {
        let now = self.now;
        let Some(server) = self.servers.get(&id) else { return };
        let lying = server.manner().is_lying();
        let mut reply = server.lie(reply);
        self.planted(|plant, world| {
            if let Some(server) = world.servers.get_mut(&id) {
                plant.says(now, Arc::make_mut(server), request, &mut reply);
            }
        });
        if let (Reply::Written, false) = (&reply, lying) {
            self.acknowledge(id, envelope, request);
        }
        self.served(id, envelope, request, Said::from(&reply));
        self.reply(envelope, id, Arc::clone(request), reply);
    }

    /// The oracle keeps what was acknowledged.
    fn acknowledge(&mut self, id: ServerId, envelope: EnvelopeId, request: &Request) {
        let oracle = Arc::make_mut(&mut self.oracle);
        match request {
            Request::Bring { made, shares, .. } => oracle.acknowledge(id, made.version(), shares),
            Request::Commit { conversation, header } => {
                let lane = self
                    .clients
                    .get(&envelope.client)
                    .and_then(|client| client.lanes.get(conversation));
                if let Some(lane) = lane {
                    oracle.acknowledge(id, header.version(), &lane.shares);
                }
            }
            Request::Query { .. }
            | Request::Seal { .. }
            | Request::Extend { .. }
            | Request::Finalize { .. }
            | Request::End { .. }
            | Request::ReadRows { .. }
            | Request::ReadBlocks { .. } => {}
        }
    }

    fn served(&mut self, server: ServerId, envelope: EnvelopeId, request: &Request, said: Said) {
        self.fact(Fact::Served { server, envelope, kind: request.kind(), said });
    }

    fn durable(&mut self, id: ServerId) {
        if let Some(server) = self.servers.get(&id)
            && !server.is_destroyed()
        {
            Arc::make_mut(&mut self.oracle).note_floor(id, server.disk());
        }
        self.fact(Fact::Durable { server: id });
    }

    /// Puts an answer on its way. Nobody waits for an answer to the end of a stream.
    pub(super) fn reply(
        &mut self,
        id: EnvelopeId,
        server: ServerId,
        request: Arc<Request>,
        reply: Reply,
    ) {
        if request.kind() == RequestKind::End {
            return;
        }
        let body = Body::Answer { server, request, reply: Box::new(reply) };
        self.put(Envelope { id: id.on(Leg::Answer), sent: self.now, due: None, body });
    }

    pub(super) fn sync(&mut self, id: ServerId) -> bool {
        let Some(server) = self.servers.get_mut(&id).map(Arc::make_mut) else { return false };
        if !server.is_up() || !server.is_writing() {
            return false;
        }
        let pending = server.synced();
        if let Some(Pending { manifest, envelope, request, then }) = pending {
            server.became(manifest);
            self.durable(id);
            self.serve(id, envelope, request, then);
        } else {
            self.durable(id);
        }
        self.serve_waiting(id);
        true
    }

    pub(super) fn fail_disk(&mut self, id: ServerId, kept: bool) -> bool {
        let Some(server) = self.servers.get_mut(&id).map(Arc::make_mut) else { return false };
        if !server.is_up() {
            return false;
        }
        let Some(pending) = server.sync_failed(kept) else { return false };
        let state = server.state(self.now);
        self.durable(id);
        let reply = Reply::Refused { refusal: Refusal::StoreFailed, state };
        self.say(id, pending.envelope, &pending.request, reply);
        self.serve_waiting(id);
        true
    }

    fn serve_waiting(&mut self, id: ServerId) {
        while let Some((envelope, request)) =
            self.servers.get_mut(&id).and_then(|server| Arc::make_mut(server).next_waiting())
        {
            self.serve(id, envelope, request, Stage::Arrived);
        }
    }
}
