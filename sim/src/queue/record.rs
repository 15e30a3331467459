//! A gateway's record: what its database holds, and all that a crash leaves. Every step is one change of it, by
//! compare-and-set.

use std::collections::BTreeMap;
use std::rc::Rc;

use tarn_client::queue::{Arrival, End, Key, Predecessor, State, TaskId, Ticket};
use tarn_proto::{StorageIndex, VersionId};

use super::submission::{After, Submission};

/// The rows of one gateway.
#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    rows: BTreeMap<TaskId, Row>,
    keys: BTreeMap<(StorageIndex, Key), TaskId>,
    /// The tasks in order of arrival.
    arrivals: Vec<TaskId>,
}

/// What is on record of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) submission: Rc<Submission>,
    pub(super) state: State,
    pub(super) outcome: Option<Outcome>,
}

/// How the last run of a task ended, as its caller is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Published(VersionId),
    /// Nothing was changed.
    Fruitless,
    /// It may or may not take effect.
    Unsettled,
}

/// A task is to be in another state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) task: TaskId,
    pub(super) from: Option<State>,
    pub(super) to: State,
    pub(super) outcome: Option<Outcome>,
}

/// The record is not as a move has it, and was left as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Clash {
    pub(super) moved: Move,
    pub(super) found: Option<State>,
}

/// Why a submission is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Its key names another submission.
    KeyTaken(TaskId),
    /// It is to follow a task that is not on record.
    NoSuchTask(TaskId),
}

impl Record {
    /// Makes all moves, or none if one does not find what it expects. `new` is the task that arrives, if one does.
    pub(super) fn change(
        &mut self,
        new: Option<(TaskId, &Rc<Submission>)>,
        moves: &[Move],
    ) -> Result<(), Box<Clash>> {
        let mut states = BTreeMap::<TaskId, State>::new();
        for moved in moves {
            let found = states.get(&moved.task).or_else(|| self.state(moved.task));
            if found != moved.from.as_ref() {
                return Err(Box::new(Clash { found: found.cloned(), moved: moved.clone() }));
            }
            states.insert(moved.task, moved.to.clone());
        }
        for Move { task, to, outcome, .. } in moves {
            if let Some(row) = self.rows.get_mut(task) {
                (row.state, row.outcome) = (to.clone(), *outcome);
            } else if let Some((_, submission)) = new.filter(|(new, _)| new == task) {
                let (submission, state) = (Rc::clone(submission), to.clone());
                if let Some(key) = &submission.key {
                    self.keys.insert((submission.file, key.clone()), *task);
                }
                self.rows.insert(*task, Row { submission, state, outcome: *outcome });
                self.arrivals.push(*task);
            }
        }
        Ok(())
    }

    /// Writes a whole row over what is there: what nobody should do.
    pub(super) fn overwrite(&mut self, task: TaskId, row: &Row) -> Option<Move> {
        let old = self.rows.insert(task, row.clone())?;
        let (to, outcome) = (row.state.clone(), row.outcome);
        (old != *row).then_some(Move { task, from: Some(old.state), to, outcome })
    }

    pub(super) fn row(&self, task: TaskId) -> Option<&Row> {
        self.rows.get(&task)
    }

    pub(super) fn state(&self, task: TaskId) -> Option<&State> {
        self.row(task).map(|row| &row.state)
    }

    /// The task that a file knows by this key.
    pub(super) fn named(&self, file: StorageIndex, key: &Key) -> Option<TaskId> {
        self.keys.get(&(file, key.clone())).copied()
    }

    /// A submission's ticket, by what is on record of its predecessor.
    pub(super) fn ticket(&self, submission: &Submission) -> Result<Ticket, Refusal> {
        let predecessor = match &submission.after {
            After::Whatever => return Ok(Ticket::Whatever),
            After::Nothing => return Ok(Ticket::Nothing),
            After::Version(version) => return Ok(Ticket::Version(*version)),
            After::Task(task) => match self.row(*task) {
                Some(row) if row.submission.file == submission.file => *task,
                Some(_) | None => return Err(Refusal::NoSuchTask(*task)),
            },
            After::Key(key) => match self.named(submission.file, key) {
                Some(task) => task,
                None => return Ok(Ticket::After(Predecessor::Awaited(key.clone()))),
            },
        };
        Ok(Ticket::After(self.predecessor(predecessor)))
    }

