//! Where operations are dropped: a grid at rest and one file on it, and what must be so afterwards.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use bytes::Bytes;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tarn_client::base::Origin;
use tarn_client::client::{Client, PublishOptions};
use tarn_client::encode::source::Source;
use tarn_client::encode::workers::Workers;
use tarn_client::publish::outcome::{Outcome, Published};
use tarn_client::retrieve::reading::{RetrieveError, RetrieveRequest};
use tarn_client::transport::ServerClient;
use tarn_drops::{Table, tasks_at_rest, until_tasks_are};
use tarn_proto::{Shape, ShareHealth, StorageIndex};

use crate::real::{File, RealGrid, published};

/// Never reached.
pub(crate) const LONG: std::time::Duration = std::time::Duration::from_secs(600);

/// A grid at rest, and a file on it.
pub(crate) struct Stage {
    pub(crate) grid: RefCell<RealGrid>,
    pub(crate) file: File,
    /// Computes on threads, as programs do.
    pub(crate) client: Client,
    /// The same, computing in place, so that every run has the same turns.
    pub(crate) in_place: Client,
    newest: RefCell<(Published, Bytes)>,
    contents: Cell<u64>,
    tasks: usize,
}

impl Stage {
    /// Three servers, with a share each.
    pub(crate) async fn set(shape: Shape) -> Self {
        let mut grid = RealGrid::start(3).await;
        let file = File::new(&mut grid, shape);
        let first = content(0);
        let newest = published(grid.publish(&file, first.clone()).await);
        let client = grid.client();
        let in_place = client.clone().with_workers(Workers::InPlace);
        let mut stage = Self {
            grid: RefCell::new(grid),
            file,
            client,
            in_place,
            newest: RefCell::new((newest, first)),
            contents: Cell::new(1),
            tasks: 0,
        };
        // From here on every server is connected to.
        stage.goes_on(&[]).await;
        stage.tasks = tasks_at_rest().await;
        stage
    }

    /// Ends the servers, for which nobody must have a connection.
    pub(crate) async fn strike(self) {
        let mut grid = self.grid.into_inner();
        drop((self.client, self.in_place));
        for server in 0..grid.servers.len() {
            grid.stop(server).await;
        }
        until_tasks_are(0).await;
    }

    pub(crate) fn storage_index(&self) -> StorageIndex {
        self.file.cap.verify_cap().storage_index()
    }

    /// What was Published last, and what it is made of.
    pub(crate) fn newest(&self) -> (Published, Bytes) {
        self.newest.borrow().clone()
    }

    /// One of the servers.
    pub(crate) fn server(&self) -> &ServerClient {
        self.client.servers().values().next().unwrap()
    }

    pub(crate) fn options(&self) -> PublishOptions {
        self.grid.borrow_mut().options(&self.file)
    }

    /// What nobody has published before: two segments.
    pub(crate) fn fresh_content(&self) -> Bytes {
        self.contents.set(self.contents.get() + 1);
        content(self.contents.get())
    }

    pub(crate) fn request(&self) -> RetrieveRequest {
        RetrieveRequest {
            cap: self.file.cap.read_cap(),
            origin: Origin::CapHolder,
            version: None,
            range: None,
            strict: true,
            allow_rollback: false,
            high_water: None,
            suspects: BTreeSet::new(),
            map: None,
        }
    }

    /// The whole file, as somebody reads it who has only a cap; it must be sure of what it reads.
    pub(crate) async fn read(&self, client: &Client) -> Result<Bytes, RetrieveError> {
        let mut reading = client.retrieve(self.request(), ChaCha8Rng::seed_from_u64(1)).await?;
        let mut read = Vec::new();
        while let Some(segment) = reading.next_segment().await? {
            read.extend_from_slice(&segment);
        }
        Ok(read.into())
    }

    /// Nothing is left of what was dropped: no task, here or on a server, and no promise; what the servers hold is whole.
    pub(crate) async fn is_at_rest(&self) {
        if self.tasks > 0 {
            until_tasks_are(self.tasks).await;
        }
        for server in self.client.servers().values() {
            let state = server.read_slot(self.storage_index(), None, None, LONG).await.unwrap();
            assert_eq!(state.promised_ms, None, "{server:?}");
            let mut held =
                state.generations.iter().flat_map(|generation| generation.shares.values());
            assert!(held.all(|health| *health == ShareHealth::Whole));
        }
    }

    /// It is at rest, the file is what was Published last or one of these, and the next publish and the next reader find
    /// nobody in their way.
    pub(crate) async fn goes_on(&self, may_be: &[&Bytes]) {
        self.is_at_rest().await;
        let read = self.read(&self.in_place).await.unwrap();
        let (_, newest) = self.newest();
        assert!(read == newest || may_be.contains(&&read), "neither the last nor what may be");
        self.publish_next().await;
        self.is_at_rest().await;
    }

    /// It is what was Published last, now.
    pub(crate) fn was_published(&self, published: Published, content: Bytes) {
        self.newest.replace((published, content));
    }

    async fn publish_next(&self) {
        let content = self.fresh_content();
        let source = Source::Bytes(content.clone());
        let mut publishing = self.in_place.publish(self.file.cap.clone(), source, self.options());
        let report = publishing.report().await.unwrap();
        publishing.settled().await;
        let Outcome::Published(published) = report.outcome else { panic!("{report:#?}") };
        assert_eq!(report.rounds, 1, "somebody was in its way: {:?}", report.troubles);
        self.was_published(published, content.clone());
        assert!(self.read(&self.in_place).await.unwrap() == content);
    }
}

fn content(number: u64) -> Bytes {
    let mut bytes = vec![0; 2 * (2 * (64 << 10)) - 100];
    ChaCha8Rng::seed_from_u64(number).fill_bytes(&mut bytes);
    bytes.into()
}

/// When an operation is dropped, and how thoroughly what is left is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drops {
    AtEveryPoll,
    AtEveryTurn,
}

impl Drops {
    /// Who computes: nothing may depend on how fast a thread is when turns are counted.
    pub(crate) fn client(self, stage: &Stage) -> &Client {
        match self {
            Self::AtEveryPoll => &stage.client,
            Self::AtEveryTurn => &stage.in_place,
        }
    }
}

/// Drops an operation that changes nothing of the file.
pub(crate) async fn drop_each<F: Future>(
    table: &mut Table,
    stage: &Stage,
    (operation, drops): (&str, Drops),
    make: impl AsyncFnMut() -> F,
    is_right: impl Fn(F::Output) -> bool,
) {
    let after = async |outcome: Option<F::Output>| {
        let ended = outcome.is_some();
        assert!(outcome.is_none_or(&is_right));
        if ended || drops == Drops::AtEveryPoll {
            stage.goes_on(&[]).await;
        } else {
            stage.is_at_rest().await;
        }
    };
    match drops {
        Drops::AtEveryPoll => table.polls(operation, make, after).await,
        Drops::AtEveryTurn => table.turns(operation, make, after).await,
    }
}
