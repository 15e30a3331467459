//! Any message is a slot's state or refused; one that is accepted becomes a message and the same state again.
//!
//! No fuzzer guesses a signature, so every message is tried twice: as it came, and with its headers and certificates
//! signed by a key of ours.
#![no_main]

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use libfuzzer_sys::fuzz_target;
use prost::Message;
use tarn_proto::known::Known;
use tarn_proto::signing::Statement;
use tarn_proto::{Certificate, SequenceNumber, StorageIndex, VerifyKey, VersionId, convert, wire};

fuzz_target!(|data: &[u8]| {
    let Ok(mut message) = wire::SlotState::decode(data) else {
        return;
    };
    let key = SigningKey::from_bytes(&[7; 32]);
    let storage_index = VerifyKey::of(&key).storage_index();
    check(storage_index, message.clone());
    for header in message.floor.iter_mut() {
        sign_header(&key, storage_index, header);
    }
    for generation in &mut message.generations {
        for header in generation.header.iter_mut() {
            sign_header(&key, storage_index, header);
        }
    }
    for certificate in &mut message.certificates {
        sign_certificate(&key, certificate);
    }
    check(storage_index, message);
});

fn check(storage_index: StorageIndex, message: wire::SlotState) {
    if let Ok(state) = convert::slot_state(&Known::default(), storage_index, message) {
        let again = convert::slot_state(&Known::default(), storage_index, wire::SlotState::from(&state));
        assert_eq!(again, Ok(state));
    }
}

fn sign_header(key: &SigningKey, storage_index: StorageIndex, message: &mut wire::SignedHeader) {
    let mut header = message.header.to_vec();
    if let Some(place) = header.get_mut(8..40) {
        place.copy_from_slice(storage_index.as_bytes());
    }
    message.verify_key = Bytes::copy_from_slice(VerifyKey::of(key).as_bytes());
    message.signature = Bytes::copy_from_slice(Statement::Header(&header).sign(key).as_bytes());
    message.header = header.into();
}

fn sign_certificate(key: &SigningKey, message: &mut wire::Certificate) {
    if let (Some(sequence_number), Ok(version)) = (
        SequenceNumber::new(message.sequence_number),
        VersionId::try_from(message.version_id.as_ref()),
    ) {
        *message = (&Certificate::sign(key, sequence_number, version)).into();
    }
}