    fn predecessor(&self, task: TaskId) -> Predecessor {
        match self.row(task) {
            Some(Row { outcome: Some(Outcome::Published(version)), .. }) => {
                Predecessor::Published(*version)
            }
            Some(Row { state: State::Ended(_), .. }) => Predecessor::Fruitless(task),
            Some(_) | None => Predecessor::Pending(task),
        }
    }

    /// Every task that has not ended, in order of arrival, with its state: what a queue is restored from.
    pub(super) fn pending(&self) -> Vec<(Arrival, State)> {
        let pending = |&task: &TaskId| {
            let Row { submission, state, .. } = self.row(task)?;
            let is_pending = !matches!(state, State::Ended(_));
            let ticket = self.ticket(submission).ok().filter(|_| is_pending)?;
            Some((arrival(task, submission, ticket), state.clone()))
        };
        self.arrivals.iter().filter_map(pending).collect()
    }
}

/// A submission as a queue takes it.
pub(super) fn arrival(task: TaskId, submission: &Submission, ticket: Ticket) -> Arrival {
    let Submission { file, caller, key, .. } = submission;
    Arrival { task, file: *file, caller: caller.clone(), key: key.clone(), ticket }
}

impl From<End> for Outcome {
    fn from(end: End) -> Self {
        match end {
            End::Published { version, .. } => Self::Published(version),
            End::Fruitless => Self::Fruitless,
            End::Unsettled => Self::Unsettled,
        }
    }
}

#[cfg(test)]
mod tests {
    use tarn_client::queue::Caller;

    use super::super::names;
    use super::*;

    fn task() -> TaskId {
        names::task(0, 0, 1)
    }

    fn key() -> Key {
        Key::new(b"a").unwrap()
    }

    fn submission(after: After) -> Rc<Submission> {
        let caller = Caller("c0".to_owned());
        Rc::new(Submission { file: names::file(0), caller, key: Some(key()), after, content: 0 })
    }

    fn moved(from: Option<State>, to: State) -> Move {
        Move { task: task(), from, to, outcome: None }
    }

    #[test]
    fn all_moves_of_a_step_are_made_or_none() {
        let mut record = Record::default();
        let new = submission(After::Whatever);
        let arrived = moved(None, State::Queued);
        let wrong = moved(Some(State::Held), State::Queued);
        let clash = record.change(Some((task(), &new)), &[arrived.clone(), wrong.clone()]);
        let found = Some(State::Queued);
        assert_eq!(clash, Err(Box::new(Clash { moved: wrong, found })));
        assert_eq!(record.row(task()), None);
        let runs = moved(Some(State::Queued), State::Running);
        assert_eq!(record.change(Some((task(), &new)), &[arrived, runs]), Ok(()));
        assert_eq!(record.state(task()), Some(&State::Running));
        assert_eq!(record.named(names::file(0), &key()), Some(task()));
    }

    #[test]
    fn a_ticket_says_what_is_on_record_of_the_predecessor() {
        let mut record = Record::default();
        let follower = submission(After::Key(key()));
        let ticket = |record: &Record| record.ticket(&follower);
        assert_eq!(ticket(&record), Ok(Ticket::After(Predecessor::Awaited(key()))));
        let new = submission(After::Whatever);
        record.change(Some((task(), &new)), &[moved(None, State::Running)]).unwrap();
        assert_eq!(ticket(&record), Ok(Ticket::After(Predecessor::Pending(task()))));
        assert_eq!(record.pending().len(), 1);
        let version = names::version(names::file(0), 1);
        let ended = State::Ended(tarn_client::queue::Verdict::Reported);
        let mut end = moved(Some(State::Running), ended);
        end.outcome = Some(Outcome::Published(version));
        record.change(None, &[end]).unwrap();
        assert_eq!(ticket(&record), Ok(Ticket::After(Predecessor::Published(version))));
        assert!(record.pending().is_empty());
    }

    #[test]
    fn a_task_that_is_not_there_cannot_be_followed() {
        let refused = Record::default().ticket(&submission(After::Task(task())));
        assert_eq!(refused, Err(Refusal::NoSuchTask(task())));
    }
}
