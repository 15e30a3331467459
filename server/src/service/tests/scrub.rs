//! Scrubbing: what nobody reads is looked at all the same.

use std::num::NonZeroU64;

use tarn_proto::ShareHealth;

use super::read::{flip, health};
use super::*;
use crate::manifest::Extent;
use crate::scrub::{DamagedShare, Pace, Scrubbing, scrub};
use crate::store::memory::Operation;
use crate::testing::inline;

/// Bends one byte of a share that lies in the manifest.
fn bend(harness: &Harness, version: &Version, number: u8) {
    harness.tamper(|manifest| {
        let mut bent = bytes::BytesMut::from(&version.column(share(number))[..]);
        flip(&mut bent);
        let shares = &mut manifest.generations[0].shares;
        shares.get_mut(&share(number)).unwrap().content = inline(bent.freeze());
    });
}

async fn scrubbed(harness: &Harness) -> crate::scrub::Scrubbed {
    let scrubbed = scrub(Arc::new(harness.store.clone()), Pace::default()).await.unwrap();
    // It was not this server that scrubbed.
    harness.server.slots.forget_idle();
    scrubbed
}

#[tokio::test]
async fn what_is_damaged_is_found_and_marked_and_what_is_good_is_not() {
    let harness = Harness::start().await;
    let version = writer().version(1, 1, None);
    harness.publish(1, &version, &[0, 1]).await;
    let before = scrubbed(&harness).await;
    assert_eq!((before.slots, before.shares, before.damaged.len()), (1, 2, 0));
    let columns = version.column(share(0)).len() + version.column(share(1)).len();
    assert_eq!(before.bytes, (columns + version.table.bytes().len()) as u64);

    bend(&harness, &version, 1);
    let slot = writer().storage_index();
    let damaged = DamagedShare { slot, version: version.id(), share: share(1) };
    assert_eq!(scrubbed(&harness).await.damaged, [damaged]);
    assert_eq!(health(&harness).await, [ShareHealth::Whole, ShareHealth::Damaged]);
    assert_eq!(
        scrubbed(&harness).await.damaged,
        [damaged],
        "it stays damaged until it is replaced"
    );
    harness.stop().await;
}

#[tokio::test]
async fn a_bent_table_damages_every_share_of_its_version() {
    let harness = Harness::start().await;
    let version = writer().version(1, 1, None);
    harness.publish(1, &version, &[0, 2]).await;
    harness.tamper(|manifest| {
        let mut bent = bytes::BytesMut::from(&version.table.bytes()[..]);
        flip(&mut bent);
        manifest.generations[0].table = inline(bent.freeze());
    });
    let shares: Vec<_> = scrubbed(&harness).await.damaged.iter().map(|bad| bad.share).collect();
    assert_eq!(shares, [share(0), share(2)]);
    assert_eq!(health(&harness).await, [ShareHealth::Damaged; 2]);
    harness.stop().await;
}

#[tokio::test]
async fn a_chunk_is_read_to_its_end() {
    let harness = Harness::start().await;
    let version = writer().sized(1, 1, None, 64 << 10, 2 << 20);
    harness.publish(1, &version, &[0]).await;
    harness.tamper(|manifest| {
        let shares = &manifest.generations[0].shares;
        assert!(matches!(shares[&share(0)].content.0[0], Extent::Chunk { .. }));
    });
    assert_eq!(scrubbed(&harness).await.damaged, []);
    harness.store.tamper_chunk(harness.store.chunks()[0], flip);
    assert_eq!(scrubbed(&harness).await.damaged.len(), 1);
    harness.stop().await;
}

#[tokio::test]
async fn a_disk_that_fails_is_no_damage() {
    let harness = Harness::start().await;
    let version = writer().sized(1, 1, None, 64 << 10, 1 << 20);
    harness.publish(1, &version, &[0]).await;
    harness.store.fail_next(Operation::Read);
    let scrubbed = scrubbed(&harness).await;
    assert_eq!(scrubbed.unreadable, [writer().storage_index()]);
    assert_eq!(scrubbed.damaged, []);
    assert_eq!(health(&harness).await, [ShareHealth::Whole]);
    harness.stop().await;
}

#[tokio::test]
async fn a_server_finds_damage_by_itself_and_stops_when_it_is_told() {
    let pace = Pace { bytes_per_second: NonZeroU64::new(100 << 20) };
    let scrubbing = Some(Scrubbing { pace, rest: Duration::from_millis(1) });
    let harness = Harness::with(ServerConfig { scrubbing, ..ServerConfig::default() }).await;
    let version = writer().version(1, 1, None);
    harness.publish(1, &version, &[0]).await;
    bend(&harness, &version, 0);
    while health(&harness).await == [ShareHealth::Whole] {
        tokio::task::yield_now().await;
    }
    harness.stop().await;
}
