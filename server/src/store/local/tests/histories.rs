//! A history is written as it changes: a little, however long it is.

use std::path::Path;

use super::support::{Author, folder, inline, open, outsider, record};
use crate::manifest::{History, Manifest};
use crate::store::Store;

const LONG: u64 = 5_000;

fn remembering(author: &Author, numbers: std::ops::RangeInclusive<u64>) -> Manifest {
    let history = numbers.map(record).collect();
    Manifest { history, ..author.manifest(1, inline(b"bytes")) }
}

/// The lowest and the highest position, and how many there are.
fn positions(folder: &Path) -> (i64, i64, i64) {
    let asked = "SELECT min(position), max(position), count(*) FROM history";
    let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    outsider(folder).query_row(asked, [], row).unwrap()
}

#[tokio::test]
async fn only_what_changes_of_a_history_is_written() {
    let (folder, author) = (folder(), Author::new(1));
    let store = open(&folder);
    let slot = author.slot();
    let mut manifest = remembering(&author, 1..=LONG);
    let mut revision = store.replace(slot, None, manifest.clone()).await.unwrap();
    // What is gone behind its back would come back if all of it were written again.
    let gone = "DELETE FROM history WHERE position = 2000";
    assert_eq!(outsider(folder.path()).execute(gone, []).unwrap(), 1);
    for number in LONG + 1..=LONG + 10 {
        manifest.history.remember(record(number));
        manifest.history.forget(3);
        revision = store.replace(slot, Some(revision), manifest.clone()).await.unwrap();
    }
    let (first, last, count) = positions(folder.path());
    assert_eq!((first, last, count), (30, 5_009, 4_979));
}

#[tokio::test]
async fn a_history_with_a_hole_is_written_anew() {
    let (folder, author) = (folder(), Author::new(1));
    let slot = author.slot();
    let store = open(&folder);
    store.replace(slot, None, remembering(&author, 1..=100)).await.unwrap();
    drop(store);
    let gone = "DELETE FROM history WHERE position = 50";
    assert_eq!(outsider(folder.path()).execute(gone, []).unwrap(), 1);
    let store = open(&folder);
    let (mut manifest, revision) = store.load(slot).await.unwrap().unwrap();
    assert_eq!(manifest.history.len(), 99);
    manifest.history.remember(record(101));
    store.replace(slot, Some(revision), manifest.clone()).await.unwrap();
    assert_eq!(positions(folder.path()), (0, 99, 100));
    assert_eq!(store.load(slot).await.unwrap().unwrap().0, manifest);
}

#[tokio::test]
async fn a_history_may_change_anywhere() {
    let (folder, author) = (folder(), Author::new(1));
    let slot = author.slot();
    let mut revision = None;
    let store = open(&folder);
    let every_other = || (1..200).map(|number| record(2 * number));
    let mut inserted: History = every_other().collect();
    inserted.remember(record(101));
    let again = crate::manifest::HistoryRecord { committed_at: 7, ..record(100) };
    let mut renewed = inserted.clone();
    renewed.remember(again);
    for history in [
        every_other().collect(),
        inserted,
        renewed,
        every_other().skip(150).collect(),
        History::default(),
        every_other().take(3).collect(),
    ] {
        let manifest = Manifest { history, ..author.manifest(1, inline(b"bytes")) };
        revision = Some(store.replace(slot, revision, manifest.clone()).await.unwrap());
        assert_eq!(store.load(slot).await.unwrap().unwrap().0, manifest);
    }
}
