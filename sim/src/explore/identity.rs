//! Which worlds are one state: those that can only go on alike. A world is written down without what no longer
//! decides anything, and hashed.
//!
//! Left out: the numbers of messages; moments, but for how far they are away to the nearest quarter of the clients'
//! shortest patience (see [`super::calm`] for why that is enough); a machine's troubles, which it only reports; its
//! servermap outside the phases that look at it; a machine whose caller was told, but for its courtesies; requests
//! that nobody waits for and that change nothing; timers that were replaced; the order of what is on its way; of the history
//! of operations, which of several tries of one submission signed a version: only if two signed the same one byte for byte,
//! and one of them lied to its caller of having changed nothing, would that tell two states apart.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use tarn_client::publish::Step;

use super::search::Node;
use crate::ids::{ClientId, ServerId};
use crate::world::{Body, Client, Envelope, Local, Machine, Server, World};

mod text;
mod wire;

pub(super) use wire::tests_digest;
use wire::{Writer, write_manifest, write_reply, write_request};

/// The name of a state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity(pub u128);

impl Identity {
    fn of(bytes: &[u8]) -> Self {
        let hash: [u8; 32] = Sha256::digest(bytes).into();
        let mut half = [0; 16];
        half.copy_from_slice(&hash[..16]);
        Self(u128::from_be_bytes(half))
    }
}

/// What a state's identity is made of; parts that a move did not touch are taken over.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    servers: BTreeMap<ServerId, Identity>,
    clients: BTreeMap<ClientId, Identity>,
}

impl Parts {
    /// The parts of a node, of which `parent` is the state before.
    pub(super) fn of(node: &Node, parent: Option<&Node>) -> Self {
        let world = &node.world;
        let parent = parent.filter(|parent| parent.world.now() == world.now());
        let mut parts = Self::default();
        for server in world.servers() {
            let id = server.id();
            let kept = parent.and_then(|parent| {
                let same = std::ptr::eq(parent.world.server(id)?, server);
                parent.parts.servers.get(&id).copied().filter(|_| same)
            });
            parts.servers.insert(id, kept.unwrap_or_else(|| of_server(world, server)));
        }
        for client in world.clients() {
            let id = client.id();
            let kept = parent.and_then(|parent| {
                let same = std::ptr::eq(parent.world.client(id)?, client);
                parent.parts.clients.get(&id).copied().filter(|_| same)
            });
            parts.clients.insert(id, kept.unwrap_or_else(|| of_client(world, client)));
        }
        parts
    }
}

impl Node {
    /// What tells this state from every other.
    pub(super) fn identity(&self) -> Identity {
        let mut out = Writer(Vec::with_capacity(2048));
        for (id, part) in &self.parts.servers {
            out.byte(id.0).bytes(&part.0.to_be_bytes());
        }
        for (id, part) in &self.parts.clients {
            out.number(id.0.into()).bytes(&part.0.to_be_bytes());
        }
        self.write_in_flight(&mut out);
        self.write_told(&mut out);
        let left = &self.budget.left;
        out.bytes(&[
            left.losses,
            left.duplicates,
            left.delays,
            left.early_timers,
            left.lapses,
            left.restarts,
            left.emptied,
            left.kills,
            left.resumes,
        ]);
        for (client, waits) in &self.budget.waits {
            out.byte(b'w').number(client.0.into()).number((*waits).into());
        }
        for client in &self.budget.resumed {
            out.byte(b'r').number(client.0.into());
        }
        for ((server, stream), tests) in self.budget.sealed.iter() {
            out.byte(server.0).bytes(stream.as_bytes()).bytes(&tests.0.to_be_bytes());
        }
        if let Some(plant) = self.world.plant() {
            // Writing to a vector cannot fail.
            let _ = write!(out, "{plant:?}");
        }
        Identity::of(&out.0)
    }

    /// What is on its way, in an order of its own.
    fn write_in_flight(&self, out: &mut Writer) {
        let mut all: Vec<Vec<u8>> = Vec::new();
        for envelope in self.world.in_flight() {
            let mut one = Writer(Vec::with_capacity(96));
            if self.write_envelope(envelope, &mut one) {
                all.push(one.0);
            }
        }
        all.sort_unstable();
        for one in all {
            out.number(one.len() as u64).bytes(&one);
        }
    }

