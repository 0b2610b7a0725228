//! How much sound the playback ring should hold right now.
//!
//! A device asks in blocks at a steady pace. Sound rendered long before it is asked for only
//! adds delay, so nothing is wanted until shortly before the next callback (the *lead*), and then
//! just that block. A callback that is overdue counts as well, so a device that asks for two
//! blocks at a time, every second period, finds two. The lead starts small, grows with every
//! underrun and comes back slowly: each further underrun doubles the wait before it shrinks.
//!
//! Pure: the clock's reading is an argument.

use std::time::Duration;

use super::counters::Beat;

/// One wake-up of the voice thread (2 ms), its work (1 ms) and the scheduler's usual lateness.
const LEAD_START: Duration = Duration::from_millis(5);
const LEAD_MIN: Duration = Duration::from_millis(4);
/// Beyond this a longer lead does not help: the machine cannot do it.
const LEAD_MAX: Duration = Duration::from_millis(40);
/// What one underrun adds: less than a wake-up, so that one accident costs little delay.
const LEAD_GROWTH: Duration = Duration::from_micros(1_500);
const LEAD_DECAY: Duration = Duration::from_micros(500);
const HOLD_START: Duration = Duration::from_secs(10);
const HOLD_MAX: Duration = Duration::from_secs(600);
/// A stalled device is not rendered for further ahead than this many blocks.
const BLOCKS_MAX: u64 = 4;
/// The largest recent block is believed for one to two of these.
const BLOCK_MEMORY: Duration = Duration::from_secs(1);

/// The state for one playback ring.
#[derive(Debug)]
pub(crate) struct Demand {
    rate: u32,
    lead: Duration,
    hold: Duration,
    changed: Duration,
    underruns: u64,
    seen: Beat,
    granted: u64,
    block_now: u64,
    block_before: u64,
    block_turned: Duration,
}

impl Demand {
    /// `underruns` is the count so far, which is not held against this device.
    pub(crate) fn new(underruns: u64) -> Self {
        Self {
            rate: 48_000,
            lead: LEAD_START,
            hold: HOLD_START,
            changed: Duration::ZERO,
            underruns,
            seen: Beat::default(),
            granted: 0,
            block_now: 0,
            block_before: 0,
            block_turned: Duration::ZERO,
        }
    }

    /// Another device: its rate in hertz and the block it granted, believed until blocks are seen.
    /// What was learned about this machine's lateness stays.
    pub(crate) fn on_device(&mut self, now: Duration, rate: u32, granted_frames: u32) {
        self.rate = rate;
        self.seen = Beat::default();
        self.granted = u64::from(granted_frames).max(1);
        (self.block_now, self.block_before) = (0, 0);
        self.block_turned = now;
    }

    /// The lead now.
    pub(crate) fn lead(&self) -> Duration {
        self.lead
    }

    /// Frames, at the device's rate, that the ring should hold at `now` (any steady clock).
    pub(crate) fn frames(&mut self, now: Duration, beat: Beat, underruns: u64) -> usize {
        self.learn_block(now, beat);
        self.learn_lead(now, underruns);
        let block = match self.block_now.max(self.block_before) {
            0 => self.granted,
            seen => seen,
        };
        let blocks = if beat.callbacks == 0 {
            1
        } else {
            let period_ns = (block * 1_000_000_000 / u64::from(self.rate)).max(1);
            let lead_ns = self.lead.as_nanos() as u64;
            (beat.since_ns.saturating_add(lead_ns) / period_ns).min(BLOCKS_MAX.max(lead_ns / period_ns + 1))
        };
        usize::try_from(blocks * block).unwrap_or(usize::MAX)
    }

    fn learn_block(&mut self, now: Duration, beat: Beat) {
        let callbacks = beat.callbacks.saturating_sub(self.seen.callbacks);
        if callbacks > 0 {
            let frames = beat.frames.saturating_sub(self.seen.frames);
            self.block_now = self.block_now.max(frames.div_ceil(callbacks));
            self.seen = beat;
        }
        if now.saturating_sub(self.block_turned) >= BLOCK_MEMORY {
            self.block_turned = now;
            self.block_before = std::mem::take(&mut self.block_now);
        }
    }

    fn learn_lead(&mut self, now: Duration, underruns: u64) {
        if underruns > self.underruns {
            self.underruns = underruns;
            self.lead = (self.lead + LEAD_GROWTH).min(LEAD_MAX);
            self.hold = (self.hold * 2).min(HOLD_MAX);
            self.changed = now;
        } else if now.saturating_sub(self.changed) >= self.hold {
            self.lead = self.lead.saturating_sub(LEAD_DECAY).max(LEAD_MIN);
            self.changed = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Beat, Demand, LEAD_MAX, LEAD_MIN};

    const MS: u64 = 1_000_000;

    fn demand() -> Demand {
        let mut demand = Demand::new(0);
        demand.on_device(Duration::ZERO, 48_000, 480);
        demand
    }

    fn beat(callbacks: u64, frames: u64, since_ms: u64) -> Beat {
        Beat { callbacks, frames, since_ns: since_ms * MS }
    }

    #[test]
    fn the_first_block_is_ready_before_the_device_asks() {
        assert_eq!(demand().frames(Duration::ZERO, beat(0, 0, 0), 0), 480);
    }

    #[test]
    fn a_block_is_wanted_only_shortly_before_it_is_asked_for() {
        let mut demand = demand();
        let now = Duration::from_millis(100);
        let wanted: Vec<usize> =
            [0, 4, 6, 9].iter().map(|&since| demand.frames(now, beat(10, 4800, since), 0)).collect();
        assert_eq!(wanted, [0, 0, 480, 480]);
    }

    #[test]
    fn an_overdue_callback_is_counted_on_and_a_stalled_device_is_not_filled_without_end() {
        let mut demand = demand();
        let now = Duration::from_millis(100);
        assert_eq!(demand.frames(now, beat(10, 4800, 16), 0), 960);
        assert_eq!(demand.frames(now, beat(10, 4800, 900), 0), 4 * 480);
    }

    #[test]
    fn the_block_seen_replaces_the_block_granted_and_an_odd_one_is_forgotten() {
        let mut demand = demand();
        let at = Duration::from_millis;
        assert_eq!(demand.frames(at(5), beat(1, 960, 16), 0), 960);
        for n in 0..600_u64 {
            demand.frames(at(5 + 5 * n), beat(2 + n, 1200 + 240 * n, 1), 0);
        }
        assert_eq!(demand.frames(at(3100), beat(602, 1200 + 240 * 600, 1), 0), 240);
    }

    #[test]
    fn underruns_lengthen_the_lead_and_quiet_times_shorten_it_ever_more_slowly() {
        let mut demand = demand();
        let start = demand.lead();
        let mut now = Duration::from_secs(1);
        demand.frames(now, beat(1, 480, 0), 1);
        let grown = demand.lead();
        assert!(grown > start);
        now += Duration::from_secs(19);
        demand.frames(now, beat(2, 960, 0), 1);
        assert_eq!(demand.lead(), grown, "held for twenty seconds");
        now += Duration::from_secs(1);
        demand.frames(now, beat(3, 1440, 0), 1);
        assert!(demand.lead() < grown);
        for n in 2..100 {
            demand.frames(now, beat(3, 1440, 0), n);
        }
        assert_eq!(demand.lead(), LEAD_MAX);
        for _ in 0..100 {
            now += Duration::from_secs(600);
            demand.frames(now, beat(3, 1440, 0), 99);
        }
        assert_eq!(demand.lead(), LEAD_MIN);
    }
}
