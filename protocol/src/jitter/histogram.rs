//! A histogram of delays in bins of 1 ms whose past fades exponentially.
//!
//! Instead of shrinking every bin at every arrival, later arrivals weigh more; the bins are scaled back
//! before the weights lose precision.

pub(super) const BINS: usize = 512;
const BIN_US: i64 = 1_000;
const WEIGHT_MAX: f32 = 1.0e6;

pub(super) struct Histogram {
    bins: Vec<f32>,
    total: f32,
    weight: f32,
    tau_s: f32,
    last_us: i64,
}

impl Histogram {
    /// `tau_s`: seconds after which an arrival counts for 1/e.
    pub(super) fn new(tau_s: f32) -> Self {
        Self { bins: vec![0.0; BINS], total: 0.0, weight: 1.0, tau_s, last_us: 0 }
    }

    /// Delays beyond the last bin count in it; negative ones in the first.
    pub(super) fn add(&mut self, at_us: i64, delay_us: i64) {
        let elapsed_s = (at_us - self.last_us).clamp(0, 60_000_000) as f32 / 1e6;
        self.last_us = self.last_us.max(at_us);
        let growth = (elapsed_s / self.tau_s).min(10.0).exp();
        self.weight *= growth;
        if self.weight > WEIGHT_MAX {
            let scale = self.weight.recip();
            self.bins.iter_mut().for_each(|bin| *bin *= scale);
            self.total = self.bins.iter().sum();
            self.weight = 1.0;
        }
        let bin = (delay_us.max(0) / BIN_US).min(BINS as i64 - 1) as usize;
        self.bins[bin] += self.weight;
        self.total += self.weight;
    }

    /// Upper edge of the bin in which the share `q` of all weight is reached, in microseconds; 0 when
    /// nothing is known.
    pub(super) fn quantile_us(&self, q: f32) -> i64 {
        if self.total <= 0.0 {
            return 0;
        }
        // From the top, where the few weights that decide are summed without losing precision.
        let mut above = 0.0;
        for (index, bin) in self.bins.iter().enumerate().rev() {
            above += bin;
            if above > self.total * (1.0 - q) {
                return (index as i64 + 1) * BIN_US;
            }
        }
        BIN_US
    }
}

#[cfg(test)]
mod tests {
    use super::Histogram;

    #[test]
    fn the_past_fades() {
        let mut histogram = Histogram::new(1.5);
        for n in 0..200 {
            histogram.add(n * 20_000, (n % 40) * 1_000);
        }
        assert!((36_000..=41_000).contains(&histogram.quantile_us(0.97)));
        for n in 200..500 {
            histogram.add(n * 20_000, 500);
        }
        assert_eq!(histogram.quantile_us(0.97), 1_000);
    }
}
