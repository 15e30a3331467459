//! One simulated server: the shipped slot over a disk that makes changes durable when it is told to. It holds none of
//! the slot's rules; it keeps the slot's lock, the streams, and what a crash leaves.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use tarn_proto::{ConversationId, ShareHealth, ShareNumber, SlotState, VersionId};
use tarn_server::manifest::Manifest;
use tarn_server::slot::{Millis, Now, Slot};

use crate::event::{Fate, Manner};
use crate::ids::{EnvelopeId, ServerId};
use crate::made::Made;
use crate::setup::file;

use super::{Reply, Request};

mod handle;

/// A server, its process running or not.
#[derive(Debug, Clone)]
pub struct Server {
    id: ServerId,
    /// What a crash leaves.
    disk: Manifest,
    /// None while the process is down.
    slot: Option<Slot>,
    /// The slot is ahead of the disk: only a planted bug lets that be.
    ahead: bool,
    streams: BTreeSet<ConversationId>,
    /// Streams that have ended: what still arrives of them is dropped.
    gone: BTreeSet<ConversationId>,
    pending: Option<Pending>,
    /// What waits for the slot's lock.
    queue: VecDeque<(EnvelopeId, Arc<Request>)>,
    clock_forward: u64,
    clock_wall: i64,
    manner: Manner,
    /// What it lies with: its state when it began to, and the newest version it had heard of.
    snapshot: Option<Box<(SlotState, Option<Arc<Made>>)>>,
    /// Shares whose bytes changed on the disk, not found out yet.
    rotted: BTreeSet<(VersionId, ShareNumber)>,
    destroyed: bool,
}

/// A change that is not durable yet. The slot is locked until it is.
#[derive(Debug, Clone)]
pub struct Pending {
    /// What the slot becomes.
    pub manifest: Manifest,
    /// The request that wants it.
    pub envelope: EnvelopeId,
    /// The same.
    pub request: Arc<Request>,
    /// How the request goes on.
    pub then: Stage,
}

/// How far a request has come: each change it makes is an atomic step of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Nothing is done.
    Arrived,
    /// The certificate that came with Open is recorded, or was refused.
    Opened,
    /// What is about to be sealed is remembered.
    Fenced,
    /// Only the answer is left.
    Done,
}

/// What handling a request comes to.
#[derive(Debug)]
pub enum Handled {
    /// This is answered.
    Say(Box<Reply>),
    /// Nothing is answered.
    Silent,
    /// This is to be made durable first.
    Write {
        /// What the slot becomes.
        manifest: Box<Manifest>,
        /// How the request goes on then.
        then: Stage,
    },
}

impl Handled {
    pub(crate) fn say(reply: Reply) -> Self {
        Self::Say(Box::new(reply))
    }

    pub(crate) fn write(manifest: Manifest, then: Stage) -> Self {
        Self::Write { manifest: Box::new(manifest), then }
    }
}

impl Server {
    /// A server with an empty disk, running.
    pub(super) fn empty(id: ServerId, promise: u64) -> Self {
        Self {
            id,
            disk: Manifest::default(),
            slot: Some(new_slot(id, promise, Manifest::default())),
            ahead: false,
            streams: BTreeSet::new(),
            gone: BTreeSet::new(),
            pending: None,
            queue: VecDeque::new(),
            clock_forward: 0,
            clock_wall: 0,
            manner: Manner::Honest,
            snapshot: None,
            rotted: BTreeSet::new(),
            destroyed: false,
        }
    }

    /// Its name.
    pub const fn id(&self) -> ServerId {
        self.id
    }

    /// What is durable.
    pub const fn disk(&self) -> &Manifest {
        &self.disk
    }

    /// The slot, while the process runs.
    pub const fn slot(&self) -> Option<&Slot> {
        self.slot.as_ref()
    }

    /// For planted bugs.
    pub fn slot_mut(&mut self) -> Option<&mut Slot> {
        self.slot.as_mut()
    }

