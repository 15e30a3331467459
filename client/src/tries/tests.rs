use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::SigningKey;
use rand::SeedableRng;
use tarn_proto::{AttemptId, Geometry, Header, Shape, SignedHeader, StoreId, VerifyKey, Window};

use super::*;
use crate::suspects::Heard;
use crate::time::Millis;

fn tries(most: u32) -> Tries {
    Tries::new(NonZeroU32::new(most).unwrap(), ChaCha8Rng::seed_from_u64(1))
}

fn report(outcome: Outcome) -> Report {
    Report {
        outcome,
        troubles: BTreeMap::new(),
        heard: Heard::default(),
        rounds: 1,
        elapsed: Millis(1),
    }
}

fn landed() -> Landed {
    let key = SigningKey::from_bytes(&[1; 32]);
    let shape = Shape::new(1, 1, 1).unwrap();
    let header = Header {
        tombstone: false,
        storage_index: VerifyKey::of(&key).storage_index(),
        sequence_number: 1.try_into().unwrap(),
        predecessor: None,
        shape,
        geometry: Geometry::choose(shape, 100).unwrap(),
        table_root: [9; 32],
        attempt: AttemptId::new([7; 16]),
        key_check: [0; 16],
        window: Window::new(vec![StoreId::new([1; 16])]).unwrap(),
        joint: None,
    };
    let header = SignedHeader::sign(&key, header);
    Landed { header, accepted: BTreeSet::new(), unknown: BTreeSet::new() }
}

#[test]
fn whoever_came_second_reads_again_until_the_tries_are_used_up() {
    let mut tries = tries(3);
    let stale = || report(Outcome::Stale { now: None });
    assert!(matches!(tries.after(stale()), Next::ReadAgain { .. }));
    let lost = Outcome::UncoordinatedWrite { theirs: None };
    assert!(matches!(tries.after(report(lost)), Next::ReadAgain { .. }));
    let Next::Fail(Fruitless::Contended { tries: said, .. }) = tries.after(stale()) else {
        panic!("three tries were allowed");
    };
    assert_eq!(said.get(), 3);
}

#[test]
fn what_may_have_taken_effect_is_repeated_and_never_applied_anew() {
    let mut tries = tries(2);
    let (left, _) = tries.unsettled(&Outcome::Unknown(landed())).unwrap();
    assert_eq!(left, landed());
    assert_eq!(tries.unsettled(&Outcome::Partial(landed())), None, "no third try");
    let after = tries.after(report(Outcome::Partial(landed())));
    assert!(matches!(after, Next::Fail(Fruitless::Unsettled(_))), "{after:?}");
}

#[test]
fn what_others_cannot_mend_ends_it_at_once() {
    let hopeless = [Outcome::Cancelled, Outcome::Failed { cause: "too long".to_owned() }];
    for outcome in hopeless {
        let mut tries = tries(5);
        assert_eq!(tries.unsettled(&outcome), None);
        let after = tries.after(report(outcome));
        assert!(matches!(after, Next::Fail(Fruitless::NotPublished(_))), "{after:?}");
    }
}

#[test]
fn waits_grow_up_to_a_bound() {
    let mut tries = tries(u32::MAX);
    let longest = |tries: &mut Tries| (0..50).filter_map(|_| tries.wait()).max().unwrap();
    assert!(tries.wait().unwrap() <= WAIT_FIRST);
    let far = longest(&mut tries);
    assert!(far > WAIT_MAX / 2 && far <= WAIT_MAX, "{far:?}");
}
