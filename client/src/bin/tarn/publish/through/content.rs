//! The content on its way to a gateway. If it cannot be read to its end the call is given up, so that nothing shorter is
//! ever published.

use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use tarn_proto::gateway as wire;
use tarn_proto::gateway::publish_request::Part;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::oneshot;
use tonic::Status;

use crate::error::CommandError;
use crate::publish::input::Source;
use crate::remote::Remote;

/// Bytes in one message.
const PIECE: usize = 256 << 10;

/// A header and what comes after it.
pub(super) struct Parts {
    header: wire::PublishHeader,
    input: Box<dyn AsyncRead + Send + Unpin>,
    from: PathBuf,
}

impl Parts {
    /// Opens the source.
    pub(super) async fn open(
        source: &Source,
        mut header: wire::PublishHeader,
    ) -> Result<Self, CommandError> {
        let (input, from): (Box<dyn AsyncRead + Send + Unpin>, _) = match source {
            Source::File(path) => {
                let failed = |error| CommandError::file("read", path, &error);
                let file = tokio::fs::File::open(path).await.map_err(failed)?;
                let found = file.metadata().await.map_err(failed)?;
                if !found.is_file() {
                    return Err(CommandError::usage(format_args!(
                        "{} is not a regular file; through a gateway, one file is published at a time",
                        path.display()
                    )));
                }
                header.length = Some(found.len());
                (Box::new(file), path.clone())
            }
            Source::Pipe => (Box::new(tokio::io::stdin()), "standard input".into()),
            Source::Kept(_) | Source::Lost | Source::Part => {
                return Err(CommandError::usage("a gateway goes on with its tasks by itself"));
            }
        };
        Ok(Self { header, input, from })
    }

    /// Sends all of it; answers what the gateway says. An error is of the source.
    pub(super) async fn send(
        self,
        remote: &mut Remote,
    ) -> Result<Result<wire::PublishAnswer, Status>, CommandError> {
        let Self { header, input, from } = self;
        let (failed, failure) = oneshot::channel();
        let sent = remote.calls.publish(parts(header, input, failed));
        tokio::select! {
            biased;
            Ok(error) = failure => Err(CommandError::file("read", &from, &error)),
            answer = sent => Ok(answer.map(tonic::Response::into_inner)),
        }
    }
}

fn parts(
    header: wire::PublishHeader,
    input: Box<dyn AsyncRead + Send + Unpin>,
    failed: oneshot::Sender<std::io::Error>,
) -> impl Stream<Item = wire::PublishRequest> {
    let request = |part| wire::PublishRequest { part: Some(part) };
    // A file says its length.
    let end = stream::iter(header.length.is_none().then(|| request(Part::Complete(true))));
    let first = stream::iter([request(Part::Header(header))]);
    let body = stream::unfold((input, failed), move |(mut input, failed)| async move {
        match piece(&mut input).await {
            Ok(piece) if piece.is_empty() => None,
            Ok(piece) => Some((request(Part::Body(piece)), (input, failed))),
            Err(error) => {
                let _ = failed.send(error);
                // An end would say that this was all.
                std::future::pending().await
            }
        }
    });
    first.chain(body).chain(end)
}

async fn piece(input: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Bytes> {
    let mut piece = BytesMut::with_capacity(PIECE);
    while piece.len() < PIECE && input.read_buf(&mut piece).await? > 0 {}
    Ok(piece.freeze())
}
