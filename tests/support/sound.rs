//! What a member's speaker played, and which tones are in it.

use hound::{WavReader, WavSpec, WavWriter};
use std::{
    f64::consts::TAU,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

/// The rate of recordings.
pub(crate) const RATE: u32 = 48_000;

/// Short enough to show a gap of one lost packet; whole periods of any tone in steps of 50 Hz.
const WINDOW: usize = RATE as usize / 50;

/// A recording whose place in time is known.
pub(crate) struct Heard {
    pub(crate) samples: Vec<f32>,
    started_unix_us: u64,
}

impl Heard {
    pub(crate) fn read(path: &Path, started_unix_us: u64) -> Self {
        let (samples, rate) = read_wav(path);
        assert_eq!(rate, RATE, "recordings have the engine's rate");
        Self { samples, started_unix_us }
    }

    /// What was heard from one moment to another; the recording must cover it.
    #[track_caller]
    pub(crate) fn between(&self, from_unix_us: u64, to_unix_us: u64) -> &[f32] {
        let at = |moment: u64| {
            let since = i64::try_from(moment).expect("this era") - self.started_unix_us as i64;
            usize::try_from(since * i64::from(RATE) / 1_000_000).expect("the recording had begun")
        };
        let (from, to) = (at(from_unix_us), at(to_unix_us));
        assert!(to <= self.samples.len(), "the recording ends {} samples early", to - self.samples.len());
        &self.samples[from..to]
    }

    /// When a sample was heard: Unix time in microseconds.
    #[allow(dead_code, reason = "not each test crate asks when")]
    pub(crate) fn moment(&self, sample: usize) -> u64 {
        self.started_unix_us + sample as u64 * 1_000_000 / u64::from(RATE)
    }

    /// The loudest sample.
    pub(crate) fn peak(&self) -> f32 {
        self.samples.iter().fold(0.0, |peak, sample| peak.max(sample.abs()))
    }
}

/// Unix time in microseconds.
pub(crate) fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("this era").as_micros() as u64
}

/// The amplitude of a tone in each window of 20 ms.
pub(crate) fn levels(samples: &[f32], hz: f64) -> Vec<f64> {
    let windows = samples.chunks_exact(WINDOW);
    windows.map(|window| amplitude(window, hz)).collect()
}

/// The median amplitude of a tone, which single disturbed windows do not move.
#[track_caller]
pub(crate) fn level(samples: &[f32], hz: f64) -> f64 {
    let mut levels = levels(samples, hz);
    assert!(!levels.is_empty(), "there is something to measure");
    levels.sort_by(f64::total_cmp);
    levels[levels.len() / 2]
}

/// The longest time, in ms, for which a tone is not at least half as loud as it usually is in `samples`.
pub(crate) fn longest_gap_ms(samples: &[f32], hz: f64) -> usize {
    longest_below_ms(samples, hz, level(samples, hz) / 2.0)
}

/// The longest time, in ms, for which a tone is not as loud as this.
pub(crate) fn longest_below_ms(samples: &[f32], hz: f64, enough: f64) -> usize {
    let levels = levels(samples, hz);
    let runs = levels.split(|level| *level >= enough).map(<[f64]>::len);
    runs.max().unwrap_or(0) * WINDOW * 1000 / RATE as usize
}

fn amplitude(samples: &[f32], hz: f64) -> f64 {
    let turn = TAU * hz / f64::from(RATE);
    let (mut re, mut im) = (0.0, 0.0);
    for (n, sample) in samples.iter().enumerate() {
        let (sin, cos) = (turn * n as f64).sin_cos();
        re += f64::from(*sample) * cos;
        im += f64::from(*sample) * sin;
    }
    2.0 * re.hypot(im) / samples.len() as f64
}

/// The samples of a mono file and their rate.
pub(crate) fn read_wav(path: &Path) -> (Vec<f32>, u32) {
    let mut reader = WavReader::open(path).unwrap_or_else(|e| panic!("cannot read {}: {e}", path.display()));
    assert_eq!(reader.spec().channels, 1, "{} is mono", path.display());
    let samples = reader.samples::<i16>().map(|s| f32::from(s.expect("a whole file")) / 32_768.0);
    (samples.collect(), reader.spec().sample_rate)
}

/// Writes a mono file of 16 bits.
pub(crate) fn write_wav(path: &Path, samples: &[f32], rate: u32) {
    let spec = WavSpec {
        channels: 1,
        sample_rate: rate,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = WavWriter::create(path, spec).expect("the test's directory is writable");
    for sample in samples {
        let sample = (sample.clamp(-1.0, 1.0) * 32_767.0).round() as i16;
        writer.write_sample(sample).expect("the test's directory is writable");
    }
    writer.finalize().expect("the test's directory is writable");
}
