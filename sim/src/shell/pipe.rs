//! One connection: two directions of ordered bytes, each write with a latency of its own. It can stall in mid-stream,
//! be held in one direction, be reset with a part of its bytes still to come, and end with the process at one of its
//! ends. Knows nothing of who else is connected: the network does.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf, Bytes};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::frames::Frames;
use super::options::Options;
use crate::streams::stream;

/// A direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// From the client.
    ToServer,
    /// From the server.
    ToClient,
}

impl Way {
    pub(super) const BOTH: [Self; 2] = [Self::ToServer, Self::ToClient];

    const fn back(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
        }
    }
}

/// What a way is like now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Condition {
    /// Nothing arrives.
    pub(super) held: bool,
    /// Everything takes so much longer.
    pub(super) slow: Duration,
}

/// Bytes on their way. No bytes: the end.
#[derive(Debug)]
struct Write {
    due: Instant,
    bytes: Bytes,
}

#[derive(Debug)]
struct Wire {
    rng: ChaCha8Rng,
    condition: Condition,
    writes: VecDeque<Write>,
    last_due: Instant,
    /// Whether the writer has said its end.
    ended: bool,
    /// Whether the reading end was dropped.
    unread: bool,
    /// Whether the process at the reading end is gone without a word.
    dead: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Wire {
    fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}

#[derive(Debug)]
struct State {
    to_server: Wire,
    to_client: Wire,
    reset: bool,
    /// Whether writes no longer stall.
    calm: bool,
}

impl State {
    const fn wire(&mut self, way: Way) -> &mut Wire {
        match way {
            Way::ToServer => &mut self.to_server,
            Way::ToClient => &mut self.to_client,
        }
    }
}

/// How writes travel, by the options.
#[derive(Debug, Clone)]
struct Travel {
    latency_ms: std::ops::RangeInclusive<u64>,
    stall_per_mille: u16,
    stall_max_ms: u64,
    in_flight_max: usize,
}

impl Travel {
    fn time(&self, rng: &mut ChaCha8Rng, calm: bool) -> Duration {
        let mut time = rng.random_range(self.latency_ms.clone());
        if !calm && rng.random_range(0..1_000) < self.stall_per_mille {
            time += rng.random_range(0..=self.stall_max_ms);
        }
        Duration::from_millis(time)
    }
}

/// Both ends share it.
#[derive(Debug)]
pub(super) struct Connection {
    travel: Travel,
    state: Mutex<State>,
}

impl Connection {
    /// A new connection, the `number`th of the run, and its ends: the client's and the server's.
    pub(super) fn new(
        options: &Options,
        number: u64,
        conditions: [Condition; 2],
        calm: bool,
    ) -> (Arc<Self>, End, End) {
        let wire = |name, condition| Wire {
            rng: stream(options.seed, name, number),
            condition,
            writes: VecDeque::new(),
            last_due: Instant::now(),
            ended: false,
            unread: false,
            dead: false,
            reader: None,
            writer: None,
        };
        let [to_server, to_client] = conditions;
        let connection = Arc::new(Self {
            travel: Travel {
                latency_ms: options.latency_ms.clone(),
                stall_per_mille: options.stall_per_mille,
                stall_max_ms: u64::try_from(options.stall_max.as_millis()).unwrap_or(u64::MAX),
                in_flight_max: options.writes_in_flight,
            },
            state: Mutex::new(State {
                to_server: wire("to-server", to_server),
                to_client: wire("to-client", to_client),
                reset: false,
                calm,
            }),
        });
        let end =
            |reads| End { connection: Arc::clone(&connection), reads, frames: None, sleep: None };
        let ends = (end(Way::ToClient), end(Way::ToServer));
        (connection, ends.0, ends.1)
    }

    /// From now on the way is like this.
    pub(super) fn set(&self, way: Way, condition: Condition) {
        let mut state = self.state();
        state.wire(way).condition = condition;
        // A reset is told on either way.
        state.to_server.wake();
        state.to_client.wake();
    }

    /// From now on no write stalls.
    pub(super) fn calm(&self) {
        self.state().calm = true;
    }

