//! What the world's callers were told, and what its servers have acknowledged: what promises are held against. It
//! only ever learns; it judges nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tarn_client::base::HighWater;
use tarn_client::publish::Follows;
use tarn_client::publish::outcome::{Landed, Outcome as PublishOutcome};
use tarn_client::retrieve::outcome::Outcome as RetrieveOutcome;
use tarn_client::servermap::ServerMap;
use tarn_client::suspects::Heard;
use tarn_proto::{
    AttemptId, Certificate, SequenceNumber, ShareNumber, SignedHeader, StoreId, VersionId,
};
use tarn_server::manifest::Manifest;

use crate::event::{Follow, PublishTask, ReadTask, Task};
use crate::history::History;
use crate::ids::{ClientId, ServerId};

use super::operations::Operations;

/// Everything that was said to anybody.
#[derive(Debug, Clone, Default)]
pub struct Oracle {
    events: u64,
    tasks: BTreeMap<ClientId, TaskRecord>,
    published: BTreeMap<VersionId, u64>,
    acknowledged: BTreeMap<VersionId, Acknowledged>,
    makers: BTreeMap<VersionId, ClientId>,
    operations: Arc<Operations>,
    /// Versions whose signatures were sent to servers.
    signed: BTreeSet<VersionId>,
    certified: BTreeSet<VersionId>,
    floors: BTreeMap<ServerId, (SequenceNumber, VersionId)>,
    sealed: BTreeMap<ServerId, SequenceNumber>,
    high_water: BTreeMap<u8, HighWater>,
    /// The servers that kept each caller's last publish waiting, where callers remember that.
    suspects: BTreeMap<u8, BTreeSet<StoreId>>,
    /// What servers held when each caller was last told, where callers hand that on.
    maps: BTreeMap<u8, Arc<ServerMap>>,
    /// What each task wrote last in its journal.
    journals: BTreeMap<ClientId, Landed>,
    /// The high-water mark that each task was given.
    given: BTreeMap<ClientId, HighWater>,
    destroyed: BTreeSet<ServerId>,
    rotted: bool,
    lied: bool,
    healed_at: Option<u64>,
}

/// The shares of one version that servers have acknowledged as durable.
pub type Acknowledged = BTreeMap<ServerId, BTreeSet<ShareNumber>>;

/// One task, from outside.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskRecord {
    /// What was asked.
    pub task: Task,
    /// At which event it began.
    pub began: u64,
    /// At which event its caller was told.
    pub ended: Option<u64>,
    /// What its caller was told; `Told::Nothing` while it runs, and for ever if it was killed.
    pub told: Told,
    /// How often its caller was told something.
    pub times_told: u32,
    /// Whether its process was killed.
    pub killed: bool,
}

/// What a caller was told.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// Nothing yet.
    Nothing,
    /// This is Published.
    Published {
        /// The version.
        version: VersionId,
        /// Whether an earlier try had made it.
        repeated: bool,
    },
    /// Nothing was changed, then or later.
    Unchanged {
        /// The outcome's name.
        outcome: &'static str,
        /// The version that was given as the reason, if one was.
        theirs: Option<SignedHeader>,
    },
    /// Something may have been changed.
    InDoubt {
        /// The outcome's name.
        outcome: &'static str,
    },
    /// A read's result.
    Read(ReadOutcome),
}

/// What a reader got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadOutcome {
    /// A version, or word that it deletes the file.
    Got {
        /// The version.
        version: VersionId,
        /// Whether it is known to be Published.
        confirmed: bool,
        /// The high-water mark told.
        high_water: Option<HighWater>,
    },
    /// There is no such file.
    NotFound,
    /// No version could be given.
    Failed(&'static str),
}

