//! When our own device asks for sound.
//!
//! Devices ask in blocks, late by scheduling and sometimes two at a time. What matters to the buffer is
//! the *earliest* a block may be asked for, so the schedule is the lower envelope of (time of the pull
//! less samples pulled before it).

use crate::media::SAMPLE_RATE;

const WINDOW_US: i64 = 1_500_000;
/// A pull this much behind schedule: the device stood still and the schedule begins anew.
const STANDSTILL_US: i64 = 80_000;

pub(super) struct Pulls {
    samples: u64,
    block: usize,
    offset_us: i64,
    least_us: i64,
    least_before_us: i64,
    window_began_us: i64,
}

impl Pulls {
    pub(super) fn new() -> Self {
        Self {
            samples: 0,
            block: 0,
            offset_us: 0,
            least_us: i64::MAX,
            least_before_us: i64::MAX,
            window_began_us: 0,
        }
    }

    /// Returns whether the device has stood still before this pull.
    pub(super) fn on_pull(&mut self, now_us: i64, samples: usize) -> bool {
        let first = self.least_us == i64::MAX;
        self.offset_us = now_us - samples_us(self.samples);
        self.samples = self.samples.wrapping_add(samples as u64);
        self.block = samples;
        let standstill = !first && self.offset_us - self.least() > STANDSTILL_US;
        if first || standstill {
            self.least_before_us = self.offset_us;
            self.least_us = self.offset_us;
            self.window_began_us = now_us;
        } else if now_us - self.window_began_us > WINDOW_US {
            self.least_before_us = self.least_us;
            self.least_us = self.offset_us;
            self.window_began_us = now_us;
        }
        self.least_us = self.least_us.min(self.offset_us);
        standstill
    }

    /// The earliest at which the pull going on at `now_us` could have come.
    pub(super) fn scheduled_us(&self, now_us: i64) -> i64 {
        if self.least_us == i64::MAX { now_us } else { now_us - (self.offset_us - self.least()) }
    }

    /// Samples of the last pull; 0 when pulls are not announced.
    pub(super) fn block(&self) -> usize {
        self.block
    }

    /// The grid, in samples, on which frames of `frame_samples` meet blocks: sound can be moved by less
    /// than this without the moment of decoding changing at all.
    pub(super) fn grid(&self, frame_samples: usize) -> usize {
        let (mut a, mut b) = (frame_samples.max(1), self.block);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        if self.block == 0 { 1 } else { a }
    }

    fn least(&self) -> i64 {
        self.least_us.min(self.least_before_us)
    }
}

pub(super) fn samples_us(samples: u64) -> i64 {
    (u128::from(samples) * 1_000_000 / u128::from(SAMPLE_RATE)) as i64
}

pub(super) fn us_samples(us: i64) -> usize {
    (us.max(0) as u128 * u128::from(SAMPLE_RATE) / 1_000_000) as usize
}

#[cfg(test)]
mod tests {
    use super::{Pulls, us_samples};

    #[test]
    fn two_pulls_at_a_time_are_scheduled_as_the_earlier_of_them() {
        let mut pulls = Pulls::new();
        for n in 0..100_i64 {
            // Due at 10, 20, 30...; the odd ones come 10 ms early, with their predecessors.
            let now = 1_000_000 + n / 2 * 20_000;
            pulls.on_pull(now, 480);
            if n > 2 {
                assert_eq!(pulls.scheduled_us(now), 990_000 + n * 10_000);
            }
        }
        assert_eq!(pulls.grid(960), 480);
        assert_eq!(pulls.grid(1200), 240);
    }

    #[test]
    fn times_beyond_all_sense_have_samples_too() {
        assert_eq!(us_samples(10_000), 480);
        // A clock that runs for centuries: its samples still fit in 64 bits.
        assert_eq!(us_samples(1 << 58), 13_835_058_055_282_163);
        assert_eq!(us_samples(-5), 0);
    }
}
