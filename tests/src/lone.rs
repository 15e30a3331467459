//! A server all alone with one user's file, on a disk that fails on cue: whatever it does wrong, no other server makes
//! good.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};

use crate::disk::{Disk, Strike};
use crate::home::Home;

/// A server's folder, its address, and its only user. No server runs there until one is started.
#[derive(Debug)]
pub struct Lone {
    /// The user.
    pub home: Home,
    /// The server's disk.
    pub disk: Disk,
    store: String,
    address: String,
}

/// A server process that was started there.
#[derive(Debug)]
pub struct Serving {
    /// Whether it came so far that it listens.
    pub listens: bool,
    child: Mutex<Child>,
    said: Mutex<Option<JoinHandle<String>>>,
}

/// How a server process ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code; none if it was killed.
    pub exit: Option<i32>,
    /// What it had said.
    pub said: String,
}

/// Where ports are drawn: below those of `tarn cluster` and of outgoing connections, which would take the port of a
/// server that is down.
const PORTS: std::ops::Range<u16> = 10_000..20_000;

impl Lone {
    /// A new store, and a user who has no file there yet.
    pub fn init() -> Self {
        let (home, disk) = (Home::new(None), Disk::new());
        let store = home.run(&["server", "init", &disk.store().to_string_lossy()]).ok();
        let store = store.text().trim().to_owned();
        Self::at_some_address(home, disk, store)
    }

    /// The same once more, at another address.
    pub fn copy(&self) -> Self {
        Self::at_some_address(self.home.copy(), self.disk.copy(), self.store.clone())
    }

    fn at_some_address(mut home: Home, disk: Disk, store: String) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let grid = format!("[[server]]\nstore = \"{store}\"\naddress = \"{address}\"\n");
        let grid = home.write("grid.toml", grid.as_bytes());
        home.use_grid(&grid);
        Self { home, disk, store, address }
    }

    /// Starts the server on its disk, and waits until it listens.
    pub fn serve(&self, strike: Option<&Strike>) -> Serving {
        let serving = self.try_serve(strike);
        assert!(serving.listens, "{:?}", serving.ended());
        serving
    }

    /// Starts the server on its disk, and waits until it listens or has ended.
    pub fn try_serve(&self, strike: Option<&Strike>) -> Serving {
        let mut command = self.command();
        self.disk.preload(&mut command, strike);
        Serving::start(command)
    }

    /// The server's command, not yet run, and with nothing under it but the real disk.
    pub fn command(&self) -> Command {
        let store = self.disk.store();
        self.home.command(&["server", "run", &store.to_string_lossy(), "--listen", &self.address])
    }
}

impl Serving {
    /// Starts a server, and waits until it listens or has ended.
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (listening, listens) = channel();
        let said = std::thread::spawn(move || listen(stderr, listening));
        let listens = listens.recv().is_ok();
        Self { listens, child: Mutex::new(child), said: Mutex::new(Some(said)) }
    }

    /// Asks it to stop. It may have ended.
    pub fn ask_to_stop(&self) {
        self.signal(Signal::TERM);
    }

    /// Sends it a signal. It may have ended.
    pub(crate) fn signal(&self, signal: Signal) {
        let mut child = self.child.lock().unwrap();
        // Until it has been waited for, its id means no other process.
        if child.try_wait().unwrap().is_none() {
            kill_process(Pid::from_child(&child), signal).unwrap();
        }
    }

    /// Asks it to stop, and waits for its end.
    pub fn stop(&self) -> Ended {
        self.ask_to_stop();
        self.ended()
    }

    /// Ends it with kill -9.
    pub fn kill(&self) -> Ended {
        self.child.lock().unwrap().kill().unwrap();
        self.ended()
    }

    /// Waits for its end. It must not have panicked.
    pub fn ended(&self) -> Ended {
        let said = self.said.lock().unwrap().take().expect("it is waited for once");
        // Its end closes what it spoke to.
        let said = said.join().unwrap();
        assert!(!said.contains("panicked"), "{said}");
        Ended { exit: self.child.lock().unwrap().wait().unwrap().code(), said }
    }
}

impl Ended {
    /// Expects that it stopped as it was asked to.
    pub fn well(&self) {
        assert_eq!(self.exit, Some(0), "{}", self.said);
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // Both fail only if it has ended, which is what is wanted.
        drop(child.kill());
        drop(child.wait());
    }
}

/// Gathers what a server says, and tells when it says that it listens.
fn listen(stderr: BufReader<impl std::io::Read>, listening: Sender<()>) -> String {
    let (mut said, mut listening) = (String::new(), Some(listening));
    for line in stderr.lines().map(Result::unwrap) {
        if line.contains(" listens on ")
            && let Some(listening) = listening.take()
        {
            let _ = listening.send(());
        }
        said += &line;
        said.push('\n');
    }
    said
}

/// A port where nobody listens now and that nobody else in this process is given. It is not listened on to find out:
/// processes that are being started just then would keep it for a moment.
pub(crate) fn free_port() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let width = u32::from(PORTS.end - PORTS.start);
    let next = || std::process::id().wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)) % width;
    let port = || PORTS.start + u16::try_from(next()).unwrap();
    let free = |port: &u16| TcpStream::connect(("127.0.0.1", *port)).is_err();
    std::iter::repeat_with(port).find(free).unwrap()
}
