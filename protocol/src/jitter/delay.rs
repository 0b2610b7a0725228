//! What the path does to packets: the fastest it has lately been, and how far above that they arrive.
//!
//! A frame's *raw delay* is its arrival less its media time at its end, two clocks that share no zero
//! and whose rates differ by up to some hundred parts per million. The lower envelope of raw delay,
//! the least of a sliding window of [`WINDOW_BUCKETS`] times [`BUCKET_US`], is the fastest path; the
//! window is short enough that 200 ppm move it by less than 3 ms, so skew needs no estimate of its own.
//!
//! Delay above the envelope goes into two histograms, of the last seconds and of the last half minute. The slow one is
//! fed through a ring of recent arrivals, so that a route step, noticed only after [`STEP_US`], leaves
//! no trace in it. What a stall held back goes into neither, but into `stalls`.

use super::histogram::Histogram;
use super::stalls::Stalls;
use super::window::Window;

/// Arrivals that the step detector can look back on; at 10 ms frames this is 1.3 s.
const RECENT: usize = 128;
const WINDOW_BUCKETS: usize = 8;
const BUCKET_US: i64 = 1_500_000;
/// All delays above the envelope for this long, by more than [`STEP_MIN_US`]: the route has changed.
/// Shorter, and a Wi-Fi scan would pass for it.
const STEP_US: i64 = 1_000_000;
const STEP_ARRIVALS: usize = 12;
/// Below this a slow rise is left to the window.
const STEP_MIN_US: i64 = 10_000;
/// No depth we would ever take makes up for more: such delays say nothing about the best depth.
const BEYOND_HELP_US: i64 = 400_000;
/// After a path switch the step is believed this soon.
const STEP_EXPECTED_US: i64 = 150_000;
/// A frame this far before the envelope comes from another clock: the sender began anew.
const FUTURE_US: i64 = 1_000_000;
/// The same for delay: older sound is useless anyway.
const PAST_US: i64 = 5_000_000;
/// Strangers must agree among themselves this closely, this many times, before the stream is taken as
/// restarted: one wild timestamp changes nothing.
const RESTART_SPREAD_US: i64 = 500_000;
const RESTART_FRAMES: u32 = 3;

/// Does a timestamp belong to the stream we know?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Plausibility {
    Plausible,
    Implausible,
    /// It and those before it belong together, but to a new stream.
    Restart,
}

#[derive(Clone, Copy)]
struct Arrival {
    at_us: i64,
    raw_us: i64,
    /// A stall held it back.
    stalled: bool,
}

pub(super) struct DelayHistory {
    buckets: [Option<i64>; WINDOW_BUCKETS],
    bucket: usize,
    bucket_began_us: i64,
    recent: Vec<Arrival>,
    recent_head: usize,
    step_allowed_from_us: i64,
    step_expected_until_us: i64,
    stranger_raw_us: i64,
    strangers: u32,
    /// How deep the buffer would have had to be for each frame of the last seconds, copies and corrections included.
    pub(super) fast: Window,
    pub(super) stalls: Stalls,
    /// Memory of about 20 s.
    pub(super) slow: Histogram,
}

impl DelayHistory {
    pub(super) fn new() -> Self {
        Self {
            buckets: [None; WINDOW_BUCKETS],
            bucket: 0,
            bucket_began_us: 0,
            recent: Vec::with_capacity(RECENT),
            recent_head: 0,
            step_allowed_from_us: 0,
            step_expected_until_us: i64::MIN,
            stranger_raw_us: 0,
            strangers: 0,
            fast: Window::new(),
            stalls: Stalls::new(),
            slow: Histogram::new(20.0),
        }
    }

    /// Forgets the stream; keeps the memory of the path's jitter, which outlives a sender's restart.
    pub(super) fn restart(&mut self) {
        self.buckets = [None; WINDOW_BUCKETS];
        self.recent.clear();
        self.recent_head = 0;
        self.strangers = 0;
        self.stalls.restart();
    }

    /// The least raw delay of the window, or 0 before the first arrival.
    pub(super) fn envelope_us(&self) -> i64 {
        self.buckets.iter().flatten().copied().min().unwrap_or(0)
    }

    /// The path is known to have changed: a step is believed sooner for a while.
    pub(super) fn expect_step(&mut self, now_us: i64) {
        self.step_expected_until_us = now_us + 2_000_000;
        self.step_allowed_from_us = now_us;
    }

    pub(super) fn judge(&mut self, raw_us: i64) -> Plausibility {
        if self.fits(raw_us) {
            self.strangers = 0;
            return Plausibility::Plausible;
        }
        let agrees = self.strangers > 0 && (raw_us - self.stranger_raw_us).abs() <= RESTART_SPREAD_US;
        self.strangers = if agrees { self.strangers + 1 } else { 1 };
        self.stranger_raw_us = raw_us;
        if self.strangers >= RESTART_FRAMES { Plausibility::Restart } else { Plausibility::Implausible }
    }

    /// Whether such a difference fits the stream so far, which anything does while there is none.
    pub(super) fn fits(&self, raw_us: i64) -> bool {
        self.recent.is_empty() || (-FUTURE_US..=PAST_US).contains(&(raw_us - self.envelope_us()))
    }

