//! The record: every task with what it needs to be run, in a database. A row's state moves by compare-and-set, and only
//! inside a transaction of the registrar. Decides nothing.

mod database;
mod journal;
mod row;
mod select;

use std::path::Path;

use prost::Message;
use rusqlite::{OptionalExtension, Transaction, named_params, params};
use tarn_proto::gateway as wire;
use tarn_proto::{StorageIndex, VersionId};

use super::clock::UnixMillis;
use super::submission::Submission;
use crate::queue::{Key, State, TaskId};

pub use database::TasksError;
pub(super) use database::{Durable, Tasks, TasksReader};
pub(super) use journal::Journalled;
pub(super) use row::{FileRow, Predecessor, Row, Work};
pub use row::{origin_bytes, origin_of};
pub(super) use select::Filter;

/// A transaction on the record.
pub(super) struct Change<'a> {
    transaction: Transaction<'a>,
    path: &'a Path,
}

impl Change<'_> {
    /// Makes all of it so, and as durable as it was begun to be.
    pub(super) fn commit(self) -> Result<(), TasksError> {
        let failed = TasksError::during("commit", self.path);
        self.transaction.commit().map_err(failed)
    }

    /// Adds a task that was submitted, in its first state.
    pub(super) fn add(
        &self,
        submission: &Submission,
        state: &State,
        now: UnixMillis,
    ) -> Result<(), TasksError> {
        let (kind, name) = row::named_to_sql(&submission.ticket);
        let labels = wire::Task { labels: submission.labels.clone(), ..Default::default() };
        let shape = submission.shape;
        self.transaction
            .prepare_cached(
                "INSERT INTO task (id, file, caller, key, labels, ticket, ticket_name, length,
                     sha256, attempt, k, happy, n, state, cap, body, submitted_at)
                 VALUES (:id, :file, :caller, :key, :labels, :ticket, :ticket_name, :length,
                     :sha256, :attempt, :k, :happy, :n, :state, :cap, :body, :now)",
            )
            .and_then(|mut insert| {
                insert.execute(named_params! {
                    ":id": submission.task.as_bytes(),
                    ":file": submission.file.as_bytes(),
                    ":caller": submission.caller.0,
                    ":key": submission.key.as_ref().map(Key::as_bytes),
                    ":labels": labels.encode_to_vec(),
                    ":ticket": kind,
                    ":ticket_name": name,
                    ":length": row::to_sql(submission.content.length),
                    ":sha256": submission.content.sha256,
                    ":attempt": submission.attempt.as_bytes(),
                    ":k": shape.map(|shape| shape.k()),
                    ":happy": shape.map(|shape| shape.happy()),
                    ":n": shape.map(|shape| shape.n()),
                    ":state": row::state_to_sql(state),
                    ":cap": submission.sealed_cap,
                    ":body": submission.content.inline.as_deref(),
                    ":now": row::to_sql(now.0),
                })
            })
            .map_err(self.during("add a task"))?;
        Ok(())
    }

    /// Moves a task from one state to another that is not the end.
    pub(super) fn advance(&self, task: TaskId, from: &State, to: &State) -> Result<(), TasksError> {
        let moved = self
            .transaction
            .prepare_cached("UPDATE task SET state = ?3 WHERE id = ?1 AND state = ?2")
            .and_then(|mut update| {
                let (from, to) = (row::state_to_sql(from), row::state_to_sql(to));
                update.execute(params![task.as_bytes(), from, to])
            })
            .map_err(self.during("move a task"))?;
        self.expect_one(moved, task, from)
    }

    /// Moves a task from this state to its end. What only a pending task needs is wiped.
    pub(super) fn end(
        &self,
        task: TaskId,
        from: &State,
        outcome: &wire::Outcome,
        now: UnixMillis,
    ) -> Result<(), TasksError> {
        let published = outcome.kind() == wire::OutcomeKind::Published;
        let moved = self
            .transaction
            .prepare_cached(
                "UPDATE task SET state = 4, cap = NULL, body = NULL, outcome = :outcome,
                     version = :version, ended_at = :now
                 WHERE id = :id AND state = :from",
            )
            .and_then(|mut update| {
                update.execute(named_params! {
                    ":id": task.as_bytes(),
                    ":from": row::state_to_sql(from),
                    ":outcome": outcome.encode_to_vec(),
                    ":version": published.then_some(outcome.version.as_ref()),
                    ":now": row::to_sql(now.0),
                })
            })
            .map_err(self.during("end a task"))?;
        self.expect_one(moved, task, from)?;
        self.transaction
            .execute("DELETE FROM journal WHERE task = ?1", [task.as_bytes()])
            .map_err(self.during("end a task"))?;
        Ok(())
    }

    fn expect_one(&self, moved: usize, task: TaskId, from: &State) -> Result<(), TasksError> {
        if moved == 1 {
            return Ok(());
        }
        let file = self.path.to_owned();
        Err(TasksError::OtherState { file, task, expected: format!("{from:?}") })
    }

    /// How many bytes the record holds of the task's content.
    pub(super) fn inline_bytes(&self, task: TaskId) -> Result<u64, TasksError> {
        let length: Option<i64> = self
            .transaction
            .prepare_cached("SELECT length FROM task WHERE id = ?1 AND body IS NOT NULL")
            .and_then(|mut select| select.query_row([task.as_bytes()], |row| row.get(0)).optional())
            .map_err(self.during("look up a content"))?;
        Ok(length.and_then(|length| u64::try_from(length).ok()).unwrap_or_default())
    }

    /// Remembers that a task is called off: a run of it may not have heard yet.
    pub(super) fn call_off(&self, task: TaskId) -> Result<(), TasksError> {
        self.transaction
            .execute(
                "UPDATE task SET cancelled = 1 WHERE id = ?1 AND state <> 4",
                [task.as_bytes()],
            )
            .map_err(self.during("call a task off"))?;
        Ok(())
    }

    /// Notes how a run ended that is to be repeated, in case it is not.
    pub(super) fn note(&self, task: TaskId, outcome: &wire::Outcome) -> Result<(), TasksError> {
        self.transaction
            .execute(
                "UPDATE task SET outcome = ?2 WHERE id = ?1 AND state = 3",
                params![task.as_bytes(), outcome.encode_to_vec()],
            )
            .map_err(self.during("note an outcome"))?;
        Ok(())
    }

    /// The outcome that was noted last, or the task ended with.
    pub(super) fn outcome(&self, task: TaskId) -> Result<Option<wire::Outcome>, TasksError> {
        let outcome: Option<Option<Vec<u8>>> = self
            .transaction
            .query_row("SELECT outcome FROM task WHERE id = ?1", [task.as_bytes()], |row| {
                row.get(0)
            })
            .optional()
            .map_err(self.during("look up an outcome"))?;
        let outcome = outcome.flatten();
        outcome
            .map(|bytes| wire::Outcome::decode(bytes.as_slice()))
            .transpose()
            .map_err(|error| self.damaged(&error))
    }

    /// Remembers the version that a running task must follow, whatever becomes of the task that made it.
    pub(super) fn resolve(&self, task: TaskId, follows: VersionId) -> Result<(), TasksError> {
        self.transaction
            .prepare_cached("UPDATE task SET follows = ?2 WHERE id = ?1")
            .and_then(|mut update| update.execute([task.as_bytes().as_slice(), follows.as_bytes()]))
            .map_err(self.during("note what a task follows"))?;
        Ok(())
    }

    /// The file's task with this key: its id, and the attempt it is known by.
    pub(super) fn with_key(
        &self,
        file: StorageIndex,
        key: &Key,
    ) -> Result<Option<(TaskId, [u8; 16])>, TasksError> {
        self.transaction
            .prepare_cached("SELECT id, attempt FROM task WHERE file = ?1 AND key = ?2")
            .and_then(|mut select| {
                let with = [file.as_bytes().as_slice(), key.as_bytes()];
                select.query_row(with, |row| Ok((TaskId::new(row.get(0)?), row.get(1)?))).optional()
            })
            .map_err(self.during("look up a key"))
    }

    /// The task that another is to follow, as it is on record.
    pub(super) fn predecessor(&self, task: TaskId) -> Result<Option<Predecessor>, TasksError> {
        row::predecessor(&self.transaction, task).map_err(self.during("look up a task"))
    }

    /// Forgets a task that has ended. Whether it had.
    pub(super) fn delete(&self, task: TaskId) -> Result<bool, TasksError> {
        let deleted = self
            .transaction
            .execute("DELETE FROM task WHERE id = ?1 AND state = 4", [task.as_bytes()])
            .map_err(self.during("delete a task"))?;
        Ok(deleted == 1)
    }

    /// Forgets tasks that ended before this, some at a time; answers how many.
    pub(super) fn expire(&self, before: UnixMillis, at_most: u32) -> Result<usize, TasksError> {
        self.transaction
            .execute(
                "DELETE FROM task WHERE number IN (
                     SELECT number FROM task WHERE state = 4 AND ended_at < ?1
                     ORDER BY ended_at LIMIT ?2)",
                params![row::to_sql(before.0), at_most],
            )
            .map_err(self.during("forget old tasks"))
    }

    /// Remembers a file that was created here, or whose window a caller told.
    pub(super) fn know_file(&self, file: &FileRow) -> Result<(), TasksError> {
        row::insert_file(&self.transaction, file).map_err(self.during("remember a file"))
    }

    /// Remembers that this version of the file was seen. Never goes back.
    pub(super) fn raise_high_water(
        &self,
        file: StorageIndex,
        outcome: &wire::Outcome,
    ) -> Result<(), TasksError> {
        row::raise_high_water(&self.transaction, file, outcome)
            .map_err(self.during("remember the newest version"))
    }

    /// What a run of a task needs that was just submitted.
    pub(super) fn work_of(&self, submission: &Submission) -> Result<Work, TasksError> {
        let known = row::known_file(&self.transaction, submission.file);
        let known = known.map_err(self.during("look up a file"))?;
        Ok(Work {
            file: submission.file,
            sealed_cap: submission.sealed_cap.clone(),
            attempt: submission.attempt,
            is_keyed: submission.key.is_some(),
            shape: submission.shape,
            content: submission.content.clone(),
            journalled: None,
            known: known.unwrap_or_else(|| FileRow::unknown(submission.file)),
        })
    }

    /// Notes a decision of a publish. Whether its task runs, on record.
    pub(super) fn journal(&self, task: TaskId, entry: &Journalled) -> Result<bool, TasksError> {
        journal::write(&self.transaction, task, entry).map_err(self.during("write the journal"))
    }

    fn during(&self, doing: &'static str) -> impl Fn(rusqlite::Error) -> TasksError {
        TasksError::during(doing, self.path)
    }

    fn damaged(&self, what: &impl ToString) -> TasksError {
        TasksError::Damaged { file: self.path.to_owned(), what: what.to_string() }
    }
}

#[cfg(test)]
mod tests;
