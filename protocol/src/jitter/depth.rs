//! Keeping the playout delay at its target.
//!
//! A frame's *slack* is the time from its fastest possible arrival to the moment it is needed. Blocks and
//! frames meet on a grid (see `pulls`), so slack moves in steps: sound that is always left over when a
//! frame is needed can go for free, beyond it only whole steps count. A plain comparison of average
//! delay with the target would swing between two steps for ever.

use super::decision::Stretch;
use super::pulls::{samples_us, us_samples};

/// Observations before a verdict, and how soon it may come.
const VERDICT_FRAMES: u32 = 4;
const VERDICT_US: i64 = 100_000;
const URGENT_FRAMES: u32 = 2;
const URGENT_GAP_US: i64 = 40_000;
/// Observations older than this no longer count.
const WINDOW_US: i64 = 400_000;
/// A stretch moves by a pitch period, of which this is the shortest.
const STEP_MIN_SAMPLES: usize = 120;
/// Gap at which one part in one is asked for; the rate is in proportion to the gap.
const RATE_GAP_US: f32 = 300_000.0;
const RATE_MIN: f32 = 0.04;
const RATE_MAX: f32 = 0.25;

pub(super) struct Depth {
    began_us: i64,
    frames: u32,
    slack_least_us: i64,
    queued_least: usize,
    rate: f32,
    quiet_until_us: i64,
}

/// What one decoding told.
#[derive(Clone, Copy)]
pub(super) struct Observation {
    pub(super) now_us: i64,
    pub(super) slack_us: i64,
    /// Decoded samples left when the frame was needed.
    pub(super) queued: usize,
}

impl Depth {
    pub(super) fn new() -> Self {
        Self {
            began_us: 0,
            frames: 0,
            slack_least_us: i64::MAX,
            queued_least: usize::MAX,
            rate: RATE_MIN,
            quiet_until_us: i64::MIN,
        }
    }

    /// Playout was moved by other means: what was observed before no longer counts.
    pub(super) fn forget(&mut self) {
        self.frames = 0;
    }

    /// Playout was stretched by so many samples.
    pub(super) fn on_stretched(&mut self, now_us: i64, samples: usize) {
        self.forget();
        let pause = samples_us(samples as u64) as f32 / self.rate;
        self.quiet_until_us = now_us + pause as i64;
    }

    /// `grid`: see `Pulls::grid`.
    pub(super) fn advise(&mut self, seen: Observation, target_us: i64, grid: usize) -> Stretch {
        if self.frames == 0 || seen.now_us - self.began_us > WINDOW_US {
            self.frames = 0;
            self.began_us = seen.now_us;
            self.slack_least_us = i64::MAX;
            self.queued_least = usize::MAX;
        }
        self.frames += 1;
        self.slack_least_us = self.slack_least_us.min(seen.slack_us);
        self.queued_least = self.queued_least.min(seen.queued);

        let gap_us = self.slack_least_us - target_us;
        let urgent = gap_us.abs() > URGENT_GAP_US;
        let settled = self.frames >= VERDICT_FRAMES && seen.now_us - self.began_us >= VERDICT_US;
        if seen.now_us < self.quiet_until_us || !(settled || urgent && self.frames >= URGENT_FRAMES) {
            return Stretch::Normal;
        }
        self.rate = (gap_us.abs() as f32 / RATE_GAP_US).clamp(RATE_MIN, RATE_MAX);
        // Shallow by more than a part of the target's own margin; deep by more than the target wavers.
        if gap_us < -(500 + target_us / 20) {
            // The whole steps that are missing, less what is on the way to the next one already.
            let steps = us_samples(-gap_us).div_ceil(grid).max(1);
            let samples = (steps * grid).saturating_sub(self.queued_least).max(STEP_MIN_SAMPLES);
            return Stretch::Expand { samples, urgent };
        }
        let whole_steps = us_samples(gap_us) / grid * grid;
        let free = if grid > STEP_MIN_SAMPLES { self.queued_least } else { 0 };
        let beyond_hysteresis = gap_us > 1_000 + target_us / 10;
        let samples_max = free + if beyond_hysteresis { whole_steps } else { 0 };
        if samples_max >= STEP_MIN_SAMPLES {
            Stretch::Accelerate { samples_max, urgent }
        } else {
            Stretch::Normal
        }
    }
}
