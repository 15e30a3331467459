//! Making, opening and restoring folders.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use bytes::Bytes;
use tempfile::TempDir;

use super::support::{Author, folder, in_chunk, names, open, outsider, rng, write_chunk};
use crate::store::local::{InitError, LocalStore, OpenError, Recovered};
use crate::store::{Store, StoreError};

#[test]
fn a_folder_is_initialised_once() {
    let parent = TempDir::new().unwrap();
    let path = parent.path().join("not/there/yet");
    let id = LocalStore::init(&path, &mut rng(7)).unwrap();
    let again = LocalStore::init(&path, &mut rng(8));
    assert!(matches!(again, Err(InitError::AlreadyInitialised { .. })));
    assert_eq!(LocalStore::open(&path, 0, rng(9)).unwrap().id(), id);
}

#[test]
fn a_folder_with_other_files_is_refused_and_left_alone() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("thesis.txt"), "years").unwrap();
    let refused = LocalStore::init(folder.path(), &mut rng(0));
    assert!(matches!(refused, Err(InitError::NotEmpty { .. })));
    let refused = LocalStore::open(folder.path(), 0, rng(0));
    assert!(matches!(refused, Err(OpenError::NotInitialised { .. })));
    assert_eq!(names(folder.path(), "."), ["thesis.txt"]);
}

#[test]
fn an_initialisation_that_was_cut_off_can_be_made_again() {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("chunks")).unwrap();
    fs::write(folder.path().join("slots.sqlite"), "").unwrap();
    let refused = LocalStore::open(folder.path(), 0, rng(0));
    assert!(matches!(refused, Err(OpenError::NotInitialised { .. })));
    LocalStore::init(folder.path(), &mut rng(0)).unwrap();
    open(&folder);
}

#[test]
fn one_folder_is_open_once_at_a_time() {
    let folder = folder();
    let first = open(&folder);
    let second = LocalStore::open(folder.path(), 0, rng(0));
    assert!(matches!(second, Err(OpenError::InUse { .. })));
    let renewed = LocalStore::draw_new_id(folder.path(), &mut rng(0));
    assert!(matches!(renewed, Err(OpenError::InUse { .. })));
    drop(first);
    open(&folder);
}

#[test]
fn initialising_a_store_that_is_open_does_not_touch_its_database() {
    let folder = folder();
    let _open = open(&folder);
    let again = LocalStore::init(folder.path(), &mut rng(8));
    assert!(matches!(again, Err(InitError::InUse { .. })));
}

#[test]
fn a_restored_folder_gets_an_id_of_its_own() {
    let folder = folder();
    let before = open(&folder).id();
    let drawn = LocalStore::draw_new_id(folder.path(), &mut rng(5)).unwrap();
    assert_ne!(before, drawn);
    assert_eq!(open(&folder).id(), drawn);
}

#[tokio::test]
async fn only_the_owner_can_look_inside() {
    let folder = folder();
    let store = open(&folder);
    drop(write_chunk(&store, b"bytes").await);
    let mode = |path: &str| {
        let found = fs::metadata(folder.path().join(path)).unwrap();
        found.permissions().mode() & 0o777
    };
    for path in [".", "staging", "chunks"] {
        assert_eq!(mode(path), 0o700, "{path}");
    }
    for path in ["lock", "slots.sqlite", "slots.sqlite-wal"] {
        assert_eq!(mode(path), 0o600, "{path}");
    }
}

#[tokio::test]
async fn space_is_what_the_disk_has_less_the_reserve() {
    let folder = folder();
    assert!(open(&folder).space().await.unwrap().free_bytes > 0);
    let greedy = LocalStore::open(folder.path(), u64::MAX, rng(0)).unwrap();
    assert_eq!(greedy.space().await.unwrap().free_bytes, 0);
}

#[tokio::test]
async fn opening_removes_what_no_manifest_names() {
    let (folder, author) = (folder(), Author::new(1));
    {
        let store = open(&folder);
        let chunk = write_chunk(&store, b"bytes").await;
        let manifest = author.manifest(1, in_chunk(&chunk, 5));
        store.replace(author.slot(), None, manifest).await.unwrap();
    }
    let named = names(folder.path(), "chunks");
    let orphan = folder.path().join("chunks").join("0".repeat(32));
    fs::write(orphan, "orphan").unwrap();
    fs::write(folder.path().join("staging/half"), "half").unwrap();
    fs::write(folder.path().join("chunks/README"), "not ours").unwrap();

    let store = open(&folder);
    let recovered = Recovered { slots: 1, chunks: 1, unfinished: 1, unnamed: 1 };
    assert_eq!(store.recovered(), Some(&recovered));
    assert_eq!(names(folder.path(), "staging"), [""; 0]);
    let mut left = names(folder.path(), "chunks");
    left.retain(|name| name != "README");
    assert_eq!((left.len(), left), (1, named));
    let (manifest, _) = store.load(author.slot()).await.unwrap().unwrap();
    let content = &manifest.generations[0].shares[&super::support::share(0)].content;
    assert_eq!(store.read(content, 0, 5).await.unwrap().as_ref(), b"bytes");
}

#[tokio::test]
async fn a_store_of_the_format_before_is_made_ours_when_it_is_opened() {
    let (folder, author) = (folder(), Author::new(1));
    let mut held = author.manifest(1, super::support::inline(b"bytes"));
    open(&folder).replace(author.slot(), None, held.clone()).await.unwrap();
    let before = "ALTER TABLE generations DROP COLUMN page_roots; PRAGMA user_version = 3";
    outsider(folder.path()).execute_batch(before).unwrap();

    let store = open(&folder);
    held.generations[0].page_roots = Bytes::new();
    let (found, revision) = store.load(author.slot()).await.unwrap().unwrap();
    assert_eq!(found, held);
    held.generations[0].page_roots = Bytes::from_static(b"found since");
    store.replace(author.slot(), Some(revision), held.clone()).await.unwrap();
    drop(store);
    assert_eq!(open(&folder).load(author.slot()).await.unwrap().unwrap().0, held);
}

#[test]
fn newer_unknown_and_foreign_databases_are_refused_and_not_rewritten() {
    let spoil = [
        "PRAGMA user_version = 5",
        "PRAGMA user_version = 2",
        "PRAGMA user_version = 0",
        "PRAGMA user_version = -1",
        "PRAGMA application_id = 1",
    ];
    for change in spoil {
        let folder = folder();
        outsider(folder.path()).execute_batch(change).unwrap();
        let before = fs::read(folder.path().join("slots.sqlite")).unwrap();
        let refused = LocalStore::open(folder.path(), 0, rng(0));
        let Err(OpenError::Store(StoreError::Unusable { reason })) = refused.map(|_| ()) else {
            panic!("{change} was accepted");
        };
        assert!(!reason.is_empty());
        assert!(LocalStore::init(folder.path(), &mut rng(0)).is_err());
        let after = fs::read(folder.path().join("slots.sqlite")).unwrap();
        assert_eq!(before, after, "{change}");
    }
}
