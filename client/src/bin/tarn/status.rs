//! `tarn status`: what every server says it holds of a file. Changes nothing.

mod through;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tarn_client::base::{Base, Choice, Evidence, Origin, Seen};
use tarn_client::caps::VerifyCap;
use tarn_client::grid::Grid;
use tarn_client::quorum::{distinct_shares, happiness};
use tarn_client::servermap::ServerMap;
use tarn_proto::{ShareHealth, ShareNumber, SignedHeader, StoreId, VersionId};

use crate::cli::Global;
use crate::error::CommandError;
use crate::home::Home;
use crate::names::{FileName, Names};
use crate::output::{self, Size, list, short};
use crate::session::Session;
use crate::table::Table;
use crate::target::{Target, TargetText};
use crate::unfinished::Unfinished;

/// Shows what each server holds of a file: servers, shares, versions. Without a file: publishes that are not finished.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tarn status report.pdf\n  tarn status report.pdf --json\n  tarn status"
)]
pub(crate) struct Args {
    /// A name, as `tarn ls` lists them, or any cap.
    #[arg(value_name = "NAME|CAP")]
    file: Option<TargetText>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) async fn run(args: &Args, global: &Global, home: &Home) -> Result<(), CommandError> {
    if let Some(url) = &global.gateway {
        return through::run(args, url, global, home).await;
    }
    let mut names = Names::open(home.data())?;
    let Some(file) = &args.file else { return print_unfinished(args, &names, home) };
    let file = File::find(&file.parse()?, &names, home)?;
    let session = Session::open(global, home).await?;
    let map = session.client.survey(file.cap.storage_index(), &file.origin).await;
    names.note_suspects(&map.heard());
    let status = Status { evidence: map.evidence(), choice: map.choose(&file.origin), map: &map };
    let told = if args.json {
        output::print(status.json(&file, session.grid()))
    } else {
        status.print(&file, session.grid())
    };
    let closed = session.close().await;
    told.and(closed)
}

/// Every publish whose outcome nobody was told.
fn print_unfinished(args: &Args, names: &Names, home: &Home) -> Result<(), CommandError> {
    let unfinished = Unfinished::list(names, home, None)?;
    if args.json {
        let unfinished: Vec<Value> = unfinished.iter().map(Unfinished::json).collect();
        return output::print(json!({ "unfinished_publishes": unfinished }));
    }
    if unfinished.is_empty() {
        return output::print("no publish is unfinished");
    }
    let known = names.list()?;
    for unfinished in unfinished {
        let file = unfinished.newest.signed.header().storage_index;
        let name = known.iter().find(|record| record.storage_index() == file);
        let name = name.map_or_else(|| file.to_string(), |record| record.name.to_string());
        output::print(format_args!("{name}: {}", unfinished.sentence()))?;
    }
    output::say("`tarn resume` goes on with one that was cut off, `tarn abandon` drops it");
    Ok(())
}

/// The file to look at.
struct File {
    name: Option<FileName>,
    cap: VerifyCap,
    origin: Origin,
    unfinished: Vec<Unfinished>,
}

impl File {
    fn find(file: &Target, names: &Names, home: &Home) -> Result<Self, CommandError> {
        let unfinished = Unfinished::of(file, names, home)?;
        let (name, cap, origin) = match file {
            Target::Name(name) => {
                let record = names.find(name)?;
                let origin = record.window.map_or(Origin::CapHolder, Origin::Creator);
                (Some(record.name), record.cap.verify_cap(), origin)
            }
            Target::Cap(cap) => (None, cap.verify_cap(), Origin::CapHolder),
        };
        Ok(Self { name, cap, origin, unfinished })
    }
}

/// What the servers said, and what follows.
struct Status<'a> {
    map: &'a ServerMap,
    evidence: Evidence,
    choice: Choice,
}