    /// Takes in a plausible arrival of sound that ends at `end_us`; returns its delay above the envelope.
    pub(super) fn observe(&mut self, now_us: i64, end_us: i64) -> i64 {
        let raw_us = now_us - end_us;
        self.turn_window(now_us);
        let least = self.buckets[self.bucket].get_or_insert(raw_us);
        *least = raw_us.min(*least);
        let envelope = self.envelope_us();
        let stalled = self.stalls.observe(now_us, end_us, raw_us - envelope);
        let arrival = Arrival { at_us: now_us, raw_us, stalled };
        self.fast.advance(now_us);
        if self.recent.len() < RECENT {
            self.recent.push(arrival);
        } else {
            let oldest = std::mem::replace(&mut self.recent[self.recent_head], arrival);
            self.recent_head = (self.recent_head + 1) % RECENT;
            if let Some(delay_us) = oldest.counted(envelope) {
                self.slow.add(oldest.at_us, delay_us);
            }
        }
        if let Some(delay_us) = arrival.counted(envelope) {
            self.fast.add(delay_us);
        }
        if let Some(new_envelope) = self.step(now_us, envelope) {
            self.re_anchor(now_us, new_envelope);
        }
        raw_us - self.envelope_us()
    }

    /// A lost frame that ended at `end_us` is there after all, from another packet than its own.
    pub(super) fn observe_recovered(&mut self, now_us: i64, end_us: i64) {
        let delay_us = now_us - end_us - self.envelope_us();
        if !self.recent.is_empty() && delay_us <= BEYOND_HELP_US {
            self.fast.add(delay_us);
        }
    }

    fn turn_window(&mut self, now_us: i64) {
        if self.recent.is_empty() {
            self.bucket_began_us = now_us;
        }
        let turns = (now_us - self.bucket_began_us) / BUCKET_US;
        for _ in 0..turns.min(WINDOW_BUCKETS as i64) {
            self.bucket = (self.bucket + 1) % WINDOW_BUCKETS;
            self.buckets[self.bucket] = None;
        }
        self.bucket_began_us += turns * BUCKET_US;
    }

    /// The new envelope if everything that lately arrived was slower than the old one.
    fn step(&self, now_us: i64, envelope_us: i64) -> Option<i64> {
        if now_us < self.step_allowed_from_us {
            return None;
        }
        let expected = now_us <= self.step_expected_until_us;
        let span = if expected { STEP_EXPECTED_US } else { STEP_US };
        let from = now_us - span;
        let mut least = i64::MAX;
        let mut count = 0;
        let mut reaches_back = false;
        for arrival in &self.recent {
            if arrival.at_us >= from {
                least = least.min(arrival.raw_us);
                count += 1;
            } else {
                reaches_back = true;
            }
        }
        let covers = reaches_back || self.recent.len() == RECENT;
        (covers && count >= STEP_ARRIVALS.min(RECENT) && least > envelope_us + STEP_MIN_US).then_some(least)
    }

    fn re_anchor(&mut self, now_us: i64, envelope_us: i64) {
        self.buckets = [None; WINDOW_BUCKETS];
        self.buckets[self.bucket] = Some(envelope_us);
        self.fast.clear();
        for offset in 0..self.recent.len() {
            let arrival = self.recent[(self.recent_head + offset) % self.recent.len()];
            // What came before the step is no measure of the new route.
            if let Some(delay_us) = arrival.counted(envelope_us).filter(|delay_us| *delay_us >= 0) {
                self.fast.add(delay_us);
            }
        }
        self.step_allowed_from_us = now_us + STEP_US;
        self.step_expected_until_us = i64::MIN;
    }
}

impl Arrival {
    /// Its delay above the envelope, if that says anything about the depth to choose.
    fn counted(self, envelope_us: i64) -> Option<i64> {
        let delay_us = self.raw_us - envelope_us;
        (!self.stalled && delay_us <= BEYOND_HELP_US).then_some(delay_us)
    }
}

#[cfg(test)]
mod tests {
    use super::{DelayHistory, Plausibility};

    #[test]
    fn a_route_step_moves_the_envelope_and_leaves_no_jitter_behind() {
        let mut delay = DelayHistory::new();
        for n in 0..600_i64 {
            let step = if n < 300 { 0 } else { 60_000 };
            delay.observe(n * 20_000, n * 20_000 - (5_000 + step + (n % 3) * 500));
        }
        assert_eq!(delay.envelope_us(), 65_000);
        assert!(delay.fast.quantile_us(0.99) <= 3_000);
        assert!(delay.slow.quantile_us(0.99) <= 3_000, "{}", delay.slow.quantile_us(0.99));
    }

    #[test]
    fn a_faster_route_is_believed_at_once() {
        let mut delay = DelayHistory::new();
        for n in 0..100 {
            delay.observe(n * 20_000, n * 20_000 - 80_000);
        }
        delay.observe(2_000_000, 1_980_000);
        assert_eq!(delay.envelope_us(), 20_000);
    }

    #[test]
    fn skew_of_200_ppm_stays_within_three_ms() {
        let mut delay = DelayHistory::new();
        let mut worst = 0;
        for n in 0..60_000_i64 {
            let now = n * 10_000;
            worst = worst.max(delay.observe(now, now - now / 5_000));
        }
        assert!(worst <= 3_000, "{worst} us");
    }

    #[test]
    fn one_wild_timestamp_is_ignored_and_three_that_agree_restart_the_stream() {
        let mut delay = DelayHistory::new();
        delay.observe(0, 0);
        assert_eq!(delay.judge(-9_000_000), Plausibility::Implausible);
        assert_eq!(delay.judge(1_000), Plausibility::Plausible);
        assert_eq!(delay.judge(-9_000_000), Plausibility::Implausible);
        assert_eq!(delay.judge(-9_000_100), Plausibility::Implausible);
        assert_eq!(delay.judge(-9_000_000), Plausibility::Restart);
    }
}
