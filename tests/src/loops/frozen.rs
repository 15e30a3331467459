//! Servers are stopped where they are (SIGSTOP) in the middle of a publish, as many as it can do without, and go on
//! (SIGCONT) before it has ended, or after: it is published all the same.

use rand::RngExt;

use super::stage::{SERVERS, Stage};
use super::{Options, Row, Skipped};
use crate::fleet::Fleet;
use crate::rounds::let_pass;

/// A publish can do without so many.
const VICTIMS: usize = 3;

pub(super) fn run(options: &Options) -> Result<Row, Skipped> {
    let mut stage = Stage::new("frozen", options, Fleet::start(SERVERS));
    let mut owner = stage.owner(stage.fleet.home(), "file");
    let mut reader = owner.reader(stage.fleet.home());
    owner.home.be_impatient();
    reader.home.be_impatient();
    for _ in 0..options.rounds {
        let content = stage.contents.fresh();
        let victims = stage.some_servers(VICTIMS);
        let mut publishing = owner.publishing(&content);
        let_pass(stage.moment());
        stage.happens("rounds with one in the middle", usize::from(publishing.runs()));
        stage.happens("servers frozen", victims.len());
        stage.log.note(format!("servers {victims:?} are frozen"));
        victims.iter().for_each(|&victim| stage.fleet.freeze(victim));
        let is_early = stage.rng.random();
        if is_early {
            let_pass(stage.moment());
            victims.iter().for_each(|&victim| stage.fleet.thaw(victim));
        }
        let told = publishing.ended().published();
        stage.took(&told);
        reader.read();
        if !is_early {
            stage.happens("publishes done without them", 1);
            victims.iter().for_each(|&victim| stage.fleet.thaw(victim));
        }
        stage.check();
    }
    Ok(stage.end(&[&owner, &reader]))
}
