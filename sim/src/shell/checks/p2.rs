//! P2: with one writer, no fault whatever ends in UncoordinatedWrite. (DESIGN §10; Tahoe-LAFS ticket 877.)

use tarn_client::publish::outcome::Outcome;

use crate::shell::report::{Broken, Promise};

const PROMISE: Promise =
    Promise { id: "P2", sentence: "with one writer, no fault whatever ends in UncoordinatedWrite" };

/// Checks an outcome; `alone` says that nobody else, and no earlier publish of the same writer, was under way.
pub(in crate::shell) fn check(alone: bool, outcome: &Outcome) -> Result<(), Broken> {
    if alone && matches!(outcome, Outcome::UncoordinatedWrite { .. }) {
        return Err(PROMISE.broken(format!("a writer that was alone was told {outcome:?}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_writer_must_not_hear_of_another() {
        let surprised = Outcome::UncoordinatedWrite { theirs: None };
        assert_eq!(check(true, &surprised).unwrap_err().promise, PROMISE);
        assert_eq!(check(false, &surprised), Ok(()));
        assert_eq!(check(true, &Outcome::Contended), Ok(()));
    }
}
