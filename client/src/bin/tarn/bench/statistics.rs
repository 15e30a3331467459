//! Arithmetic on measured times.

use std::time::Duration;

/// Times of one operation, shortest first.
#[derive(Debug, Clone)]
pub(super) struct Latencies(Vec<Duration>);

impl Latencies {
    /// These times, in any order.
    pub(super) fn new(mut took: Vec<Duration>) -> Self {
        took.sort_unstable();
        Self(took)
    }

    /// How many there are.
    pub(super) const fn count(&self) -> usize {
        self.0.len()
    }

    /// Half of them took no longer.
    pub(super) fn median(&self) -> Duration {
        self.quantile(50)
    }

    /// Ninety-nine of a hundred took no longer; the longest, if there are fewer.
    pub(super) fn p99(&self) -> Duration {
        self.quantile(99)
    }

    /// The shortest time that so many of a hundred did not exceed: nearest rank, nothing interpolated.
    fn quantile(&self, hundredths: usize) -> Duration {
        let rank = (self.0.len() * hundredths).div_ceil(100);
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

/// So many a second.
pub(super) fn per_second(count: f64, time: Duration) -> f64 {
    // What is too short for the clock took at least its last digit.
    count / time.max(Duration::from_nanos(1)).as_secs_f64()
}

/// Which part of the limit's speed was reached: the sum of the parts' times to the time of the whole. `whole` is what one
/// of `at_once` files took, which shared the machine.
pub(super) fn reached(parts: Duration, whole: Duration, at_once: u16) -> f64 {
    per_second(parts.as_secs_f64() * f64::from(at_once), whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latencies(milliseconds: impl IntoIterator<Item = u64>) -> Latencies {
        Latencies::new(milliseconds.into_iter().map(Duration::from_millis).collect())
    }

    #[test]
    fn quantiles_are_times_that_were_measured() {
        let few = latencies([30, 10, 20]);
        assert_eq!((few.count(), few.median().as_millis(), few.p99().as_millis()), (3, 20, 30));
        let even = latencies([1, 2, 3, 4]);
        assert_eq!(even.median().as_millis(), 2);
        let many = latencies((1..=200).rev());
        assert_eq!((many.median().as_millis(), many.p99().as_millis()), (100, 198));
    }

    #[test]
    fn nothing_measured_took_no_time() {
        assert_eq!(latencies([]).p99(), Duration::ZERO);
    }

    #[test]
    fn a_whole_as_long_as_its_parts_reaches_all_of_the_limit() {
        let ms = Duration::from_millis;
        assert!((reached(ms(60), ms(100), 1) - 0.6).abs() < 1e-9);
        assert!((reached(ms(100), ms(100), 1) - 1.0).abs() < 1e-9);
        // Four files at once, each four times as long as its parts: as much is done as if one were done after another.
        assert!((reached(ms(10), ms(40), 4) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_time_too_short_to_be_measured_is_no_division_by_zero() {
        assert!(per_second(1.0, Duration::ZERO).is_finite());
    }
}
