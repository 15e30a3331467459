//! A server hangs: it takes connections and answers nothing. A publish does without it, remembers it, and uses it again
//! as soon as it answers; so do reads and `tarn status`.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on must end")]

use rusqlite::{Connection, OpenFlags};
use tarn_tests::{Cluster, Content, Home, Told};

const LENGTH: usize = 1 << 20;

#[test]
fn a_hung_server_is_done_without_and_used_again_when_it_answers() {
    let cluster = Cluster::start(10);
    let mut home = cluster.home();
    home.publish("file", &Content::new(0, LENGTH));
    home.be_impatient();
    cluster.freeze(4);
    let hung = cluster.servers[4].address.clone();
    for round in 1..=3 {
        let content = Content::new(round, LENGTH);
        let told = home.publish("file", &content);
        let why = told.error_of(&hung).unwrap_or_else(|| panic!("round {round}: {told:#?}"));
        assert!(why.contains("did not answer"), "{why}");
        assert_eq!(placed(&told, &cluster.servers[4].store), 0);
        assert_eq!(home.get("file"), content.digest(), "round {round}");
    }
    cluster.thaw(4);
    // It is asked every time, and cleared by its first answer, which may come after everybody else's.
    let mut tries = 0;
    while placed(&publish(&home, 10 + tries), &cluster.servers[4].store) == 0 {
        tries += 1;
        assert!(tries < 20, "it is never used again");
    }
    cluster.never_panicked();
}

#[test]
fn status_and_get_do_without_a_hung_server_too_and_see_when_it_answers() {
    let cluster = Cluster::start(10);
    let home = cluster.home();
    let content = Content::new(0, LENGTH);
    let version = home.publish("file", &content).id().to_owned();
    let hung = &cluster.servers[4];
    for probe in ["status", "get"] {
        cluster.freeze(4);
        let ran = home.run(&["status", "file"]).ok();
        let line = ran.text().lines().find(|line| line.contains(&hung.address)).unwrap();
        assert!(line.contains("did not answer"), "{ran:?}");
        assert_eq!(suspects(&home), [hung.store.as_str()]);
        assert_eq!(home.get_version("file"), (content.digest(), version.clone()));
        assert_eq!(suspects(&home), [hung.store.as_str()], "a read has nothing to say for it");
        cluster.thaw(4);
        let mut tries = 0;
        while !suspects(&home).is_empty() {
            home.run(&[probe, "file"]).ok();
            tries += 1;
            assert!(tries < 20, "{probe} never hears it");
        }
    }
    cluster.never_panicked();
}

#[test]
fn a_server_that_hangs_in_the_middle_of_a_publish_does_not_stop_it() {
    let cluster = Cluster::start(10);
    let home = cluster.home();
    let mut before = home.publish("file", &Content::new(0, 32 << 20));
    for round in 1..=4_u8 {
        let content = Content::new(round.into(), 32 << 20);
        let victim = usize::from(round);
        let publishing = home.publishing("file", &content, &[]);
        let moment = before.seconds * f64::from(round) / 5.0;
        tarn_tests::rounds::let_pass(std::time::Duration::from_secs_f64(moment));
        cluster.freeze(victim);
        let told = Told::of(&publishing.ended()).published();
        assert_eq!(told.base, before.version, "round {round}");
        assert_eq!(home.get("file"), content.digest(), "round {round}");
        cluster.thaw(victim);
        before = told;
    }
    cluster.never_panicked();
}

fn publish(home: &Home, seed: u64) -> Told {
    home.publish("file", &Content::new(seed, LENGTH))
}

/// How many shares this server got.
fn placed(told: &Told, store: &str) -> usize {
    let shares = told.json["shares"].as_array().unwrap();
    shares.iter().filter(|share| share["server"] == store).count()
}

/// The servers that this user does not wait for.
fn suspects(home: &Home) -> Vec<String> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let names = Connection::open_with_flags(home.path("data/names.sqlite"), flags).unwrap();
    let mut suspects = names.prepare("SELECT lower(hex(store)) FROM suspect").unwrap();
    let rows = suspects.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}
