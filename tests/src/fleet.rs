//! Storage servers that are children of this process, each with a folder of its own: one is killed, frozen, emptied or
//! put back without asking the others, and each may be run differently. Knows nothing of files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustix::process::Signal;

use crate::disk::copy_folder;
use crate::home::{Home, Setting};
use crate::lone::{Serving, free_port};

/// The servers of a grid. Dropping it ends them.
#[derive(Debug)]
pub struct Fleet {
    /// They end before the folders go.
    servers: Vec<Server>,
    home: Home,
}

/// How one server is run.
#[derive(Debug, Clone, Default)]
pub struct Berth {
    /// What stands around its process.
    pub setting: Setting,
    /// Where it listens; anywhere on loopback if that is not said.
    pub address: Option<String>,
    /// More words for `tarn server run`.
    pub words: Vec<String>,
}

#[derive(Debug)]
struct Server {
    folder: PathBuf,
    address: String,
    berth: Berth,
    store: Mutex<String>,
    serving: Mutex<Option<Serving>>,
}

impl Fleet {
    /// So many new servers on loopback, all of them up.
    pub fn start(servers: usize) -> Self {
        Self::moored((0..servers).map(|_| Berth::default()))
    }

    /// New servers that are run like this, all of them up.
    pub fn moored(berths: impl IntoIterator<Item = Berth>) -> Self {
        let mut fleet = Self { servers: Vec::new(), home: Home::new(None) };
        for berth in berths {
            let folder = fleet.home.path(&format!("server-{:02}", fleet.servers.len()));
            let store = Mutex::new(fleet.init(&folder));
            let local = || format!("127.0.0.1:{}", free_port());
            let address = berth.address.clone().unwrap_or_else(local);
            fleet.servers.push(Server { folder, address, berth, store, serving: Mutex::default() });
        }
        fleet.write_grid();
        for server in 0..fleet.len() {
            fleet.serve(server);
        }
        fleet
    }

    fn init(&self, folder: &Path) -> String {
        let ran = self.home.run(&["server", "init", &folder.to_string_lossy()]).ok();
        ran.text().trim().to_owned()
    }

    /// How many servers there are.
    pub const fn len(&self) -> usize {
        self.servers.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    /// The address of this server.
    pub fn address(&self, server: usize) -> &str {
        &self.servers[server].address
    }

    /// The store that this server has now.
    pub fn store(&self, server: usize) -> String {
        self.servers[server].store.lock().unwrap().clone()
    }

    /// The folder of this server.
    pub fn folder(&self, server: usize) -> &Path {
        &self.servers[server].folder
    }

    /// A new user of these servers.
    pub fn home(&self) -> Home {
        Home::new(Some(&self.grid()))
    }

    /// The grid file for its users.
    pub fn grid(&self) -> PathBuf {
        self.home.path("grid.toml")
    }

    /// Writes down which store is at which address now.
    pub fn write_grid(&self) {
        let entry = |server: &Server| {
            let store = server.store.lock().unwrap();
            format!("[[server]]\nstore = \"{store}\"\naddress = \"{}\"\n", server.address)
        };
        let grid: String = self.servers.iter().map(entry).collect();
        self.home.write("grid.toml", grid.as_bytes());
    }

    /// Starts this server, and waits until it listens.
    pub fn serve(&self, server: usize) {
        let Server { folder, address, berth, serving, .. } = &self.servers[server];
        let folder = folder.to_string_lossy();
        let mut words = vec!["server", "run", &folder, "--listen", address];
        words.extend(berth.words.iter().map(String::as_str));
        let mut serving = serving.lock().unwrap();
        assert!(serving.is_none(), "server {server} runs");
        let started = Serving::start(self.home.command_in(&berth.setting, &words));
        assert!(started.listens, "server {server}: {:?}", started.ended());
        *serving = Some(started);
    }

    /// Starts every server that does not run.
    pub fn serve_all(&self) {
        for server in 0..self.len() {
            if self.servers[server].serving.lock().unwrap().is_none() {
                self.serve(server);
            }
        }
    }

    /// Ends this server with kill -9.
    pub fn kill(&self, server: usize) {
        self.take(server).kill();
    }

    /// Tells this server to stop, with SIGTERM, and waits until it has: well, and with nothing unfinished on its disk.
    pub fn stop(&self, server: usize) {
        self.take(server).stop().well();
        let staged = fs::read_dir(self.folder(server).join("staging")).unwrap().count();
        assert_eq!(staged, 0, "server {server} left something unfinished");
    }

    /// Stops every server.
    pub fn stop_all(&self) {
        for server in 0..self.len() {
            self.stop(server);
        }
    }

    fn take(&self, server: usize) -> Serving {
        let serving = self.servers[server].serving.lock().unwrap().take();
        serving.unwrap_or_else(|| panic!("server {server} does not run"))
    }

    /// Stops this server where it is, without ending it. Until [`Fleet::thaw`].
    pub fn freeze(&self, server: usize) {
        self.signal(server, Signal::STOP);
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self, server: usize) {
        self.signal(server, Signal::CONT);
    }

    fn signal(&self, server: usize, signal: Signal) {
        let serving = self.servers[server].serving.lock().unwrap();
        serving.as_ref().unwrap_or_else(|| panic!("server {server} does not run")).signal(signal);
    }

    /// Puts an empty store in the place of this server's, which does not run.
    pub fn empty(&self, server: usize) {
        fs::remove_dir_all(self.folder(server)).unwrap();
        *self.servers[server].store.lock().unwrap() = self.init(self.folder(server));
    }

    /// Makes a copy of what this server has, which does not run.
    pub fn copy(&self, server: usize) -> PathBuf {
        let copy = self.home.path(&format!("copy-of-{server:02}"));
        copy_folder(self.folder(server), &copy);
        copy
    }

    /// Puts a copy in the place of what this server has, which does not run.
    pub fn put_back(&self, server: usize, copy: &Path) {
        fs::remove_dir_all(self.folder(server)).unwrap();
        fs::rename(copy, self.folder(server)).unwrap();
    }

    /// Holds everything that these servers keep against its tables, now that none of them runs; answers how many shares
    /// are damaged, and slots that cannot be read.
    pub fn torn(&self) -> usize {
        let torn = |server: &Server| {
            let words = ["server", "scrub", &server.folder.to_string_lossy(), "--json"];
            let ran = self.home.run(&words).never_panicked();
            let found: serde_json::Value = serde_json::from_slice(&ran.stdout)
                .unwrap_or_else(|error| panic!("{error}: {ran:?}"));
            let count = |key: &str| found[key].as_array().unwrap().len();
            count("damaged") + count("unreadable")
        };
        self.servers.iter().map(torn).sum()
    }
}
