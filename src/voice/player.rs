//! Performs what the jitter buffer decides: decode, rebuild, make up, be silent, stretch.
//!
//! Made-up sound fades to comfort noise within a tenth of a second, and every way back to real sound is faded in,
//! so that nothing clicks. After [`VoicePlayer::new`] nothing allocates.

use super::comfort::ComfortNoise;
use super::decoder::{COMPLEXITY, Decoder};
use super::queue::SoundQueue;
use super::stretch::{PERIOD_MAX, lengthen, shorten};
use anyhow::Context;
use protocol::jitter::{BLOCK_MAX, Decision, Player, Stretch};
use protocol::media::{Frame, MediaTime, TICK_SAMPLES};

/// 60 ms, the longest frame.
const FRAME_SAMPLES_MAX: usize = 24 * TICK_SAMPLES;
/// Made-up sound keeps its level for 60 ms and is gone after 100.
const CONCEAL_FULL: usize = 2_880;
const CONCEAL_FADE: usize = 1_920;
/// Over 5 ms real sound comes back, or one piece of it goes over into another.
const FADE_IN: usize = 240;
/// The end of a talkspurt is quiet: 2.5 ms suffice.
const FADE_OUT: usize = TICK_SAMPLES;

/// One peer's decoder and the sound that waits to be played.
pub(super) struct VoicePlayer {
    decoder: Decoder,
    queue: SoundQueue,
    comfort: ComfortNoise,
    scratch: Vec<f32>,
    /// What would have followed had playout not jumped.
    tail: Vec<f32>,
    /// Of real sound against comfort noise, 0 to 1.
    gain: f32,
    /// Samples made up in a row.
    concealed: usize,
    /// Where the last decoded frame ended, if nothing else came since.
    continues_at: Option<MediaTime>,
    corrupt: u64,
    corrupt_samples: u64,
}

impl Player for VoicePlayer {
    fn queued(&self) -> usize {
        self.queue.queued()
    }

    fn perform(&mut self, decision: &Decision, block: usize) {
        match decision {
            Decision::Decode { frame, stretch: _ } => self.decode(frame),
            Decision::DecodeFec { frame, ticks } => self.rebuild(frame, usize::from(*ticks) * TICK_SAMPLES),
            Decision::Conceal { ticks, cause: _ } => self.conceal(usize::from(*ticks) * TICK_SAMPLES),
            Decision::Silence { ticks } => self.be_silent(usize::from(*ticks) * TICK_SAMPLES, block),
            Decision::Idle => self.be_silent(BLOCK_MAX, block),
        }
    }

    fn stretch(&mut self, stretch: Stretch) -> i32 {
        let stretched = match stretch {
            Stretch::Normal => return 0,
            Stretch::Accelerate { samples_max, urgent } => {
                let (sound, read, end) = self.queue.parts_mut(0);
                shorten(sound, read, end, samples_max, urgent)
            }
            Stretch::Expand { samples: _, urgent } => {
                let (sound, read, end) = self.queue.parts_mut(PERIOD_MAX);
                lengthen(sound, read, end, urgent)
            }
        };
        self.queue.set_end(stretched.end);
        stretched.samples
    }
}

impl VoicePlayer {
    /// # Errors
    /// When libopus cannot make a decoder, which means that memory is out.
    pub(super) fn new() -> anyhow::Result<Self> {
        let mut decoder = Decoder::new().context("no voice can be decoded")?;
        decoder.set_complexity(COMPLEXITY);
        Ok(Self {
            decoder,
            queue: SoundQueue::new(),
            comfort: ComfortNoise::new(),
            scratch: vec![0.0; FRAME_SAMPLES_MAX],
            tail: vec![0.0; 2 * FADE_IN],
            gain: 0.0,
            concealed: 0,
            continues_at: None,
            corrupt: 0,
            corrupt_samples: 0,
        })
    }

    /// Takes the oldest samples out, and silence where there are too few.
    pub(super) fn pop(&mut self, block: &mut [f32]) {
        self.queue.pop(block);
    }

    /// Frames that Opus could not decode.
    pub(super) fn corrupt(&self) -> u64 {
        self.corrupt
    }

    /// Samples made up for them.
    pub(super) fn corrupt_samples(&self) -> u64 {
        self.corrupt_samples
    }

