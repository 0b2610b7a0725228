//! What people say: real speech, pieces of it as in a conversation, or a steady generated voice.

use crate::scenario::{Recording, Talk};
use protocol::media::SAMPLE_RATE;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use roundtable::audio::RateConverter;
use std::f32::consts::TAU;
use std::sync::{Arc, OnceLock};

/// A reading of Jane Austen; its source and licence are named beside it.
const SPEECH: &[u8] = include_bytes!("../../../tests/speech/austen.wav");

/// Means of the exponential lengths of a conversation's talkspurts and pauses (ITU-T P.59, table 1), seconds.
const TALKSPURT_S: f64 = 1.004;
const PAUSE_S: f64 = 1.587;

/// The generated voice: its pitch and the loudness of its syllables, both dividing one second evenly.
const PITCH_HZ: usize = 140;
const SYLLABLES_HZ: f32 = 5.0;

/// A voice without an end.
#[derive(Debug)]
pub struct Voice {
    sound: Arc<Vec<f32>>,
    at: usize,
    turns: Option<Turns>,
}

/// Who has the word when: talkspurts cut out of a recording.
#[derive(Debug)]
struct Turns {
    random: ChaCha8Rng,
    talking: bool,
    left: usize,
}

impl Voice {
    /// What `talk` says; `file` is what its file holds.
    pub fn new(talk: &Talk, file: Option<&Recording>, seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let sound = match talk {
            Talk::Speech | Talk::Conversation => speech(),
            Talk::Steady => steady(),
            Talk::Silence => Arc::new(vec![0.0; SAMPLE_RATE as usize]),
            Talk::File(_) => file.map_or_else(speech, |recording| Arc::new(at_48_khz(recording))),
        };
        let at = match talk {
            Talk::Speech | Talk::Conversation => random.random_range(0..sound.len()),
            Talk::Steady | Talk::Silence | Talk::File(_) => 0,
        };
        let turns = (*talk == Talk::Conversation).then_some(Turns { random, talking: false, left: 0 });
        Self { sound, at, turns }
    }

    /// The next samples, 48 kHz mono.
    pub fn fill(&mut self, out: &mut [f32]) {
        for sample in out {
            let speaks = self.turns.as_mut().is_none_or(Turns::step);
            *sample = if speaks { self.sound[self.at] } else { 0.0 };
            if speaks {
                self.at = (self.at + 1) % self.sound.len();
            }
        }
    }
}

impl Turns {
    fn step(&mut self) -> bool {
        if self.left == 0 {
            self.talking = !self.talking;
            let mean = if self.talking { TALKSPURT_S } else { PAUSE_S };
            let length_s = -mean * self.random.random_range(f64::EPSILON..1.0).ln();
            self.left = 1 + (length_s * f64::from(SAMPLE_RATE)) as usize;
        }
        self.left -= 1;
        self.talking
    }
}

fn speech() -> Arc<Vec<f32>> {
    static RESAMPLED: OnceLock<Arc<Vec<f32>>> = OnceLock::new();
    let resample = || {
        let recording = Recording::from_wav(SPEECH).expect("the bundled recording is a WAV file");
        Arc::new(at_48_khz(&recording))
    };
    RESAMPLED.get_or_init(resample).clone()
}

fn steady() -> Arc<Vec<f32>> {
    static VOICE: OnceLock<Arc<Vec<f32>>> = OnceLock::new();
    let sample = |n: usize| {
        let t = n as f32 / SAMPLE_RATE as f32;
        let loudness = 0.6 - 0.4 * (t * SYLLABLES_HZ * TAU).cos();
        let harmonics = (1..20).map(|h| (t * (PITCH_HZ * h) as f32 * TAU).sin() / h as f32);
        0.15 * loudness * harmonics.sum::<f32>()
    };
    VOICE.get_or_init(|| Arc::new((0..SAMPLE_RATE as usize).map(sample).collect())).clone()
}

fn at_48_khz(recording: &Recording) -> Vec<f32> {
    let Some(mut converter) = RateConverter::new(recording.rate_hz, SAMPLE_RATE) else {
        return recording.samples.clone();
    };
    let mut converted = Vec::new();
    converter.push(&recording.samples, |piece| converted.extend_from_slice(piece));
    converted
}

#[cfg(test)]
mod tests {
    use super::Voice;
    use crate::scenario::Talk;

    fn second(voice: &mut Voice) -> Vec<f32> {
        let mut out = vec![0.0; 48_000];
        voice.fill(&mut out);
        out
    }

    #[test]
    fn a_conversation_has_words_and_pauses_in_their_usual_proportion() {
        let mut voice = Voice::new(&Talk::Conversation, None, 3);
        let seconds: Vec<f32> = (0..200).flat_map(|_| second(&mut voice)).collect();
        let quiet = seconds.chunks(480).filter(|block| block.iter().all(|s| *s == 0.0)).count();
        let share = quiet as f64 / (seconds.len() / 480) as f64;
        // P.59 speaks 39 % of the time.
        assert!((0.5..0.7).contains(&share), "silent for {share}");
    }

    #[test]
    fn another_seed_says_something_else_and_the_same_one_the_same() {
        let say = |seed| second(&mut Voice::new(&Talk::Speech, None, seed));
        assert_eq!(say(1), say(1));
        assert_ne!(say(1), say(2));
    }
}
