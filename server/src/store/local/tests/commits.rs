//! Changing manifests: one at a time, all at once, and when the database fails.

use futures::future::join_all;
use futures::{FutureExt, poll};

use super::support::{
    Author, folder, in_chunk, inline, names, open, outsider, sequence, until, write_chunk,
};
use crate::manifest::Manifest;
use crate::store::{Revision, Store, StoreError};

#[tokio::test]
async fn a_slot_reads_back_what_was_written_also_after_a_restart() {
    let (folder, author) = (folder(), Author::new(1));
    let manifest = author.manifest(1, inline(b"bytes"));
    {
        let store = open(&folder);
        assert!(store.load(author.slot()).await.unwrap().is_none());
        let revision = store.replace(author.slot(), None, manifest.clone()).await.unwrap();
        assert_eq!(store.load(author.slot()).await.unwrap(), Some((manifest.clone(), revision)));
    }
    let store = open(&folder);
    assert_eq!(store.load(author.slot()).await.unwrap(), Some((manifest, Revision(1))));
}

#[tokio::test]
async fn what_was_sealed_is_remembered_after_a_restart_also_in_a_slot_never_committed() {
    let (folder, author) = (folder(), Author::new(1));
    let sealed = Manifest { sealed: Some(sequence(3)), ..Manifest::default() };
    let revision = open(&folder).replace(author.slot(), None, sealed.clone()).await.unwrap();
    let store = open(&folder);
    assert_eq!(store.load(author.slot()).await.unwrap(), Some((sealed, revision)));
    let higher = Manifest { sealed: Some(sequence(4)), ..author.manifest(1, inline(b"bytes")) };
    let revision = store.replace(author.slot(), Some(revision), higher.clone()).await.unwrap();
    drop(store);
    assert_eq!(open(&folder).load(author.slot()).await.unwrap(), Some((higher, revision)));
}

#[tokio::test]
async fn a_change_of_another_revision_is_refused_and_changes_nothing() {
    let (folder, author) = (folder(), Author::new(1));
    let (store, slot) = (open(&folder), author.slot());
    let first = author.manifest(1, inline(b"first"));
    let second = author.manifest(2, inline(b"second"));
    let early = store.replace(slot, Some(Revision(1)), first.clone()).await;
    assert!(matches!(early, Err(StoreError::Changed)));
    assert_eq!(store.load(slot).await.unwrap(), None);

    let revision = store.replace(slot, None, first.clone()).await.unwrap();
    for stale in [None, Some(Revision(revision.0 + 1))] {
        let refused = store.replace(slot, stale, second.clone()).await;
        assert!(matches!(refused, Err(StoreError::Changed)));
    }
    assert_eq!(store.load(slot).await.unwrap(), Some((first, revision)));
    let next = store.replace(slot, Some(revision), second).await.unwrap();
    assert!(next > revision);
}

#[tokio::test]
async fn changes_that_wait_share_one_transaction_and_one_refusal_fails_no_other() {
    let folder = folder();
    let store = open(&folder);
    let authors: Vec<Author> = (1..=40).map(Author::new).collect();
    let mut outsider = outsider(folder.path());
    let other =
        outsider.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
    let mut changes: Vec<_> = authors
        .iter()
        .map(|author| {
            let manifest = author.manifest(1, inline(b"bytes"));
            store.replace(author.slot(), None, manifest).boxed_local()
        })
        .collect();
    let twice = authors[0].manifest(2, inline(b"late"));
    changes.push(store.replace(authors[0].slot(), None, twice).boxed_local());
    for change in &mut changes {
        assert!(poll!(change).is_pending());
    }
    other.commit().unwrap();

    let mut answers = join_all(changes).await;
    assert!(matches!(answers.pop(), Some(Err(StoreError::Changed))));
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(store.transactions(), 1);
    drop(store);
    let store = open(&folder);
    for author in &authors {
        let (manifest, _) = store.load(author.slot()).await.unwrap().unwrap();
        assert_eq!(manifest, author.manifest(1, inline(b"bytes")));
    }
}

#[tokio::test]
async fn a_change_goes_on_when_its_caller_is_dropped() {
    let (folder, author) = (folder(), Author::new(1));
    let manifest = author.manifest(1, inline(b"bytes"));
    {
        let store = open(&folder);
        let mut change = store.replace(author.slot(), None, manifest.clone()).boxed_local();
        let _ = poll!(&mut change);
    }
    let (stored, _) = open(&folder).load(author.slot()).await.unwrap().unwrap();
    assert_eq!(stored, manifest);
}

