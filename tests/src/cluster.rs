//! Server processes on loopback, as `tarn cluster` runs them, to be killed and started again.

use std::fs::File;
use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::home::{Home, Ran};

/// A running cluster. Dropping it stops its servers, and none else.
#[derive(Debug)]
pub struct Cluster {
    home: Home,
    /// The servers in the order of their folders.
    pub servers: Vec<Server>,
}

/// One server.
#[derive(Debug, Clone)]
pub struct Server {
    /// The name of its folder.
    pub name: String,
    /// Where it listens, whenever it runs.
    pub address: String,
    /// Its store id.
    pub store: String,
}

impl Cluster {
    /// So many new servers, all of them up.
    pub fn start(servers: usize) -> Self {
        let home = Home::new(None);
        let mut cluster = Self { home, servers: Vec::new() };
        cluster.home.run(&["cluster", "start", "--servers", &servers.to_string()]).ok();
        cluster.servers = cluster.status().into_iter().map(|(server, _)| server).collect();
        assert_eq!(cluster.servers.len(), servers);
        cluster
    }

    /// A new user of this cluster.
    pub fn home(&self) -> Home {
        Home::new(Some(&self.grid()))
    }

    /// The grid file for its users.
    pub fn grid(&self) -> PathBuf {
        self.path("grid.toml")
    }

    /// A file or folder of the cluster's.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.home.path("data/cluster").join(inside)
    }

    /// Kills these servers, given by their places in the list, with kill -9; returns when they are gone.
    pub fn kill(&self, victims: &[usize]) {
        let status = self.status();
        for &victim in victims {
            let (server, pid) = &status[victim];
            let pid = pid.unwrap_or_else(|| panic!("{} does not run", server.name));
            kill_process(pid, Signal::KILL).unwrap();
        }
        for &victim in victims {
            self.gone(victim);
        }
    }

    /// Stops this server where it is, without ending it: its connections stay, and nothing is answered. Until
    /// [`Cluster::thaw`].
    pub fn freeze(&self, server: usize) {
        self.signal(server, Signal::STOP);
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self, server: usize) {
        self.signal(server, Signal::CONT);
    }

    /// Tells this server to stop as a person would, with SIGTERM; returns when it has.
    pub fn terminate(&self, server: usize) {
        self.signal(server, Signal::TERM);
        self.gone(server);
    }

    fn signal(&self, server: usize, signal: Signal) {
        let (server, pid) = &self.status()[server];
        let pid = pid.unwrap_or_else(|| panic!("{} does not run", server.name));
        kill_process(pid, signal).unwrap();
    }

    /// Waits until nobody serves the data of this server: a lock is held by whoever does.
    fn gone(&self, victim: usize) {
        let lock = self.path(&self.servers[victim].name).join("server.lock");
        File::open(lock).unwrap().lock_shared().unwrap();
    }

    /// Starts the servers that do not run, and expects that all come up.
    pub fn revive(&self) {
        self.try_revive().ok();
    }

    /// Starts the servers that do not run.
    pub fn try_revive(&self) -> Ran {
        self.home.run(&["cluster", "start"])
    }

    /// Stops all servers.
    pub fn stop(&self) {
        self.home.run(&["cluster", "stop"]).ok();
    }

    /// The addresses of these servers.
    pub fn addresses<'a>(&'a self, servers: &'a [usize]) -> impl Iterator<Item = &'a str> {
        servers.iter().map(|&server| self.servers[server].address.as_str())
    }

    /// Everything that this server has said.
    pub fn log(&self, server: usize) -> String {
        let log = self.path(&format!("{}.log", self.servers[server].name));
        std::fs::read_to_string(log).unwrap()
    }

    /// Expects that no server panicked, ever.
    pub fn never_panicked(&self) {
        for server in 0..self.servers.len() {
            let log = self.log(server);
            assert!(!log.contains("panicked"), "{}: {log}", self.servers[server].name);
        }
    }

    fn status(&self) -> Vec<(Server, Option<Pid>)> {
        let ran = self.home.run(&["cluster", "status", "--json"]).ok();
        let status: Value = serde_json::from_slice(&ran.stdout).unwrap();
        status["servers"].as_array().unwrap().iter().map(read).collect()
    }
}

fn read(json: &Value) -> (Server, Option<Pid>) {
    let text = |key: &str| json[key].as_str().unwrap().to_owned();
    let server = Server { name: text("server"), address: text("address"), store: text("store") };
    let pid = json["pid"].as_u64().map(|pid| i32::try_from(pid).unwrap());
    (server, pid.and_then(Pid::from_raw))
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let stopped = self.home.run(&["cluster", "stop"]);
        if !std::thread::panicking() {
            assert_eq!(stopped.exit, Some(0), "{stopped:?}");
        }
    }
}