impl Told {
    /// In a word.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Published { repeated: false, .. } => "published",
            Self::Published { repeated: true, .. } => "published before",
            Self::Unchanged { outcome, .. } | Self::InDoubt { outcome } => outcome,
            Self::Read(ReadOutcome::Got { confirmed: true, .. }) => "read",
            Self::Read(ReadOutcome::Got { confirmed: false, .. }) => "read unconfirmed",
            Self::Read(ReadOutcome::NotFound) => "not found",
            Self::Read(ReadOutcome::Failed(why)) => why,
        }
    }

    /// The version published or read.
    pub const fn version(&self) -> Option<VersionId> {
        match self {
            Self::Published { version, .. } | Self::Read(ReadOutcome::Got { version, .. }) => {
                Some(*version)
            }
            Self::Nothing
            | Self::Unchanged { .. }
            | Self::InDoubt { .. }
            | Self::Read(ReadOutcome::NotFound | ReadOutcome::Failed(_)) => None,
        }
    }
}

impl From<&PublishOutcome> for Told {
    fn from(outcome: &PublishOutcome) -> Self {
        let unchanged = |name, theirs: &Option<SignedHeader>| Self::Unchanged {
            outcome: name,
            theirs: theirs.clone(),
        };
        match outcome {
            PublishOutcome::Published(published) => {
                Self::Published { version: published.version, repeated: published.repeated }
            }
            PublishOutcome::UncoordinatedWrite { theirs } => unchanged(UNCOORDINATED_WRITE, theirs),
            PublishOutcome::Stale { now } => unchanged(STALE, now),
            PublishOutcome::Contended => unchanged("contended", &None),
            PublishOutcome::NotEnoughServers(_) => unchanged("not enough servers", &None),
            PublishOutcome::BaseMissing(_) => unchanged("base missing", &None),
            PublishOutcome::InputUsedUp => unchanged("input used up", &None),
            PublishOutcome::Undecided(_) => unchanged("undecided", &None),
            PublishOutcome::Cancelled => unchanged("cancelled", &None),
            PublishOutcome::SourceChanged => unchanged("source changed", &None),
            PublishOutcome::Failed { .. } => unchanged("failed", &None),
            PublishOutcome::Partial(_) => Self::InDoubt { outcome: "partial" },
            PublishOutcome::Unknown(_) => Self::InDoubt { outcome: "unknown" },
        }
    }
}

/// The name of the outcome that must never be given for our own version.
pub const UNCOORDINATED_WRITE: &str = "uncoordinated write";

/// The name of the outcome of a ticket that does not name the newest version.
pub(super) const STALE: &str = "stale";

impl From<&RetrieveOutcome> for Told {
    fn from(outcome: &RetrieveOutcome) -> Self {
        Self::Read(match outcome {
            RetrieveOutcome::Retrieved(found) | RetrieveOutcome::Deleted(found) => {
                ReadOutcome::Got {
                    version: found.header.version(),
                    confirmed: found.confirmed,
                    high_water: found.high_water,
                }
            }
            RetrieveOutcome::NotFound { .. } => ReadOutcome::NotFound,
            RetrieveOutcome::NotEnoughShares { .. } => ReadOutcome::Failed("not enough shares"),
            RetrieveOutcome::NotEnoughServers(_) => ReadOutcome::Failed("too few answered"),
            RetrieveOutcome::Undecided(_) => ReadOutcome::Failed("read undecided"),
            RetrieveOutcome::RolledBack { .. } => ReadOutcome::Failed("rolled back"),
            RetrieveOutcome::WrongReadKey { .. } => ReadOutcome::Failed("wrong read key"),
            RetrieveOutcome::Undecodable { .. } => ReadOutcome::Failed("undecodable"),
        })
    }
}

impl Oracle {
    /// How many events there were.
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// Every task.
    pub fn tasks(&self) -> impl Iterator<Item = (ClientId, &TaskRecord)> {
        self.tasks.iter().map(|(&id, record)| (id, record))
    }

    /// One task.
    pub fn task(&self, id: ClientId) -> Option<&TaskRecord> {
        self.tasks.get(&id)
    }

    /// Versions of which some caller was told that they are Published, and at which event first.
    pub fn published(&self) -> impl Iterator<Item = (VersionId, u64)> {
        self.published.iter().map(|(&version, &at)| (version, at))
    }

    /// Which shares of a version servers have acknowledged as durable, whatever became of them.
    pub fn acknowledged(&self, version: VersionId) -> Option<&Acknowledged> {
        self.acknowledged.get(&version)
    }

