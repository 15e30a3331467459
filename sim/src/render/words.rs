//! What is said of requests, answers, tasks and faults: one short phrase each. Knows nothing of where it is shown.

use std::collections::BTreeSet;
use std::fmt::Write;

use tarn_proto::{Refusal, ShareNumber, SlotState};
use tarn_server::manifest::Manifest;

use crate::event::{Fate, Follow, Lie, Manner, PublishTask, Task};
use crate::ids::ServerId;
use crate::world::{Local, Reply, Request, RequestKind, Told};

use super::names::Names;

/// In one word.
pub(super) const fn kind(kind: RequestKind) -> &'static str {
    match kind {
        RequestKind::Query => "query",
        RequestKind::Seal => "seal",
        RequestKind::Extend => "extend",
        RequestKind::Commit => "commit",
        RequestKind::Bring => "bring",
        RequestKind::Finalize => "finalize",
        RequestKind::End => "end",
        RequestKind::ReadRows => "rows",
        RequestKind::ReadBlocks => "blocks",
    }
}

/// With what it is about.
pub(super) fn request(request: &Request, names: &Names) -> String {
    match request {
        Request::Query { .. } => "query".to_owned(),
        Request::Seal { shares, made, base, finalize, .. } => {
            let mut text = format!("seal {}{}", names.of(made.version()), set(shares));
            if let Some(base) = base {
                let _ = write!(text, " on {}", names.of(*base));
            }
            if let Some(certificate) = finalize {
                let _ = write!(text, " +finalize {}", names.of(certificate.version()));
            }
            text
        }
        Request::Extend { .. } => "extend".to_owned(),
        Request::Commit { header, .. } => format!("commit {}", names.of(header.version())),
        Request::Bring { made, shares, .. } => {
            format!("bring {}{}", names.of(made.version()), set(shares))
        }
        Request::Finalize { certificate } => {
            format!("finalize {}", names.of(certificate.version()))
        }
        Request::End { .. } => "end".to_owned(),
        Request::ReadRows { version, .. } => format!("rows of {}", names.of(*version)),
        Request::ReadBlocks { version, share, segments, .. } => format!(
            "blocks {}..{} of {}{{{}}}",
            segments.start,
            segments.end,
            names.of(*version),
            share.get()
        ),
    }
}

/// In one word.
pub(super) const fn reply_kind(reply: &Reply) -> &'static str {
    match reply {
        Reply::State(_) => "state",
        Reply::Sealed { .. } => "sealed",
        Reply::Extended { .. } => "extended",
        Reply::Written => "written",
        Reply::Refused { .. } => "refused",
        Reply::Rows => "rows",
        Reply::Blocks(_) => "blocks",
        Reply::NoShare => "no share",
        Reply::Dead(_) => "no answer",
        Reply::Forged(_) => "forged",
    }
}

/// With what it tells.
pub(super) fn reply(reply: &Reply, names: &Names) -> String {
    match reply {
        Reply::State(told) => state(told, names),
        Reply::Sealed { state: told, promise } => {
            format!("sealed for {}, {}", lasting(*promise), state(told, names))
        }
        Reply::Extended { promise } => format!("extended for {}", lasting(*promise)),
        Reply::Written => "written".to_owned(),
        Reply::Refused { refusal: why, .. } => format!("refused: {}", refusal(*why)),
        Reply::Rows => "rows".to_owned(),
        Reply::Blocks(blocks) if blocks.len() == 1 => "a block".to_owned(),
        Reply::Blocks(blocks) => format!("{} blocks", blocks.len()),
        Reply::NoShare => "no share".to_owned(),
        Reply::Dead(why) => format!("no answer: {why}"),
        Reply::Forged(why) => format!("forged: {why}"),
    }
}

/// With what matters of it.
pub(super) fn reply_brief(reply: &Reply, names: &Names) -> String {
    match reply {
        Reply::State(told) => state(told, names),
        Reply::Refused { refusal: why, .. } => refusal(*why),
        Reply::Sealed { .. }
        | Reply::Extended { .. }
        | Reply::Written
        | Reply::Rows
        | Reply::Blocks(_)
        | Reply::NoShare
        | Reply::Dead(_)
        | Reply::Forged(_) => reply_kind(reply).to_owned(),
    }
}

/// Why, shorter than in its own words.
pub(super) fn refusal(refusal: Refusal) -> String {
    let word = match refusal {
        Refusal::Conflict => "conflict",
        Refusal::Stale => "stale",
        Refusal::Busy { wait_ms } => return format!("busy for {}", lasting(wait_ms)),
        Refusal::PromiseLost => "promise lost",
        Refusal::Superseded => "superseded",
        Refusal::BaseMissing => "base missing",
        Refusal::TooManyGenerations => "too many generations",
        Refusal::BadSignature => "bad signature",
        Refusal::BadShare => "bad share",
        Refusal::NoSpace => "no space",
        Refusal::OverQuota => "over quota",
        Refusal::ReadOnly => "read-only",
        Refusal::Unauthenticated => "unauthenticated",
        Refusal::TooLarge => "too large",
        Refusal::Unsupported => "unsupported",
        Refusal::StoreFailed => "store failed",
        Refusal::NotHeld => "not held",
    };
    word.to_owned()
}