impl Status<'_> {
    fn print(&self, file: &File, grid: &Grid) -> Result<(), CommandError> {
        let name = file.name.as_ref().map_or("the file", FileName::as_str);
        output::print(format_args!("{name}: {}", self.verdict()))?;
        for seen in self.evidence.newest_first() {
            output::print(self.version_line(seen))?;
        }
        for unfinished in &file.unfinished {
            output::print(unfinished.sentence())?;
        }
        if file.unfinished.iter().any(|unfinished| unfinished.runs.is_none()) {
            output::say("`tarn resume` goes on with what was cut off, `tarn abandon` drops it");
        }
        output::print(self.table(grid))
    }

    fn verdict(&self) -> String {
        match &self.choice {
            Choice::Chosen { base: Base::Version(header), certain: true } => {
                format!("version {} is published", header.header().sequence_number)
            }
            Choice::Chosen { base: Base::Version(header), certain: false } => {
                format!(
                    "version {} is the newest that can be read, but in doubt",
                    header.header().sequence_number
                )
            }
            Choice::Chosen { base: Base::Empty(_), .. } => "nothing was published yet".to_owned(),
            Choice::Undecided(undecided) => format!(
                "its newest version cannot be told from the servers that answered ({} are silent)",
                undecided.needed().len()
            ),
        }
    }

    fn version_line(&self, seen: &Seen) -> String {
        let header = seen.header.header();
        let placement = seen.placement();
        let state = match (self.evidence.is_certain(seen.header.version()), seen.is_recoverable()) {
            (true, true) => "published",
            (true, false) => "published, too few shares to read",
            (false, true) => "in doubt",
            (false, false) => "fragment",
        };
        format!(
            "version {}  {}  {}, {}, {} of {} shares, happiness {}, {state}",
            header.sequence_number,
            seen.header.version(),
            Size(header.geometry.length()),
            header.shape,
            distinct_shares(&placement),
            header.shape.n(),
            happiness(&placement),
        )
    }

    /// Servers down, versions across, shares in the cells.
    fn table(&self, grid: &Grid) -> Table {
        let versions: Vec<&SignedHeader> =
            self.evidence.newest_first().map(|seen| &seen.header).collect();
        let headings =
            versions.iter().map(|header| format!("V{}", header.header().sequence_number));
        let mut table = Table::with_headings(
            ["SERVER".to_owned(), "ADDRESS".to_owned()]
                .into_iter()
                .chain(headings)
                .chain(["".to_owned()]),
        );
        for (store, said) in self.servers() {
            let mut row = vec![short(store), address(grid, store)];
            row.extend(versions.iter().map(|header| match &said {
                Said::Holds(held) => held.get(&header.version()).map_or_else(String::new, cell),
                Said::Failed(_) => String::new(),
            }));
            row.push(match said {
                Said::Failed(failure) => failure,
                Said::Holds(_) => String::new(),
            });
            table.row(row);
        }
        table
    }

    fn servers(&self) -> BTreeMap<StoreId, Said> {
        let answered = self.map.answers.iter().map(|(&store, state)| {
            let held = state
                .generations
                .iter()
                .map(|generation| (generation.header.version(), Held::of(&generation.shares)));
            (store, Said::Holds(held.collect()))
        });
        let failed = self
            .map
            .failures
            .iter()
            .map(|(&store, failure)| (store, Said::Failed(failure.to_string())));
        answered.chain(failed).collect()
    }

    fn json(&self, file: &File, grid: &Grid) -> Value {
        let (base, certain) = match &self.choice {
            Choice::Chosen { base, certain } => (base.version(), Some(*certain)),
            Choice::Undecided(_) => (None, None),
        };
        let versions: Vec<Value> =
            self.evidence.newest_first().map(|seen| self.version_json(seen)).collect();
        let servers: Vec<Value> = self
            .servers()
            .into_iter()
            .map(|(store, said)| self.server_json(store, &said, grid))
            .collect();
        json!({
            "name": file.name.as_ref().map(FileName::as_str),
            "storage_index": file.cap.storage_index().to_string(),
            "base": base.map(|id| id.to_string()),
            "confirmed": certain,
            "unfinished": file.unfinished.len(),
            "unfinished_publishes": file.unfinished.iter().map(Unfinished::json).collect::<Vec<_>>(),
            "versions": versions,
            "servers": servers,
        })
    }

    fn version_json(&self, seen: &Seen) -> Value {
        let header = seen.header.header();
        let placement = seen.placement();
        json!({
            "seqnum": header.sequence_number.get(),
            "id": seen.header.version().to_string(),
            "predecessor": header.predecessor.map(|id| id.to_string()),
            "bytes": header.geometry.length(),
            "k": header.shape.k(),
            "happy": header.shape.happy(),
            "n": header.shape.n(),
            "shares": distinct_shares(&placement),
            "happiness": happiness(&placement),
            "certain": self.evidence.is_certain(seen.header.version()),
            "recoverable": seen.is_recoverable(),
        })
    }

    fn server_json(&self, store: StoreId, said: &Said, grid: &Grid) -> Value {
        let versions: Vec<Value> = match said {
            Said::Failed(_) => Vec::new(),
            Said::Holds(held) => held
                .iter()
                .map(|(id, held)| {
                    let numbers = |shares: &BTreeSet<ShareNumber>| {
                        shares.iter().map(|share| share.get()).collect::<Vec<_>>()
                    };
                    json!({
                        "id": id.to_string(),
                        "seqnum": self.evidence.sequence_number(*id).map(|number| number.get()),
                        "shares": numbers(&held.whole),
                        "damaged": numbers(&held.damaged),
                    })
                })
                .collect(),
        };
        let error = match said {
            Said::Failed(failure) => Some(failure),
            Said::Holds(_) => None,
        };
        json!({
            "server": store.to_string(),
            "address": grid.find(store).map(|server| server.address.to_string()),
            "versions": versions,
            "error": error,
        })
    }
}

/// What one server said.
enum Said {
    Holds(BTreeMap<VersionId, Held>),
    Failed(String),
}

/// The shares that a server has of one version.
struct Held {
    whole: BTreeSet<ShareNumber>,
    damaged: BTreeSet<ShareNumber>,
}

impl Held {
    fn of(shares: &BTreeMap<ShareNumber, ShareHealth>) -> Self {
        let of = |wanted: ShareHealth| {
            let held = shares.iter().filter(|(_, health)| **health == wanted);
            held.map(|(&share, _)| share).collect()
        };
        Self { whole: of(ShareHealth::Whole), damaged: of(ShareHealth::Damaged) }
    }
}

fn cell(held: &Held) -> String {
    match (held.whole.is_empty(), held.damaged.is_empty()) {
        (_, true) => list(&held.whole),
        (true, false) => format!("{} damaged", list(&held.damaged)),
        (false, false) => format!("{}; {} damaged", list(&held.whole), list(&held.damaged)),
    }
}

fn address(grid: &Grid, store: StoreId) -> String {
    grid.find(store).map_or_else(|| "not listed".to_owned(), |server| server.address.to_string())
}
