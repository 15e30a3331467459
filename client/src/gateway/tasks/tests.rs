use bytes::Bytes;
use proptest::prelude::*;
use tarn_proto::{SequenceNumber, Shape, StoreId, Window};
use tempfile::TempDir;

use super::*;
use crate::base::HighWater;
use crate::gateway::outcome;
use crate::gateway::testing::{FILE, decision, submission, task};
use crate::queue::Verdict;

const NOW: UnixMillis = UnixMillis(1_000);
const ENDED: State = State::Ended(Verdict::Reported);

fn record() -> (TempDir, Tasks) {
    let folder = tempfile::tempdir().unwrap();
    let tasks = Tasks::open(&folder.path().join("tasks.sqlite")).unwrap();
    (folder, tasks)
}

fn add(tasks: &mut Tasks, submission: &Submission, state: &State) {
    let change = tasks.change(Durable::AtOnce).unwrap();
    change.add(submission, state, NOW).unwrap();
    change.commit().unwrap();
}

fn published(version: u8, number: u64) -> wire::Outcome {
    wire::Outcome {
        kind: wire::OutcomeKind::Published.into(),
        version: Bytes::from(vec![version; 32]),
        sequence_number: number,
        ..Default::default()
    }
}

#[test]
fn what_is_submitted_is_read_back_as_it_was() {
    let (_folder, mut tasks) = record();
    let submitted = submission(1, Some("k"));
    add(&mut tasks, &submitted, &State::Queued);
    let reader = tasks.reader().unwrap();
    let row = reader.get(task(1)).unwrap().unwrap();
    assert_eq!((row.task, row.file, row.state), (task(1), FILE, State::Queued));
    assert_eq!(
        (row.ticket, row.key, row.caller),
        (submitted.ticket, submitted.key, submitted.caller)
    );
    assert_eq!((row.labels, row.length, row.sha256), (submitted.labels, 5, [1; 32]));
    let work = reader.work(task(1)).unwrap().unwrap();
    assert_eq!((work.attempt, work.shape), (submitted.attempt, submitted.shape));
    assert_eq!(work.sealed_cap, submitted.sealed_cap);
    assert_eq!(work.content.inline.unwrap(), "hello");
    assert_eq!(reader.pending().unwrap().len(), 1);
}

#[test]
fn a_state_moves_only_from_where_it_is_said_to_be() {
    let (_folder, mut tasks) = record();
    add(&mut tasks, &submission(1, None), &State::Queued);
    let change = tasks.change(Durable::AtOnce).unwrap();
    let refused = change.advance(task(1), &State::Held, &State::Queued);
    assert!(matches!(refused, Err(TasksError::OtherState { .. })), "{refused:?}");
    change.advance(task(1), &State::Queued, &State::Running).unwrap();
    let outcome = published(9, 1);
    let refused = change.end(task(1), &State::Queued, &outcome, NOW);
    assert!(matches!(refused, Err(TasksError::OtherState { .. })), "{refused:?}");
    change.end(task(1), &State::Running, &outcome, NOW).unwrap();
    let refused = change.end(task(1), &State::Running, &outcome::cancelled(), NOW);
    assert!(matches!(refused, Err(TasksError::OtherState { .. })), "a second end: {refused:?}");
    change.commit().unwrap();
    let row = tasks.reader().unwrap().get(task(1)).unwrap().unwrap();
    assert_eq!((row.state, row.outcome), (ENDED, Some(outcome)));
}

#[test]
fn only_a_task_that_runs_decides_anything() {
    let (_folder, mut tasks) = record();
    add(&mut tasks, &submission(1, None), &State::Queued);
    let change = tasks.change(Durable::AtOnce).unwrap();
    assert!(!change.journal(task(1), &decision()).unwrap(), "it waits");
    assert!(!change.journal(task(2), &decision()).unwrap(), "there is no such task");
    change.advance(task(1), &State::Queued, &State::Running).unwrap();
    assert!(change.journal(task(1), &decision()).unwrap());
    change.end(task(1), &State::Running, &published(9, 1), NOW).unwrap();
    assert!(!change.journal(task(1), &decision()).unwrap(), "it has ended");
}

#[test]
fn what_is_settled_is_no_longer_in_the_log() {
    let (folder, mut tasks) = record();
    let reader = tasks.reader().unwrap();
    let change = tasks.change(Durable::Soon).unwrap();
    change.add(&submission(1, None), &State::Queued, NOW).unwrap();
    change.commit().unwrap();
    assert!(reader.get(task(1)).unwrap().is_some());
    let log = || std::fs::metadata(folder.path().join("tasks.sqlite-wal")).unwrap().len();
    assert!(log() > 0);
    tasks.settle().unwrap();
    assert_eq!(log(), 0);
    assert!(reader.get(task(1)).unwrap().is_some());
}

