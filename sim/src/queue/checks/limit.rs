//! How many run.

use super::super::fact::Fact;
use super::super::names::{Short, gateway_of};
use super::super::seen::Seen;
use super::Check;

/// No more than may.
pub(super) static LIMIT: Check = Check {
    id: "limit",
    sentence: "no more tasks run than may, but for those that ran before a crash",
    holds,
};

fn holds(seen: &Seen, fact: &Fact) -> Result<(), String> {
    let Fact::Ran { task, restored: false, .. } = fact else { return Ok(()) };
    let running = seen.pending(gateway_of(*task)).filter(|task| task.runs_now).count();
    if running > seen.limits.running {
        return Err(format!("{} is one of {running} that run", Short(*task)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tarn_client::publish::Follows;

    use super::super::testing::{LIMITS, Scene, of_file, ran, task};
    use super::*;

    #[test]
    fn one_runs_too_many() {
        let mut scene = Scene::default();
        let most = u8::try_from(LIMITS.running).unwrap();
        for number in 0..most {
            scene.run(number, of_file(number, number));
            assert_eq!(scene.judge(&LIMIT, &ran(number)), Ok(()));
        }
        scene.run(most, of_file(most, most));
        assert!(scene.judge(&LIMIT, &ran(most)).is_err());
        let restored = Fact::Ran { task: task(most), follows: Follows::Whatever, restored: true };
        assert_eq!(scene.judge(&LIMIT, &restored), Ok(()));
    }
}
