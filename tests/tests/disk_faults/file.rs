//! A file with one version on a server that was stopped, and the rounds that begin there: in each, a second version is
//! published, something is struck, and the file is looked at from then on. Does not know which rounds there are.

use serde_json::{Value, json};
use tarn_tests::content::Fingerprint;
use tarn_tests::disk::{Fault, Kept, Mark, Operation, Strike};
use tarn_tests::lone::Serving;
use tarn_tests::{Content, Lone, Told};

/// What is longer has a chunk of its own.
const INLINE_MAX: usize = 64 << 10;

/// Which of the contents is published first; in the round; and after it.
const OLD: usize = 0;
const NEW: usize = 1;
const NEXT: usize = 2;

/// The file before every round.
pub(crate) struct File {
    contents: [Content; 3],
    lone: Lone,
    /// The version that it has.
    old: String,
}

/// A server that crashed during a publish, and what was told.
pub(crate) struct Crash {
    lone: Lone,
    told: Told,
}

/// When a server that died is started again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Restart {
    /// While the publish goes on.
    AtOnce,
    /// When the publish has ended.
    AfterThePublish,
}

/// How long a disk fails.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failing {
    /// One operation only.
    Once,
    /// Until the publish has ended.
    UntilTold,
    /// Until the publish has ended and the server was killed.
    UntilKilled,
}

/// A version that was read.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    content: usize,
    id: String,
}

impl File {
    pub(crate) fn new(size: usize) -> Self {
        let lone = Lone::init();
        let contents = [1, 2, 3].map(|seed| Content::new(seed, size));
        let server = lone.serve(None);
        let shape = ["--k", "1", "--happy", "1", "--n", "1"];
        let told = lone.home.publish_with("file", &contents[OLD], &shape).published();
        server.stop().well();
        Self { contents, lone, old: told.id().to_owned() }
    }

    pub(crate) fn has_chunks(&self) -> bool {
        self.contents[NEW].bytes().len() > INLINE_MAX
    }

    /// The operations of a publish, and of a stop after it.
    pub(crate) fn operations(&self) -> Vec<Operation> {
        self.crashed(None).lone.disk.operations()
    }

    /// The server is killed at one operation.
    pub(crate) fn killed(
        &self,
        mark: Option<&Mark>,
        fault: Fault,
        restart: Restart,
    ) -> Vec<Operation> {
        let lone = self.lone.copy();
        let (server, told) = match restart {
            Restart::AtOnce => self.crash(&lone, mark, fault, || lone.serve(None)),
            Restart::AfterThePublish => {
                let ((), told) = self.crash(&lone, mark, fault, || {});
                (lone.serve(None), told)
            }
        };
        self.comes_back(&lone, &server, &told);
        lone.disk.operations()
    }

    /// The power fails before one operation, and comes back while the publish goes on.
    pub(crate) fn powerless(&self, mark: Option<&Mark>, kept: Kept) -> Vec<Operation> {
        let lone = self.lone.copy();
        lone.disk.power_may_fail();
        let (server, told) = self.crash(&lone, mark, Fault::KillBefore, || {
            lone.disk.lose_power(kept);
            lone.serve(None)
        });
        self.comes_back(&lone, &server, &told);
        lone.disk.operations()
    }

    /// The server is killed before one operation; the next one tells what it found, and then the power fails.
    pub(crate) fn killed_then_powerless(&self, mark: Option<&Mark>) -> Vec<Operation> {
        let lone = self.lone.copy();
        lone.disk.power_may_fail();
        let ((), told) = self.crash(&lone, mark, Fault::KillBefore, || {});
        let server = lone.serve(None);
        let read = self.read(&lone, &told);
        server.kill();
        lone.disk.lose_power(Kept::Nothing);
        assert_eq!(self.comes_back(&lone, &lone.serve(None), &told), read);
        lone.disk.operations()
    }

    /// One operation fails, or all from there on.
    pub(crate) fn refused(
        &self,
        mark: Option<&Mark>,
        fault: Fault,
        failing: Failing,
    ) -> Vec<Operation> {
        let lone = self.lone.copy();
        let lasting = failing != Failing::Once;
        let strike = mark.map(|mark| Strike { mark: mark.clone(), fault, lasting });
        let server = lone.serve(strike.as_ref());
        lone.disk.watch();
        let told = self.publish_new(&lone);
        if struck(&lone).is_none() {
            // What it does when it is told to stop can fail, too. How it ends then is not asked.
            server.stop();
        } else if failing == Failing::UntilKilled {
            server.kill();
        } else {
            self.goes_on(&lone, &server, &told);
            return lone.disk.operations();
        }
        lone.disk.heal();
        self.comes_back(&lone, &lone.serve(None), &told);
        lone.disk.operations()
    }

    /// The server crashes before this operation, and stays down.
    pub(crate) fn crashed(&self, mark: Option<&Mark>) -> Crash {
        let lone = self.lone.copy();
        let ((), told) = self.crash(&lone, mark, Fault::KillBefore, || {});
        Crash { lone, told }
    }

    /// A start after a crash is struck.
    pub(crate) fn started(
        &self,
        crash: &Crash,
        mark: Option<&Mark>,
        fault: Fault,
    ) -> Vec<Operation> {
        let lone = crash.lone.copy();
        lone.disk.watch();
        let server = lone.try_serve(once(mark, fault).as_ref());
        lone.disk.heal();
        println!("{:?} of a start, told {} before", struck(&lone), crash.told.outcome);
        if server.listens {
            assert!(!fault.kills() || struck(&lone).is_none());
            self.read(&lone, &crash.told);
            server.kill();
        } else {
            let ended = server.ended();
            let exit = if fault.kills() { None } else { Some(1) };
            assert_eq!(ended.exit, exit, "{}", ended.said);
            assert!(fault.kills() || ended.said.contains("tarn: "), "{}", ended.said);
        }
        self.comes_back(&lone, &lone.serve(None), &crash.told);
        lone.disk.operations()
    }

