//! Is somebody speaking? Decides what is sent and what is silence.
//!
//! A frame is compared with the room's noise, which is the quietest the microphone has been lately. The
//! detector errs towards sending: a loud frame always counts, however steady, so that tones and music are never
//! taken for a room; and a pause between words is too short to count as silence.

/// The room's noise is the quietest frame of this many periods of a quarter second: two seconds. Speech falls
/// back to the room's level between syllables, several times in that time.
const PERIODS: usize = 8;
const PERIOD_MS: u32 = 250;

/// How far above the room's noise speech begins. Noise itself varies by a few dB from frame to frame.
const ABOVE_NOISE_DB: f32 = 9.0;

/// Quieter than this no microphone hears a person.
const INAUDIBLE_DB: f32 = -75.0;

/// Louder than this is sent whatever it is.
const LOUD_DB: f32 = -45.0;

/// Silence begins this long after the last active frame: longer than pauses between words.
const HANGOVER_MS: u32 = 500;

/// Rumble of fans and traffic lies below a voice, a microphone's hiss mostly above it: one pole at 200 Hz and one
/// at 3 kHz (at 48 kHz) leave what tells a voice.
const RUMBLE_POLE: f32 = 0.026;
const HISS_POLE: f32 = 0.325;

/// Follows one microphone.
#[derive(Debug)]
pub(super) struct Activity {
    rumble: f32,
    voice: f32,
    minima_db: [f32; PERIODS],
    period_ms: u32,
    quiet_ms: u32,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            rumble: 0.0,
            voice: 0.0,
            minima_db: [INAUDIBLE_DB; PERIODS],
            period_ms: 0,
            quiet_ms: HANGOVER_MS,
        }
    }

    /// Whether this frame (48 kHz, mono, `ms` long) belongs to a talkspurt.
    pub(super) fn is_active(&mut self, frame: &[f32], ms: u32) -> bool {
        let level = self.level_db(frame);
        let noise = self.minima_db.iter().copied().fold(f32::INFINITY, f32::min);
        let speech = level > LOUD_DB || (level > INAUDIBLE_DB && level > noise + ABOVE_NOISE_DB);
        self.quiet_ms = if speech { 0 } else { self.quiet_ms.saturating_add(ms) };
        self.learn(level, ms);
        self.quiet_ms < HANGOVER_MS
    }

    fn level_db(&mut self, frame: &[f32]) -> f32 {
        let mut power = 0.0;
        for &sample in frame {
            self.rumble += RUMBLE_POLE * (sample - self.rumble);
            self.voice += HISS_POLE * (sample - self.rumble - self.voice);
            power += self.voice * self.voice;
        }
        10.0 * (power / frame.len() as f32 + 1.0e-12).log10()
    }

    fn learn(&mut self, level: f32, ms: u32) {
        self.period_ms += ms;
        if self.period_ms >= PERIOD_MS {
            self.period_ms = 0;
            self.minima_db.rotate_right(1);
            self.minima_db[0] = level;
        } else {
            self.minima_db[0] = self.minima_db[0].min(level);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Activity;
    use std::f32::consts::TAU;

    /// Seconds of sound in frames of 10 ms; which of them are active.
    fn run(activity: &mut Activity, seconds: f32, sample: impl Fn(f32) -> f32) -> Vec<bool> {
        let frames = (seconds * 100.0) as usize;
        let frame = |f: usize| {
            (0..480).map(move |i| (f * 480 + i) as f32 / 48_000.0).map(&sample).collect::<Vec<_>>()
        };
        (0..frames).map(|f| activity.is_active(&frame(f), 10)).collect()
    }

    fn noise(t: f32) -> f32 {
        let x = (t * 48_000.0) as u32;
        let hash = x.wrapping_mul(2_654_435_761) ^ (x >> 7).wrapping_mul(40_503);
        (hash >> 8) as f32 / (1u32 << 24) as f32 - 0.5
    }

    #[test]
    fn a_room_becomes_silence_and_a_voice_in_it_does_not() {
        let mut activity = Activity::new();
        let room = |t: f32| 0.004 * noise(t);
        let settling = run(&mut activity, 4.0, room);
        assert!(settling[350..].iter().all(|active| !active), "a quiet room is silence");
        // Syllables, five in a second, 15 dB above the room.
        let voice = |t: f32| room(t) + 0.05 * (t * 31.0).sin().max(0.0) * (t * TAU * 300.0).sin();
        let spoken = run(&mut activity, 5.0, voice);
        assert!(spoken[5..].iter().all(|active| *active), "no syllable and no pause between them is cut");
        let after = run(&mut activity, 4.0, room);
        assert!(after[..45].iter().all(|active| *active) && after[350..].iter().all(|active| !active));
    }

    #[test]
    fn a_steady_tone_is_never_silence() {
        let mut activity = Activity::new();
        let tone = run(&mut activity, 20.0, |t| 0.25 * (t * TAU * 440.0).sin());
        assert!(tone.iter().all(|active| *active));
    }

    #[test]
    fn digital_silence_is_silence_from_the_first_frame() {
        let mut activity = Activity::new();
        assert!(run(&mut activity, 1.0, |_| 0.0).iter().all(|active| !active));
    }
}
