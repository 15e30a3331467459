//! P9, of sequence numbers. A new version's is one above every signed one that its writer saw, so the numbers in use
//! have no gap: as many versions as the highest says were signed at least. A number that nobody signed, believed, is a
//! gap; and one that is high enough wears the file out.

use super::{Demanded, Promise, is_step, short};
use crate::event::Task;
use crate::world::World;

/// Every sequence number comes from a signed one.
pub static NUMBERS: Promise = Promise {
    id: "P9",
    sentence: "no version's sequence number is above what the versions signed before it account for",
    source: "DESIGN 7.2: a floor is a signed header; one forged number would use up all there are",
    against_liars: true,
    demanded: Demanded::Always,
    concerns: is_step,
    check,
};

fn check(world: &World) -> Result<(), String> {
    let newest = world.versions().max_by_key(|made| made.header.order());
    let Some((number, version)) = newest.map(|made| made.header.order()) else { return Ok(()) };
    let signed = world.versions().count() as u64;
    // Whoever was told that higher ones were used up long ago begins there.
    let spent = world.oracle().tasks().filter_map(|(_, record)| match &record.task {
        Task::Publish(task) => task.spent,
        Task::Read(_) => None,
    });
    if number.get() <= signed.saturating_add(spent.max().unwrap_or(0)) {
        return Ok(());
    }
    let number = number.get();
    Err(format!("{} is numbered {number}, and there are {signed} versions", short(version)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scene, judge};
    use super::NUMBERS;
    use crate::ids::{ClientId, Submission};
    use crate::world::Fact;

    #[test]
    fn a_number_that_nothing_accounts_for() {
        let stepped = [Fact::Stepped { client: ClientId(0) }];
        let mut scene = Scene::default();
        let base = scene.publish(Submission(0));
        let next = scene.make(2, Some(base), Submission(1));
        scene.world.invent(next);
        assert_eq!(judge(&mut scene.world, &NUMBERS, &stepped), Ok(()));
        let above = scene.make(4, Some(base), Submission(2));
        scene.world.invent(above);
        assert!(judge(&mut scene.world, &NUMBERS, &stepped).is_err());
    }
}
