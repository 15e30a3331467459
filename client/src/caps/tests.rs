use std::time::Duration;

use bech32::{Bech32m, Hrp};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use super::*;

fn write_cap() -> WriteCap {
    WriteCap::from_secret(Zeroizing::new(std::array::from_fn(|i| u8::try_from(i).unwrap())))
}

fn all_caps() -> [Cap; 3] {
    let write = write_cap();
    [Cap::Write(write.clone()), Cap::Read(write.read_cap()), Cap::Verify(write.verify_cap())]
}

fn text_of(prefix: &str, payload: &[u8]) -> String {
    bech32::encode::<Bech32m>(Hrp::parse(prefix).unwrap(), payload).unwrap()
}

#[test]
fn each_cap_reads_back_and_begins_as_documented() {
    for (cap, beginning) in all_caps().into_iter().zip(["tarnw1", "tarnr1", "tarnv1"]) {
        let text = cap.to_text();
        assert!(text.starts_with(beginning));
        assert_eq!(text.parse::<Cap>(), Ok(cap.clone()));
        assert_eq!(format!("  {}\n", *text).parse::<Cap>(), Ok(cap.clone()));
        assert_eq!(text.to_ascii_uppercase().parse::<Cap>(), Ok(cap));
    }
}

#[test]
fn rights_only_become_weaker_and_stay_with_their_file() {
    let [write, read, verify] = all_caps();
    assert_eq!(write.read_cap(), read.read_cap());
    assert_eq!(write.verify_cap(), verify.verify_cap());
    assert_eq!(read.verify_cap(), verify.verify_cap());
    assert_eq!((read.write_cap(), verify.read_cap()), (None, None));
}

#[test]
fn text_is_never_longer_than_the_room_made_for_it() {
    for cap in all_caps() {
        let text = cap.to_text();
        assert_eq!(text.capacity(), 116, "{}", cap.kind());
    }
}

#[test]
fn debug_shows_no_secret() {
    for cap in all_caps() {
        let shown = format!("{cap:?}");
        assert!(shown.len() < 60 && !shown.contains("tarn"), "{shown}");
    }
    let secret = hex::encode(&write_cap().0[..4]);
    assert!(!format!("{:?}", write_cap()).contains(&secret));
}

#[test]
fn every_single_wrong_character_is_refused() {
    for cap in all_caps() {
        let text = cap.to_text();
        for position in 0..text.len() {
            for wrong in (' '..='~').chain(['\n', 'ä', '\0']) {
                let mut letters: Vec<char> = text.chars().collect();
                if letters[position] == wrong {
                    continue;
                }
                letters[position] = wrong;
                let bent: String = letters.into_iter().collect();
                assert!(bent.parse::<Cap>().is_err(), "{position} {wrong:?}");
            }
        }
    }
}

#[test]
fn every_truncation_and_every_missing_character_is_refused() {
    for cap in all_caps() {
        let text = cap.to_text();
        for length in 0..text.len() {
            assert!(text[..length].parse::<Cap>().is_err(), "{length} letters");
            assert!(text[length + 1..].parse::<Cap>().is_err());
            let without = format!("{}{}", &text[..length], &text[length + 1..]);
            assert!(without.parse::<Cap>().is_err(), "without letter {length}");
        }
    }
}

#[test]
fn each_mistake_has_its_own_error() {
    let parse = |text: &str| text.parse::<Cap>().unwrap_err();
    assert_eq!(parse(" \n"), CapError::Empty);
    assert_eq!(parse("hello"), CapError::NotACap);
    assert_eq!(parse(&text_of("bc", &[1; 33])), CapError::NotACap);
    let text = write_cap().to_text();
    assert_eq!(parse(&text[..text.len() - 1]), CapError::Checksum);
    assert_eq!(parse("tarnw1"), CapError::Checksum);
    assert_eq!(parse(&text_of("tarnw", &[9; 33])), CapError::UnknownSuite { suite: 9 });
    for (prefix, bytes) in
        [("tarnw", 32), ("tarnw", 34), ("tarnr", 33), ("tarnr", 1), ("tarnv", 65)]
    {
        let error = parse(&text_of(prefix, &vec![1; bytes]));
        assert!(matches!(error, CapError::Length { got, .. } if got == bytes - 1), "{error}");
    }
    let mut weak = [0; 33];
    (weak[0], weak[1]) = (1, 1);
    assert_eq!(parse(&text_of("tarnv", &weak)), CapError::UnusableKey);
}

