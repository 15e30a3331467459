//! P7. Every generation on a disk is one version's: its table and its shares' bytes are those that the version's
//! writer made. Newer versions come first, by sequence number, each once; the floor is not below them. Of long shares
//! the beginning is compared. It holds for a liar's disk too: what a liar lies about is what it says.

use tarn_server::manifest::{Content, Extent, Manifest, StoredGeneration};

use super::{Demanded, Promise, changed, is_durable, short};
use crate::made::Made;
use crate::world::World;

/// Never a mixture.
pub static P07: Promise = Promise {
    id: "P7",
    sentence: "one server's shares of one file are never of mixed versions within a generation",
    source: "Tahoe-LAFS writes each share of a server apart from the others, so a crash leaves a mixture",
    against_liars: true,
    demanded: Demanded::Always,
    concerns: is_durable,
    check,
};

fn check(world: &World) -> Result<(), String> {
    for server in changed(world) {
        let verdict = in_order(server.disk())
            .and_then(|()| server.disk().generations.iter().try_for_each(|held| pure(world, held)));
        verdict.map_err(|why| format!("{}: {why}", server.id()))?;
    }
    Ok(())
}

fn in_order(disk: &Manifest) -> Result<(), String> {
    let number = |held: &StoredGeneration| held.header.header().sequence_number;
    for pair in disk.generations.windows(2) {
        if number(&pair[0]) <= number(&pair[1]) {
            return Err(format!(
                "{} is listed before {}, which is not older",
                short(pair[0].header.version()),
                short(pair[1].header.version())
            ));
        }
    }
    let floor = disk.floor.as_ref().map(|floor| floor.header().sequence_number);
    if disk.generations.first().map(number) > floor {
        return Err("the floor is below the current version".to_owned());
    }
    Ok(())
}

fn pure(world: &World, held: &StoredGeneration) -> Result<(), String> {
    let version = held.header.version();
    // That it was made at all is P9's.
    let Some(made) = world.made(version) else { return Ok(()) };
    if held.shares.is_empty() {
        return Err(format!("{} has no share", short(version)));
    }
    if !is_table_of(made, &held.table) {
        return Err(format!("the table of {} is another one's", short(version)));
    }
    let foreign = held.shares.iter().find(|(share, stored)| {
        share.get() >= held.header.header().shape.n()
            || !made.is_content_of(**share, &stored.content)
    });
    match foreign {
        Some((share, _)) => {
            Err(format!("share {} of {} is another one's", share.get(), short(version)))
        }
        None => Ok(()),
    }
}

fn is_table_of(made: &Made, table: &Content) -> bool {
    match &table.0[..] {
        [] => made.table.is_empty(),
        [Extent::Inline(bytes)] => bytes == made.table.bytes(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Scene, judge};
    use super::P07;
    use crate::ids::{ServerId, Submission};
    use crate::world::Fact;
    use tarn_server::manifest::Manifest;

    const ONE: ServerId = ServerId(1);

    fn verdict(tamper: impl FnOnce(&mut Manifest, &Manifest)) -> Result<(), String> {
        let mut scene = Scene::default();
        scene.publish(Submission(0));
        let older = scene.world.server(ONE).unwrap().disk().clone();
        scene.publish(Submission(1));
        tamper(scene.world.server_mut(ONE).disk_mut(), &older);
        judge(&mut scene.world, &P07, &[Fact::Durable { server: ONE }])
    }

    #[test]
    fn one_share_is_of_the_version_before() {
        let broken = verdict(|disk, older| {
            let (share, stored) = older.generations[0].shares.first_key_value().unwrap();
            disk.generations[0].shares.insert(*share, stored.clone());
        });
        assert!(broken.unwrap_err().contains("is another one's"));
    }

    #[test]
    fn the_table_is_of_the_version_before() {
        let broken = verdict(|disk, older| {
            disk.generations[0].table = older.generations[0].table.clone();
        });
        assert!(broken.unwrap_err().contains("the table"));
    }

    #[test]
    fn the_version_before_is_a_generation_of_its_own() {
        assert_eq!(
            verdict(|disk, older| disk.generations.extend(older.generations.clone())),
            Ok(())
        );
    }

    #[test]
    fn an_older_version_is_current_or_one_is_listed_twice() {
        assert!(
            verdict(|disk, older| disk
                .generations
                .splice(0..0, older.generations.clone())
                .for_each(drop))
            .is_err()
        );
        assert!(verdict(|disk, _| disk.generations.extend_from_within(..)).is_err());
    }

    #[test]
    fn the_floor_is_below_the_current_version() {
        assert!(verdict(|disk, older| disk.floor.clone_from(&older.floor)).is_err());
    }
}
