//! Whatever is wrong with what a user types or has on disk ends in a sentence and the documented exit code, never in
//! a panic, never in wrong bytes, and never with a secret repeated.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on must end")]

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32m, Hrp};
use rand::RngExt;
use tarn_tests::rounds::{rng, rounds};
use tarn_tests::{Cluster, Content, Home};

#[test]
fn a_mistyped_cap_is_refused_and_not_repeated() {
    let cluster = Cluster::start(3);
    let (home, content) = (cluster.home(), Content::new(1, 2_000));
    publish_small(&home, "file", &content);
    for right in ["--read", "--write"] {
        let cap = cap(&home, "file", right);
        assert_eq!(cluster.home().get(&cap), content.digest());
        assert_eq!(cluster.home().get(&cap.to_uppercase()), content.digest());
        for length in [0, 1, 5, 6, 7, cap.len() / 2, cap.len() - 1] {
            refused(&home, &cap[..length]);
        }
        refused(&home, &format!("{cap}q"));
        refused(&home, &format!("{}{}", cap[..20].to_uppercase(), &cap[20..]));
        for place in 0..cap.len() {
            let letter = if cap.as_bytes()[place] == b'q' { "p" } else { "q" };
            refused(&home, &format!("{}{letter}{}", &cap[..place], &cap[place + 1..]));
        }
    }
    cluster.never_panicked();
}

/// Neither reading nor publishing takes it, and nobody who looks over a shoulder learns it.
fn refused(home: &Home, cap: &str) {
    let source = home.write("source", b"x");
    let publish = ["publish", &source.to_string_lossy(), "--cap", cap];
    for words in [&["get", cap][..], &publish[..], &["cap", cap, "--verify"][..]] {
        let said = home.run(words).fails(2);
        if cap.len() > 20 {
            assert!(!said.contains(&cap[10..]), "the secret is repeated: {said}");
        }
    }
}

#[test]
fn a_well_formed_cap_that_is_not_the_files_is_refused_for_what_it_is() {
    let cluster = Cluster::start(3);
    let home = cluster.home();
    publish_small(&home, "one", &Content::new(1, 2_000));
    publish_small(&home, "other", &Content::new(2, 2_000));
    let [one, other] = ["one", "other"].map(|name| payload(&cap(&home, name, "--read")));

    let of_other_file = [&one[..33], &other[33..]].concat();
    let said = home.run(&["get", &encoded("tarnr", &of_other_file)]).fails(2);
    assert!(said.contains("key"), "{said}");

    let said = home.run(&["get", &cap(&home, "one", "--verify")]).fails(2);
    assert!(said.contains("only allows to verify"), "{said}");
    let source = home.write("source", b"x");
    let publish = ["publish", &source.to_string_lossy(), "--cap", &cap(&home, "one", "--read")];
    let said = home.run(&publish).fails(2);
    assert!(said.contains("only allows to read"), "{said}");

    // A file that was never published.
    let unknown = encoded("tarnw", &[&[1][..], &[7; 32]].concat());
    let said = home.run(&["get", &unknown]).fails(4);
    assert!(said.contains("is this the right grid?"), "{said}");
    let publish = ["publish", &source.to_string_lossy(), "--cap", &unknown];
    let said = home.run(&publish).fails(4);
    assert!(said.contains("is this the right grid?"), "{said}");

    for bit in 0..8 * one.len() {
        let mut flipped = one.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let ran = home.run(&["get", &encoded("tarnr", &flipped)]);
        // A flipped read key is no key of the file; a flipped verify key is another file's, or none.
        let exit = ran.exit.unwrap();
        assert!(exit == 2 || (exit == 4 && bit >= 8 * 33), "bit {bit}: {ran:?}");
        ran.fails(exit);
    }
    cluster.never_panicked();
}