    /// Publishes on a server that dies of it, or is told to stop afterwards; what comes next is done as soon as it is
    /// gone. Answers what came of that, and what was told.
    fn crash<T>(
        &self,
        lone: &Lone,
        mark: Option<&Mark>,
        fault: Fault,
        next: impl FnOnce() -> T,
    ) -> (T, Told) {
        let server = lone.serve(once(mark, fault).as_ref());
        lone.disk.watch();
        std::thread::scope(|scope| {
            let publishing = scope.spawn(|| {
                let told = self.publish_new(lone);
                if struck(lone).is_none() {
                    server.ask_to_stop();
                }
                told
            });
            let ended = server.ended();
            lone.disk.heal();
            let exit = if struck(lone).is_none() { Some(0) } else { None };
            assert_eq!(ended.exit, exit, "{}", ended.said);
            (next(), publishing.join().unwrap())
        })
    }

    fn publish_new(&self, lone: &Lone) -> Told {
        let told = lone.home.publish_with("file", &self.contents[NEW], &[]);
        let struck = struck(lone);
        println!("{struck:?}: told {} in {} s: {}", told.outcome, told.seconds, told.error());
        assert!(told.is_published() || struck.is_some(), "{told:#?}");
        told
    }

    /// A server that was started again has the file, still has it when it was killed and started once more, takes the
    /// next version, and keeps nothing that nobody needs. Answers what it had.
    fn comes_back(&self, lone: &Lone, server: &Serving, told: &Told) -> Read {
        let read = self.read(lone, told);
        self.is_tidy(lone);
        server.kill();
        let server = lone.serve(None);
        assert_eq!(self.read(lone, told), read);
        self.publish_next(lone, &read);
        server.stop().well();
        self.has_chunks_of(lone, 1);
        read
    }

    /// A server whose disk fails, or has failed, reads truly or refuses; and takes the next version when the disk is well
    /// again.
    fn goes_on(&self, lone: &Lone, server: &Serving, told: &Told) {
        self.read_or_refused(lone, told);
        lone.disk.heal();
        // A commit in doubt is settled first, which the server tries now and then.
        while !self.read_or_refused(lone, told) {}
        let next = self.publish_next(lone, &self.read(lone, told));
        server.stop().well();
        let server = lone.serve(None);
        assert_eq!(lone.home.get_version("file"), next);
        self.is_tidy(lone);
        server.stop().well();
    }

    /// Reads the file, which must be whole and what the writer was told.
    fn read(&self, lone: &Lone, told: &Told) -> Read {
        let (digest, id) = lone.home.get_version("file");
        let content = if id == self.old { OLD } else { NEW };
        assert_eq!(digest, self.contents[content].digest(), "{told:#?}");
        let expected: &[usize] = match told.outcome.as_str() {
            "published" => &[NEW],
            "failed" | "not_enough_servers" | "undecided" => &[OLD],
            "partial" | "unknown" => &[OLD, NEW],
            other => panic!("the only writer was told {other}: {told:#?}"),
        };
        assert!(expected.contains(&content), "{content} was read: {told:#?}");
        assert!(!told.is_published() || told.id() == id, "{id} was read: {told:#?}");
        Read { content, id }
    }

    /// Reads the file from a server that may refuse. Whether it did not.
    fn read_or_refused(&self, lone: &Lone, told: &Told) -> bool {
        let got = lone.home.run(&["get", "file"]).never_panicked();
        if got.exit == Some(0) {
            self.read(lone, told);
            return true;
        }
        println!("refused after {}: {}", told.outcome, got.fails(4));
        false
    }

    /// Publishes another version, which must be built on what was read; answers what is read then.
    fn publish_next(&self, lone: &Lone, read: &Read) -> (Fingerprint, String) {
        let content = &self.contents[NEXT];
        let told = lone.home.publish("file", content);
        assert_eq!(told.base.as_ref(), Some(&read.id), "{told:#?}");
        let now = lone.home.get_version("file");
        assert_eq!(now, (content.digest(), told.id().to_owned()));
        now
    }

    /// Expects of a server that has just started that its versions are whole, and that it has no chunks but theirs.
    fn is_tidy(&self, lone: &Lone) {
        let status = lone.home.run(&["status", "file", "--json"]).ok();
        let status: Value = serde_json::from_slice(&status.stdout).unwrap();
        let server = &status["servers"][0];
        let versions = server["versions"].as_array().unwrap();
        let is_whole =
            |version: &Value| version["shares"] == json!([0]) && version["damaged"] == json!([]);
        assert!(server["error"].is_null() && status["confirmed"] == true, "{status:#}");
        assert!(!versions.is_empty() && versions.iter().all(is_whole), "{status:#}");
        self.has_chunks_of(lone, versions.len());
    }

    /// Expects that there are the chunks of so many versions, and none half written.
    fn has_chunks_of(&self, lone: &Lone, versions: usize) {
        let chunks = if self.has_chunks() { versions } else { 0 };
        assert_eq!((lone.disk.chunks(), lone.disk.staged()), (chunks, 0));
    }
}

fn once(mark: Option<&Mark>, fault: Fault) -> Option<Strike> {
    mark.map(|mark| Strike { mark: mark.clone(), fault, lasting: false })
}

/// What was struck first.
fn struck(lone: &Lone) -> Option<Mark> {
    let mut operations = lone.disk.operations().into_iter();
    operations.find(|operation| operation.struck).map(|operation| operation.mark)
}
