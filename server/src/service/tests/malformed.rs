//! Malformed messages are INVALID_ARGUMENT, never a panic, and change nothing.

use proptest::prelude::*;

use super::*;

async fn malformed(harness: &Harness, messages: Vec<Request>) {
    let mut talk = harness.talk(messages).await;
    assert_eq!(talk.status().await, Code::InvalidArgument);
}

#[tokio::test]
async fn a_malformed_open_is_an_invalid_argument() {
    let harness = Harness::start().await;
    let version = writer().version(1, 1, None);
    let good = || open_message(1, &version, &[0]);
    let short = || Bytes::from_static(b"short");
    let certificate = wire::Certificate::from(&version.certificate());
    let double_test = wire::ShareTest {
        share: 0,
        expected: Some(wire::share_test::Expected::Absent(wire::Absent {})),
    };
    let bad = [
        wire::Open { conversation_id: short(), ..good() },
        wire::Open { conversation_id: Bytes::new(), ..good() },
        wire::Open { storage_index: short(), ..good() },
        wire::Open { verify_key: short(), ..good() },
        wire::Open { k: 0, ..good() },
        wire::Open { k: 5, ..good() },
        wire::Open { n: 256, ..good() },
        wire::Open { n: u32::MAX, ..good() },
        wire::Open { block_size: 0, ..good() },
        wire::Open { block_size: 3, ..good() },
        wire::Open { block_size: u32::MAX, ..good() },
        wire::Open { shares: vec![], ..good() },
        wire::Open { shares: vec![4], ..good() },
        wire::Open { shares: vec![0, 0], ..good() },
        wire::Open { shares: vec![0; 1000], ..good() },
        wire::Open {
            tests: Some(wire::Tests { shares: vec![double_test; 2], no_others: false }),
            ..good()
        },
        wire::Open {
            tests: Some(wire::Tests { shares: vec![wire::ShareTest::default()], no_others: false }),
            ..good()
        },
        wire::Open {
            finalize: Some(wire::Certificate { version_id: short(), ..certificate.clone() }),
            ..good()
        },
        wire::Open {
            finalize: Some(wire::Certificate { signature: short(), ..certificate.clone() }),
            ..good()
        },
        wire::Open {
            finalize: Some(wire::Certificate { sequence_number: 0, ..certificate }),
            ..good()
        },
        wire::Open { ancestors: vec![wire::SignedHeader::default()], ..good() },
        wire::Open { ancestors: vec![(&version.signed).into(); 65], ..good() },
    ];
    for message in bad {
        malformed(&harness, vec![Request::Open(message)]).await;
    }
    harness.stop().await;
}

#[tokio::test]
async fn messages_out_of_turn_are_invalid_arguments() {
    let harness = Harness::start().await;
    let version = writer().version(1, 1, None);
    let extend = || Request::Extend(wire::Extend {});
    for first in [blocks(&version, 0), rows(&version), seal(&version), extend(), commit(&version)] {
        malformed(&harness, vec![first]).await;
    }
    for second in [open(1, &version, &[0]), commit(&version)] {
        malformed(&harness, vec![open(1, &version, &[0]), second]).await;
    }
    for after in [open(1, &version, &[0]), blocks(&version, 0), rows(&version), seal(&version)] {
        let mut talk = harness.talk(prepared(1, &version, &[0])).await;
        talk.sealed().await;
        talk.send(after).await;
        assert_eq!(talk.status().await, Code::InvalidArgument);
        until(|| async { harness.state().await.promised_ms.is_none() }).await;
    }
    harness.stop().await;
}

#[tokio::test]
async fn a_message_without_a_request_is_an_invalid_argument() {
    let harness = Harness::start().await;
    let mut talk = harness.talk(vec![]).await;
    talk.requests.send(wire::WriteRequest::default()).await.unwrap();
    assert_eq!(talk.status().await, Code::InvalidArgument);
    harness.stop().await;
}

#[tokio::test]
async fn a_conversation_id_in_use_is_an_invalid_argument() {
    let harness = Harness::start().await;
    let version = writer().version(1, 1, None);
    let mut one = harness.talk(prepared(1, &version, &[0])).await;
    one.sealed().await;
    malformed(&harness, vec![open(1, &version, &[0])]).await;
    one.send(commit(&version)).await;
    assert!(matches!(one.answer().await, Ok(Some(Answer::Written(_)))));
    harness.stop().await;
}

