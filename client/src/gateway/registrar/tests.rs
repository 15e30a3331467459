use rusqlite::Connection;
use tarn_proto::gateway::OutcomeKind;
use tempfile::TempDir;

use super::desk::REST;
use super::*;
use crate::gateway::tasks::Row;
use crate::gateway::testing::{decision, submission, task, version};
use crate::queue::{State, Verdict};
use crate::time::Millis;

/// Only so that what never comes fails a test instead of hanging it.
const PATIENCE: Duration = Duration::from_secs(30);

/// A registrar on a record of its own, whose orders are taken and not carried out.
struct Office {
    folder: TempDir,
    registrar: Registrar,
    thread: JoinHandle<()>,
    orders: channel::UnboundedReceiver<Order>,
}

impl Office {
    fn open() -> Self {
        Self::open_in(tempfile::tempdir().unwrap())
    }

    fn open_in(folder: TempDir) -> Self {
        let tasks = Tasks::open(&folder.path().join("tasks.sqlite")).unwrap();
        let (given, orders) = channel::unbounded_channel();
        let limits = Limits { rest: Millis(1), ..Limits::default() };
        let (registrar, thread) =
            Registrar::start(tasks, limits, Duration::MAX, Board::default(), given).unwrap();
        Self { folder, registrar, thread, orders }
    }

    /// Ends it with tasks that run, and opens it again.
    fn again(self) -> Self {
        let Self { folder, registrar, thread, orders } = self;
        drop((registrar, orders));
        thread.join().unwrap();
        Self::open_in(folder)
    }

    fn record(&self) -> Connection {
        Connection::open(self.folder.path().join("tasks.sqlite")).unwrap()
    }

    /// From now on no change of a task can be committed, until [`Office::yields`].
    fn refuses(&self) {
        let record = self.record();
        let nobody = "CREATE TABLE nobody (id INTEGER PRIMARY KEY);
             CREATE TABLE refused (id REFERENCES nobody DEFERRABLE INITIALLY DEFERRED);";
        record.execute_batch(nobody).unwrap();
        for change in ["INSERT", "UPDATE"] {
            let refuse = format!(
                "CREATE TRIGGER no_{change} AFTER {change} ON task
                 BEGIN INSERT INTO refused VALUES (1); END"
            );
            record.execute_batch(&refuse).unwrap();
        }
    }

    fn yields(&self) {
        self.record().execute_batch("DROP TRIGGER no_INSERT; DROP TRIGGER no_UPDATE;").unwrap();
    }

    /// How long the log is of what was written and may not be durable.
    fn log_bytes(&self) -> u64 {
        std::fs::metadata(self.folder.path().join("tasks.sqlite-wal")).unwrap().len()
    }

    fn row(&self, number: u8) -> Row {
        let tasks = Tasks::open(&self.folder.path().join("tasks.sqlite")).unwrap();
        tasks.reader().unwrap().get(task(number)).unwrap().unwrap()
    }

    async fn submit(&self, submission: Submission) -> Result<Submitted, SubmitError> {
        self.registrar.ask(|answer| Request::Submit(Box::new(submission), answer)).await
    }

    async fn cancel(&self, number: u8) {
        self.registrar.ask(|answer| Request::Cancel(task(number), answer)).await.unwrap();
    }

    async fn journals(&self, number: u8) -> Result<(), Refused> {
        let registrar = self.registrar.clone();
        let journal = move || registrar.journal(task(number), decision());
        tokio::task::spawn_blocking(journal).await.unwrap()
    }

    fn ended(&self, number: u8, end: End, kind: OutcomeKind) {
        self.tell(number, end, wire::Outcome { kind: kind.into(), ..wire::Outcome::default() });
    }

    fn published(&self, number: u8, made: u8) {
        let end = End::Published { version: version(made), repeated: false };
        let outcome = wire::Outcome {
            kind: OutcomeKind::Published.into(),
            version: version(made).as_bytes().to_vec().into(),
            sequence_number: made.into(),
            ..wire::Outcome::default()
        };
        self.tell(number, end, outcome);
    }

    fn tell(&self, number: u8, end: End, outcome: wire::Outcome) {
        let (task, outcome) = (task(number), Box::new(outcome));
        self.registrar.tell(Request::Ended { task, end, outcome, content_lasts: true });
    }

    async fn order(&mut self) -> Order {
        tokio::time::timeout(PATIENCE, self.orders.recv()).await.unwrap().unwrap()
    }

    /// Expects an order to run this, and answers whether all that it needs came along.
    async fn runs(&mut self, number: u8, expected: Follows) -> bool {
        let order = self.order().await;
        let Order::Run { task: ordered, follows, work } = order else { panic!("{order:?}") };
        assert_eq!((ordered, follows), (task(number), expected));
        work.is_some()
    }

    async fn drops(&mut self, number: u8) {
        let order = self.order().await;
        let Order::Drop { task: ended, .. } = order else { panic!("{order:?}") };
        assert_eq!(ended, task(number));
    }
}

fn after(number: u8, predecessor: u8) -> Submission {
    Submission { ticket: Named::Task(task(predecessor)), ..submission(number, None) }
}

fn overwrite(number: u8) -> Submission {
    Submission { ticket: Named::Overwrite, ..submission(number, None) }
}

