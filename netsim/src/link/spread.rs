//! Distributions of a time: jitter, the length of a stall.
//!
//! Each is drawn through its quantile function from one uniform number, so that a draw always costs its stream the
//! same, and a test can compare what it measures with what was asked.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

/// How a time is distributed. Nothing is ever below 0 or, where `max_ms` is given, above that (it is then `max_ms`);
/// never more than a minute.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(tag = "shape", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Spread {
    /// Always the same.
    Constant {
        /// The value.
        ms: f64,
    },
    /// Evenly between two values.
    Uniform {
        /// The least.
        min_ms: f64,
        /// The most.
        max_ms: f64,
    },
    /// The part above 0 (and below `max_ms`) of a normal distribution; cut off, not clamped.
    Normal {
        /// Mean before the cut.
        mean_ms: f64,
        /// Standard deviation before the cut.
        deviation_ms: f64,
        /// The most.
        max_ms: Option<f64>,
    },
    /// Exponential.
    Exponential {
        /// Its mean.
        mean_ms: f64,
        /// The most.
        max_ms: Option<f64>,
    },
    /// Log-normal: mostly small, with a long tail, as radio links.
    LogNormal {
        /// Half are smaller.
        median_ms: f64,
        /// 19 of 20 are smaller.
        p95_ms: f64,
        /// The most.
        max_ms: Option<f64>,
    },
}

/// No time that a spread gives is longer.
pub(super) const LONGEST_MS: f64 = 60_000.0;

impl Spread {
    /// The value that a share of `part` (0 to 1, 1 excluded) of all are below, in ms.
    pub fn quantile_ms(&self, part: f64) -> f64 {
        Sampler::new(self).quantile_ms(part)
    }

    /// The mean, in ms, to about 1 %.
    pub fn mean_ms(&self) -> f64 {
        let sampler = Sampler::new(self);
        let steps = 2000;
        (0..steps).map(|step| sampler.quantile_ms((f64::from(step) + 0.5) / f64::from(steps))).sum::<f64>()
            / f64::from(steps)
    }
}

/// A spread made ready for drawing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sampler {
    curve: Curve,
    most_ms: f64,
}

#[derive(Clone, Copy, Debug)]
enum Curve {
    Line {
        from: f64,
        width: f64,
    },
    /// From this probability, and this much of it, is what the cut leaves.
    Normal {
        mean: f64,
        deviation: f64,
        from: f64,
        width: f64,
    },
    Exponential {
        mean: f64,
    },
    LogNormal {
        log_median: f64,
        log_deviation: f64,
    },
}

impl Sampler {
    pub(super) fn new(spread: &Spread) -> Self {
        let capped = |most: Option<f64>| most.unwrap_or(LONGEST_MS).min(LONGEST_MS);
        match *spread {
            Spread::Constant { ms } => {
                Sampler { curve: Curve::Line { from: ms, width: 0.0 }, most_ms: LONGEST_MS }
            }
            Spread::Uniform { min_ms, max_ms } => {
                Sampler { curve: Curve::Line { from: min_ms, width: max_ms - min_ms }, most_ms: max_ms }
            }
            Spread::Normal { mean_ms: mean, deviation_ms: deviation, max_ms } => {
                let most_ms = capped(max_ms);
                let from = normal_share((0.0 - mean) / deviation);
                let width = normal_share((most_ms - mean) / deviation) - from;
                Sampler { curve: Curve::Normal { mean, deviation, from, width }, most_ms }
            }
            Spread::Exponential { mean_ms, max_ms } => {
                Sampler { curve: Curve::Exponential { mean: mean_ms }, most_ms: capped(max_ms) }
            }
            Spread::LogNormal { median_ms, p95_ms, max_ms } => {
                let log_deviation = (p95_ms / median_ms).ln() / normal_quantile(0.95);
                let curve = Curve::LogNormal { log_median: median_ms.ln(), log_deviation };
                Sampler { curve, most_ms: capped(max_ms) }
            }
        }
    }

    pub(super) fn quantile_ms(&self, part: f64) -> f64 {
        let value = match self.curve {
            Curve::Line { from, width } => from + width * part,
            Curve::Normal { mean, deviation, from, width } => {
                mean + deviation * normal_quantile(from + width * part)
            }
            Curve::Exponential { mean } => -mean * (-part).ln_1p(),
            Curve::LogNormal { log_median, log_deviation } => {
                (log_median + log_deviation * normal_quantile(part)).exp()
            }
        };
        value.clamp(0.0, self.most_ms)
    }

    /// One value, in ns.
    pub(super) fn draw(&self, rng: &mut ChaCha8Rng) -> u64 {
        ns_from_ms(self.quantile_ms(rng.random::<f64>()))
    }
}

/// To the nearest ns.
pub(super) fn ns_from_ms(ms: f64) -> u64 {
    (ms * 1e6).round() as u64
}

/// The standard normal distribution's quantile, to 7 digits: Wichura, Algorithm AS 241 (PPND7), Applied Statistics 37,
/// 1988.
fn normal_quantile(part: f64) -> f64 {
    let centred = part - 0.5;
    if centred.abs() <= 0.425 {
        let r = 0.180_625 - centred * centred;
        return centred
            * (((59.109_374_720 * r + 159.291_132_02) * r + 50.434_271_938) * r + 3.387_132_717_9)
            / (((67.187_563_600 * r + 78.757_757_664) * r + 17.895_169_469) * r + 1.0);
    }
    // The tails' values end where a double's smallest steps near 0 and 1 do.
    let tail = part.min(1.0 - part).max(1e-16);
    let r = (-tail.ln()).sqrt();
    let value = if r <= 5.0 {
        let r = r - 1.6;
        (((0.170_238_211_03 * r + 1.306_728_481_6) * r + 2.756_815_390_0) * r + 1.423_437_277_7)
            / ((0.120_211_329_75 * r + 0.737_001_642_50) * r + 1.0)
    } else {
        let r = r - 5.0;
        (((0.017_337_203_997 * r + 0.428_682_943_37) * r + 3.081_226_386_0) * r + 6.657_905_115_0)
            / ((0.012_258_202_635 * r + 0.241_978_942_25) * r + 1.0)
    };
    if centred < 0.0 { -value } else { value }
}

/// How much of the standard normal distribution lies below `value`: the quantile's inverse, by halving.
fn normal_share(value: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if normal_quantile(middle) < value {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_quantiles_are_those_of_the_tables() {
        for (part, expected) in [
            (0.5, 0.0),
            (0.8, 0.841_621_2),
            (0.95, 1.644_853_6),
            (0.999, 3.090_232_3),
            (1e-6, -4.753_424_3),
            (1e-12, -7.034_483_8),
        ] {
            assert!((normal_quantile(part) - expected).abs() < 1e-5, "{part}: {}", normal_quantile(part));
        }
        assert!((normal_share(1.0) - 0.841_344_7).abs() < 1e-6);
    }

    #[test]
    fn a_mean_is_that_of_the_formula() {
        assert!((Spread::Exponential { mean_ms: 7.0, max_ms: None }.mean_ms() - 7.0).abs() < 0.07);
        assert!((Spread::Uniform { min_ms: 1.0, max_ms: 4.0 }.mean_ms() - 2.5).abs() < 0.01);
    }
}
