//! Histories by hand: one that is good, and one for each rule that breaks it. A line "7 owner publishes X" begins
//! operation 7, and "7 published v2 on v1" ends it; "-" is the base of a first version.

use super::{Begins, Counts, Doing, Ended, History, Line, LogError, Op, Report, Said, Violation};

fn check(lines: &str) -> Report {
    parse(lines).unwrap().check()
}

fn parse(lines: &str) -> Result<History, LogError> {
    let lines = lines.lines().map(|line| serde_json::to_string(&read(line)).unwrap() + "\n");
    History::parse(&lines.collect::<String>())
}

fn read(line: &str) -> Line {
    let owned = |word: &str| word.to_owned();
    let base = |word: &str| Some(word.to_owned()).filter(|word| word != "-");
    let words: Vec<&str> = line.split_whitespace().collect();
    let op = Op(words[0].parse().unwrap());
    let doing = match words[1..] {
        [_, "publishes", content] => {
            Some(Doing::Publish { content: content.to_owned(), follows: None })
        }
        [_, "reads"] => Some(Doing::Read),
        _ => None,
    };
    if let Some(doing) = doing {
        return Line::Begins(Begins { op, client: owned(words[1]), file: owned("file"), doing });
    }
    let told = match words[1..] {
        ["published", version, "on", below] => {
            Said::Published { version: owned(version), seqnum: Some(1), base: base(below) }
        }
        ["published", version] => {
            Said::Published { version: owned(version), seqnum: None, base: None }
        }
        ["refused", outcome] => Said::Refused { outcome: owned(outcome), version: None },
        ["unknown", version, "on", below] => Said::Unsettled {
            outcome: owned("unknown"),
            version: Some(owned(version)),
            base: base(below),
        },
        ["killed"] => Said::Killed,
        ["read", version, content] => {
            Said::Read { content: owned(content), version: owned(version), confirmed: true }
        }
        ["doubts", version, content] => {
            Said::Read { content: owned(content), version: owned(version), confirmed: false }
        }
        ["unread"] => Said::Unread { why: owned("too few servers") },
        _ => panic!("no line: {line}"),
    };
    Line::Ended(Ended { op, told })
}

/// A first version of content A, published as v1.
const FIRST: &str = "0 owner publishes A\n0 published v1 on -\n";

fn violations(lines: &str) -> Vec<Violation> {
    check(&format!("{FIRST}{lines}")).violations
}

#[test]
fn a_good_history_breaks_nothing_and_is_counted() {
    let report = check(
        "0 owner publishes A
         1 reader reads
         1 unread
         0 published v1 on -
         2 owner publishes B
         3 stranger publishes C
         4 reader reads
         3 refused uncoordinated_write
         4 read v2 B
         2 killed
         5 reader reads
         5 read v2 B
         6 stranger publishes D
         6 unknown v3 on v2
         7 reader reads
         7 doubts v2 B
         2000 owner publishes B
         8 reader reads
         2000 published v2 on v1
         9 stranger publishes D
         9 published v3 on v2
         8 read v2 B
         10 reader reads
         10 read v3 D",
    );
    assert_eq!(report.violations, []);
    let counts = Counts {
        acknowledged: 3,
        refused: 1,
        unknown: 2,
        lost: 0,
        false_conflicts: 0,
        reads: 4,
        unconfirmed: 2,
    };
    assert_eq!(report.counts, counts);
}

#[test]
fn what_was_published_is_lost_if_an_older_version_is_read_afterwards() {
    let lines = "1 owner publishes B\n1 published v2 on v1\n2 reader reads\n2 read v1 A\n";
    let report = check(&format!("{FIRST}{lines}"));
    let lost = |seen: &str| Violation::Lost { version: "v2".into(), seen: seen.into() };
    assert_eq!((report.violations, report.counts.lost), (vec![lost("v1")], 1));
    // A read that had begun before may still see it.
    let lines = "1 owner publishes B\n2 reader reads\n1 published v2 on v1\n2 read v1 A\n";
    assert_eq!(violations(lines), []);
    // Two readers, one lost version.
    let lines = "1 owner publishes B\n1 published v2 on v1\n2 reader reads\n2 read v1 A
        3 reader reads\n3 read v1 A\n";
    assert_eq!(check(&format!("{FIRST}{lines}")).counts.lost, 1);
}

