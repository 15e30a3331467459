//! P12, of inputs that can be read only once: whoever reads one again must have kept it, however long it was.

use super::{Demanded, Promise, is_step, stepped};
use crate::event::Task;
use crate::world::World;

/// One pass over what can be read once.
pub static ONCE: Promise = Promise {
    id: "P12",
    sentence: "an input that can be read only once is read at most once",
    source: "what comes through a pipe and is kept nowhere is gone; a second pass over it would publish its rest, or nothing",
    against_liars: true,
    demanded: Demanded::Always,
    concerns: is_step,
    check,
};

fn check(world: &World) -> Result<(), String> {
    let is_read_once = |id| match world.oracle().task(id).map(|record| &record.task) {
        Some(Task::Publish(task)) => task.is_read_once(),
        Some(Task::Read(_)) | None => false,
    };
    let again =
        stepped(world).find(|client| client.passes_begun() > 1 && is_read_once(client.id()));
    match again {
        Some(client) => Err(format!("{} begins pass {}", client.id(), client.passes_begun())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scene, judge};
    use super::ONCE;
    use crate::event::{PublishTask, Task};
    use crate::ids::Submission;
    use crate::promises::testing::publish_task;
    use crate::world::Fact;

    #[test]
    fn an_input_is_read_again() {
        let mut scene = Scene::default();
        let client = scene.begin(Submission(0));
        scene.settle();
        let Task::Publish(task) = publish_task(Submission(0)) else { unreachable!() };
        let stepped = [Fact::Stepped { client }];
        for (once, passes) in [(false, 2), (true, 1)] {
            let task = PublishTask { once, ..task.clone() };
            scene.world.pretend_task(client, &Task::Publish(task));
            scene.world.pretend_passes(client, passes);
            assert_eq!(judge(&mut scene.world, &ONCE, &stepped), Ok(()));
        }
        scene.world.pretend_passes(client, 2);
        assert!(judge(&mut scene.world, &ONCE, &stepped).is_err());
    }
}
