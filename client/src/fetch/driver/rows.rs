//! Rows that were read and verified, and who waits for them. Decides nothing: which to ask for, and of whom, is the
//! machine's.

use std::collections::VecDeque;
use std::ops::Range;

use tarn_proto::{Row, SignedHeader, Table};
use tokio::sync::watch;

use super::SILENCE_MAX;
use crate::transport::{ReadError, ServerClient};

/// The rows of some consecutive segments, verified.
#[derive(Debug, Clone)]
pub struct Rows {
    first: u32,
    rows: Vec<Row>,
}

impl Rows {
    /// All rows of a table.
    pub fn of(table: &Table) -> Self {
        Self { first: 0, rows: (0..).map_while(|segment| table.row(segment)).collect() }
    }

    /// Reads the rows of these segments from one server; all of them cheaply, a part with proofs.
    pub async fn read(
        server: &ServerClient,
        header: &SignedHeader,
        segments: Range<u32>,
    ) -> Result<Self, ReadError> {
        if segments == (0..header.header().geometry.segments()) {
            return Ok(Self::of(&server.read_table(header, SILENCE_MAX).await?));
        }
        let (first, count) = (segments.start, segments.end.saturating_sub(segments.start));
        let rows = server.read_rows(header, first, count, SILENCE_MAX).await?;
        Ok(Self { first, rows })
    }

    /// The row of this segment, if it was read.
    pub fn row(&self, segment: u32) -> Option<&Row> {
        self.rows.get(segment.checked_sub(self.first)? as usize)
    }

    fn end(&self) -> usize {
        self.first as usize + self.rows.len()
    }
}

/// The rows of a version that are here so far, for readers that began before them.
#[derive(Debug, Default)]
pub struct KnownRows(watch::Sender<VecDeque<Rows>>);

impl KnownRows {
    /// Adds some; whoever waits for them hears of it.
    pub fn put(&self, rows: Rows) {
        self.0.send_modify(|known| known.push_back(rows));
    }

    /// The row of this segment, if it is here.
    pub fn row(&self, segment: u32) -> Option<Row> {
        find(&self.0.borrow(), segment)
    }

    /// Forgets what lies before this segment, as far as it was read at once: nobody asks for it any more.
    pub fn forget_before(&self, segment: u32) {
        let is_past = |rows: &Rows| rows.end() <= segment as usize;
        self.0.send_if_modified(|known| {
            known.retain(|rows| !is_past(rows));
            false
        });
    }

    /// Someone who waits for rows.
    pub fn reader(&self) -> RowReader {
        RowReader(self.0.subscribe())
    }
}

impl From<Rows> for KnownRows {
    fn from(rows: Rows) -> Self {
        let known = Self::default();
        known.put(rows);
        known
    }
}

/// Waits for rows. See [`KnownRows::reader`].
#[derive(Debug, Clone)]
pub struct RowReader(watch::Receiver<VecDeque<Rows>>);

impl RowReader {
    /// The row of this segment, when it is here; never, if it will not come. Dropping the future loses nothing.
    pub(super) async fn row(&mut self, segment: u32) -> Row {
        let known = self.0.wait_for(|known| find(known, segment).is_some()).await;
        match known.ok().and_then(|known| find(&known, segment)) {
            Some(row) => row,
            None => std::future::pending().await,
        }
    }
}

fn find(known: &VecDeque<Rows>, segment: u32) -> Option<Row> {
    known.iter().find_map(|rows| rows.row(segment)).cloned()
}
