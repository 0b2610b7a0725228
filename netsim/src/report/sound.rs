//! What was said and what listeners heard, as WAV files.

use crate::outcome::{Direction, Outcome};
use hound::{SampleFormat, WavSpec, WavWriter};
use std::io::{Cursor, Seek, Write};
use std::path::Path;

/// Writes 48 kHz WAV files of the sound that was kept: `SCENARIO-SEED-FROM-TO.wav` is what was heard,
/// `SCENARIO-SEED-NAME-said.wav` what was said. All begin at the same moment.
///
/// # Errors
/// The folder or a file that cannot be written.
pub fn write_wavs(outcome: &Outcome, folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let scenario = Path::new(&outcome.scenario).file_stem().unwrap_or_default().to_string_lossy();
    let heard = outcome.directions.iter().map(|direction| {
        let Direction { from, to, sound, .. } = direction;
        (format!("{from}-{to}"), sound)
    });
    let said = outcome.members.iter().map(|member| (format!("{}-said", member.name), &member.said));
    for (name, sound) in heard.chain(said) {
        let Some(sound) = sound else { continue };
        let path = folder.join(format!("{scenario}-{}-{name}.wav", outcome.seed));
        let file = std::io::BufWriter::new(std::fs::File::create(path)?);
        write(file, HEARD_HZ, sound.iter().copied()).map_err(std::io::Error::other)?;
    }
    Ok(())
}

/// The sound at 16 kHz as a WAV file in memory: a third of the size, and as wide as the codecs of telephony.
pub(super) fn small_wav(sound: &[f32]) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    write(&mut file, HEARD_HZ / 3, thirds(sound).into_iter()).expect("memory can be written to");
    file.into_inner()
}

fn write(file: impl Write + Seek, rate_hz: u32, samples: impl Iterator<Item = f32>) -> hound::Result<()> {
    let spec =
        WavSpec { channels: 1, sample_rate: rate_hz, bits_per_sample: 16, sample_format: SampleFormat::Int };
    let mut writer = WavWriter::new(file, spec)?;
    for sample in samples {
        writer.write_sample((sample.clamp(-1.0, 1.0) * f32::from(i16::MAX)) as i16)?;
    }
    writer.finalize()
}

/// Every third sample behind a low-pass: a sinc with a Hann window, its cut-off at 7.2 kHz.
fn thirds(sound: &[f32]) -> Vec<f32> {
    let taps = (-TAPS_SIDE..=TAPS_SIDE).map(|n| {
        let at = std::f32::consts::PI * n as f32;
        let sinc = if n == 0 { CUTOFF } else { (at * CUTOFF).sin() / at };
        sinc * (0.5 + 0.5 * (at / (TAPS_SIDE + 1) as f32).cos())
    });
    let taps = taps.collect::<Vec<_>>();
    let filtered = |middle: usize| {
        let sum = taps.iter().enumerate().map(|(at, tap)| {
            let from = (middle + at).checked_sub(TAPS_SIDE as usize);
            tap * from.and_then(|from| sound.get(from)).copied().unwrap_or_default()
        });
        sum.sum()
    };
    (0..sound.len()).step_by(3).map(filtered).collect()
}

/// As engines and outcomes have it.
const HEARD_HZ: u32 = 48_000;
/// As a share of half the sampling rate: 7.2 of 24 kHz, so that the slope ends before 8 kHz.
const CUTOFF: f32 = 0.3;
/// Taps on each side: the slope of a Hann window is about 4 / 97 of the sampling rate wide, 2 kHz.
const TAPS_SIDE: i32 = 48;

#[cfg(test)]
mod tests {
    use super::thirds;

    fn level(hz: f32) -> f32 {
        let tone =
            (0..9600).map(|n| (std::f32::consts::TAU * hz * n as f32 / 48_000.0).sin()).collect::<Vec<_>>();
        let kept = thirds(&tone);
        let middle = &kept[200..3000];
        (2.0 * middle.iter().map(|sample| sample * sample).sum::<f32>() / middle.len() as f32).sqrt()
    }

    #[test]
    fn speech_passes_and_what_would_fold_over_does_not() {
        assert!((level(1000.0) - 1.0).abs() < 0.02, "{}", level(1000.0));
        assert!((level(5000.0) - 1.0).abs() < 0.05, "{}", level(5000.0));
        assert!(level(9500.0) < 0.02, "{}", level(9500.0));
    }
}