#[tokio::test]
async fn a_commit_that_fails_changes_nothing_and_the_next_one_works() {
    let (folder, author) = (folder(), Author::new(1));
    let (store, slot) = (open(&folder), author.slot());
    let outsider = outsider(folder.path());
    outsider.execute_batch(FAIL_COMMITS_OF_SLOTS).unwrap();
    let manifest = author.manifest(1, inline(b"bytes"));
    let failed = store.replace(slot, None, manifest.clone()).await;
    assert!(matches!(failed, Err(StoreError::Database { .. })));
    assert_eq!(store.load(slot).await.unwrap(), None);

    outsider.execute_batch("DROP TRIGGER fails").unwrap();
    store.replace(slot, None, manifest.clone()).await.unwrap();
    assert_eq!(store.load(slot).await.unwrap().unwrap().0, manifest);
}

#[tokio::test]
async fn while_a_commit_is_in_doubt_no_slot_is_spoken_of() {
    let (folder, author) = (folder(), Author::new(1));
    let (store, slot) = (open(&folder), author.slot());
    let outsider = outsider(folder.path());
    outsider.execute_batch(FAIL_COMMITS_OF_SLOTS).unwrap();
    outsider.execute_batch(FAIL_SETTLING).unwrap();
    let manifest = author.manifest(1, inline(b"bytes"));
    let failed = store.replace(slot, None, manifest.clone()).await;
    assert!(matches!(failed, Err(StoreError::Database { .. })));
    assert!(matches!(store.load(slot).await, Err(StoreError::Io { .. })));
    let failed = store.replace(slot, None, manifest.clone()).await;
    assert!(matches!(failed, Err(StoreError::Database { .. })));

    outsider.execute_batch("DROP TRIGGER fails; DROP TRIGGER fails_too").unwrap();
    store.replace(slot, None, manifest.clone()).await.unwrap();
    assert_eq!(store.load(slot).await.unwrap().unwrap().0, manifest);
}

#[tokio::test]
async fn a_commit_in_doubt_is_settled_and_its_chunk_collected_when_the_disk_is_well_again() {
    let (folder, author) = (folder(), Author::new(1));
    let (store, slot) = (open(&folder), author.slot());
    let outsider = outsider(folder.path());
    outsider.execute_batch(FAIL_COMMITS_OF_SLOTS).unwrap();
    outsider.execute_batch(FAIL_SETTLING).unwrap();
    let chunk = write_chunk(&store, b"bytes").await;
    let failed = store.replace(slot, None, author.manifest(1, in_chunk(&chunk, 5))).await;
    assert!(matches!(failed, Err(StoreError::Database { .. })));
    drop(chunk);
    assert!(matches!(store.load(slot).await, Err(StoreError::Io { .. })));

    outsider.execute_batch("DROP TRIGGER fails; DROP TRIGGER fails_too").unwrap();
    // Nobody asks for a change, as nobody can load a slot to change it.
    until(async || store.load(slot).await.is_ok()).await;
    assert_eq!(store.load(slot).await.unwrap(), None);
    until(async || names(folder.path(), "chunks").is_empty()).await;
}

#[tokio::test]
async fn a_manifest_of_another_file_is_refused() {
    let (folder, author) = (folder(), Author::new(1));
    let store = open(&folder);
    let foreign = Author::new(2).manifest(1, inline(b"bytes"));
    let refused = store.replace(author.slot(), None, foreign).await;
    assert!(matches!(refused, Err(StoreError::Io { .. })));
    assert_eq!(store.load(author.slot()).await.unwrap(), None);
}

#[tokio::test]
async fn an_emptied_manifest_is_not_a_slot_never_written() {
    let (folder, author) = (folder(), Author::new(1));
    let (store, slot) = (open(&folder), author.slot());
    let manifest = author.manifest(1, inline(b"bytes"));
    let revision = store.replace(slot, None, manifest).await.unwrap();
    let empty = Manifest::default();
    let revision = store.replace(slot, Some(revision), empty.clone()).await.unwrap();
    assert_eq!(store.load(slot).await.unwrap(), Some((empty, revision)));
}

/// A dangling reference that is only looked at when the transaction commits.
const FAIL_COMMITS_OF_SLOTS: &str = "
    CREATE TABLE dangling (slot INTEGER REFERENCES slots DEFERRABLE INITIALLY DEFERRED);
    CREATE TRIGGER fails AFTER INSERT ON slots BEGIN INSERT INTO dangling VALUES (-1); END;";

const FAIL_SETTLING: &str = "
    CREATE TRIGGER fails_too BEFORE UPDATE ON store BEGIN SELECT RAISE(ABORT, 'no'); END;";