    /// Both ends lose it. Of what is on its way, a beginning still arrives; its last write may be torn.
    pub(super) fn reset(&self) {
        let mut state = self.state();
        state.reset = true;
        for way in Way::BOTH {
            let wire = state.wire(way);
            let left = wire.rng.random_range(0..=wire.writes.len());
            wire.writes.truncate(left);
            if let Some(torn) = wire.writes.back_mut()
                && wire.rng.random()
            {
                torn.bytes.truncate(torn.bytes.len().div_ceil(2));
            }
            wire.wake();
        }
    }

    /// The server's process is gone: its end does nothing any more, and the client's learns of a reset.
    pub(super) fn kill_server(&self) {
        self.state().to_server.dead = true;
        self.reset();
    }

    /// Whether both ends are dropped.
    pub(super) fn is_over(&self) -> bool {
        let state = self.state();
        state.to_server.unread && state.to_client.unread
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One end of a connection.
#[derive(Debug)]
pub(super) struct End {
    connection: Arc<Connection>,
    reads: Way,
    /// Looks at the frames that arrive here.
    frames: Option<Frames>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl End {
    /// The same end; the frames that arrive at it are looked at.
    pub(super) fn watched(mut self, frames: Frames) -> Self {
        self.frames = Some(frames);
        self
    }

    /// The next bytes that have arrived, at most so many; none at the end.
    fn poll_next(&mut self, context: &mut Context<'_>, max: usize) -> Poll<io::Result<Bytes>> {
        loop {
            let due = {
                let mut state = self.connection.state();
                let reset = state.reset;
                let wire = state.wire(self.reads);
                if wire.dead {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
                }
                wire.reader = Some(context.waker().clone());
                if wire.condition.held {
                    return Poll::Pending;
                }
                match wire.writes.front_mut() {
                    None if reset => {
                        return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                    }
                    None => return Poll::Pending,
                    Some(write) if write.due > Instant::now() => write.due,
                    Some(write) if write.bytes.is_empty() => return Poll::Ready(Ok(Bytes::new())),
                    Some(write) => {
                        let length = write.bytes.len().min(max);
                        let bytes = write.bytes.split_to(length);
                        if !write.bytes.has_remaining() {
                            wire.writes.pop_front();
                            if let Some(writer) = wire.writer.take() {
                                writer.wake();
                            }
                        }
                        return Poll::Ready(Ok(bytes));
                    }
                }
            };
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            if sleep.deadline() != due {
                sleep.as_mut().reset(due);
            }
            std::task::ready!(sleep.as_mut().poll(context));
        }
    }

    /// Puts bytes on their way, if there is room.
    fn poll_put(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.connection.state();
        let (reset, calm) = (state.reset, state.calm);
        let back = state.wire(self.reads);
        if back.dead {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let hears = !back.condition.held;
        let wire = state.wire(self.reads.back());
        if wire.ended || reset && hears {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if wire.unread && hears && !wire.condition.held {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if wire.writes.len() >= self.connection.travel.in_flight_max {
            wire.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        if !bytes.is_empty() && !reset {
            put(wire, &self.connection.travel, calm, Bytes::copy_from_slice(bytes));
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn put_end(&self) {
        let mut state = self.connection.state();
        let (reset, calm) = (state.reset, state.calm);
        let wire = state.wire(self.reads.back());
        if !wire.ended {
            wire.ended = true;
            if !reset {
                put(wire, &self.connection.travel, calm, Bytes::new());
            }
        }
    }
}

fn put(wire: &mut Wire, travel: &Travel, calm: bool, bytes: Bytes) {
    let due = Instant::now() + travel.time(&mut wire.rng, calm) + wire.condition.slow;
    wire.last_due = wire.last_due.max(due);
    wire.writes.push_back(Write { due: wire.last_due, bytes });
    if let Some(reader) = wire.reader.take() {
        reader.wake();
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.put_end();
        let mut state = self.connection.state();
        let wire = state.wire(self.reads);
        wire.unread = true;
        wire.writes.clear();
        wire.wake();
    }
}

impl AsyncRead for End {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let bytes = std::task::ready!(self.poll_next(context, buffer.remaining()))?;
        if let Some(frames) = &mut self.frames {
            frames.arrived(&bytes);
        }
        buffer.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for End {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_put(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.put_end();
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests;
