//! The WAV files that members talk from.

use super::check::Mistake;
use super::mistake::ScenarioError;
use super::{Scenario, Talk};
use hound::{SampleFormat, WavReader};
use std::collections::BTreeMap;
use std::path::Path;

/// A recording: mono, or the first channel of more.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// Samples a second.
    pub rate_hz: u32,
    /// Samples, full scale at ±1.
    pub samples: Vec<f32>,
}

pub(super) fn read_recordings(
    scenario: &Scenario,
    folder: &Path,
    mistake: Mistake<'_>,
) -> Result<BTreeMap<String, Recording>, ScenarioError> {
    let mut recordings = BTreeMap::new();
    for (at, member) in scenario.members.iter().enumerate() {
        let Talk::File(path) = &member.talk else { continue };
        let recording = read(&folder.join(path)).map_err(|why| {
            let wrong = format!("the recording `{path}` cannot be used: {why}");
            mistake.at(&format!("member/{at}/talk/file"), wrong, RIGHT.into())
        })?;
        recordings.insert(path.clone(), recording);
    }
    Ok(recordings)
}

fn read(path: &Path) -> Result<Recording, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    Recording::from_wav(&bytes)
}

impl Recording {
    /// Reads a WAV file.
    ///
    /// # Errors
    /// In words, when it is none, or holds nothing that could be a voice.
    pub fn from_wav(bytes: &[u8]) -> Result<Self, String> {
        let mut reader = WavReader::new(bytes).map_err(|error| match error {
            hound::Error::IoError(io) => io.to_string(),
            other => other.to_string(),
        })?;
        let spec = reader.spec();
        if !RATES_HZ.contains(&spec.sample_rate) || spec.channels == 0 {
            return Err(format!("it has {} channels at {} Hz", spec.channels, spec.sample_rate));
        }
        let samples: Result<Vec<f32>, hound::Error> = match spec.sample_format {
            SampleFormat::Float => reader.samples::<f32>().step_by(usize::from(spec.channels)).collect(),
            SampleFormat::Int => {
                let scale = 1.0 / 2_f32.powi(i32::from(spec.bits_per_sample) - 1);
                let samples = reader.samples::<i32>().step_by(usize::from(spec.channels));
                samples.map(|sample| Ok(sample? as f32 * scale)).collect()
            }
        };
        let samples = samples.map_err(|error| error.to_string())?;
        // The rate converter works by the millisecond.
        if samples.len() < spec.sample_rate as usize / 100 {
            return Err("it holds less than 10 ms of sound".into());
        }
        Ok(Recording { rate_hz: spec.sample_rate, samples })
    }
}

const RIGHT: &str = "a WAV file at 8 to 192 kHz; its path is relative to the scenario's folder";

/// From telephony to the highest rate of studio equipment; outside, a header is more likely broken than true.
const RATES_HZ: std::ops::RangeInclusive<u32> = 8000..=192_000;
