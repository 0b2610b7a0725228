//! What the buffer has seen and done, in numbers.

use crate::media::TICKS_PER_SECOND;
use std::time::Duration;

/// Why sound had to be made up. Every concealed millisecond has exactly one cause.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Cause {
    /// Later packets were here, this one was not.
    LostOnPath,
    /// It came, but after its moment.
    Late,
    /// Nothing at all came.
    SenderStalled,
    /// Our own device asked for sound before even the fastest packet could have brought it.
    OwnUnderrun,
    /// The path was changing.
    PathSwitch,
}

/// Concealed time by [`Cause`].
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Concealed {
    /// [`Cause::LostOnPath`].
    pub lost_on_path: Duration,
    /// [`Cause::Late`].
    pub late: Duration,
    /// [`Cause::SenderStalled`].
    pub sender_stalled: Duration,
    /// [`Cause::OwnUnderrun`].
    pub own_underrun: Duration,
    /// [`Cause::PathSwitch`].
    pub path_switch: Duration,
}

impl Concealed {
    /// All causes together.
    pub fn total(&self) -> Duration {
        self.lost_on_path + self.late + self.sender_stalled + self.own_underrun + self.path_switch
    }

    fn of(&mut self, cause: Cause) -> &mut Duration {
        match cause {
            Cause::LostOnPath => &mut self.lost_on_path,
            Cause::Late => &mut self.late,
            Cause::SenderStalled => &mut self.sender_stalled,
            Cause::OwnUnderrun => &mut self.own_underrun,
            Cause::PathSwitch => &mut self.path_switch,
        }
    }

    pub(super) fn add(&mut self, cause: Cause, ticks: u64) {
        *self.of(cause) += ticks_duration(ticks);
    }

    /// Moves time to another cause once more is known.
    pub(super) fn reclassify(&mut self, from: Cause, to: Cause, ticks: u64) {
        let moved = ticks_duration(ticks).min(*self.of(from));
        *self.of(from) -= moved;
        *self.of(to) += moved;
    }
}

/// Counters since the buffer was made, and its present state.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct Report {
    /// Frames that came for the first time, whatever became of them.
    pub received: u64,
    /// Frames handed out to be decoded.
    pub decoded: u64,
    /// Frames lost on the path and rebuilt from the next frame's error correction.
    pub recovered: u64,
    /// Packets that never came in time to be known as anything else; includes `recovered`.
    pub lost: u64,
    /// Frames that came after their moment.
    pub late: u64,
    /// Frames that were here already.
    pub duplicates: u64,
    /// Frames thrown away to catch up, or because the buffer was full.
    pub dropped: u64,
    /// Frames that were no possible part of the stream.
    pub implausible: u64,
    /// How often the stream began anew.
    pub restarts: u64,
    /// Time made up.
    pub concealed: Concealed,
    /// Time inserted by stretching.
    pub expanded: Duration,
    /// Time removed by stretching.
    pub accelerated: Duration,
    /// Wanted time between the fastest possible arrival of a frame and its decoding, ms.
    pub target_ms: f32,
    /// The same as it is, with what waits decoded, ms; of the last decoded frame.
    pub depth_ms: f32,
    /// Delay above the fastest that 95 % of the frames of the last second or two stayed within, ms.
    pub jitter_ms: f32,
    /// Frames waiting to be decoded.
    pub waiting: usize,
}

pub(super) fn ticks_duration(ticks: u64) -> Duration {
    Duration::from_micros(ticks * (1_000_000 / TICKS_PER_SECOND))
}