    /// For planted bugs.
    pub const fn disk_mut(&mut self) -> &mut Manifest {
        &mut self.disk
    }

    /// The change that is not durable yet.
    pub const fn pending(&self) -> Option<&Pending> {
        self.pending.as_ref()
    }

    /// What waits for the slot's lock.
    pub fn queue(&self) -> impl Iterator<Item = (EnvelopeId, &Request)> {
        self.queue.iter().map(|(id, request)| (*id, request.as_ref()))
    }

    /// Whether a change is to be made durable: by the slot's rules, or behind its back.
    pub const fn is_writing(&self) -> bool {
        self.pending.is_some() || self.ahead
    }

    /// Streams that are open.
    pub fn streams(&self) -> impl Iterator<Item = ConversationId> {
        self.streams.iter().copied()
    }

    /// Whether this stream has ended: what still arrives of it changes nothing.
    pub fn has_ended(&self, stream: ConversationId) -> bool {
        self.gone.contains(&stream)
    }

    /// Whether the process runs.
    pub const fn is_up(&self) -> bool {
        self.slot.is_some()
    }

    /// Whether its disk is lost for good.
    pub const fn is_destroyed(&self) -> bool {
        self.destroyed
    }

    /// How it behaves.
    pub const fn manner(&self) -> Manner {
        self.manner
    }

    /// Whether this share is held, and its bytes are what they should be.
    pub fn has_whole(&self, version: VersionId, share: ShareNumber) -> bool {
        !self.destroyed
            && !self.rotted.contains(&(version, share))
            && self.disk.generation(version).is_some_and(|held| held.is_whole(share))
    }

    /// Whether this share is held, and its bytes are not what they should be, found out or not.
    pub fn has_damaged(&self, version: VersionId, share: ShareNumber) -> bool {
        let held = || self.disk.generation(version).and_then(|held| held.shares.get(&share));
        self.rotted.contains(&(version, share))
            || held().is_some_and(|stored| stored.health == ShareHealth::Damaged)
    }

    /// The time by its clocks.
    pub fn now(&self, world: u64) -> Now {
        let wall = i64::try_from(1_000_000 + world / 1000).unwrap_or(i64::MAX);
        Now {
            elapsed: Millis::new(world + self.clock_forward),
            unix_seconds: wall.saturating_add(self.clock_wall).max(0).unsigned_abs(),
        }
    }

    /// The slot's state as it would tell it now.
    pub fn state(&self, world: u64) -> Option<SlotState> {
        Some(self.slot.as_ref()?.state(self.now(world), None, None))
    }

    pub(crate) fn end(&mut self, conversation: ConversationId) {
        self.streams.remove(&conversation);
        if let Some(slot) = &mut self.slot {
            slot.end(conversation);
        }
    }

    /// For planted bugs: the stream is forgotten, and the slot is not told.
    pub fn leak(&mut self, conversation: ConversationId) {
        self.streams.remove(&conversation);
        self.gone.insert(conversation);
    }

    /// What it says in place of the truth, if it lies.
    pub(super) fn lie(&self, reply: Reply) -> Reply {
        match (self.manner, &self.snapshot) {
            (Manner::Lying(lie), Some(snapshot)) => {
                super::lie::lie(lie, &snapshot.0, snapshot.1.as_deref(), reply)
            }
            _ => reply,
        }
    }

    pub(super) const fn is_locked(&self) -> bool {
        self.pending.is_some()
    }

    pub(super) fn wait(&mut self, envelope: EnvelopeId, request: Arc<Request>) {
        self.queue.push_back((envelope, request));
    }

    pub(super) fn next_waiting(&mut self) -> Option<(EnvelopeId, Arc<Request>)> {
        if self.is_locked() { None } else { self.queue.pop_front() }
    }

    pub(super) fn lock(&mut self, pending: Pending) {
        self.pending = Some(pending);
    }

    /// The change is durable, and the slot is told.
    pub(super) fn became(&mut self, manifest: Manifest) {
        self.disk = manifest.clone();
        if let Some(slot) = &mut self.slot {
            slot.became(manifest);
        }
    }

