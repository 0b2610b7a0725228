//! One peer's voice: frames in, sound out.
//!
//! The jitter buffer decides, this does: decode, rebuild, make up, stretch. Made-up sound fades to comfort
//! noise within a tenth of a second, and every way back to real sound is faded in, so that nothing clicks.
//! After [`Receiver::new`] nothing allocates.

use super::comfort::ComfortNoise;
use super::queue::SoundQueue;
use super::stretch::{PERIOD_MAX, lengthen, shorten};
use anyhow::Context;
use opus::{Channels, Decoder};
use protocol::jitter::{Decision, Inserted, JitterBuffer, JitterConfig, Report, Stretch};
use protocol::media::{Frame, MediaTime, SAMPLE_RATE, TICK_SAMPLES};
use std::time::Duration;

/// Samples of one call of [`Receiver::pull`] that are served at once: 20 ms. Longer ones are cut in pieces.
const BLOCK_MAX: usize = 960;
/// 60 ms, the longest frame.
const FRAME_SAMPLES_MAX: usize = 24 * TICK_SAMPLES;
/// Made-up sound keeps its level for 60 ms and is gone after 100.
const CONCEAL_FULL: usize = 2_880;
const CONCEAL_FADE: usize = 1_920;
/// Over 5 ms real sound comes back, or one piece of it goes over into another.
const FADE_IN: usize = 240;
/// The end of a talkspurt is quiet: 2.5 ms suffice.
const FADE_OUT: usize = TICK_SAMPLES;
/// Operations for one block; a block of 20 ms takes eight ticks of silence, frames fewer.
const OPERATIONS_MAX: usize = 64;
/// -54 dBFS: quieter is not talking.
const TALKING_LEVEL: f32 = 0.002;

/// What came of one peer's frames.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ReceiverReport {
    /// The jitter buffer's account.
    pub jitter: Report,
    /// Frames that Opus could not decode; concealed, and counted here only.
    pub corrupt: u64,
    /// Sound made up for corrupt frames.
    pub corrupt_concealed: Duration,
    /// Decoded sound that waits to be played.
    pub queued: Duration,
    /// Root mean square of the last 50 ms or so, full scale is 1.
    pub level: f32,
}

/// The receiving half of one peer's voice. All times are since one arbitrary start, on one steady clock.
pub struct Receiver {
    jitter: JitterBuffer,
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
    power: f32,
}

