//! The voice packet: six bytes of header, optional copies of earlier frames, one Opus frame.
//!
//! All numbers are big-endian.
//!
//! | bytes | meaning |
//! |---|---|
//! | 0 | bit 0 first frame of a talkspurt, bit 1 last frame of a talkspurt, bit 2 copies follow, bits 3-5 duration code, bits 6-7 kind (0 voice, 1 report) |
//! | 1-2 | sequence number, low 16 bits |
//! | 3-5 | media time of the frame's first sample in ticks of 2.5 ms, low 24 bits |
//! | (copies) | a count of 1 to 4, then for each copy four bytes and its payload: sequence numbers back, ticks back, flags as in byte 0 with bits 6-7 as bits 8-9 of the length, low 8 bits of the length |
//! | rest | the Opus payload |
//!
//! Duration codes: 0 to 5 are 1, 2, 4, 8, 16 and 24 ticks. With no copies a packet is exactly six bytes
//! longer than its Opus payload: together with QUIC, UDP and IPv4 that is 55 bytes, 11 more when an
//! acknowledgement rides along.
//!
//! Unknown kinds are skipped, so that a later version may add some.

use super::frame::FrameBytes;
use crate::limits::{MEDIA_PACKET_BYTES_MAX, OPUS_FRAME_BYTES_MAX, REDUNDANT_FRAMES_MAX};

/// Bytes before the payload when no copies ride along.
pub const HEADER_BYTES: usize = 6;

/// Bytes before each copy's payload.
const COPY_HEADER_BYTES: usize = 4;

const TALKSPURT_START: u8 = 1;
const TALKSPURT_END: u8 = 1 << 1;
const COPIES: u8 = 1 << 2;
const DURATION_SHIFT: u8 = 3;
const KIND_SHIFT: u8 = 6;
const DURATIONS_TICKS: [u8; 6] = [1, 2, 4, 8, 16, 24];

/// What a datagram carries, from its first byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A voice packet.
    Voice,
    /// A [`super::ReceptionReport`].
    Report,
}

/// The kind of a datagram; `None` for an empty one or a kind of a later version.
pub fn kind(datagram: &[u8]) -> Option<Kind> {
    match datagram.first()? >> KIND_SHIFT {
        0 => Some(Kind::Voice),
        1 => Some(Kind::Report),
        _ => None,
    }
}

/// The first byte of a datagram of this kind.
pub(super) fn kind_byte(kind: Kind) -> u8 {
    match kind {
        Kind::Voice => 0,
        Kind::Report => 1 << KIND_SHIFT,
    }
}

/// Duration and place in the talkspurt of one frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Marks {
    /// Duration in ticks of 2.5 ms: 1, 2, 4, 8, 16 or 24.
    pub ticks: u8,
    /// First frame of a talkspurt.
    pub talkspurt_start: bool,
    /// Last frame of a talkspurt, or its repetition during silence.
    pub talkspurt_end: bool,
}

impl Marks {
    fn encode(self) -> u8 {
        let code = DURATIONS_TICKS.iter().position(|&t| t == self.ticks).expect("a duration Opus knows");
        (code as u8) << DURATION_SHIFT
            | if self.talkspurt_start { TALKSPURT_START } else { 0 }
            | if self.talkspurt_end { TALKSPURT_END } else { 0 }
    }

    fn decode(byte: u8) -> Option<Self> {
        let ticks = *DURATIONS_TICKS.get(usize::from(byte >> DURATION_SHIFT & 7))?;
        Some(Self {
            ticks,
            talkspurt_start: byte & TALKSPURT_START != 0,
            talkspurt_end: byte & TALKSPURT_END != 0,
        })
    }
}

/// A copy of an earlier frame inside a later packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Copied<'a> {
    /// How many sequence numbers before this packet's (1 to 255).
    pub sequence_back: u8,
    /// How many ticks of media time before this packet's frame (1 to 255).
    pub ticks_back: u8,
    /// The copied frame's marks.
    pub marks: Marks,
    /// The copied frame's Opus payload.
    pub payload: &'a [u8],
}

/// One voice packet, its payloads borrowed from the datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VoicePacket<'a> {
    /// Low 16 bits of the sequence number.
    pub sequence: u16,
    /// Low 24 bits of the media time, in ticks.
    pub time: u32,
    /// The primary frame's marks.
    pub marks: Marks,
    copies: [Option<Copied<'a>>; REDUNDANT_FRAMES_MAX],
    /// The primary frame's Opus payload.
    pub payload: &'a [u8],
}

/// Why a datagram is no voice packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// Shorter than its header or its copies say.
    #[error("truncated media packet")]
    Truncated,
    /// A field has a value the format does not allow.
    #[error("malformed media packet")]
    Malformed,
    /// Longer than any packet may be.
    #[error("oversized media packet")]
    Oversized,
}

impl<'a> VoicePacket<'a> {
    /// A packet of one frame. `time` is cut to its low 24 bits.
    pub fn new(sequence: u16, time: u64, marks: Marks, payload: &'a [u8]) -> Self {
        let time = (time & 0xff_ffff) as u32;
        Self { sequence, time, marks, copies: [None; REDUNDANT_FRAMES_MAX], payload }
    }

