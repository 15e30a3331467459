//! The command line as a user meets it: what is refused, with which words and which exit code.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must end")]

mod trial;

use trial::{Trial, run};

#[test]
fn the_version_is_the_packages() {
    let printed = Trial::new().tarn(&["--version"]).ok();
    assert_eq!(printed, concat!("tarn ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn every_command_explains_itself_with_examples() {
    let trial = Trial::new();
    for command in ["ls", "cap", "forget", "cluster", "server"] {
        let help = trial.tarn(&[command, "--help"]).ok();
        assert!(help.contains("Usage:") && help.contains("Examples:"), "{help}");
    }
    assert!(trial.tarn(&["--help"]).ok().contains("Exit codes:"));
}

#[test]
fn what_cannot_be_meant_is_a_usage_error() {
    let trial = Trial::new();
    for words in [
        &[][..],
        &["frobnicate"],
        &["ls", "--frobnicate"],
        &["cap"],
        &["cap", "x", "--read", "--write"],
        &["cluster"],
        &["cluster", "start", "--servers", "0"],
        &["cluster", "start", "--servers", "512"],
        &["cluster", "stop"],
        &["cluster", "status"],
        &["server", "run", "/nowhere", "--listen", "127.0.0.1:0"],
        &["server", "run", "/nowhere"],
    ] {
        let ran = trial.tarn(words);
        assert!(!ran.stderr.is_empty(), "{words:?}");
        ran.fails(2);
    }
}

#[test]
fn a_home_without_names_lists_none_and_says_how_to_make_one() {
    let trial = Trial::new();
    let ran = trial.tarn(&["ls"]);
    assert!(ran.stderr.contains("tarn publish"));
    assert_eq!(ran.ok(), "");
    assert_eq!(trial.tarn(&["ls", "--json"]).ok(), "{\"files\":[]}\n");
}

#[test]
fn an_unknown_name_is_refused_with_the_way_to_the_known_ones() {
    let trial = Trial::new();
    for command in ["cap", "forget"] {
        let said = trial.tarn(&[command, "report.pdf"]).fails(2);
        assert_eq!(
            said,
            "tarn: no file is called \"report.pdf\"\n  hint: `tarn ls` lists the names\n"
        );
    }
}

#[test]
fn a_mistyped_cap_is_not_repeated_on_the_terminal() {
    let said = Trial::new().tarn(&["cap", "tarnw1secretsecret"]).fails(2);
    assert!(!said.contains("secret"), "{said}");
}

#[test]
fn damaged_names_are_one_clear_sentence() {
    let trial = Trial::new();
    for damage in ["not a database, not at all".repeat(200), "SQLite format 3\0".repeat(300)] {
        trial.write("data/names.sqlite", &damage);
        let said = trial.tarn(&["ls"]).fails(1);
        assert!(said.contains("names.sqlite are damaged: "), "{said}");
        assert!(said.contains("hint: "), "{said}");
    }
}

#[test]
fn a_home_that_cannot_be_written_is_named() {
    let trial = Trial::new();
    trial.write("data", "a file where a folder should be");
    let said = trial.tarn(&["ls"]).fails(1);
    assert!(said.contains("data/names.sqlite cannot be opened: "), "{said}");
}

#[test]
fn a_home_set_to_nothing_is_not_taken_for_the_users_own() {
    let mut command = Trial::new().command(&["ls"]);
    command.env("TARN_HOME", "");
    assert!(run(command).fails(2).contains("TARN_HOME is set to nothing"));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let trial = Trial::new();
    let mut command = trial.command(&["ls", "--json"]);
    let (reader, writer) = std::io::pipe().unwrap();
    command.stdout(writer);
    drop(reader);
    assert_eq!(run(command).exit, 0);
}
