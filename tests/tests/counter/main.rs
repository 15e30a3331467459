//! A number in a file, served by two programs of `examples/counter`, whose callers hang up in the middle of what they
//! asked for, while the programs and the storage servers are killed: the number never goes back, and no acknowledged
//! bump is skipped, doubled or lost. `TARN_ROUNDS=2000` has each caller ask more often.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on must end")]
#![allow(clippy::print_stdout, reason = "what the callers were told is the story's result")]

mod front;
mod history;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use front::Front;
use history::{Asked, History, Told};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tarn_tests::rounds::{rng, rounds};
use tarn_tests::{Cluster, Home, Running};

const SERVERS: usize = 5;
const FRONTS: usize = 2;
const CALLERS: u64 = 4;

#[test]
fn no_acknowledged_bump_is_lost_whoever_vanishes() {
    let cluster = Cluster::start(SERVERS);
    let home = cluster.home();
    let cap = make_counter(&home);
    let fronts: [Front; FRONTS] = std::array::from_fn(|_| Front::start(&cluster.grid(), &cap));
    let history = History::default();
    let over = AtomicBool::new(false);
    let (deaths, restarts) = std::thread::scope(|scope| {
        let killer = scope.spawn(|| kill_servers(&cluster, &over));
        let restarter = scope.spawn(|| restart_fronts(&fronts, &over));
        let ended = Over(&over);
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let (fronts, history) = (&fronts, &history);
                scope.spawn(move || call_and_hang_up(&mut rng(caller), fronts, history))
            })
            .collect();
        for caller in callers {
            caller.join().unwrap();
        }
        drop(ended);
        (killer.join().unwrap(), restarter.join().unwrap())
    });
    let last = fronts.each_ref().map(|front| front.ask("read", None).unwrap());
    let Told::Count(newest) = last[0] else { panic!("it cannot be read any more: {last:?}") };
    assert_eq!(last[0], last[1], "two programs that serve one counter");
    let tally = history.check(newest);
    println!("{tally:?}; {deaths} servers and {restarts} programs were killed; {newest:?}");
    assert!(tally.changes > 0 && tally.unknown > 0 && deaths > 0 && restarts > 0);
    cluster.never_panicked();
}

/// Publishes a file with a count of zero; answers where its write cap is.
fn make_counter(home: &Home) -> std::path::PathBuf {
    let words = ["publish", "-", "--name", "counter", "--k", "2", "--n", "5"];
    Running::fed(home.command(&words), b"0 0\n").ended().ok();
    let cap = home.run(&["cap", "counter", "--write"]).ok();
    home.write("counter.cap", cap.stdout.as_slice())
}

/// Asks for one thing after the other, and hangs up on some.
fn call_and_hang_up(rng: &mut ChaCha8Rng, fronts: &[Front], history: &History) {
    for _ in 0..rounds(100) {
        let front = &fronts[rng.random_range(0..fronts.len())];
        let (asked, line) = match rng.random_range(0..20) {
            0 => (Asked::Reset, "reset".to_owned()),
            1..=5 => (Asked::Read, "read".to_owned()),
            6..=9 => (Asked::Bump, format!("bump slowly {}", rng.random_range(0..40))),
            _ => (Asked::Bump, "bump".to_owned()),
        };
        let patience =
            rng.random_ratio(1, 3).then(|| Duration::from_millis(rng.random_range(1..60)));
        let began = history.begin();
        let told = front.ask(&line, patience);
        // Where nobody could be asked, nothing was.
        if !matches!(&told, Err(error) if error.kind() == io::ErrorKind::ConnectionRefused) {
            history.end(asked, began, told.unwrap_or(Told::Nothing));
        }
    }
}

/// Kills a server with kill -9 and starts it again, over and over.
fn kill_servers(cluster: &Cluster, over: &AtomicBool) -> u64 {
    let (mut rng, mut deaths) = (rng(100), 0);
    while !over.load(Ordering::Relaxed) {
        cluster.kill(&[rng.random_range(0..SERVERS)]);
        cluster.revive();
        deaths += 1;
    }
    deaths
}

/// Kills a program with kill -9 and starts it again, over and over.
fn restart_fronts(fronts: &[Front], over: &AtomicBool) -> u64 {
    let (mut rng, mut restarts) = (rng(101), 0);
    while !over.load(Ordering::Relaxed) {
        fronts[rng.random_range(0..fronts.len())].die_after(rng.random_range(1..10));
        restarts += 1;
    }
    restarts
}

/// Tells those who kill to end, also when a caller fails: the scope waits for them.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
