//! `--no-spool`: what comes through a pipe is published while it comes, and is kept nowhere. So it is encoded once, and
//! what was cut off is settled by asking.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream};
use tokio::io::AsyncRead;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::io::{InspectReader, StreamReader};

use super::file::{File, Meant};
use super::input::{self, Source};
use super::journal;
use super::one::{self, Ended, Place, Submitted};
use super::{Args, tell, watch};
use crate::cli::Global;
use crate::error::CommandError;
use crate::home::Home;
use crate::names::SharedNames;
use crate::session::Session;
use crate::unfinished::{self, Running};

/// Bytes read at a time: as many as a pipe holds.
const CHUNK: usize = 64 << 10;

/// Publishes standard input. Nothing is read of it before servers are there that would take it.
pub(super) async fn run(args: &Args, global: &Global, home: &Home) -> Result<(), CommandError> {
    if args.source != Source::Pipe {
        return Err(CommandError::usage(
            "--no-spool goes with -: a file is never copied before it is published",
        ));
    }
    let meant = Meant::of(args)?;
    let running = input::begin(home)?;
    let session = Session::open(global, home).await?;
    let ended = publish(args, meant, running, &session, home).await;
    let closed = session.close().await;
    ended.and(closed)
}

async fn publish(
    args: &Args,
    meant: Meant,
    running: Running,
    session: &Session,
    home: &Home,
) -> Result<(), CommandError> {
    let names = SharedNames::open(home.data())?;
    unfinished::sweep(&names.lock(), home)?;
    let file = File::find(args, meant, session, &mut names.lock())?;
    let place = Place { session, home, names };
    let options = one::options(args, &file, &running, journal::Input::Gone, &place)?;

    let counted = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&counted);
    let input = InspectReader::new(standard_input(), move |read: &[u8]| {
        counter.fetch_add(read.len() as u64, Ordering::Relaxed);
    });
    let mut publishing = session.client.publish_once(file.cap.clone(), input, options);
    let report = watch(&mut publishing, session).await?;
    let bytes = counted.load(Ordering::Relaxed);
    let submitted = Submitted { running, bytes, resumed: false, used_up: bytes > 0 };
    let ended = Ended::of(file, submitted, report, Some(publishing), &place).await?;
    tell(ended, args.json, &place).await
}

/// Standard input, from the moment on in which somebody reads it. A thread of its own does: one that waits for a pipe cannot
/// be called back, and must not hold up a process that is done.
fn standard_input() -> impl AsyncRead + Send + Unpin + 'static {
    let chunks = stream::once(async { ReceiverStream::new(read_on_a_thread()) }).flatten();
    StreamReader::new(Box::pin(chunks))
}

fn read_on_a_thread() -> mpsc::Receiver<io::Result<Bytes>> {
    let (chunks, taken) = mpsc::channel(1);
    std::thread::spawn(move || {
        let mut input = io::stdin().lock();
        while let Some(chunk) = read_chunk(&mut input).transpose() {
            let is_last = chunk.is_err();
            if chunks.blocking_send(chunk).is_err() || is_last {
                return;
            }
        }
    });
    taken
}

/// The next bytes; none at the end.
fn read_chunk(input: &mut impl Read) -> io::Result<Option<Bytes>> {
    let mut chunk = BytesMut::zeroed(CHUNK);
    loop {
        match input.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => {
                chunk.truncate(read?);
                return Ok((!chunk.is_empty()).then(|| chunk.freeze()));
            }
        }
    }
}