#[tokio::test]
async fn malformed_runs_and_seals_are_invalid_arguments() {
    let harness = Harness::start().await;
    let version = writer().version(1, 1, None);
    let good = || seal_message(&version, None);
    let signature = |bytes| Some(wire::seal::Authority::PrepareSignature(bytes));
    let brought = |certificate| {
        Some(wire::seal::Authority::Bring(wire::Bring {
            header_signature: bytes(version.signature().as_bytes()),
            certificate,
        }))
    };
    let run = wire::BlockRun { share: 0, first_segment: 0, data: version.column(share(0)) };
    let row_run =
        wire::RowRun { first_segment: 0, data: version.table.bytes().clone(), proofs: vec![] };
    let discard = wire::Discard { version_ids: vec![], signature: Bytes::new() };
    let bad = [
        Request::Blocks(wire::BlockRun { share: 255, ..run.clone() }),
        Request::Blocks(wire::BlockRun { data: Bytes::new(), ..run }),
        Request::Rows(wire::RowRun { data: Bytes::new(), ..row_run.clone() }),
        Request::Rows(wire::RowRun { proofs: vec![Bytes::new()], ..row_run }),
        Request::Seal(wire::Seal { authority: None, ..good() }),
        Request::Seal(wire::Seal { authority: signature(Bytes::new()), ..good() }),
        Request::Seal(wire::Seal { discard: Some(discard.clone()), ..good() }),
        Request::Seal(wire::Seal {
            discard: Some(wire::Discard {
                version_ids: vec![Bytes::new(); 1000],
                ..discard.clone()
            }),
            ..good()
        }),
        Request::Seal(wire::Seal {
            tests: Some(wire::Tests { shares: vec![Default::default()], no_others: true }),
            ..good()
        }),
        Request::Seal(wire::Seal { authority: brought(None), discard: Some(discard), ..good() }),
        Request::Seal(wire::Seal {
            authority: brought(Some(wire::Certificate::default())),
            ..good()
        }),
    ];
    for message in bad {
        let mut messages = staged(1, &version, &[0]);
        messages.truncate(1);
        messages.push(message);
        malformed(&harness, messages).await;
    }
    let mut talk = harness.talk(prepared(1, &version, &[0])).await;
    talk.sealed().await;
    let header_signature = Bytes::new();
    talk.send(Request::Commit(wire::Commit { header_signature })).await;
    assert_eq!(talk.status().await, Code::InvalidArgument);
    harness.stop().await;
}

#[tokio::test]
async fn malformed_calls_are_invalid_arguments() {
    let harness = Harness::start().await;
    let mut client = harness.client.clone();
    let storage_index = bytes(writer().storage_index().as_bytes());
    let codes = [
        client.read_slot(wire::ReadSlotRequest::default()).await.unwrap_err(),
        client
            .read_slot(wire::ReadSlotRequest {
                storage_index: storage_index.clone(),
                attempt_id: Bytes::from_static(b"short"),
                ..Default::default()
            })
            .await
            .unwrap_err(),
        client.read_blocks(wire::ReadBlocksRequest::default()).await.unwrap_err(),
        client
            .read_blocks(wire::ReadBlocksRequest {
                storage_index: storage_index.clone(),
                version_id: bytes(&[1; 32]),
                share: 255,
                ..Default::default()
            })
            .await
            .unwrap_err(),
        client.read_rows(wire::ReadRowsRequest::default()).await.unwrap_err(),
        client.watch_slot(wire::WatchSlotRequest::default()).await.unwrap_err(),
        client.finalize(wire::FinalizeRequest::default()).await.unwrap_err(),
        client
            .finalize(wire::FinalizeRequest {
                storage_index,
                certificate: Some(wire::Certificate::default()),
                ..Default::default()
            })
            .await
            .unwrap_err(),
    ];
    assert_eq!(codes.map(|status| status.code()), [Code::InvalidArgument; 8]);
    harness.stop().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever single byte of a header is changed, and wherever a run begins: refused, with nothing changed.
    #[test]
    fn bent_headers_and_runs_are_refused(at in 0_usize..300, value: u8, first_segment: u32) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let harness = Harness::start().await;
            let version = writer().version(1, 1, None);
            let mut header = version.signed.bytes().to_vec();
            let at = at % header.len();
            header[at] = header[at].wrapping_add(value.max(1));
            let mut messages = staged(1, &version, &[0]);
            messages.push(Request::Seal(wire::Seal {
                header: header.into(),
                ..seal_message(&version, None)
            }));
            let refusal = harness.talk(messages).await.refusal().await;
            assert!(matches!(refusal, Refusal::BadSignature | Refusal::Unsupported));

            let run = wire::BlockRun {
                share: 0,
                first_segment: first_segment.max(1),
                data: version.column(share(0)),
            };
            let messages = vec![open(1, &version, &[0]), Request::Blocks(run)];
            assert_eq!(harness.talk(messages).await.refusal().await, Refusal::BadShare);
            assert_eq!(harness.state().await, SlotState::empty(STORE));
            harness.stop().await;
        });
    }
}