#[test]
fn what_was_published_is_lost_if_a_later_version_is_built_on_an_older_one() {
    let lines = "1 owner publishes B\n1 published v2 on v1\n2 stranger publishes C
        2 published v3 on v1\n";
    let found = violations(lines);
    let lost = Violation::Lost { version: "v2".into(), seen: "v3".into() };
    let fork =
        Violation::Fork { base: Some("v1".into()), versions: vec!["v2".into(), "v3".into()] };
    assert!(found.contains(&lost) && found.contains(&fork), "{found:?}");
}

#[test]
fn two_racers_published_on_one_base_are_a_fork() {
    let lines = "1 owner publishes B\n2 stranger publishes C\n1 published v2 on v1
        2 published v3 on v1\n";
    let fork =
        Violation::Fork { base: Some("v1".into()), versions: vec!["v2".into(), "v3".into()] };
    assert_eq!(violations(lines), [fork]);
    let lines = "1 owner publishes B\n2 stranger publishes C\n1 published v2 on -
        2 published v3 on v1\n";
    let fork = Violation::Fork { base: None, versions: vec!["v1".into(), "v2".into()] };
    assert!(violations(lines).contains(&fork));
}

#[test]
fn a_confirmed_read_that_a_later_one_goes_behind_is_reverted() {
    let lines = "1 owner publishes B\n2 reader reads\n2 read v2 B\n3 reader reads\n3 read v1 A
        1 published v2 on v1\n";
    let reverted = Violation::Reverted { version: "v2".into(), seen: "v1".into() };
    assert_eq!(violations(lines), [reverted]);
    let lines = lines.replace("2 read v2 B", "2 doubts v2 B");
    assert_eq!(violations(&lines), []);
}

#[test]
fn a_refused_publish_that_is_read_had_taken_effect() {
    let took = Violation::TookEffect { version: "v2".into(), content: "B".into() };
    for sight in ["doubts", "read"] {
        let lines = format!(
            "1 owner publishes B\n1 refused not_enough_servers\n2 reader reads\n2 {sight} v2 B\n"
        );
        assert!(violations(&lines).contains(&took), "{sight}");
    }
    // The same content once more, and published now.
    let lines = "1 owner publishes B\n1 refused not_enough_servers\n2 owner publishes B
        2 published v2 on v1\n3 reader reads\n3 read v2 B\n";
    assert_eq!(violations(lines), []);
}

#[test]
fn a_refused_publish_that_is_built_on_had_taken_effect() {
    let lines =
        "1 owner publishes B\n1 refused contended\n2 owner publishes C\n2 published v3 on v2\n";
    let from_nowhere = Violation::FromNowhere { version: "v2".into() };
    assert!(violations(lines).contains(&from_nowhere));
    // One that was killed may be there; but only one of two.
    let unlinked = Violation::Unlinked { version: "v2".into() };
    let lines = "1 owner publishes B\n1 killed\n2 owner publishes C\n2 published v3 on v2\n";
    assert_eq!(violations(lines), std::slice::from_ref(&unlinked));
    let lines = "1 owner publishes B\n1 killed\n2 owner publishes C\n2 published v3 on v2
        3 owner publishes D\n3 published v5 on v4\n";
    let found = violations(lines);
    assert!(found.contains(&unlinked), "{found:?}");
    assert!(found.contains(&Violation::FromNowhere { version: "v4".into() }), "{found:?}");
}

#[test]
fn a_killed_publish_takes_effect_once_or_never() {
    let killed = "1 owner publishes B\n1 killed\n";
    let never = "2 owner publishes C\n2 published v2 on v1\n";
    assert_eq!(violations(&format!("{killed}{never}")), []);
    let once = "2 reader reads\n2 read v2 B\n3 owner publishes B\n3 published v2 on v1\n";
    assert_eq!(violations(&format!("{killed}{once}")), []);
    let twice = "2 owner publishes B\n2 published v3 on v2\n3 reader reads\n3 read v3 B\n";
    let lines = format!("{killed}{twice}4 owner publishes B\n4 published v2 on v1\n");
    let twice = Violation::Twice { content: "B".into(), versions: vec!["v3".into(), "v2".into()] };
    assert_eq!(violations(&lines), [twice]);
}

