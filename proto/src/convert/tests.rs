use ed25519_dalek::SigningKey;
use prop::collection::{btree_map, vec};
use prop::sample::select;
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::geometry::{Geometry, Shape};
use crate::header::Header;
use crate::ids::{AttemptId, ConversationId, StoreId};
use crate::merkle;
use crate::signing::VerifyKey;
use crate::window::Window;

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn si() -> StorageIndex {
    VerifyKey::of(&key()).storage_index()
}

fn sequence_number() -> impl Strategy<Value = SequenceNumber> {
    (1..=SequenceNumber::LAST.get()).prop_map(|number| SequenceNumber::new(number).unwrap())
}

fn version_id() -> impl Strategy<Value = VersionId> {
    // All zero stands for "no version" where one may be missing.
    any::<[u8; 32]>()
        .prop_filter("no version id", |bytes| *bytes != [0; 32])
        .prop_map(VersionId::new)
}

fn signed_headers() -> impl Strategy<Value = SignedHeader> {
    let shape = (1_u32..=6, 0_u32..=3).prop_map(|(k, m)| Shape::with_default_happy(k, k + m));
    (
        (shape, 0_u64..2000, any::<bool>()),
        (sequence_number(), prop::option::of(version_id()), any::<[u8; 16]>()),
        (any::<[u8; 32]>(), 1_u8..5, prop::option::of(1_u8..5)),
    )
        .prop_map(
            |((shape, length, tombstone), (place, base, attempt), (root, stores, joint))| {
                let shape = shape.unwrap();
                let length = if tombstone { 0 } else { length };
                let window =
                    |count| Window::new((0..count).map(|i| StoreId::new([i; 16])).collect());
                let header = Header {
                    tombstone,
                    storage_index: si(),
                    sequence_number: place,
                    predecessor: base,
                    shape,
                    geometry: Geometry::choose(shape, length).unwrap(),
                    table_root: if length == 0 { merkle::empty_root() } else { root },
                    attempt: AttemptId::new(attempt),
                    key_check: [6; 16],
                    window: window(stores).unwrap(),
                    joint: joint.map(|count| window(count).unwrap()),
                };
                SignedHeader::sign(&key(), header)
            },
        )
}

fn generations() -> impl Strategy<Value = Generation> {
    let healths = vec(prop::option::of(select(vec![ShareHealth::Whole, ShareHealth::Damaged])), 9);
    let origin = prop::option::of(any::<[u8; 16]>());
    (signed_headers(), healths, origin).prop_map(|(header, healths, origin)| Generation {
        shares: ShareNumber::all(header.header().shape.n())
            .zip(healths)
            .filter_map(|(share, health)| Some((share, health?)))
            .collect(),
        header,
        origin: origin.map_or(Origin::Brought, |id| Origin::Committed(ConversationId::new(id))),
    })
}

fn certificates() -> impl Strategy<Value = Certificate> {
    (sequence_number(), version_id())
        .prop_map(|(place, version)| Certificate::sign(&key(), place, version))
}

fn history_entries() -> impl Strategy<Value = HistoryEntry> {
    (any::<[u8; 16]>(), version_id(), prop::option::of(version_id()), sequence_number()).prop_map(
        |(attempt, version, predecessor, place)| HistoryEntry {
            attempt: AttemptId::new(attempt),
            version,
            predecessor,
            sequence_number: place,
        },
    )
}

fn states() -> impl Strategy<Value = SlotState> {
    let conversation = select(vec![
        None,
        Some(ConversationStatus::Open),
        Some(ConversationStatus::SealedLast),
        Some(ConversationStatus::Closed),
    ]);
    (
        any::<[u8; 16]>().prop_map(StoreId::new),
        prop::option::of(signed_headers()),
        vec(generations(), 0..4),
        vec(certificates(), 0..4),
        vec(signed_headers(), 0..4),
        vec(history_entries(), 0..4),
        conversation,
        any::<Option<u64>>(),
    )
        .prop_map(
            |(
                store,
                floor,
                generations,
                certificates,
                ancestors,
                history,
                conversation,
                promised_ms,
            )| {
                SlotState {
                    store,
                    floor,
                    generations,
                    certificates,
                    ancestors,
                    history,
                    conversation,
                    promised_ms,
                }
            },
        )
}

