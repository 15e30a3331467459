//! Where the bytes to publish come from: a file, a pipe, or what a publish that was cut off had kept of its pipe.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use tarn_client::caps::{WriteCap, fresh_attempt_id};
use tarn_client::encode::source::Source as Content;
use tarn_client::encode::spool::Spool;

use super::Args;
use super::file::Meant;
use crate::clock::UnixSeconds;
use crate::error::{CommandError, chain};
use crate::home::Home;
use crate::names::{Wanted, path_identity};
use crate::servers::os_rng;
use crate::target::{Target, TargetText};
use crate::unfinished::Running;

/// Where the bytes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A file.
    File(PathBuf),
    /// Standard input.
    Pipe,
    /// What was kept of a pipe, in this file.
    Kept(PathBuf),
    /// Nowhere any more: they were read once.
    Lost,
    /// They were a part of the file, made of what servers had.
    Part,
}

impl From<OsString> for Source {
    fn from(typed: OsString) -> Self {
        if typed == "-" { Self::Pipe } else { Self::File(typed.into()) }
    }
}

/// What is to be published.
pub(super) struct Input {
    pub(super) content: Content,
    /// Where it can be had again.
    pub(super) path: PathBuf,
    /// The submission, unless an earlier one is taken up.
    pub(super) running: Running,
}

impl Meant {
    /// The file that was typed.
    pub(super) fn of(args: &Args) -> Result<Self, CommandError> {
        let path = match &args.source {
            // What is resumed has its name, and its path may be gone.
            Source::File(path) if !args.only_resumes => Some(
                path_identity(path).map_err(|error| CommandError::file("find", path, &error))?,
            ),
            Source::File(_) | Source::Pipe | Source::Kept(_) | Source::Lost | Source::Part => None,
        };
        match (&args.cap, &args.name, path) {
            (Some(text), _, _) => Ok(Self::Cap(write_cap(text)?)),
            (None, Some(name), path) => {
                // What is put into a file does not come to be where all of it is published from.
                let path = path.filter(|_| args.part.at().is_none());
                Ok(Self::Named(Wanted::Name(name.clone(), path)))
            }
            (None, None, Some(path)) => Ok(Self::Named(Wanted::Path(path))),
            (None, None, None) => {
                Err(CommandError::usage("what comes through a pipe needs --name or --cap"))
            }
        }
    }
}

impl Input {
    /// The content, as it is there now.
    pub(super) async fn of(source: &Source, home: &Home) -> Result<Self, CommandError> {
        let running = begin(home)?;
        let (content, path) = match source {
            Source::File(path) => {
                let content =
                    Content::file(path).map_err(|error| CommandError::failed(chain(&error)))?;
                let path = std::path::absolute(path)
                    .map_err(|error| CommandError::file("find", path, &error))?;
                (content, path)
            }
            Source::Pipe => {
                let path = running.input();
                (Content::Spool(spool(&path).await?), path)
            }
            Source::Kept(path) => {
                let kept =
                    Spool::open(path).map_err(|error| CommandError::file("read", path, &error))?;
                (Content::Spool(kept), path.clone())
            }
            Source::Lost => {
                return Err(CommandError::failed("its content was kept nowhere"));
            }
            Source::Part => {
                return Err(CommandError::failed(
                    "it was to change a part of the file and cannot be sent again",
                ));
            }
        };
        Ok(Self { content, path, running })
    }
}

/// Puts a new submission on record.
pub(super) fn begin(home: &Home) -> Result<Running, CommandError> {
    loop {
        let attempt = fresh_attempt_id(&mut os_rng(), UnixSeconds::since_epoch());
        if let Some(running) = Running::begin(home, attempt)? {
            return Ok(running);
        }
    }
}

fn write_cap(text: &TargetText) -> Result<WriteCap, CommandError> {
    match text.parse()? {
        Target::Cap(cap) => cap.write_cap().cloned().ok_or_else(|| {
            CommandError::usage("publishing takes a write cap, and this one only allows to read")
        }),
        Target::Name(_) => {
            Err(CommandError::usage("--cap takes a write cap; names go with --name"))
        }
    }
}

/// What comes through standard input, kept until the outcome is known: shares that lose their server are encoded again
/// from it, and so is all of it if this process is killed.
async fn spool(path: &Path) -> Result<Spool, CommandError> {
    Spool::fill_named(tokio::io::stdin(), path, u64::MAX)
        .await
        .map_err(|error| CommandError::failed(chain(&error)))
}
