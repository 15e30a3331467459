//! `tarn cluster start`: brings every server of a cluster up, making those that lack.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use futures::future::join_all;
use rand::{Rng, RngExt};
use tarn_server::store::Store;
use tokio::time::Instant;

use super::folder::{Cluster, Member};
use super::process;
use crate::error::{CommandError, chain};
use crate::home;
use crate::output;
use crate::servers;

/// How many servers a new cluster has.
const SERVERS_DEFAULT: u16 = 10;
/// How long a server may take until it answers.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long one question to a server may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// How often a server that does not listen yet is asked.
const ASK_EVERY: Duration = Duration::from_millis(20);
/// Where ports are drawn: below those that systems hand out to outgoing connections, which would otherwise take the
/// port of a server that is down, or even connect to themselves on it.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// How many ports are tried before the machine is called full.
const PORT_TRIES: usize = 1000;

/// Runs the command.
pub(super) async fn run(folder: &Path, servers: Option<u16>) -> Result<(), CommandError> {
    home::create_folder(folder)
        .map_err(|error| CommandError::file("create the folder", folder, &error))?;
    let _lock = Cluster::lock(folder).await?;
    let mut cluster = Cluster::load(folder)?;
    let known = cluster.members.len();
    let wanted = match servers {
        Some(wanted) if usize::from(wanted) < known => {
            return Err(CommandError::usage(format_args!(
                "the cluster in {} has {known} servers and does not shrink",
                folder.display()
            ))
            .hint("leave --servers out, or name another folder with --dir"));
        }
        Some(wanted) => usize::from(wanted),
        None if known > 0 => known,
        None => usize::from(SERVERS_DEFAULT),
    };
    make_members(&mut cluster, wanted).await?;
    let started = bring_up(&cluster).await?;
    output::say(format_args!(
        "{wanted} servers are up, {started} of them started now; `tarn cluster stop` stops them"
    ));
    output::say("to use them in this shell:");
    let grid = cluster.grid_file();
    output::print(format_args!("export TARN_GRID={}", shell_quoted(&grid.to_string_lossy())))
}

/// Makes sure that there are `wanted` members, each with a data folder, and writes them down.
pub(super) async fn make_members(cluster: &mut Cluster, wanted: usize) -> Result<(), CommandError> {
    for index in 0..cluster.members.len() {
        let data = cluster.data(&cluster.members[index].name);
        if data.exists() {
            continue;
        }
        // An emptied server is a different member: its address stays, its store id does not.
        let member = &mut cluster.members[index];
        member.store = servers::init(&data).await?;
        output::say(format_args!(
            "{} has lost its data and begins anew as store {}",
            member.name, member.store
        ));
    }
    for index in cluster.members.len()..wanted {
        let name = format!("server-{index:02}");
        let address = draw_address(cluster, &mut servers::os_rng())?;
        // An earlier start may have ended between making the folder and writing it down.
        let store = servers::open_or_init(&cluster.data(&name)).await?.id();
        cluster.members.push(Member { name, store, address });
    }
    cluster.save()
}

/// Starts every member that does not run, and waits until all of them answer. Says how many it started.
pub(super) async fn bring_up(cluster: &Cluster) -> Result<usize, CommandError> {
    let members = cluster.members.iter();
    let outcomes = join_all(members.map(|member| bring_up_one(cluster, member))).await;
    let (mut started, mut problems) = (0, Vec::new());
    for (member, outcome) in cluster.members.iter().zip(outcomes) {
        match outcome {
            Ok(Up::Before) => {}
            Ok(Up::Started) => started += 1,
            Err(problem) => problems.push(format!("{}: {problem}", member.name)),
        }
    }
    if problems.is_empty() {
        return Ok(started);
    }
    Err(CommandError::failed(format_args!(
        "{} of {} servers did not start\n  {}",
        problems.len(),
        cluster.members.len(),
        problems.join("\n  ")
    ))
    .hint("the others run; correct the cause and start again, or `tarn cluster stop`"))
}

/// How a server came to be up.
enum Up {
    Before,
    Started,
}

async fn bring_up_one(cluster: &Cluster, member: &Member) -> Result<Up, String> {
    let failed = |error: std::io::Error| error.to_string();
    if process::running(cluster, member).map_err(failed)?.is_some() {
        // It may have been killed just now and still be on its way out.
        tokio::select! {
            answer = answers(member) => return answer.map(|()| Up::Before),
            gone = process::gone(cluster, member, READY_WITHIN) => drop(gone.map_err(failed)?),
        }
    }
    let mut child = process::spawn(cluster, member).map_err(failed)?;
    tokio::select! {
        answer = answers(member) => answer.map(|()| Up::Started),
        _ = child.wait() => {
            let log = cluster.log(member);
            let words = process::last_words(cluster, member);
            Err(words.unwrap_or_else(|| format!("it ended at once; see {}", log.display())))
        }
    }
}

/// Asks a server until it answers, or says why it does not.
async fn answers(member: &Member) -> Result<(), String> {
    let client = member.dial().map_err(|error| error.sentence().to_owned())?;
    let deadline = Instant::now() + READY_WITHIN;
    let mut ticks = tokio::time::interval(ASK_EVERY);
    loop {
        ticks.tick().await;
        match client.describe(ANSWER_WITHIN).await {
            Ok(_) => return Ok(()),
            Err(error) if Instant::now() >= deadline => return Err(chain(&error)),
            Err(_) => {}
        }
    }
}

/// A loopback port that is free now and that no member has.
fn draw_address(cluster: &Cluster, rng: &mut impl Rng) -> Result<SocketAddr, CommandError> {
    for _ in 0..PORT_TRIES {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, rng.random_range(PORTS)));
        let taken = cluster.members.iter().any(|member| member.address == address);
        if !taken && TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err(CommandError::failed("no free loopback port was found"))
}

/// A word as a POSIX shell reads it.
fn shell_quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+=:,@%".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_every_path() {
        assert_eq!(shell_quoted("/tmp/a-b.c/grid.toml"), "/tmp/a-b.c/grid.toml");
        assert_eq!(shell_quoted("/tmp/a b"), "'/tmp/a b'");
        assert_eq!(shell_quoted("it's"), r"'it'\''s'");
        assert_eq!(shell_quoted("$HOME"), "'$HOME'");
    }
}
