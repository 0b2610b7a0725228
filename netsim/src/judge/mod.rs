//! What a call could have been: an oracle that knows the future, and a model of WebRTC's NetEQ.
//!
//! Both watch one direction of a call, one speaker heard by one listener, through the same three events: a
//! frame was [sent](SentFrame), it arrived, or a copy of it arrived inside another packet. All times are on
//! the simulation's one true clock, and events come in the order of that clock. What they say is set beside
//! what the real jitter buffer did with the same packets:
//!
//! - [`Oracle`]: the least constant delay at which no more speech would have been concealed;
//! - [`NetEq`]: the delay and the concealment of the buffer most calls on the web have;
//! - [`MouthToEar`]: the percentiles of any delays, those of the real call too.
//!
//! Everything here streams. Memory is set aside at the start and never grows, however long the call, and
//! nothing reads a clock or draws a random number.
//!
//! Left out: what the sound is like. Two calls with equal shares of concealed speech may sound very
//! different, as four lost frames in a row are worse than four apart.

mod concealment;
mod histogram;
mod mouth_to_ear;
mod neteq;
mod oracle;

pub use concealment::Concealment;
pub use mouth_to_ear::{MouthToEar, Quantiles};
pub use neteq::{NetEq, NetEqReport};
pub use oracle::Oracle;

use std::time::Duration;

/// Frames that wait to be judged at most, per direction: 5 s of the shortest frames Opus has, 40 s of the usual.
///
/// A full table lets go of its oldest frame, as lost if it has not arrived.
const FRAMES_MAX: usize = 2048;

/// One frame of voice as it left the encoder, whatever became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SentFrame {
    /// Its place among the frames sent; strictly increasing, and silence that was not sent takes no numbers.
    pub sequence: u64,
    /// When its last sample was spoken into the microphone.
    pub ended: Duration,
    /// How much sound it holds; above zero.
    pub duration: Duration,
    /// Whether somebody speaks in it. Only speech is judged.
    pub speech: bool,
    /// Whether the frame numbered one less can be rebuilt from this one (Opus in-band FEC, RFC 6716 section 2.1.7).
    pub carries_fec_of_previous: bool,
}

/// One direction of a call, judged by the oracle and lived through by NetEQ.
#[derive(Clone, Debug, Default)]
pub struct Judge {
    /// The least delay there could have been.
    pub oracle: Oracle,
    /// What NetEQ would have made of the same packets.
    pub neteq: NetEq,
}

impl Judge {
    /// A judge who has seen nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A frame was sent.
    ///
    /// # Panics
    /// If its number is not above that of the frame before.
    pub fn on_sent(&mut self, frame: &SentFrame) {
        self.oracle.on_sent(frame);
        self.neteq.on_sent(frame);
    }

    /// The frame itself arrived for the first time. Arrivals may be out of order.
    pub fn on_arrived(&mut self, sequence: u64, at: Duration) {
        self.oracle.on_arrived(sequence, at);
        self.neteq.on_arrived(sequence, at);
    }

    /// A copy of the frame arrived inside another packet.
    pub fn on_copy(&mut self, sequence: u64, at: Duration) {
        self.oracle.on_copy(sequence, at);
        self.neteq.on_copy(sequence, at);
    }

    /// The listener's device asks NetEQ for its next 10 ms. Call it every 10 ms of the device's own clock.
    pub fn tick(&mut self, now: Duration) {
        self.neteq.tick(now);
    }

    /// The call is over: judges the frames that ended by `until`, and forgets those still on their way.
    pub fn finish(&mut self, until: Duration) {
        self.oracle.finish(until);
        self.neteq.finish(until);
    }
}

/// Nanoseconds, in which time is reckoned here: 64 bits of them are 584 years.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).expect("a simulation is shorter than 584 years")
}

/// For people and plots, who read milliseconds; exact for whole nanoseconds up to 104 days.
fn millis(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e6
}
