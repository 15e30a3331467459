//! A cluster of real processes: started, killed, started again, stopped; and nothing else touched.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must end")]

mod trial;

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tarn_client::grid::Grid;
use trial::{Trial, run};

/// Stops the default cluster of a trial, also when the test fails.
struct Stopped<'a>(&'a Trial);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.0.tarn(&["cluster", "stop"]);
    }
}

/// One line of `tarn cluster status --json`.
#[derive(Debug, PartialEq, Eq)]
struct Server {
    name: String,
    store: String,
    address: String,
    pid: Option<u32>,
    state: String,
}

fn status(trial: &Trial) -> Vec<Server> {
    let printed = trial.tarn(&["cluster", "status", "--json"]).ok();
    let status: Value = serde_json::from_str(&printed).unwrap();
    let text = |server: &Value, key: &str| server[key].as_str().unwrap().to_owned();
    let servers = status["servers"].as_array().unwrap();
    servers
        .iter()
        .map(|server| Server {
            name: text(server, "server"),
            store: text(server, "store"),
            address: text(server, "address"),
            pid: server["pid"].as_u64().map(|pid| pid.try_into().unwrap()),
            state: text(server, "state"),
        })
        .collect()
}

fn kill(pid: u32) {
    let pid = Pid::from_raw(pid.try_into().unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
}

/// Whether a process runs; one that has ended and that nobody has collected does not.
fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
    state.is_some_and(|rest| !rest.starts_with(['Z', 'X']))
}

#[test]
fn a_killed_server_comes_back_with_its_address_and_data_and_stop_leaves_no_process() {
    let trial = Trial::new();
    let _stopped = Stopped(&trial);
    let printed = trial.tarn(&["cluster", "start", "--servers", "3"]).ok();
    let grid_file = trial.path("data/cluster/grid.toml");
    assert_eq!(printed, format!("export TARN_GRID={}\n", grid_file.display()));

    let first = status(&trial);
    assert_eq!(first.len(), 3);
    assert!(first.iter().all(|server| server.state == "up"), "{first:?}");
    let grid = Grid::read(&grid_file).unwrap();
    for server in &first {
        let listed = grid.find(server.store.parse().unwrap()).unwrap();
        assert_eq!(listed.address.as_str(), server.address);
    }

    let victim = first[1].pid.unwrap();
    kill(victim);
    trial.tarn(&["cluster", "start"]).ok();
    let second = status(&trial);
    for (before, after) in first.iter().zip(&second) {
        assert_eq!(after.state, "up");
        assert_eq!((&after.store, &after.address), (&before.store, &before.address));
        assert_eq!(after.pid == before.pid, before.pid != Some(victim));
    }

    trial.tarn(&["cluster", "stop"]).ok();
    for server in first.iter().chain(&second) {
        assert!(!lives(server.pid.unwrap()), "{server:?}");
    }
    assert!(status(&trial).iter().all(|server| server.state == "down"));
    assert!(trial.tarn(&["cluster", "stop"]).stderr.contains("no server"));
}

#[test]
fn two_starts_at_once_start_every_server_once() {
    let trial = Trial::new();
    let _stopped = Stopped(&trial);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| trial.tarn(&["cluster", "start", "--servers", "2"]).ok());
        }
    });
    let servers = status(&trial);
    assert_eq!(servers.len(), 2);
    assert!(servers.iter().all(|server| server.state == "up"), "{servers:?}");
}

#[test]
fn a_cluster_grows_and_never_shrinks() {
    let trial = Trial::new();
    let _stopped = Stopped(&trial);
    trial.tarn(&["cluster", "start", "--servers", "1"]).ok();
    let one = status(&trial);
    trial.tarn(&["cluster", "start", "--servers", "2"]).ok();
    let two = status(&trial);
    assert_eq!(two[..1], one[..]);
    assert_eq!(two.len(), 2);
    let said = trial.tarn(&["cluster", "start", "--servers", "1"]).fails(2);
    assert!(said.contains("has 2 servers and does not shrink"), "{said}");
}

