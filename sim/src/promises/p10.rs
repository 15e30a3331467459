//! P10. Of what a world has of those: when everything has ended, no server has a promise, a conversation, a stream or
//! an unfinished change left, and no client a conversation or a write. What futures and files leave behind is the
//! second lane's to see.

use super::{Demanded, Promise};
use crate::world::{Client, Fact, Server, World};

/// Nothing is left behind.
pub static P10: Promise = Promise {
    id: "P10",
    sentence: "dropping any future at any await leaves no lock, promise, transaction, temp file or task behind",
    source: "a writer that is killed must not stop a file until its promise lapses",
    against_liars: true,
    demanded: Demanded::AtRest,
    concerns,
    check,
};

const fn concerns(_: &Fact) -> bool {
    true
}

fn check(world: &World) -> Result<(), String> {
    if let Some(envelope) = world.in_flight().next() {
        return Err(format!("{} is on its way still", envelope.id));
    }
    world.clients().try_for_each(client_is_clean)?;
    world.servers().try_for_each(|server| server_is_clean(world, server))
}

fn client_is_clean(client: &Client) -> Result<(), String> {
    let left = if client.is_running() {
        "runs"
    } else if client.conversations().next().is_some() {
        "has a conversation"
    } else if client.writes().next().is_some() {
        "waits for a write"
    } else {
        return Ok(());
    };
    Err(format!("{} {left} still", client.id()))
}

fn server_is_clean(world: &World, server: &Server) -> Result<(), String> {
    let slot = server.slot();
    let left = if server.is_writing() {
        "is to make a change durable"
    } else if server.queue().next().is_some() {
        "has requests waiting"
    } else if server.streams().next().is_some() {
        "has a stream open"
    } else if slot.is_some_and(|slot| slot.conversations().next().is_some()) {
        "serves a conversation"
    } else if slot.is_some_and(|slot| slot.promised_to(server.now(world.now())).is_some()) {
        "is promised to somebody"
    } else {
        return Ok(());
    };
    Err(format!("{} {left} still", server.id()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scene, judge};
    use super::P10;
    use crate::event::Event;
    use crate::ids::{ClientId, ServerId, Submission};
    use crate::world::WriteMark;
    use tarn_proto::{ConversationId, SequenceNumber};

    #[test]
    fn a_publish_and_a_killed_one_leave_nothing() {
        let mut scene = Scene::default();
        scene.publish(Submission(0));
        let client = scene.begin(Submission(1));
        scene.run_until(|world| {
            world.servers().any(|server| {
                server.slot().is_some_and(|slot| slot.promised_to(server.now(0)).is_some())
            })
        });
        assert!(judge(&mut scene.world, &P10, &[]).is_err(), "it runs");
        scene.apply(Event::ClientKilled { client });
        assert!(judge(&mut scene.world, &P10, &[]).is_err(), "its streams have not ended");
        scene.settle();
        assert_eq!(judge(&mut scene.world, &P10, &[]), Ok(()));
    }

    #[test]
    fn a_stream_is_forgotten_and_the_slot_is_not_told() {
        let mut scene = Scene::default();
        let client = scene.begin(Submission(0));
        scene.run_until(|world| world.servers().any(|server| server.streams().next().is_some()));
        scene.apply(Event::ClientKilled { client });
        let streams: Vec<_> = scene
            .world
            .servers()
            .flat_map(|server| server.streams().map(|stream| (server.id(), stream)))
            .collect();
        for (server, stream) in streams {
            scene.world.server_mut(server).leak(stream);
        }
        scene.world.vanish(|_| true);
        let broken = judge(&mut scene.world, &P10, &[]).unwrap_err();
        assert!(broken.contains("serves a conversation"), "{broken}");
    }

    #[test]
    fn a_client_waits_for_a_write_after_its_end() {
        let mut scene = Scene::default();
        let version = scene.publish(Submission(0));
        let mark = WriteMark {
            server: ServerId(0),
            shares: std::collections::BTreeSet::new(),
            version: (SequenceNumber::FIRST, Some(version), Submission(0).attempt()),
            conversation: Some(ConversationId::new([1; 16])),
        };
        scene.world.pretend_write(ClientId(0), mark);
        assert!(judge(&mut scene.world, &P10, &[]).is_err());
    }
}
