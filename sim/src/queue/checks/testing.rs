//! Hand-made facts for the checks' own tests. Tasks with numbers from 100 are on the second gateway.

use std::rc::Rc;

use tarn_client::publish::Follows;
use tarn_client::queue::{Caller, Key, Limits, State, TaskId, Verdict};
use tarn_client::time::Millis;
use tarn_proto::VersionId;

use super::super::fact::Fact;
use super::super::grid::{Made, Maker};
use super::super::names;
use super::super::record::{Move, Outcome};
use super::super::seen::Seen;
use super::super::submission::{After, Submission};
use super::Check;

pub(super) const LIMITS: Limits =
    Limits { running: 2, awaited: Millis(1_000), repeats: 2, rest: Millis(100) };
pub(super) const CALLERS: usize = 3;

/// What was seen so far.
#[derive(Debug, Clone)]
pub(super) struct Scene {
    seen: Seen,
}

impl Default for Scene {
    fn default() -> Self {
        Self { seen: Seen::new(LIMITS, CALLERS, 2) }
    }
}

impl Scene {
    /// Number 1 runs.
    pub(super) fn with_running(submission: Rc<Submission>) -> Self {
        let mut scene = Self::default();
        scene.run(1, submission);
        scene
    }

    pub(super) fn see(&mut self, fact: &Fact) {
        self.seen.take(fact);
    }

    pub(super) fn pass(&mut self, millis: u64) {
        self.seen.now += millis;
    }

    /// What this check says of a fact that was seen.
    pub(super) fn judge(&self, check: &Check, fact: &Fact) -> Result<(), String> {
        (check.holds)(&self.seen, fact)
    }

    /// What this check says of a fact that was not seen yet.
    pub(super) fn judge_after(&self, check: &Check, fact: &Fact) -> Result<(), String> {
        let mut scene = self.clone();
        scene.see(fact);
        scene.judge(check, fact)
    }

    pub(super) fn arrive(&mut self, number: u8, submission: Rc<Submission>, state: State) {
        self.see(&Fact::Registered { task: task(number), submission });
        self.see(&Fact::Moved(moved(number, None, state)));
    }

    pub(super) fn advance(&mut self, number: u8, from: State, to: State) {
        self.see(&Fact::Moved(moved(number, Some(from), to)));
    }

    pub(super) fn run(&mut self, number: u8, submission: Rc<Submission>) {
        self.arrive(number, submission, State::Queued);
        self.advance(number, State::Queued, State::Running);
        self.see(&ran(number));
    }

    /// A task that runs makes a version, on the newest.
    pub(super) fn append(&mut self, number: u8) -> Fact {
        let submission = &self.seen.task(task(number)).unwrap().submission;
        let (file, attempt) = (submission.file, submission.attempt(task(number)));
        let chain = self.seen.chain(file);
        let version = names::version(file, u32::try_from(chain.len()).unwrap() + 1);
        let base = chain.last().map(|made| made.version);
        let made = Made { version, base, by: Maker::Task(task(number), attempt) };
        let fact = Fact::Appended { file, made };
        self.see(&fact);
        fact
    }

    pub(super) fn end(&mut self, number: u8, outcome: Outcome) {
        self.see(&ended(number, outcome));
    }

    /// A task that runs is published.
    pub(super) fn end_published(&mut self, number: u8) -> VersionId {
        let Fact::Appended { made, .. } = self.append(number) else { unreachable!() };
        self.end(number, Outcome::Published(made.version));
        made.version
    }

    /// An overwrite arrives, runs and is published.
    pub(super) fn publish(&mut self, number: u8) -> VersionId {
        self.run(number, overwrite(number));
        self.end_published(number)
    }
}

pub(super) fn task(number: u8) -> TaskId {
    names::task(0, number / 100 % 2, number.into())
}

pub(super) fn key(name: &str) -> Key {
    Key::new(name.as_bytes()).unwrap()
}

pub(super) fn by(caller: &str, content: u8, file: u8) -> Rc<Submission> {
    Rc::new(Submission {
        file: names::file(file),
        caller: Caller(caller.to_owned()),
        key: None,
        after: After::Whatever,
        content: content.into(),
    })
}

pub(super) fn of_file(content: u8, file: u8) -> Rc<Submission> {
    by("ann", content, file)
}

pub(super) fn overwrite(content: u8) -> Rc<Submission> {
    of_file(content, 0)
}

pub(super) fn keyed(content: u8, name: &str, after: After) -> Rc<Submission> {
    let submission = Rc::unwrap_or_clone(overwrite(content));
    Rc::new(Submission { key: Some(key(name)), after, ..submission })
}

pub(super) fn moved(number: u8, from: Option<State>, to: State) -> Move {
    Move { task: task(number), from, to, outcome: None }
}

pub(super) fn ran(number: u8) -> Fact {
    Fact::Ran { task: task(number), follows: Follows::Whatever, restored: false }
}

pub(super) fn ended(number: u8, outcome: Outcome) -> Fact {
    let to = State::Ended(Verdict::Reported);
    Fact::Moved(Move { outcome: Some(outcome), ..moved(number, Some(State::Running), to) })
}