#[test]
fn content_that_nobody_published_or_not_yet_is_from_nowhere() {
    let from_nowhere = |id: &str| Violation::FromNowhere { version: id.into() };
    let lines = "1 reader reads\n1 doubts v9 torn\n";
    assert_eq!(violations(lines), [from_nowhere("v9")]);
    let lines = "1 reader reads\n1 read v2 B\n2 owner publishes B\n2 published v2 on v1\n";
    assert!(violations(lines).contains(&from_nowhere("v2")));
}

#[test]
fn a_version_has_one_content_and_one_base() {
    let mixed = Violation::Mixed { version: "v1".into() };
    assert!(violations("1 reader reads\n1 read v1 torn\n").contains(&mixed));
    let lines =
        "1 owner publishes B\n1 published v2 on v1\n2 owner publishes A\n2 published v1 on v2\n";
    assert!(violations(lines).contains(&mixed));
}

#[test]
fn a_conflict_needs_another_writer_at_that_time() {
    let is_false = Violation::FalseConflict { op: Op(2) };
    for outcome in ["uncoordinated_write", "contended"] {
        let alone = format!("2 owner publishes C\n2 refused {outcome}\n");
        assert_eq!(violations(&alone), std::slice::from_ref(&is_false), "{outcome}");
        let other = format!("1 stranger publishes B\n{alone}1 published v2 on v1\n");
        assert_eq!(violations(&other), [], "{outcome}");
        let before = format!("1 stranger publishes B\n1 published v2 on v1\n{alone}");
        assert_eq!(violations(&before), std::slice::from_ref(&is_false), "{outcome}");
        // It may still be on its way, until somebody else has ruled it out.
        let killed = format!("1 stranger publishes B\n1 killed\n{alone}");
        assert_eq!(violations(&killed), [], "{outcome}");
        let ruled_out =
            "1 stranger publishes B\n1 killed\n3 owner publishes D\n3 published v2 on v1\n";
        assert_eq!(
            violations(&format!("{ruled_out}{alone}")),
            std::slice::from_ref(&is_false),
            "{outcome}"
        );
    }
    assert_eq!(violations("2 owner publishes C\n2 refused stale\n"), []);
}

#[test]
fn a_version_known_by_its_id_only_hides_what_it_was_built_on() {
    let unlinked = Violation::Unlinked { version: "v2".into() };
    assert_eq!(violations("1 owner publishes B\n1 published v2\n"), [unlinked]);
}

#[test]
fn files_have_nothing_to_do_with_each_other() {
    let log = |file: &str, op: u64, version: &str| {
        let content = format!("{file} {version}");
        let doing = Doing::Publish { content, follows: None };
        let (client, file) = ("owner".to_owned(), file.to_owned());
        let begins = Line::Begins(Begins { op: Op(op), client, file, doing });
        let told = Said::Published { version: version.into(), seqnum: Some(1), base: None };
        [begins, Line::Ended(Ended { op: Op(op), told })]
    };
    let lines = [log("one", 0, "v1"), log("other", 1, "w1")].concat();
    let lines = lines.iter().map(|line| serde_json::to_string(line).unwrap() + "\n");
    let report = History::parse(&lines.collect::<String>()).unwrap().check();
    assert_eq!((report.counts.acknowledged, report.violations), (2, vec![]));
}

#[test]
fn an_operation_begins_once_and_ends_once() {
    assert!(matches!(parse("0 owner reads\n0 owner reads"), Err(LogError::Begins { .. })));
    assert!(matches!(parse("0 killed"), Err(LogError::Ends { .. })));
    assert!(matches!(parse("0 owner reads\n0 unread\n0 unread"), Err(LogError::Ends { .. })));
    assert!(matches!(History::parse("{}"), Err(LogError::Line { number: 0, .. })));
}

#[test]
fn a_log_that_was_written_is_read_back_as_far_as_it_came() {
    let log = super::Log::create(None, "written");
    let publish = Doing::Publish { content: "A".into(), follows: None };
    let first = log.begins("owner", "file", publish);
    log.note("server 3 was killed");
    let second = log.begins("reader", "file", Doing::Read);
    log.ended(second, Said::Unread { why: "it was not there".into() });
    let history = log.history();
    assert_eq!((first, history.acts.len()), (Op(0), 2));
    let counts = history.check().counts;
    assert_eq!((counts.unknown, counts.unconfirmed), (1, 1));
    let path = log.path().to_owned();
    drop(log);
    assert!(!path.exists());
}