    /// Adds a copy; returns whether there was room for one more.
    pub fn push_copy(&mut self, copy: Copied<'a>) -> bool {
        match self.copies.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => {
                *slot = Some(copy);
                true
            }
            None => false,
        }
    }

    /// The copies that ride along, in the order they were written.
    pub fn copies(&self) -> impl Iterator<Item = &Copied<'a>> {
        self.copies.iter().flatten()
    }

    /// Appends the packet's bytes to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let count = self.copies().count() as u8;
        out.push(kind_byte(Kind::Voice) | self.marks.encode() | if count > 0 { COPIES } else { 0 });
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.time.to_be_bytes()[1..]);
        if count > 0 {
            out.push(count);
        }
        for copy in self.copies() {
            let length = copy.payload.len() as u16;
            out.push(copy.sequence_back);
            out.push(copy.ticks_back);
            out.push(copy.marks.encode() | ((length >> 8) as u8) << KIND_SHIFT);
            out.push(length as u8);
            out.extend_from_slice(copy.payload);
        }
        out.extend_from_slice(self.payload);
    }

    /// Reads a datagram of kind [`Kind::Voice`].
    pub fn decode(datagram: &'a [u8]) -> Result<Self, PacketError> {
        if datagram.len() > MEDIA_PACKET_BYTES_MAX {
            return Err(PacketError::Oversized);
        }
        let (header, mut rest) = datagram.split_at_checked(HEADER_BYTES).ok_or(PacketError::Truncated)?;
        if kind(header) != Some(Kind::Voice) {
            return Err(PacketError::Malformed);
        }
        let marks = Marks::decode(header[0]).ok_or(PacketError::Malformed)?;
        let sequence = u16::from_be_bytes([header[1], header[2]]);
        let time = u32::from_be_bytes([0, header[3], header[4], header[5]]);
        let mut copies = [None; REDUNDANT_FRAMES_MAX];
        if header[0] & COPIES != 0 {
            let (&count, after) = rest.split_first().ok_or(PacketError::Truncated)?;
            rest = after;
            let slots = copies.get_mut(..usize::from(count)).ok_or(PacketError::Malformed)?;
            if slots.is_empty() {
                return Err(PacketError::Malformed);
            }
            for slot in slots {
                let (copy, after) = decode_copy(rest)?;
                *slot = Some(copy);
                rest = after;
            }
        }
        // An empty frame means something only as the mark of a talkspurt's end.
        if rest.len() > OPUS_FRAME_BYTES_MAX || (rest.is_empty() && !marks.talkspurt_end) {
            return Err(PacketError::Malformed);
        }
        Ok(Self { sequence, time, marks, copies, payload: rest })
    }
}

fn decode_copy(bytes: &[u8]) -> Result<(Copied<'_>, &[u8]), PacketError> {
    let (header, rest) = bytes.split_at_checked(COPY_HEADER_BYTES).ok_or(PacketError::Truncated)?;
    let length = usize::from(header[2] >> KIND_SHIFT) << 8 | usize::from(header[3]);
    let (payload, rest) = rest.split_at_checked(length).ok_or(PacketError::Truncated)?;
    let marks = Marks::decode(header[2]).ok_or(PacketError::Malformed)?;
    let reserved = header[2] & COPIES != 0;
    if header[0] == 0
        || header[1] == 0
        || reserved
        || FrameBytes::new(payload).is_none()
        || payload.is_empty()
    {
        return Err(PacketError::Malformed);
    }
    Ok((Copied { sequence_back: header[0], ticks_back: header[1], marks, payload }, rest))
}

#[cfg(test)]
mod tests {
    use super::{Copied, HEADER_BYTES, Marks, PacketError, VoicePacket};
    use proptest::collection::vec;
    use proptest::prelude::{Just, Strategy, any, prop_assert_eq, prop_oneof, proptest};

    fn marks() -> impl Strategy<Value = Marks> {
        let ticks = prop_oneof![Just(1), Just(2), Just(4), Just(8), Just(16), Just(24)];
        (ticks, any::<bool>(), any::<bool>()).prop_map(|(ticks, talkspurt_start, talkspurt_end)| Marks {
            ticks,
            talkspurt_start,
            talkspurt_end,
        })
    }

    proptest! {
        #[test]
        fn a_packet_reads_back_as_it_was_written(
            sequence: u16, time in 0u64..1 << 24, marks in marks(),
            payload in vec(any::<u8>(), 1..=400),
            copies in vec((1u8.., 1u8.., marks(), vec(any::<u8>(), 1..=150)), 0..=4),
        ) {
            let mut packet = VoicePacket::new(sequence, time, marks, &payload);
            for (sequence_back, ticks_back, marks, payload) in &copies {
                packet.push_copy(Copied {
                    sequence_back: *sequence_back, ticks_back: *ticks_back, marks: *marks, payload,
                });
            }
            let mut bytes = Vec::new();
            packet.encode(&mut bytes);
            prop_assert_eq!(VoicePacket::decode(&bytes), Ok(packet));
        }

        #[test]
        fn no_datagram_panics_the_codec(bytes in vec(any::<u8>(), 0..1300)) {
            if let Ok(packet) = VoicePacket::decode(&bytes) {
                let mut again = Vec::new();
                packet.encode(&mut again);
                prop_assert_eq!(again, bytes);
            }
        }
    }

    #[test]
    fn a_packet_without_copies_costs_six_bytes() {
        let marks = Marks { ticks: 8, talkspurt_start: false, talkspurt_end: false };
        let mut bytes = Vec::new();
        VoicePacket::new(1, 2, marks, &[0; 80]).encode(&mut bytes);
        assert_eq!(bytes.len(), 80 + HEADER_BYTES);
    }

    #[test]
    fn only_the_end_of_a_talkspurt_may_be_empty() {
        let marks = Marks { ticks: 8, talkspurt_start: false, talkspurt_end: true };
        let mut bytes = Vec::new();
        VoicePacket::new(1, 2, marks, &[]).encode(&mut bytes);
        assert!(VoicePacket::decode(&bytes).is_ok());
        bytes[0] &= !super::TALKSPURT_END;
        assert_eq!(VoicePacket::decode(&bytes), Err(PacketError::Malformed));
    }
}
