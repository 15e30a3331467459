//! Looking at the record. Every look is a snapshot, and changes nothing.

use rusqlite::types::Value;
use rusqlite::{OptionalExtension, params_from_iter};
use tarn_proto::StorageIndex;

use super::database::{TasksError, TasksReader};
use super::row::{self, COLUMNS, FileRow, Row, Work};
use crate::queue::{Caller, State, TaskId};

/// Which tasks to list.
#[derive(Debug, Clone, Default)]
pub(in crate::gateway) struct Filter {
    /// Of this file; none for any.
    pub(in crate::gateway) file: Option<StorageIndex>,
    /// In one of these states; none for any.
    pub(in crate::gateway) states: Vec<State>,
    /// Of this caller; none for any.
    pub(in crate::gateway) caller: Option<Caller>,
    /// Only those that arrived before the one of this number.
    pub(in crate::gateway) before: Option<u64>,
}

impl TasksReader {
    /// One task.
    pub(in crate::gateway) fn get(&self, task: TaskId) -> Result<Option<Row>, TasksError> {
        self.connection
            .prepare_cached(&format!("SELECT {COLUMNS} FROM task WHERE id = ?1"))
            .and_then(|mut select| select.query_row([task.as_bytes()], Row::read).optional())
            .map_err(self.during("look up a task"))
    }

    /// Tasks, newest first.
    pub(in crate::gateway) fn list(
        &self,
        filter: &Filter,
        at_most: usize,
    ) -> Result<Vec<Row>, TasksError> {
        let mut conditions = vec!["1".to_owned()];
        let mut values: Vec<Value> = Vec::new();
        if let Some(file) = filter.file {
            values.push(Value::Blob(file.as_bytes().to_vec()));
            conditions.push(format!("file = ?{}", values.len()));
        }
        if let Some(caller) = &filter.caller {
            values.push(Value::Text(caller.0.clone()));
            conditions.push(format!("caller = ?{}", values.len()));
        }
        if let Some(before) = filter.before {
            values.push(Value::Integer(row::to_sql(before)));
            conditions.push(format!("number < ?{}", values.len()));
        }
        if !filter.states.is_empty() {
            let states: Vec<String> =
                filter.states.iter().map(|state| row::state_to_sql(state).to_string()).collect();
            conditions.push(format!("state IN ({})", states.join(", ")));
        }
        let query = format!(
            "SELECT {COLUMNS} FROM task WHERE {} ORDER BY number DESC LIMIT {at_most}",
            conditions.join(" AND ")
        );
        self.connection
            .prepare_cached(&query)
            .and_then(|mut select| select.query_map(params_from_iter(values), Row::read)?.collect())
            .map_err(self.during("list tasks"))
    }

    /// All that have not ended, in order of arrival.
    pub(in crate::gateway) fn pending(&self) -> Result<Vec<Row>, TasksError> {
        let query = format!("SELECT {COLUMNS} FROM task WHERE state <> 4 ORDER BY number");
        self.connection
            .prepare(&query)
            .and_then(|mut select| select.query_map([], Row::read)?.collect())
            .map_err(self.during("list tasks"))
    }

    /// How many bytes of contents that wait are in the record itself.
    pub(in crate::gateway) fn inline_bytes(&self) -> Result<u64, TasksError> {
        let query =
            "SELECT coalesce(sum(length), 0) FROM task WHERE state <> 4 AND body IS NOT NULL";
        let sum: i64 = self
            .connection
            .query_row(query, [], |row| row.get(0))
            .map_err(self.during("add up contents"))?;
        Ok(u64::try_from(sum).unwrap_or_default())
    }

    /// What a run of the task needs; none if it is gone or has ended.
    pub(in crate::gateway) fn work(&self, task: TaskId) -> Result<Option<Work>, TasksError> {
        row::work(&self.connection, task).map_err(self.during("load a task"))
    }

    /// What is remembered of a file.
    pub(in crate::gateway) fn file(
        &self,
        file: StorageIndex,
    ) -> Result<Option<FileRow>, TasksError> {
        row::known_file(&self.connection, file).map_err(self.during("look up a file"))
    }

    fn during(&self, doing: &'static str) -> impl Fn(rusqlite::Error) -> TasksError {
        TasksError::during(doing, &self.path)
    }
}
