//! Reading, watching, and what is done about damage.

use bytes::BytesMut;
use tarn_proto::state::{ConversationStatus, ReadRefusal, ShareHealth};
use tarn_proto::{Row, VersionId};

use super::*;
use crate::manifest::Extent;
use crate::store::memory::Operation;
use crate::testing::inline;

pub(super) async fn read_blocks(
    harness: &Harness,
    version: VersionId,
    share: u32,
    first_segment: u32,
    segments: u32,
) -> Result<Vec<wire::BlockRun>, ReadRefusal> {
    let request = wire::ReadBlocksRequest {
        token: String::new(),
        storage_index: bytes(writer().storage_index().as_bytes()),
        version_id: bytes(version.as_bytes()),
        share,
        first_segment,
        segments,
    };
    let answers = harness.client.clone().read_blocks(request).await.unwrap();
    let mut answers = answers.into_inner();
    let mut runs = Vec::new();
    while let Some(message) = answers.message().await.unwrap() {
        match message.answer.unwrap() {
            wire::read_blocks_answer::Answer::Blocks(run) => runs.push(run),
            wire::read_blocks_answer::Answer::Refused(refused) => {
                return Err(ReadRefusal::try_from(&refused).unwrap());
            }
        }
    }
    Ok(runs)
}

pub(super) async fn read_rows(
    harness: &Harness,
    version: VersionId,
    first_segment: u32,
    segments: u32,
    with_proofs: bool,
) -> Result<Vec<wire::RowRun>, ReadRefusal> {
    let request = wire::ReadRowsRequest {
        token: String::new(),
        storage_index: bytes(writer().storage_index().as_bytes()),
        version_id: bytes(version.as_bytes()),
        first_segment,
        segments,
        with_proofs,
    };
    let answers = harness.client.clone().read_rows(request).await.unwrap();
    let mut answers = answers.into_inner();
    let mut runs = Vec::new();
    while let Some(message) = answers.message().await.unwrap() {
        match message.answer.unwrap() {
            wire::read_rows_answer::Answer::Rows(run) => runs.push(run),
            wire::read_rows_answer::Answer::Refused(refused) => {
                return Err(ReadRefusal::try_from(&refused).unwrap());
            }
        }
    }
    Ok(runs)
}

#[tokio::test]
async fn rows_prove_themselves_and_blocks_match_their_rows() {
    let harness = Harness::start().await;
    let version = writer().sized(1, 1, None, 4, 8 * 5_000 + 3);
    harness.publish(1, &version, &[2]).await;
    let header = version.header();
    let segments = header.geometry.segments();
    let runs = read_rows(&harness, version.id(), 0, segments, true).await.unwrap();
    assert!(runs.len() > 1, "they take more than one message");
    let mut rows = Vec::new();
    for run in runs {
        let row_length = header.geometry.row_length();
        assert_eq!(run.first_segment as usize, rows.len());
        assert_eq!(run.proofs.len() * row_length, run.data.len());
        for (at, proof) in run.proofs.iter().enumerate() {
            let row = run.data.slice(at * row_length..(at + 1) * row_length);
            let (proof, rest) = proof.as_chunks::<32>();
            assert!(rest.is_empty());
            let segment = u32::try_from(rows.len()).unwrap();
            let root = &header.table_root;
            rows.push(Row::verify(&header.geometry, root, segment, row, proof).unwrap());
        }
    }
    let runs = read_blocks(&harness, version.id(), 2, 1, segments - 1).await.unwrap();
    let mut segment = 1;
    for run in runs {
        assert_eq!((run.share, run.first_segment), (2, segment));
        let mut data = &run.data[..];
        while !data.is_empty() {
            let (block, rest) = data.split_at(header.geometry.block_length(segment));
            assert!(rows[segment as usize].matches(segment, share(2), block));
            (segment, data) = (segment + 1, rest);
        }
    }
    assert_eq!(segment, segments);
    harness.stop().await;
}

#[tokio::test]
async fn a_large_share_is_read_in_messages_of_about_half_a_mebibyte() {
    let harness = Harness::start().await;
    let version = writer().sized(1, 1, None, 64 << 10, 4 << 20);
    harness.publish(1, &version, &[0]).await;
    let runs = read_blocks(&harness, version.id(), 0, 0, 32).await.unwrap();
    let lengths: Vec<_> = runs.iter().map(|run| run.data.len()).collect();
    assert_eq!(lengths, [512 << 10; 4]);
    let all: Vec<_> = runs.iter().flat_map(|run| run.data.to_vec()).collect();
    assert_eq!(all, version.column(share(0)));
    harness.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let harness = Harness::start().await;
    let version = writer().version(1, 1, None);
    harness.publish(1, &version, &[0]).await;
    let id = version.id();
    let gone = read_blocks(&harness, VersionId::new([9; 32]), 0, 0, 1).await;
    assert_eq!(gone, Err(ReadRefusal::VersionGone));
    let missing = read_blocks(&harness, id, 1, 0, 1).await;
    assert_eq!(missing, Err(ReadRefusal::ShareMissing));
    for (first, count) in [(0, 4), (3, 1), (u32::MAX, 2)] {
        let beyond = read_blocks(&harness, id, 0, first, count).await;
        assert_eq!(beyond, Err(ReadRefusal::OutOfRange));
        let beyond = read_rows(&harness, id, first, count, false).await;
        assert_eq!(beyond, Err(ReadRefusal::OutOfRange));
    }
    assert_eq!(read_blocks(&harness, id, 0, 3, 0).await, Ok(vec![]));
    harness.stop().await;
}

