//! How deep NetEQ wants its buffer to be: a quantile of a slowly forgetting histogram of delays.
//!
//! Each packet's delay is taken relative to the least of the last 2 s. The largest of each 500 ms goes into
//! a histogram of 20 ms bins in which everything older fades by 0.983. The target is the upper edge of the bin in
//! which the 95 % quantile lies. From that follow the steps of 20 ms, the floor of 20 ms, and the long
//! memory: what filled the histogram must fade to 5 %, and 0.983 to the power of 175 half seconds is just that.

use std::collections::VecDeque;

/// The depth before anything is known of the path.
const START_MS: u64 = 80;
const BIN_MS: u64 = 20;
const BINS: usize = 100;
const QUANTILE: f64 = 0.95;
const FORGETTING: f64 = 0.983;
/// The start is learned faster: the n-th delay weighs `START_WEIGHT / (n + 1)` until that falls to what
/// the steady state gives it, which takes about a minute.
const START_WEIGHT: f64 = 2.0;
const INTERVAL_NS: u64 = 500_000_000;

/// How far back, in media time, the packet with the least delay is looked for.
const HISTORY_NS: u64 = 2_000_000_000;
/// The shortest frames of Opus, 2.5 ms, come 800 in 2 s.
const HISTORY_MAX: usize = 1024;

/// The target of the buffer's depth.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Media time and arrival less media time of packets, both rising: only what may yet become the least.
    least: VecDeque<(u64, i64)>,
    interval: Option<Interval>,
    bins: [f64; BINS],
    updates: u32,
    quantile_ms: u64,
    frame_ms: u64,
}

#[derive(Clone, Copy, Debug)]
struct Interval {
    began_ns: u64,
    slowest_ns: u64,
}

impl Target {
    pub(super) fn new() -> Self {
        Self {
            least: VecDeque::with_capacity(HISTORY_MAX),
            interval: None,
            bins: [0.0; BINS],
            updates: 0,
            quantile_ms: START_MS,
            frame_ms: 0,
        }
    }

    /// The depth wanted now, in milliseconds.
    pub(super) fn ms(&self) -> u64 {
        self.quantile_ms.max(self.frame_ms)
    }

    /// A packet arrived with the frame that starts at this media time.
    pub(super) fn on_packet(&mut self, media_ns: u64, duration_ns: u64, at_ns: u64) {
        self.frame_ms = duration_ns / 1_000_000;
        let relative_ns = self.relative_delay_ns(media_ns, at_ns);

        match &mut self.interval {
            Some(interval) if at_ns - interval.began_ns <= INTERVAL_NS => {
                interval.slowest_ns = interval.slowest_ns.max(relative_ns);
            }
            ended => {
                let slowest_ns = ended.map(|interval| interval.slowest_ns);
                *ended = Some(Interval { began_ns: at_ns, slowest_ns: relative_ns });
                if let Some(slowest_ns) = slowest_ns {
                    self.learn(slowest_ns / 1_000_000);
                }
            }
        }
    }

    /// How much longer than the fastest of the last 2 s this packet took.
    fn relative_delay_ns(&mut self, media_ns: u64, at_ns: u64) -> u64 {
        let offset = at_ns.cast_signed() - media_ns.cast_signed();
        // A reordered packet is measured, but not kept: keeping the history sorted is worth more than a
        // least delay that its neighbours have as well.
        if self.least.back().is_none_or(|(newest, _)| *newest < media_ns) {
            while self.least.back().is_some_and(|(_, slower)| *slower >= offset) {
                self.least.pop_back();
            }
            while self.least.front().is_some_and(|(oldest, _)| oldest + HISTORY_NS < media_ns)
                || self.least.len() == HISTORY_MAX
            {
                self.least.pop_front();
            }
            self.least.push_back((media_ns, offset));
        }
        let least = self.least.front().map_or(offset, |(_, least)| *least);
        u64::try_from(offset - least).unwrap_or(0)
    }

