//! Every server in turn is told to stop, with SIGTERM, and started again, while a writer publishes without a pause: none
//! of its publishes may fail.

use std::sync::atomic::{AtomicBool, Ordering};

use super::stage::{Contents, Over, SERVERS, Stage, while_reading};
use super::{Options, Row, Skipped};
use crate::fleet::Fleet;
use crate::witness::Witness;

pub(super) fn run(options: &Options) -> Result<Row, Skipped> {
    let mut stage = Stage::new("rolling-restarts", options, Fleet::start(SERVERS));
    let owner = stage.owner(stage.fleet.home(), "file");
    let reader = owner.reader(stage.fleet.home());
    for _ in 0..options.rounds {
        let Stage { fleet, contents, .. } = &mut stage;
        let published = while_reading(&reader, || roll(fleet, &owner, contents));
        stage.happens("restarts", SERVERS);
        stage.happens("publishes meanwhile", published);
        stage.check();
    }
    Ok(stage.end(&[&owner, &reader]))
}

/// Restarts every server; answers how often the owner has published meanwhile.
fn roll(fleet: &Fleet, owner: &Witness, contents: &mut Contents) -> usize {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut published = 0;
            while !over.load(Ordering::Relaxed) {
                owner.publish(&contents.fresh()).published();
                published += 1;
            }
            published
        });
        let until_over = Over(&over);
        for server in 0..fleet.len() {
            if writer.is_finished() {
                break;
            }
            fleet.stop(server);
            fleet.serve(server);
        }
        drop(until_over);
        writer.join().unwrap()
    })
}