#[tokio::test]
async fn a_version_that_was_dropped_is_gone() {
    let harness = Harness::start().await;
    let first = writer().version(1, 1, None);
    let second = writer().version(2, 2, Some(first.id()));
    harness.publish(1, &first, &[0]).await;
    harness.publish(2, &second, &[0]).await;
    assert!(read_blocks(&harness, first.id(), 0, 0, 3).await.is_ok());
    let request = wire::FinalizeRequest {
        token: String::new(),
        storage_index: bytes(writer().storage_index().as_bytes()),
        certificate: Some((&second.certificate()).into()),
    };
    harness.client.clone().finalize(request).await.unwrap();
    let gone = read_blocks(&harness, first.id(), 0, 0, 3).await;
    assert_eq!(gone, Err(ReadRefusal::VersionGone));
    harness.stop().await;
}

pub(super) async fn health(harness: &Harness) -> Vec<ShareHealth> {
    let state = harness.state().await;
    let shares = &state.current().unwrap().shares;
    shares.values().copied().collect()
}

pub(super) fn flip(bytes: &mut BytesMut) {
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
}

#[tokio::test]
async fn a_bent_block_is_not_served_and_its_share_marked_as_damaged() {
    let harness = Harness::start().await;
    let version = writer().version(1, 1, None);
    harness.publish(1, &version, &[0, 1]).await;
    harness.store.tamper(writer().storage_index(), |manifest| {
        let mut bent = BytesMut::from(&version.column(share(1))[..]);
        flip(&mut bent);
        let shares = &mut manifest.generations[0].shares;
        shares.get_mut(&share(1)).unwrap().content = inline(bent.freeze());
    });
    let refused = read_blocks(&harness, version.id(), 1, 0, 3).await;
    assert_eq!(refused, Err(ReadRefusal::ShareDamaged));
    assert_eq!(health(&harness).await, [ShareHealth::Whole, ShareHealth::Damaged]);
    assert!(read_blocks(&harness, version.id(), 0, 0, 3).await.is_ok());
    let again = read_blocks(&harness, version.id(), 1, 0, 1).await;
    assert_eq!(again, Err(ReadRefusal::ShareDamaged));
    harness.stop().await;
}

#[tokio::test]
async fn a_chunk_cut_short_is_damage_and_bringing_the_share_again_heals_it() {
    let harness = Harness::start().await;
    let version = writer().sized(1, 1, None, 64 << 10, 1 << 20);
    harness.publish(1, &version, &[0]).await;
    let chunk = harness.store.chunks()[0];
    harness.store.tamper_chunk(chunk, |bytes| bytes.truncate(100_000));
    // The run that lies before the cut is good, and served.
    assert!(read_blocks(&harness, version.id(), 0, 0, 1).await.is_ok());
    let refused = read_blocks(&harness, version.id(), 0, 0, 8).await;
    assert_eq!(refused, Err(ReadRefusal::ShareDamaged));
    assert_eq!(health(&harness).await, [ShareHealth::Damaged]);

    let mut messages = staged(2, &version, &[0]);
    messages.push(bring(&version));
    let mut talk = harness.talk(messages).await;
    assert!(matches!(talk.answer().await, Ok(Some(Answer::Written(_)))));
    assert_eq!(health(&harness).await, [ShareHealth::Whole]);
    assert!(read_blocks(&harness, version.id(), 0, 0, 8).await.is_ok());
    harness.stop().await;
}

#[tokio::test]
async fn with_a_bent_table_nothing_of_the_version_is_served() {
    let harness = Harness::start().await;
    let version = writer().version(1, 1, None);
    harness.publish(1, &version, &[0, 1]).await;
    harness.store.tamper(writer().storage_index(), |manifest| {
        let mut bent = BytesMut::from(&version.table.bytes()[..]);
        flip(&mut bent);
        manifest.generations[0].table = inline(bent.freeze());
    });
    let refused = read_rows(&harness, version.id(), 0, 3, true).await;
    assert_eq!(refused, Err(ReadRefusal::ShareDamaged));
    assert_eq!(health(&harness).await, [ShareHealth::Damaged; 2]);
    harness.stop().await;
}

