//! What simulations and measurements see of a voice on its way through the engine.

use super::engine::PeerVoice;
use protocol::jitter::{Cause, Inserted};
use protocol::media::{Arrival, Frame, MediaTime};
use std::sync::{Arc, Mutex};

/// Sound that was made for the speaker.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Played {
    /// Of what it was made.
    pub from: Origin,
    /// Samples (48 kHz) between the block that is being filled and its first sample.
    pub ahead: usize,
    /// How long it is, in samples at 48 kHz.
    pub samples: usize,
}

/// Of what a piece of sound was made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Origin {
    /// A frame that was here.
    Frame {
        /// Number of its packet.
        sequence: u64,
        /// Media time of its first sample.
        time: MediaTime,
        /// Whether its codec mode looks ahead 2.5 ms (CELT alone) rather than 6.5 ms.
        low_delay: bool,
    },
    /// A lost frame, out of the error correction of the next.
    Rebuilt {
        /// Number of the packet that was lost.
        sequence: u64,
    },
    /// Nothing.
    MadeUp {
        /// Why, as far as was known then.
        cause: Cause,
    },
    /// Sound inserted (positive) or removed (negative) by stretching, in samples; `samples` of [`Played`] is 0.
    Stretch {
        /// How much.
        by: i32,
    },
}

/// Is told, inside the tick, what becomes of one peer's frames.
pub trait VoiceObserver: Send {
    /// A frame reached the jitter buffer.
    fn on_arrival(&mut self, arrival: &Arrival, inserted: Inserted);
    /// Sound was made.
    fn on_played(&mut self, played: Played);
    /// A block (48 kHz) goes to the mixer.
    fn on_sound(&mut self, block: &[f32]);
}

/// Makes an observer for a peer by its name, or none; it may keep what the engine publishes about the peer.
pub type ObserverMaker =
    Box<dyn FnMut(&str, &Arc<Mutex<PeerVoice>>) -> Option<Box<dyn VoiceObserver>> + Send>;

/// RFC 6716, section 3.1: configurations from 16 on are CELT alone.
pub(super) fn is_low_delay(frame: &Frame) -> bool {
    frame.payload.as_slice().first().is_some_and(|toc| toc >> 3 >= 16)
}
