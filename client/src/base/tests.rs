use ed25519_dalek::SigningKey;
use tarn_proto::{
    AttemptId, Certificate, ConversationId, Generation, Geometry, HistoryEntry, Origin as Came,
    Shape, ShareHealth, ShareNumber, VerifyKey,
};

use super::*;

/// A file of 2-of-`n` on the stores 0..`n`, happy 2 unless a test says otherwise.
struct File {
    key: SigningKey,
    window: Window,
    shape: Shape,
}

impl File {
    fn on(stores: u8, k: u32) -> Self {
        Self {
            key: SigningKey::from_bytes(&[1; 32]),
            window: Window::new((0..stores).map(store).collect()).unwrap(),
            shape: Shape::new(k, 1, stores.into()).unwrap(),
        }
    }

    fn version(&self, seqnum: u64, attempt: u8, on: Option<&SignedHeader>) -> SignedHeader {
        let header = Header {
            tombstone: false,
            storage_index: VerifyKey::of(&self.key).storage_index(),
            sequence_number: SequenceNumber::new(seqnum).unwrap(),
            predecessor: on.map(SignedHeader::version),
            shape: self.shape,
            geometry: Geometry::choose(self.shape, 100).unwrap(),
            table_root: [attempt; 32],
            attempt: AttemptId::new([attempt; 16]),
            key_check: [0; 16],
            window: self.window.clone(),
            joint: None,
        };
        SignedHeader::sign(&self.key, header)
    }

    fn choose(&self, answers: &[(u8, SlotState)]) -> Choice {
        choose(&answers.iter().cloned().map(|(s, a)| (store(s), a)).collect(), &self.creator())
    }

    fn creator(&self) -> Origin {
        Origin::Creator(self.window.clone())
    }

    fn certify(&self, version: &SignedHeader) -> Certificate {
        Certificate::sign(&self.key, version.header().sequence_number, version.version())
    }
}

fn store(number: u8) -> StoreId {
    StoreId::new([number; 16])
}

/// What server `number` says: it holds its share of each of these versions, newest first.
fn holds(number: u8, versions: &[&SignedHeader]) -> (u8, SlotState) {
    let mut state = SlotState::empty(store(number));
    state.floor = versions.iter().copied().max_by_key(|header| header.order()).cloned();
    let share = ShareNumber::new(number).unwrap();
    state.generations = versions
        .iter()
        .map(|&header| Generation {
            header: header.clone(),
            shares: [(share, ShareHealth::Whole)].into(),
            origin: Came::Committed(ConversationId::new([number; 16])),
        })
        .collect();
    (number, state)
}

fn base_of(choice: &Choice) -> Option<VersionId> {
    match choice {
        Choice::Chosen { base, .. } => base.version(),
        Choice::Undecided(undecided) => panic!("undecided: {undecided:?}"),
    }
}

#[test]
fn a_creator_who_hears_a_majority_say_nothing_begins_from_nothing() {
    let file = File::on(3, 2);
    let choice = file.choose(&[holds(0, &[]), holds(1, &[])]);
    let windows = Windows { window: file.window, joint: None };
    assert_eq!(choice, Choice::Chosen { base: Base::Empty(windows), certain: true });
}

#[test]
fn less_than_a_majority_chooses_nothing() {
    let file = File::on(3, 2);
    let v1 = file.version(1, 1, None);
    let silent: BTreeSet<_> = [store(1), store(2)].into();
    let choice = file.choose(&[holds(0, &[&v1])]);
    let windows = Windows { window: file.window, joint: None };
    assert_eq!(choice, Choice::Undecided(Undecided::NoMajority { silent, windows }));
}

#[test]
fn a_cap_holder_who_finds_nothing_never_begins_from_nothing() {
    let file = File::on(3, 2);
    let answers = [holds(0, &[]), holds(1, &[]), holds(2, &[])];
    let answers = answers.into_iter().map(|(s, a)| (store(s), a)).collect();
    assert!(matches!(
        choose(&answers, &Origin::CapHolder),
        Choice::Undecided(Undecided::NoHeader { .. })
    ));
    assert!(matches!(
        choose(&answers, &file.creator()),
        Choice::Chosen { base: Base::Empty(_), .. }
    ));
}

#[test]
fn a_quorum_of_holders_is_certain() {
    let file = File::on(3, 2);
    let v1 = file.version(1, 1, None);
    let choice = file.choose(&[holds(0, &[&v1]), holds(1, &[&v1]), holds(2, &[])]);
    assert_eq!(choice, Choice::Chosen { base: Base::Version(v1), certain: true });
}

