//! `tarn-sim explore`: every reachable state of small scopes.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tarn_sim::bugs;
use tarn_sim::explore::{self, Exploration, Named, Scope, Size};

use crate::{Failure, Verdict, files};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only this scope.
    #[arg(long)]
    scope: Option<String>,
    /// Also the scopes that take hours.
    #[arg(long)]
    deep: bool,
    /// Only the scopes that take moments.
    #[arg(long, conflicts_with = "deep")]
    small: bool,
    /// Plant this bug first.
    #[arg(long)]
    bug: Option<String>,
    /// Give up a scope after this many states.
    #[arg(long)]
    states: Option<usize>,
    /// How many scopes are searched at once, each by one thread.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
}

pub(crate) fn explore(arguments: &Arguments) -> Result<Verdict, Failure> {
    let most = match (arguments.small, arguments.deep) {
        (true, _) => Size::Small,
        (false, true) => Size::Deep,
        (false, false) => Size::Suite,
    };
    let wanted = |named: &Named| match &arguments.scope {
        Some(name) => named.name == name,
        None => named.size <= most,
    };
    let scopes: Vec<Named> = explore::named().into_iter().filter(wanted).collect();
    if scopes.is_empty() {
        let names: Vec<&str> = explore::named().iter().map(|named| named.name).collect();
        return Err(format!("there is no such scope; there are {}", names.join(", ")).into());
    }
    let next = Mutex::new(scopes.iter());
    let take = || next.lock().unwrap_or_else(PoisonError::into_inner).next();
    let worker = || {
        let searched = std::iter::from_fn(take).map(|named| search(named, arguments));
        searched.collect::<Result<Vec<Verdict>, Failure>>().map_err(|error| error.to_string())
    };
    let searched = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..arguments.jobs.max(1)).map(|_| scope.spawn(worker)).collect();
        let ended = workers.into_iter().map(|worker| worker.join().expect("a search ends"));
        ended.collect::<Result<Vec<_>, String>>()
    })?;
    let is_broken = searched.into_iter().flatten().any(|verdict| verdict == Verdict::Broken);
    Ok(if is_broken { Verdict::Broken } else { Verdict::Clean })
}

#[expect(clippy::disallowed_methods, reason = "the command measures real time")]
fn search(named: &Named, arguments: &Arguments) -> Result<Verdict, Failure> {
    let mut scope = named.scope.clone();
    scope.limit = arguments.states.map_or(scope.limit, |states| states.min(scope.limit));
    let began = Instant::now();
    let found = explore_with(&scope, arguments.bug.as_deref())?;
    let seconds = began.elapsed().as_secs_f64().max(0.001);
    let told: Vec<String> =
        found.told.iter().map(|(outcome, count)| format!("{outcome} {count}")).collect();
    // In one piece, as others search at the same time.
    println!(
        "{}: {}\n  {} states, {} transitions, {} deep, {}, in {seconds:.1} s ({:.0} transitions/s)\n  told in these states: {}",
        named.name,
        named.covers,
        found.states,
        found.transitions,
        found.deepest,
        if found.complete { "complete" } else { "cut at its limit" },
        found.transitions as f64 / seconds,
        told.join(", ")
    );
    let Some((trace, broken)) = found.violation else { return Ok(Verdict::Clean) };
    let path = format!("explore-{}.trace", named.name);
    files::write(path.as_ref(), &trace)?;
    println!(
        "{}: {broken}\n  after {} events; replay: tarn-sim replay {path}",
        named.name,
        trace.events.len()
    );
    Ok(Verdict::Broken)
}

fn explore_with(scope: &Scope, bug: Option<&str>) -> Result<Exploration, Failure> {
    let Some(name) = bug else { return Ok(explore::explore(scope)) };
    let bug = bugs::by_name(name)
        .ok_or_else(|| format!("no bug is called {name}: `tarn-sim list` names them all"))?;
    let mut scope = scope.clone();
    scope.setup.bug = Some(name.to_owned());
    Ok(explore::explore_planted(&scope, (bug.plant)().as_ref()))
}