#[test]
fn a_cap_of_another_kind_is_named() {
    let read = write_cap().read_cap().to_text();
    assert_eq!(
        read.parse::<WriteCap>(),
        Err(CapError::Kind { expected: CapKind::Write, got: CapKind::Read })
    );
    assert!(read.parse::<ReadCap>().is_ok() && read.parse::<VerifyCap>().is_err());
}

#[test]
fn left_over_bits_give_no_second_text_for_a_cap() {
    // 33 bytes leave one bit over in the last of 53 digits; set it, and make the checksum good again.
    use bech32::{ByteIterExt, Fe32, Fe32IterExt};
    let mut payload = vec![1_u8];
    payload.extend_from_slice(write_cap().0.as_slice());
    let mut digits: Vec<Fe32> = payload.into_iter().bytes_to_fes().collect();
    let last = digits.len() - 1;
    digits[last] = Fe32::try_from(digits[last].to_u8() | 1).unwrap();
    let bent: String = digits
        .into_iter()
        .with_checksum::<Bech32m>(&Hrp::parse("tarnw").unwrap())
        .chars()
        .collect();
    assert_eq!(bent.parse::<Cap>(), Err(CapError::Checksum));
}

#[test]
fn a_repeated_random_number_still_gives_two_attempts() {
    let draw = |seconds| {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        fresh_attempt_id(&mut rng, Duration::from_secs(seconds))
    };
    assert_eq!(draw(5), draw(5));
    assert_ne!(draw(5), draw(6));
}

#[test]
fn a_keyed_attempt_depends_on_file_key_and_content() {
    let cap = write_cap();
    let other = WriteCap::from_secret(Zeroizing::new([9; 32]));
    let first = cap.attempt_id_for(b"key", &[1; 32]);
    assert_eq!(first, cap.attempt_id_for(b"key", &[1; 32]));
    assert_ne!(first, cap.attempt_id_for(b"key", &[2; 32]));
    assert_ne!(first, cap.attempt_id_for(b"kez", &[1; 32]));
    assert_ne!(first, other.attempt_id_for(b"key", &[1; 32]));
}

proptest! {
    #[test]
    fn any_file_round_trips(secret in any::<[u8; 32]>()) {
        let cap = WriteCap::from_secret(Zeroizing::new(secret));
        prop_assert_eq!(cap.to_text().parse::<WriteCap>(), Ok(cap.clone()));
        prop_assert_eq!(cap.read_cap().to_text().parse::<ReadCap>(), Ok(cap.read_cap()));
        prop_assert_eq!(cap.verify_cap().to_text().parse::<VerifyCap>(), Ok(cap.verify_cap()));
    }

    #[test]
    fn any_text_is_parsed_without_panic(text in any::<String>(), kind in 0_usize..3) {
        let _ = text.parse::<Cap>();
        let prefix = ["tarnw", "tarnr", "tarnv"][kind];
        let _ = format!("{prefix}1{text}").parse::<Cap>();
    }

    #[test]
    fn any_payload_is_parsed_without_panic(
        payload in prop::collection::vec(any::<u8>(), 0..80), kind in 0_usize..3,
    ) {
        let text = text_of(["tarnw", "tarnr", "tarnv"][kind], &payload);
        if let Ok(cap) = text.parse::<Cap>() {
            prop_assert_eq!(&*cap.to_text(), &text);
        }
    }
}
