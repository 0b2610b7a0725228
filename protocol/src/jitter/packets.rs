//! The frames that wait to be decoded, in the order of their media time.
//!
//! All slots are allocated at once; inserting and removing moves one-byte indices, never frames.

use crate::limits::JITTER_FRAMES_MAX;
use crate::media::{Frame, FrameBytes, FrameOrigin, MediaTime};

pub(super) struct Packets {
    slots: Vec<Frame>,
    /// Slots in use in the order of their frames' media time, then the free ones.
    order: Vec<u8>,
    len: usize,
}

/// What became of a frame that was offered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stored {
    Queued,
    /// Queued, at the cost of the oldest frame.
    DisplacedOldest,
    /// A frame of the same media time is here already.
    Duplicate,
    /// The buffer is full of younger frames.
    OlderThanAll,
}

impl Packets {
    pub(super) fn new() -> Self {
        let blank = Frame {
            sequence: 0,
            time: MediaTime(0),
            ticks: 1,
            talkspurt_start: false,
            talkspurt_end: false,
            origin: FrameOrigin::Primary,
            payload: FrameBytes::EMPTY,
        };
        const { assert!(JITTER_FRAMES_MAX <= 256, "slots are numbered in one byte") };
        Self {
            slots: vec![blank; JITTER_FRAMES_MAX],
            order: (0..JITTER_FRAMES_MAX).map(|slot| slot as u8).collect(),
            len: 0,
        }
    }

    pub(super) fn insert(&mut self, frame: &Frame) -> Stored {
        let place =
            self.order[..self.len].partition_point(|&slot| self.slots[usize::from(slot)].time < frame.time);
        if place < self.len && self.slots[usize::from(self.order[place])].time == frame.time {
            return Stored::Duplicate;
        }
        let (place, stored) = if self.len < JITTER_FRAMES_MAX {
            (place, Stored::Queued)
        } else if place == 0 {
            return Stored::OlderThanAll;
        } else {
            self.remove_first();
            (place - 1, Stored::DisplacedOldest)
        };
        let slot = self.order[self.len];
        self.slots[usize::from(slot)] = *frame;
        self.len += 1;
        self.order[place..self.len].rotate_right(1);
        stored
    }

    pub(super) fn first(&self) -> Option<&Frame> {
        self.get(0)
    }

    pub(super) fn second(&self) -> Option<&Frame> {
        self.get(1)
    }

    pub(super) fn remove_first(&mut self) {
        if self.len > 0 {
            self.order[..self.len].rotate_left(1);
            self.len -= 1;
        }
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn get(&self, place: usize) -> Option<&Frame> {
        self.order[..self.len].get(place).map(|&slot| &self.slots[usize::from(slot)])
    }
}

#[cfg(test)]
mod tests {
    use super::{JITTER_FRAMES_MAX, Packets, Stored};
    use crate::jitter::scenario::frame_at;

    #[test]
    fn frames_leave_in_the_order_of_their_media_time() {
        let mut packets = Packets::new();
        for time in [40, 8, 24, 0, 32, 16] {
            assert_eq!(packets.insert(&frame_at(time / 8, time, 8)), Stored::Queued);
        }
        assert_eq!(packets.insert(&frame_at(3, 24, 8)), Stored::Duplicate);
        let mut times = Vec::new();
        while let Some(first) = packets.first() {
            times.push(first.time.0);
            packets.remove_first();
        }
        assert_eq!(times, [0, 8, 16, 24, 32, 40]);
    }

    #[test]
    fn a_full_buffer_gives_up_its_oldest_frame() {
        let mut packets = Packets::new();
        for n in 1..=JITTER_FRAMES_MAX as u64 {
            packets.insert(&frame_at(n, n * 8, 8));
        }
        assert_eq!(packets.insert(&frame_at(0, 0, 8)), Stored::OlderThanAll);
        assert_eq!(packets.insert(&frame_at(500, 4000, 8)), Stored::DisplacedOldest);
        assert_eq!(packets.len(), JITTER_FRAMES_MAX);
        assert_eq!(packets.first().map(|first| first.sequence), Some(2));
    }
}
