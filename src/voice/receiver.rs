//! One peer's voice: frames in, sound out.
//!
//! The jitter buffer decides, the player does, `protocol::jitter::serve` leads them through each block. What a
//! replay of a call could not know without the sound can be noted on the way. After [`Receiver::new`] nothing
//! allocates.

use super::observer::{Origin, Played, VoiceObserver, is_low_delay};
use super::player::VoicePlayer;
use protocol::jitter::{
    BLOCK_MAX, Decision, Inserted, JitterBuffer, JitterConfig, PathLoss, Player, Report, Stretch,
    nominal_samples, serve,
};
use protocol::media::{Arrival, Frame, SAMPLE_RATE};
use std::time::Duration;

/// -54 dBFS: quieter is not talking.
const TALKING_LEVEL: f32 = 0.002;

/// What came of one peer's frames.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ReceiverReport {
    /// The jitter buffer's account.
    pub jitter: Report,
    /// What the path lost, before anything was done about it.
    pub path: PathLoss,
    /// Frames that Opus could not decode; concealed, and counted here only.
    pub corrupt: u64,
    /// Sound made up for corrupt frames.
    pub corrupt_concealed: Duration,
    /// Decoded sound that waits to be played.
    pub queued: Duration,
    /// Root mean square of the last 50 ms or so, full scale is 1.
    pub level: f32,
}

/// What depended on the sound while a block was served. `operation` counts from 0 within the block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PullNote {
    /// A stretch was asked for, and moved so many samples: more than 0 were inserted, less were removed.
    Stretched {
        /// Which operation.
        operation: u8,
        /// Samples at 48 kHz, never 0.
        samples: i32,
    },
    /// An operation yielded so many samples, which are not those of [`nominal_samples`].
    Yielded {
        /// Which operation.
        operation: u8,
        /// Samples at 48 kHz.
        samples: u32,
    },
}

/// The receiving half of one peer's voice. All times are since one arbitrary start, on one steady clock.
pub struct Receiver {
    jitter: JitterBuffer,
    player: VoicePlayer,
    power: f32,
    observer: Option<Box<dyn VoiceObserver>>,
}

impl Receiver {
    /// Allocates all that will ever be needed, about 220 KiB; 70 less without the feature `neural`.
    ///
    /// # Errors
    /// When libopus cannot make a decoder, which means that memory is out.
    pub fn new() -> anyhow::Result<Self> {
        let jitter = JitterBuffer::new(JitterConfig::default());
        Ok(Self { jitter, player: VoicePlayer::new()?, power: 0.0, observer: None })
    }

    /// Is told from now on what becomes of the frames. What it does happens inside the tick.
    pub fn set_observer(&mut self, observer: Option<Box<dyn VoiceObserver>>) {
        self.observer = observer;
    }

    /// Takes a frame that has come at `now`.
    pub fn insert(&mut self, now: Duration, frame: &Frame) -> Inserted {
        let inserted = self.jitter.insert(now, frame);
        if let Some(observer) = &mut self.observer {
            observer.on_arrival(&Arrival { at: now, frame: *frame }, inserted);
        }
        inserted
    }

    /// Fills `out` with the sound to be played next: 48 kHz, mono.
    pub fn pull(&mut self, now: Duration, out: &mut [f32]) {
        self.pull_noting(now, out, |_| {});
    }

    /// The same, telling `note` what cannot be repeated without the sound. For the notes to say which block they
    /// belong to, `out` must be no longer than [`BLOCK_MAX`].
    pub fn pull_noting(&mut self, now: Duration, out: &mut [f32], mut note: impl FnMut(PullNote)) {
        for block in out.chunks_mut(BLOCK_MAX) {
            let observer = self.observer.as_deref_mut();
            let mut noting = Noting { player: &mut self.player, note: &mut note, operations: 0, observer };
            serve(&mut self.jitter, now, block.len(), &mut noting);
            self.player.pop(block);
            self.measure(block);
            if let Some(observer) = &mut self.observer {
                observer.on_sound(block);
            }
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
            path: self.jitter.path_loss(),
            corrupt: self.player.corrupt(),
            corrupt_concealed: samples_duration(self.player.corrupt_samples()),
            queued: samples_duration(self.player.queued() as u64),
            level: self.level(),
        }
    }

    fn measure(&mut self, block: &[f32]) {
        let sum = block.iter().map(|sample| sample * sample).sum::<f32>();
        let share = (block.len() as f32 / 2_400.0).min(1.0);
        self.power += (sum / block.len().max(1) as f32 - self.power) * share;
    }
}

/// Passes everything on, and notes what was not to be foreseen.
struct Noting<'a, N> {
    player: &'a mut VoicePlayer,
    note: &'a mut N,
    operations: u8,
    observer: Option<&'a mut (dyn VoiceObserver + 'static)>,
}

impl<N: FnMut(PullNote)> Player for Noting<'_, N> {
    fn queued(&self) -> usize {
        self.player.queued()
    }

    fn perform(&mut self, decision: &Decision, block: usize) {
        let before = self.player.queued();
        let corrupt = self.player.corrupt();
        self.player.perform(decision, block);
        let yielded = self.player.queued() - before;
        if self.player.corrupt() == corrupt
            && let Some(from) = origin(decision)
        {
            self.observe(from, before, yielded);
        }
        if yielded != nominal_samples(decision, block, before) {
            (self.note)(PullNote::Yielded { operation: self.operations, samples: yielded as u32 });
        }
        self.operations += 1;
    }

    fn stretch(&mut self, stretch: Stretch) -> i32 {
        let samples = self.player.stretch(stretch);
        if samples != 0 {
            // Its operation was counted when it was performed.
            (self.note)(PullNote::Stretched { operation: self.operations - 1, samples });
            self.observe(Origin::Stretch { by: samples }, self.player.queued(), 0);
        }
        samples
    }
}

impl<N> Noting<'_, N> {
    fn observe(&mut self, from: Origin, ahead: usize, samples: usize) {
        if let Some(observer) = &mut self.observer {
            observer.on_played(Played { from, ahead, samples });
        }
    }
}

/// Of what a decision makes sound; silence is made of nothing and is no loss.
fn origin(decision: &Decision) -> Option<Origin> {
    match decision {
        Decision::Decode { frame, .. } => {
            let (sequence, time, low_delay) = (frame.sequence, frame.time, is_low_delay(frame));
            Some(Origin::Frame { sequence, time, low_delay })
        }
        Decision::DecodeFec { frame, .. } => {
            Some(Origin::Rebuilt { sequence: frame.sequence.wrapping_sub(1) })
        }
        Decision::Conceal { cause, .. } => Some(Origin::MadeUp { cause: *cause }),
        Decision::Silence { .. } | Decision::Idle => None,
    }
}

fn samples_duration(samples: u64) -> Duration {
    Duration::from_micros(samples * 1_000_000 / u64::from(SAMPLE_RATE))
}

#[cfg(test)]
#[path = "receiver_tests.rs"]
mod tests;
