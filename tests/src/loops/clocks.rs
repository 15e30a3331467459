//! The wall clocks of servers, and of the one who publishes, are set forward and back by hours, in the middle of a
//! publish and between a server's end and its next start. Nothing that is promised depends on them.

use rand::RngExt;

use super::stage::{SERVERS, Stage};
use super::{Options, Row, Skipped};
use crate::clock::{self, Clock};
use crate::fleet::{Berth, Fleet};
use crate::rounds::let_pass;

/// How far a clock is off, in seconds: usually some hours; sometimes more than a server remembers.
const HOURS: i64 = 48 * 60 * 60;
const DAYS: i64 = 10 * 24 * 60 * 60;

pub(super) fn run(options: &Options) -> Result<Row, Skipped> {
    if let Some(why) = clock::unavailable() {
        return Err(Skipped(why.to_owned()));
    }
    let folder = tempfile::tempdir().unwrap();
    let clock = |place: usize| Clock::new(&folder.path().join(place.to_string()));
    // The last is the writer's.
    let clocks: Vec<Clock> = (0..=SERVERS).map(clock).collect();
    let (writers, servers) = clocks.split_last().unwrap();
    let berth = |clock: &Clock| Berth { setting: clock.setting(), ..Berth::default() };
    let mut stage = Stage::new("clock-steps", options, Fleet::moored(servers.iter().map(berth)));
    let mut home = stage.fleet.home();
    home.be_in(writers.setting());
    let owner = stage.owner(home, "file");
    let reader = owner.reader(stage.fleet.home());
    for _ in 0..options.rounds {
        let publishing = owner.publishing(&stage.contents.fresh());
        let_pass(stage.moment());
        set_some(&mut stage, &clocks);
        let told = publishing.ended().published();
        stage.took(&told);
        assert!(reader.read());
        let server = stage.rng.random_range(0..SERVERS);
        stage.fleet.kill(server);
        set_some(&mut stage, &clocks);
        stage.fleet.serve(server);
        stage.happens("restarts", 1);
        stage.check();
    }
    let row = stage.end(&[&owner, &reader]);
    for (place, clock) in clocks.iter().enumerate() {
        assert!(clock.asked() > 0, "nobody went by clock {place}");
    }
    Ok(row)
}

/// Sets some of the clocks.
fn set_some(stage: &mut Stage, clocks: &[Clock]) {
    for clock in clocks {
        if stage.rng.random() {
            continue;
        }
        let most = if stage.rng.random_bool(0.1) { DAYS } else { HOURS };
        clock.set(stage.rng.random_range(-most..=most));
        stage.happens("clocks set", 1);
    }
}
