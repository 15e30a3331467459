//! A client of one grid: connections to its servers, and the operations on files they keep. Chooses nothing: what a
//! publish or a reader does is decided by its machine.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use rand_chacha::ChaCha8Rng;
use tarn_proto::window::WindowError;
use tarn_proto::{AttemptId, Header, SequenceNumber, Shape, StorageIndex, StoreId, Window};
use tokio::io::AsyncRead;

use crate::base::{Choice, HighWater, Origin};
use crate::caps::{ReadCap, WriteCap};
use crate::encode::pass::PassError;
use crate::encode::reproduce::reproduces;
use crate::encode::source::{Once, Source};
use crate::encode::workers::Workers;
use crate::follow::Observed;
use crate::grid::{Grid, Token};
use crate::lately::Lately;
use crate::placement::{Candidate, choose_window, rendezvous_order};
use crate::publish::outcome::Landed;
use crate::publish::publishing::{Content, Job, Journal, Publishing};
use crate::publish::{Follows, Learnt, Request, Roster};
use crate::retrieve::reading::{Reading, RetrieveError, RetrieveRequest, retrieve};
use crate::servermap::{Patience, ServerMap};
use crate::survey::{Survey, survey};
use crate::transport::{AddressError, ServerClient};

/// A client of one grid. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct Client {
    servers: Arc<BTreeMap<StoreId, ServerClient>>,
    candidates: Arc<Vec<Candidate>>,
    patience: Patience,
    workers: Workers,
    pub(crate) observed: Observed,
    pub(crate) lately: Lately,
}

/// What a publish is to do, beyond its content.
pub struct PublishOptions {
    /// Whether the caller drew the file's window, and so may begin from nothing.
    pub origin: Origin,
    /// What the new version must follow.
    pub follows: Follows,
    /// k, happy and n; `None` keeps those of the version it is built on.
    pub shape: Option<Shape>,
    /// k, happy and n of a first version, when `shape` says nothing.
    pub first_shape: Shape,
    /// Names the submission: the same one again has the same effect.
    pub attempt: AttemptId,
    /// Whether this is the first try of the submission anywhere, as when its attempt was drawn for it just now. Then servers
    /// need not be asked for earlier ones, and what this client has left on them a moment ago may be built on at once.
    pub first_try: bool,
    /// Whether the file is to be deleted: the content must be empty then.
    pub tombstone: bool,
    /// The newest version that the caller has ever seen: nothing older is built on.
    pub high_water: Option<HighWater>,
    /// The highest sequence number under which an earlier try of this submission may have sent commits, as its journal
    /// says.
    pub spent: Option<SequenceNumber>,
    /// Servers that kept somebody waiting before: see [`Suspects`](crate::suspects::Suspects).
    pub suspects: BTreeSet<StoreId>,
    /// What that try may have left on servers.
    pub left: Option<Landed>,
    /// Where the decision is made durable before the first commit.
    pub journal: Arc<dyn Journal>,
    /// Decides conversation ids and jitter; seeded from the operating system but in tests.
    pub rng: ChaCha8Rng,
}

impl Client {
    /// A client of this grid. Connections are made when they are first needed, and again whenever they are lost.
    /// Must be called within a tokio runtime.
    pub fn connect(grid: &Grid) -> Result<Self, AddressError> {
        let known = Arc::default();
        let servers = grid.servers().iter().map(|server| {
            let token = server.token.as_ref().map(Token::reveal).map(str::to_owned);
            let dialled = ServerClient::dial(server.store, server.address.to_string(), token)?;
            Ok((server.store, dialled.sharing(&known)))
        });
        let candidates = grid.servers().iter().map(|server| Candidate {
            store: server.store,
            zone: server.zone.clone(),
            weight: server.weight.get(),
        });
        Ok(Self {
            servers: Arc::new(servers.collect::<Result<_, _>>()?),
            candidates: Arc::new(candidates.collect()),
            patience: Patience::default(),
            workers: Workers::default(),
            observed: Observed::default(),
            lately: Lately::default(),
        })
    }

    /// A client over connections that were set up elsewhere, as to servers in a simulation.
    pub fn over(servers: impl IntoIterator<Item = (Candidate, ServerClient)>) -> Self {
        let servers = servers.into_iter().map(|(candidate, server)| {
            let store = candidate.store;
            (candidate, (store, server))
        });
        let (candidates, servers): (Vec<_>, BTreeMap<_, _>) = servers.unzip();
        Self {
            servers: Arc::new(servers),
            candidates: Arc::new(candidates),
            patience: Patience::default(),
            workers: Workers::default(),
            observed: Observed::default(),
            lately: Lately::default(),
        }
    }

    /// The same client, waiting differently.
    #[must_use]
    pub const fn with_patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// The same client, whose coding, reading and journals run elsewhere.
    #[must_use]
    pub const fn with_workers(mut self, workers: Workers) -> Self {
        self.workers = workers;
        self
    }

    /// The server that keeps this store.
    pub fn server(&self, store: StoreId) -> Option<&ServerClient> {
        self.servers.get(&store)
    }

    /// All servers of the grid, by store.
    pub const fn servers(&self) -> &Arc<BTreeMap<StoreId, ServerClient>> {
        &self.servers
    }

    /// The window of a new file. It is to be stored durably, with the file's write cap, before the first publish.
    pub fn choose_window(&self, file: StorageIndex, shape: Shape) -> Result<Window, WindowError> {
        choose_window(file, shape, &self.candidates)
    }

    /// The grid's stores in the order in which a file prefers them.
    pub fn roster(&self, file: StorageIndex) -> Roster {
        let order = rendezvous_order(file, &self.candidates);
        Roster(order.into_iter().map(|candidate| candidate.store).collect())
    }

