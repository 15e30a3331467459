//! `tarn get`: what can be typed. A version of a file, or a part of it, comes back.

use std::path::PathBuf;

use crate::target::TargetText;

/// Reads a file back: decrypted and verified here, from any servers that hold enough of it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tarn get report.pdf -o copy.pdf
  tarn get tarnr1… | tar x
  tarn get report.pdf --range 0..1024     the first 1,024 bytes
  tarn get report.pdf --range 4096..      all but the first 4,096 bytes")]
pub(crate) struct Args {
    /// A name, as `tarn ls` lists them, or a read or write cap.
    #[arg(value_name = "NAME|CAP")]
    file: TargetText,
    /// Where to write it, replacing what is there when it is complete [default: standard output].
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Only the bytes from A up to, but without, B.
    #[arg(long, value_name = "A..B", value_parser = parse_range)]
    range: Option<ByteRange>,
    /// Fail where it cannot be told that there is no newer version, instead of warning.
    #[arg(long)]
    strict: bool,
    /// Describe the version in one JSON object; needs --output.
    #[arg(long, requires = "output")]
    json: bool,
}

/// A run of bytes of a file, or all from a byte on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ByteRange {
    /// The first byte.
    pub(crate) start: u64,
    /// The byte after the last; none means the file's end. Not before `start`.
    pub(crate) end: Option<u64>,
}

fn parse_range(text: &str) -> Result<ByteRange, String> {
    let form = || "write A..B with A not above B, A.. or ..B; bytes count from zero".to_owned();
    let (start, end) = text.split_once("..").ok_or_else(form)?;
    let number = |digits: &str| match digits {
        "" => Ok(None),
        digits => digits.parse::<u64>().map(Some).map_err(|_| form()),
    };
    let range = ByteRange { start: number(start)?.unwrap_or(0), end: number(end)? };
    match range.end {
        Some(end) if end < range.start => Err(form()),
        Some(_) | None => Ok(range),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_half_open_and_never_backwards() {
        let range = |start, end| Ok(ByteRange { start, end });
        assert_eq!(parse_range("0..10"), range(0, Some(10)));
        assert_eq!(parse_range("7..7"), range(7, Some(7)));
        assert_eq!(parse_range("7.."), range(7, None));
        assert_eq!(parse_range("..7"), range(0, Some(7)));
        for text in ["", "7", "8..7", "a..b", "-1..2", "1...2", "1..=2"] {
            assert!(parse_range(text).is_err(), "{text}");
        }
    }

    #[test]
    fn standard_output_holds_the_file_or_the_description_never_both() {
        #[derive(Debug, clap::Parser)]
        struct Typed {
            #[command(flatten)]
            args: Args,
        }
        let typed = |words: &[&str]| {
            let line = ["get"].iter().chain(words);
            <Typed as clap::Parser>::try_parse_from(line).map(|typed| typed.args)
        };
        assert!(typed(&["x", "--json"]).is_err());
        let args = typed(&["x", "--json", "-o", "y", "--strict", "--range", "1..2"]).unwrap();
        assert!(args.json && args.strict && args.file.parse().is_ok());
        assert_eq!((args.output, args.range.is_some()), (Some("y".into()), true));
    }
}
