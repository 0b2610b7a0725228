//! What is measured of a route: round trip and loss, smoothed, and which of two is clearly better.

use super::Kind;
use std::time::Duration;

/// What has been measured of one route.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Measure {
    pub(super) round_trip: Option<Duration>,
    pub(super) loss: Option<f32>,
}

impl Measure {
    /// A quarter of each new sample, as many TCP stacks smooth and RFC 6298 does with an eighth: there are
    /// only a few samples a minute here.
    pub(super) fn add_round_trip(&mut self, round_trip: Duration) {
        let round_trip = round_trip.min(ROUND_TRIP_MAX);
        self.round_trip = Some(self.round_trip.map_or(round_trip, |old| (old * 3 + round_trip) / 4));
    }

    /// A share, smoothed in the same way.
    pub(super) fn add_loss(&mut self, loss: f32) {
        if loss.is_finite() {
            let loss = loss.clamp(0.0, 1.0);
            self.loss = Some(self.loss.map_or(loss, |old| old + (loss - old) / 4.0));
        }
    }

    /// Longer by more than a quarter, a half ..., and by more than some milliseconds.
    fn longer(self, other: Self, percent: u32, least: Duration) -> bool {
        let (Some(own), Some(other)) = (self.round_trip, other.round_trip) else { return false };
        own > other + least && own * 100 > other * (100 + percent)
    }

    fn lossier(self, other: Self, by: f32) -> bool {
        let (Some(own), Some(other)) = (self.loss, other.loss) else { return false };
        own > other + by
    }
}

/// In what a route is better than the one in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Better {
    Kind,
    RoundTrip(Duration),
    Loss,
}

/// Whether `candidate` is clearly better than `active`. A better kind wins unless it is clearly worse; the
/// margin at which it is left again is wider than that at which it is entered, so that no pair of
/// measurements is a reason to go both ways.
pub(super) fn better(candidate: (Kind, Measure), active: (Kind, Measure)) -> Option<Better> {
    let ((kind, own), (active_kind, other)) = (candidate, active);
    if kind < active_kind {
        let worse = own.longer(other, 50, Duration::from_millis(30)) || own.lossier(other, 0.05);
        return (!worse).then_some(Better::Kind);
    }
    let (percent, least, points) = if kind == active_kind {
        (25, Duration::from_millis(30), 0.05)
    } else {
        (75, Duration::from_millis(45), 0.08)
    };
    if other.longer(own, percent, least) && !own.lossier(other, 0.03) {
        let (long, short) = (other.round_trip.unwrap_or_default(), own.round_trip.unwrap_or_default());
        Some(Better::RoundTrip(long.saturating_sub(short)))
    } else if other.lossier(own, points) && !own.longer(other, 50, Duration::from_millis(30)) {
        Some(Better::Loss)
    } else {
        None
    }
}

/// Nothing usable takes longer; a bound keeps sums of nonsense from overflowing.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(round_trip_ms: u64, loss: f32) -> Measure {
        Measure { round_trip: Some(Duration::from_millis(round_trip_ms)), loss: Some(loss) }
    }

    #[test]
    fn a_better_kind_wins_unless_it_is_clearly_worse() {
        let relay = (Kind::Relayed, measured(60, 0.0));
        assert_eq!(better((Kind::Direct, Measure::default()), relay), Some(Better::Kind));
        assert_eq!(better((Kind::Direct, measured(85, 0.0)), relay), Some(Better::Kind), "under 30 ms");
        assert_eq!(better((Kind::Direct, measured(100, 0.0)), relay), None);
        assert_eq!(better((Kind::Direct, measured(20, 0.1)), relay), None, "loses more");
    }

    #[test]
    fn a_worse_kind_or_an_equal_one_has_to_be_clearly_better() {
        let direct = (Kind::Direct, measured(120, 0.0));
        assert_eq!(better((Kind::Relayed, measured(80, 0.0)), direct), None);
        let gain = Better::RoundTrip(Duration::from_millis(70));
        assert_eq!(better((Kind::Relayed, measured(50, 0.0)), direct), Some(gain));
        let gain = Better::RoundTrip(Duration::from_millis(40));
        assert_eq!(better((Kind::Direct, measured(80, 0.0)), direct), Some(gain));
        assert_eq!(better((Kind::Direct, measured(100, 0.0)), direct), None);
        assert_eq!(
            better((Kind::Relayed, measured(120, 0.0)), (Kind::Direct, measured(120, 0.2))),
            Some(Better::Loss)
        );
    }

    #[test]
    fn no_two_measurements_are_a_reason_to_go_both_ways() {
        let kinds = [Kind::Lan, Kind::Direct, Kind::Relayed];
        for (a, b) in (0..60).flat_map(|a| (0..60).map(move |b| (a * 5, b * 5))) {
            for (loss_a, loss_b) in
                (0..8).flat_map(|a| (0..8).map(move |b| (a as f32 * 0.02, b as f32 * 0.02)))
            {
                for (x, y) in kinds.into_iter().flat_map(|x| kinds.map(move |y| (x, y))) {
                    let (left, right) = ((x, measured(a, loss_a)), (y, measured(b, loss_b)));
                    let both = better(left, right).is_some() && better(right, left).is_some();
                    assert!(!both, "{left:?} {right:?}");
                }
            }
        }
    }
}
