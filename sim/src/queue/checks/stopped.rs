//! A process that is to stop.

use super::super::fact::Fact;
use super::super::names::{Short, gateway_of};
use super::super::seen::Seen;
use super::Check;

/// It finishes, and begins nothing.
pub(super) static STOPPED: Check =
    Check { id: "stopped", sentence: "a process that is to stop starts nothing more", holds };

fn holds(seen: &Seen, fact: &Fact) -> Result<(), String> {
    let Fact::Ran { task, .. } = fact else { return Ok(()) };
    let gateway = gateway_of(*task);
    if seen.processes[usize::from(gateway)].stopped {
        return Err(format!("g{gateway} is to stop, and starts {}", Short(*task)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scene, overwrite, ran};
    use super::*;

    #[test]
    fn something_is_started_all_the_same() {
        let mut scene = Scene::with_running(overwrite(1));
        assert_eq!(scene.judge(&STOPPED, &ran(1)), Ok(()));
        scene.see(&Fact::Stopped { gateway: 0 });
        assert!(scene.judge(&STOPPED, &ran(1)).is_err());
        scene.see(&Fact::Died { gateway: 0 });
        scene.see(&Fact::Began { gateway: 0 });
        assert_eq!(scene.judge(&STOPPED, &ran(1)), Ok(()));
    }
}
