//! When the voice thread has to look at the rings again.
//!
//! A device takes or gives a block at a time. Looking all the time would find each block at once and cost a wake-up
//! per look; this learns when blocks come, and naps until just then. It is only ever a guess: the rings' levels
//! decide what is done, so a wrong guess costs a little delay once and nothing else.

use std::time::Duration;

/// The shortest nap: a block is late by half of this on average.
const NAP_MIN: Duration = Duration::from_micros(500);

/// The longest nap, whatever was learnt: playback asks 5 ms before it must have its block.
const NAP_MAX: Duration = Duration::from_millis(4);

/// Blocks further apart than this are no rhythm: a device that stands still.
const PERIOD_MAX: Duration = Duration::from_millis(60);

/// Learns the rhythm of one ring.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rhythm {
    last: Option<Duration>,
    period: Option<Duration>,
}

impl Rhythm {
    /// Something was there at `now`.
    pub(super) fn beat(&mut self, now: Duration) {
        let interval = self.last.map(|last| now.saturating_sub(last));
        self.last = Some(now);
        match (interval.filter(|interval| *interval < PERIOD_MAX), self.period) {
            (Some(interval), Some(period)) => self.period = Some((period * 7 + interval) / 8),
            (Some(interval), None) => self.period = Some(interval),
            (None, _) => self.period = None,
        }
    }

    /// How long nothing is expected from `now` on; `None` when there is no rhythm or it was missed.
    fn quiet_for(&self, now: Duration) -> Option<Duration> {
        (self.last? + self.period?).checked_sub(now)
    }
}

/// How long to nap, given what each ring is expected to do.
pub(super) fn nap(rhythms: &[Rhythm], now: Duration) -> Duration {
    let until = rhythms.iter().map(|rhythm| rhythm.quiet_for(now).unwrap_or(NAP_MIN)).min();
    until.unwrap_or(NAP_MAX).clamp(NAP_MIN, NAP_MAX)
}

#[cfg(test)]
mod tests {
    use super::{NAP_MAX, NAP_MIN, Rhythm, nap};
    use std::time::Duration;

    #[test]
    fn a_steady_device_is_looked_at_a_few_times_per_block() {
        let block = Duration::from_millis(10);
        let (mut now, mut served, mut looks, mut worst) = (Duration::ZERO, 0, 0, Duration::ZERO);
        let mut rhythm = Rhythm::default();
        while now < Duration::from_secs(2) {
            looks += 1;
            let due = (now.as_micros() / block.as_micros()) as u32;
            if due > served {
                worst = worst.max(now - block * due);
                served = due;
                rhythm.beat(now);
            }
            now += nap(&[rhythm], now);
        }
        assert!(looks <= 200 * 5, "{looks} looks for 200 blocks");
        assert!(worst <= Duration::from_millis(1), "{worst:?} late");
    }

    #[test]
    fn without_a_rhythm_naps_are_short_and_never_longer_than_the_lead() {
        assert_eq!(nap(&[Rhythm::default()], Duration::ZERO), NAP_MIN);
        let mut slow = Rhythm::default();
        slow.beat(Duration::ZERO);
        slow.beat(Duration::from_millis(50));
        assert_eq!(nap(&[slow], Duration::from_millis(51)), NAP_MAX);
    }
}
