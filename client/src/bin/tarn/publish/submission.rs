//! Which submission a publish is a try of: a new one, or one of the same content that was cut off. Taken up again, it
//! takes effect once, whatever the first try had done.

use std::collections::BTreeSet;
use std::path::PathBuf;

use tarn_client::encode::source::Source as Content;
use tarn_client::publish::outcome::Landed;
use tarn_proto::SequenceNumber;

use super::file::File;
use super::input::Input;
use crate::error::{CommandError, chain};
use crate::home::Home;
use crate::names::SharedNames;
use crate::output;
use crate::session::Session;
use crate::unfinished::{Running, Unfinished};

/// One try of a submission.
pub(super) struct Submission {
    pub(super) running: Running,
    pub(super) content: Content,
    pub(super) input: PathBuf,
    /// The try that it takes up.
    pub(super) earlier: Option<Unfinished>,
}

impl Submission {
    /// The newest publish of the file that was cut off and was of this very content; else a new one. A change of a part
    /// of the file is never taken up: the content that it made is not its input.
    pub(super) async fn choose(
        input: Input,
        file: &File,
        names: &SharedNames,
        session: &Session,
        home: &Home,
    ) -> Result<Self, CommandError> {
        let Input { content, path, running } = input;
        let cap = file.cap.read_cap();
        let unfinished = Unfinished::list(&names.lock(), home, Some(file.storage_index()))?;
        for earlier in unfinished.into_iter().rev().filter(Unfinished::can_be_sent_again) {
            let header = earlier.newest.signed.header();
            let same = session.client.reproduces(&cap, header, &content).await;
            if same.map_err(|error| CommandError::failed(chain(&error)))?
                && let Some(running) = earlier.take_up(&names.lock(), home)?
            {
                let input = earlier.newest.input.clone().unwrap_or(path);
                return Ok(Self { running, content, input, earlier: Some(earlier) });
            }
        }
        Ok(Self { running, content, input: path, earlier: None })
    }

    /// Tells a person that an earlier publish is taken up.
    pub(super) fn announce(&self) {
        if let Some(earlier) = &self.earlier {
            output::say(format_args!(
                "taking up the publish of version {} that was cut off",
                earlier.newest.signed.header().sequence_number
            ));
        }
    }

    /// The highest sequence number that it has used.
    pub(super) fn spent(&self) -> Option<SequenceNumber> {
        let newest = self.earlier.as_ref().map(|earlier| earlier.newest.signed.header());
        newest.map(|header| header.sequence_number)
    }

    /// What the earlier try may have left on servers.
    pub(super) fn left(&self) -> Option<Landed> {
        self.earlier.as_ref().map(|earlier| Landed {
            header: earlier.newest.signed.clone(),
            accepted: BTreeSet::new(),
            unknown: earlier.newest.servers(),
        })
    }
}
