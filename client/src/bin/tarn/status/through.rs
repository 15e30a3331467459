//! `tarn --gateway URL status`: what servers say they hold, as a gateway hears it.

use serde_json::{Value, json};
use tarn_proto::StoreId;
use tarn_proto::gateway as wire;

use super::{Args, File};
use crate::cli::Global;
use crate::error::CommandError;
use crate::home::Home;
use crate::names::{FileName, Names};
use crate::output::{self, Size, short};
use crate::remote::{Remote, Url, refused, version_text};
use crate::table::Table;

/// Runs the command.
pub(super) async fn run(
    args: &Args,
    url: &Url,
    global: &Global,
    home: &Home,
) -> Result<(), CommandError> {
    let names = Names::open(home.data())?;
    let Some(file) = &args.file else {
        return Err(CommandError::usage("`tarn tasks` lists what the gateway has to do"));
    };
    let file = File::find(&file.parse()?, &names, home)?;
    let mut remote = Remote::open(url, global).await?;
    let request = wire::StatusRequest { cap: file.cap.to_text().as_str().to_owned() };
    let status = remote.calls.status(request).await.map_err(|status| refused(&status))?;
    let status = status.into_inner();
    if args.json {
        return output::print(as_json(&file, &status));
    }
    print(&file, &status)
}

fn print(file: &File, status: &wire::StatusAnswer) -> Result<(), CommandError> {
    let name = file.name.as_ref().map_or("the file", FileName::as_str);
    let newest = status.versions.iter().find(|version| version.version == status.newest);
    let verdict = match (newest, status.confirmed) {
        (Some(newest), true) => format!("version {} is published", newest.sequence_number),
        (Some(newest), false) => {
            format!(
                "version {} is the newest that can be read, but in doubt",
                newest.sequence_number
            )
        }
        (None, true) => "nothing was published yet".to_owned(),
        (None, false) => "nothing that can be read was found".to_owned(),
    };
    output::print(format_args!("{name}: {verdict}"))?;
    for version in &status.versions {
        let shape = version.shape.unwrap_or_default();
        output::print(format_args!(
            "version {}  {}  {}, {} of {} shares, happiness {}, {}",
            version.sequence_number,
            version_text(&version.version),
            Size(version.length),
            version.shares,
            shape.n,
            version.happiness,
            match (version.certain, version.recoverable) {
                (true, true) => "published",
                (true, false) => "published, too few shares to read",
                (false, true) => "in doubt",
                (false, false) => "fragment",
            }
        ))?;
    }
    output::print(table(status))
}

fn table(status: &wire::StatusAnswer) -> Table {
    let headings = status.versions.iter().map(|version| format!("V{}", version.sequence_number));
    let fixed = ["SERVER".to_owned(), "ADDRESS".to_owned()].into_iter();
    let mut table = Table::with_headings(fixed.chain(headings).chain([String::new()]));
    for server in &status.servers {
        let store =
            StoreId::try_from(server.store_id.as_ref()).map_or_else(|_| String::new(), short);
        let shares = status.versions.iter().map(|version| {
            let held = server.held.iter().find(|held| held.version == version.version);
            held.map_or_else(String::new, cell)
        });
        let row = [store, server.address.clone()].into_iter().chain(shares);
        table.row(row.chain([server.error.clone()]));
    }
    table
}

fn cell(held: &wire::HeldVersion) -> String {
    let list = |shares: &[u32]| shares.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    match (held.shares.is_empty(), held.damaged.is_empty()) {
        (_, true) => list(&held.shares),
        (true, false) => format!("{} damaged", list(&held.damaged)),
        (false, false) => format!("{}; {} damaged", list(&held.shares), list(&held.damaged)),
    }
}

fn as_json(file: &File, status: &wire::StatusAnswer) -> Value {
    let versions = status.versions.iter().map(|version| {
        json!({
            "seqnum": version.sequence_number,
            "id": version_text(&version.version),
            "bytes": version.length,
            "shares": version.shares,
            "happiness": version.happiness,
            "certain": version.certain,
            "recoverable": version.recoverable,
        })
    });
    let servers = status.servers.iter().map(|server| {
        let held = server.held.iter().map(|held| {
            json!({
                "id": version_text(&held.version),
                "shares": held.shares,
                "damaged": held.damaged,
            })
        });
        json!({
            "server": version_text(&server.store_id),
            "address": server.address,
            "versions": held.collect::<Vec<_>>(),
            "error": (!server.error.is_empty()).then_some(&server.error),
        })
    });
    json!({
        "name": file.name.as_ref().map(FileName::as_str),
        "storage_index": version_text(&status.storage_index),
        "base": (!status.newest.is_empty()).then(|| version_text(&status.newest)),
        "confirmed": status.confirmed,
        "versions": versions.collect::<Vec<_>>(),
        "servers": servers.collect::<Vec<_>>(),
    })
}
