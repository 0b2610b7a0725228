//! How much of something had which delay, in 0.1 ms bins up to 2 s.
//!
//! A bin holds what was at most its edge and above the edge before, so that asking "how much was there by D"
//! is exact for every D that is a multiple of 0.1 ms. What was slower, or never came, is only summed up.

use std::time::Duration;

/// Fine enough to tell two buffers apart, as both are judged by the millisecond.
const BIN_NS: u64 = 100_000;

/// Nobody converses at 2 s: beyond it, later is not worse.
const BINS: usize = 20_001;

/// Weights by delay. Fixed in size.
#[derive(Clone, Debug)]
pub(super) struct DelayHistogram {
    bins: Box<[u64]>,
    total: u64,
}

impl DelayHistogram {
    /// The longest delay told from "never".
    pub(super) const SPAN: Duration = Duration::from_secs(2);

    pub(super) fn new() -> Self {
        Self { bins: vec![0; BINS].into_boxed_slice(), total: 0 }
    }

    /// Adds a weight at a delay in nanoseconds, or at none for what never came.
    pub(super) fn add(&mut self, delay_ns: Option<u64>, weight: u64) {
        self.total += weight;
        let bin = delay_ns.and_then(|delay| usize::try_from(delay.div_ceil(BIN_NS)).ok());
        if let Some(bin) = bin.and_then(|bin| self.bins.get_mut(bin)) {
            *bin += weight;
        }
    }

    /// All the weight, that of what never came included.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// The weight of what had at most this delay, rounded down to 0.1 ms.
    pub(super) fn within(&self, delay: Duration) -> u64 {
        let bins = usize::try_from(delay.as_nanos() / u128::from(BIN_NS)).map_or(BINS, |bin| bin + 1);
        self.bins.iter().take(bins).sum()
    }

    /// The least multiple of 0.1 ms within which the weight satisfies the condition, which must go on
    /// holding as the weight grows.
    pub(super) fn least_where(&self, satisfied: impl Fn(u64) -> bool) -> Option<Duration> {
        let mut within = 0;
        (0_u64..).zip(&self.bins).find_map(|(bin, weight)| {
            within += weight;
            satisfied(within).then(|| Duration::from_nanos(bin * BIN_NS))
        })
    }

    /// Places set aside, for the proof that they stay the same.
    #[cfg(test)]
    pub(super) fn bins(&self) -> usize {
        self.bins.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_counts_from_the_first_edge_that_is_not_below_it() {
        let mut histogram = DelayHistogram::new();
        for (delay_ns, weight) in [(0, 1), (100_000, 10), (100_001, 100), (2_000_000_000, 1000)] {
            histogram.add(Some(delay_ns), weight);
        }
        histogram.add(Some(2_000_000_001), 10_000);
        histogram.add(None, 100_000);

        let within = |micros| histogram.within(Duration::from_micros(micros));
        assert_eq!([within(0), within(99), within(100), within(200)], [1, 1, 11, 111]);
        assert_eq!([within(1_999_999), within(2_000_000), within(u64::MAX)], [111, 1111, 1111]);
        assert_eq!(histogram.total(), 111_111);
        assert_eq!(histogram.least_where(|within| within >= 12), Some(Duration::from_micros(200)));
        assert_eq!(histogram.least_where(|within| within > 1111), None);
        assert_eq!(histogram.bins() as u64, DelayHistogram::SPAN.as_micros() as u64 / 100 + 1);
    }
}
