//! The journal, in a database of any format.

use tarn_proto::geometry::Geometry;
use tarn_proto::{AttemptId, Header, SignedHeader};

use super::*;

fn entry(seed: u8) -> JournalEntry {
    let header = Header {
        tombstone: false,
        storage_index: cap(seed).verify_cap().storage_index(),
        sequence_number: SequenceNumber::FIRST,
        predecessor: None,
        shape: Shape::default(),
        geometry: Geometry::new(Shape::default(), 1, 0).unwrap(),
        table_root: tarn_proto::merkle::empty_root(),
        attempt: AttemptId::new([seed; 16]),
        key_check: [0; 16],
        window: Window::new(vec![StoreId::new([1; 16])]).unwrap(),
        joint: None,
    };
    JournalEntry {
        signed: SignedHeader::sign(&cap(seed).signing_key(), header),
        placement: serde_json::json!({ "0": "0101" }),
        written_at: NOW,
        input: Some(PathBuf::from("/a/x")),
        part: false,
    }
}

#[test]
fn a_journalled_publish_survives_its_process_and_keeps_the_name() {
    let (folder, mut names) = names();
    let grid = grid(1);
    created(
        names.create_or_find(&path("/a/x"), on("g", &grid), NOW, || new_file(1, &grid)).unwrap(),
    );
    let (ours, others) = (entry(1), entry(2));
    names.journal_write(&ours).unwrap();
    names.journal_write(&others).unwrap();
    drop(names);

    let mut names = Names::open(folder.path()).unwrap();
    let file = ours.signed.header().storage_index;
    assert_eq!(names.journal_pending(Some(file)).unwrap(), vec![ours.clone()]);
    assert!(matches!(names.forget(&name("x")), Err(NamesError::Unsettled(_))));
    names.journal_clear(ours.signed.version()).unwrap();
    assert_eq!(names.journal_pending(Some(file)).unwrap(), vec![]);
    names.forget(&name("x")).unwrap();
}

#[test]
fn a_database_of_a_newer_tarn_is_left_alone() {
    let (folder, names) = names();
    names.connection.pragma_update(None, "user_version", 4).unwrap();
    drop(names);
    let error = Names::open(folder.path()).unwrap_err();
    assert!(matches!(error, NamesError::OtherFormat { found: 4, .. }));
}

#[test]
fn a_database_of_the_first_format_keeps_its_journal() {
    let (folder, mut names) = names();
    names.journal_write(&entry(1)).unwrap();
    names
        .connection
        .execute_batch(
            "ALTER TABLE journal DROP COLUMN input; ALTER TABLE journal DROP COLUMN part;
             DROP TABLE suspect; PRAGMA user_version = 1",
        )
        .unwrap();
    drop(names);
    let mut names = Names::open(folder.path()).unwrap();
    let kept = JournalEntry { input: None, ..entry(1) };
    assert_eq!(names.journal_pending(None).unwrap(), vec![kept.clone()]);
    names.journal_write(&entry(2)).unwrap();
    let mut both = names.journal_pending(None).unwrap();
    both.sort_by_key(|entry| entry.signed.header().attempt);
    assert_eq!(both, vec![kept, entry(2)]);
    assert_eq!(names.suspects().unwrap(), Suspects::default());
}

#[test]
fn a_database_of_the_second_format_has_no_parts() {
    let (folder, mut names) = names();
    names.journal_write(&entry(1)).unwrap();
    names
        .connection
        .execute_batch("ALTER TABLE journal DROP COLUMN part; PRAGMA user_version = 2")
        .unwrap();
    drop(names);
    let mut names = Names::open(folder.path()).unwrap();
    let part = JournalEntry { part: true, input: None, ..entry(2) };
    names.journal_write(&part).unwrap();
    let mut both = names.journal_pending(None).unwrap();
    both.sort_by_key(|entry| entry.signed.header().attempt);
    assert_eq!(both, vec![entry(1), part]);
}
