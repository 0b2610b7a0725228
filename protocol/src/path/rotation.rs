//! Carriers' NATs that forget a mapping though it is in use.
//!
//! Some do so 50 to 75 s after it was made, whatever passes through it. The direct path then dies again
//! and again after about the same life. When that is seen, a fresh port in good time spares the gap.

use std::time::Duration;

/// How long direct paths have lived lately.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rotation {
    newest: Option<Duration>,
    before: Option<Duration>,
}

impl Rotation {
    /// A direct path that carried the call died at this age.
    pub(super) fn on_death(&mut self, age: Duration) {
        self.before = self.newest.replace(age);
    }

    /// A direct path that carries the call has reached this age: whatever was suspected, it is not so here.
    pub(super) fn on_age(&mut self, age: Duration) {
        if age > LIFE_MAX + LIFE_DIFFERENCE_MAX {
            *self = Self::default();
        }
    }

    /// At which age a port should be given up for a fresh one.
    pub(super) fn advice(&self) -> Option<Duration> {
        let (newest, before) = (self.newest?, self.before?);
        let suspicious = |life| (LIFE_MIN..=LIFE_MAX).contains(&life);
        let alike = newest.abs_diff(before) <= LIFE_DIFFERENCE_MAX;
        (alike && suspicious(newest) && suspicious(before)).then(|| newest.min(before) - MARGIN)
    }
}

/// The lives seen were 50 to 75 s; death is noticed up to a check's interval late.
const LIFE_MIN: Duration = Duration::from_secs(45);
const LIFE_MAX: Duration = Duration::from_secs(85);
/// Two lives of one timer differ by when the first datagram was sent and the last one missed.
const LIFE_DIFFERENCE_MAX: Duration = Duration::from_secs(10);
/// Time to find a path from the fresh port.
const MARGIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(lives: &[u64]) -> Option<u64> {
        let mut rotation = Rotation::default();
        for life in lives {
            rotation.on_death(Duration::from_secs(*life));
        }
        rotation.advice().map(|advice| advice.as_secs())
    }

    #[test]
    fn two_similar_lives_are_a_reason_to_rotate_before_the_third_ends() {
        assert_eq!(advice(&[60, 62]), Some(50));
        assert_eq!(advice(&[300, 75, 70]), Some(60));
    }

    #[test]
    fn single_different_short_or_long_lives_are_none() {
        for lives in [&[60][..], &[50, 75], &[5, 6], &[200, 201], &[60, 60, 600]] {
            assert_eq!(advice(lives), None, "{lives:?}");
        }
    }

    #[test]
    fn a_path_that_lives_on_refutes_it() {
        let mut rotation = Rotation::default();
        rotation.on_death(Duration::from_secs(60));
        rotation.on_death(Duration::from_secs(60));
        rotation.on_age(Duration::from_secs(90));
        assert!(rotation.advice().is_some());
        rotation.on_age(Duration::from_secs(100));
        assert_eq!(rotation.advice(), None);
    }
}