    /// Every version of which a server has acknowledged a share.
    pub fn acknowledgements(&self) -> impl Iterator<Item = (VersionId, &Acknowledged)> {
        self.acknowledged.iter().map(|(&version, shares)| (version, shares))
    }

    /// What callers asked for and were told, as operations on one register.
    pub fn history(&self) -> &History {
        self.operations.history()
    }

    /// What the words of a task mean, if it begins now.
    pub fn resolve(&self, follow: Follow) -> Follows {
        match follow {
            Follow::Whatever => Follows::Whatever,
            Follow::Nothing => Follows::Nothing,
            Follow::ResultOf(client) => {
                self.version_of(client).map_or(Follows::Whatever, Follows::Version)
            }
        }
    }

    /// Whether the signature of a version was ever sent to a server.
    pub fn was_signed(&self, version: VersionId) -> bool {
        self.signed.contains(&version)
    }

    /// Which task signed a version.
    pub fn maker(&self, version: VersionId) -> Option<ClientId> {
        self.makers.get(&version).copied()
    }

    /// Whether some server ever recorded a certificate of this version.
    pub fn was_certified(&self, version: VersionId) -> bool {
        self.certified.contains(&version)
    }

    /// The highest floor that a server ever had durably.
    pub fn floor(&self, server: ServerId) -> Option<(SequenceNumber, VersionId)> {
        self.floors.get(&server).copied()
    }

    /// The highest sequence number that a server ever remembered, durably, to have sealed.
    pub fn sealed(&self, server: ServerId) -> Option<SequenceNumber> {
        self.sealed.get(&server).copied()
    }

    /// The high-water mark that a task was given when it began.
    pub fn given(&self, client: ClientId) -> Option<HighWater> {
        self.given.get(&client).copied()
    }

    /// What a task wrote last in its journal: the version that it was about to commit, and where.
    pub fn journal(&self, client: ClientId) -> Option<&Landed> {
        self.journals.get(&client)
    }

    /// A caller's durable high-water mark.
    pub fn high_water(&self, caller: u8) -> Option<HighWater> {
        self.high_water.get(&caller).copied()
    }

    /// The servers that a caller does not wait for.
    pub fn suspects(&self, caller: u8) -> BTreeSet<StoreId> {
        self.suspects.get(&caller).cloned().unwrap_or_default()
    }

    /// What servers held when a caller was last told.
    pub fn map(&self, caller: u8) -> Option<&ServerMap> {
        self.maps.get(&caller).map(Arc::as_ref)
    }

    /// Whether this server's disk was lost.
    pub fn is_destroyed(&self, server: ServerId) -> bool {
        self.destroyed.contains(&server)
    }

    /// Whether any disk was lost, or any share on one rotted.
    pub fn has_lost_shares(&self) -> bool {
        self.rotted || !self.destroyed.is_empty()
    }

    /// Whether any server ever lied.
    pub const fn has_lied(&self) -> bool {
        self.lied
    }

    /// At which event everything healed.
    pub const fn healed_at(&self) -> Option<u64> {
        self.healed_at
    }

    /// What a task published or read.
    pub fn version_of(&self, client: ClientId) -> Option<VersionId> {
        self.tasks.get(&client)?.told.version()
    }

    /// The tries of one submission.
    pub fn tries(&self, attempt: AttemptId) -> impl Iterator<Item = (ClientId, &TaskRecord)> {
        self.tasks().filter(move |(_, record)| match &record.task {
            Task::Publish(task) => task.submission.attempt() == attempt,
            Task::Read(_) => false,
        })
    }

    pub(super) const fn count_event(&mut self) {
        self.events += 1;
    }

