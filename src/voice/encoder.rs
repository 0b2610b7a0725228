//! From microphone samples to frames: Opus, talkspurts, silence.
//!
//! There are two encoders, of which one is in use. In a call it is Opus' low-delay mode (CELT alone): 2.5 ms of look-ahead
//! instead of 6.5, better scores and a third of the cost at the same rate; against loss, copies ride along
//! ([`protocol::media::Redundancy`]). The other is the voice mode, whose in-band error correction (FEC) rebuilds a lost frame
//! from the next; copies did better at 5 to 20 % and in bursts (PESQ-WB 4.2 to 4.5 against 3.8 to 4.4 with both), so no call
//! asks for it: it is there to compare with. A decoder takes both without being told.
//!
//! [`Activity`] says what is silence. The first silent frame is sent as the mark of a talkspurt's end. It may get lost,
//! so it is repeated three times after 400 ms each, and then every 1.2 s as a keepalive; nothing else is sent until
//! somebody speaks. Media time runs on, so that a listener knows how long the silence was.

use super::activity::Activity;
use opus::{Application, Bitrate, Channels, Encoder, Signal};
use protocol::limits::OPUS_FRAME_BYTES_MAX;
use protocol::media::{Frame, FrameBytes, FrameOrigin, MediaTime, SAMPLE_RATE, TICK_SAMPLES};

/// The longest frame sent, in ticks: 20 ms.
const FRAME_TICKS_MAX: usize = 8;

/// Between the first repetitions of the end mark: 400 ms.
const REPEAT_TICKS: u16 = 160;
const REPEATS: u8 = 3;

/// Repetition of the end mark in a longer silence: 1.2 s. With its acknowledgements and the checks of the paths this stays
/// under 1.5 kbit/s for each listener.
const KEEPALIVE_TICKS: u16 = 480;

/// PESQ-WB 4.48 for one reader, the codec alone with 10 ms frames at complexity 5; 4.41 at 40 kbit/s.
const CLEAR_BITRATE: i32 = 48_000;
/// More of it costs time and gains nothing in this mode.
const CLEAR_COMPLEXITY: i32 = 5;

/// PESQ-WB 4.33 for the same reader with 10 ms frames at complexity 7; below 7 it is 4.2.
const GUARDED_BITRATE: i32 = 40_000;
const GUARDED_COMPLEXITY: i32 = 7;

/// Error correction for more loss than this leaves too little for the voice.
const EXPECTED_LOSS_PERCENT_MAX: u8 = 30;

/// How long after the last report of loss the voice stays guarded: 10 s. Each change of mode is a small seam.
const GUARD_TICKS: u32 = 4000;

