//! A publish is killed when it has ended, and before anybody could be told how: it is on record until then, so that
//! whoever repeats it is told, and it took effect once.
#![allow(clippy::unwrap_used, reason = "a story that cannot go on must end")]

use std::io::Write;

use serde_json::Value;
use tarn_tests::{Cluster, Content, Home, Running};

/// What a pipe takes in.
const PIPE: usize = 64 << 10;
/// More often than is needed to see the record go, if it does.
const LOOKS: u32 = 40;

#[test]
fn a_publish_is_on_record_until_it_has_been_told() {
    let cluster = Cluster::start(10);
    let home = cluster.home();
    let before = home.publish("file", &Content::new(0, 10_000));
    let content = Content::new(1, 10_000);

    // It cannot say anything before what was said earlier has been read.
    let (_reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&[b'\n'; PIPE]).unwrap();
    let file = home.write("sources/file", content.bytes());
    let words = ["publish", &file.to_string_lossy(), "--name", "file", "--json"];
    let publishing = Running::telling(home.command(&words), writer);
    while home.get("file") != content.digest() {}
    for look in 0..LOOKS {
        assert_eq!(unfinished(&home).len(), 1, "look {look}: its outcome is known to nobody");
    }
    publishing.killed().never_panicked();

    let told = home.publish("file", &content);
    assert_eq!(told.json["resumed"], true, "{told:#?}");
    assert_eq!(told.base, before.version, "it took effect twice: {told:#?}");
    assert_eq!(home.get_version("file"), (content.digest(), told.id().to_owned()));
    assert!(unfinished(&home).is_empty());
    cluster.never_panicked();
}

/// The publishes of this home that are not finished.
fn unfinished(home: &Home) -> Vec<Value> {
    let ran = home.run(&["status", "--json"]).ok();
    let status: Value = serde_json::from_slice(&ran.stdout).unwrap();
    status["unfinished_publishes"].as_array().unwrap().clone()
}