#[test]
fn a_server_that_lost_its_data_is_another_member_at_the_same_address() {
    let trial = Trial::new();
    let _stopped = Stopped(&trial);
    trial.tarn(&["cluster", "start", "--servers", "2"]).ok();
    let before = status(&trial);
    trial.tarn(&["cluster", "stop"]).ok();
    std::fs::remove_dir_all(trial.path("data/cluster/server-01")).unwrap();
    trial.tarn(&["cluster", "start"]).ok();
    let after = status(&trial);
    assert_eq!(after[0].store, before[0].store);
    assert_ne!(after[1].store, before[1].store);
    assert_eq!(after[1].address, before[1].address);
    let grid = Grid::read(&trial.path("data/cluster/grid.toml")).unwrap();
    assert!(grid.find(after[1].store.parse().unwrap()).is_some());
}

#[test]
fn an_address_that_another_program_took_is_named() {
    let trial = Trial::new();
    let _stopped = Stopped(&trial);
    trial.tarn(&["cluster", "start", "--servers", "2"]).ok();
    let before = status(&trial);
    trial.tarn(&["cluster", "stop"]).ok();
    let _taken = std::net::TcpListener::bind(&before[0].address).unwrap();
    let said = trial.tarn(&["cluster", "start"]).fails(1);
    assert!(said.contains("1 of 2 servers did not start"), "{said}");
    let words = format!("server-00: cannot listen on {}: ", before[0].address);
    assert!(said.contains(&words), "{said}");
}

/// The lock of a stopped server is held by this very test, under its process id: what `stop` must not end.
#[test]
#[cfg(target_os = "linux")]
fn stop_ends_no_process_that_is_not_its_server() {
    let trial = Trial::new();
    let _stopped = Stopped(&trial);
    trial.tarn(&["cluster", "start", "--servers", "2"]).ok();
    let servers = status(&trial);
    trial.tarn(&["cluster", "stop"]).ok();
    let mut lock = File::create(trial.path("data/cluster/server-00/server.lock")).unwrap();
    lock.lock().unwrap();
    writeln!(lock, "{}", std::process::id()).unwrap();
    let said = trial.tarn(&["cluster", "stop"]).fails(1);
    assert!(said.contains("which is no server of this cluster"), "{said}");
    drop(lock);
    assert!(!lives(servers[0].pid.unwrap()));
}

#[test]
fn a_damaged_cluster_file_is_one_clear_sentence() {
    let trial = Trial::new();
    let file = trial.write("data/cluster/cluster.toml", "[[server]]\nfolder = \"../x\"\n");
    let said = trial.tarn(&["cluster", "start"]).fails(1);
    assert!(said.contains(&format!("{} is damaged: ", file.display())), "{said}");
}

#[test]
fn a_server_says_where_it_listens_and_stops_when_it_is_told() {
    let trial = Trial::new();
    let data = trial.path("store").display().to_string();
    let store = trial.tarn(&["server", "init", &data]).ok();
    trial.tarn(&["server", "init", &data]).fails(1);
    let mut command = trial.command(&["server", "run", &data, "--listen", "127.0.0.1:0"]);
    let mut server = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(server.stderr.take().unwrap()).lines();
    for says in ["holds 0 slots and 0 chunks", "listens on 127.0.0.1:"] {
        let line = said.next().unwrap().unwrap();
        assert!(line.starts_with(&format!("store {} {says}", store.trim())), "{line}");
    }

    let second = run(trial.command(&["server", "run", &data, "--listen", "127.0.0.1:0"]));
    let words = format!("another server (process {}) already runs on {data}", server.id());
    assert!(second.fails(1).contains(&words));

    let pid = Pid::from_raw(server.id().try_into().unwrap()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert!(server.wait().unwrap().success());
}