/// Encodes one microphone, once for all listeners.
#[derive(Debug)]
pub struct VoiceEncoder {
    clear: Encoder,
    guarded: Encoder,
    activity: Activity,
    pending: [f32; FRAME_TICKS_MAX * TICK_SAMPLES],
    filled: usize,
    frame_ticks: u8,
    next_frame_ticks: u8,
    time: u64,
    sequence: u64,
    speech: Speech,
    muted: bool,
    expected_loss_percent: u8,
    guard_ticks: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speech {
    Talkspurt,
    Silence { ticks_since_mark: u16, repeats: u8 },
}

impl VoiceEncoder {
    /// An encoder of frames of `frame_ticks` (4 for 10 ms, 8 for 20 ms).
    pub fn new(frame_ticks: u8) -> Result<Self, opus::Error> {
        let mut clear = Encoder::new(SAMPLE_RATE, Channels::Mono, Application::LowDelay)?;
        clear.set_bitrate(Bitrate::Bits(CLEAR_BITRATE))?;
        clear.set_complexity(CLEAR_COMPLEXITY)?;
        clear.set_vbr(true)?;
        let mut guarded = Encoder::new(SAMPLE_RATE, Channels::Mono, Application::Voip)?;
        guarded.set_bitrate(Bitrate::Bits(GUARDED_BITRATE))?;
        guarded.set_complexity(GUARDED_COMPLEXITY)?;
        guarded.set_vbr(true)?;
        guarded.set_inband_fec(true)?;
        // Without it steady voices pass for music, which is coded without error correction.
        guarded.set_signal(Signal::Voice)?;
        Ok(Self {
            clear,
            guarded,
            activity: Activity::new(),
            pending: [0.0; FRAME_TICKS_MAX * TICK_SAMPLES],
            filled: 0,
            frame_ticks,
            next_frame_ticks: frame_ticks,
            time: 0,
            sequence: 0,
            speech: Speech::Silence { ticks_since_mark: KEEPALIVE_TICKS, repeats: 0 },
            muted: false,
            expected_loss_percent: 0,
            guard_ticks: 0,
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

    /// Samples that wait for the rest of their frame.
    pub fn pending(&self) -> usize {
        self.filled
    }

    /// Throws away the oldest of them, so that later frames end sooner.
    pub fn skip(&mut self, samples: usize) {
        let samples = samples.min(self.filled);
        self.pending.copy_within(samples..self.filled, 0);
        self.filled -= samples;
    }

    /// While muted nothing of the microphone is encoded; the talkspurt ends with the next frame.
    pub fn set_muted(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// Whether the microphone is off.
    pub fn muted(&self) -> bool {
        self.muted
    }

    /// What share of packets the worst listener loses, in percent; above zero the voice is guarded.
    pub fn set_expected_loss(&mut self, percent: u8) {
        let percent = percent.min(EXPECTED_LOSS_PERCENT_MAX);
        self.expected_loss_percent = percent;
        if percent > 0 {
            self.guard_ticks = GUARD_TICKS;
            // Cannot fail: Opus takes any percentage.
            let _ = self.guarded.set_packet_loss_perc(i32::from(percent));
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
        if self.expected_loss_percent == 0 {
            self.guard_ticks = self.guard_ticks.saturating_sub(u32::from(self.frame_ticks));
        }
        let samples = &self.pending[..self.filled];
        let ms = u32::from(self.frame_ticks) * 5 / 2;
        if self.muted || !self.activity.is_active(samples, ms) {
            return self.silence();
        }
        let opus = if self.guard_ticks > 0 { &mut self.guarded } else { &mut self.clear };
        let mut bytes = [0; OPUS_FRAME_BYTES_MAX];
        // Opus refuses only wrong frame sizes and buffers that are too small, neither of which occurs.
        let length = opus.encode_float(samples, &mut bytes).ok()?;
        let payload = FrameBytes::new(&bytes[..length])?;
        let talkspurt_start = !self.talking();
        self.speech = Speech::Talkspurt;
        Some(self.stamp(payload, talkspurt_start, false))
    }

    fn silence(&mut self) -> Option<Frame> {
        let (since, repeats) = match self.speech {
            Speech::Talkspurt => (KEEPALIVE_TICKS, 0),
            Speech::Silence { ticks_since_mark, repeats } => {
                (ticks_since_mark + u16::from(self.frame_ticks), repeats)
            }
        };
        let due = since >= if repeats <= REPEATS { REPEAT_TICKS } else { KEEPALIVE_TICKS };
        self.speech = match due {
            true => Speech::Silence { ticks_since_mark: 0, repeats: repeats.saturating_add(1) },
            false => Speech::Silence { ticks_since_mark: since, repeats },
        };
        due.then(|| self.stamp(FrameBytes::EMPTY, false, true))
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
    use super::VoiceEncoder;
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
    fn silence_costs_an_end_mark_repeated_three_times_and_a_keepalive_every_1200_ms() {
        let mut encoder = VoiceEncoder::new(8).expect("Opus starts");
        let frames = run(&mut encoder, 12 * 400, |_| 0.0);
        let times: Vec<u64> = frames.iter().map(|frame| (frame.time.0 - frames[0].time.0) * 5 / 2).collect();
        assert_eq!(times, [0, 400, 800, 1200, 2400, 3600, 4800, 6000, 7200, 8400, 9600, 10800]);
        assert!(frames.iter().all(|f| f.talkspurt_end && !f.talkspurt_start));
        let consecutive = frames.windows(2).all(|w| w[1].sequence == w[0].sequence + 1);
        assert!(consecutive);
    }

    /// RFC 6716, section 3.1: configurations from 16 on are CELT alone.
    fn is_low_delay(frame: &Frame) -> bool {
        frame.payload.as_slice()[0] >> 3 >= 16
    }

    #[test]
    fn the_voice_is_guarded_from_the_first_report_of_loss_until_ten_seconds_after_the_last() {
        let mut encoder = VoiceEncoder::new(4).expect("Opus starts");
        assert!(run(&mut encoder, 400, voice).iter().all(is_low_delay));
        encoder.set_expected_loss(5);
        assert!(!run(&mut encoder, 4400, voice).iter().any(is_low_delay));
        encoder.set_expected_loss(0);
        assert!(!run(&mut encoder, 3900, voice).iter().any(is_low_delay));
        assert!(run(&mut encoder, 800, voice)[30..].iter().all(is_low_delay));
    }

    #[test]
    fn a_talkspurt_starts_with_the_first_voiced_frame_and_ends_when_muted() {
        let mut encoder = VoiceEncoder::new(4).expect("Opus starts");
        run(&mut encoder, 400, |_| 0.0);
        let spoken = run(&mut encoder, 400, voice);
        // The buzz begins at nothing and is loud enough to count within 50 ms.
        assert!(spoken.len() >= 95, "{}", spoken.len());
        assert!(spoken[0].talkspurt_start && spoken[1..].iter().all(|f| !f.talkspurt_start));
        assert!(encoder.talking());
        encoder.set_muted(true);
        let muted = run(&mut encoder, 100, voice);
        assert_eq!(muted.len(), 1);
        assert!(muted[0].talkspurt_end && muted[0].payload.as_slice().is_empty());
        assert_eq!(muted[0].time.0, 800);
    }
}
