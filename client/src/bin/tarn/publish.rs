//! `tarn publish`: what can be typed. A file or a pipe becomes the newest version of a named file.

#![cfg_attr(not(test), expect(dead_code, reason = "dispatched when the publish machine is here"))]

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use tarn_proto::{Shape, VersionId};

use crate::error::CommandError;
use crate::names::FileName;
use crate::target::TargetText;

/// Publishes a file: encrypted and signed here, cut into shares, durable on a quorum of servers when it returns.
///
/// Publishing the same path again updates the same file.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tarn publish report.pdf
  tar c photos | tarn publish - --name photos.tar
  tarn publish report.pdf --k 5 --n 8         any 5 of 8 shares bring it back
  tarn publish report.pdf --if-version ID     only if nobody published since")]
pub(crate) struct Args {
    /// The file to publish; - reads standard input.
    #[arg(value_name = "FILE|-", requires_if("-", "as"), value_parser = OsStringValueParser::new().map(Source::from))]
    source: Source,
    /// Publish as the file of this name [default: the path's file, else a name made from the path].
    #[arg(long, value_name = "NAME", group = "as")]
    name: Option<FileName>,
    /// Publish as the file of this write cap.
    #[arg(long, value_name = "CAP", group = "as")]
    cap: Option<TargetText>,
    /// Publish only if this is the newest version: its full id.
    #[arg(long, value_name = "ID", value_parser = parse_version)]
    if_version: Option<VersionId>,
    #[command(flatten)]
    shape: ShapeArgs,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Where the bytes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A file.
    File(PathBuf),
    /// Standard input.
    Pipe,
}

/// How a version is cut, as far as it was said.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub(crate) struct ShapeArgs {
    /// How many shares bring the file back [default: 3, or as the file has it].
    #[arg(long, value_name = "NUMBER")]
    k: Option<u32>,
    /// On how many servers distinct shares must be [default: half way between k and n].
    #[arg(long, value_name = "NUMBER")]
    happy: Option<u32>,
    /// How many shares there are [default: 10, or as the file has it].
    #[arg(long, value_name = "NUMBER")]
    n: Option<u32>,
}

impl ShapeArgs {
    /// The shape that is meant, of a file that has this one so far.
    pub(crate) fn applied_to(&self, current: Shape) -> Result<Shape, CommandError> {
        let k = self.k.unwrap_or_else(|| current.k().into());
        let n = self.n.unwrap_or_else(|| current.n().into());
        let shape = match self.happy {
            Some(happy) => Shape::new(k, happy, n),
            None if (k, n) == (current.k().into(), current.n().into()) => Ok(current),
            None => Shape::with_default_happy(k, n),
        };
        shape.map_err(CommandError::usage)
    }
}

impl From<OsString> for Source {
    fn from(typed: OsString) -> Self {
        if typed == "-" { Self::Pipe } else { Self::File(typed.into()) }
    }
}

/// A full version id; a sequence number names no version, as two writers may have used the same one.
pub(crate) fn parse_version(text: &str) -> Result<VersionId, String> {
    text.parse().map_err(|_| {
        "a version is named by its full id, 64 hexadecimal digits, not by its sequence number"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Typed {
        #[command(flatten)]
        args: Args,
    }

    fn typed(words: &[&str]) -> Result<Args, clap::Error> {
        let line = ["publish"].iter().chain(words);
        <Typed as clap::Parser>::try_parse_from(line).map(|typed| typed.args)
    }

    #[test]
    fn a_pipe_needs_a_name_or_a_cap() {
        assert!(typed(&["-"]).is_err());
        assert_eq!(typed(&["-", "--name", "x"]).unwrap().source, Source::Pipe);
        assert!(typed(&["-", "--cap", "tarnw1x"]).is_ok());
        assert!(typed(&["file", "--name", "x", "--cap", "tarnw1x"]).is_err());
        assert!(typed(&["file"]).unwrap().name.is_none());
    }

    #[test]
    fn a_sequence_number_is_no_version() {
        let error = typed(&["file", "--if-version", "7"]).unwrap_err();
        assert!(error.to_string().contains("64 hexadecimal digits"));
        let args = typed(&["file", "--json", "--if-version", &"ab".repeat(32)]).unwrap();
        assert_eq!(args.if_version, Some(VersionId::new([0xab; 32])));
        assert!(args.json && args.cap.is_none());
    }

    #[test]
    fn what_is_not_said_of_the_shape_stays() {
        let of = |words: &[&str], current| typed(words).unwrap().shape.applied_to(current);
        let odd = Shape::new(2, 2, 9).unwrap();
        assert_eq!(of(&["f"], odd).unwrap(), odd);
        assert_eq!(of(&["f", "--k", "2"], odd).unwrap(), odd);
        let wider = of(&["f", "--n", "12"], odd).unwrap();
        assert_eq!((wider.k(), wider.happy(), wider.n()), (2, 7, 12));
        let chosen = of(&["f", "--k", "1", "--happy", "1", "--n", "1"], odd).unwrap();
        assert_eq!((chosen.k(), chosen.happy(), chosen.n()), (1, 1, 1));
        let error = of(&["f", "--k", "10"], odd).unwrap_err();
        assert_eq!(error.exit() as u8, 2);
    }
}
