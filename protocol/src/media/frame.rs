//! One encoded frame of voice and the clock it is stamped with.

use crate::limits::OPUS_FRAME_BYTES_MAX;
use std::fmt;
use std::time::Duration;

/// Everything inside roundtable runs at 48 kHz, mono, 32-bit float.
pub const SAMPLE_RATE: u32 = 48_000;
/// Samples in one tick of media time: 2.5 ms, the shortest Opus frame.
pub const TICK_SAMPLES: usize = 120;
/// Ticks of media time in one second.
pub const TICKS_PER_SECOND: u64 = 400;

/// A moment on the *sender's* sample clock, in ticks of 2.5 ms, already unwrapped to 64 bits.
///
/// Media time runs on during silence, so a gap in it without a gap in sequence numbers is silence, and
/// a gap in both is loss.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MediaTime(pub u64);

/// The payload of one frame, stored inline so that queues of frames never allocate.
#[derive(Clone, Copy)]
pub struct FrameBytes {
    len: u16,
    data: [u8; OPUS_FRAME_BYTES_MAX],
}

impl FrameBytes {
    /// No payload: a talkspurt's end that carries nothing but its mark.
    pub const EMPTY: Self = Self { len: 0, data: [0; OPUS_FRAME_BYTES_MAX] };

    /// Copies `bytes`; `None` when there are more than [`OPUS_FRAME_BYTES_MAX`].
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut data = [0; OPUS_FRAME_BYTES_MAX];
        data.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self { len: bytes.len() as u16, data })
    }

    /// The payload.
    pub fn as_slice(&self) -> &[u8] {
        &self.data[..usize::from(self.len)]
    }
}

impl PartialEq for FrameBytes {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for FrameBytes {}

impl fmt::Debug for FrameBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len)
    }
}

/// How a frame came to us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameOrigin {
    /// The frame its packet was sent for.
    Primary,
    /// A copy of an earlier frame, carried along against loss.
    Redundant,
}

/// One frame as the jitter buffer takes it. Copying it is a plain `memcpy`; nothing in it is freed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Number of the packet whose primary frame this is, unwrapped to 64 bits. Consecutive packets have
    /// consecutive numbers; silence uses none.
    pub sequence: u64,
    /// Media time of the frame's first sample.
    pub time: MediaTime,
    /// Duration in ticks of 2.5 ms: 1, 2, 4, 8, 16 or 24 (2.5 to 60 ms).
    pub ticks: u8,
    /// First frame of a talkspurt.
    pub talkspurt_start: bool,
    /// Last frame of a talkspurt: silence follows until a frame with `talkspurt_start`. While silence
    /// lasts the sender repeats such a frame as a keepalive, at first every 400 ms, later every 1.2 s.
    pub talkspurt_end: bool,
    /// Primary or copy.
    pub origin: FrameOrigin,
    /// The Opus payload; empty only in a frame with `talkspurt_end`.
    pub payload: FrameBytes,
}

/// A frame and when it came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Arrival {
    /// When the datagram was read from its connection, since the epoch of the reader's clock.
    pub at: Duration,
    /// The frame.
    pub frame: Frame,
}
