//! From microphone samples to frames: Opus, talkspurts, silence.
//!
//! Opus decides what is silence (its discontinuous transmission, RFC 6716 section 2.1.9). The first silent
//! frame is sent with the mark of a talkspurt's end, which is repeated every 400 ms as a keepalive; nothing
//! else is sent until somebody speaks. Media time runs on, so that a listener knows how long the silence was.

use opus::{Application, Bitrate, Channels, Encoder, Signal};
use protocol::limits::OPUS_FRAME_BYTES_MAX;
use protocol::media::{Frame, FrameBytes, FrameOrigin, MediaTime, SAMPLE_RATE, TICK_SAMPLES};

/// The longest frame sent, in ticks: 20 ms.
const FRAME_TICKS_MAX: usize = 8;

/// Repetition of the end mark in silence: 400 ms.
const KEEPALIVE_TICKS: u16 = 160;

/// Wideband speech is transparent from about 32 kbit/s; the rest pays for short frames.
const BITRATE: i32 = 40_000;

/// Below this a sample is digital silence: a muted or absent microphone, never a room.
const DIGITAL_SILENCE: f32 = 1.0 / 32768.0;

/// Encodes one microphone, once for all listeners.
#[derive(Debug)]
pub struct VoiceEncoder {
    opus: Encoder,
    pending: [f32; FRAME_TICKS_MAX * TICK_SAMPLES],
    filled: usize,
    frame_ticks: u8,
    next_frame_ticks: u8,
    time: u64,
    sequence: u64,
    speech: Speech,
    muted: bool,
    expected_loss_percent: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speech {
    Talkspurt,
    Silence { ticks_since_mark: u16 },
}

impl VoiceEncoder {
    /// An encoder of frames of `frame_ticks` (4 for 10 ms, 8 for 20 ms).
    pub fn new(frame_ticks: u8) -> Result<Self, opus::Error> {
        let mut opus = Encoder::new(SAMPLE_RATE, Channels::Mono, Application::Voip)?;
        opus.set_bitrate(Bitrate::Bits(BITRATE))?;
        opus.set_vbr(true)?;
        opus.set_dtx(true)?;
        opus.set_signal(Signal::Voice)?;
        opus.set_complexity(9)?;
        Ok(Self {
            opus,
            pending: [0.0; FRAME_TICKS_MAX * TICK_SAMPLES],
            filled: 0,
            frame_ticks,
            next_frame_ticks: frame_ticks,
            time: 0,
            sequence: 0,
            speech: Speech::Silence { ticks_since_mark: KEEPALIVE_TICKS },
            muted: false,
            expected_loss_percent: 0,
        })
    }

    /// Takes 2.5 ms from the microphone (120 samples, 48 kHz mono); returns a frame when one is to be sent.
    pub fn push(&mut self, samples: &[f32; TICK_SAMPLES]) -> Option<Frame> {
        self.pending[self.filled..self.filled + TICK_SAMPLES].copy_from_slice(samples);
        self.filled += TICK_SAMPLES;
        if self.filled < usize::from(self.frame_ticks) * TICK_SAMPLES {
            return None;
        }
        let frame = self.frame();
        self.time += u64::from(self.frame_ticks);
        self.filled = 0;
        self.frame_ticks = self.next_frame_ticks;
        frame
    }

