//! Writing results to standard output, and numbers as people read them. Everything that is not a result goes to
//! standard error through [`say`].

use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use tarn_proto::{ShareNumber, StoreId};

use crate::error::CommandError;

/// Prints a result and ends the line. A reader that went away is no error: it has what it wanted.
pub(crate) fn print(result: impl fmt::Display) -> Result<(), CommandError> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{result}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CommandError::failed(format_args!("cannot write to standard output: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Says something to whoever watches. Nobody may be listening.
pub(crate) fn say(line: impl fmt::Display) {
    drop(writeln!(io::stderr().lock(), "{line}"));
}

/// A number of bytes in binary units, three digits and more: `1,023 B`, `1.50 KiB`, `512 GiB`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size(pub(crate) u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let power = self.0.ilog2() / 10;
        // Hundredths of the unit, rounded to nearest; 2^64 hundredths of an exbibyte fit easily.
        let unit = 1_u128 << (10 * power);
        let hundredths = (u128::from(self.0) * 100 + unit / 2) / unit;
        let name = UNITS[power as usize - 1];
        let (whole, rest) = (hundredths / 100, hundredths % 100);
        match whole {
            0..10 => write!(f, "{whole}.{rest:02} {name}"),
            10..100 => write!(f, "{whole}.{} {name}", rest / 10),
            _ => write!(f, "{whole} {name}"),
        }
    }
}

/// A span of time in its largest one or two units: `840 ms`, `12.3 s`, `4 min 10 s`, `3 days`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span(pub(crate) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        const DAY: u64 = 24 * HOUR;
        let seconds = self.0.as_secs();
        match seconds {
            0 => write!(f, "{} ms", self.0.as_millis()),
            1..MINUTE => write!(f, "{seconds}.{} s", self.0.subsec_millis() / 100),
            MINUTE..HOUR => write!(f, "{} min {} s", seconds / MINUTE, seconds % MINUTE),
            HOUR..DAY => write!(f, "{} h {} min", seconds / HOUR, seconds % HOUR / MINUTE),
            _ if seconds < 2 * DAY => write!(f, "1 day"),
            _ => write!(f, "{} days", seconds / DAY),
        }
    }
}

/// The first digits of a store's id: enough for people to tell stores apart.
pub(crate) fn short(store: StoreId) -> String {
    store.to_string()[..8].to_owned()
}

/// Share numbers as people list them: `0, 3-5, 9`.
pub(crate) fn list<'a>(shares: impl IntoIterator<Item = &'a ShareNumber>) -> String {
    let mut runs: Vec<(u8, u8)> = Vec::new();
    for number in shares.into_iter().map(|share| share.get()) {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            Some(_) | None => runs.push((number, number)),
        }
    }
    let run = |(first, last): &(u8, u8)| match last - first {
        0 => first.to_string(),
        1 => format!("{first}, {last}"),
        _ => format!("{first}-{last}"),
    };
    runs.iter().map(run).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_people_say_them() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (1536, "1.50 KiB"),
            (100 << 20, "100 MiB"),
            (12_900_000, "12.3 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(Size(bytes).to_string(), text);
        }
    }

    #[test]
    fn spans_read_as_people_say_them() {
        for (milliseconds, text) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (12_345, "12.3 s"),
            (250_000, "4 min 10 s"),
            (3_700_000, "1 h 1 min"),
            (100_000_000, "1 day"),
            (300_000_000, "3 days"),
        ] {
            assert_eq!(Span(Duration::from_millis(milliseconds)).to_string(), text);
        }
    }

    #[test]
    fn share_numbers_are_listed_in_runs() {
        let listed = |numbers: &[u8]| {
            let shares: Vec<_> =
                numbers.iter().map(|&number| ShareNumber::new(number).unwrap()).collect();
            list(&shares)
        };
        assert_eq!(listed(&[]), "");
        assert_eq!(listed(&[4]), "4");
        assert_eq!(listed(&[0, 1, 3, 4, 5, 9]), "0, 1, 3-5, 9");
    }
}