#[tokio::test]
async fn what_began_ahead_of_a_change_that_failed_commits_nothing() {
    let mut office = Office::open();
    office.refuses();
    let refused = office.submit(overwrite(1)).await;
    assert_eq!(refused, Err(SubmitError::Refused(Refused::Unavailable)));
    assert!(office.runs(1, Follows::Whatever).await, "it began with all that it needs");
    assert_eq!(office.journals(1).await, Err(Refused::Unavailable), "nothing is decided yet");
    office.yields();
    tokio::time::sleep(2 * REST).await;
    assert_eq!(office.journals(1).await, Err(Refused::Unavailable), "it is of no task");
    office.published(1, 1);
    let taken = office.submit(overwrite(2)).await;
    assert_eq!(taken, Ok(Submitted { task: task(2), repeated: false }));
    assert!(office.runs(2, Follows::Whatever).await);
    assert_eq!(office.journals(2).await, Ok(()));
}

#[tokio::test]
async fn after_a_change_that_failed_the_record_counts() {
    let mut office = Office::open();
    office.submit(overwrite(1)).await.unwrap();
    office.submit(after(2, 1)).await.unwrap();
    office.runs(1, Follows::Whatever).await;
    office.refuses();
    office.published(1, 1);
    assert_eq!(office.journals(1).await, Err(Refused::Unavailable), "nobody is answered");
    assert_eq!(office.row(1).state, State::Running);
    assert_eq!(office.row(2).state, State::Held);
    office.yields();
    assert!(!office.runs(1, Follows::Whatever).await, "its end was not recorded");
    assert_eq!(office.journals(1).await, Ok(()));
    office.published(1, 1);
    office.drops(1).await;
    assert!(!office.runs(2, Follows::Version(version(1))).await);
    assert_eq!(office.row(1).state, State::Ended(Verdict::Reported));
}

#[tokio::test]
async fn that_a_task_was_published_is_told_at_once_and_durable_a_moment_later() {
    let mut office = Office::open();
    office.submit(overwrite(1)).await.unwrap();
    office.runs(1, Follows::Whatever).await;
    office.published(1, 1);
    office.drops(1).await;
    assert_eq!(office.row(1).state, State::Ended(Verdict::Reported));
    let settled = async {
        while office.log_bytes() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(PATIENCE, settled).await.unwrap();
}

#[tokio::test]
async fn what_ends_with_a_task_that_was_published_is_durable_before_it_is_told() {
    let mut office = Office::open();
    office.submit(overwrite(1)).await.unwrap();
    office.runs(1, Follows::Whatever).await;
    office.submit(overwrite(2)).await.unwrap();
    office.submit(submission(3, None)).await.unwrap();
    office.published(1, 1);
    office.drops(1).await;
    office.runs(2, Follows::Whatever).await;
    office.published(2, 2);
    office.drops(2).await;
    office.drops(3).await;
    assert_eq!(office.log_bytes(), 0);
    assert_eq!(office.row(3).outcome.unwrap().kind(), OutcomeKind::Stale);
}

#[tokio::test]
async fn a_cancel_is_remembered_until_the_task_has_ended() {
    let mut office = Office::open();
    office.submit(overwrite(1)).await.unwrap();
    office.submit(after(2, 1)).await.unwrap();
    office.runs(1, Follows::Whatever).await;
    office.cancel(1).await;
    assert!(matches!(office.order().await, Order::Cancel { task: called } if called == task(1)));
    let mut office = office.again();
    office.runs(1, Follows::Whatever).await;
    assert!(matches!(office.order().await, Order::Cancel { task: called } if called == task(1)));
    // It had begun to commit, and what became of that is not known: it is not run once more.
    office.ended(1, End::Unsettled, OutcomeKind::Unknown);
    office.drops(1).await;
    office.drops(2).await;
    let told = office.row(1).outcome.unwrap();
    assert_eq!(told.kind(), OutcomeKind::Unknown);
    let told = office.row(2).outcome.unwrap();
    assert_eq!(
        (told.kind(), told.because_of_task.as_ref()),
        (OutcomeKind::Stale, &task(1).as_bytes()[..])
    );
}

#[tokio::test]
async fn a_cancel_of_what_rests_ends_it_with_what_is_known() {
    let mut office = Office::open();
    office.submit(overwrite(1)).await.unwrap();
    office.runs(1, Follows::Whatever).await;
    office.ended(1, End::Unsettled, OutcomeKind::Partial);
    office.runs(1, Follows::Whatever).await;
    office.cancel(1).await;
    office.ended(1, End::Unsettled, OutcomeKind::Unknown);
    assert!(matches!(office.order().await, Order::Cancel { .. }));
    office.drops(1).await;
    assert_eq!(office.row(1).outcome.unwrap().kind(), OutcomeKind::Unknown);
}

#[tokio::test]
async fn a_follower_that_was_released_keeps_the_version_that_it_follows() {
    let mut office = Office::open();
    office.submit(overwrite(1)).await.unwrap();
    office.submit(after(2, 1)).await.unwrap();
    office.submit(overwrite(3)).await.unwrap();
    office.runs(1, Follows::Whatever).await;
    office.published(1, 1);
    office.drops(1).await;
    // It was held, and is behind none that came after it.
    office.runs(2, Follows::Version(version(1))).await;
    assert_eq!(office.row(2).follows, Some(version(1)));
    let forget = |answer| Request::Delete(task(1), answer);
    office.registrar.ask(forget).await.unwrap();
    let mut office = office.again();
    office.runs(2, Follows::Version(version(1))).await;
    office.ended(2, End::Fruitless, OutcomeKind::Failed);
    office.drops(2).await;
    office.runs(3, Follows::Whatever).await;
}
