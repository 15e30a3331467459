//! What is published comes back byte for byte: every size that is a boundary, every shape that is one, through files
//! and pipes, by name and by read cap, on twenty server processes. `TARN_ALL_SIZES=1` adds the largest size in the
//! shapes where it adds little but time.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on must end")]

use tarn_tests::content::Fingerprint;
use tarn_tests::{Cluster, Content, Home, Running, Told};

const LENGTHS: [usize; 5] = [0, 1, 1 << 10, 1 << 20, LARGEST];
const LARGEST: usize = 100 << 20;
/// The shapes that the largest size is always published in.
const LARGEST_IN: [&str; 2] = ["3-of-10", "16-of-20"];

/// Shapes, each with what asks for it.
const SHAPES: [(&str, &[&str]); 5] = [
    ("3-of-10", &[]),
    ("1-of-1", &["--k", "1", "--n", "1"]),
    ("5-of-5", &["--k", "5", "--n", "5"]),
    ("16-of-20", &["--k", "16", "--n", "20"]),
    ("254-of-255", &["--k", "254", "--n", "255", "--happy", "11"]),
];

#[test]
fn every_size_in_every_shape_comes_back_from_twenty_servers() {
    let cluster = Cluster::start(20);
    let (owner, friend) = (cluster.home(), cluster.home());
    let all_sizes = std::env::var_os("TARN_ALL_SIZES").is_some();
    for (index, length) in LENGTHS.into_iter().enumerate() {
        let content = Content::new(index as u64, length);
        for (shape, words) in SHAPES {
            if length == LARGEST && !all_sizes && !LARGEST_IN.contains(&shape) {
                continue;
            }
            round_trip(&owner, &friend, &content, &format!("{shape} {length}"), words);
        }
    }
    cluster.never_panicked();
}

fn round_trip(owner: &Home, friend: &Home, content: &Content, name: &str, shape: &[&str]) {
    let by_file = owner.publish_with(name, content, shape).published();
    assert_eq!(owner.get(name), content.digest(), "{name} through standard output");
    assert_eq!(to_file(friend, by_file.read_cap()), content.digest(), "{name} by its read cap");

    let piped = format!("{name} piped");
    let words = [&["publish", "-", "--name", &piped, "--json"], shape].concat();
    let by_pipe = Running::fed(owner.command(&words), content.bytes()).ended();
    let by_pipe = Told::of(&by_pipe).published();
    assert_eq!(friend.get(by_pipe.read_cap()), content.digest(), "{piped} by its read cap");
    assert_eq!(to_file(owner, &piped), content.digest(), "{piped} into a file");
}

/// Reads a file with `get -o`; its digest.
fn to_file(home: &Home, file: &str) -> Fingerprint {
    let output = home.path("read back");
    home.run(&["get", file, "-o", &output.to_string_lossy()]).ok();
    let bytes = std::fs::read(&output).unwrap();
    std::fs::remove_file(output).unwrap();
    Fingerprint::of(&bytes)
}
