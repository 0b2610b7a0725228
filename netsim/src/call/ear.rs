//! What one listener's engine does with one voice, told to the stage.

use super::stage::SharedStage;
use protocol::jitter::Inserted;
use protocol::media::{Arrival, FrameOrigin};
use roundtable::voice::observer::{Origin, Played, VoiceObserver};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// One receiver's observer.
pub(super) struct Ear {
    pub(super) stage: SharedStage,
    pub(super) from: usize,
    pub(super) to: usize,
    /// Samples the listener's speaker has got.
    pub(super) written: Arc<AtomicU64>,
    /// The last frame played, and where it was put.
    last: Option<(u64, u64)>,
}

impl Ear {
    pub(super) fn new(stage: SharedStage, from: usize, to: usize, written: Arc<AtomicU64>) -> Self {
        Self { stage, from, to, written, last: None }
    }
}

impl VoiceObserver for Ear {
    fn on_arrival(&mut self, arrival: &Arrival, inserted: Inserted) {
        let mut stage = self.stage.lock();
        let stage = &mut *stage;
        if !stage.roles[self.from].admitted || !stage.roles[self.to].admitted {
            let (from, to) = (&stage.roles[self.from].name, &stage.roles[self.to].name);
            stage.violate(format!("{to} hears {from}, and one of them is no member"));
        }
        let Some(said) = stage.roles[self.from].said(arrival.frame.sequence) else { return };
        let at = arrival.at + stage.roles[self.to].clock_offset;
        let Some(hearing) = stage.hearings.get_mut(&(self.from, self.to)) else { return };
        let bytes = arrival.frame.payload.as_slice().len();
        match (inserted, arrival.frame.origin) {
            // A sender whose clock stood still is taken for implausible until three of its frames agree.
            (Inserted::Duplicate, FrameOrigin::Redundant) => hearing.on_needless_copy(bytes),
            (Inserted::Duplicate | Inserted::Implausible, _) => {}
            (Inserted::Malformed, _) => {
                let words = format!("{} sent a frame that is none", stage.roles[self.from].name);
                stage.violate(words);
            }
            (_, FrameOrigin::Primary) => hearing.on_arrived(&said, at, bytes),
            (_, FrameOrigin::Redundant) => hearing.on_copy(&said, at, bytes),
        }
    }

    fn on_played(&mut self, played: Played) {
        let mut stage = self.stage.lock();
        let stage = &mut *stage;
        let now = stage.now;
        let key = (self.from, self.to);
        let position = self.written.load(Ordering::Relaxed) + played.ahead as u64;
        match played.from {
            Origin::Frame { sequence, low_delay, .. } => {
                if let Some((last_sequence, last_position)) = self.last
                    && (sequence <= last_sequence || position < last_position)
                {
                    let words = format!(
                        "playout ran backwards: frame {sequence} at {position} after {last_sequence} at {last_position}"
                    );
                    stage.violate(words);
                }
                self.last = Some((sequence, position));
                let Some(said) = stage.roles[self.from].said(sequence) else { return };
                let needed = now + Duration::from_secs_f64(played.ahead as f64 / 48_000.0);
                let heard = stage.roles[self.to].speaker.at(position);
                if let Some(hearing) = stage.hearings.get_mut(&key) {
                    hearing.on_heard(&said, needed, heard, low_delay);
                }
            }
            Origin::Rebuilt { sequence } => {
                let Some(said) = stage.roles[self.from].said(sequence) else { return };
                if let Some(hearing) = stage.hearings.get_mut(&key) {
                    hearing.on_rebuilt(&said);
                }
            }
            Origin::MadeUp { .. } => {
                if let Some(hearing) = stage.hearings.get_mut(&key) {
                    hearing.on_made_up(played.samples);
                }
            }
            Origin::Stretch { by } => {
                if let Some(hearing) = stage.hearings.get_mut(&key) {
                    hearing.on_stretched(by);
                }
            }
        }
    }

    fn on_sound(&mut self, block: &[f32]) {
        let mut stage = self.stage.lock();
        let position = self.written.load(Ordering::Relaxed);
        let at = stage.roles[self.to].speaker.at(position);
        if let Some(hearing) = stage.hearings.get_mut(&(self.from, self.to)) {
            hearing.on_sound(position, at, block);
        }
    }
}

#[cfg(test)]
#[path = "ear_tests.rs"]
mod tests;
