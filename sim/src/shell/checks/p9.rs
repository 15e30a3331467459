//! P9: nothing unverified reaches a caller: what is read is what the named submission published, byte for byte.
//! (DESIGN §10.)

use bytes::Bytes;

use crate::shell::report::{Broken, Promise};

const PROMISE: Promise = Promise {
    id: "P9",
    sentence: "nothing unverified reaches a decoder, a disk commit or a caller",
};

/// Checks what was read, to its end or up to an error, against what was submitted.
pub(in crate::shell) fn check(
    submitted: Option<&Bytes>,
    read: &[u8],
    to_the_end: bool,
) -> Result<(), Broken> {
    let Some(submitted) = submitted else {
        return Err(PROMISE.broken("a version was read that nobody submitted"));
    };
    let good = if to_the_end { submitted == read } else { submitted.starts_with(read) };
    if good {
        return Ok(());
    }
    let (read, submitted) = (read.len(), submitted.len());
    Err(PROMISE.broken(format!("{read} bytes were read that are not the {submitted} submitted")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_must_have_been_submitted() {
        let submitted = Bytes::from_static(b"content");
        assert_eq!(check(Some(&submitted), b"content", true), Ok(()));
        assert_eq!(check(Some(&submitted), b"cont", false), Ok(()));
        for (submitted, read, to_the_end) in [
            (None, b"content".as_slice(), true),
            (Some(&submitted), b"cont", true),
            (Some(&submitted), b"conTent", true),
            (Some(&submitted), b"T", false),
        ] {
            let broken = check(submitted, read, to_the_end).unwrap_err();
            assert_eq!(broken.promise, PROMISE);
        }
    }
}
