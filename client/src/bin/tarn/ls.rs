//! `tarn ls`: the files that have names here. Asks no server.

use serde_json::json;

use crate::clock::UnixSeconds;
use crate::error::CommandError;
use crate::home::Home;
use crate::names::{FileRecord, Names};
use crate::output::{self, Span};
use crate::table::{Column, Table};

/// Lists the names, with what was last seen of each file; asks no server.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tarn ls\n  tarn ls --json | jq -r '.files[].name'")]
pub(crate) struct Args {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args, home: &Home, now: UnixSeconds) -> Result<(), CommandError> {
    let files = Names::open(home.data())?.list()?;
    if args.json {
        let files: Vec<_> = files.iter().map(as_json).collect();
        return output::print(json!({ "files": files }));
    }
    if files.is_empty() {
        output::say("no names yet; `tarn publish FILE` makes one");
        return Ok(());
    }
    let mut table = Table::new(&[
        Column::Text("NAME"),
        Column::Number("SEEN"),
        Column::Text("SHAPE"),
        Column::Text("AGE"),
        Column::Text("GRID"),
        Column::Text("PATH"),
    ]);
    for file in &files {
        let seen = file.high_water.map(|seen| seen.sequence_number.to_string());
        let path = file.path.as_ref().map(|path| path.display().to_string());
        table.row([
            file.name.to_string(),
            seen.unwrap_or_else(|| "-".to_owned()),
            format!("{}-of-{}", file.shape.k(), file.shape.n()),
            Span(file.created_at.age(now)).to_string(),
            file.grid.clone(),
            path.unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    output::print(table)
}

fn as_json(file: &FileRecord) -> serde_json::Value {
    json!({
        "name": file.name.as_str(),
        "path": file.path.as_ref().map(|path| path.to_string_lossy()),
        "storage_index": file.storage_index().to_string(),
        "grid": file.grid,
        "k": file.shape.k(),
        "happy": file.shape.happy(),
        "n": file.shape.n(),
        "created_at": file.created_at.get(),
        "version": file.high_water.map(|seen| json!({
            "seqnum": seen.sequence_number.get(),
            "id": seen.version.to_string(),
        })),
    })
}