    pub(super) fn task_began(&mut self, id: ClientId, task: &Task) {
        let record = TaskRecord {
            task: task.clone(),
            began: self.events,
            ended: None,
            told: Told::Nothing,
            times_told: 0,
            killed: false,
        };
        match task {
            Task::Publish(task) => {
                let (attempt, follows) = (task.submission.attempt(), self.resolve(task.follows));
                let operations = Arc::make_mut(&mut self.operations);
                operations.publish_began(self.events, id, attempt, follows);
            }
            Task::Read(_) => Arc::make_mut(&mut self.operations).read_began(self.events, id),
        }
        let (Task::Publish(PublishTask { caller, .. }) | Task::Read(ReadTask { caller, .. })) =
            task;
        if let Some(mark) = self.high_water(*caller) {
            self.given.insert(id, mark);
        }
        self.tasks.insert(id, record);
    }

    pub(super) fn task_told(&mut self, id: ClientId, told: Told) {
        let events = self.events;
        Arc::make_mut(&mut self.operations).told(events, id, &told);
        let Some(record) = self.tasks.get_mut(&id) else { return };
        record.times_told += 1;
        record.ended = Some(events);
        if let Told::Published { version, .. } = told {
            self.published.entry(version).or_insert(events);
        }
        if let Told::Read(ReadOutcome::Got { high_water: Some(mark), .. }) = &told
            && let Task::Read(task) = &record.task
        {
            // As the client's database keeps it: whatever a read that began long ago brings, it never falls.
            let kept = self.high_water.entry(task.caller).or_insert(*mark);
            *kept = (*kept).max(*mark);
        }
        record.told = told;
    }

    pub(super) fn raise_high_water(&mut self, caller: u8, header: &SignedHeader) {
        let mark = HighWater::of(header);
        let kept = self.high_water.entry(caller).or_insert(mark);
        *kept = (*kept).max(mark);
    }

    pub(super) fn note_map(&mut self, caller: u8, map: ServerMap) {
        self.maps.insert(caller, Arc::new(map));
    }

    pub(super) fn heard(&mut self, caller: u8, heard: &Heard) {
        let suspects = self.suspects.entry(caller).or_default();
        suspects.retain(|store| !heard.asked.contains(store));
        suspects.extend(&heard.silent);
    }

    pub(super) fn task_killed(&mut self, id: ClientId) {
        let events = self.events;
        if let Some(record) = self.tasks.get_mut(&id) {
            record.killed = true;
            record.ended.get_or_insert(events);
        }
    }

    pub(super) fn acknowledge(
        &mut self,
        server: ServerId,
        version: VersionId,
        shares: &BTreeSet<ShareNumber>,
    ) {
        self.acknowledged.entry(version).or_default().entry(server).or_default().extend(shares);
    }

    pub(super) fn note_made(&mut self, version: VersionId, by: ClientId) {
        self.makers.entry(version).or_insert(by);
    }

    /// A task writes in its journal.
    pub(super) fn note_journal(&mut self, by: ClientId, left: Landed) {
        self.journals.insert(by, left);
    }

    /// The signature that makes a version of a header is on its way to a server.
    pub(super) fn note_signed(&mut self, header: &SignedHeader, by: ClientId) {
        let operations = Arc::make_mut(&mut self.operations);
        operations.signed(by, header.version(), header.header().predecessor);
        self.signed.insert(header.version());
    }

    pub(super) fn note_floor(&mut self, server: ServerId, disk: &Manifest) {
        if let Some(floor) = &disk.floor {
            let highest = self.floors.entry(server).or_insert_with(|| floor.order());
            *highest = (*highest).max(floor.order());
        }
        self.certified.extend(disk.certificates.iter().map(Certificate::version));
        if let Some(sealed) = disk.sealed {
            let highest = self.sealed.entry(server).or_insert(sealed);
            *highest = (*highest).max(sealed);
        }
    }

    pub(super) fn destroyed(&mut self, server: ServerId) {
        self.destroyed.insert(server);
        self.floors.remove(&server);
        self.sealed.remove(&server);
        for shares in self.acknowledged.values_mut() {
            shares.remove(&server);
        }
    }

    pub(super) const fn rotted(&mut self) {
        self.rotted = true;
    }

    pub(super) const fn lied(&mut self) {
        self.lied = true;
    }

    pub(super) fn heal(&mut self) {
        self.healed_at.get_or_insert(self.events);
    }
}
