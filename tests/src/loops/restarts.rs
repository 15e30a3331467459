//! Servers are killed with kill -9 while a publish runs, and started again before it has ended, or after; a reader reads
//! all the while. Sometimes more of them than a publish can do without. With one writer, and with two who race.

use rand::RngExt;

use super::stage::{SERVERS, Stage, while_reading};
use super::{Options, Row, Skipped};
use crate::fleet::Fleet;
use crate::rounds::let_pass;
use crate::witness::Publishing;

/// One more than a publish can do without.
const VICTIMS: usize = 4;

pub(super) fn one_writer(options: &Options) -> Result<Row, Skipped> {
    let mut stage = Stage::new("restart-while-publishing", options, Fleet::start(SERVERS));
    let owner = stage.owner(stage.fleet.home(), "file");
    let reader = owner.reader(stage.fleet.home());
    for _ in 0..options.rounds {
        let content = stage.contents.fresh();
        let told = while_reading(&reader, || {
            let mut publishing = [owner.publishing(&content)];
            restart_some(&mut stage, &mut publishing);
            publishing.map(Publishing::ended)
        });
        let [told] = told;
        if told.is_published() {
            stage.took(&told);
        }
        if !told.is_settled() {
            owner.settle(&content);
        }
        stage.check();
    }
    Ok(stage.end(&[&owner, &reader]))
}

pub(super) fn two_writers(options: &Options) -> Result<Row, Skipped> {
    let mut stage = Stage::new("restart-while-racing", options, Fleet::start(SERVERS));
    let owner = stage.owner(stage.fleet.home(), "file");
    let stranger = owner.stranger(stage.fleet.home());
    let reader = owner.reader(stage.fleet.home());
    for _ in 0..options.rounds {
        let contents = [stage.contents.fresh(), stage.contents.fresh()];
        let told = while_reading(&reader, || {
            let mut publishing =
                [owner.publishing(&contents[0]), stranger.publishing(&contents[1])];
            restart_some(&mut stage, &mut publishing);
            publishing.map(Publishing::ended)
        });
        let published = told.iter().filter(|told| told.is_published()).count();
        stage.happens(["rounds without a winner", "with one", "with two"][published], 1);
        stage.check();
    }
    Ok(stage.end(&[&owner, &stranger, &reader]))
}

/// Kills some servers in the middle of these publishes, and starts them again a little later.
fn restart_some(stage: &mut Stage, publishing: &mut [Publishing]) {
    let victims = stage.some_servers(VICTIMS);
    let_pass(stage.moment());
    let is_hit = publishing.iter_mut().any(Publishing::runs);
    stage.log.note(format!("servers {victims:?} are killed"));
    for &victim in &victims {
        stage.fleet.kill(victim);
    }
    if stage.rng.random() {
        let_pass(stage.moment());
    }
    for &victim in &victims {
        stage.fleet.serve(victim);
    }
    stage.log.note(format!("servers {victims:?} are up"));
    stage.happens("restarts", victims.len());
    stage.happens("rounds with one in the middle", usize::from(is_hit));
}
