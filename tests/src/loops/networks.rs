//! Every server is a host of its own, and the links of some are cut or bad for a while, from before a publish or in its
//! middle, until its end or not so long. In every second round two users race. Whatever the network does, nobody is told
//! what is not true; and when it is well again, the file is.

use rand::RngExt;
use rand::seq::IndexedRandom;

use super::stage::{SERVERS, Stage, while_reading};
use super::{Options, Row, Skipped};
use crate::fleet::{Berth, Fleet};
use crate::network::{Network, address};
use crate::rounds::let_pass;
use crate::told::Told;
use crate::witness::Publishing;

/// More than a publish can do without.
const VICTIMS: usize = 5;
/// Where servers listen.
const PORT: u16 = 4100;

pub(super) fn run(options: &Options) -> Result<Row, Skipped> {
    let network = Network::build(SERVERS).map_err(Skipped)?;
    let berth = |server| Berth {
        setting: network.host(server),
        address: Some(format!("{}:{PORT}", address(server))),
        ..Berth::default()
    };
    let mut stage = Stage::new("networks", options, Fleet::moored((0..SERVERS).map(berth)));
    stage.lacks = network.lacks().map(str::to_owned);
    let user = |stage: &Stage| {
        let mut home = stage.fleet.home();
        home.be_in(network.hub());
        home.be_impatient();
        home
    };
    let owner = stage.owner(user(&stage), "file");
    let stranger = owner.stranger(user(&stage));
    let reader = owner.reader(user(&stage));
    for round in 0..options.rounds {
        let contents = [stage.contents.fresh(), stage.contents.fresh()];
        let is_race = !round.is_multiple_of(2);
        let told = while_reading(&reader, || {
            let publishing = || {
                let mut publishing = vec![owner.publishing(&contents[0])];
                publishing.extend(is_race.then(|| stranger.publishing(&contents[1])));
                publishing
            };
            disturb(&mut stage, &network, publishing)
        });
        let is_won = told.iter().any(Told::is_published);
        stage.happens("rounds without a winner", usize::from(!is_won));
        // In a race it may be that the other one is built on.
        if !is_race && !told[0].is_settled() {
            owner.settle(&contents[0]);
        }
        stage.check();
    }
    Ok(stage.end(&[&owner, &stranger, &reader]))
}

/// Publishes while some links are bad; answers what was told. In the end all links are good.
fn disturb(
    stage: &mut Stage,
    network: &Network,
    publish: impl Fn() -> Vec<Publishing>,
) -> Vec<Told> {
    let victims = stage.some_servers(VICTIMS);
    let mut publishing = None;
    if stage.rng.random() {
        publishing = Some(publish());
        let_pass(stage.moment());
    }
    for &victim in &victims {
        let &weather = network.weathers().choose(&mut stage.rng).unwrap();
        stage.log.note(format!("the link of server {victim} is {weather:?}"));
        network.is(victim, weather);
        stage.happens("bad links", 1);
    }
    let publishing = publishing.unwrap_or_else(publish);
    let clear = || victims.iter().for_each(|&victim| network.clear(victim));
    if stage.rng.random() {
        let_pass(stage.moment());
        clear();
    }
    let told = publishing.into_iter().map(Publishing::ended).collect();
    clear();
    told
}
