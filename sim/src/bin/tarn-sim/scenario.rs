//! `tarn-sim scenario`: a hazard of the design as a story, with the mistake and without.

use tarn_sim::render;
use tarn_sim::scenario::{self, Performance, Scenario};
use tarn_sim::trace::Ending;

use crate::{Failure, Verdict};

pub(crate) fn scenario(name: &str) -> Result<Verdict, Failure> {
    let Some(scenario) = scenario::by_name(name) else {
        let names: Vec<&str> = scenario::named().iter().map(|scenario| scenario.name).collect();
        return Err(format!("no scenario is called {name}; there are {}", names.join(", ")).into());
    };
    let Some(played) = scenario.play() else {
        return Err(format!("{name} cannot be shown by a single run").into());
    };
    println!("{}: {}\n\n{}\n", scenario.name, scenario.title, scenario.story);
    println!("With the mistake (`{}`):", scenario.bug);
    show(scenario, &played.with, true);
    println!("\nThe same run without it:");
    show(scenario, &played.without, false);
    Ok(if played.without.broken.is_empty() { Verdict::Clean } else { Verdict::Broken })
}

fn show(scenario: &Scenario, played: &Performance, with: bool) {
    let plant = scenario.planted().filter(|_| with).map(|bug| (bug.plant)());
    let trace = &played.report.trace;
    if !played.broken.is_empty() {
        print!("{}", render::text::render(trace, plant, Ending::AsItIs));
    }
    for broken in &played.broken {
        println!("broken: {broken}");
    }
    let told: Vec<String> =
        played.report.told.iter().map(|(told, times)| format!("{told} {times}")).collect();
    println!("{} events; told: {}", trace.events.len(), told.join(", "));
}
