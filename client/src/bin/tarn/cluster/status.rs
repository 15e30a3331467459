//! `tarn cluster status`: which servers of a cluster run, and which of them answer.

use std::path::Path;
use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use tarn_client::transport::Description;

use super::folder::{Cluster, Member};
use super::process;
use crate::error::{CommandError, chain};
use crate::output::{self, Size};
use crate::table::{Column, Table};

const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// What was found out about one server.
struct Found<'a> {
    member: &'a Member,
    pid: Option<u32>,
    state: State,
}

enum State {
    /// It answers.
    Up(Description),
    /// There is no process.
    Down,
    /// There is a process, and it does not answer.
    Silent(String),
}

/// Runs the command.
pub(super) async fn run(folder: &Path, as_json: bool) -> Result<(), CommandError> {
    let cluster = Cluster::load_existing(folder)?;
    let looks = cluster.members.iter().map(|member| look(&cluster, member));
    let found = join_all(looks).await;
    if as_json {
        let servers: Vec<_> = found.iter().map(Found::as_json).collect();
        return output::print(json!({
            "folder": folder.to_string_lossy(),
            "grid": cluster.grid_file().to_string_lossy(),
            "servers": servers,
        }));
    }
    let mut table = Table::new(&[
        Column::Text("SERVER"),
        Column::Text("STORE"),
        Column::Text("ADDRESS"),
        Column::Number("PID"),
        Column::Number("FREE"),
        Column::Text("STATE"),
    ]);
    for server in &found {
        table.row(server.cells());
    }
    output::print(table)
}

async fn look<'a>(cluster: &Cluster, member: &'a Member) -> Found<'a> {
    let pid = process::running(cluster, member).ok().flatten();
    let state = match (pid, member.dial()) {
        (None, _) => State::Down,
        (Some(_), Err(error)) => State::Silent(error.sentence().to_owned()),
        (Some(_), Ok(client)) => match client.describe(ANSWER_WITHIN).await {
            Ok(description) => State::Up(description),
            Err(error) => State::Silent(chain(&error)),
        },
    };
    Found { member, pid, state }
}

impl Found<'_> {
    fn cells(&self) -> [String; 6] {
        let (free, state) = match &self.state {
            State::Up(description) if description.read_only => {
                (Some(description.free_bytes), "up, read-only".to_owned())
            }
            State::Up(description) => (Some(description.free_bytes), "up".to_owned()),
            State::Down => (None, "down".to_owned()),
            State::Silent(why) => (None, format!("not answering: {why}")),
        };
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        [
            self.member.name.clone(),
            self.member.store.to_string(),
            self.member.address.to_string(),
            or_dash(self.pid.map(|pid| pid.to_string())),
            or_dash(free.map(|bytes| Size(bytes).to_string())),
            state,
        ]
    }

    fn as_json(&self) -> serde_json::Value {
        let (state, error) = match &self.state {
            State::Up(_) => ("up", None),
            State::Down => ("down", None),
            State::Silent(why) => ("silent", Some(why)),
        };
        json!({
            "server": self.member.name,
            "store": self.member.store.to_string(),
            "address": self.member.address.to_string(),
            "pid": self.pid,
            "state": state,
            "error": error,
        })
    }
}