    /// Decodes the copy that `frame` carries of the frame before it.
    fn rebuild(&mut self, frame: &Frame, samples: usize) {
        let rebuilt = self.decoder.decode_before(frame.payload.as_slice(), &mut self.scratch[..samples]);
        if rebuilt.is_ok_and(|decoded| decoded == samples) {
            self.concealed = 0;
            self.emit(samples, 1.0, FADE_IN);
        } else {
            self.corrupt += 1;
            self.corrupt_samples += samples as u64;
            self.conceal(samples);
        }
        self.continues_at = Some(frame.time);
    }

    fn decode(&mut self, frame: &Frame) {
        let samples = (usize::from(frame.ticks) * TICK_SAMPLES).min(FRAME_SAMPLES_MAX);
        let payload = frame.payload.as_slice();
        let jumps = self.gain > 0.0 && self.continues_at.is_some_and(|time| time != frame.time);
        if jumps {
            predict(&mut self.decoder, &mut self.tail);
        }
        let fits = Decoder::samples_of(payload).is_ok_and(|length| length == samples);
        let decoded = fits
            && self
                .decoder
                .decode(payload, &mut self.scratch[..samples])
                .is_ok_and(|decoded| decoded == samples);
        if !decoded {
            self.corrupt += 1;
            self.corrupt_samples += samples as u64;
            self.conceal(samples);
            return;
        }
        if jumps {
            for (n, (new, old)) in self.scratch[..samples.min(FADE_IN)].iter_mut().zip(&self.tail).enumerate()
            {
                let fade = (n as f32 + 0.5) / FADE_IN as f32;
                *new = *new * fade + old * (1.0 - fade);
            }
        }
        self.comfort.learn(&self.scratch[..samples]);
        self.concealed = 0;
        self.continues_at = Some(MediaTime(frame.time.0 + u64::from(frame.ticks)));
        if frame.talkspurt_end && samples > FADE_OUT {
            self.emit(samples - FADE_OUT, 1.0, FADE_IN);
            self.scratch.copy_within(samples - FADE_OUT..samples, 0);
            self.emit(FADE_OUT, 0.0, FADE_OUT);
        } else {
            self.emit(samples, 1.0, FADE_IN);
        }
    }

    /// Makes `samples` up, fading once too much was made up.
    fn conceal(&mut self, samples: usize) {
        predict(&mut self.decoder, &mut self.scratch[..samples]);
        let full = CONCEAL_FULL.saturating_sub(self.concealed).min(samples);
        self.concealed += samples;
        // Opus joins real sound to made-up sound by itself.
        self.continues_at = None;
        // What had been silence stays silence.
        let gain = self.gain;
        self.emit(full, gain, FADE_IN);
        self.scratch.copy_within(full..samples, 0);
        self.emit(samples - full, 0.0, CONCEAL_FADE);
    }

    /// Comfort noise up to a whole block, so that nothing is left over to delay the next talkspurt.
    fn be_silent(&mut self, samples: usize, block: usize) {
        self.continues_at = None;
        if self.gain > 0.0 {
            predict(&mut self.decoder, &mut self.scratch[..FADE_OUT]);
            self.emit(FADE_OUT, 0.0, FADE_OUT);
            return;
        }
        let samples = samples.min(block.saturating_sub(self.queue.queued()));
        self.scratch[..samples].fill(0.0);
        self.emit(samples, 0.0, FADE_OUT);
    }

    /// Queues the first samples of `scratch`, moving the gain to `towards` at one per `fade` samples.
    fn emit(&mut self, samples: usize, towards: f32, fade: usize) {
        let step = 1.0 / fade as f32;
        for sample in &mut self.scratch[..samples] {
            self.gain += (towards - self.gain).clamp(-step, step);
            let noise = self.comfort.next_sample();
            *sample = *sample * self.gain + noise * (1.0 - self.gain);
        }
        // Steps do not add up to exactly one.
        if (self.gain - towards).abs() < 1.0e-3 {
            self.gain = towards;
        }
        self.queue.push(&self.scratch[..samples]);
    }
}

/// Lets Opus guess what follows; `out` is a multiple of 2.5 ms.
fn predict(decoder: &mut Decoder, out: &mut [f32]) {
    let samples = out.len();
    let made_up = decoder.conceal(out);
    if !made_up.is_ok_and(|made_up| made_up == samples) {
        out.fill(0.0);
    }
}