/// A length of time, as short as it can be said.
fn lasting(milliseconds: u64) -> String {
    if milliseconds > 0 && milliseconds.is_multiple_of(1000) {
        format!("{} s", milliseconds / 1000)
    } else {
        format!("{milliseconds} ms")
    }
}

fn state(state: &SlotState, names: &Names) -> String {
    let held: Vec<String> = state
        .generations
        .iter()
        .map(|held| format!("{}{}", names.of(held.header.version()), set(held.shares.keys())))
        .collect();
    if held.is_empty() { "holds nothing".to_owned() } else { format!("holds {}", held.join(" ")) }
}

/// The current version on a disk and its shares, a damaged share with a cross.
pub(super) fn current(disk: &Manifest, names: &Names) -> Option<String> {
    let current = disk.generations.first()?;
    let shares: Vec<String> = current
        .shares
        .keys()
        .map(|share| format!("{}{}", share.get(), if current.is_whole(*share) { "" } else { "x" }))
        .collect();
    Some(format!("{}{{{}}}", names.of(current.header.version()), shares.join(",")))
}

pub(super) fn local(local: &Local) -> String {
    match local {
        Local::Started => "started".to_owned(),
        Local::Encoded { .. } => "encoded".to_owned(),
        Local::Journaled => "journaled".to_owned(),
        Local::TimedOut(timer) => format!("timer {}", timer.0),
        Local::Consumed { segment } => format!("took {segment}"),
    }
}

/// What a caller asked for.
pub(super) fn task(task: &Task, names: &mut Names) -> String {
    match task {
        Task::Publish(task) => publish(task, names),
        Task::Read(task) => {
            let strict = if task.strict { "strict read" } else { "read" };
            format!("{strict} by caller {}{}", task.caller, cap_holder(task.cap_holder))
        }
    }
}

fn publish(task: &PublishTask, names: &mut Names) -> String {
    let letter = names.letter(task.submission).to_owned();
    let mut text = if task.tombstone {
        format!("publish {letter}: delete the file")
    } else {
        format!("publish {letter}: {} bytes", task.length)
    };
    if task.is_read_once() {
        text.push_str(", read once,");
    }
    let _ = write!(text, " by caller {}", task.caller);
    if let Some((k, happy, n)) = task.shape {
        let _ = write!(text, ", k={k} happy={happy} n={n}");
    }
    match task.follows {
        Follow::Whatever => {}
        Follow::Nothing => text.push_str(", must be the first"),
        Follow::ResultOf(client) => {
            let _ = write!(text, ", must follow {client}'s");
        }
    }
    text + cap_holder(task.cap_holder)
}

const fn cap_holder(yes: bool) -> &'static str {
    if yes { " with only a cap" } else { "" }
}

/// What a caller was told.
pub(super) fn told(told: &Told, names: &Names) -> String {
    match told.version() {
        Some(version) => format!("{} {}", told.name(), names.of(version)),
        None => told.name().to_owned(),
    }
}

pub(super) const fn fate(fate: Fate) -> &'static str {
    match fate {
        Fate::Lost => "the unsynced change is lost",
        Fate::Kept => "the unsynced change is kept",
        Fate::Torn => "the unsynced change is torn",
    }
}

/// In one word.
pub(super) const fn manner_kind(manner: Manner) -> &'static str {
    match manner {
        Manner::Honest => "honest",
        Manner::Full => "full",
        Manner::ReadOnly => "read-only",
        Manner::Lying(_) => "lies",
    }
}

pub(super) const fn manner(manner: Manner) -> &'static str {
    match manner {
        Manner::Honest => "honest",
        Manner::Full => "full",
        Manner::ReadOnly => "read-only",
        Manner::Lying(Lie::ClaimsWritten) => "lying: claims Written, writes nothing",
        Manner::Lying(Lie::ServesOld) => "lying: serves what was",
        Manner::Lying(Lie::ServesJunk) => "lying: serves junk",
        Manner::Lying(Lie::ForgesFloor) => "lying: forges a floor",
        Manner::Lying(Lie::ForgesCertificate) => "lying: forges a certificate",
        Manner::Lying(Lie::InventsHistory) => "lying: invents history",
        Manner::Lying(Lie::AnswersOutOfTurn) => "lying: answers what it was not asked",
    }
}

/// Servers one after another.
pub(super) fn servers(servers: &BTreeSet<ServerId>) -> String {
    let names: Vec<String> = servers.iter().map(ToString::to_string).collect();
    names.join(" ")
}

/// Milliseconds as seconds.
pub(super) fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

fn set<'a>(shares: impl IntoIterator<Item = &'a ShareNumber>) -> String {
    let shares: Vec<String> = shares.into_iter().map(|share| share.get().to_string()).collect();
    format!("{{{}}}", shares.join(","))
}
