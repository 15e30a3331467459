//! Tasks of one file.

use super::super::fact::Fact;
use super::super::names::{Short, gateway_of};
use super::super::seen::Seen;
use super::Check;

/// One at a time.
pub(super) static ONE: Check =
    Check { id: "one", sentence: "of a file at most one task runs on a gateway", holds };

fn holds(seen: &Seen, fact: &Fact) -> Result<(), String> {
    let Fact::Ran { task: id, .. } = fact else { return Ok(()) };
    let Some(task) = seen.task(*id) else { return Ok(()) };
    let mut others = seen.pending(gateway_of(*id)).filter(|other| other.id != *id);
    match others.find(|other| other.runs_now && other.submission.file == task.submission.file) {
        Some(other) => Err(format!("{} runs, and {} still does", Short(*id), Short(other.id))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scene, overwrite, ran};
    use super::*;

    #[test]
    fn two_of_a_file_run_at_once() {
        let mut scene = Scene::default();
        scene.run(1, overwrite(1));
        scene.run(2, overwrite(2));
        assert!(scene.judge(&ONE, &ran(2)).is_err());
        assert_eq!(Scene::with_running(overwrite(2)).judge(&ONE, &ran(1)), Ok(()));
    }
}
