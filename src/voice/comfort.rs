//! Quiet noise in place of dead silence, so that a pause does not sound like a broken call.

/// -60 dBFS: louder noise than this is not imitated.
const LEVEL_MAX: f32 = 0.001;
/// How quickly the estimate follows quieter and louder frames: down within a syllable's pause, up only
/// over seconds, so that speech is not taken for noise.
const DOWN: f32 = 0.3;
const UP: f32 = 0.002;
/// Of one pole at 48 kHz: rooms hiss less than white noise does.
const COLOUR: f32 = 0.3;
/// Brings coloured noise of uniform distribution to a root mean square of 1.
const NORMALISE: f32 = 4.12;

pub(super) struct ComfortNoise {
    level: f32,
    state: u32,
    coloured: f32,
}

impl ComfortNoise {
    pub(super) fn new() -> Self {
        Self { level: 0.0, state: 0x9e37_79b9, coloured: 0.0 }
    }

    /// Learns the background's level from a decoded frame.
    pub(super) fn learn(&mut self, sound: &[f32]) {
        let power = sound.iter().map(|sample| sample * sample).sum::<f32>() / sound.len().max(1) as f32;
        let level = power.sqrt().min(LEVEL_MAX);
        self.level += (level - self.level) * if level < self.level { DOWN } else { UP };
    }

    pub(super) fn next_sample(&mut self) -> f32 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 17;
        self.state ^= self.state << 5;
        let white = self.state as f32 / u32::MAX as f32 * 2.0 - 1.0;
        self.coloured += (white - self.coloured) * COLOUR;
        self.coloured * NORMALISE * self.level
    }
}

#[cfg(test)]
mod tests {
    use super::ComfortNoise;

    #[test]
    fn noise_has_the_level_of_the_background_and_never_that_of_speech() {
        let rms = |noise: &mut ComfortNoise| {
            let power = (0..48_000).map(|_| noise.next_sample().powi(2)).sum::<f32>() / 48_000.0;
            power.sqrt()
        };
        let mut noise = ComfortNoise::new();
        for _ in 0..3_000 {
            noise.learn(&[0.0004; 480]);
        }
        assert!((0.0003..0.0005).contains(&rms(&mut noise)));
        for _ in 0..10_000 {
            noise.learn(&[0.3; 480]);
        }
        assert!((0.0009..0.0011).contains(&rms(&mut noise)));
    }
}
