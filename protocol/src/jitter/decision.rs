//! What the receiver is told to do next.

use super::report::Cause;
use crate::media::Frame;

/// The next operation. Each yields sound, so that asking again with it counted makes progress; whoever
/// gets [`Decision::Idle`] fills up with silence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Decode this frame and, as far as it goes well, stretch the sound.
    Decode {
        /// The frame; its payload is never empty.
        frame: Frame,
        /// How to move the playout delay.
        stretch: Stretch,
    },
    /// The frame before this one was lost: rebuild it from the copy that this one carries. The frame itself
    /// comes with a later decision.
    DecodeFec {
        /// The frame that carries the copy.
        frame: Frame,
        /// Duration of the lost frame.
        ticks: u8,
    },
    /// Make sound up.
    Conceal {
        /// How much.
        ticks: u8,
        /// Why, as far as is known now; the report may learn better.
        cause: Cause,
    },
    /// The sender is silent: comfort noise.
    Silence {
        /// How much.
        ticks: u8,
    },
    /// No frame has come yet.
    Idle,
}

/// In which direction, and by how much at most, playout should move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stretch {
    /// Stay.
    Normal,
    /// Remove sound.
    Accelerate {
        /// Removing more than these would bring the buffer below its target. At 48 kHz.
        samples_max: usize,
        /// The gap is large: be less particular about where to cut.
        urgent: bool,
    },
    /// Insert sound.
    Expand {
        /// What is missing to the target. More may be inserted: the excess is taken back later. At 48 kHz.
        samples: usize,
        /// The gap is large: be less particular about where to repeat.
        urgent: bool,
    },
}
