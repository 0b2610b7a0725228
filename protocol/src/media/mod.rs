//! Voice on the wire: what one frame is, how frames share a packet, how a packet is read.
//!
//! A packet travels in one QUIC datagram. [`packet`] is the codec of a single packet; [`Depacketizer`]
//! unwraps its short counters into 64 bits, so that nothing behind it ever sees a wrap.

mod composer;
mod depacketizer;
mod frame;
pub mod packet;
mod redundancy;
mod report;

pub use composer::Composer;
pub use depacketizer::{Depacketizer, Frames};
pub use frame::{
    Arrival, Frame, FrameBytes, FrameOrigin, MediaTime, SAMPLE_RATE, TICK_SAMPLES, TICKS_PER_SECOND,
};
pub use redundancy::Redundancy;
pub use report::ReceptionReport;