    /// False when the envelope makes no difference any more.
    fn write_envelope(&self, envelope: &Envelope, out: &mut Writer) -> bool {
        let id = envelope.id;
        let Some(client) = self.world.client(id.client) else { return false };
        let message = client.message(id.number).map(|message| message.0);
        out.number(id.client.0.into());
        match &envelope.body {
            Body::Request { server, request } => {
                if self.is_dead_letter(id, *server, request) {
                    return false;
                }
                out.byte(b'>').byte(server.0).option(message);
                write_request(request, out);
            }
            Body::Answer { server, request, reply } => {
                if !client.is_running() {
                    return false;
                }
                out.byte(b'<').byte(server.0).option(message);
                write_request(request, out);
                write_reply(reply, out);
            }
            Body::Local(Local::TimedOut(timer)) => {
                if !client.is_running() || self.timer(id.client) != Some(id) {
                    return false;
                }
                let due = envelope.due.unwrap_or(0);
                out.byte(b'=').number(timer.0.into());
                out.number(text::away(due, self.world.now(), quantum(&self.world)).cast_unsigned());
            }
            Body::Local(local) => {
                let _ = write!(out, "={local:?}");
            }
        }
        true
    }

    /// What callers were told and servers acknowledged; of time, only who was told before whose task began.
    fn write_told(&self, out: &mut Writer) {
        let oracle = self.world.oracle();
        for (id, record) in oracle.tasks() {
            out.byte(b't').number(id.0.into()).number(record.times_told.into());
            let _ = write!(out, "{:?}{}", record.told, record.killed);
            for (other, earlier) in oracle.tasks() {
                if earlier.ended.is_some_and(|ended| ended <= record.began) {
                    out.number(other.0.into());
                }
            }
            if let Some(mark) = oracle.high_water(caller(&record.task)) {
                out.bytes(mark.version.as_bytes());
            }
        }
        for (version, servers) in oracle.acknowledgements() {
            out.byte(b'a').bytes(version.as_bytes());
            for (server, shares) in servers {
                out.byte(server.0);
                for share in shares {
                    out.byte(share.get());
                }
                out.byte(0xff);
            }
        }
    }
}

const fn caller(task: &crate::event::Task) -> u8 {
    match task {
        crate::event::Task::Publish(task) => task.caller,
        crate::event::Task::Read(task) => task.caller,
    }
}

/// The grain of time: half of the clients' shortest patience.
fn quantum(world: &World) -> u64 {
    let half = world.setup().patience_floor / 2;
    if half == 0 { 1 } else { half }
}

fn of_server(world: &World, server: &Server) -> Identity {
    let mut out = Writer(Vec::with_capacity(512));
    let now = server.now(world.now());
    out.byte(u8::from(server.is_up())).byte(u8::from(server.is_destroyed()));
    write_manifest(server.disk(), &mut out);
    for stream in server.streams() {
        out.byte(b's').bytes(stream.as_bytes());
        if let Some(slot) = server.slot() {
            let _ = write!(out, "{:?}", slot.state(now, None, Some(stream)).conversation);
        }
    }
    if let Some(slot) = server.slot() {
        if slot.manifest() != server.disk() {
            write_manifest(slot.manifest(), &mut out);
        }
        // Streams that the slot serves and the server has lost: only a planted bug leaves any.
        for stream in slot.conversations().filter(|id| !server.streams().any(|s| s == *id)) {
            out.byte(b'l').bytes(stream.as_bytes());
        }
        if let Some(holder) = slot.promised_to(now) {
            let left = slot.state(now, None, None).promised_ms.unwrap_or(0);
            let left = text::away(left, 0, quantum(world));
            out.byte(b'p').bytes(holder.as_bytes()).number(left.cast_unsigned());
        }
    }
    Identity::of(&out.0)
}

fn of_client(world: &World, client: &Client) -> Identity {
    let mut out = Writer(Vec::with_capacity(4096));
    let elapsed = world.now().saturating_sub(client.began());
    let grain = quantum(world);
    match client.machine() {
        Machine::Publish(machine) => {
            let progress = machine.progress();
            out.byte(b'P').byte(u8::from(client.is_cancelled()));
            if progress.step == Step::Ended {
                let _ = write!(out, "{:?}", progress.awaited);
            } else {
                let looks = matches!(progress.step, Step::Preparing | Step::Bringing);
                text::write(&mut out, &format!("{machine:?}"), elapsed, grain, looks);
            }
            for write in client.writes() {
                out.byte(b'w').byte(write.server.0);
                for share in &write.shares {
                    out.byte(share.get());
                }
                if let Some(stream) = write.conversation {
                    out.bytes(stream.as_bytes());
                }
            }
            for (stream, server) in client.conversations() {
                out.byte(b'l').byte(server.0).bytes(stream.as_bytes());
            }
            for version in client.ancestors() {
                out.byte(b'u').bytes(version.as_bytes());
            }
        }
        Machine::Read(machine) => {
            out.byte(b'R').byte(u8::from(client.was_short()));
            text::write(&mut out, &format!("{machine:?}"), elapsed, grain, true);
            out.number(client.rows_until().into());
            for (request, reply) in client.waiting() {
                write_request(request, &mut out);
                write_reply(reply, &mut out);
            }
        }
        Machine::Over => {
            out.byte(b'O');
        }
        Machine::Killed => {
            out.byte(b'K');
        }
    }
    Identity::of(&out.0)
}