impl Receiver {
    /// Allocates all that will ever be needed, about 150 KiB.
    ///
    /// # Errors
    /// When libopus cannot make a decoder, which means that memory is out.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self {
            jitter: JitterBuffer::new(JitterConfig::default()),
            decoder: Decoder::new(SAMPLE_RATE, Channels::Mono).context("libopus makes no decoder")?,
            queue: SoundQueue::new(),
            comfort: ComfortNoise::new(),
            scratch: vec![0.0; FRAME_SAMPLES_MAX],
            tail: vec![0.0; 2 * FADE_IN],
            gain: 0.0,
            concealed: 0,
            continues_at: None,
            corrupt: 0,
            corrupt_samples: 0,
            power: 0.0,
        })
    }

    /// Takes a frame that has come at `now`.
    pub fn insert(&mut self, now: Duration, frame: &Frame) -> Inserted {
        self.jitter.insert(now, frame)
    }

    /// Fills `out` with the sound to be played next: 48 kHz, mono.
    pub fn pull(&mut self, now: Duration, out: &mut [f32]) {
        for block in out.chunks_mut(BLOCK_MAX) {
            self.jitter.on_pull(now, block.len());
            let mut decode_ahead = false;
            for _ in 0..OPERATIONS_MAX {
                let enough = self.queue.queued() >= block.len();
                if enough && !(decode_ahead && self.jitter.is_next_ready()) {
                    break;
                }
                decode_ahead = self.operate(now, block.len());
            }
            self.queue.pop(block);
            self.measure(block);
        }
    }

    /// The path to the peer has just been changed.
    pub fn on_path_switch(&mut self, now: Duration) {
        self.jitter.on_path_switch(now);
    }

    /// Root mean square of what was lately played, full scale is 1.
    pub fn level(&self) -> f32 {
        self.power.sqrt()
    }

    /// Whether the peer is heard to speak.
    pub fn talking(&self) -> bool {
        self.jitter.in_talkspurt() && self.level() > TALKING_LEVEL
    }

    /// Counters and present state.
    pub fn report(&self) -> ReceiverReport {
        ReceiverReport {
            jitter: self.jitter.report(),
            corrupt: self.corrupt,
            corrupt_concealed: samples_duration(self.corrupt_samples),
            queued: samples_duration(self.queue.queued() as u64),
            level: self.level(),
        }
    }

    /// Performs one operation; returns whether one more frame is wanted only to have enough sound to cut from.
    fn operate(&mut self, now: Duration, block: usize) -> bool {
        match self.jitter.next(now, self.queue.queued()) {
            Decision::Decode { frame, stretch } => {
                self.decode(&frame);
                self.stretch(now, stretch)
            }
            Decision::DecodeFec { frame, ticks } => {
                let samples = usize::from(ticks) * TICK_SAMPLES;
                let rebuilt =
                    self.decoder.decode_float(frame.payload.as_slice(), &mut self.scratch[..samples], true);
                if rebuilt.is_ok_and(|decoded| decoded == samples) {
                    self.concealed = 0;
                    self.emit(samples, 1.0, FADE_IN);
                } else {
                    self.corrupt += 1;
                    self.corrupt_samples += samples as u64;
                    self.conceal(samples);
                }
                self.continues_at = Some(frame.time);
                false
            }
            Decision::Conceal { ticks, cause: _ } => {
                self.conceal(usize::from(ticks) * TICK_SAMPLES);
                false
            }
            Decision::Silence { ticks } => {
                self.be_silent(usize::from(ticks) * TICK_SAMPLES, block);
                false
            }
            Decision::Idle => {
                self.be_silent(BLOCK_MAX, block);
                false
            }
        }
    }

    fn decode(&mut self, frame: &Frame) {
        let samples = (usize::from(frame.ticks) * TICK_SAMPLES).min(FRAME_SAMPLES_MAX);
        let payload = frame.payload.as_slice();
        let jumps = self.gain > 0.0 && self.continues_at.is_some_and(|time| time != frame.time);
        if jumps {
            predict(&mut self.decoder, &mut self.tail);
        }
        let fits = self.decoder.get_nb_samples(payload).is_ok_and(|length| length == samples);
        let decoded = fits
            && self
                .decoder
                .decode_float(payload, &mut self.scratch[..samples], false)
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

    /// Returns whether there was too little sound to cut from.
    fn stretch(&mut self, now: Duration, stretch: Stretch) -> bool {
        let queued = self.queue.queued();
        let stretched = match stretch {
            Stretch::Normal => return false,
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
        self.jitter.on_stretched(now, stretched.samples);
        let accelerating = matches!(stretch, Stretch::Accelerate { .. });
        accelerating && stretched.samples == 0 && queued < PERIOD_MAX + 2 * FADE_IN
    }

    fn measure(&mut self, block: &[f32]) {
        let sum = block.iter().map(|sample| sample * sample).sum::<f32>();
        let share = (block.len() as f32 / 2_400.0).min(1.0);
        self.power += (sum / block.len().max(1) as f32 - self.power) * share;
    }
}

/// Lets Opus guess what follows; `out` is a multiple of 2.5 ms.
fn predict(decoder: &mut Decoder, out: &mut [f32]) {
    let samples = out.len();
    let made_up = decoder.decode_float(&[], out, false);
    if !made_up.is_ok_and(|made_up| made_up == samples) {
        out.fill(0.0);
    }
}

fn samples_duration(samples: u64) -> Duration {
    Duration::from_micros(samples * 1_000_000 / u64::from(SAMPLE_RATE))
}

#[cfg(test)]
#[path = "receiver_tests.rs"]
mod tests;
