//! Simulated time, and the events waiting in it. Events of one moment come in the order in which they were scheduled.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::ops::Add;

const HOUR_MS: f64 = 3_600_000.0;
const YEAR_HOURS: f64 = 8_766.0;

/// A moment, in milliseconds since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Moment(pub(super) u64);

/// A length of time, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Span(pub(super) u64);

impl Span {
    pub(super) fn hours(hours: f64) -> Self {
        Self::milliseconds(hours * HOUR_MS)
    }

    pub(super) fn years(years: f64) -> Self {
        Self::hours(years * YEAR_HOURS)
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast from f64 saturates, and what saturates lies far beyond the end"
    )]
    pub(super) fn milliseconds(milliseconds: f64) -> Self {
        Self(milliseconds.ceil() as u64)
    }

    pub(super) fn in_years(self) -> f64 {
        self.0 as f64 / HOUR_MS / YEAR_HOURS
    }

    pub(super) fn in_days(self) -> f64 {
        self.0 as f64 / HOUR_MS / 24.0
    }
}

impl Moment {
    pub(super) const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }

    pub(super) fn in_years(self) -> f64 {
        Span(self.0).in_years()
    }
}

impl Add<Span> for Moment {
    type Output = Self;

    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

/// What is to happen, soonest first.
pub(super) struct Queue<E> {
    waiting: BinaryHeap<Waiting<E>>,
    scheduled: u64,
    end: Moment,
}

struct Waiting<E> {
    at: Moment,
    order: u64,
    event: E,
}

impl<E> Queue<E> {
    /// A queue that forgets what would come after `end`.
    pub(super) fn until(end: Moment) -> Self {
        Self { waiting: BinaryHeap::new(), scheduled: 0, end }
    }

    pub(super) fn schedule(&mut self, at: Moment, event: E) {
        if at <= self.end {
            self.waiting.push(Waiting { at, order: self.scheduled, event });
            self.scheduled += 1;
        }
    }

    pub(super) fn next(&mut self) -> Option<(Moment, E)> {
        self.waiting.pop().map(|waiting| (waiting.at, waiting.event))
    }
}

impl<E> Ord for Waiting<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

impl<E> PartialOrd for Waiting<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Waiting<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<E> Eq for Waiting<E> {}
