//! Lanes: each carries the blocks of some shares towards one server, at that server's pace. Does not know servers.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tarn_proto::{Geometry, Row, ShareNumber};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::encode::segment::CodedSegment;

/// Pieces that wait in a lane at most before it holds up the pass.
pub const LANE_PIECES: usize = 4;
/// Coded bytes that a lane which holds up the pass keeps in memory: every piece keeps its whole segment.
const WAITING_MAX: usize = 4 << 20;
/// How often a lane that holds up its pass is reported.
pub const REPORT_EVERY: Duration = Duration::from_millis(200);

/// Names a lane in reports; chosen by whoever makes the lanes, and different for each lane of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId(pub u64);

/// The pass's end of a lane.
#[derive(Debug)]
pub struct Lane {
    id: LaneId,
    shares: Vec<ShareNumber>,
    pieces: mpsc::Sender<LanePiece>,
}

/// One segment's worth for one lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LanePiece {
    /// The segment.
    pub segment: u32,
    /// Its row of the table.
    pub row: Row,
    /// The blocks of the lane's shares, in the order in which the lane names them.
    pub blocks: Vec<(ShareNumber, Bytes)>,
}

/// A lane does not take its next piece, so no lane gets any: drop its receiver to go on without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocked {
    /// The lane.
    pub lane: LaneId,
    /// Since when the piece has been waiting.
    pub since: Instant,
}

impl Lane {
    /// A lane for these shares, and its other end. That the pieces end does not say that all came: the result of
    /// the pass does.
    pub fn new(
        id: LaneId,
        shares: Vec<ShareNumber>,
        geometry: &Geometry,
    ) -> (Self, mpsc::Receiver<LanePiece>) {
        let segment = usize::from(geometry.n()) * geometry.block_size() as usize;
        let (pieces, receiver) = mpsc::channel((WAITING_MAX / segment).clamp(1, LANE_PIECES));
        (Self { id, shares, pieces }, receiver)
    }

    fn piece(&self, coded: &CodedSegment) -> LanePiece {
        let block = |&share: &ShareNumber| Some((share, coded.blocks.get(share.index())?.clone()));
        LanePiece {
            segment: coded.segment,
            row: coded.row.clone(),
            blocks: self.shares.iter().filter_map(block).collect(),
        }
    }
}

/// Gives every lane its piece of one segment, all at once so that a slow lane does not delay the others' pieces, and
/// drops the lanes whose receivers are gone.
pub(super) async fn hand_out(
    lanes: &mut Vec<Lane>,
    coded: &CodedSegment,
    report: &mut impl FnMut(Blocked),
) {
    let since = Instant::now();
    let mut waiting: BTreeSet<LaneId> = lanes.iter().map(|lane| lane.id).collect();
    let mut gone = BTreeSet::new();
    let mut sends: FuturesUnordered<_> = lanes
        .iter()
        .map(|lane| async { (lane.id, lane.pieces.send(lane.piece(coded)).await) })
        .collect();
    let mut ticks = interval_at(since + REPORT_EVERY, REPORT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            sent = sends.next() => match sent {
                None => break,
                Some((lane, result)) => {
                    waiting.remove(&lane);
                    if result.is_err() {
                        gone.insert(lane);
                    }
                }
            },
            _ = ticks.tick() => {
                for &lane in &waiting {
                    report(Blocked { lane, since });
                }
            }
        }
    }
    drop(sends);
    lanes.retain(|lane| !gone.contains(&lane.id));
}