#[test]
fn a_fragment_of_fewer_than_k_shares_blocks_nothing_once_everybody_has_answered() {
    let file = File::on(5, 4);
    let v1 = file.version(1, 1, None);
    let v2 = file.version(2, 2, Some(&v1));
    let answers = [
        holds(0, &[&v2, &v1]),
        holds(1, &[&v2, &v1]),
        holds(2, &[&v2, &v1]),
        holds(3, &[&v1]),
        holds(4, &[&v1]),
    ];
    assert_eq!(base_of(&file.choose(&answers)), Some(v1.version()));
    // Whoever is silent may hold what it lacks.
    assert!(matches!(
        file.choose(&answers[..4]),
        Choice::Undecided(Undecided::InDoubt { newest, .. }) if newest == v2
    ));
}

#[test]
fn an_empty_version_needs_no_shares_to_be_brought_to_a_quorum() {
    let file = File::on(5, 4);
    let v1 = file.version(1, 1, None);
    let mut header = file.version(2, 2, Some(&v1)).header().clone();
    header.geometry = Geometry::choose(file.shape, 0).unwrap();
    let v2 = SignedHeader::sign(&file.key, header);
    let current: [&SignedHeader; 2] = [&v2, &v1];
    let answers = [
        holds(0, &current),
        holds(1, &current),
        holds(2, &current),
        holds(3, &[&v1]),
        holds(4, &[&v1]),
    ];
    assert_eq!(base_of(&file.choose(&answers)), Some(v2.version()));
}

#[test]
fn a_newer_fragment_is_passed_over_only_when_it_cannot_have_been_published() {
    let file = File::on(5, 2);
    let v1 = file.version(1, 1, None);
    let v2 = file.version(2, 2, Some(&v1));
    let all = [
        holds(0, &[&v2, &v1]),
        holds(1, &[&v1]),
        holds(2, &[&v1]),
        holds(3, &[&v1]),
        holds(4, &[&v1]),
    ];
    assert_eq!(base_of(&file.choose(&all)), Some(v1.version()));
    // Two silent servers could hold v2 as well: one and two make a quorum of three.
    let choice = file.choose(&all[..3]);
    let silent = [store(3), store(4)].into();
    assert_eq!(choice, Choice::Undecided(Undecided::InDoubt { silent, newest: v2 }));
}

#[test]
fn a_fragment_on_a_quorum_of_servers_is_passed_over_once_nobody_is_silent() {
    // Two servers are a quorum by their number, and hold too few shares to be one of this version.
    let mut file = File::on(3, 3);
    file.shape = Shape::new(3, 2, 3).unwrap();
    let v1 = file.version(1, 1, None);
    let v2 = file.version(2, 2, Some(&v1));
    let two = [holds(0, &[&v2, &v1]), holds(1, &[&v2, &v1])];
    assert!(matches!(file.choose(&two), Choice::Undecided(Undecided::InDoubt { .. })));
    let [zero, one] = two;
    let all = file.choose(&[zero, one, holds(2, &[&v1])]);
    assert_eq!(base_of(&all), Some(v1.version()));
}

#[test]
fn a_recoverable_version_in_doubt_is_the_base_but_not_certain() {
    let file = File::on(5, 2);
    let v1 = file.version(1, 1, None);
    let v2 = file.version(2, 2, Some(&v1));
    let answers =
        [holds(0, &[&v2, &v1]), holds(1, &[&v2, &v1]), holds(2, &[&v1]), holds(3, &[&v1])];
    let choice = file.choose(&answers);
    assert_eq!(choice, Choice::Chosen { base: Base::Version(v2), certain: false });
}

#[test]
fn siblings_that_may_both_have_been_published_leave_it_undecided() {
    let file = File::on(5, 2);
    let (one, two) = (file.version(1, 1, None), file.version(1, 2, None));
    let answers = [holds(0, &[&one]), holds(1, &[&one]), holds(2, &[&two])];
    assert!(matches!(file.choose(&answers), Choice::Undecided(Undecided::InDoubt { .. })));
    let more = [holds(0, &[&one]), holds(1, &[&one]), holds(2, &[&two]), holds(3, &[])];
    assert_eq!(base_of(&file.choose(&more)), Some(one.version()));
}