    /// Begins to publish `source` as the newest version of the file. Must be called within a tokio runtime.
    pub fn publish(
        &self,
        write_cap: WriteCap,
        source: Source,
        options: PublishOptions,
    ) -> Publishing {
        self.begin(write_cap, Content::Whole(source), None, options)
    }

    /// Begins to publish what `input` gives, while it gives it: nothing of it is kept here, and it need not say how long it
    /// is. It is read only when a base has been chosen and servers are there. Must be called within a tokio runtime with
    /// time.
    ///
    /// What can be read only once is encoded once. A share whose server is lost meanwhile stays missing, and is brought
    /// when the rest is published; if too few servers are left, or somebody else came first, it ends as
    /// [`Outcome::InputUsedUp`](crate::publish::outcome::Outcome::InputUsedUp) or as what others did, with nothing changed,
    /// and is not begun anew. Nobody can repeat the submission, so its attempt must be a fresh one, of which nothing was
    /// `spent` or `left`. At most k GiB can be published like this.
    pub fn publish_once(
        &self,
        write_cap: WriteCap,
        input: impl AsyncRead + Send + Unpin + 'static,
        options: PublishOptions,
    ) -> Publishing {
        self.begin(write_cap, Content::Once(Once::new(input)), None, options)
    }

    /// Begins to publish a content; `map` says what servers held a moment ago, if they were asked.
    pub(crate) fn begin(
        &self,
        write_cap: WriteCap,
        content: Content,
        map: Option<ServerMap>,
        options: PublishOptions,
    ) -> Publishing {
        let storage_index = write_cap.verify_cap().storage_index();
        Publishing::begin(Job {
            request: Request {
                storage_index,
                attempt: options.attempt,
                origin: options.origin,
                follows: options.follows,
                shape: options.shape,
                first_shape: options.first_shape,
                map: map.map(Learnt::Asked),
                input: content.input(),
                tombstone: options.tombstone,
                high_water: options.high_water,
                spent: options.spent,
                suspects: options.suspects,
                left: options.left,
            },
            write_cap,
            content,
            servers: Arc::clone(&self.servers),
            roster: self.roster(storage_index),
            patience: self.patience,
            workers: self.workers,
            rng: options.rng,
            journal: options.journal,
            first_try: options.first_try,
            lately: self.lately.clone(),
        })
    }

    /// Whether a version with this header is made of `source`: see [`reproduces`].
    pub async fn reproduces(
        &self,
        cap: &ReadCap,
        header: &Header,
        source: &Source,
    ) -> Result<bool, PassError> {
        reproduces(cap, header, source, self.workers).await
    }

    /// Finds the version that the request names, or else the newest, and begins to read it: see [`retrieve`]. `rng`
    /// decides conversation ids and jitter; seeded from the operating system but in tests.
    pub async fn retrieve(
        &self,
        request: RetrieveRequest,
        rng: ChaCha8Rng,
    ) -> Result<Reading, RetrieveError> {
        let roster = self.roster(request.cap.verify_cap().storage_index());
        let (servers, patience) = (Arc::clone(&self.servers), self.patience);
        retrieve(request, servers, roster, patience, rng, self.workers).await
    }

    /// These bytes of a file's newest version, which is known to be Published; what lies beyond its end is left out. Only
    /// the segments they lie in are fetched, after two round trips. They are held in memory: for more, or to be told the
    /// version, or to make do with what is unconfirmed, there is [`Client::retrieve`].
    ///
    /// ```no_run
    /// # use tarn_client::{caps::ReadCap, client::Client, retrieve::reading::RetrieveError};
    /// # async fn example(client: Client, cap: ReadCap) -> Result<(), RetrieveError> {
    /// let (offset, length) = (4_096, 100);
    /// let bytes = client.read(cap, offset..offset + length, rand::make_rng()).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn read(
        &self,
        cap: ReadCap,
        range: Range<u64>,
        rng: ChaCha8Rng,
    ) -> Result<Bytes, RetrieveError> {
        let newest = RetrieveRequest {
            cap,
            origin: Origin::CapHolder,
            version: None,
            range: Some(range),
            strict: true,
            allow_rollback: false,
            high_water: None,
            suspects: BTreeSet::new(),
            map: None,
        };
        let mut reading = self.retrieve(newest, rng).await?;
        let mut bytes = BytesMut::new();
        while let Some(segment) = reading.next_segment().await? {
            bytes.extend_from_slice(&segment);
        }
        Ok(bytes.freeze())
    }

    /// Asks every server what it holds of a file: see [`survey`].
    pub async fn survey(&self, file: StorageIndex, origin: &Origin) -> ServerMap {
        survey(file, origin, &self.servers, &self.roster(file), self.patience).await
    }

    /// What servers hold of a file, as a publish of this submission asks them first: also for what they remember of it, and
    /// until a quorum could be written on what they say, the first version having this shape.
    pub(crate) async fn survey_to_publish(
        &self,
        survey: Survey<'_>,
        first_shape: Shape,
    ) -> ServerMap {
        let enough = |map: &ServerMap| match map.choose(survey.origin) {
            Choice::Chosen { base, .. } => {
                let window = base.window();
                let shape = base.header().map_or(first_shape, |header| header.header().shape);
                let answered = window.stores().iter().filter(|s| map.answers.contains_key(s));
                answered.count() >= window.quorum(shape)
            }
            Choice::Undecided(_) => false,
        };
        survey.ask(&self.servers, &self.roster(survey.file), self.patience, enough).await
    }
}
