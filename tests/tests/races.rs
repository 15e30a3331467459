//! Two writers publish the same file at once, round after round: of one base at most one is told Published, the
//! other is told the truth, and the file reads as the newest version that was told Published.
//! `TARN_ROUNDS=200` plays more rounds.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on must end")]
#![allow(clippy::print_stdout, reason = "the outcomes are the story's result")]

use std::collections::BTreeMap;

use tarn_tests::content::Fingerprint;
use tarn_tests::rounds::rounds;
use tarn_tests::{Cluster, Content, Home, Running, Told};

#[test]
fn two_writers_who_take_what_is_there_never_publish_from_one_base() {
    Race::start().run(Ticket::None);
}

#[test]
fn of_two_writers_who_name_the_version_they_follow_at_most_one_publishes() {
    Race::start().run(Ticket::IfVersion);
}

/// What the writers say they follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ticket {
    /// Nothing: whatever is there is replaced.
    None,
    /// The newest version, by its id.
    IfVersion,
}

/// One file, its two writers, and every version that was told Published.
struct Race {
    cluster: Cluster,
    owner: Home,
    stranger: Home,
    write_cap: String,
    chain: BTreeMap<String, Version>,
    newest: String,
    outcomes: BTreeMap<String, usize>,
}

struct Version {
    content: Fingerprint,
    /// The version told Published on top of it.
    next: Option<String>,
}

impl Race {
    fn start() -> Self {
        let cluster = Cluster::start(10);
        let (owner, stranger) = (cluster.home(), cluster.home());
        let content = Content::new(0, 5_000);
        let first = owner.publish("file", &content);
        let write_cap = owner.run(&["cap", "file", "--write"]).ok().text().trim().to_owned();
        let version = Version { content: content.digest(), next: None };
        Self {
            cluster,
            owner,
            stranger,
            write_cap,
            newest: first.id().to_owned(),
            chain: BTreeMap::from([(first.id().to_owned(), version)]),
            outcomes: BTreeMap::new(),
        }
    }

    fn run(mut self, ticket: Ticket) {
        for round in 1..=rounds(40) {
            self.round(round, ticket);
        }
        println!("{ticket:?}: {:#?}", self.outcomes);
        assert!(self.outcomes.keys().any(|pair| pair.contains("published")), "nobody ever won");
        self.cluster.never_panicked();
    }

    fn round(&mut self, round: u64, ticket: Ticket) {
        let contents = [1, 2].map(|writer| Content::new(round * 2 + writer, 5_000));
        let newest = self.newest.clone();
        let more = match ticket {
            Ticket::None => &[][..],
            Ticket::IfVersion => &["--if-version", &newest],
        };
        // Of one home they share the name's record; of two they share nothing but the file.
        let first = self.owner.publishing("file", &contents[0], more);
        let second = if round.is_multiple_of(2) {
            let file = self.owner.write("second", contents[1].bytes());
            let words = ["publish", &file.to_string_lossy(), "--name", "file", "--json"];
            Running::start(self.owner.command(&[&words[..], more].concat()))
        } else {
            let file = self.stranger.write("second", contents[1].bytes());
            let words = ["publish", &file.to_string_lossy(), "--cap", &self.write_cap, "--json"];
            Running::start(self.stranger.command(&[&words[..], more].concat()))
        };
        let told = [first, second].map(|writer| Told::of(&writer.ended()));
        self.judge(round, ticket, &told, &contents);
        let read = [self.owner.get("file"), self.stranger.get(&self.write_cap)];
        assert_eq!(read, [self.chain[&self.newest].content; 2], "round {round}: {told:#?}");
    }

    /// Holds two ends of one round to what was promised, and adds what was published to the chain.
    fn judge(&mut self, round: u64, ticket: Ticket, told: &[Told; 2], contents: &[Content; 2]) {
        let mut pair = told.each_ref().map(|told| told.outcome.as_str());
        pair.sort_unstable();
        *self.outcomes.entry(pair.join(" + ")).or_default() += 1;

        let before = self.newest.clone();
        let mut won: Vec<(&Told, &Content)> =
            told.iter().zip(contents).filter(|(told, _)| told.is_published()).collect();
        won.sort_by_key(|(told, _)| told.seqnum);
        for (told, content) in won {
            let base = told.base.clone().unwrap();
            let next = told.id().to_owned();
            let Some(version) = self.chain.get_mut(&base) else {
                panic!("round {round}: {base} was never told published: {told:#?}");
            };
            let other = version.next.replace(next.clone());
            assert_eq!(other, None, "round {round}: two versions on one base: {told:#?}");
            let version = Version { content: content.digest(), next: None };
            let twice = self.chain.insert(next.clone(), version);
            assert!(twice.is_none(), "round {round}: one version for two contents: {told:#?}");
            assert_eq!(base, self.newest, "round {round}: {told:#?}");
            self.newest = next;
        }
        for (loser, other) in [(&told[0], &told[1]), (&told[1], &told[0])] {
            if !loser.is_published() {
                self.truth(round, &before, loser, other);
            }
        }
        if ticket == Ticket::IfVersion {
            let both = told.iter().all(Told::is_published);
            assert!(!both, "round {round}: both from {before}: {told:#?}");
        }
    }

    /// A loser hears that another version is there, and which: one that was told Published since.
    fn truth(&self, round: u64, before: &str, loser: &Told, other: &Told) {
        assert_eq!(loser.exit, 3, "round {round}: {loser:#?}");
        assert!(loser.error().contains("nothing was changed"), "round {round}: {loser:#?}");
        match loser.outcome.as_str() {
            "stale" | "uncoordinated_write" => {
                assert!(other.is_published(), "round {round}: nobody came first: {loser:#?}");
                assert_eq!(loser.id(), other.id(), "round {round}: {other:#?}");
                assert_eq!(other.base.as_deref(), Some(before), "round {round}");
            }
            "contended" => {}
            unexpected => panic!("round {round}: {unexpected}: {loser:#?}"),
        }
    }
}
