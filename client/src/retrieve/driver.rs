//! The tokio side of retrieve: owns its only loop, carries out what the machine decides, and hands plaintext to the
//! caller. Decides nothing of the protocol.
//!
//! ```text
//!  readers ──▶ verify ──▶ shelf ──▶ Deliver ──▶ decode, a few at once ──▶ in order ──▶ Reading
//!     └── BlockArrived ──▶ machine ◀─────────── Consumed ◀───────────────────┘
//! ```
//!
//! The loop never waits for the caller, and no reader waits for the loop. Memory is bounded all the same, because the
//! machine asks only for what lies in its window, and that moves with what the caller takes.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand_chacha::ChaCha8Rng;
use tarn_proto::{SignedHeader, StorageIndex, StoreId, VersionId};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::action::Action;
use super::event::Event;
use super::outcome::{Found, Report};
use super::reading::RetrieveRequest;
use super::{Request, Retrieve};
use crate::caps::ReadCap;
use crate::encode::SegmentDecoder;
use crate::encode::workers::Workers;
use crate::fetch::Run;
use crate::fetch::driver::{
    Clients, KnownRows, Readers, Rows, RunEvent, SILENCE_MAX, Shelf, propagate_panic, read_run,
};
use crate::publish::Roster;
use crate::publish::action::Timer;
use crate::regenerate::{BringFailure, Brought, bring_shares};
use crate::servermap::{Failure, Patience};
use crate::time::Millis;

mod deliver;

use deliver::{Delivery, Job};

/// What reaches the loop: events for the machine, some with what it is not to see.
enum Message {
    Event(Event),
    Rows { version: VersionId, rows: Rows, event: Event },
    Run(RunEvent),
}

/// Where the caller hears what is read, and then its bytes.
pub(super) struct Outlet {
    pub(super) found: oneshot::Sender<Found>,
    pub(super) plaintext: mpsc::Sender<Bytes>,
}

/// One retrieve being carried out.
pub(super) struct Driver {
    machine: Retrieve,
    cap: ReadCap,
    storage_index: StorageIndex,
    clients: Clients,
    workers: Workers,
    began: Instant,
    /// Unbounded, yet never longer than what the machine asked for, which is bounded.
    messages: UnboundedSender<Message>,
    inbox: UnboundedReceiver<Message>,
    tasks: JoinSet<()>,
    readers: Readers,
    timer: Option<(Timer, Instant)>,
    header: Option<SignedHeader>,
    rows: KnownRows,
    shelf: Shelf,
    /// Until it is known what is read.
    outlet: Option<Outlet>,
    jobs: Option<UnboundedSender<Job>>,
    /// At most one task, which ends by itself when it has no more jobs.
    delivering: JoinSet<()>,
}

impl Driver {
    pub(super) fn new(
        request: RetrieveRequest,
        clients: Clients,
        roster: Roster,
        patience: Patience,
        rng: ChaCha8Rng,
        workers: Workers,
        outlet: Outlet,
    ) -> Self {
        let RetrieveRequest {
            cap,
            origin,
            version,
            range,
            strict,
            allow_rollback,
            high_water,
            suspects,
            map,
        } = request;
        let request = Request {
            key_check: cap.key_check(),
            origin,
            version,
            range: range.unwrap_or(0..u64::MAX),
            strict,
            allow_rollback,
            high_water,
            suspects,
            map,
        };
        let (messages, inbox) = mpsc::unbounded_channel();
        Self {
            machine: Retrieve::new(request, roster, patience, rng),
            storage_index: cap.verify_cap().storage_index(),
            cap,
            clients,
            workers,
            began: Instant::now(),
            messages,
            inbox,
            tasks: JoinSet::new(),
            readers: Readers::default(),
            timer: None,
            header: None,
            rows: KnownRows::default(),
            shelf: Shelf::default(),
            outlet: Some(outlet),
            jobs: None,
            delivering: JoinSet::new(),
        }
    }

    /// The loop: one event, one step, its actions; until the machine says how it ended.
    pub(super) async fn run(mut self) -> Report {
        let mut event = Event::Started;
        loop {
            for action in self.machine.step(self.now(), event) {
                if let Some(report) = self.carry_out(action) {
                    return self.end(report).await;
                }
            }
            event = self.next_event().await;
        }
    }

    /// The next event. What has come already goes before a moment that has come: nobody is late whose answer is here.
    async fn next_event(&mut self) -> Event {
        loop {
            tokio::select! {
                biased;
                Some(message) = self.inbox.recv() => {
                    if let Some(event) = self.take(message) {
                        return event;
                    }
                }
                Some(ended) = self.tasks.join_next() => propagate_panic(ended),
                Some(ended) = self.delivering.join_next() => propagate_panic(ended),
                timer = due(self.timer) => {
                    self.timer = None;
                    return Event::TimedOut { timer };
                }
            }
        }
    }

    /// Keeps what the machine is not to see, and passes on the event. Nothing of runs that were ended.
    fn take(&mut self, message: Message) -> Option<Event> {
        match message {
            Message::Event(event) => Some(event),
            Message::Rows { version, rows, event } => {
                if self.header.as_ref().is_some_and(|header| header.version() == version) {
                    self.rows.put(rows);
                }
                Some(event)
            }
            Message::Run(RunEvent::Arrived(run, block)) => {
                let segment = block.segment();
                self.readers.arrived(run, segment).then(|| {
                    self.shelf.put(block);
                    Event::BlockArrived { run, segment }
                })
            }
            Message::Run(RunEvent::Failed(run, failure)) => {
                self.readers.end(run).then_some(Event::RunFailed { run, failure })
            }
        }
    }

