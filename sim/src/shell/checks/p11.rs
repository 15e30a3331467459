//! P11: every publish ends, with exactly one outcome; and once the network is healed, everything ends soon and can be
//! done again. (DESIGN §10 and §9.)

use std::time::Duration;

use crate::shell::report::{Broken, Promise};

const PROMISE: Promise =
    Promise { id: "P11", sentence: "every publish ends, with exactly one outcome" };

/// An operation that ended without an outcome.
pub(in crate::shell) fn cut_off(what: &str) -> Broken {
    PROMISE.broken(format!("{what} ended without an outcome"))
}

/// Checks what is still under way so long after the network healed.
pub(in crate::shell) fn check(under_way: &[String], waited: Duration) -> Result<(), Broken> {
    if under_way.is_empty() {
        return Ok(());
    }
    let under_way = under_way.join(", ");
    Err(PROMISE.broken(format!("{under_way} still under way {waited:?} after healing")))
}

/// Checks what a publish or read that nothing troubles was told.
pub(in crate::shell) fn check_untroubled(done: bool, told: &str) -> Result<(), Broken> {
    if done {
        return Ok(());
    }
    Err(PROMISE.broken(format!("on a healed network it could not be done: {told}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_end_is_found() {
        let waited = Duration::from_secs(1);
        assert_eq!(check(&[], waited), Ok(()));
        let broken = check(&["c0 publish 1".to_owned()], waited).unwrap_err();
        assert_eq!(broken.promise, PROMISE);
        assert_eq!(cut_off("c0 publish 1").promise, PROMISE);
    }

    #[test]
    fn what_cannot_be_done_without_trouble_is_found() {
        assert_eq!(check_untroubled(true, "Published"), Ok(()));
        assert_eq!(check_untroubled(false, "Contended").unwrap_err().promise, PROMISE);
    }
}
