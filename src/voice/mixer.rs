//! One sound of many voices.
//!
//! Call [`Mixer::begin`], [`Mixer::add`] for each voice, then [`Mixer::finish`]; all at 48 kHz, mono. The mix
//! comes out 1.5 ms later than its parts. After [`Mixer::new`] nothing allocates.

use super::limiter::{LOOK_AHEAD, Limiter};
use protocol::limits::MEMBERS_MAX;

/// A gain gets halfway to where it is set within 5 ms: no step is heard, nor any delay.
const GAIN_STEP: f32 = 0.003;

/// Sums voices and keeps the sum within full scale.
pub struct Mixer {
    sum: Vec<f32>,
    len: usize,
    gains: [Option<f32>; MEMBERS_MAX],
    limiter: Limiter,
}

impl Mixer {
    /// Samples by which the mix is later than its parts.
    pub const DELAY_SAMPLES: usize = LOOK_AHEAD;

    /// A mixer of blocks of up to `block_max` samples.
    pub fn new(block_max: usize) -> Self {
        Self { sum: vec![0.0; block_max], len: 0, gains: [None; MEMBERS_MAX], limiter: Limiter::new() }
    }

    /// Begins a block of `samples`; more than `block_max` are cut.
    pub fn begin(&mut self, samples: usize) {
        self.len = samples.min(self.sum.len());
        self.sum[..self.len].fill(0.0);
    }

    /// Adds one voice. `voice` is a number below [`MEMBERS_MAX`] that stays with it; others are not mixed.
    /// A changed `gain` is approached smoothly.
    pub fn add(&mut self, voice: usize, gain: f32, sound: &[f32]) {
        let Some(current) = self.gains.get_mut(voice) else { return };
        let wanted = if gain.is_finite() { gain } else { 0.0 };
        let mut smooth = current.unwrap_or(wanted);
        for (sum, sample) in self.sum[..self.len].iter_mut().zip(sound) {
            if smooth != wanted {
                smooth += (wanted - smooth) * GAIN_STEP;
                if (wanted - smooth).abs() < 1.0e-4 {
                    smooth = wanted;
                }
            }
            *sum += if sample.is_finite() { sample * smooth } else { 0.0 };
        }
        *current = Some(smooth);
    }

    /// The voice has left: the next to have its number starts at its own gain.
    pub fn remove(&mut self, voice: usize) {
        if let Some(gain) = self.gains.get_mut(voice) {
            *gain = None;
        }
    }

    /// Ends the block and fills `out`, which is as long as the block; what is longer becomes silence.
    pub fn finish(&mut self, out: &mut [f32]) {
        let len = self.len.min(out.len());
        for (out, sum) in out.iter_mut().zip(&self.sum[..len]) {
            *out = self.limiter.process(*sum);
        }
        out[len..].fill(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::Mixer;

    fn tone(hertz: f32, amplitude: f32, from: usize, len: usize) -> Vec<f32> {
        (from..from + len)
            .map(|n| amplitude * (n as f32 / 48_000.0 * hertz * std::f32::consts::TAU).sin())
            .collect()
    }

    fn mix(voices: &[Vec<f32>], gain: impl Fn(usize) -> f32) -> Vec<f32> {
        let mut mixer = Mixer::new(480);
        let mut mixed = Vec::new();
        for from in (0..voices[0].len()).step_by(480) {
            mixer.begin(480);
            for (number, voice) in voices.iter().enumerate() {
                mixer.add(number, gain(from), &voice[from..from + 480]);
            }
            let mut out = [0.0; 480];
            mixer.finish(&mut out);
            mixed.extend_from_slice(&out);
        }
        mixed
    }

    #[test]
    fn a_single_voice_below_the_ceiling_passes_unchanged() {
        let voice = tone(220.0, 0.707, 0, 9_600);
        let mixed = mix(std::slice::from_ref(&voice), |_| 1.0);
        assert_eq!(mixed[Mixer::DELAY_SAMPLES..], voice[..9_600 - Mixer::DELAY_SAMPLES]);
    }

    #[test]
    fn three_full_scale_voices_do_not_clip_and_the_gain_recovers() {
        let mut voices: Vec<Vec<f32>> =
            [150.0, 233.0, 310.0].iter().map(|&hertz| tone(hertz, 1.0, 0, 48_000)).collect();
        for voice in &mut voices[1..] {
            voice[24_000..].fill(0.0);
        }
        voices[0][24_000..].iter_mut().for_each(|sample| *sample *= 0.5);
        let mixed = mix(&voices, |_| 1.0);
        let peak = mixed.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        assert!(peak <= 0.9701 && peak > 0.9, "{peak}");
        let (heard, said) = (&mixed[47_000 + Mixer::DELAY_SAMPLES..], &voices[0][47_000..]);
        for (heard, said) in heard.iter().zip(said) {
            assert_eq!(heard, said);
        }
    }

    #[test]
    fn a_changed_gain_makes_no_step() {
        let voice = vec![0.5; 4_800];
        let mixed = mix(&[voice], |from| if from < 2_400 { 1.0 } else { 0.0 });
        let step = mixed[100..].windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
        assert!(step < 0.002 && mixed[4_799] < 0.001, "{step} {}", mixed[4_799]);
    }

    #[test]
    fn one_voice_of_broken_numbers_leaves_the_others_audible() {
        let mixed = mix(&[vec![f32::NAN; 960], vec![0.25; 960], vec![f32::INFINITY; 960]], |_| 1.0);
        assert_eq!(mixed[500], 0.25);
    }
}
