//! Any bytes are a header or refused; a header encodes to the bytes it was parsed from.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tarn_proto::Header;

fuzz_target!(|data: &[u8]| {
    if let Ok(header) = Header::parse(data) {
        assert_eq!(header.encode(), data);
    }
});