#[test]
fn what_is_not_committed_was_never_there() {
    let (_folder, mut tasks) = record();
    let change = tasks.change(Durable::AtOnce).unwrap();
    change.add(&submission(1, None), &State::Queued, NOW).unwrap();
    drop(change);
    assert_eq!(tasks.reader().unwrap().get(task(1)).unwrap(), None);
}

#[test]
fn a_key_names_one_task_of_a_file() {
    let (_folder, mut tasks) = record();
    add(&mut tasks, &submission(1, Some("k")), &State::Queued);
    let key = Key::new(b"k").unwrap();
    let change = tasks.change(Durable::AtOnce).unwrap();
    assert_eq!(change.with_key(FILE, &key).unwrap(), Some((task(1), [1; 16])));
    assert_eq!(change.with_key(StorageIndex::new([8; 32]), &key).unwrap(), None);
    assert!(change.add(&submission(2, Some("k")), &State::Queued, NOW).is_err());
}

#[test]
fn what_only_a_pending_task_needs_is_gone_when_it_has_ended() {
    let (folder, mut tasks) = record();
    add(&mut tasks, &submission(1, None), &State::Running);
    let change = tasks.change(Durable::AtOnce).unwrap();
    change.end(task(1), &State::Running, &published(9, 1), NOW).unwrap();
    change.commit().unwrap();
    assert!(tasks.reader().unwrap().work(task(1)).unwrap().is_none());
    let column = |name| {
        let connection = rusqlite::Connection::open(folder.path().join("tasks.sqlite")).unwrap();
        let query = format!("SELECT {name} FROM task");
        connection.query_row(&query, [], |row| row.get::<_, Option<Vec<u8>>>(0)).unwrap()
    };
    assert_eq!((column("cap"), column("body")), (None, None));
}

#[test]
fn tasks_are_forgotten_when_they_ended_long_ago_and_never_before() {
    let (_folder, mut tasks) = record();
    for number in 1..=3 {
        add(&mut tasks, &submission(number, None), &State::Running);
    }
    let change = tasks.change(Durable::AtOnce).unwrap();
    change.end(task(1), &State::Running, &published(1, 1), UnixMillis(10)).unwrap();
    change.end(task(2), &State::Running, &published(2, 2), UnixMillis(20)).unwrap();
    assert!(!change.delete(task(3)).unwrap(), "it has not ended");
    assert_eq!(change.expire(UnixMillis(20), 100).unwrap(), 1);
    change.commit().unwrap();
    let reader = tasks.reader().unwrap();
    let left = reader.list(&Filter::default(), 10).unwrap();
    assert_eq!(left.iter().map(|row| row.task).collect::<Vec<_>>(), [task(3), task(2)]);
}

#[test]
fn the_newest_version_seen_never_goes_back_and_a_window_stays() {
    let (_folder, mut tasks) = record();
    let window = |store| Window::new(vec![StoreId::new([store; 16])]).ok();
    let shape = Shape::new(1, 1, 1).ok();
    let change = tasks.change(Durable::AtOnce).unwrap();
    for (version, number) in [(1, 5), (2, 4), (3, 6)] {
        change.raise_high_water(FILE, &published(version, number)).unwrap();
    }
    for store in [1, 2] {
        let known = FileRow { file: FILE, window: window(store), shape, high_water: None };
        change.know_file(&known).unwrap();
    }
    change.commit().unwrap();
    let known = tasks.reader().unwrap().file(FILE).unwrap().unwrap();
    let sequence_number = SequenceNumber::try_from(6).unwrap();
    let newest = HighWater { sequence_number, version: VersionId::new([3; 32]) };
    assert_eq!((known.window, known.high_water), (window(1), Some(newest)));
}

#[test]
fn a_record_of_another_format_is_not_touched() {
    let (folder, tasks) = record();
    drop(tasks);
    let path = folder.path().join("tasks.sqlite");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    assert!(matches!(Tasks::open(&path), Err(TasksError::OtherFormat { found: 99, .. })));
    std::fs::write(&path, b"no database, whatever it is called, and long enough to tell").unwrap();
    assert!(matches!(Tasks::open(&path), Err(TasksError::Damaged { .. })));
}

proptest! {
    #[test]
    fn what_says_how_a_file_began_is_read_back_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        if let Some((shape, window)) = origin_of(&bytes) {
            prop_assert_eq!(origin_bytes(shape, &window), bytes);
        }
    }
}

#[test]
fn how_a_file_began_is_given_along_whole() {
    let shape = Shape::new(3, 7, 10).unwrap();
    let window = Window::new((1..=10).map(|store| StoreId::new([store; 16])).collect()).unwrap();
    assert_eq!(origin_of(&origin_bytes(shape, &window)), Some((shape, window)));
}