fn tests() -> impl Strategy<Value = Tests> {
    let share = (0_u8..255).prop_map(|number| ShareNumber::new(number).unwrap());
    let expected = prop_oneof![
        Just(Expected::Absent),
        version_id().prop_map(Expected::Version),
        Just(Expected::Damaged),
    ];
    (btree_map(share, expected, 0..20), any::<bool>())
        .prop_map(|(shares, no_others)| Tests { shares, no_others })
}

const REFUSALS: [Refusal; 17] = [
    Refusal::Conflict,
    Refusal::Stale,
    Refusal::Busy { wait_ms: 1234 },
    Refusal::PromiseLost,
    Refusal::Superseded,
    Refusal::BaseMissing,
    Refusal::TooManyGenerations,
    Refusal::BadSignature,
    Refusal::BadShare,
    Refusal::NoSpace,
    Refusal::OverQuota,
    Refusal::ReadOnly,
    Refusal::Unauthenticated,
    Refusal::TooLarge,
    Refusal::Unsupported,
    Refusal::StoreFailed,
    Refusal::NotHeld,
];

/// The message after a journey through its bytes.
fn travelled<M: Message + Default>(message: &M) -> M {
    M::decode(message.encode_to_vec().as_slice()).unwrap()
}

proptest! {
    #[test]
    fn a_slot_state_arrives_as_it_was_sent(sent in states()) {
        let message = wire::SlotState::from(&sent);
        let received = slot_state(&Known::default(), si(), travelled(&message)).unwrap();
        prop_assert_eq!(&received, &sent);
        // Signed headers compare by version; their signatures must have come along too.
        prop_assert_eq!(wire::SlotState::from(&received), message);
    }

    #[test]
    fn tests_arrive_as_they_were_sent(sent in tests()) {
        let message = travelled(&wire::Tests::from(&sent));
        prop_assert_eq!(Tests::try_from(&message), Ok(sent));
    }

    #[test]
    fn a_state_of_another_file_is_refused(sent in states()) {
        prop_assume!(sent.headers().next().is_some() || !sent.certificates.is_empty());
        let other = StorageIndex::new([0; 32]);
        prop_assert!(slot_state(&Known::default(), other, (&sent).into()).is_err());
    }

    #[test]
    fn any_bytes_are_converted_without_panic(bytes in vec(any::<u8>(), 0..400)) {
        if let Ok(message) = wire::SlotState::decode(bytes.as_slice()) {
            let _ = slot_state(&Known::default(), si(), message);
        }
        if let Ok(message) = wire::Tests::decode(bytes.as_slice()) {
            let _ = Tests::try_from(&message);
        }
        if let Ok(message) = wire::Refused::decode(bytes.as_slice()) {
            let _ = Refusal::try_from(&message);
        }
    }

    #[test]
    fn a_bent_state_is_refused_or_still_verified(
        sent in states(), position in any::<prop::sample::Index>(), value in any::<u8>(),
    ) {
        let mut bytes = wire::SlotState::from(&sent).encode_to_vec();
        let position = position.index(bytes.len());
        bytes[position] = value;
        let Ok(message) = wire::SlotState::decode(bytes.as_slice()) else { return Ok(()) };
        if let Ok(received) = slot_state(&Known::default(), si(), message) {
            let again = slot_state(&Known::default(), si(), (&received).into());
            prop_assert_eq!(again, Ok(received));
        }
    }

    #[test]
    fn listed_shares_are_distinct_and_below_n(n in 1_u8.., numbers in vec(0_u32..300, 0..8)) {
        let distinct = numbers.iter().collect::<std::collections::BTreeSet<_>>().len();
        let fit = numbers.len() <= n.into()
            && distinct == numbers.len()
            && numbers.iter().all(|&number| number < n.into());
        let received = shares(n, &numbers);
        prop_assert_eq!(received.is_ok(), fit);
        if let Ok(shares) = received {
            prop_assert!(shares.iter().map(|share| u32::from(share.get())).eq(numbers));
        }
    }
}

