//! Some servers have little space, and other files take it: publishes go on without those that are full, until too few
//! are left and they are refused, with the reason and with nothing changed. When there is space again it is used. Some
//! servers stop before their disk is full; the others find out by failing to write.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use super::stage::{SERVERS, Stage, has_a_share};
use super::{Options, Row, Skipped};
use crate::content::Content;
use crate::disk::copy_folder;
use crate::fleet::{Berth, Fleet};
use crate::told::Told;
use crate::witness::Witness;

/// So many servers can be full at once; a publish can do without all but one of them.
const SMALL: usize = 4;
/// The space that each is left at the beginning of a round: the first one is full soon.
const ROOMS: [u64; SMALL] = [1 << 20, 2 << 20, 2 << 20, 2 << 20];
/// The space that there is again at its end.
const PLENTY: u64 = 64 << 20;
/// Files that fill the disks are far fewer.
const FILLERS: usize = 200;
/// Publishes until a server that has space again is used again are far fewer.
const TRIES: usize = 50;

pub(super) fn run(options: &Options) -> Result<Row, Skipped> {
    Mount::is_possible()?;
    let reserve = |server: usize| if server.is_multiple_of(2) { "0" } else { "256KiB" };
    let berth = |server| Berth {
        words: vec!["--reserve".to_owned(), reserve(server).to_owned()],
        ..Berth::default()
    };
    let mut stage = Stage::new("full-disk", options, Fleet::moored((0..SERVERS).map(berth)));
    // They go before the folders that they are on.
    let mounts: Vec<Mount> = (0..SMALL).map(|server| mount(&stage.fleet, server)).collect();
    let owner = stage.owner(stage.fleet.home(), "file");
    let reader = owner.reader(stage.fleet.home());
    for _ in 0..options.rounds {
        for (mount, room) in mounts.iter().zip(ROOMS) {
            mount.leave(room);
        }
        let in_doubt = fill(&mut stage, &owner);
        assert!(reader.read());
        mounts.iter().for_each(|mount| mount.leave(PLENTY));
        stage.log.note("there is space again");
        for (witness, content) in &in_doubt {
            witness.as_ref().unwrap_or(&owner).settle(content);
        }
        use_again(&mut stage, &owner);
        assert!(reader.read());
        stage.check();
    }
    Ok(stage.end(&[&owner, &reader]))
}

/// Moves the folder of a server to a disk of its own.
fn mount(fleet: &Fleet, server: usize) -> Mount {
    fleet.stop(server);
    let copy = fleet.copy(server);
    let mount = Mount::over(fleet.folder(server)).unwrap();
    copy_folder(&copy, fleet.folder(server));
    std::fs::remove_dir_all(copy).unwrap();
    fleet.serve(server);
    mount
}

/// Publishes one file after the other, and the one that is watched, until there is no space for more. Answers what was
/// cut off by it, and whose that was; none stands for the owner.
fn fill(stage: &mut Stage, owner: &Witness) -> Vec<(Option<Witness>, Content)> {
    let mut in_doubt = Vec::new();
    for _ in 0..FILLERS {
        let content = stage.contents.large();
        let name = format!("filler-{}", stage.contents.made);
        let filler = Witness::owner(stage.fleet.home(), Arc::clone(&stage.log), &name);
        let told = filler.publish(&content);
        let full = (0..SMALL).filter(|&server| is_full(stage, &told, server)).count();
        if told.is_published() {
            stage.happens("publishes without a full server", usize::from(full > 0));
        } else if told.is_settled() {
            assert_eq!((told.outcome.as_str(), full), ("not_enough_servers", SMALL), "{told:#?}");
            stage.happens("refusals for space", 1);
            return in_doubt;
        } else {
            in_doubt.push((Some(filler), content));
        }
        // What was cut off is settled before anything else is published.
        if in_doubt.iter().all(|(whose, _)| whose.is_some()) {
            let content = stage.contents.fresh();
            if !owner.publish(&content).is_settled() {
                in_doubt.push((None, content));
            }
        }
    }
    panic!("the disks are never full");
}

fn is_full(stage: &Stage, told: &Told, server: usize) -> bool {
    let why = told.error_of(stage.fleet.address(server));
    why.is_some_and(|why| why.contains("no space left"))
}

/// Publishes until every server has a share again.
fn use_again(stage: &mut Stage, owner: &Witness) {
    for _ in 0..TRIES {
        let told = owner.publish(&stage.contents.large()).published();
        stage.happens("publishes with space again", 1);
        if (0..SERVERS).all(|server| has_a_share(&told, &stage.fleet.store(server))) {
            return;
        }
    }
    panic!("a server that has space again is not used");
}

/// A disk of its own over a folder, in memory, as long as this is there.
struct Mount(PathBuf);

impl Mount {
    fn is_possible() -> Result<(), Skipped> {
        let folder = tempfile::tempdir().unwrap();
        Self::over(folder.path()).map(drop)
    }

    fn over(folder: &Path) -> Result<Self, Skipped> {
        let folder = folder.canonicalize().unwrap();
        let options = format!("size={PLENTY},mode=0700");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &options, "tarn"]).arg(&folder);
        match command.output() {
            Ok(output) if output.status.success() => Ok(Self(folder)),
            Ok(output) => {
                let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                Err(Skipped(format!("no small disk can be mounted: {why}")))
            }
            Err(error) => Err(Skipped(format!("there is no mount: {error}"))),
        }
    }

    /// From now on there is so much space beyond what is used.
    fn leave(&self, room: u64) {
        let disk = rustix::fs::statvfs(&self.0).unwrap();
        let used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize;
        let options = format!("remount,size={}", used + room);
        let status = Command::new("mount").args(["-o", &options]).arg(&self.0).status().unwrap();
        assert!(status.success(), "{} cannot be given another size", self.0.display());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // A server that still runs keeps it for itself alone.
        let status = Command::new("umount").arg("--lazy").arg(&self.0).status();
        if !std::thread::panicking() {
            assert!(status.unwrap().success(), "{} stays mounted", self.0.display());
        }
    }
}
