//! Any text, and any payload with a good checksum, is a cap or refused; a cap has only one text.
#![no_main]

use bech32::{Bech32m, Hrp};
use libfuzzer_sys::fuzz_target;
use tarn_client::caps::Cap;

fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data) {
        check(text);
    }
    let Some((kind, payload)) = data.split_first() else {
        return;
    };
    let prefix = ["tarnw", "tarnr", "tarnv"][usize::from(kind % 3)];
    let prefix = Hrp::parse(prefix).expect("these are good prefixes");
    if let Ok(text) = bech32::encode::<Bech32m>(prefix, payload) {
        check(&text);
    }
});

fn check(text: &str) {
    if let Ok(cap) = text.parse::<Cap>() {
        assert_eq!(*cap.to_text(), text.trim().to_lowercase());
    }
}