    /// While muted nothing of the microphone is encoded; the talkspurt ends with the next frame.
    pub fn set_muted(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// Whether the microphone is off.
    pub fn muted(&self) -> bool {
        self.muted
    }

    /// What share of packets the worst listener loses, in percent; above zero in-band FEC is on.
    pub fn set_expected_loss(&mut self, percent: u8) {
        let percent = percent.min(30);
        if percent != self.expected_loss_percent {
            self.expected_loss_percent = percent;
            let set = self.opus.set_inband_fec(percent > 0);
            let set = set.and_then(|()| self.opus.set_packet_loss_perc(i32::from(percent)));
            set.expect("Opus takes any loss from 0 to 100");
        }
    }

    /// Changes the frames' duration from the next frame on: 4 ticks (10 ms) or 8 (20 ms).
    pub fn set_frame_ticks(&mut self, ticks: u8) {
        self.next_frame_ticks = ticks;
    }

    /// Whether the microphone is in a talkspurt.
    pub fn talking(&self) -> bool {
        self.speech == Speech::Talkspurt
    }

    fn frame(&mut self) -> Option<Frame> {
        let samples = &self.pending[..self.filled];
        let in_silence = matches!(self.speech, Speech::Silence { .. });
        if self.muted || (in_silence && samples.iter().all(|s| s.abs() < DIGITAL_SILENCE)) {
            return self.silence(FrameBytes::EMPTY);
        }
        let mut bytes = [0; OPUS_FRAME_BYTES_MAX];
        // Errors here mean a bad frame size or buffer, neither of which can occur; silence is the safe answer.
        let length = self.opus.encode_float(samples, &mut bytes).unwrap_or(0);
        let payload = FrameBytes::new(&bytes[..length]).unwrap_or(FrameBytes::EMPTY);
        if length == 0 || self.opus.get_in_dtx().unwrap_or(false) {
            // Two bytes or fewer carry no comfort noise (RFC 6716, section 2.1.9).
            return self.silence(if length > 2 { payload } else { FrameBytes::EMPTY });
        }
        let talkspurt_start = in_silence;
        self.speech = Speech::Talkspurt;
        Some(self.stamp(payload, talkspurt_start, false))
    }

    fn silence(&mut self, payload: FrameBytes) -> Option<Frame> {
        let since = match self.speech {
            Speech::Talkspurt => KEEPALIVE_TICKS,
            Speech::Silence { ticks_since_mark } => ticks_since_mark + u16::from(self.frame_ticks),
        };
        let due = since >= KEEPALIVE_TICKS;
        self.speech = Speech::Silence { ticks_since_mark: if due { 0 } else { since } };
        due.then(|| self.stamp(payload, false, true))
    }

    fn stamp(&mut self, payload: FrameBytes, talkspurt_start: bool, talkspurt_end: bool) -> Frame {
        let sequence = self.sequence;
        self.sequence += 1;
        Frame {
            sequence,
            time: MediaTime(self.time),
            ticks: self.frame_ticks,
            talkspurt_start,
            talkspurt_end,
            origin: FrameOrigin::Primary,
            payload,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{KEEPALIVE_TICKS, VoiceEncoder};
    use protocol::media::{Frame, TICK_SAMPLES};

    fn run(encoder: &mut VoiceEncoder, ticks: usize, sample: impl Fn(usize) -> f32) -> Vec<Frame> {
        let tick = |t: usize| std::array::from_fn(|i| sample(t * TICK_SAMPLES + i));
        (0..ticks).filter_map(|t| encoder.push(&tick(t))).collect()
    }

    /// A buzz that Opus takes for a voice: a rich spectrum whose loudness goes up and down like syllables.
    fn voice(i: usize) -> f32 {
        let t = i as f32 / 48_000.0;
        let syllable = 0.5 - 0.5 * (t * 5.0 * std::f32::consts::TAU).cos();
        let harmonics = |h: i32| (t * 140.0 * h as f32 * std::f32::consts::TAU).sin() / h as f32;
        0.2 * syllable * (1..20).map(harmonics).sum::<f32>()
    }

    #[test]
    fn silence_costs_a_keepalive_every_400_ms() {
        let mut encoder = VoiceEncoder::new(8).expect("Opus starts");
        let frames = run(&mut encoder, 10 * usize::from(KEEPALIVE_TICKS), |_| 0.0);
        assert!((10..=11).contains(&frames.len()), "{}", frames.len());
        assert!(frames.iter().all(|f| f.talkspurt_end && !f.talkspurt_start));
        let consecutive = frames.windows(2).all(|w| w[1].sequence == w[0].sequence + 1);
        assert!(consecutive);
    }

    #[test]
    fn a_talkspurt_starts_with_the_first_voiced_frame_and_ends_when_muted() {
        let mut encoder = VoiceEncoder::new(4).expect("Opus starts");
        run(&mut encoder, 400, |_| 0.0);
        let spoken = run(&mut encoder, 400, voice);
        assert_eq!(spoken.len(), 100);
        assert!(spoken[0].talkspurt_start && spoken[1..].iter().all(|f| !f.talkspurt_start));
        assert!(encoder.talking());
        encoder.set_muted(true);
        let muted = run(&mut encoder, 100, voice);
        assert_eq!(muted.len(), 1);
        assert!(muted[0].talkspurt_end && muted[0].payload.as_slice().is_empty());
        assert_eq!(muted[0].time.0, 800);
    }
}
