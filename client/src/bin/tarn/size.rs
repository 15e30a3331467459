//! Numbers of bytes as people type them.

/// A number of bytes, with or without a unit.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u32); 10] = [
        ("TiB", 40),
        ("GiB", 30),
        ("MiB", 20),
        ("KiB", 10),
        ("T", 40),
        ("G", 30),
        ("M", 20),
        ("K", 10),
        ("B", 0),
        ("", 0),
    ];
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = text[digits.len()..].trim();
    let shift = UNITS.iter().find(|(name, _)| *name == unit);
    let number = digits.trim().parse::<u64>();
    match (number, shift) {
        (Ok(number), Some((_, shift))) => {
            number.checked_mul(1 << shift).ok_or_else(|| "that is more than 16 EiB".to_owned())
        }
        (Err(_), _) | (_, None) => {
            Err("write a whole number of bytes, or of KiB, MiB, GiB or TiB".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_and_without_units() {
        assert_eq!(parse("0"), Ok(0));
        assert_eq!(parse("512"), Ok(512));
        assert_eq!(parse("10GiB"), Ok(10 << 30));
        assert_eq!(parse("3 MiB"), Ok(3 << 20));
        for text in ["", "GiB", "1.5GiB", "-1", "10GB", "99999999999TiB"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