#[test]
fn the_number_alone_never_decides() {
    // v3 was built past v2 by somebody who could rule v2 out; here too few say so.
    let file = File::on(5, 2);
    let v1 = file.version(1, 1, None);
    let v2 = file.version(2, 2, Some(&v1));
    let v3 = file.version(3, 3, Some(&v1));
    let answers = [
        holds(0, &[&v3, &v1]),
        holds(1, &[&v3, &v1]),
        holds(2, &[&v2, &v1]),
        holds(3, &[&v2, &v1]),
    ];
    assert!(matches!(file.choose(&answers), Choice::Undecided(Undecided::InDoubt { .. })));
}

#[test]
fn ancestors_are_left_aside_whatever_they_may_have_been() {
    let file = File::on(5, 2);
    let v1 = file.version(1, 1, None);
    let v2 = file.version(2, 2, Some(&v1));
    let v3 = file.version(3, 3, Some(&v2));
    let answers = [
        holds(0, &[&v3, &v2, &v1]),
        holds(1, &[&v3, &v2, &v1]),
        holds(2, &[&v1]),
        holds(3, &[&v1]),
    ];
    assert_eq!(base_of(&file.choose(&answers)), Some(v3.version()));
}

#[test]
fn a_certificate_makes_certain_what_holders_do_not() {
    let file = File::on(5, 2);
    let v1 = file.version(1, 1, None);
    let v2 = file.version(2, 2, Some(&v1));
    let mut answers =
        [holds(0, &[&v2, &v1]), holds(1, &[&v2, &v1]), holds(2, &[&v1]), holds(3, &[])];
    answers[0].1.certificates.push(file.certify(&v2));
    let choice = file.choose(&answers);
    assert_eq!(choice, Choice::Chosen { base: Base::Version(v2), certain: true });
}

#[test]
fn a_certified_version_that_cannot_be_recovered_is_not_passed_over() {
    let file = File::on(5, 2);
    let v1 = file.version(1, 1, None);
    let v2 = file.version(2, 2, Some(&v1));
    let mut answers =
        [holds(0, &[&v2]), holds(1, &[&v1]), holds(2, &[&v1]), holds(3, &[&v1]), holds(4, &[&v1])];
    answers[0].1.certificates.push(file.certify(&v2));
    assert!(matches!(file.choose(&answers), Choice::Undecided(Undecided::InDoubt { .. })));
}

#[test]
fn a_certificate_of_a_forgotten_version_is_overruled_by_a_newer_certain_ancestor() {
    // Server 4 was away since `old`; the link from `now` down to it is no longer held by anybody.
    let file = File::on(5, 2);
    let old = file.version(1, 1, None);
    let between = file.version(2, 2, Some(&old));
    let known = file.version(3, 3, Some(&between));
    let now = file.version(4, 4, Some(&known));
    let mut answers = [
        holds(0, &[&now, &known]),
        holds(1, &[&now, &known]),
        holds(2, &[&known]),
        holds(3, &[&known]),
        holds(4, &[&old]),
    ];
    answers[4].1.certificates.push(file.certify(&old));
    assert_eq!(base_of(&file.choose(&answers)), Some(now.version()));
}

#[test]
fn damaged_shares_count_as_held_never_as_recoverable() {
    let file = File::on(3, 2);
    let v1 = file.version(1, 1, None);
    let mut answers = [holds(0, &[&v1]), holds(1, &[&v1]), holds(2, &[])];
    for health in answers[0].1.generations[0].shares.values_mut() {
        *health = ShareHealth::Damaged;
    }
    assert!(matches!(file.choose(&answers), Choice::Undecided(Undecided::InDoubt { .. })));
}

#[test]
fn headers_of_different_windows_leave_it_undecided_and_a_joint_one_settles_it() {
    let mut file = File::on(3, 2);
    let v1 = file.version(1, 1, None);
    let old_window = file.window.clone();
    file.window = Window::new((3..6).map(store).collect()).unwrap();
    let v2 = file.version(2, 2, Some(&v1));
    let answers: Vec<_> =
        (0..3).map(|s| holds(s, &[&v1])).chain((3..6).map(|s| holds(s, &[&v2]))).collect();
    assert_eq!(file.choose(&answers), Choice::Undecided(Undecided::Windows));

    let mut joint = v1.header().clone();
    joint.sequence_number = SequenceNumber::new(2).unwrap();
    joint.predecessor = Some(v1.version());
    (joint.window, joint.joint) = (file.window.clone(), Some(old_window));
    let joint = SignedHeader::sign(&file.key, joint);
    let moving: Vec<_> = (0..3)
        .map(|s| holds(s, &[&joint, &v1]))
        .chain((3..6).map(|s| holds(s, &[&joint])))
        .collect();
    assert_eq!(base_of(&file.choose(&moving)), Some(joint.version()));
}

