//! Percentiles of delays as they stream by, in 0.1 ms steps.

use super::histogram::DelayHistogram;
use super::{millis, nanos};
use serde::Serialize;
use std::time::Duration;

/// Gathers delays one by one and tells their percentiles; fixed in size.
#[derive(Clone, Debug)]
pub struct MouthToEar {
    histogram: DelayHistogram,
    sum_ns: u128,
    max: Duration,
}

/// What is worth knowing of many delays, all in milliseconds.
///
/// A percentile is the least delay that so many percent of all were at most, rounded up to 0.1 ms. Where
/// it lies beyond 2 s it is given as the maximum. Mean and maximum are exact.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Quantiles {
    /// How many delays these are of.
    pub count: u64,
    /// Their mean.
    pub mean_ms: f64,
    /// One in twenty was at most this.
    pub p5_ms: f64,
    /// Half were at most this.
    pub median_ms: f64,
    /// All but one in twenty were at most this.
    pub p95_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Default for MouthToEar {
    fn default() -> Self {
        Self { histogram: DelayHistogram::new(), sum_ns: 0, max: Duration::ZERO }
    }
}

impl MouthToEar {
    /// One without any delays.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one delay.
    pub fn record(&mut self, delay: Duration) {
        self.histogram.add(Some(nanos(delay)), 1);
        self.sum_ns += delay.as_nanos();
        self.max = self.max.max(delay);
    }

    /// The percentiles so far; none of no delays.
    #[must_use]
    pub fn quantiles(&self) -> Option<Quantiles> {
        let count = self.histogram.total();
        (count > 0).then(|| Quantiles {
            count,
            mean_ms: self.sum_ns as f64 / count as f64 / 1e6,
            p5_ms: self.percentile_ms(5),
            median_ms: self.percentile_ms(50),
            p95_ms: self.percentile_ms(95),
            max_ms: millis(self.max),
        })
    }

    fn percentile_ms(&self, percent: u64) -> f64 {
        let rank = (self.histogram.total() * percent).div_ceil(100);
        millis(
            self.histogram.least_where(|within| within >= rank).map_or(self.max, |delay| delay.min(self.max)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(delays_ms: impl IntoIterator<Item = f64>) -> Option<Quantiles> {
        let mut delays = MouthToEar::new();
        delays_ms.into_iter().for_each(|ms| delays.record(Duration::from_secs_f64(ms / 1e3)));
        delays.quantiles()
    }

    #[test]
    fn of_one_to_a_hundred_the_percentiles_are_the_numbers() {
        let quantiles = of((1..=100).rev().map(f64::from)).expect("there are delays");
        assert_eq!((quantiles.p5_ms, quantiles.median_ms, quantiles.p95_ms), (5.0, 50.0, 95.0));
        assert_eq!((quantiles.count, quantiles.mean_ms, quantiles.max_ms), (100, 50.5, 100.0));
    }

    #[test]
    fn no_percentile_is_above_the_longest_delay() {
        let quantiles = of([10.03]).expect("there is a delay");
        assert_eq!([quantiles.p5_ms, quantiles.median_ms, quantiles.p95_ms, quantiles.max_ms], [10.03; 4]);
    }

    #[test]
    fn beyond_two_seconds_a_percentile_is_the_maximum() {
        let quantiles = of([1.0, 2500.0, 7000.0]).expect("there are delays");
        assert_eq!((quantiles.p5_ms, quantiles.median_ms, quantiles.max_ms), (1.0, 7000.0, 7000.0));
    }

    #[test]
    fn without_delays_there_are_no_percentiles() {
        assert_eq!(of([]), None);
    }
}
