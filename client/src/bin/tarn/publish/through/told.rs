//! What a person, or a program, is told of a publish through a gateway.

use serde_json::{Value, json};
use tarn_client::base::HighWater;
use tarn_proto::gateway::{Outcome, OutcomeKind, Task};
use tarn_proto::{SequenceNumber, StoreId, VersionId};

use super::File;
use crate::error::CommandError;
use crate::names::{FileName, Names};
use crate::output::{self, Size, short};
use crate::remote::{self, Remote, version_text};
use crate::table::{Column, Table};

/// What is told, and of what.
pub(super) struct Told<'a> {
    pub(super) file: &'a File,
    pub(super) remote: &'a Remote,
    pub(super) json: bool,
}

impl Told<'_> {
    /// The task is accepted, and nobody waits for it.
    pub(super) fn accepted(&self, task: &Task) -> Result<(), CommandError> {
        if self.json {
            return output::print(json!({
                "outcome": null,
                "task": version_text(&task.task_id),
                "name": self.name(),
                "read_cap": self.read_cap(),
            }));
        }
        output::print(version_text(&task.task_id))
    }

    /// The task has ended.
    pub(super) fn ended(&self, task: &Task, names: &mut Names) -> Result<(), CommandError> {
        let outcome = task.outcome.clone().unwrap_or_default();
        if let Some(seen) = seen(&outcome) {
            names.raise_high_water(self.file.cap.verify_cap().storage_index(), seen)?;
        }
        if self.json {
            output::print(self.json(task, &outcome))?;
        } else {
            self.print(task, &outcome)?;
        }
        remote::ended(&outcome)
    }

    fn print(&self, task: &Task, outcome: &Outcome) -> Result<(), CommandError> {
        if outcome.kind() == OutcomeKind::Published {
            let name = self.name().unwrap_or("the file");
            let number = match outcome.sequence_number {
                0 => String::new(),
                number => format!(" {number}"),
            };
            let repeated =
                if outcome.repeated_earlier { ", as an earlier try had done" } else { "" };
            let size = Size(task.length);
            output::print(format_args!("published {name}, version{number}, {size}{repeated}"))?;
            output::print(format_args!("version   {}", version_text(&outcome.version)))?;
            output::print(format_args!("read cap  {}", self.read_cap()))?;
            let columns = [Column::Text("SERVER"), Column::Text("ADDRESS"), Column::Text("SHARES")];
            let mut table = Table::new(&columns);
            for placement in &outcome.placement {
                let shares: Vec<String> = placement.shares.iter().map(u32::to_string).collect();
                let (server, address) = self.server(&placement.store_id);
                table.row([server, address, shares.join(", ")]);
            }
            output::print(table)?;
        }
        for trouble in &outcome.troubles {
            let (server, address) = self.server(&trouble.store_id);
            let sentence = crate::table::printable(&trouble.sentence);
            output::say(format_args!("  {server} at {address}: {sentence}"));
        }
        Ok(())
    }

    fn json(&self, task: &Task, outcome: &Outcome) -> Value {
        let shares = outcome.placement.iter().flat_map(|placement| {
            let server = version_text(&placement.store_id);
            let share = move |share| json!({ "share": share, "server": server, "state": "placed" });
            placement.shares.iter().map(share)
        });
        let missing = outcome.missing.iter();
        let missing =
            missing.map(|share| json!({ "share": share, "server": null, "state": "missing" }));
        let published = outcome.kind() == OutcomeKind::Published;
        json!({
            "outcome": remote::name(outcome.kind()),
            "task": version_text(&task.task_id),
            "name": self.name(),
            "read_cap": self.read_cap(),
            "version": (!outcome.version.is_empty()).then(|| json!({
                "seqnum": outcome.sequence_number,
                "id": version_text(&outcome.version),
            })),
            "bytes": task.length,
            "shares": shares.chain(missing).collect::<Vec<_>>(),
            "repeated": outcome.repeated_earlier,
            "error": (!published).then(|| outcome.sentence.clone()),
        })
    }

    fn name(&self) -> Option<&str> {
        self.file.name.as_ref().map(FileName::as_str)
    }

    fn read_cap(&self) -> String {
        self.file.cap.read_cap().to_text().as_str().to_owned()
    }

    /// The server's short name and its address.
    fn server(&self, store: &[u8]) -> (String, String) {
        let Ok(store) = StoreId::try_from(store) else { return Default::default() };
        let listed = self.remote.grid().find(store);
        let address = listed.map(|server| server.address.to_string());
        (short(store), address.unwrap_or_else(|| "no known address".to_owned()))
    }
}

/// The version that was published, to be remembered.
fn seen(outcome: &Outcome) -> Option<HighWater> {
    if outcome.kind() != OutcomeKind::Published {
        return None;
    }
    let sequence_number = SequenceNumber::try_from(outcome.sequence_number).ok()?;
    let version = VersionId::try_from(outcome.version.as_ref()).ok()?;
    Some(HighWater { sequence_number, version })
}
