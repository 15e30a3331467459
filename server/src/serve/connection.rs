//! One client's connection: bytes pass through, and every call on it knows what is told of it, such as a ledger. It fails
//! when whoever serves it cuts it off, and when its client does not begin to speak HTTP/2 in time.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

/// How long an accepted connection may take to begin to speak.
const SILENCE_MAX: Duration = Duration::from_secs(20);
/// How long accepting rests after it failed: what it lacks, such as descriptors, does not come back at once.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What every HTTP/2 client sends first. From then on keep-alive finds out whether it lives.
const PREFACE_BYTES: usize = 24;

/// Makes a connection of whatever is accepted, and has accepting rest where it fails. Each ends when `cut` is cancelled,
/// or when its client says nothing from the start; `about` says what calls on it know of it.
pub fn connections<C: Send, I: Send>(
    incoming: impl Stream<Item = io::Result<C>> + Send,
    cut: CancellationToken,
    about: impl Fn() -> I + Send,
) -> impl Stream<Item = io::Result<Connection<C, I>>> + Send {
    incoming.then(move |accepted| {
        let accepted = accepted.map(|io| Connection::new(io, about(), &cut, SILENCE_MAX));
        async move {
            if let Err(error) = &accepted {
                tracing::warn!(error = error as &dyn std::error::Error, "accepting failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            accepted
        }
    })
}

/// A connection of [`connections`].
#[derive(Debug)]
pub struct Connection<C, I> {
    io: C,
    about: I,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    preface: Option<Preface>,
}

/// The first bytes of a connection, while they have not all come.
#[derive(Debug)]
struct Preface {
    bytes_missing: usize,
    deadline: Pin<Box<Sleep>>,
}

impl<C, I> Connection<C, I> {
    /// A connection that was just accepted. It ends when `cut` is cancelled, or when nothing was said for `silence`.
    fn new(io: C, about: I, cut: &CancellationToken, silence: Duration) -> Self {
        let deadline = Box::pin(tokio::time::sleep(silence));
        Self {
            io,
            about,
            cut: Box::pin(cut.child_token().cancelled_owned()),
            preface: Some(Preface { bytes_missing: PREFACE_BYTES, deadline }),
        }
    }

    /// Fails once the server has cut the connection off. Whoever polls is woken when it does.
    fn poll_cut(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(context) {
            Poll::Pending => Ok(()),
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }

    /// Counts what was read, and fails when the first bytes are late.
    fn poll_preface(
        &mut self,
        context: &mut Context<'_>,
        read: Poll<usize>,
    ) -> Poll<io::Result<()>> {
        let Some(preface) = &mut self.preface else {
            return read.map(|_| Ok(()));
        };
        match read {
            Poll::Ready(bytes) => {
                preface.bytes_missing = preface.bytes_missing.saturating_sub(bytes);
                if preface.bytes_missing == 0 {
                    self.preface = None;
                }
                Poll::Ready(Ok(()))
            }
            Poll::Pending => preface
                .deadline
                .as_mut()
                .poll(context)
                .map(|()| Err(io::ErrorKind::TimedOut.into())),
        }
    }
}

impl<C, I: Clone + Send + Sync + 'static> Connected for Connection<C, I> {
    type ConnectInfo = I;

    fn connect_info(&self) -> I {
        self.about.clone()
    }
}

impl<C: AsyncRead + Unpin, I: Unpin> AsyncRead for Connection<C, I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_cut(context)?;
        let held = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(context, buffer)?;
        self.poll_preface(context, read.map(|()| buffer.filled().len() - held))
    }
}

impl<C: AsyncWrite + Unpin, I: Unpin> AsyncWrite for Connection<C, I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_cut(context)?;
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_cut(context)?;
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_cut(context)?;
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_cut(context)?;
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const SILENCE: Duration = Duration::from_millis(1);

    fn pipe(cut: &CancellationToken) -> (DuplexStream, Connection<DuplexStream, ()>) {
        let (client, io) = duplex(64);
        (client, Connection::new(io, (), cut, SILENCE))
    }

    #[tokio::test]
    async fn a_client_that_never_finishes_its_first_bytes_is_let_go() {
        let (mut client, mut connection) = pipe(&CancellationToken::new());
        client.write_all(&[0; PREFACE_BYTES - 1]).await.unwrap();
        connection.read_exact(&mut [0; PREFACE_BYTES - 1]).await.unwrap();
        let late = connection.read_u8().await.unwrap_err();
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_client_that_has_spoken_may_be_silent() {
        let (mut client, mut connection) = pipe(&CancellationToken::new());
        client.write_all(&[0; PREFACE_BYTES]).await.unwrap();
        connection.read_exact(&mut [0; PREFACE_BYTES]).await.unwrap();
        tokio::time::sleep(2 * SILENCE).await;
        assert!(connection.read_u8().now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_connection_that_is_cut_off_wakes_its_reader_and_takes_no_bytes() {
        let cut = CancellationToken::new();
        let (mut client, mut connection) = pipe(&cut);
        client.write_all(&[0; PREFACE_BYTES]).await.unwrap();
        connection.read_exact(&mut [0; PREFACE_BYTES]).await.unwrap();
        let reading = async { connection.read_u8().await.unwrap_err().kind() };
        let cutting = async { cut.cancel() };
        let (read, ()) = tokio::join!(reading, cutting);
        assert_eq!(read, io::ErrorKind::ConnectionAborted);
        let written = connection.write(b"bytes").await.unwrap_err();
        assert_eq!(written.kind(), io::ErrorKind::ConnectionAborted);
    }
}