    fn learn(&mut self, slowest_ms: u64) {
        self.updates += 1;
        let kept = (1.0 - START_WEIGHT / (f64::from(self.updates) + 1.0)).clamp(0.0, FORGETTING);
        let slowest = usize::try_from(slowest_ms / BIN_MS).map_or(BINS - 1, |bin| bin.min(BINS - 1));
        for (bin, weight) in self.bins.iter_mut().enumerate() {
            *weight = *weight * kept + if bin == slowest { 1.0 - kept } else { 0.0 };
        }

        let mut below = 0.0;
        self.quantile_ms = 0;
        for weight in &self.bins {
            below += weight;
            self.quantile_ms += BIN_MS;
            if below >= QUANTILE {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: u64 = 20_000_000;

    /// Feeds packets of 20 ms for some seconds, delayed as told by their number; the targets along the way.
    fn targets(target: &mut Target, seconds: u64, from: u64, delay_ms: impl Fn(u64) -> u64) -> Vec<u64> {
        let mut latest = 0;
        (from..from + seconds * 50)
            .map(|number| {
                let media_ns = number * 20_000_000;
                latest = latest.max(media_ns + (20 + delay_ms(number)) * 1_000_000);
                target.on_packet(media_ns, FRAME, latest);
                target.ms()
            })
            .collect()
    }

    fn last(targets: Vec<u64>) -> u64 {
        *targets.last().expect("some seconds were fed")
    }

    #[test]
    fn it_starts_at_80_ms_and_falls_to_its_floor_of_20_on_a_steady_path() {
        let mut target = Target::new();
        assert_eq!(target.ms(), 80);
        let targets = targets(&mut target, 2, 0, |_| 0);
        assert_eq!((targets[0], targets[24], targets[27]), (80, 80, 20));
        assert_eq!(last(targets), 20);
    }

    #[test]
    fn it_moves_in_steps_of_20_ms() {
        for (jitter_ms, expected_ms) in [(0, 20), (5, 20), (19, 20), (20, 40), (59, 60), (60, 80)] {
            let mut target = Target::new();
            let targets = targets(&mut target, 30, 0, |number| if number % 10 == 0 { jitter_ms } else { 0 });
            assert!(targets.iter().all(|target| target % 20 == 0));
            assert_eq!(last(targets), expected_ms, "at {jitter_ms} ms of jitter");
        }
    }

    #[test]
    fn it_is_never_less_than_a_frame() {
        let mut target = Target::new();
        for number in 0..100_u64 {
            target.on_packet(number * 60_000_000, FRAME * 3, number * 60_000_000);
        }
        assert_eq!(target.ms(), 60);
    }

    #[test]
    fn it_takes_about_90_s_to_come_back_after_jitter_ends() {
        let mut target = Target::new();
        let jitter = |number| if number % 10 == 0 { 110 } else { 0 };
        assert_eq!(last(targets(&mut target, 120, 0, jitter)), 120);

        let after = targets(&mut target, 120, 6000, |_| 0);
        let back = after.iter().position(|target| *target == 20).expect("it comes back") / 50;
        assert!((80..=95).contains(&back), "back after {back} s");
        assert_eq!(after[back * 50 - 100], 120, "it stays to the last, as one bin held everything");
    }

    #[test]
    fn one_stall_of_150_ms_every_few_seconds_pins_it_at_160() {
        for seconds in [2, 4, 8] {
            let mut target = Target::new();
            // The stall ends at once for all who waited: each packet of it is 20 ms less late.
            let stall = |number: u64| 150_u64.saturating_sub(number % (seconds * 50) * 20);
            let targets = targets(&mut target, 300, 0, stall);
            let pinned = targets[3000..].iter().filter(|target| **target == 160).count();
            assert_eq!(pinned, targets.len() - 3000, "every {seconds} s");
        }
    }

    #[test]
    fn after_a_route_step_the_old_least_delay_is_forgotten_in_2_s() {
        let mut target = Target::new();
        targets(&mut target, 120, 0, |_| 0);
        let after = targets(&mut target, 60, 6000, |_| 110);
        assert!(after[..100].contains(&120), "until then the step looks like jitter");
        assert_eq!(last(after), 20);
    }

    #[test]
    fn early_delays_are_learned_and_forgotten_faster_than_later_ones() {
        let mut target = Target::new();
        targets(&mut target, 2, 0, |number| if number % 10 == 0 { 110 } else { 0 });
        let after = targets(&mut target, 60, 100, |_| 0);
        let back = after.iter().position(|target| *target == 20).expect("it comes back") / 50;
        assert!(back < 10, "back after {back} s");
    }

    #[test]
    fn a_clock_that_drifts_is_no_jitter() {
        let mut target = Target::new();
        for number in 0..30_000_u64 {
            target.on_packet(number * 20_000_000, FRAME, number * 20_010_000);
        }
        assert_eq!(target.ms(), 20);
    }

    #[test]
    fn its_history_never_grows() {
        let mut target = Target::new();
        let before = target.least.capacity();
        for number in 0..360_000_u64 {
            target.on_packet(number * 10_000_000, FRAME / 2, number * 10_001_000);
        }
        assert_eq!(target.least.capacity(), before);
    }
}
