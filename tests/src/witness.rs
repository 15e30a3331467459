//! A user of one file whose every operation is written down: before it begins, and with what was told when it has ended.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::content::{Content, Fingerprint};
use crate::history::{Doing, Log, Op, Said};
use crate::home::{Home, Ran};
use crate::rounds::let_pass;
use crate::running::Running;
use crate::told::Told;

/// A user, the file, and the log.
#[derive(Debug)]
pub struct Witness {
    /// The user's folders.
    pub home: Home,
    name: &'static str,
    log: Arc<Log>,
    file: String,
    right: Right,
}

/// How a user has come to the file.
#[derive(Debug)]
enum Right {
    /// By giving it its name.
    Name,
    /// By a cap.
    Cap(String),
}

/// A publish that runs.
#[derive(Debug)]
pub struct Publishing {
    running: Running,
    log: Arc<Log>,
    op: Op,
}

impl Witness {
    /// Whoever makes the file, which has its name for this user, and in the log for all.
    pub fn owner(home: Home, log: Arc<Log>, file: &str) -> Self {
        Self { home, name: "owner", log, file: file.to_owned(), right: Right::Name }
    }

    /// Another user who has the write cap of this one's file, which is there.
    pub fn stranger(&self, home: Home) -> Self {
        let cap = self.home.run(&["cap", &self.file, "--write"]).ok();
        self.other(home, "stranger", cap.text())
    }

    /// Another user who can only read this one's file, which is there.
    pub fn reader(&self, home: Home) -> Self {
        let cap = self.home.run(&["cap", &self.file]).ok();
        self.other(home, "reader", cap.text())
    }

    fn other(&self, home: Home, name: &'static str, cap: &str) -> Self {
        let right = Right::Cap(cap.trim().to_owned());
        Self { home, name, log: Arc::clone(&self.log), file: self.file.clone(), right }
    }

    /// The file's name, or the cap.
    fn word(&self) -> &str {
        match &self.right {
            Right::Name => &self.file,
            Right::Cap(cap) => cap,
        }
    }

    /// Starts to publish this content.
    pub fn publishing(&self, content: &Content) -> Publishing {
        let source = self.home.write(&format!("sources/{}", self.file), content.bytes());
        let source = source.to_string_lossy();
        let option = match self.right {
            Right::Name => "--name",
            Right::Cap(_) => "--cap",
        };
        self.begin(content, &["publish", &source, option, self.word(), "--json"])
    }

    /// Starts to take up the publish of this content, which was cut off.
    pub fn resuming(&self, content: &Content) -> Publishing {
        self.begin(content, &["resume", self.word(), "--json"])
    }

    fn begin(&self, content: &Content, words: &[&str]) -> Publishing {
        let content = format!("{:?}", content.digest());
        let doing = Doing::Publish { content, follows: None };
        let op = self.log.begins(self.name, &self.file, doing);
        let running = Running::start(self.home.command(words));
        Publishing { running, log: Arc::clone(&self.log), op }
    }

    /// Publishes this content.
    pub fn publish(&self, content: &Content) -> Told {
        self.publishing(content).ended()
    }

    /// Whether a publish of the file was cut off and is on this user's record.
    pub fn has_unfinished(&self) -> bool {
        let ran = self.home.run(&["status", "--json"]).ok();
        let status: Value = serde_json::from_slice(&ran.stdout).unwrap();
        !status["unfinished_publishes"].as_array().unwrap().is_empty()
    }

    /// Takes up the publish of this content, of which it is not known what became, until it is, now that all servers
    /// are up.
    pub fn settle(&self, content: &Content) {
        let is_settled = |_| self.resuming(content).ended().is_settled();
        assert!((0..TRIES).any(is_settled), "it is never known what became of {content:?}");
    }

    /// Reads the file; whether it was confirmed.
    pub fn read(&self) -> bool {
        let output = self.home.path("got");
        let words = ["get", self.word(), "--json", "-o", &output.to_string_lossy()];
        let op = self.log.begins(self.name, &self.file, Doing::Read);
        let ran = self.home.run(&words).never_panicked();
        let said = read(&ran, || Fingerprint::of(&std::fs::read(&output).unwrap()));
        let is_confirmed = matches!(said, Said::Read { confirmed: true, .. });
        self.log.ended(op, said);
        is_confirmed
    }

    /// What every server says of the file.
    pub fn status(&self) -> Value {
        let ran = self.home.run(&["status", self.word(), "--json"]).ok();
        serde_json::from_slice(&ran.stdout).unwrap()
    }

    /// The same once every server has answered but for these stores: who hung before is asked, and not waited for until
    /// it has answered again.
    pub fn status_of_all_but(&self, gone: &[&str]) -> Value {
        let silent = |server: &Value| {
            !server["error"].is_null() && !gone.iter().any(|gone| server["server"] == *gone)
        };
        let mut status = self.status();
        for _ in 0..TRIES {
            if !status["servers"].as_array().unwrap().iter().any(silent) {
                break;
            }
            status = self.status();
        }
        status
    }
}

/// How often something is taken up that the servers are all there for.
const TRIES: u32 = 20;

fn read(ran: &Ran, content: impl FnOnce() -> Fingerprint) -> Said {
    let json: Value =
        serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    if ran.exit != Some(0) {
        return Said::Unread { why: json["error"].as_str().unwrap().to_owned() };
    }
    Said::Read {
        content: format!("{:?}", content()),
        version: json["version"]["id"].as_str().unwrap().to_owned(),
        confirmed: json["confirmed"].as_bool().unwrap(),
    }
}

impl Publishing {
    /// Whether it has not ended yet.
    pub fn runs(&mut self) -> bool {
        self.running.runs()
    }

    /// Waits for its end.
    pub fn ended(self) -> Told {
        let told = Told::of(&self.running.ended());
        self.log.ended(self.op, Said::from(&told));
        told
    }

    /// Ends it with kill -9 after so long; if it came so far, answers what it was told.
    pub fn killed_after(self, time: Duration) -> Option<Told> {
        let_pass(time);
        let ran = self.running.killed().never_panicked();
        let told = Told::before_death(&ran);
        self.log.ended(self.op, told.as_ref().map_or(Said::Killed, Said::from));
        told
    }
}