#[test]
fn a_broken_grid_file_is_refused_with_the_line() {
    let server = "[[server]]\nstore = \"01010101010101010101010101010101\"\naddress = \"a:1\"\n";
    let broken = [
        (format!("{server}[[server]\n"), "line 4"),
        (format!("{server}\n{server}"), "line 6"),
        (server.replace("0101\"", "01\""), "line 2"),
        (server.replace("a:1", "a"), "line 3"),
        (server.replace("a:1", "a:70000"), "line 3"),
        (server.replace("address", "adress"), "line 3"),
        (format!("{server}weight = 0\n"), "line 4"),
        (format!("{server}token = \"\"\n"), "line 4"),
        (String::new(), "lists no servers"),
        ("\0\u{1}".to_owned(), "line 1"),
    ];
    for (text, place) in broken {
        let mut home = Home::new(None);
        let grid = home.write("grid.toml", text.as_bytes());
        home.use_grid(&grid);
        let source = home.write("source", b"x").to_string_lossy().into_owned();
        home.run(&["ls"]).ok();
        let said = home.run(&["publish", &source]).fails(2);
        assert!(said.contains(place) && said.contains("grid.toml"), "{text}\n{said}");
    }
    let mut home = Home::new(None);
    home.use_grid(&home.path("nothing here"));
    let source = home.write("source", b"x").to_string_lossy().into_owned();
    let said = home.run(&["publish", &source]).fails(2);
    assert!(said.contains("nothing here"), "{said}");
    home.use_grid(&home.write("grid.toml", b"\xff\xfe"));
    home.run(&["publish", &source]).fails(2);
}

#[test]
fn flipped_bytes_in_the_names_give_the_right_caps_or_a_sentence() {
    let cluster = Cluster::start(3);
    let (home, content) = (cluster.home(), Content::new(1, 2_000));
    publish_small(&home, "file", &content);
    let cap = cap(&home, "file", "--write");
    let names = home.path("data/names.sqlite");
    assert!(!names.with_extension("sqlite-wal").exists(), "what is flipped would not be all");
    let whole = std::fs::read(&names).unwrap();
    // Where something is written at all: most of a small database is empty space.
    let written: Vec<usize> = (0..whole.len()).filter(|&place| whole[place] != 0).collect();
    let mut rng = rng(3);
    let mut refused = 0;
    for _ in 0..rounds(100) {
        let mut bytes = whole.clone();
        let place = written[rng.random_range(0..written.len())];
        bytes[place] ^= 1 << rng.random_range(0..8);
        std::fs::write(&names, &bytes).unwrap();
        for words in [&["cap", "file", "--write"][..], &["get", "file"], &["ls"]] {
            let ran = home.run(words).never_panicked();
            match (ran.exit, words[0]) {
                (Some(0), "cap") => assert_eq!(ran.text().trim(), cap, "byte {place}"),
                (Some(0), "get") => assert_eq!(ran.digest(), content.digest(), "byte {place}"),
                (Some(0), _) => {}
                (Some(exit @ (1 | 2 | 4)), _) => {
                    assert!(ran.stderr.contains("tarn: "), "byte {place}: {ran:?}");
                    assert!(exit != 4 || words[0] == "get", "byte {place}: {ran:?}");
                    refused += 1;
                }
                (unexpected, _) => panic!("byte {place}: {unexpected:?}: {ran:?}"),
            }
        }
        drop(std::fs::remove_file(names.with_extension("sqlite-wal")));
        drop(std::fs::remove_file(names.with_extension("sqlite-shm")));
    }
    println!("{refused} of {} commands refused", 3 * rounds(100));
    assert!(refused > 0, "no flip was noticed");

    for damaged in
        [&whole[..whole.len() / 2], b"not a database at all, but longer than a header is..."]
    {
        std::fs::write(&names, damaged).unwrap();
        let said = home.run(&["cap", "file"]).fails(1);
        assert!(said.contains("damaged") && said.contains("names.sqlite"), "{said}");
    }
    assert_eq!(cluster.home().get(&cap), content.digest());
    cluster.never_panicked();
}

fn publish_small(home: &Home, name: &str, content: &Content) {
    home.publish_with(name, content, &["--k", "2", "--n", "3"]).published();
}

fn cap(home: &Home, name: &str, right: &str) -> String {
    home.run(&["cap", name, right]).ok().text().trim().to_owned()
}

/// The suite and keys of a cap.
fn payload(cap: &str) -> Vec<u8> {
    CheckedHrpstring::new::<Bech32m>(cap).unwrap().byte_iter().collect()
}

/// A cap of this suite and these keys.
fn encoded(prefix: &str, payload: &[u8]) -> String {
    bech32::encode::<Bech32m>(Hrp::parse(prefix).unwrap(), payload).unwrap()
}