    /// The slot is told of a change that is not durable: only a planted bug does that.
    pub(super) fn pretend(&mut self, manifest: Manifest) {
        if let Some(slot) = &mut self.slot {
            slot.became(manifest);
        }
        self.ahead = true;
    }

    /// The disk did its work. Returns the change that waited for it, unlocked.
    pub(super) fn synced(&mut self) -> Option<Pending> {
        if let (true, Some(slot)) = (self.ahead, &self.slot) {
            self.disk = slot.manifest().clone();
            self.ahead = false;
        }
        self.pending.take()
    }

    /// The disk failed. The slot is loaded again, whatever is there now.
    pub(super) fn sync_failed(&mut self, kept: bool) -> Option<Pending> {
        let pending = self.pending.take()?;
        let manifest = if kept { pending.manifest.clone() } else { self.disk.clone() };
        self.became(manifest);
        if let Some(conversation) = pending.request.conversation() {
            self.end(conversation);
            self.gone.insert(conversation);
        }
        Some(pending)
    }

    /// The process dies. Returns the requests that will never be answered; none when it was dead.
    pub(super) fn crash(&mut self, unsynced: Fate) -> Option<Vec<(EnvelopeId, Arc<Request>)>> {
        let slot = self.slot.take()?;
        if self.ahead && unsynced == Fate::Kept {
            self.disk = slot.manifest().clone();
        }
        self.ahead = false;
        let mut waiting: Vec<_> = self.queue.drain(..).collect();
        if let Some(pending) = self.pending.take() {
            if unsynced == Fate::Kept {
                self.disk = pending.manifest;
            }
            waiting.insert(0, (pending.envelope, pending.request));
        }
        self.gone.append(&mut self.streams);
        // The end of a stream that still waited for the slot is its end all the same.
        self.gone.extend(waiting.iter().filter_map(|(_, request)| match request.as_ref() {
            Request::End { conversation } => Some(*conversation),
            Request::Query { .. }
            | Request::Seal { .. }
            | Request::Extend { .. }
            | Request::Commit { .. }
            | Request::Bring { .. }
            | Request::Finalize { .. }
            | Request::ReadRows { .. }
            | Request::ReadBlocks { .. } => None,
        }));
        Some(waiting)
    }

    pub(super) fn restart(&mut self, promise: u64) -> bool {
        if self.slot.is_some() || self.destroyed {
            return false;
        }
        self.slot = Some(new_slot(self.id, promise, self.disk.clone()));
        true
    }

    /// For planted bugs: the slot as if the process had just started on the disk as it is.
    pub fn reload(&mut self, promise: u64) {
        self.slot = Some(new_slot(self.id, promise, self.disk.clone()));
    }

    pub(super) fn destroy(&mut self) {
        self.destroyed = true;
        self.disk = Manifest::default();
        self.rotted.clear();
    }

    pub(super) const fn step_clock(&mut self, forward: u64, wall: i64) -> bool {
        self.clock_forward = self.clock_forward.saturating_add(forward);
        self.clock_wall = self.clock_wall.saturating_add(wall);
        true
    }

    pub(super) fn rot(&mut self, share: u8) -> bool {
        let Some(current) = self.disk.generations.first() else { return false };
        let Some(share) = ShareNumber::new(share) else { return false };
        let version = current.header.version();
        current.is_whole(share)
            && current.header.header().geometry.length() > 0
            && self.rotted.insert((version, share))
    }

    pub(super) fn turn(&mut self, manner: Manner, newest: Option<Arc<Made>>) -> bool {
        let Some(slot) = &self.slot else { return false };
        self.snapshot =
            manner.is_lying().then(|| Box::new((slot.state(self.now(0), None, None), newest)));
        self.manner = manner;
        true
    }
}

fn new_slot(id: ServerId, promise: u64, manifest: Manifest) -> Slot {
    Slot::new(id.store(), file(), Millis::new(promise), manifest)
}
