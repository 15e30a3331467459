//! A network in front of a server: every byte arrives a fixed time after it was sent, either way, in order, at whatever
//! speed the machine has. Loses nothing, and holds a bounded number of bytes.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::Instant;

/// At most so many bytes are taken at once.
const PIECE: usize = 64 << 10;
/// So many pieces may be under way in one direction of one connection: 8 MiB, what a connection's window lets through.
const PIECES_MAX: usize = 128;

/// A listener before a server. Dropping it ends its connections.
#[derive(Debug)]
pub(super) struct Proxy {
    address: SocketAddr,
    _connections: JoinSet<()>,
}

impl Proxy {
    /// Whoever connects to this proxy talks to `server`, each way `delay` later.
    pub(super) async fn before(server: SocketAddr, delay: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, server, delay));
        Ok(Self { address, _connections: tasks })
    }

    /// Where it listens.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, delay: Duration) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => drop(connections.spawn(connect(client, server, delay))),
                // Whoever is not served notices.
                Err(_) => return,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Carries bytes both ways until one side hangs up: then the other is told so.
async fn connect(client: TcpStream, server: SocketAddr, delay: Duration) {
    let carried = async {
        let server = TcpStream::connect(server).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let ((from_client, to_client), (from_server, to_server)) =
            (client.into_split(), server.into_split());
        tokio::try_join!(carry(from_client, to_server, delay), carry(from_server, to_client, delay))
    };
    // A connection that breaks is closed to both, as any is.
    let _: io::Result<_> = carried.await;
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration) -> io::Result<()> {
    let (sent, mut under_way) = mpsc::channel::<(Instant, Bytes)>(PIECES_MAX);
    let take = async move {
        let mut room = BytesMut::new();
        loop {
            room.reserve(PIECE);
            if from.read_buf(&mut room).await? == 0 {
                return Ok(());
            }
            if sent.send((Instant::now() + delay, room.split().freeze())).await.is_err() {
                return Ok(());
            }
        }
    };
    let give = async move {
        while let Some((due, piece)) = under_way.recv().await {
            wait_until(due).await;
            to.write_all(&piece).await?;
        }
        to.shutdown().await
    };
    tokio::try_join!(take, give).map(drop)
}

/// Waits on a thread: the runtime's own timer may be late by a millisecond, which is what a short way takes.
async fn wait_until(due: Instant) {
    let left = due.saturating_duration_since(Instant::now());
    if !left.is_zero() {
        #[expect(clippy::disallowed_methods, reason = "that time passes is the event")]
        let waited = spawn_blocking(move || std::thread::sleep(left)).await;
        // The runtime is going down, and with it the connection.
        drop(waited);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(20);

    /// A server that sends back what it gets, until its client hangs up.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut connection, _) = listener.accept().await.unwrap();
            let (mut from, mut to) = connection.split();
            tokio::io::copy(&mut from, &mut to).await.unwrap();
            to.shutdown().await.unwrap();
        });
        address
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn every_byte_comes_back_in_order_and_not_before_a_round_trip() {
        let proxy = Proxy::before(echo().await, DELAY).await.unwrap();
        let connection = TcpStream::connect(proxy.address()).await.unwrap();
        let (mut from, mut to) = connection.into_split();
        let sent: Vec<u8> = (0..=250).cycle().take(16 << 20).collect();
        let begun = Instant::now();
        let sending = tokio::spawn({
            let sent = sent.clone();
            async move {
                to.write_all(&sent).await.unwrap();
                to.shutdown().await.unwrap();
            }
        });
        let first = from.read_u8().await.unwrap();
        assert!(begun.elapsed() >= 2 * DELAY);
        let mut got = vec![first];
        from.read_to_end(&mut got).await.unwrap();
        assert!(got == sent);
        sending.await.unwrap();
    }

    #[tokio::test]
    async fn a_proxy_that_is_dropped_ends_its_connections() {
        let proxy = Proxy::before(echo().await, DELAY).await.unwrap();
        let mut connection = TcpStream::connect(proxy.address()).await.unwrap();
        connection.write_all(b"x").await.unwrap();
        assert_eq!(connection.read_u8().await.unwrap(), b'x');
        drop(proxy);
        assert!(connection.read_u8().await.is_err());
    }
}
