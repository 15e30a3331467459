//! `--offset`, `--append` and `--truncate`: the input becomes a part of a file, and the rest stays. What it makes of the
//! file cannot be made again from the input, so one that was cut off is settled by asking.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use tarn_client::publish::outcome::{Outcome, Report};
use tarn_client::suspects::Heard;
use tarn_client::time::Millis;
use tarn_client::update::{Change, Place as At, Then, UpdateError, UpdateOptions};

use super::Args;
use super::file::File;
use super::input::Input;
use super::journal::{self, NamesJournal};
use super::one::{Ended, Place, Submitted};
use super::settle::take_off_record;
use crate::error::{CommandError, chain};
use crate::get::failed::failed;

/// How many publishes it may take when others write too.
const TRIES: NonZeroU32 = NonZeroU32::new(20).expect("twenty is not zero");

/// Where the input goes, if not in place of all there is.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub(crate) struct PartArgs {
    /// Put the input at this byte of the file, and leave the rest as it is.
    #[arg(long, value_name = "BYTES", group = "part")]
    offset: Option<u64>,
    /// Put the input at the end of the file; a new name gets a new file.
    #[arg(long, group = "part")]
    append: bool,
    /// Let the file end where the input ends.
    #[arg(long, requires = "part")]
    truncate: bool,
}

impl PartArgs {
    /// Where the input goes; none if it is the whole file.
    pub(super) const fn at(&self) -> Option<At> {
        match self.offset {
            Some(offset) => Some(At::Offset(offset)),
            None if self.append => Some(At::End),
            None => None,
        }
    }

    /// Whether the file must be there.
    pub(super) const fn needs_file(&self) -> bool {
        self.offset.is_some()
    }

    const fn then(&self) -> Then {
        if self.truncate { Then::Ends } else { Then::Keeps }
    }
}

/// Publishes the input as a part of the file.
pub(super) async fn publish(
    args: &Args,
    at: At,
    file: File,
    input: Input,
    place: &Place<'_>,
) -> Result<Ended, CommandError> {
    let Input { content, mut running, .. } = input;
    let bytes = content.length();
    let change = Change { at, source: content, then: args.part.then() };
    let options = UpdateOptions {
        first_try: false,
        origin: file.origin.clone(),
        first_shape: file.first_shape,
        if_version: args.if_version,
        attempt: running.attempt(),
        high_water: file.high_water,
        suspects: place.names.lock().suspected()?,
        journal: Arc::new(NamesJournal::new(place.names.clone(), journal::Input::Part)),
        spools: place.home.publishing(),
        tries: TRIES,
        rng: rand::make_rng(),
    };
    let updated = place.session.client.update(&file.cap, &change, options).await;
    running.keep();
    let (report, publishing) = match updated {
        Ok(updated) => (updated.report, Some(updated.publishing)),
        Err(UpdateError::Read(error)) => {
            let names = &mut place.names.lock();
            take_off_record(names, &file, &mut running, &Outcome::Cancelled)?;
            return Err(failed(&error, place.session.grid(), args.json));
        }
        Err(error @ UpdateError::CutOff(_)) => return Err(CommandError::failed(error)),
        Err(error) => (error.report().cloned().unwrap_or_else(|| not_begun(&error)), None),
    };
    let submitted = Submitted { running, bytes, resumed: false, used_up: false };
    Ended::of(file, submitted, report, publishing, place).await
}

/// It did not come to a publish.
fn not_begun(error: &UpdateError) -> Report {
    Report {
        outcome: Outcome::Failed { cause: chain(error) },
        troubles: BTreeMap::new(),
        heard: Heard::default(),
        rounds: 0,
        elapsed: Millis(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Typed {
        #[command(flatten)]
        args: Args,
    }

    fn typed(words: &[&str]) -> Result<PartArgs, clap::Error> {
        let line = ["publish", "f"].iter().chain(words);
        <Typed as clap::Parser>::try_parse_from(line).map(|typed| typed.args.part)
    }

    #[test]
    fn a_part_begins_at_an_offset_or_at_the_end_and_may_end_the_file() {
        let of = |words: &[&str]| {
            let part = typed(words).unwrap();
            (part.at(), part.then(), part.needs_file())
        };
        assert_eq!(of(&[]), (None, Then::Keeps, false));
        assert_eq!(of(&["--offset", "7"]), (Some(At::Offset(7)), Then::Keeps, true));
        assert_eq!(of(&["--append"]), (Some(At::End), Then::Keeps, false));
        assert_eq!(of(&["--offset", "0", "--truncate"]).1, Then::Ends);
        assert_eq!(of(&["--append", "--truncate"]).1, Then::Ends);
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        for words in [
            &["--truncate"][..],
            &["--append", "--offset", "1"],
            &["--offset", "1KiB"],
            &["--append", "--k", "2"],
            &["--offset", "1", "--n", "2"],
        ] {
            assert!(typed(words).is_err(), "{words:?}");
        }
    }
}
