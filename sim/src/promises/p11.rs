//! P11. At every moment nobody was told twice, and whoever just made a step and is awaited still has something to wait
//! for: on its way, or at a server. At rest, when nothing is, every task that was not killed was told.

use super::{Demanded, Promise, is_step, is_told, stepped, told};
use crate::world::{Fact, World};

/// One end for everyone.
pub static P11: Promise = Promise {
    id: "P11",
    sentence: "every publish ends, with exactly one outcome",
    source: "DESIGN 7.2: everything that ends is one of the outcomes, and no step waits for ever",
    against_liars: true,
    demanded: Demanded::Always,
    concerns,
    check,
};

const fn concerns(fact: &Fact) -> bool {
    is_told(fact) || is_step(fact)
}

fn check(world: &World) -> Result<(), String> {
    if let Some((client, record)) = told(world).find(|(_, record)| record.times_told > 1) {
        return Err(format!("{client} was told {} times how it ended", record.times_told));
    }
    match stepped(world).find(|client| client.is_awaited() && !world.is_awaiting(client.id())) {
        Some(client) => Err(format!("{} waits for nothing, and will never end", client.id())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scene, judge};
    use super::P11;
    use crate::event::Event;
    use crate::ids::{ClientId, Submission};
    use crate::world::{Fact, Told};

    #[test]
    fn a_caller_is_told_twice() {
        let mut scene = Scene::default();
        let version = scene.publish(Submission(0));
        let told = [Fact::Told { client: ClientId(0) }];
        assert_eq!(judge(&mut scene.world, &P11, &told), Ok(()));
        scene.world.pretend_told(ClientId(0), Told::Published { version, repeated: true });
        assert!(judge(&mut scene.world, &P11, &told).is_err());
    }

    #[test]
    fn every_message_of_a_task_vanishes() {
        let mut scene = Scene::default();
        let client = scene.begin(Submission(0));
        let stepped = [Fact::Stepped { client }];
        scene.run_until(|world| world.in_flight().count() > 2);
        assert_eq!(judge(&mut scene.world, &P11, &stepped), Ok(()));
        let mut killed = scene.world.clone();
        scene.world.vanish(|id| id.client == client);
        assert!(judge(&mut scene.world, &P11, &stepped).is_err());

        killed.apply(&Event::ClientKilled { client }.at(1_000));
        killed.vanish(|id| id.client == client);
        assert_eq!(judge(&mut killed, &P11, &stepped), Ok(()), "nobody waits for a killed one");
    }
}
