//! Bugs of writers and readers.

mod answers;
mod asking;
mod base;
mod decide;
mod identity;
mod lens;
mod reentry;

use super::server::crowd;
use super::{Bug, Found};
use crate::options::{Habit, Options};

const fn anything(_: &mut Options) {}

/// Writers die in the midst of commits that one server's share makes readable, others build on what is left, and the
/// submissions of the dead are made again.
fn repeats(options: &mut Options) {
    options.setup.window = 5;
    crowd(options);
    options.callers = vec![Habit::Overwrites; 4];
    options.shapes = vec![(1, 3, 5)];
    options.double_submits = 300;
    options.network.lost = 150;
    options.faults.kills = Some(400);
}

/// Every one.
pub(super) static BUGS: &[Bug] = &[
    Bug {
        name: "inline-reentry",
        hazard: Some("H1"),
        sentence: "a send that fails at once re-enters the loop in the midst of its own pass, which sends the rest twice",
        plant: || Box::new(reentry::InlineReentry::default()),
        tune: anything,
        found: Found::BySeed(22),
    },
    Bug {
        name: "no-ticket",
        hazard: Some("H4"),
        sentence: "a publish follows whatever is there, whatever version its caller named",
        plant: || Box::new(asking::NoTicket),
        tune: anything,
        found: Found::BySeed(14),
    },
    Bug {
        name: "input-read-again",
        hazard: None,
        sentence: "what can be read only once is read again when shares lose their server, or a round is begun anew",
        plant: || Box::new(asking::ReadAgain),
        tune: |options| options.once = 1_000,
        found: Found::BySeed(1),
    },
    Bug {
        name: "own-version-unknown",
        hazard: None,
        sentence: "after a lost answer a writer takes its own version for somebody else's",
        plant: || Box::new(lens::Lens::new(identity::OwnIsForeign)),
        tune: anything,
        found: Found::BySeed(5),
    },
    Bug {
        name: "answer-within-pass",
        hazard: None,
        sentence: "an answer is handled before the pass that asked for it has sent the rest",
        plant: || Box::new(answers::AnswerWithinPass::default()),
        tune: anything,
        found: Found::BySeed(609),
    },
    Bug {
        name: "placed-on-sealed",
        hazard: None,
        sentence: "a share counts as placed when it is sealed, not when it is written",
        plant: || Box::new(answers::PlacedOnSealed),
        tune: anything,
        found: Found::BySeed(0),
    },
    Bug {
        name: "older-is-conflict",
        hazard: None,
        sentence: "a server that turns out to hold something older than the base is reported as a conflict",
        plant: || Box::new(answers::OlderIsConflict::default()),
        tune: anything,
        found: Found::BySeed(80),
    },
    Bug {
        name: "late-answers-dropped",
        hazard: None,
        sentence: "an answer that comes after the machine's patience is thrown away",
        plant: || Box::new(answers::LateAnswersDropped::default()),
        tune: anything,
        found: Found::BySeed(3),
    },
    Bug {
        name: "map-alone",
        hazard: None,
        sentence: "the base is chosen from the map, and not again from what the servers say that promised",
        plant: || Box::new(base::MapAlone::default()),
        tune: anything,
        found: Found::BySeed(961),
    },
    Bug {
        name: "newest-wins",
        hazard: None,
        sentence: "the base is the version with the highest sequence number, possibly Published or not",
        plant: || Box::new(base::NewestWins),
        tune: anything,
        found: Found::BySeed(0),
    },
    Bug {
        name: "certificates-ignored",
        hazard: None,
        sentence: "a certificate that a version was Published counts for nothing",
        plant: || Box::new(base::CertificatesIgnored),
        tune: anything,
        found: Found::BySeed(1329),
    },
    Bug {
        name: "no-write-back",
        hazard: None,
        sentence: "a reader returns a version in doubt as confirmed, and brings it nowhere",
        plant: || Box::new(asking::NoWriteBack),
        tune: anything,
        found: Found::BySeed(2146),
    },
    Bug {
        name: "links-left-out",
        hazard: None,
        sentence: "what a version was built on since the last certain one is not handed along with it",
        plant: || Box::new(identity::LinksLeftOut),
        tune: repeats,
        found: Found::BySeed(1977),
    },
    Bug {
        name: "links-not-asked",
        hazard: None,
        sentence: "links that are missing down to a version of the same submission are not asked for",
        plant: || Box::new(identity::LinksNotAsked),
        tune: anything,
        found: Found::ByExplorer("unlinked"),
    },
    Bug {
        name: "prepared-again",
        hazard: None,
        sentence: "a server that fell out before the decision is prepared again after it, and committed",
        plant: || Box::new(decide::PreparedAgain::default()),
        // A second pass over what can be read only once shows by itself.
        tune: |options| options.once = 0,
        found: Found::BySeed(55),
    },
    Bug {
        name: "header-again",
        hazard: None,
        sentence: "a round that fell short is repeated with the same signed header, not with a new version",
        plant: || Box::new(lens::Lens::new(identity::HeaderAgain::default())),
        tune: anything,
        found: Found::ByExplorer("fell-short"),
    },
    Bug {
        name: "late-sealed-committed",
        hazard: None,
        sentence: "a lane that is let go at the decision seals after it, and is committed",
        plant: || Box::new(decide::LateSealedCommitted::default()),
        tune: crowd,
        found: Found::BySeed(203),
    },
    Bug {
        name: "settled-by-version",
        hazard: None,
        sentence: "a lost answer is settled by whether the version is there, whoever brought it",
        plant: || Box::new(identity::SettledByVersion::default()),
        tune: crowd,
        found: Found::BySeed(2974),
    },
    Bug {
        name: "finish-unchecked",
        hazard: None,
        sentence: "Published is told of any quorum that accepts, whatever those servers held when they sealed",
        plant: || Box::new(base::FinishUnchecked::default()),
        tune: crowd,
        found: Found::Never(
            "what the decision passed over is no quorum with every server that had not sealed, and none that had takes \
             more of it: its number is below the one sealed, and its writer's commits are refused there. In the scope \
             `siblings-restart` more is told Published without the check, and it is exhausted and breaks nothing. The \
             check stays: it costs no message, and it alone would notice if one of those rules were lost",
        ),
    },
    Bug {
        name: "no-ancestors",
        hazard: None,
        sentence: "what a version was built on speaks against it like any other that may have been Published",
        plant: || Box::new(lens::Lens::new(base::NoAncestors)),
        tune: anything,
        found: Found::BySeed(16),
    },
    Bug {
        name: "floor-believed",
        hazard: None,
        sentence: "a floor is believed whoever signed it",
        plant: || Box::new(base::FloorBelieved),
        tune: anything,
        found: Found::BySeed(73),
    },
    Bug {
        name: "no-empty-base",
        hazard: None,
        sentence: "a file without a version is never begun",
        plant: || Box::new(base::NoEmptyBase),
        tune: anything,
        found: Found::BySeed(0),
    },
    Bug {
        name: "window-of-grid",
        hazard: None,
        sentence: "the window is taken from the grid as it is now, not from the file's headers",
        plant: || Box::new(lens::Lens::new(base::WindowOfGrid::default())),
        tune: anything,
        found: Found::BySeed(51),
    },
    Bug {
        name: "new-attempt",
        hazard: None,
        sentence: "a submission that is tried again gets a new attempt id",
        plant: || Box::new(identity::NewAttempt),
        tune: anything,
        found: Found::BySeed(5),
    },
    Bug {
        name: "timeout-is-failure",
        hazard: None,
        sentence: "a commit whose answer does not come counts as refused",
        plant: || Box::new(answers::TimeoutIsFailure::default()),
        tune: anything,
        found: Found::BySeed(476),
    },
];

#[cfg(test)]
mod tests;
