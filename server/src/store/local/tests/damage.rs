//! Databases with something else in them than was put there: errors, never panics, and never another slot's loss.

use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::support::{Author, folder, inline, open, outsider, rng};
use crate::store::local::LocalStore;
use crate::store::{Revision, Store, StoreError};

/// A closed store with the slots of two authors.
async fn two_slots() -> (TempDir, [Author; 2]) {
    let (folder, authors) = (folder(), [Author::new(1), Author::new(2)]);
    let store = open(&folder);
    for author in &authors {
        let manifest = author.manifest(1, inline(b"bytes"));
        store.replace(author.slot(), None, manifest).await.unwrap();
    }
    drop(store);
    (folder, authors)
}

#[tokio::test]
async fn a_slot_whose_rows_are_spoilt_is_damaged_and_its_neighbour_is_not() {
    let spoil = [
        "UPDATE slots SET floor_header = x'00' WHERE slot = 1",
        "UPDATE slots SET floor_header = NULL WHERE slot = 1",
        "UPDATE slots SET floor_signature = zeroblob(64) WHERE slot = 1",
        "UPDATE slots SET sealed = 0 WHERE slot = 1",
        "UPDATE slots SET sealed = -1 WHERE slot = 1",
        "UPDATE generations SET header = zeroblob(300) WHERE slot = 1",
        "UPDATE generations SET verify_key = zeroblob(32) WHERE slot = 1",
        "UPDATE generations SET signature = x'' WHERE slot = 1",
        "UPDATE generations SET conversation = x'0102' WHERE slot = 1",
        "UPDATE shares SET health = 2 WHERE generation = 1",
        "UPDATE shares SET share = 5 WHERE generation = 1",
        "UPDATE shares SET share = -1 WHERE generation = 1",
        "UPDATE extents SET share = 3 WHERE generation = 1 AND share = 0",
        "UPDATE extents SET share = -2 WHERE generation = 1 AND share = 0",
        "UPDATE extents SET share = 300 WHERE generation = 1 AND share = 0",
        "UPDATE extents SET inline = NULL WHERE generation = 1",
        "UPDATE extents SET start = 0 WHERE generation = 1",
        "UPDATE extents SET inline = zeroblob(65537) WHERE generation = 1",
        "UPDATE extents SET inline = NULL, chunk = x'01', start = 0, length = 1
         WHERE generation = 1",
        "UPDATE extents SET inline = NULL, chunk = zeroblob(16), start = -1, length = 1
         WHERE generation = 1",
        "UPDATE extents SET inline = NULL, chunk = zeroblob(16), start = 1,
         length = 9223372036854775807 WHERE generation = 1",
        "UPDATE certificates SET sequence_number = 2 WHERE slot = 1",
        "UPDATE certificates SET signature = zeroblob(64) WHERE slot = 1",
        "UPDATE ancestors SET signature = zeroblob(64) WHERE slot = 1",
        "UPDATE history SET sequence_number = 0 WHERE slot = 1",
        "UPDATE history SET version = x'' WHERE slot = 1",
        "UPDATE history SET committed_at = -1 WHERE slot = 1",
    ];
    for change in spoil {
        let (folder, [spoilt, sound]) = two_slots().await;
        let changed = outsider(folder.path()).execute(change, []).unwrap();
        assert!(changed > 0, "{change}");
        let store = open(&folder);
        let loaded = store.load(spoilt.slot()).await;
        assert!(matches!(loaded, Err(StoreError::Damaged)), "{change}");
        store.load(sound.slot()).await.unwrap().unwrap();
        // Whoever knows the revision, from before, can still put the slot right.
        let repaired = spoilt.manifest(2, inline(b"new"));
        store.replace(spoilt.slot(), Some(Revision(1)), repaired.clone()).await.unwrap();
        let (manifest, _) = store.load(spoilt.slot()).await.unwrap().unwrap();
        assert_eq!(manifest, repaired);
    }
}

#[tokio::test]
async fn a_slot_with_a_bad_revision_fails_alone_in_its_group() {
    let (folder, [spoilt, sound]) = two_slots().await;
    let change = "UPDATE slots SET revision = -1 WHERE slot = 1";
    outsider(folder.path()).execute(change, []).unwrap();
    let store = open(&folder);
    let replace = |author: &Author, sequence_number| {
        let manifest = author.manifest(sequence_number, inline(b"new"));
        store.replace(author.slot(), Some(Revision(1)), manifest)
    };
    let (refused, accepted) = futures::join!(replace(&spoilt, 2), replace(&sound, 2));
    assert!(matches!(refused, Err(StoreError::Damaged)));
    assert_eq!(accepted.unwrap(), Revision(2));
}

#[tokio::test]
async fn a_store_without_an_id_is_unusable() {
    for change in ["DELETE FROM store", "UPDATE store SET id = x'00'"] {
        let (folder, _) = two_slots().await;
        outsider(folder.path()).execute(change, []).unwrap();
        assert!(LocalStore::open(folder.path(), 0, rng(0)).is_err(), "{change}");
    }
}

#[tokio::test]
async fn a_database_cut_short_is_an_error() {
    let (whole, _) = two_slots().await;
    let bytes = fs::read(whole.path().join("slots.sqlite")).unwrap();
    for length in [1, 99, 100, 4096, 8192, bytes.len() - 1] {
        let folder = folder();
        fs::write(folder.path().join("slots.sqlite"), &bytes[..length]).unwrap();
        look_everywhere(&folder).await;
    }
}

/// Uses a store in every way there is. What comes back does not matter, as long as nobody panicked over it.
async fn look_everywhere(folder: &TempDir) {
    let _ = LocalStore::init(folder.path(), &mut rng(3));
    let _ = LocalStore::draw_new_id(folder.path(), &mut rng(3));
    let Ok(store) = LocalStore::open(folder.path(), 0, rng(3)) else {
        return;
    };
    for seed in 1..=2 {
        let author = Author::new(seed);
        let loaded = store.load(author.slot()).await;
        let revision = match &loaded {
            Ok(found) => found.as_ref().map(|(_, revision)| *revision),
            Err(_) => Some(Revision(1)),
        };
        let manifest = author.manifest(2, inline(b"new"));
        let replaced = store.replace(author.slot(), revision, manifest).await;
        for error in [loaded.err(), replaced.err()].into_iter().flatten() {
            let StoreError::Io { operation, source } = error else {
                continue;
            };
            panic!("{operation}: {source}: a thread died, or the test's disk is broken");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn flipped_bytes_of_the_database_are_no_panic(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (folder, _) = two_slots().await;
            let path = folder.path().join("slots.sqlite");
            let mut bytes = fs::read(&path).unwrap();
            for (at, flip) in flips {
                let at = at.index(bytes.len());
                bytes[at] ^= flip;
            }
            fs::write(&path, &bytes).unwrap();
            look_everywhere(&folder).await;
        });
    }
}
