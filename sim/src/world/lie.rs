//! What a lying server says. Only what its owner signed can it not make up: forgeries are what the client's parser makes of
//! them.

use bytes::Bytes;
use tarn_proto::signing::Signature;
use tarn_proto::{
    Certificate, Generation, HistoryEntry, Origin, ShareHealth, ShareNumber, SignedHeader,
    SlotState, VersionId,
};

use super::Reply;
use crate::event::Lie;
use crate::made::Made;
use crate::setup::file;

/// What a lying server says in place of a reply.
pub(super) fn lie(lie: Lie, then: &SlotState, newest: Option<&Made>, reply: Reply) -> Reply {
    if lie == Lie::AnswersOutOfTurn {
        return out_of_turn(then, reply);
    }
    let lied = |state: SlotState| match lie {
        Lie::ClaimsWritten | Lie::AnswersOutOfTurn => Ok(state),
        Lie::ServesOld => Ok(SlotState { conversation: state.conversation, ..then.clone() }),
        Lie::ServesJunk => Ok(claiming(state, newest)),
        Lie::ForgesFloor => match newest {
            Some(made) => Err(forged_header(made)),
            None => Ok(state),
        },
        Lie::ForgesCertificate => match newest {
            Some(made) => Err(forged_certificate(made)),
            None => Ok(state),
        },
        Lie::InventsHistory => Ok(inventing(state, newest)),
    };
    match reply {
        Reply::State(state) => lied(state).map_or_else(Reply::Forged, Reply::State),
        Reply::Sealed { state, promise } => match lied(state) {
            Ok(state) => Reply::Sealed { state, promise },
            Err(why) => Reply::Forged(why),
        },
        Reply::Refused { refusal, state } => match state.map(lied).transpose() {
            Ok(state) => Reply::Refused { refusal, state },
            Err(why) => Reply::Forged(why),
        },
        Reply::Blocks(blocks) if lie == Lie::ServesJunk => {
            Reply::Blocks(blocks.iter().map(|block| Bytes::from(vec![0xee; block.len()])).collect())
        }
        Reply::NoShare if lie == Lie::ServesJunk => {
            Reply::Blocks(vec![Bytes::from_static(b"junk")])
        }
        Reply::Extended { .. }
        | Reply::Written
        | Reply::Rows
        | Reply::Blocks(_)
        | Reply::NoShare
        | Reply::Dead(_)
        | Reply::Forged(_) => reply,
    }
}

/// What is said in a conversation, as the answer to something else.
fn out_of_turn(then: &SlotState, reply: Reply) -> Reply {
    match reply {
        Reply::Sealed { promise, .. } => Reply::Extended { promise },
        Reply::Extended { .. } => Reply::Written,
        Reply::Written => Reply::Sealed { state: then.clone(), promise: 30_000 },
        Reply::Refused { state: Some(state), .. } => Reply::State(state),
        Reply::State(_)
        | Reply::Refused { state: None, .. }
        | Reply::Rows
        | Reply::Blocks(_)
        | Reply::NoShare
        | Reply::Dead(_)
        | Reply::Forged(_) => reply,
    }
}

/// Every share of the newest version, whole.
fn claiming(mut state: SlotState, newest: Option<&Made>) -> SlotState {
    let Some(made) = newest else { return state };
    let n = made.header.header().shape.n();
    state.generations = vec![Generation {
        header: made.header.clone(),
        shares: ShareNumber::all(n).map(|share| (share, ShareHealth::Whole)).collect(),
        origin: Origin::Brought,
    }];
    state
}

/// A header that the owner never signed is what the client's parser makes of it: an error.
fn forged_header(made: &Made) -> String {
    let signature = Signature::new([7; 64]);
    let bytes = made.header.bytes().clone();
    match SignedHeader::verify(file(), bytes, made.header.verify_key(), signature) {
        Ok(_) => "a forged header was believed".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn forged_certificate(made: &Made) -> String {
    let (number, version) = made.header.order();
    let key = made.header.verify_key();
    match Certificate::verify(file(), number, version, key, Signature::new([7; 64])) {
        Ok(_) => "a forged certificate was believed".to_owned(),
        Err(error) => error.to_string(),
    }
}

/// Every attempt asked for was committed here, in a version nobody ever signed.
fn inventing(mut state: SlotState, newest: Option<&Made>) -> SlotState {
    let Some(made) = newest else { return state };
    let header = made.header.header();
    state.history.push(HistoryEntry {
        attempt: header.attempt,
        version: VersionId::new([9; 32]),
        predecessor: Some(made.version()),
        sequence_number: header.sequence_number,
    });
    state
}