#[tokio::test]
async fn a_chunk_that_moved_while_it_was_read_is_found_again() {
    let harness = Harness::start().await;
    let version = writer().sized(1, 1, None, 64 << 10, 1 << 20);
    harness.publish(1, &version, &[0]).await;
    // A conversation keeps the slot, and with it the manifest that names the old chunk, in memory.
    let other = writer().version(2, 2, Some(version.id()));
    let mut talk = harness.talk(prepared(2, &other, &[0])).await;
    talk.sealed().await;
    let old = harness.store.chunks()[0];
    harness.store.tamper(writer().storage_index(), |manifest| {
        let shares = &mut manifest.generations[0].shares;
        shares.get_mut(&share(0)).unwrap().content = inline(version.column(share(0)));
    });
    harness.store.tamper_chunk(old, BytesMut::clear);
    let runs = read_blocks(&harness, version.id(), 0, 0, 8).await.unwrap();
    let all: Vec<_> = runs.iter().flat_map(|run| run.data.to_vec()).collect();
    assert_eq!(all, version.column(share(0)));
    assert_eq!(health(&harness).await, [ShareHealth::Whole]);
    harness.stop().await;
}

#[tokio::test]
async fn a_failing_disk_is_no_damage() {
    let harness = Harness::start().await;
    let version = writer().version(1, 1, None);
    harness.publish(1, &version, &[0]).await;
    harness.store.fail_next(Operation::Read);
    let request = wire::ReadRowsRequest {
        token: String::new(),
        storage_index: bytes(writer().storage_index().as_bytes()),
        version_id: bytes(version.id().as_bytes()),
        first_segment: 0,
        segments: 3,
        with_proofs: false,
    };
    let mut answers = harness.client.clone().read_rows(request).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(health(&harness).await, [ShareHealth::Whole]);
    harness.stop().await;
}

#[tokio::test]
async fn a_slots_state_tells_of_an_attempt_and_a_conversation() {
    let harness = Harness::start().await;
    let first = writer().version(1, 1, None);
    let second = writer().version(2, 2, Some(first.id()));
    harness.publish(1, &first, &[0]).await;
    let mut talk = harness.talk(prepared(2, &second, &[0])).await;
    talk.sealed().await;
    let request = wire::ReadSlotRequest {
        token: String::new(),
        storage_index: bytes(writer().storage_index().as_bytes()),
        attempt_id: bytes(first.header().attempt.as_bytes()),
        conversation_id: bytes(&[2; 16]),
        history_since: 0,
    };
    let answer = harness.client.clone().read_slot(request.clone()).await.unwrap();
    let state = verified(answer.into_inner().state);
    assert_eq!(state.history[0].version, first.id());
    for (history_since, told) in [(0, 0), (1, 1), (2, 0)] {
        let attempt_id = bytes(&[77; 16]);
        let request = wire::ReadSlotRequest { attempt_id, history_since, ..request.clone() };
        let answer = harness.client.clone().read_slot(request).await.unwrap();
        assert_eq!(verified(answer.into_inner().state).history.len(), told, "{history_since}");
    }
    assert_eq!(state.conversation, Some(ConversationStatus::SealedLast));
    assert!(state.promised_ms.is_some());
    drop(talk);
    until(|| async {
        let answer = harness.client.clone().read_slot(request.clone()).await.unwrap();
        let state = verified(answer.into_inner().state);
        state.conversation == Some(ConversationStatus::Closed) && state.promised_ms.is_none()
    })
    .await;
    harness.stop().await;
}

#[tokio::test]
async fn a_watcher_sees_the_state_now_and_after_every_change() {
    let harness = Harness::start().await;
    let request = wire::WatchSlotRequest {
        token: String::new(),
        storage_index: bytes(writer().storage_index().as_bytes()),
    };
    let watching = harness.client.clone().watch_slot(request).await.unwrap();
    let mut watching = watching.into_inner();
    let mut state = async || verified(watching.message().await.unwrap().unwrap().state);
    assert_eq!(state().await, SlotState::empty(STORE));
    let first = writer().version(1, 1, None);
    harness.publish(1, &first, &[0]).await;
    assert_eq!(state().await.current().unwrap().header, first.signed);
    let second = writer().version(2, 2, Some(first.id()));
    harness.publish(2, &second, &[0]).await;
    assert_eq!(state().await.current().unwrap().header, second.signed);
    harness.stop().await;
}

#[tokio::test]
async fn small_contents_live_in_the_manifest() {
    let harness = Harness::start().await;
    let version = writer().version(1, 1, None);
    harness.publish(1, &version, &[0]).await;
    assert_eq!(harness.store.chunks(), []);
    harness.store.tamper(writer().storage_index(), |manifest| {
        let content = &manifest.generations[0].shares[&share(0)].content;
        assert!(matches!(content.0[..], [Extent::Inline(_)]));
    });
    harness.stop().await;
}

#[tokio::test]
async fn no_segments_are_answered_without_reading_anything() {
    let harness = Harness::start().await;
    let version = writer().version(1, 1, None);
    harness.publish(1, &version, &[0]).await;
    harness.store.fail_next(Operation::Read);
    assert_eq!(read_blocks(&harness, version.id(), 0, 1, 0).await, Ok(vec![]));
    assert_eq!(read_rows(&harness, version.id(), 1, 0, true).await, Ok(vec![]));
    harness.stop().await;
}
