//! Comparing what was heard with what was said: delay and likeness, by cross-correlation.

use std::io::Read;
use std::path::Path;

/// Both sides are compared at this rate: most of speech lies below 4 kHz, and 0.125 ms is fine enough.
const RATE: usize = 8000;

/// The longest delay looked for: 600 ms.
const DELAY_SAMPLES_MAX: usize = RATE * 6 / 10;

/// Stretches compared one by one: one second.
const WINDOW: usize = RATE;

/// What happens before the two are connected and settled is not judged.
const SETTLING: usize = 3 * RATE;

/// A stretch quieter than this (-60 dBFS) is a pause, in which there is nothing to compare.
const PAUSE_RMS: f32 = 0.001;

/// Less likeness than this is no likeness: nothing was heard.
const SIMILARITY_MIN: f32 = 0.3;

/// What a listener got.
#[derive(Debug, Clone, Copy)]
pub(super) struct Heard {
    /// Mouth to ear, median over the seconds, in ms.
    pub(super) delay_ms: f64,
    /// Normalised correlation with the original below 4 kHz, mean over the seconds, 0 to 1.
    pub(super) similarity: f64,
}

/// Compares a recording with `speech` (a WAV file) that was repeated over and over. `offset_ms`: how much later
/// the recording began than the speech.
pub(super) fn compare(speech: &[u8], recording: &Path, offset_ms: f64) -> Option<Heard> {
    let said = read(hound::WavReader::new(speech).ok()?)?;
    let heard = read(hound::WavReader::open(recording).ok()?)?;
    let offset = (offset_ms * RATE as f64 / 1000.0).round() as i64;
    let windows = heard.chunks_exact(WINDOW).enumerate().skip(SETTLING / WINDOW);
    let mut found: Vec<(usize, f32)> = windows
        .filter(|(_, window)| rms(window) > PAUSE_RMS)
        .filter_map(|(index, window)| best_delay(&said, window, offset + (index * WINDOW) as i64))
        .filter(|(_, similarity)| *similarity > SIMILARITY_MIN)
        .collect();
    if found.is_empty() {
        return None;
    }
    let similarity =
        found.iter().map(|(_, similarity)| f64::from(*similarity)).sum::<f64>() / found.len() as f64;
    found.sort_by_key(|(delay, _)| *delay);
    let (median, _) = found[found.len() / 2];
    Some(Heard { delay_ms: median as f64 * 1000.0 / RATE as f64, similarity })
}

/// The delay at which `window`, heard from `at` on, is most like what was said, and how much it is.
fn best_delay(said: &[f32], window: &[f32], at: i64) -> Option<(usize, f32)> {
    let level = rms(window);
    let candidates = (0..DELAY_SAMPLES_MAX).map(|delay| {
        let from = (at - delay as i64).rem_euclid(said.len() as i64) as usize;
        let original = said.iter().cycle().skip(from);
        let (mut product, mut power) = (0.0f32, 0.0f32);
        for (heard, said) in window.iter().zip(original) {
            product += heard * said;
            power += said * said;
        }
        let original_level = (power / window.len() as f32).sqrt().max(PAUSE_RMS);
        (delay, product / window.len() as f32 / (level * original_level))
    });
    candidates.max_by(|a, b| a.1.total_cmp(&b.1))
}

fn rms(samples: &[f32]) -> f32 {
    (samples.iter().map(|s| s * s).sum::<f32>() / samples.len() as f32).sqrt()
}

/// A mono 16-bit WAV file at 8 kHz, averaged down from its own rate, which must be a multiple.
fn read(mut reader: hound::WavReader<impl Read>) -> Option<Vec<f32>> {
    let factor = reader.spec().sample_rate as usize / RATE;
    let samples: Vec<f32> =
        reader.samples::<i16>().map_while(Result::ok).map(|s| f32::from(s) / 32768.0).collect();
    (factor > 0)
        .then(|| samples.chunks_exact(factor).map(|c| c.iter().sum::<f32>() / factor as f32).collect())
}

#[cfg(test)]
mod tests {
    use super::{RATE, best_delay};

    #[test]
    fn a_delay_is_found_to_the_sample_across_the_loop() {
        // A pseudo-random signal: nothing in it repeats but the whole.
        let mut state = 1u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as f32 / 65_536.0 - 0.5
        };
        let said: Vec<f32> = (0..2 * RATE).map(|_| noise()).collect();
        let delay = 317;
        let at = 3 * RATE + 100;
        let heard: Vec<f32> = (0..RATE).map(|i| 0.5 * said[(at + i - delay) % said.len()]).collect();
        let (found, similarity) = best_delay(&said, &heard, at as i64).unwrap();
        assert_eq!(found, delay);
        assert!(similarity > 0.99);
    }
}