#[test]
fn a_stray_is_read_and_never_counted() {
    let file = File::on(3, 2);
    let v1 = file.version(1, 1, None);
    let mut stray = holds(9, &[&v1]);
    stray.1.generations[0].shares = [(ShareNumber::new(2).unwrap(), ShareHealth::Whole)].into();
    let answers = [holds(0, &[&v1]), holds(1, &[]), stray];
    let choice = file.choose(&answers);
    // Recoverable with the stray's share, in doubt because server 2 is silent, and certain only if two hold it.
    assert_eq!(choice, Choice::Chosen { base: Base::Version(v1), certain: false });
}

#[test]
fn our_attempt_is_found_published_through_history_on_the_chain_only() {
    let file = File::on(3, 2);
    let ours = file.version(1, 7, None);
    let next = file.version(2, 8, Some(&ours));
    let last = file.version(3, 9, Some(&next));
    let entry = |header: &SignedHeader| HistoryEntry {
        attempt: header.header().attempt,
        version: header.version(),
        predecessor: header.header().predecessor,
        sequence_number: header.header().sequence_number,
    };
    let mut answers: Vec<_> = (0..3).map(|s| holds(s, &[&last])).collect();
    let gather = |answers: &[(u8, SlotState)]| {
        Evidence::gather(&answers.iter().cloned().map(|(s, a)| (store(s), a)).collect())
    };
    let attempt = AttemptId::new([7; 16]);
    answers[0].1.history = vec![entry(&ours)];
    assert_eq!(gather(&answers).published_by(attempt), None, "the chain down to it is broken");
    answers[1].1.history = vec![entry(&next)];
    assert_eq!(gather(&answers).published_by(attempt), Some(ours.version()));
}

#[test]
fn our_attempt_is_found_below_a_base_by_what_goes_along_with_it() {
    let file = File::on(5, 2);
    let v1 = file.version(1, 1, None);
    let ours = file.version(2, 7, Some(&v1));
    let next = file.version(3, 8, Some(&ours));
    let mut answers: Vec<_> = (0..3).map(|s| holds(s, &[&v1])).collect();
    answers[0] = holds(0, &[&next]);
    let gather = |answers: &[(u8, SlotState)]| {
        Evidence::gather(&answers.iter().cloned().map(|(s, a)| (store(s), a)).collect())
    };
    let attempt = AttemptId::new([7; 16]);
    assert_eq!(gather(&answers).carried_by(next.version(), attempt), None, "nobody tells of it");
    answers[0].1.ancestors = vec![ours.clone()];
    let evidence = gather(&answers);
    assert_eq!(evidence.carried_by(next.version(), attempt), Some(ours.version()));
    // Nothing of v1 was certified, and two of five are no quorum: it goes along too.
    assert_eq!(evidence.ancestors(Some(next.version())), [next, ours, v1]);
}

#[test]
fn the_next_number_is_above_every_floor() {
    let file = File::on(3, 2);
    let v1 = file.version(1, 1, None);
    let lone = file.version(8, 2, Some(&v1));
    let mut answers: Vec<_> = (0..3).map(|s| holds(s, &[&v1])).collect();
    answers[2].1.floor = Some(lone);
    let evidence = Evidence::gather(&answers.into_iter().map(|(s, a)| (store(s), a)).collect());
    assert_eq!(evidence.next_sequence_number(), SequenceNumber::new(9));
}

#[test]
fn the_newest_certain_version_is_not_simply_the_newest() {
    let file = File::on(3, 2);
    let v1 = file.version(1, 1, None);
    let v2 = file.version(2, 2, Some(&v1));
    let v3 = file.version(3, 3, Some(&v2));
    let mut certified = holds(2, &[&v1]);
    certified.1.certificates = vec![file.certify(&v2)];
    let answers = [holds(0, &[&v3, &v1]), holds(1, &[&v1]), certified];
    let answers = answers.into_iter().map(|(s, a)| (store(s), a)).collect();
    let evidence = Evidence::gather(&answers);
    assert_eq!(evidence.newest_certain(), Some(v2.version()), "only its certificate was seen");
    assert_eq!(Evidence::default().newest_certain(), None);
}
