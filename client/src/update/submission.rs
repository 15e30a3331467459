//! One change of one version, published: in place if it can be, else as a whole; and as the same submission again while it
//! is not known what became of it.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tarn_proto::{SequenceNumber, SignedHeader};

use super::edges::Base;
use super::layout::Layout;
use super::{Change, UpdateError, UpdateOptions};
use crate::caps::WriteCap;
use crate::client::{Client, PublishOptions};
use crate::encode::source::{Chain, Source};
use crate::newest::{Newest, split};
use crate::publish::outcome::{Landed, Outcome, Report};
use crate::publish::publishing::{Content, Journal, JournalError, Publishing};
use crate::quorum::Placement;
use crate::tries::Tries;

/// A change of one version: one submission, however often it is repeated.
pub(super) struct Submission<'a> {
    client: &'a Client,
    cap: &'a WriteCap,
    change: &'a Change,
    newest: Newest,
    layout: Layout,
    options: &'a mut UpdateOptions,
    spent: Arc<Spent>,
}

impl<'a> Submission<'a> {
    pub(super) fn of(
        client: &'a Client,
        cap: &'a WriteCap,
        change: &'a Change,
        newest: Newest,
        options: &'a mut UpdateOptions,
        spent: Arc<Spent>,
    ) -> Result<Self, UpdateError> {
        let old = newest.header.as_ref().map_or(0, |header| header.header().geometry.length());
        let layout = Layout::of(change.at, change.source.length(), change.then, old)
            .ok_or(UpdateError::TooLarge)?;
        Ok(Self { client, cap, change, newest, layout, options, spent })
    }

    /// Publishes the change, in place if it can be, again and again while it is not known what became of it. Says whether
    /// what ended it was in place.
    pub(super) async fn publish(
        &mut self,
        tries: &mut Tries,
    ) -> Result<(Publishing, Report, bool), UpdateError> {
        let mut content = match self.in_place().await? {
            Some(content) => content,
            None => self.whole().await?,
        };
        let (mut left, mut repeats) = (None, 0_u32);
        loop {
            let mut publishing = self.begin(content.clone(), left.take());
            let report = publishing.report().await?;
            if let Outcome::BaseMissing(_) = report.outcome {
                tracing::debug!("too few servers can change it in place");
                content = self.whole().await?;
                continue;
            }
            let Some((landed, wait)) = tries.unsettled(&report.outcome) else {
                return Ok((publishing, report, is_in_place(&content)));
            };
            left = Some(landed);
            repeats += 1;
            tokio::time::sleep(wait).await;
            // Asking again settles most. If it does not, a server may have lost what it would take the rest from.
            if repeats > 1
                && is_in_place(&content)
                && let Ok(whole) = self.whole().await
            {
                content = whole;
            }
        }
    }

    fn begin(&mut self, content: Content, left: Option<Landed>) -> Publishing {
        let remembers = std::mem::take(&mut self.newest.remembered);
        let options = PublishOptions {
            origin: self.options.origin.clone(),
            follows: self.newest.follows,
            shape: None,
            first_shape: self.options.first_shape,
            attempt: self.options.attempt,
            first_try: remembers,
            tombstone: false,
            high_water: self.options.high_water,
            spent: self.spent.last(),
            suspects: self.options.suspects.clone(),
            left,
            journal: Arc::<Spent>::clone(&self.spent),
            rng: split(&mut self.options.rng),
        };
        // Whoever tries again asks again; what is remembered, the publish remembers itself.
        let map = self.newest.map.take().filter(|_| !remembers);
        self.client.begin(self.cap.clone(), content, map, options)
    }

    /// The touched segments, if a part of the version can be changed.
    async fn in_place(&mut self) -> Result<Option<Content>, UpdateError> {
        let Some(header) = &self.newest.header else { return Ok(None) };
        let old = header.header();
        let Some(place) = self.layout.in_place(old.shape, &old.geometry) else { return Ok(None) };
        let (of_head, of_tail) = (split(&mut self.options.rng), split(&mut self.options.rng));
        let base = self.base(header);
        let (fringe, head, tail) = tokio::try_join!(
            base.fringe(place.edge),
            base.bytes(place.head, of_head),
            base.bytes(place.tail, of_tail),
        )?;
        let source = self.chained(head, tail);
        let (of, length) = (header.version(), self.layout.length);
        Ok(Some(Content::Part { of, length, source, segments: place.segments, fringe }))
    }

    /// All of the new content: what stays of the version goes through a temporary file.
    async fn whole(&mut self) -> Result<Content, UpdateError> {
        let nothing = || Source::Bytes(Bytes::new());
        let (head, tail) = match &self.newest.header {
            None => (nothing(), nothing()),
            Some(header) => {
                let (of_head, of_tail) =
                    (split(&mut self.options.rng), split(&mut self.options.rng));
                let base = self.base(header);
                tokio::try_join!(
                    base.spooled(0..self.layout.kept_before, of_head),
                    base.spooled(self.layout.kept_behind.clone(), of_tail),
                )?
            }
        };
        Ok(Content::Whole(self.chained(head, tail)))
    }

    /// The version that is changed, as far as it is known.
    fn base<'b>(&'b self, header: &'b SignedHeader) -> Base<'b> {
        let Self { client, cap, newest, options, .. } = self;
        Base { client, cap, header, map: newest.map.as_ref(), options }
    }

    fn chained(&self, head: Source, tail: Source) -> Source {
        let gap = Source::Zeros(self.layout.gap);
        Source::Chain(Chain::new([head, gap, self.change.source.clone(), tail]))
    }
}

const fn is_in_place(content: &Content) -> bool {
    matches!(content, Content::Part { .. })
}

/// The caller's journal, and the last sequence number that went through it: a signed header gets one round, also if a
/// later try of the change begins anew.
pub(super) struct Spent {
    journal: Arc<dyn Journal>,
    last: Mutex<Option<SequenceNumber>>,
}

impl Spent {
    pub(super) fn new(journal: Arc<dyn Journal>) -> Self {
        Self { journal, last: Mutex::default() }
    }

    fn last(&self) -> Option<SequenceNumber> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal for Spent {
    fn record(&self, header: &SignedHeader, placement: &Placement) -> Result<(), JournalError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = (*last).max(Some(header.header().sequence_number));
        drop(last);
        self.journal.record(header, placement)
    }
}
