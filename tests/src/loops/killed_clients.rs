//! A publishing process is killed with kill -9 at a random moment, and its publish taken up, by `tarn resume` or by the
//! same content again; now and then that is killed, too. It ends as published, and took effect once.

use rand::RngExt;

use super::stage::{SERVERS, Stage};
use super::{Options, Row, Skipped};
use crate::fleet::Fleet;
use crate::told::Told;
use crate::witness::Witness;

/// How often a publish that is taken up is killed, too.
const KILLED_AGAIN: f64 = 0.25;

pub(super) fn run(options: &Options) -> Result<Row, Skipped> {
    let mut stage = Stage::new("kill-and-replay", options, Fleet::start(SERVERS));
    let owner = stage.owner(stage.fleet.home(), "file");
    let reader = owner.reader(stage.fleet.home());
    for _ in 0..options.rounds {
        let told = replay(&mut stage, &owner, &reader);
        stage.took(&told);
        assert!(!owner.has_unfinished(), "{told:#?}");
        stage.check();
    }
    Ok(stage.end(&[&owner, &reader]))
}

fn replay(stage: &mut Stage, owner: &Witness, reader: &Witness) -> Told {
    let content = stage.contents.fresh();
    let mut publishing = owner.publishing(&content);
    loop {
        if let Some(told) = publishing.killed_after(stage.moment()) {
            stage.happens("told before their kill", 1);
            let told = told.published();
            // It is on record until it has been told, and nobody but it knows that it was.
            if owner.has_unfinished() {
                let again = owner.resuming(&content).ended().published();
                assert_eq!(again.id(), told.id(), "{again:#?}");
            }
            return told;
        }
        stage.happens("kills", 1);
        // Whoever reads meanwhile may bring what the killed one left.
        if stage.rng.random() {
            reader.read();
        }
        let is_cut_off = owner.has_unfinished();
        stage.happens("of them behind the journal", usize::from(is_cut_off));
        publishing = if is_cut_off && stage.rng.random() {
            owner.resuming(&content)
        } else {
            owner.publishing(&content)
        };
        if !stage.rng.random_bool(KILLED_AGAIN) {
            let told = publishing.ended().published();
            assert_eq!(told.json["resumed"], is_cut_off, "{told:#?}");
            return told;
        }
    }
}
