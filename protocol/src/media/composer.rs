//! Packets for one listener: each frame, with copies of earlier ones as that listener needs them.

use super::frame::Frame;
use super::packet::{Copied, HEADER_BYTES, Marks, VoicePacket};
use crate::limits::{MEDIA_PACKET_BYTES_MAX, REDUNDANT_FRAMES_MAX};

/// Frames looked back on: as far as copies are ever sent.
const KEPT: usize = 16;
/// In front of each copy, and once their count.
const COPY_OVERHEAD: usize = 5;
/// What is longer ago than this is no use to anybody: 200 ms.
const TICKS_BACK_MAX: u64 = 80;

/// Composes the packets of one listener.
#[derive(Debug, Default)]
pub struct Composer {
    /// The last frames, in a ring.
    frames: Vec<Frame>,
    next: usize,
}

impl Composer {
    /// Appends the packet of a frame to `out`, with copies of the frames at these distances, in packets, as far as there
    /// are any. The end of a talkspurt takes along all that would have come later.
    pub fn compose(&mut self, frame: &Frame, distances: &[u8], out: &mut Vec<u8>) {
        let mut packet =
            VoicePacket::new(frame.sequence as u16, frame.time.0, marks(frame), frame.payload.as_slice());
        let mut room = MEDIA_PACKET_BYTES_MAX - HEADER_BYTES - frame.payload.as_slice().len();
        let farthest = distances.last().copied().unwrap_or(0).min(REDUNDANT_FRAMES_MAX as u8);
        let all = 1..=farthest;
        let is_end = frame.talkspurt_end && frame.payload.as_slice().is_empty();
        let wanted = |back: &u8| if is_end { all.contains(back) } else { distances.contains(back) };
        for back in (1..=KEPT as u8).rev().filter(wanted) {
            let sequence = frame.sequence.wrapping_sub(u64::from(back));
            let Some(earlier) = self.frames.iter().find(|earlier| earlier.sequence == sequence) else {
                continue;
            };
            let payload = earlier.payload.as_slice();
            let ticks_back = frame.time.0.wrapping_sub(earlier.time.0);
            if payload.is_empty()
                || !(1..=TICKS_BACK_MAX).contains(&ticks_back)
                || payload.len() + COPY_OVERHEAD > room
            {
                continue;
            }
            let copy =
                Copied { sequence_back: back, ticks_back: ticks_back as u8, marks: marks(earlier), payload };
            if packet.push_copy(copy) {
                room -= payload.len() + COPY_OVERHEAD;
            }
        }
        packet.encode(out);
        if self.frames.len() < KEPT {
            self.frames.push(*frame);
        } else {
            self.frames[self.next] = *frame;
            self.next = (self.next + 1) % KEPT;
        }
    }
}

fn marks(frame: &Frame) -> Marks {
    Marks { ticks: frame.ticks, talkspurt_start: frame.talkspurt_start, talkspurt_end: frame.talkspurt_end }
}

#[cfg(test)]
mod tests {
    use super::Composer;
    use crate::limits::{MEDIA_PACKET_BYTES_MAX, OPUS_FRAME_BYTES_MAX};
    use crate::media::{Frame, FrameBytes, FrameOrigin, MediaTime, packet::VoicePacket};

    fn frame(n: u64, payload: &[u8]) -> Frame {
        Frame {
            sequence: n,
            time: MediaTime(1_000 + n * 4),
            ticks: 4,
            talkspurt_start: n == 0,
            talkspurt_end: payload.is_empty(),
            origin: FrameOrigin::Primary,
            payload: FrameBytes::new(payload).expect("it is short enough"),
        }
    }

    fn backs(packet: &[u8]) -> Vec<u8> {
        VoicePacket::decode(packet).expect("our own").copies().map(|copy| copy.sequence_back).collect()
    }

    #[test]
    fn copies_of_the_frames_wanted_ride_along_and_the_end_takes_the_rest() {
        let mut composer = Composer::default();
        let mut packets = Vec::new();
        for n in 0..10 {
            let mut packet = Vec::new();
            composer.compose(&frame(n, if n == 9 { &[] } else { b"opus" }), &[1, 3], &mut packet);
            packets.push(packet);
        }
        assert!(backs(&packets[0]).is_empty());
        assert_eq!(backs(&packets[1]), [1]);
        assert_eq!(backs(&packets[8]), [3, 1]);
        assert_eq!(backs(&packets[9]), [3, 2, 1]);
    }

    #[test]
    fn what_does_not_fit_stays_behind_and_old_frames_do_not_return() {
        let mut composer = Composer::default();
        let long = [7; OPUS_FRAME_BYTES_MAX];
        let mut packet = Vec::new();
        for n in 0..5 {
            packet.clear();
            composer.compose(&frame(n, &long), &[1, 2, 3], &mut packet);
            assert!(packet.len() <= MEDIA_PACKET_BYTES_MAX);
        }
        assert_eq!(backs(&packet).len(), 1);
        let mut later = frame(5, b"opus");
        later.time.0 += 400;
        packet.clear();
        composer.compose(&later, &[1, 2, 3], &mut packet);
        assert!(backs(&packet).is_empty());
    }
}
