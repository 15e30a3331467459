//! What computes and reads without any server: an encoding pass, and the spool. Their work ends on its threads; nothing
//! of it is left.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::join_all;
use tarn_client::caps::WriteCap;
use tarn_client::encode::SegmentEncoder;
use tarn_client::encode::pass::{Lane, LaneId, Pass, Reading};
use tarn_client::encode::reproduce::reproduces;
use tarn_client::encode::source::Source;
use tarn_client::encode::spool::{Spool, SpoolError};
use tarn_client::encode::workers::Workers;
use tarn_drops::{Table, runtime, until_blocking_is_done};
use tarn_proto::{
    AttemptId, Geometry, Header, SequenceNumber, Shape, ShareNumber, StoreId, Window, merkle,
};
use tokio::io::{AsyncRead, ReadBuf};
use zeroize::Zeroizing;

const LENGTH: usize = 600_000;

#[test]
fn dropped_work_leaves_no_file_and_holds_nothing() {
    runtime().block_on(async {
        let mut table = Table::new("passes and spools");
        for workers in [Workers::Threads, Workers::InPlace] {
            passed(&mut table, workers).await;
            reproduced(&mut table, workers).await;
        }
        ran(&mut table).await;
        spooled(&mut table).await;
        spooled_under_a_name(&mut table).await;
    });
}

fn content() -> Bytes {
    Bytes::from_static(&[3; LENGTH])
}

fn cap() -> WriteCap {
    WriteCap::from_secret(Zeroizing::new([7; 32]))
}

fn encoder() -> Arc<SegmentEncoder> {
    let geometry = Geometry::choose(Shape::new(2, 2, 3).unwrap(), LENGTH as u64).unwrap();
    let attempt = AttemptId::new([1; 16]);
    let cap = cap().read_cap();
    Arc::new(SegmentEncoder::new(&cap, geometry, attempt, SequenceNumber::FIRST))
}

/// From a file, whose every reading is a file that is open.
async fn passed(table: &mut Table, workers: Workers) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("content");
    std::fs::write(&path, content()).unwrap();
    let encoder = encoder();
    let make = async || {
        let pass = Pass {
            source: Source::file(&path).unwrap(),
            segments: 0..encoder.geometry().segments(),
            encoder: Arc::clone(&encoder),
            reading: Reading::First,
            workers,
        };
        let geometry = encoder.geometry();
        let lane =
            |share: ShareNumber| Lane::new(LaneId(share.get().into()), vec![share], geometry);
        let (lanes, mut taken): (Vec<_>, Vec<_>) = ShareNumber::all(3).map(lane).unzip();
        async move {
            let taking =
                join_all(taken.iter_mut().map(async |lane| while lane.recv().await.is_some() {}));
            tokio::join!(pass.run(lanes, |_| {}), taking).0.unwrap()
        }
    };
    let after = async |outcome: Option<Vec<_>>| {
        assert!(outcome.is_none_or(|leaves| leaves.len() == 5));
        until_blocking_is_done().await;
        assert_eq!((Arc::strong_count(&encoder), open_below(folder.path())), (1, 0));
    };
    table.polls(&format!("Pass::run, {workers:?}"), make, after).await;
}

async fn reproduced(table: &mut Table, workers: Workers) {
    let (write_cap, encoder) = (cap(), encoder());
    let cap = write_cap.read_cap();
    let pass = Pass {
        source: Source::Bytes(content()),
        segments: 0..encoder.geometry().segments(),
        encoder: Arc::clone(&encoder),
        reading: Reading::First,
        workers,
    };
    let rows = pass.run(Vec::new(), |_| {}).await.unwrap();
    let header = Header {
        tombstone: false,
        storage_index: write_cap.verify_cap().storage_index(),
        sequence_number: SequenceNumber::FIRST,
        predecessor: None,
        shape: Shape::new(2, 2, 3).unwrap(),
        geometry: *encoder.geometry(),
        table_root: merkle::root(&rows),
        attempt: AttemptId::new([1; 16]),
        key_check: cap.key_check(),
        window: Window::new(vec![StoreId::new([1; 16])]).unwrap(),
        joint: None,
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("content");
    std::fs::write(&path, content()).unwrap();
    let source = Source::file(&path).unwrap();
    let make = async || reproduces(&cap, &header, &source, workers);
    let after = async |outcome: Option<Result<bool, _>>| {
        assert!(outcome.is_none_or(|same| same.is_ok_and(|same| same)));
        until_blocking_is_done().await;
        assert_eq!(open_below(folder.path()), 0);
    };
    table.polls(&format!("reproduces, {workers:?}"), make, after).await;
}

/// The work itself goes on, and what came of it goes with it.
async fn ran(table: &mut Table) {
    let held = Arc::new(());
    let make = async || {
        let held = Arc::clone(&held);
        Workers::Threads.run(move || held)
    };
    let after = async |outcome: Option<_>| {
        drop(outcome);
        until_blocking_is_done().await;
        assert_eq!(Arc::strong_count(&held), 1);
    };
    table.polls("Workers::run", make, after).await;
}

async fn spooled(table: &mut Table) {
    let folder = tempfile::tempdir().unwrap();
    let make = async || Spool::fill(Pipe::of(LENGTH), folder.path(), LENGTH as u64);
    let after = async |outcome: Option<Result<Spool, SpoolError>>| {
        assert!(outcome.is_none_or(|spool| spool.unwrap().length() == LENGTH as u64));
        until_blocking_is_done().await;
        assert!(nothing_below(folder.path()));
    };
    table.polls("Spool::fill", make, after).await;
}

async fn spooled_under_a_name(table: &mut Table) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("input");
    for (operation, limit) in
        [("Spool::fill_named", LENGTH), ("Spool::fill_named, too much", LENGTH - 1)]
    {
        let make = async || Spool::fill_named(Pipe::of(LENGTH), &path, limit as u64);
        let after = async |outcome: Option<Result<Spool, SpoolError>>| {
            if let Some(outcome) = outcome {
                assert_eq!(outcome.is_ok(), limit == LENGTH);
                if outcome.is_ok() {
                    assert_eq!(Spool::open(&path).unwrap().length(), LENGTH as u64);
                    std::fs::remove_file(&path).unwrap();
                }
            }
            until_blocking_is_done().await;
            assert!(nothing_below(folder.path()));
        };
        table.polls(operation, make, after).await;
    }
}

fn nothing_below(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().count() == 0 && open_below(folder) == 0
}

/// How many files of a folder this process has open, those included that have no name any more.
fn open_below(folder: &Path) -> usize {
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    // One that was closed meanwhile has no link to read.
    let files = open.filter_map(|file| std::fs::read_link(file.unwrap().path()).ok());
    files.filter(|path| path.starts_with(folder)).count()
}

/// An input that comes in pieces, each of which must be waited for.
struct Pipe {
    left: usize,
    waited: bool,
}

impl Pipe {
    const PIECE: usize = 150_000;

    const fn of(length: usize) -> Self {
        Self { left: length, waited: false }
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        self.waited = !self.waited;
        if self.waited {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let count = self.left.min(Self::PIECE).min(buffer.remaining());
        buffer.put_slice(&[3; Self::PIECE][..count]);
        self.left -= count;
        Poll::Ready(Ok(()))
    }
}
