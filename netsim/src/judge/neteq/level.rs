//! When NetEQ stretches time: a filtered level of the buffer between two limits around the target.

use std::time::Duration;

/// One pitch period of a deep voice. NetEQ takes what it measures in the sound, 2.5 to 15 ms.
pub(super) const PITCH: Duration = Duration::from_millis(8);

/// NetEQ allows 60 ms, but only cuts where two periods are alike enough: about every other try, in speech.
const BETWEEN_STRETCHES: Duration = Duration::from_millis(100);

/// What is done to 10 ms of sound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stretch {
    /// Played as it is.
    None,
    /// A pitch period is cut out.
    Accelerate,
    /// The same, with a buffer so full that neither likeness nor time since the last cut matter.
    FastAccelerate,
    /// A pitch period is played twice.
    PreemptiveExpand,
}

/// The filtered level of the buffer.
#[derive(Clone, Debug, Default)]
pub(super) struct Level {
    filtered_ms: f64,
    stretched_at: Option<Duration>,
}

impl Level {
    /// Takes the level before each 10 ms; the deeper the target, the slower the filter.
    pub(super) fn measure(&mut self, level_ms: f64, target_ms: u64) {
        let kept = match target_ms {
            0..=20 => 251.0,
            21..=60 => 252.0,
            61..=140 => 253.0,
            141.. => 254.0,
        } / 256.0;
        self.filtered_ms = self.filtered_ms * kept + level_ms * (1.0 - kept);
    }

    /// The level as the filter sees it, in milliseconds.
    pub(super) fn filtered_ms(&self) -> f64 {
        self.filtered_ms
    }

    /// What the limits call for.
    pub(super) fn wanted(&self, target_ms: u64, now: Duration) -> Stretch {
        let target_ms = target_ms as f64;
        let low_ms = (target_ms * 0.75).max(target_ms - 85.0);
        let high_ms = target_ms.max(low_ms + 20.0);
        let rested = self.stretched_at.is_none_or(|at| now.saturating_sub(at) >= BETWEEN_STRETCHES);

        if self.filtered_ms >= 4.0 * high_ms {
            Stretch::FastAccelerate
        } else if self.filtered_ms >= high_ms && rested {
            Stretch::Accelerate
        } else if self.filtered_ms < low_ms && rested {
            Stretch::PreemptiveExpand
        } else {
            Stretch::None
        }
    }

    /// Time was stretched: the filter knows at once, and needs not see it in the level first.
    pub(super) fn stretched(&mut self, stretch: Stretch, now: Duration) {
        let pitch_ms = PITCH.as_secs_f64() * 1e3;
        match stretch {
            Stretch::None => return,
            Stretch::Accelerate | Stretch::FastAccelerate => {
                self.filtered_ms = (self.filtered_ms - pitch_ms).max(0.0);
            }
            Stretch::PreemptiveExpand => self.filtered_ms += pitch_ms,
        }
        self.stretched_at = Some(now);
    }

    /// The buffer was filled to this level on purpose.
    pub(super) fn reset(&mut self, level_ms: f64) {
        self.filtered_ms = level_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(filtered_ms: f64, target_ms: u64) -> Stretch {
        Level { filtered_ms, stretched_at: None }.wanted(target_ms, Duration::ZERO)
    }

    #[test]
    fn time_is_stretched_outside_the_limits_only() {
        use Stretch::{Accelerate, FastAccelerate, None, PreemptiveExpand};
        // At 20 ms the limits are 15 and 35, at 160 ms 120 and 160, at 400 ms 315 and 400.
        let limits = [(20, 15.0, 35.0), (160, 120.0, 160.0), (400, 315.0, 400.0)];
        for (target_ms, low_ms, high_ms) in limits {
            assert_eq!(wanted(low_ms - 0.1, target_ms), PreemptiveExpand);
            assert_eq!(wanted(low_ms, target_ms), None);
            assert_eq!(wanted(high_ms - 0.1, target_ms), None);
            assert_eq!(wanted(high_ms, target_ms), Accelerate);
            assert_eq!(wanted(high_ms * 4.0 - 0.1, target_ms), Accelerate);
            assert_eq!(wanted(high_ms * 4.0, target_ms), FastAccelerate);
        }
    }

    #[test]
    fn only_a_very_full_buffer_is_emptied_without_rest() {
        let at = Duration::from_secs(1);
        let level = |filtered_ms| Level { filtered_ms, stretched_at: Some(at) };
        let soon = at + Duration::from_millis(90);
        assert_eq!(level(50.0).wanted(20, soon), Stretch::None);
        assert_eq!(level(5.0).wanted(20, soon), Stretch::None);
        assert_eq!(level(200.0).wanted(20, soon), Stretch::FastAccelerate);
        assert_eq!(level(50.0).wanted(20, at + BETWEEN_STRETCHES), Stretch::Accelerate);
    }

    #[test]
    fn a_deeper_target_is_filtered_more_slowly() {
        let after_half_a_second = |target_ms| {
            let mut level = Level::default();
            (0..50).for_each(|_| level.measure(100.0, target_ms));
            level.filtered_ms
        };
        let levels = [20, 60, 140, 160].map(after_half_a_second);
        assert!(levels.is_sorted_by(|faster, slower| faster > slower), "{levels:?}");
        assert!((levels[0] - 100.0 * (1.0 - (251.0_f64 / 256.0).powi(50))).abs() < 1e-9);
    }

    #[test]
    fn a_stretch_is_known_to_the_filter_at_once() {
        let mut level = Level::default();
        level.reset(50.0);
        level.stretched(Stretch::Accelerate, Duration::ZERO);
        assert_eq!(level.filtered_ms, 42.0);
        level.stretched(Stretch::PreemptiveExpand, Duration::ZERO);
        assert_eq!(level.filtered_ms, 50.0);
    }
}
