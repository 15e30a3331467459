//! The network: who can dial whom, every connection there is, and what each way is like. Draws no faults: it is told.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tarn_client::transport::{ServerClient, dial};
use tokio::sync::{Notify, mpsc};
use tonic::codegen::http::Uri;
use tower::service_fn;

use super::frames::Frames;
use super::machine::store_id;
use super::options::Options;
use super::pipe::{Condition, Connection, End, Way};
use super::world::{HostId, ServerId, World};
use crate::streams::stream;

/// Between one process that calls and one server.
pub(super) type Link = (HostId, ServerId);

/// How often a way is held, and made slow: faults may overlap.
#[derive(Debug, Clone, Copy, Default)]
struct Troubles {
    holds: u32,
    slow: Duration,
}

impl Troubles {
    const fn condition(self) -> Condition {
        Condition { held: self.holds > 0, slow: self.slow }
    }
}

#[derive(Debug)]
struct Open {
    link: Link,
    connection: Arc<Connection>,
}

#[derive(Debug)]
struct State {
    rng: ChaCha8Rng,
    next: u64,
    calm: bool,
    open: BTreeMap<u64, Open>,
    troubles: BTreeMap<(Link, Way), Troubles>,
    /// Where the servers that run take connections.
    doors: BTreeMap<ServerId, mpsc::UnboundedSender<io::Result<End>>>,
    /// How many faults make a server refuse to be dialled.
    refusing: BTreeMap<ServerId, u32>,
}

/// All connections of a run.
#[derive(Debug)]
pub(super) struct Network {
    options: Options,
    world: Arc<World>,
    state: Mutex<State>,
    changed: Notify,
}

impl Network {
    pub(super) fn new(options: &Options, world: Arc<World>) -> Arc<Self> {
        Arc::new(Self {
            options: options.clone(),
            world,
            state: Mutex::new(State {
                rng: stream(options.seed, "dials", 0),
                next: 0,
                calm: false,
                open: BTreeMap::new(),
                troubles: BTreeMap::new(),
                doors: BTreeMap::new(),
                refusing: BTreeMap::new(),
            }),
            changed: Notify::new(),
        })
    }

    /// A process's way to a server: the shipped transport over simulated connections.
    pub(super) fn client(self: &Arc<Self>, link: Link) -> ServerClient {
        let address = format!("{}:1", link.1);
        let network = Arc::clone(self);
        let connector = service_fn(move |_: Uri| {
            let network = Arc::clone(&network);
            async move { network.dial(link).await.map(TokioIo::new) }
        });
        let endpoint = dial::endpoint(&address).expect("a name and a port are an address");
        let channel = endpoint.connect_with_connector_lazy(connector);
        ServerClient::new(store_id(link.1), address, channel, None)
    }

    /// A connection from a process to a server. Waits while the way there or back is held.
    async fn dial(&self, link: Link) -> io::Result<End> {
        let latency = self.state().rng.random_range(self.options.latency_ms.clone());
        tokio::time::sleep(Duration::from_millis(latency)).await;
        loop {
            let changed = self.changed.notified();
            if let Some(dialled) = self.try_dial(link) {
                let how = if dialled.is_ok() { "connects" } else { "is refused" };
                self.world.log(link.0, format_args!("{how} at {}", link.1));
                return dialled;
            }
            changed.await;
        }
    }

    fn try_dial(&self, link: Link) -> Option<io::Result<End>> {
        let mut state = self.state();
        let conditions =
            Way::BOTH.map(|way| state.troubles.get(&(link, way)).copied().unwrap_or_default());
        if conditions.iter().any(|troubles| troubles.holds > 0) {
            return None;
        }
        let refused = state.refusing.get(&link.1).is_some_and(|&faults| faults > 0);
        let number = state.next;
        let conditions = conditions.map(Troubles::condition);
        let (connection, client, server) =
            Connection::new(&self.options, number, conditions, state.calm);
        let frames = Frames::new(Arc::clone(&self.world), link.0, link.1, number);
        let taken = !refused
            && state
                .doors
                .get(&link.1)
                .is_some_and(|door| door.send(Ok(server.watched(frames))).is_ok());
        if !taken {
            return Some(Err(io::ErrorKind::ConnectionRefused.into()));
        }
        state.next += 1;
        state.open.retain(|_, open| !open.connection.is_over());
        state.open.insert(number, Open { link, connection });
        self.world.count(|counts| counts.connections += 1);
        Some(Ok(client))
    }

    /// A server takes connections here from now on.
    pub(super) fn listen(&self, server: ServerId) -> mpsc::UnboundedReceiver<io::Result<End>> {
        let (door, incoming) = mpsc::unbounded_channel();
        self.state().doors.insert(server, door);
        incoming
    }

    /// A server takes no more connections.
    pub(super) fn close(&self, server: ServerId) {
        self.state().doors.remove(&server);
    }

    /// A server's process is gone, with its ends of all connections.
    pub(super) fn kill(&self, server: ServerId) {
        self.close(server);
        for open in self.state().open.values().filter(|open| open.link.1 == server) {
            open.connection.kill_server();
        }
    }

    /// Begins (or ends) to hold these ways. Each beginning wants its end.
    pub(super) fn hold(&self, ways: &[(Link, Way)], begin: bool) {
        self.trouble(ways, |troubles| {
            let holds = &mut troubles.holds;
            *holds = if begin { *holds + 1 } else { holds.saturating_sub(1) };
        });
    }

    /// Makes these ways slower by so much; or as fast as ever.
    pub(super) fn slow(&self, ways: &[(Link, Way)], by: Duration) {
        self.trouble(ways, |troubles| troubles.slow = by);
    }

    /// Begins (or ends) to refuse dials at a server.
    pub(super) fn refuse(&self, server: ServerId, begin: bool) {
        let mut state = self.state();
        let faults = state.refusing.entry(server).or_default();
        *faults = if begin { *faults + 1 } else { faults.saturating_sub(1) };
    }

    /// From now on no write stalls.
    pub(super) fn calm(&self) {
        let mut state = self.state();
        state.calm = true;
        for open in state.open.values() {
            open.connection.calm();
        }
    }

    /// Resets one of the connections that are open, the `choice`th in a circle. Returns whose it was.
    pub(super) fn reset(&self, choice: usize) -> Option<(u64, Link)> {
        let mut state = self.state();
        state.open.retain(|_, open| !open.connection.is_over());
        let count = state.open.len().max(1);
        let (&number, open) = state.open.iter().nth(choice % count)?;
        open.connection.reset();
        Some((number, open.link))
    }

    fn trouble(&self, ways: &[(Link, Way)], change: impl Fn(&mut Troubles)) {
        let mut state = self.state();
        let state = &mut *state;
        for &(link, way) in ways {
            let troubles = state.troubles.entry((link, way)).or_default();
            change(troubles);
            for open in state.open.values().filter(|open| open.link == link) {
                open.connection.set(way, troubles.condition());
            }
        }
        self.changed.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
