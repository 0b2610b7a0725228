//! Test signals and the two measures the device tests judge by.

use std::f64::consts::TAU;

/// A sine of `len` mono samples with the given peak.
pub(crate) fn sine(hz: f32, rate: u32, len: usize, peak: f32) -> Vec<f32> {
    let step = TAU * f64::from(hz) / f64::from(rate);
    (0..len).map(|n| peak * (step * n as f64).sin() as f32).collect()
}

/// The frequency of a steady tone, in hertz, by its rising zero crossings.
pub(crate) fn pitch(samples: &[f32], rate: u32) -> f32 {
    let crossings: Vec<f32> = samples
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| pair[0] < 0.0 && pair[1] >= 0.0)
        .map(|(n, pair)| n as f32 + pair[0] / (pair[0] - pair[1]))
        .collect();
    match crossings.as_slice() {
        [first, .., last] => (crossings.len() - 1) as f32 * rate as f32 / (last - first),
        [] | [_] => 0.0,
    }
}

/// The peak of a steady tone, from its energy.
pub(crate) fn level(samples: &[f32]) -> f32 {
    (2.0 * samples.iter().map(|s| s * s).sum::<f32>() / samples.len().max(1) as f32).sqrt()
}
