//! The five hazards of the design as stories: a small run with the mistake planted, and the very same run without it.
//! What is drawn is fixed; what happens then is up to the machines.

use crate::bugs::{self, Bug, Found};
use crate::event::Timed;
use crate::options::{Disk, Faults, Habit, Network, Options};
use crate::promises::Broken;
use crate::schedule::{Report, Run};

/// Narrows what a seed draws.
type Stage = fn(&mut Options);

/// A hazard, and how it is shown.
#[derive(Debug)]
pub struct Scenario {
    /// Its name on the command line: `H1` to `H5`.
    pub name: &'static str,
    /// In a few words.
    pub title: &'static str,
    /// What happens, and where it comes from.
    pub story: &'static str,
    /// The planted bug that is the hazard.
    pub bug: &'static str,
    /// A small world in which it shows, if the bug's own is too large to be looked at.
    stage: Option<(u64, Stage)>,
}

/// One run of a scenario, played to its end though promises are broken on the way.
#[derive(Debug)]
pub struct Performance {
    /// What happened.
    pub report: Report,
    /// Every promise that was broken, in that order, each once.
    pub broken: Vec<Broken>,
}

/// A scenario, played with the mistake and without.
#[derive(Debug)]
pub struct Performances {
    /// With it.
    pub with: Performance,
    /// Without.
    pub without: Performance,
}

/// Every scenario.
pub const fn named() -> &'static [Scenario] {
    &SCENARIOS
}

/// The scenario of this name, in capitals or not.
pub fn by_name(name: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().find(|scenario| scenario.name.eq_ignore_ascii_case(name))
}

impl Scenario {
    /// The planted bug. None only if nobody has written it.
    pub fn planted(&self) -> Option<&'static Bug> {
        bugs::by_name(self.bug)
    }

    /// Plays it with the mistake and without. None if the bug is not one that a seed finds.
    pub fn play(&self) -> Option<Performances> {
        let bug = self.planted()?;
        let options = self.options(bug)?;
        let with = perform(Run::new(options.clone(), Some((bug.plant)())));
        let mut clean = options;
        clean.setup.bug = None;
        Some(Performances { with, without: perform(Run::new(clean, None)) })
    }

    fn options(&self, bug: &Bug) -> Option<Options> {
        match (self.stage, bug.found) {
            (Some((seed, stage)), _) => {
                let mut options = bug.options(seed);
                stage(&mut options);
                Some(options)
            }
            (None, Found::BySeed(seed)) => Some(bug.options(seed)),
            (None, Found::ByExplorer(_) | Found::Never(_)) => None,
        }
    }
}

impl Performance {
    /// The events of the run.
    pub fn events(&self) -> &[Timed] {
        &self.report.trace.events
    }
}

fn perform(run: Run) -> Performance {
    let (report, broken) = run.run_on();
    Performance { report, broken }
}

/// One writer, four servers that die and come back, and a network that does as it is told.
fn one_writer_and_a_dead_server(options: &mut Options) {
    (options.setup.servers, options.setup.window) = (4, 4);
    (options.setup.single_writer, options.setup.liars) = (true, false);
    options.setup.instant_disk = true;
    options.callers = vec![Habit::Tickets];
    options.shapes = vec![(2, 2, 4)];
    options.keeps_shape = false;
    options.lengths = vec![8];
    options.pause = 100;
    options.double_submits = 0;
    options.horizon = 2_000;
    options.network = Network {
        latency: (1, 5),
        instant: 0,
        delayed: 0,
        lost: 0,
        duplicated: 0,
        outlived: 0,
        reorders: false,
        slow: None,
        partitions: None,
        lingering: None,
    };
    options.disk = Disk { sync: (0, 1), failed: 0 };
    options.faults = Faults { crashes: Some(100), ..Faults::default() };
}

static SCENARIOS: [Scenario; 5] = [
    Scenario {
        name: "H1",
        title: "a send that fails at once re-enters the loop",
        story: "Tahoe-LAFS ticket #877. A server has died since the map was made. The call to it fails before it \
                returns, and its handler runs the loop again, in the midst of the pass that made the call. The servers \
                that the pass has not reached are on no record yet, so the inner loop sends them their shares; then \
                the outer pass goes on and sends them again (P1). Of two copies one fails its test, because the other \
                is there. That looks like somebody else's write, and the only writer in the world is told of an \
                uncoordinated write, by itself (P2). In tarn every message is on record before the first one is sent, \
                and an answer, however early, waits in a queue until the step is over.",
        bug: "inline-reentry",
        stage: Some((1506, one_writer_and_a_dead_server)),
    },
    Scenario {
        name: "H2",
        title: "an instance that is out of date writes everything back",
        story: "A program loads the state of a slot, and by the time it writes it back somebody else has changed it: \
                what they changed is gone, although they were told that it is durable. In tarn a slot has one owner, \
                and each change is judged and made on what is there at that moment.",
        bug: "stale-overwrite",
        stage: None,
    },
    Scenario {
        name: "H3",
        title: "a task that is dropped leaves its promise behind",
        story: "A server has promised its slot to a writer whose stream then breaks. Whoever served that stream was \
                dropped between two steps, and nobody takes the promise back: every later writer finds the slot busy. \
                In tarn the promise belongs to the stream, and ends with it however it ends.",
        bug: "leaked-promise",
        stage: None,
    },
    Scenario {
        name: "H4",
        title: "a write without a ticket",
        story: "A caller reads a version, changes it and writes it back, and in between somebody else has published. \
                A publish that follows whatever is there replaces what its caller has never seen, and nobody is told. \
                In tarn such a publish names the version it follows, and is Stale when that is not the newest.",
        bug: "no-ticket",
        stage: None,
    },
    Scenario {
        name: "H5",
        title: "the state is loaded before the lock is held",
        story: "A request looks at the slot, then waits for its turn. When that comes the slot is another, and the \
                request is judged by what it saw before. In tarn nothing of a slot is read but under its lock.",
        bug: "load-before-lock",
        stage: None,
    },
];

#[cfg(test)]
mod tests;
