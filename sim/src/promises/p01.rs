//! P1. Counted for each task of its own: a second try of a submission is another process, which cannot know what the
//! first one, killed or cut off, still has on its way; the servers' rules keep these apart. What the network doubles is
//! one message, and one whose stream was let go is outstanding no more.

use super::{Demanded, Promise, is_step, short, stepped};
use crate::world::{Client, World, WriteMark};

/// One write at a time.
pub static P01: Promise = Promise {
    id: "P1",
    sentence: "at most one write message is outstanding for one (server, share, version)",
    source: "Tahoe-LAFS #877: a re-entrant publish loop sent a share twice, and took its own answer for a foreign write",
    against_liars: true,
    demanded: Demanded::Always,
    concerns: is_step,
    check,
};

fn check(world: &World) -> Result<(), String> {
    stepped(world).try_for_each(of_client)
}

fn of_client(client: &Client) -> Result<(), String> {
    for (i, one) in client.writes().enumerate() {
        if let Some(other) = client.writes().skip(i + 1).find(|other| collide(one, other)) {
            let of = one.version.1.map_or_else(|| "nothing".to_owned(), short);
            return Err(format!(
                "{} has two writes of version {} on {of} outstanding at {}: shares {:?} and {:?}",
                client.id(),
                one.version.0.get(),
                one.server,
                one.shares,
                other.shares
            ));
        }
    }
    Ok(())
}

fn collide(one: &WriteMark, other: &WriteMark) -> bool {
    one.server == other.server
        && one.version == other.version
        && !one.shares.is_disjoint(&other.shares)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scene, judge, shares};
    use super::P01;
    use crate::ids::{ServerId, Submission};
    use crate::world::{Fact, WriteMark};

    #[test]
    fn two_writes_of_one_share_are_outstanding() {
        let mut scene = Scene::default();
        let client = scene.begin(Submission(0));
        scene.run_until(|world| world.clients().any(|client| client.writes().count() > 0));
        let stepped = [Fact::Stepped { client }];
        assert_eq!(judge(&mut scene.world, &P01, &stepped), Ok(()));

        let mark = scene.world.clients().next().unwrap().writes().next().unwrap().clone();
        let elsewhere = WriteMark { server: ServerId(9), ..mark.clone() };
        let mut another = mark.clone();
        another.shares = shares(&[7]);
        scene.world.pretend_write(client, elsewhere);
        scene.world.pretend_write(client, another);
        assert_eq!(
            judge(&mut scene.world, &P01, &stepped),
            Ok(()),
            "another server, another share"
        );

        scene.world.pretend_write(client, mark);
        let broken = judge(&mut scene.world, &P01, &stepped).unwrap_err();
        assert!(broken.contains("two writes"), "{broken}");
    }

    #[test]
    fn a_commit_counts_for_the_shares_of_its_seal() {
        let mut scene = Scene::default();
        let client = scene.begin(Submission(0));
        let is_commit = |mark: &WriteMark| mark.conversation.is_some() && !mark.shares.is_empty();
        scene.run_until(|world| world.versions().count() == 1 && world.oracle().events() > 20);
        let commits = scene.world.client(client).unwrap().writes().filter(|m| is_commit(m)).count();
        let all = scene.world.client(client).unwrap().writes().count();
        assert_eq!(commits, all);
    }
}
