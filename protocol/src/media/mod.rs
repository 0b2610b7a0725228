//! Voice on the wire: what one frame is, how frames share a packet, how a packet is read.

mod frame;

pub use frame::{Frame, FrameBytes, FrameOrigin, MediaTime, TICK_SAMPLES, TICKS_PER_SECOND, SAMPLE_RATE};
