//! Compaction: what updates scatter is written together again, and nobody who reads or writes meanwhile is the worse for it.
#![expect(
    clippy::single_range_in_vec_init,
    reason = "touched segments are ranges of which there may be one"
)]

use std::ops::Range;

use super::read::read_blocks;
use super::update::{commit_update, finalize, holds, manifest, update};
use super::*;
use crate::store::memory::Operation;

const LENGTH: u64 = 8192 * 100;

/// A server on which a version was changed in so many places, one after the other; and the last version.
async fn scattered(harness: &Harness, times: u8) -> Version {
    let mut base = writer().sized(1, 1, None, 4096, LENGTH);
    harness.publish(1, &base, &[0]).await;
    for label in 2..2 + times {
        base = change(harness, &base, label).await;
    }
    base
}

async fn change(harness: &Harness, base: &Version, label: u8) -> Version {
    let segment = 2 * u32::from(label);
    let touched: [Range<u32>; 1] = [segment..segment + 1];
    let next = base.updated(label, &touched, LENGTH);
    commit_update(harness, update(label, base, &next, &[0], &touched), &next).await;
    finalize(harness, &next).await;
    next
}

async fn extents(harness: &Harness) -> usize {
    manifest(harness).await.generations[0].shares[&share(0)].content.0.len()
}

#[tokio::test]
async fn a_share_in_many_extents_becomes_one_chunk() {
    let harness = Harness::start().await;
    let version = scattered(&harness, 20).await;
    until(|| async { extents(&harness).await <= 32 }).await;
    holds(&harness, &version, &[0]).await;
    // It goes on as any other does.
    let next = change(&harness, &version, 40).await;
    holds(&harness, &next, &[0]).await;
    harness.stop().await;
}

#[tokio::test]
async fn the_chunks_that_it_lay_in_are_deleted() {
    let harness = Harness::start().await;
    let version = scattered(&harness, 15).await;
    // The last change makes one extent too many, and is the last: all is in one chunk then.
    let version = change(&harness, &version, 30).await;
    until(|| async { extents(&harness).await == 1 && harness.store.chunks().len() == 1 }).await;
    holds(&harness, &version, &[0]).await;
    harness.stop().await;
}

#[tokio::test]
async fn a_disk_that_fails_leaves_it_scattered_until_the_next_change() {
    for operation in [Operation::Append, Operation::Finish, Operation::Read] {
        let harness = Harness::start().await;
        let version = scattered(&harness, 15).await;
        let chunks = harness.store.chunks().len();
        let touched = [60..61];
        let next = version.updated(30, &touched, LENGTH);
        let mut talk = harness.talk(update(30, &version, &next, &[0], &touched)).await;
        talk.sealed().await;
        harness.store.fail_next(operation);
        talk.send(commit(&next)).await;
        assert!(matches!(talk.answer().await, Ok(Some(Answer::Written(_)))));
        until(|| async {
            !harness.store.will_fail() && harness.store.chunks().len() <= chunks + 1
        })
        .await;
        assert!(extents(&harness).await > 32);
        let last = change(&harness, &next, 40).await;
        until(|| async { extents(&harness).await <= 32 }).await;
        holds(&harness, &last, &[0]).await;
        harness.stop().await;
    }
}

#[tokio::test]
async fn who_reads_all_the_while_reads_the_version() {
    let harness = Harness::start().await;
    let version = scattered(&harness, 15).await;
    let last = change(&harness, &version, 30).await;
    let mut reads = 0;
    loop {
        let runs = read_blocks(&harness, last.id(), 0, 0, 100).await.unwrap();
        let read: Vec<_> = runs.iter().flat_map(|run| run.data.to_vec()).collect();
        assert_eq!(read, last.column(share(0)));
        reads += 1;
        if extents(&harness).await == 1 && reads > 3 {
            break;
        }
    }
    harness.stop().await;
}
