//! Calling off.

use super::super::fact::Fact;
use super::super::names::Short;
use super::super::seen::Seen;
use super::Check;

/// It is heard.
pub(super) static CANCEL: Check = Check {
    id: "cancel",
    sentence: "whoever was called off does not begin to run, unless a crash made the gateway forget that",
    holds,
};

fn holds(seen: &Seen, fact: &Fact) -> Result<(), String> {
    let Fact::Ran { task: id, .. } = fact else { return Ok(()) };
    match seen.task(*id) {
        Some(task) if task.cancelled => Err(format!("{} runs, and was called off", Short(*id))),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scene, overwrite, ran, task};
    use super::*;

    #[test]
    fn it_runs_all_the_same() {
        let mut scene = Scene::with_running(overwrite(1));
        assert_eq!(scene.judge(&CANCEL, &ran(1)), Ok(()));
        scene.see(&Fact::CancelRequested { task: task(1) });
        assert!(scene.judge(&CANCEL, &ran(1)).is_err());
        scene.see(&Fact::Died { gateway: 0 });
        assert_eq!(scene.judge(&CANCEL, &ran(1)), Ok(()));
    }
}
