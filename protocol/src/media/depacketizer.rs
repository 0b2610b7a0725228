//! From one peer's packets to frames with counters that never wrap.

use super::frame::{Frame, FrameBytes, FrameOrigin, MediaTime};
use super::packet::{Marks, PacketError, VoicePacket};
use crate::limits::REDUNDANT_FRAMES_MAX;

/// Unwrapped counters start here, so that a packet from before the first one does not fall below zero.
const START: u64 = 1 << 32;

/// Unwraps one peer's packets. Reordered packets unwrap correctly as long as they are less than half a
/// counter apart: 32,768 packets (over 5 minutes) and 5.8 hours of media time.
#[derive(Debug, Default)]
pub struct Depacketizer {
    newest: Option<Counters>,
}

#[derive(Debug, Clone, Copy)]
struct Counters {
    sequence: u64,
    time: u64,
}

/// The frames of one packet, oldest first.
#[derive(Debug)]
pub struct Frames {
    frames: [Option<Frame>; REDUNDANT_FRAMES_MAX + 1],
}

impl Frames {
    /// The frames, copies before the primary one.
    pub fn iter(&self) -> impl Iterator<Item = &Frame> {
        self.frames.iter().flatten()
    }
}

impl Depacketizer {
    /// Reads one datagram of kind voice.
    pub fn read(&mut self, datagram: &[u8]) -> Result<Frames, PacketError> {
        let packet = VoicePacket::decode(datagram)?;
        let newest = self.newest.unwrap_or(Counters {
            sequence: START | u64::from(packet.sequence),
            time: START | u64::from(packet.time),
        });
        let sequence = unwrap_counter(newest.sequence, u64::from(packet.sequence), 16);
        let time = unwrap_counter(newest.time, u64::from(packet.time), 24);
        if self.newest.is_none() || sequence > newest.sequence {
            self.newest = Some(Counters { sequence, time });
        }
        let mut frames = [None; REDUNDANT_FRAMES_MAX + 1];
        let mut slots = frames.iter_mut();
        for copy in packet.copies() {
            let slot = slots.next().expect("as many slots as a packet has frames");
            *slot = Some(frame(
                sequence.saturating_sub(u64::from(copy.sequence_back)),
                time.saturating_sub(u64::from(copy.ticks_back)),
                copy.marks,
                FrameOrigin::Redundant,
                copy.payload,
            )?);
        }
        let slot = slots.next().expect("as many slots as a packet has frames");
        *slot = Some(frame(sequence, time, packet.marks, FrameOrigin::Primary, packet.payload)?);
        Ok(Frames { frames })
    }
}

fn frame(
    sequence: u64,
    time: u64,
    marks: Marks,
    origin: FrameOrigin,
    payload: &[u8],
) -> Result<Frame, PacketError> {
    Ok(Frame {
        sequence,
        time: MediaTime(time),
        ticks: marks.ticks,
        talkspurt_start: marks.talkspurt_start,
        talkspurt_end: marks.talkspurt_end,
        origin,
        payload: FrameBytes::new(payload).ok_or(PacketError::Malformed)?,
    })
}

/// The number nearest to `newest` whose low `bits` bits are `low`.
fn unwrap_counter(newest: u64, low: u64, bits: u32) -> u64 {
    let span = 1u64 << bits;
    let candidate = newest & !(span - 1) | low;
    let half = span / 2;
    if candidate > newest + half && candidate >= span {
        candidate - span
    } else if candidate + half < newest {
        candidate + span
    } else {
        candidate
    }
}

#[cfg(test)]
mod tests {
    use super::super::packet::{Copied, Marks, VoicePacket};
    use super::{Depacketizer, unwrap_counter};
    use proptest::prelude::{prop_assert_eq, proptest};

    const MARKS: Marks = Marks { ticks: 8, talkspurt_start: false, talkspurt_end: false };

    fn datagram(sequence: u64, time: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        VoicePacket::new(sequence as u16, time, MARKS, b"opus").encode(&mut bytes);
        bytes
    }

    proptest! {
        #[test]
        fn counters_near_the_newest_unwrap_to_themselves(newest in 1u64 << 32..1 << 40, offset in -30_000i64..30_000) {
            let truth = newest.wrapping_add_signed(offset);
            prop_assert_eq!(unwrap_counter(newest, truth & 0xffff, 16), truth);
        }
    }

    #[test]
    fn counters_go_on_across_wraps_in_spite_of_reordering() {
        let mut depacketizer = Depacketizer::default();
        let mut first = None;
        for i in 0..200_000u64 {
            let i = if i % 2 == 0 { i + 1 } else { i - 1 };
            let frames = depacketizer.read(&datagram(60_000 + i, 0xff_0000 + i * 8)).expect("a valid packet");
            let frame = *frames.iter().next().expect("one frame");
            let (sequence, time) = *first.get_or_insert((frame.sequence - i, frame.time.0 - i * 8));
            assert_eq!((frame.sequence, frame.time.0), (sequence + i, time + i * 8));
        }
    }

    #[test]
    fn copies_come_before_the_frame_they_ride_with() {
        let mut packet = VoicePacket::new(10, 1000, MARKS, b"now");
        assert!(packet.push_copy(Copied {
            sequence_back: 2,
            ticks_back: 16,
            marks: MARKS,
            payload: b"then"
        }));
        let mut bytes = Vec::new();
        packet.encode(&mut bytes);
        let frames = Depacketizer::default().read(&bytes).expect("a valid packet");
        let payloads: Vec<_> = frames.iter().map(|f| f.payload.as_slice().to_vec()).collect();
        assert_eq!(payloads, [b"then".to_vec(), b"now".to_vec()]);
        let sequences: Vec<_> = frames.iter().map(|f| f.sequence & 0xffff).collect();
        assert_eq!(sequences, [8, 10]);
    }
}