    /// Does one thing, or gives back the report that ends it all.
    fn carry_out(&mut self, action: Action) -> Option<Report> {
        match action {
            Action::Query { message, server } => {
                let (client, file) = (self.client(server), self.storage_index);
                self.spawn(
                    async move {
                        let client = client?;
                        let state = client.read_slot(file, None, None, SILENCE_MAX).await?;
                        Ok(Event::Mapped { message, state })
                    },
                    move |failure| Event::Failed { message, failure },
                );
            }
            Action::Bring {
                message,
                server,
                conversation,
                header,
                certificate,
                ancestors,
                shares,
                sources,
            } => {
                let (client, clients) = (self.client(server), Arc::clone(&self.clients));
                let brought =
                    Brought { header, certificate, ancestors, conversation, shares, sources };
                let workers = self.workers;
                self.spawn(
                    async move {
                        match bring_shares(&clients, &client?, brought, workers).await {
                            Ok(()) => Ok(Event::Brought { message }),
                            Err(BringFailure::Refused { refusal, .. }) => {
                                Ok(Event::Refused { message, refusal })
                            }
                            Err(failure) => Err(failure.into()),
                        }
                    },
                    move |failure| Event::Failed { message, failure },
                );
            }
            Action::ReadRows { message, server, header, segments } => {
                self.read_another(&header);
                let (client, messages) = (self.client(server), self.messages.clone());
                self.spawn_silent(async move {
                    let event = Event::RowsArrived { message };
                    let version = header.version();
                    let said = match read_rows(client, &header, segments).await {
                        Ok(rows) => Message::Rows { version, rows, event },
                        Err(failure) => Message::Event(Event::Failed { message, failure }),
                    };
                    drop(messages.send(said));
                });
            }
            Action::ReadBlocks(run) => self.read_blocks(run),
            Action::Abandon(run) => drop(self.readers.end(run)),
            Action::Announce(found) => self.announce(found),
            Action::Deliver { segment } => {
                let blocks = self.shelf.take(segment);
                let row = self.rows.row(segment);
                self.rows.forget_before(segment);
                if let (Some(jobs), Some(row)) = (&self.jobs, row) {
                    drop(jobs.send(Job { segment, row, blocks }));
                }
            }
            Action::WaitUntil { timer, when, why: _ } => {
                self.timer = Some((timer, self.began + Duration::from(when)));
            }
            Action::Finish(report) => return Some(report),
        }
        None
    }

    fn read_blocks(&mut self, run: Run) {
        let Some(header) = self.header.clone() else { return };
        let (rows, messages) = (self.rows.reader(), self.messages.clone());
        let (id, last) = (run.id, run.segments.end.saturating_sub(1));
        let client = self.clients.get(&run.server).cloned();
        let report = move |event| drop(messages.send(Message::Run(event)));
        let reader = self.spawn_silent(read_run(client, header, rows, run, report));
        self.readers.began(id, last, reader);
    }

    fn client(&self, server: StoreId) -> Result<crate::transport::ServerClient, Failure> {
        self.clients.get(&server).cloned().ok_or(Failure::Unlisted)
    }

    /// Spawns work that ends in one event.
    fn spawn(
        &mut self,
        work: impl Future<Output = Result<Event, Failure>> + Send + 'static,
        failed: impl FnOnce(Failure) -> Event + Send + 'static,
    ) {
        let messages = self.messages.clone();
        self.spawn_silent(async move {
            let event = work.await.unwrap_or_else(failed);
            // Nobody hears it once the loop has ended.
            drop(messages.send(Message::Event(event)));
        });
    }

    fn spawn_silent(&mut self, work: impl Future<Output = ()> + Send + 'static) -> AbortHandle {
        self.tasks.spawn(work)
    }

    /// What was kept of another version is worth nothing.
    fn read_another(&mut self, header: &SignedHeader) {
        if self.header.as_ref() != Some(header) {
            self.header = Some(header.clone());
            self.rows = KnownRows::default();
            self.shelf = Shelf::default();
        }
    }

    fn announce(&mut self, found: Found) {
        let (jobs, queue) = mpsc::unbounded_channel();
        let geometry = found.header.header().geometry;
        let delivery = Delivery {
            decoder: Arc::new(SegmentDecoder::new(&self.cap, geometry)),
            geometry,
            range: found.range.clone(),
            jobs: queue,
            workers: self.workers,
        };
        if let Some(outlet) = self.outlet.take() {
            self.jobs = Some(jobs);
            self.delivering.spawn(delivery.run(outlet.plaintext, self.messages.clone()));
            // A caller who has gone has aborted this task.
            drop(outlet.found.send(found));
        }
    }

    /// Ends every task but the deliverer, which first hands over what was complete.
    async fn end(mut self, report: Report) -> Report {
        self.tasks.abort_all();
        drop(self.jobs.take());
        while let Some(ended) = self.delivering.join_next().await {
            propagate_panic(ended);
        }
        report
    }

    fn now(&self) -> Millis {
        Millis(u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}

async fn read_rows(
    client: Result<crate::transport::ServerClient, Failure>,
    header: &SignedHeader,
    segments: Range<u32>,
) -> Result<Rows, Failure> {
    let rows = Rows::read(&client?, header, segments).await;
    rows.map_err(|error| crate::fetch::RunFailure::from(error).into_failure())
}

/// When the timer is due; never without one.
async fn due(timer: Option<(Timer, Instant)>) -> Timer {
    match timer {
        Some((timer, when)) => {
            tokio::time::sleep_until(when).await;
            timer
        }
        None => std::future::pending().await,
    }
}
