//! P4. Held against a submission while every one of its tries so far was told that nothing was changed: one that is
//! running, was killed, or ended in doubt may change something yet. What a disk has held and dropped since shows in its
//! history.

use tarn_proto::AttemptId;
use tarn_server::manifest::Manifest;

use super::{Demanded, Promise, changed, is_told_or_durable, told};
use crate::ids::Submission;
use crate::world::{Told, World};

/// Nothing means nothing.
pub static P04: Promise = Promise {
    id: "P4",
    sentence: "a publish whose outcome says \"nothing was changed\" changed nothing, then or later",
    source: "DESIGN 7.2: an answer that was lost is settled before anything is said of it",
    against_liars: false,
    demanded: Demanded::Always,
    concerns: is_told_or_durable,
    check,
};

fn check(world: &World) -> Result<(), String> {
    for (_, record) in told(world) {
        if let (Told::Unchanged { .. }, crate::event::Task::Publish(task)) =
            (&record.told, &record.task)
        {
            let attempt = task.submission.attempt();
            let server = world.servers().find(|server| was_there(server.disk(), attempt));
            if let Some(server) = server.filter(|_| changed_nothing(world, attempt)) {
                return broken(attempt, server.id());
            }
        }
    }
    for server in changed(world) {
        let attempts = server.disk().generations.iter().map(|held| held.header.header().attempt);
        for attempt in attempts {
            if changed_nothing(world, attempt) {
                return broken(attempt, server.id());
            }
        }
    }
    Ok(())
}

fn broken(attempt: AttemptId, server: crate::ids::ServerId) -> Result<(), String> {
    let submission = Submission::of(attempt);
    Err(format!(
        "{submission} changed nothing, its caller was told, and {server} has a version of it"
    ))
}

/// Whether everybody who tried this submission was told that nothing was changed.
fn changed_nothing(world: &World, attempt: AttemptId) -> bool {
    let mut tries = world.oracle().tries(attempt).peekable();
    tries.peek().is_some() && tries.all(|(_, record)| matches!(record.told, Told::Unchanged { .. }))
}

fn was_there(disk: &Manifest, attempt: AttemptId) -> bool {
    disk.generations.iter().any(|held| held.header.header().attempt == attempt)
        || disk.history.iter().any(|record| record.entry.attempt == attempt)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scene, judge, publish_task};
    use super::P04;
    use crate::event::Event;
    use crate::ids::{ClientId, ServerId, Submission};
    use crate::world::{Fact, Told};

    const FIRST: ClientId = ClientId(0);
    const DURABLE: [Fact; 1] = [Fact::Durable { server: ServerId(0) }];

    fn unchanged() -> Told {
        Told::Unchanged { outcome: "contended", theirs: None }
    }

    #[test]
    fn a_version_is_there_that_changed_nothing() {
        let mut scene = Scene::default();
        scene.publish(Submission(0));
        assert_eq!(judge(&mut scene.world, &P04, &DURABLE), Ok(()));
        scene.world.pretend_told(FIRST, unchanged());
        assert!(judge(&mut scene.world, &P04, &[Fact::Told { client: FIRST }]).is_err());
        assert!(judge(&mut scene.world, &P04, &DURABLE).is_err());
    }

    #[test]
    fn it_was_there_and_is_only_remembered() {
        let mut scene = Scene::default();
        scene.publish(Submission(0));
        scene.publish(Submission(1));
        scene.world.pretend_told(FIRST, unchanged());
        assert!(judge(&mut scene.world, &P04, &[Fact::Told { client: FIRST }]).is_err());
    }

    #[test]
    fn another_try_that_was_killed_may_have_changed_it() {
        let mut scene = Scene::default();
        let client = scene.begin(Submission(0));
        scene
            .run_until(|world| world.servers().any(|server| !server.disk().generations.is_empty()));
        scene.apply(Event::ClientKilled { client });
        let again = ClientId(90);
        scene.world.pretend_task(again, &publish_task(Submission(0)));
        scene.world.pretend_told(again, unchanged());
        assert_eq!(judge(&mut scene.world, &P04, &[Fact::Told { client: again }]), Ok(()));
    }
}