#[test]
fn every_refusal_arrives_as_it_was_sent() {
    let state = SlotState::empty(StoreId::new([1; 16]));
    let mut reasons = std::collections::BTreeSet::new();
    for sent in REFUSALS {
        let message = travelled(&sent.to_wire("why".to_owned(), Some(&state)));
        assert_eq!(Refusal::try_from(&message), Ok(sent));
        assert_eq!(message.detail, "why");
        assert_eq!(slot_state(&Known::default(), si(), message.state.unwrap()), Ok(state.clone()));
        reasons.insert(message.reason);
    }
    assert!(reasons.into_iter().eq(1..=17));
}

#[test]
fn every_read_refusal_arrives_as_it_was_sent() {
    for sent in [
        ReadRefusal::VersionGone,
        ReadRefusal::ShareMissing,
        ReadRefusal::ShareDamaged,
        ReadRefusal::OutOfRange,
        ReadRefusal::Unauthenticated,
    ] {
        let message = travelled(&wire::ReadRefused::from(sent));
        assert_eq!(ReadRefusal::try_from(&message), Ok(sent));
    }
}

#[test]
fn values_not_known_here_are_refused() {
    for value in [0, -1, 18] {
        let refused = wire::Refused { reason: value, ..Default::default() };
        assert!(Refusal::try_from(&refused).is_err(), "{value}");
        let refused = wire::ReadRefused { reason: value };
        assert!(ReadRefusal::try_from(&refused).is_err(), "{value}");
    }
    let mut state = wire::SlotState::from(&SlotState::empty(StoreId::new([1; 16])));
    state.conversation = 4;
    assert_eq!(
        slot_state(&Known::default(), si(), state),
        Err(ConvertError::Unknown { what: "conversation state", value: 4 })
    );
}

#[test]
fn lists_are_held_to_their_limits() {
    let certificate = Certificate::sign(&key(), SequenceNumber::FIRST, VersionId::new([9; 32]));
    let entry = HistoryEntry {
        attempt: AttemptId::new([1; 16]),
        version: VersionId::new([2; 32]),
        predecessor: None,
        sequence_number: SequenceNumber::FIRST,
    };
    let with = |certificates, entries| {
        let mut state = SlotState::empty(StoreId::new([1; 16]));
        state.certificates = vec![certificate; certificates];
        state.history = vec![entry; entries];
        slot_state(&Known::default(), si(), (&state).into()).map(|_| ())
    };
    assert_eq!(with(CERTIFICATES_MAX, HISTORY_MAX), Ok(()));
    let too_many = |what, max| Err(ConvertError::TooMany { what, max, got: max + 1 });
    let certificates = too_many("certificates", CERTIFICATES_MAX);
    assert_eq!(with(CERTIFICATES_MAX + 1, 0), certificates);
    assert_eq!(with(0, HISTORY_MAX + 1), too_many("history entries", HISTORY_MAX));

    let empty = wire::Generation::default();
    let mut state = wire::SlotState::from(&SlotState::empty(StoreId::new([1; 16])));
    state.generations = vec![empty; GENERATIONS_MAX + 1];
    // The count is refused before any generation is looked at, or its lack of a header would be.
    let outcome = slot_state(&Known::default(), si(), state).map(|_| ());
    assert_eq!(outcome, too_many("generations", GENERATIONS_MAX));
}

#[test]
fn a_share_tested_twice_is_refused() {
    let absent = wire::ShareTest {
        share: 3,
        expected: Some(wire::share_test::Expected::Absent(wire::Absent {})),
    };
    let message = wire::Tests { shares: vec![absent.clone(), absent], no_others: false };
    assert_eq!(Tests::try_from(&message), Err(ConvertError::Share(3)));
}
