//! Any message of a writer is decoded and its parts are checked or refused; tests that are accepted become a message
//! and the same tests again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message;
use tarn_proto::known::Known;
use tarn_proto::signing::Signature;
use tarn_proto::state::Tests;
use tarn_proto::wire::{self, seal, write_request::Request};
use tarn_proto::{
    ConversationId, Geometry, Header, Shape, StorageIndex, VerifyKey, VersionId, convert,
};

fuzz_target!(|data: &[u8]| {
    let Ok(message) = wire::WriteRequest::decode(data) else {
        return;
    };
    match message.request {
        Some(Request::Open(open)) => check_open(&open),
        Some(Request::Seal(seal)) => check_seal(&seal),
        Some(Request::Commit(commit)) => {
            let _ = Signature::try_from(commit.header_signature.as_ref());
        }
        Some(Request::Blocks(_) | Request::Rows(_) | Request::Extend(_)) | None => {}
    }
});

fn check_open(open: &wire::Open) {
    let _ = ConversationId::try_from(open.conversation_id.as_ref());
    let _ = VersionId::try_from(open.base_version_id.as_ref());
    let _ = VerifyKey::parse(&open.verify_key);
    if let Ok(shape) = Shape::new(open.k, 1, open.n) {
        if let Ok(shares) = convert::shares(shape.n(), &open.shares) {
            assert_eq!(shares.len(), open.shares.len());
        }
        let _ = Geometry::new(shape, open.block_size, open.data_length.unwrap_or(0));
    }
    if let (Ok(storage_index), Some(finalize)) = (
        StorageIndex::try_from(open.storage_index.as_ref()),
        &open.finalize,
    ) {
        let _ = Known::default().certificate(storage_index, finalize);
    }
    check_tests(open.tests.as_ref());
}

fn check_seal(seal: &wire::Seal) {
    let _ = Header::parse(&seal.header);
    let signature = match &seal.authority {
        Some(seal::Authority::PrepareSignature(signature)) => signature.as_ref(),
        Some(seal::Authority::Bring(bring)) => bring.header_signature.as_ref(),
        None => &[],
    };
    let _ = Signature::try_from(signature);
    check_tests(seal.tests.as_ref());
}

fn check_tests(message: Option<&wire::Tests>) {
    if let Some(Ok(tests)) = message.map(Tests::try_from) {
        assert_eq!(Tests::try_from(&wire::Tests::from(&tests)), Ok(tests));
    }
}
