//! When our own device asked: did it stand still, did it ask early?
//!
//! A device's schedule is the earliest at which it has lately asked for so many samples; one that asks before that
//! takes sound which cannot be there yet.

use std::time::Duration;

const SAMPLE_RATE: u64 = 48_000;
/// The schedule is the earliest of the last one or two of these.
const WINDOW_US: i64 = 3_000_000;
/// A pause of the device beyond what it had taken, worth mentioning.
const STALL_MIN_US: i64 = 20_000;
/// Earlier than ever by so much is worth mentioning.
const EARLY_MIN_US: i64 = 2_000;
/// What happened longer ago explains nothing.
const RECENT_US: i64 = 500_000;

/// Watches the pulls.
#[derive(Default)]
pub(super) struct Device {
    samples: u64,
    last_us: Option<i64>,
    /// What was asked for at `last_us`.
    last_samples: u64,
    began_us: i64,
    least_us: Option<i64>,
    least_before_us: Option<i64>,
    stalled: Option<(i64, i64)>,
    early: Option<(i64, i64)>,
    /// The schedule before it was early.
    before_early_us: i64,
}

/// What the device did of late.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Behaviour {
    /// It asked so much earlier than before.
    pub(super) early: Option<Duration>,
    /// It had stood still for so long.
    pub(super) stalled: Option<Duration>,
}

impl Device {
    /// It asks for so many samples.
    pub(super) fn on_pull(&mut self, at_us: i64, samples: u64) {
        let offset = at_us.saturating_sub(duration_us(self.samples));
        if let Some(last) = self.last_us.filter(|last| *last != at_us) {
            let pause = at_us.saturating_sub(last).saturating_sub(duration_us(self.last_samples));
            if pause >= STALL_MIN_US {
                self.stalled = Some((at_us, at_us.saturating_sub(last)));
            }
            self.last_samples = 0;
        }
        let least = [self.least_us, self.least_before_us].into_iter().flatten().min();
        if let Some(least) = least
            && least.saturating_sub(offset) >= EARLY_MIN_US
        {
            // Each block moves the schedule; what counts is how far it moved in all.
            if self.behaviour(at_us).early.is_none() {
                self.before_early_us = least;
            }
            self.early = Some((at_us, self.before_early_us.saturating_sub(offset)));
        }
        if self.least_us.is_none() || at_us.saturating_sub(self.began_us) > WINDOW_US {
            self.least_before_us = self.least_us;
            self.least_us = Some(offset);
            self.began_us = at_us;
        }
        self.least_us = self.least_us.map(|least| least.min(offset));
        self.last_us = Some(at_us);
        self.last_samples += samples;
        self.samples += samples;
    }

    /// What it did in the half second before `at_us`.
    pub(super) fn behaviour(&self, at_us: i64) -> Behaviour {
        let recent = |what: Option<(i64, i64)>| {
            what.filter(|(when, _)| at_us.saturating_sub(*when) <= RECENT_US)
                .map(|(_, us)| Duration::from_micros(us.unsigned_abs()))
        };
        Behaviour { early: recent(self.early), stalled: recent(self.stalled) }
    }
}

fn duration_us(samples: u64) -> i64 {
    (u128::from(samples) * 1_000_000 / u128::from(SAMPLE_RATE)) as i64
}

#[cfg(test)]
mod tests {
    use super::{Behaviour, Device};
    use std::time::Duration;

    #[test]
    fn a_stall_and_an_early_block_are_noticed_and_forgotten() {
        let mut device = Device::default();
        let ms = Duration::from_millis;
        (0..100).for_each(|n| device.on_pull(n * 10_000, 480));
        assert_eq!(device.behaviour(990_000), Behaviour::default());
        device.on_pull(1_090_000, 480);
        assert_eq!(device.behaviour(1_090_000), Behaviour { early: None, stalled: Some(ms(100)) });
        // Catches up, and then asks for 20 ms before their time.
        (0..11).for_each(|_| device.on_pull(1_100_000, 480));
        assert_eq!(device.behaviour(1_100_000).early, Some(ms(10)));
        assert_eq!(device.behaviour(3_000_000), Behaviour::default());
    }
}
