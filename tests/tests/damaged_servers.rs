//! A server's disk goes bad: what was flipped is never served as good, the others bring the file back, and a server
//! that cannot start says why.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on must end")]

use std::path::{Path, PathBuf};

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use tarn_tests::rounds::{rng, rounds};
use tarn_tests::{Cluster, Content};

/// Long enough that shares are chunks in files.
const LARGE: usize = 2 << 20;
/// Short enough that shares are in the database.
const SMALL: usize = 50_000;

#[test]
fn flipped_chunks_are_never_served_as_good() {
    let cluster = Cluster::start(10);
    let (home, content) = (cluster.home(), Content::new(1, LARGE));
    home.publish("file", &content);
    let victims = some_of_ten(&mut rng(1), 7);
    flip_chunks(&cluster, &victims);
    assert_eq!(home.get("file"), content.digest(), "{victims:?} damaged");
    let next = Content::new(2, LARGE);
    let told = home.publish("file", &next);
    assert_eq!(told.seqnum, Some(2));
    assert_eq!(home.get("file"), next.digest(), "the publish did not make it whole");
    cluster.never_panicked();
}

#[test]
fn a_scrub_finds_what_nobody_reads_and_a_publish_replaces_it() {
    let cluster = Cluster::start(10);
    let (home, content) = (cluster.home(), Content::new(1, LARGE));
    home.publish("file", &content);
    let folder = cluster.path(&cluster.servers[3].name);
    let folder = folder.to_string_lossy();
    let said = home.run(&["server", "scrub", &folder]).fails(1);
    assert!(said.contains("already runs"), "a server at work is left alone: {said}");
    cluster.stop();
    let whole = home.run(&["server", "scrub", &folder]).ok();
    assert!(whole.text().contains("1 shares in 1 slots"), "{whole:?}");
    cluster.revive();
    flip_chunks(&cluster, &[3]);
    cluster.stop();
    let found = home.run(&["server", "scrub", &folder, "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!((found.exit, json["damaged"].as_array().unwrap().len()), (Some(1), 1), "{found:?}");
    cluster.revive();
    let status = home.run(&["status", "file"]).ok();
    assert!(status.text().contains("damaged"), "{status:?}");
    home.publish("file", &Content::new(2, LARGE));
    cluster.stop();
    home.run(&["server", "scrub", &folder]).ok();
    cluster.revive();
    cluster.never_panicked();
}

#[test]
fn fewer_than_k_good_shares_are_too_few_and_nothing_is_made_up() {
    let cluster = Cluster::start(10);
    let (home, content) = (cluster.home(), Content::new(1, LARGE));
    home.publish("file", &content);
    flip_chunks(&cluster, &some_of_ten(&mut rng(2), 8));
    let output = home.path("output");
    let said = home.run(&["get", "file", "-o", &output.to_string_lossy()]).fails(4);
    assert!(said.contains("version 1") && !output.exists(), "{said}");

    let source = home.write("source", b"x");
    let publish = ["publish", &source.to_string_lossy(), "--name", "file"];
    let said = home.run(&publish).fails(4);
    assert!(said.contains("nothing was changed"), "{said}");
    assert!(said.contains("too few good shares"), "{said}");
    cluster.never_panicked();
}

#[test]
fn flipped_databases_cost_no_more_than_their_servers() {
    for seed in 0..rounds(6) {
        let cluster = Cluster::start(10);
        let (home, content) = (cluster.home(), Content::new(seed, SMALL));
        home.publish("file", &content);
        cluster.stop();
        let mut rng = rng(seed);
        let victims = some_of_ten(&mut rng, 3);
        for &victim in &victims {
            let folder = cluster.path(&cluster.servers[victim].name);
            assert!(!folder.join("slots.sqlite-wal").exists(), "what is flipped is not all");
            flip(&folder.join("slots.sqlite"), 1 << (2 * (seed % 6)), &mut rng);
        }
        let started = cluster.try_revive().never_panicked();
        if started.exit != Some(0) {
            let said = started.fails(1);
            assert!(said.contains("did not start"), "{said}");
        }
        assert_eq!(home.get("file"), content.digest(), "seed {seed}: {victims:?} damaged");
        let next = Content::new(100 + seed, SMALL);
        home.publish("file", &next);
        assert_eq!(home.get("file"), next.digest(), "seed {seed}: {victims:?} damaged");
        cluster.never_panicked();
    }
}

#[test]
fn a_server_that_cannot_start_says_why_and_the_others_serve() {
    let cluster = Cluster::start(10);
    let (home, content) = (cluster.home(), Content::new(1, SMALL));
    home.publish("file", &content);
    cluster.stop();
    let database = |server: usize| cluster.path(&cluster.servers[server].name).join("slots.sqlite");
    let whole = std::fs::read(database(0)).unwrap();
    std::fs::write(database(0), [&[0xff; 100][..], &whole[100..]].concat()).unwrap();
    std::fs::write(database(1), b"").unwrap();
    std::fs::remove_file(database(2)).unwrap();
    std::fs::write(database(3), &std::fs::read(database(3)).unwrap()[..5_000]).unwrap();
    let dead = [0, 1, 2, 3];

    let said = cluster.try_revive().fails(1);
    assert!(said.contains("4 of 10 servers did not start"), "{said}");
    for server in dead {
        let name = &cluster.servers[server].name;
        assert!(said.contains(&format!("{name}: ")), "{name} in {said}");
        let log = cluster.log(server);
        let why = log.lines().rfind(|line| line.starts_with("tarn: "));
        println!("{name}: {why:?}");
        assert!(why.is_some_and(|why| why.len() > 20), "{name}: {log}");
    }
    assert_eq!(home.get("file"), content.digest());
    let refused = home.publish_with("file", &Content::new(2, SMALL), &[]);
    assert_eq!(refused.exit, 4, "{refused:#?}");
    for address in cluster.addresses(&dead) {
        assert!(refused.error_of(address).is_some(), "{address} in {refused:#?}");
    }
    cluster.never_panicked();
}

/// Makes every block of these servers' chunks bad, while they are down.
fn flip_chunks(cluster: &Cluster, victims: &[usize]) {
    cluster.stop();
    for &victim in victims {
        let chunks = files(&cluster.path(&cluster.servers[victim].name).join("chunks"));
        assert!(!chunks.is_empty(), "a share is not where this story flips it");
        for chunk in chunks {
            flip_every_page(&chunk);
        }
    }
    cluster.revive();
}

fn some_of_ten(rng: &mut ChaCha8Rng, count: usize) -> Vec<usize> {
    let mut servers: Vec<usize> = (0..10).collect();
    servers.shuffle(rng);
    servers.truncate(count);
    servers
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Flips so many bits of a file, anywhere.
fn flip(file: &Path, count: usize, rng: &mut ChaCha8Rng) {
    let mut bytes = std::fs::read(file).unwrap();
    for _ in 0..count {
        let place = rng.random_range(0..bytes.len());
        bytes[place] ^= 1 << rng.random_range(0..8);
    }
    std::fs::write(file, bytes).unwrap();
}

/// Flips a bit in every 4 KiB of a file, so that no block of it is good.
fn flip_every_page(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    for byte in bytes.iter_mut().step_by(4096) {
        *byte ^= 0x80;
    }
    std::fs::write(file, bytes).unwrap();
}
