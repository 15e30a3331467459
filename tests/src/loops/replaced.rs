//! A server is not what it was. Either it has lost its data and begins anew, as another store at its address, of which
//! old grid files know nothing; or it was put back to an old copy of itself, under its own name. Nothing of that is
//! believed, and nothing goes back.

use rand::RngExt;
use serde_json::Value;

use super::stage::{SERVERS, Stage, has_a_share, slots_are_whole};
use super::{Options, Row, Skipped};
use crate::fleet::Fleet;
use crate::told::Told;
use crate::witness::Witness;

/// As a quorum is 7 of 10, any two of them have more servers in common than these.
const OLD_COPIES: usize = 2;
/// How many versions an old copy lacks at most.
const BEHIND: usize = 3;

/// Every round has a file of its own: a file's window names the stores of its first version for good, and a store that
/// is gone is missing from it from then on.
pub(super) fn emptied(options: &Options) -> Result<Row, Skipped> {
    let mut stage = Stage::new("emptied", options, Fleet::start(SERVERS));
    for round in 0..options.rounds {
        let owner = stage.owner(stage.fleet.home(), &format!("file-{round}"));
        let reader = owner.reader(stage.fleet.home());
        begin_anew(&mut stage, owner, reader);
        stage.check();
    }
    // One more file has all the stores that are there now.
    let owner = stage.owner(stage.fleet.home(), "file");
    Ok(stage.end(&[&owner]))
}

fn begin_anew(stage: &mut Stage, mut owner: Witness, mut reader: Witness) {
    let first = owner.publish(&stage.contents.fresh()).published();
    for server in 0..stage.fleet.len() {
        assert!(has_a_share(&first, &stage.fleet.store(server)), "{server}: {first:#?}");
    }
    let old_grid = owner.home.path("old-grid.toml");
    std::fs::copy(stage.fleet.grid(), &old_grid).unwrap();
    for witness in [&mut owner, &mut reader] {
        witness.home.use_grid(&old_grid);
    }
    let victim = stage.rng.random_range(0..stage.fleet.len());
    let old = stage.fleet.store(victim);
    if stage.rng.random() {
        stage.fleet.kill(victim);
    } else {
        stage.fleet.stop(victim);
    }
    stage.fleet.empty(victim);
    stage.fleet.serve(victim);
    let new = stage.fleet.store(victim);
    stage.log.note(format!("server {victim} was store {old} and is {new}"));
    stage.happens("servers emptied", 1);

    // With the old grid file, somebody else answers in its place and is not taken for it.
    assert!(reader.read(), "nine of ten servers confirm it");
    let told = owner.publish(&stage.contents.fresh()).published();
    let why = told.error_of(stage.fleet.address(victim)).unwrap_or_default();
    assert!(why.contains("another store answered"), "{told:#?}");
    all_shares_are_on(&told, |store| store != old && store != new);
    assert!(reader.read());

    // With the new one, too, the file keeps its window; nothing is missing.
    stage.fleet.write_grid();
    for witness in [&mut owner, &mut reader] {
        witness.home.use_grid(&stage.fleet.grid());
    }
    let told = owner.publish(&stage.contents.fresh()).published();
    all_shares_are_on(&told, |store| store != old);
    assert!(reader.read());
    slots_are_whole(&owner.status_of_all_but(&[&old]), &[&old]);
}

pub(super) fn old_copy(options: &Options) -> Result<Row, Skipped> {
    let mut stage = Stage::new("old-copy", options, Fleet::start(SERVERS));
    let owner = stage.owner(stage.fleet.home(), "file");
    let reader = owner.reader(stage.fleet.home());
    for _ in 0..options.rounds {
        put_back(&mut stage, &owner, &reader);
        stage.check();
    }
    Ok(stage.end(&[&owner, &reader]))
}

fn put_back(stage: &mut Stage, owner: &Witness, reader: &Witness) {
    let victims = stage.some_servers(OLD_COPIES);
    let mut copies = Vec::new();
    for &victim in &victims {
        stage.fleet.stop(victim);
        copies.push(stage.fleet.copy(victim));
        stage.fleet.serve(victim);
    }
    let versions = stage.rng.random_range(1..=BEHIND);
    let mut told = Vec::new();
    for _ in 0..versions {
        told.push(owner.publish(&stage.contents.fresh()).published());
    }
    for (&victim, copy) in victims.iter().zip(&copies) {
        stage.fleet.kill(victim);
        stage.fleet.put_back(victim, copy);
        stage.fleet.serve(victim);
    }
    stage.log.note(format!("servers {victims:?} are {versions} versions behind"));
    stage.happens("old copies put back", victims.len());
    let newest = told.last().unwrap().id();
    let status = owner.status_of_all_but(&[]);
    for &victim in &victims {
        let store = stage.fleet.store(victim);
        assert!(!holds(&status, &store, newest), "{store} has {newest}: {status:#}");
    }
    assert!(reader.read());
    let told = owner.publish(&stage.contents.fresh()).published();
    let status = owner.status_of_all_but(&[]);
    for &victim in &victims {
        let store = stage.fleet.store(victim);
        assert!(holds(&status, &store, told.id()), "{store} lacks {}: {status:#}", told.id());
    }
    slots_are_whole(&status, &[]);
    assert!(reader.read());
}

/// Expects that no share is missing, and each is on a store of this kind.
fn all_shares_are_on(told: &Told, is_right: impl Fn(&str) -> bool) {
    for share in told.json["shares"].as_array().unwrap() {
        let store = share["server"].as_str().unwrap_or_default();
        assert!(share["state"] == "placed" && is_right(store), "{told:#?}");
    }
}

/// Whether this store has shares of this version.
fn holds(status: &Value, store: &str, version: &str) -> bool {
    let servers = status["servers"].as_array().unwrap();
    let server = servers.iter().find(|server| server["server"] == store).unwrap();
    server["versions"].as_array().unwrap().iter().any(|held| held["id"] == version)
}
