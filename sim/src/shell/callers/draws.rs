//! What a caller draws: files, contents, rests, and when it loses patience.

use std::time::Duration;

use bytes::Bytes;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{Caller, Patient};

impl Caller {
    pub(super) fn draw_file(&mut self) -> u8 {
        self.rng.random_range(0..self.options.files)
    }

    pub(super) fn draw_content(&mut self) -> Bytes {
        let length = match self.rng.random_range(0..6) {
            0 => 0,
            1 => self.rng.random_range(0..=100.min(self.options.length_max)),
            _ => self.rng.random_range(0..=self.options.length_max),
        };
        let mut content = vec![0; length as usize];
        self.rng.fill(content.as_mut_slice());
        content.into()
    }

    pub(super) fn draw_patience(&mut self) -> Patient {
        let moment = Duration::from_millis(self.rng.random_range(0..=1_500));
        let moment = if self.rng.random() { moment } else { moment / 10 };
        if self.rng.random_range(0..100) >= self.options.cancel_percent {
            Patient::Always
        } else if self.rng.random() {
            Patient::CallsOffAfter(moment)
        } else {
            Patient::DropsAfter(moment)
        }
    }

    pub(super) fn draw_rng(&mut self) -> ChaCha8Rng {
        rand::SeedableRng::from_rng(&mut self.rng)
    }

    pub(super) fn rest(&mut self) -> impl Future<Output = ()> + use<> {
        let max = u64::try_from(self.options.rest_max.as_millis()).unwrap_or(u64::MAX);
        tokio::time::sleep(Duration::from_millis(self.rng.random_range(0..=max)))
    }
}
