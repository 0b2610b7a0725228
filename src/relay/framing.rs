//! Which bytes are a whole message.
//!
//! The codec that reads messages afterwards trusts lengths in places, so only what is well-formed to the last byte
//! gets there (RFC 8489 sections 5 and 14, RFC 8656 section 12.4). Anything else is dropped: no client of ours
//! sends it.

use std::ops::Range;

/// The longest message that is taken: a QUIC datagram of ours has 1200 bytes, an Ethernet frame carries 1500.
pub const MESSAGE_BYTES_MAX: usize = 2048;
/// A request of ours has about ten; more only cost time.
const ATTRIBUTES_MAX: usize = 32;
const STUN_HEADER_BYTES: usize = 20;
const CHANNEL_HEADER_BYTES: usize = 4;
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];

const MESSAGE_INTEGRITY: u16 = 0x0008;
const FINGERPRINT: u16 = 0x8028;

/// A well-formed message.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A STUN or TURN message.
    Stun {
        /// All of it.
        bytes: &'a [u8],
        /// Types of attributes that have to be understood and are not (RFC 8489 section 6.3.1), as they came.
        unknown: Vec<u16>,
    },
    /// ChannelData, without padding.
    Channel {
        /// The channel.
        number: u16,
        /// What is to be relayed.
        payload: &'a [u8],
    },
}

/// Reads one datagram, or one frame of a stream.
pub fn parse(bytes: &[u8]) -> Option<Frame<'_>> {
    if bytes.len() < CHANNEL_HEADER_BYTES || bytes.len() > MESSAGE_BYTES_MAX {
        return None;
    }
    match bytes[0] >> 6 {
        0 => stun(bytes),
        1 => channel(bytes),
        _ => None,
    }
}

/// How long the frame is that begins with these four bytes on a stream, padding included; `None` when no frame of
/// ours begins so, after which nothing on that stream makes sense any more.
pub fn stream_frame_bytes(head: [u8; 4]) -> Option<usize> {
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    let whole = match head[0] >> 6 {
        0 => STUN_HEADER_BYTES + length,
        // RFC 8656 section 12.5: over TCP it is padded to a multiple of four bytes.
        1 => CHANNEL_HEADER_BYTES + length.next_multiple_of(4),
        _ => return None,
    };
    (whole <= MESSAGE_BYTES_MAX).then_some(whole)
}

fn channel(bytes: &[u8]) -> Option<Frame<'_>> {
    let number = u16::from_be_bytes([bytes[0], bytes[1]]);
    let length = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
    let payload = bytes.get(CHANNEL_HEADER_BYTES..CHANNEL_HEADER_BYTES + length)?;
    is_channel(number).then_some(Frame::Channel { number, payload })
}

/// RFC 8656 section 12: channel numbers are 0x4000 to 0x4FFF.
pub fn is_channel(number: u16) -> bool {
    (0x4000..=0x4fff).contains(&number)
}

fn stun(bytes: &[u8]) -> Option<Frame<'_>> {
    let length = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
    let whole = bytes.len() == STUN_HEADER_BYTES + length && length.is_multiple_of(4);
    if !whole || bytes[4..8] != MAGIC_COOKIE {
        return None;
    }
    let mut unknown = Vec::new();
    let mut signed = false;
    let mut count = 0;
    let mut rest = STUN_HEADER_BYTES;
    while rest < bytes.len() {
        let (kind, value) = attribute(bytes, rest)?;
        count += 1;
        // What stands behind the signature is not covered by it (RFC 8489 section 14.5).
        let misplaced = signed && kind != FINGERPRINT;
        if count > ATTRIBUTES_MAX || misplaced || !has_its_length(kind, value.len()) {
            return None;
        }
        signed |= kind == MESSAGE_INTEGRITY;
        if kind < 0x8000 && !is_understood(kind) && !unknown.contains(&kind) {
            unknown.push(kind);
        }
        rest = value.end.next_multiple_of(4);
    }
    Some(Frame::Stun { bytes, unknown })
}

/// Type of the attribute at `from`, and where its value is: all of it within `bytes`, padding too.
fn attribute(bytes: &[u8], from: usize) -> Option<(u16, Range<usize>)> {
    let head: &[u8; 4] = bytes.get(from..from + 4)?.first_chunk()?;
    let value = from + 4..from + 4 + usize::from(u16::from_be_bytes([head[2], head[3]]));
    (value.end.next_multiple_of(4) <= bytes.len()).then_some((u16::from_be_bytes([head[0], head[1]]), value))
}

/// Attributes of a fixed length that the codec reads without looking at it.
fn has_its_length(kind: u16, bytes: usize) -> bool {
    match kind {
        // CHANNEL-NUMBER, LIFETIME, REQUESTED-ADDRESS-FAMILY, REQUESTED-TRANSPORT, FINGERPRINT
        0x000c | 0x000d | 0x0017 | 0x0019 | FINGERPRINT => bytes == 4,
        MESSAGE_INTEGRITY => bytes == 20,
        // USERNAME, REALM, NONCE: the longest allowed (RFC 8489 sections 14.3, 14.9, 14.10)
        0x0006 => bytes <= 508,
        0x0014 | 0x0015 => bytes <= 763,
        // XOR-PEER-ADDRESS
        0x0012 => bytes == 8 || bytes == 20,
        _ => true,
    }
}

/// Attributes that have to be understood, and are by [`super::server`].
fn is_understood(kind: u16) -> bool {
    matches!(
        kind,
        // USERNAME, MESSAGE-INTEGRITY, CHANNEL-NUMBER, LIFETIME, XOR-PEER-ADDRESS, DATA
        0x0006 | MESSAGE_INTEGRITY | 0x000c | 0x000d | 0x0012 | 0x0013
        // REALM, NONCE, REQUESTED-ADDRESS-FAMILY, EVEN-PORT, REQUESTED-TRANSPORT, DONT-FRAGMENT, RESERVATION-TOKEN
        | 0x0014 | 0x0015 | 0x0017 | 0x0018 | 0x0019 | 0x001a | 0x0022
        // PRIORITY and USE-CANDIDATE: a check by ICE is a Binding request like others here.
        | 0x0024 | 0x0025
    )
}

#[cfg(test)]
mod tests {
    use super::{Frame, MESSAGE_BYTES_MAX, parse, stream_frame_bytes};

    fn message(attributes: &[u8]) -> Vec<u8> {
        let length = u16::try_from(attributes.len()).unwrap().to_be_bytes();
        [&[0, 1], &length[..], &[0x21, 0x12, 0xa4, 0x42], &[7; 12], attributes].concat()
    }

    #[test]
    fn a_message_is_taken_only_when_it_is_whole() {
        let good = message(&[0x00, 0x06, 0, 3, b'a', b'd', b'a', 0]);
        assert!(matches!(parse(&good), Some(Frame::Stun { unknown, .. }) if unknown.is_empty()));
        for end in 0..good.len() {
            assert_eq!(parse(&good[..end]), None, "{end} bytes of it");
        }
        assert_eq!(parse(&[&good[..], &[0; 4]].concat()), None, "longer than it says");
        // A value that ends where the message does, without its padding, and one that goes on beyond it.
        assert_eq!(parse(&message(&[0x80, 0x22, 0, 1])), None);
        assert_eq!(parse(&message(&[0x80, 0x22, 0, 5, 1, 2, 3, 4])), None);
        // A channel number of no bytes.
        assert_eq!(parse(&message(&[0x00, 0x0c, 0, 0])), None);
        assert_eq!(parse(&message(&vec![0; MESSAGE_BYTES_MAX])), None);
    }

    #[test]
    fn nothing_but_a_fingerprint_may_follow_the_signature() {
        let signature = [&[0x00, 0x08, 0, 20][..], &[1; 20]].concat();
        assert!(parse(&message(&[&signature[..], &[0x80, 0x28, 0, 4, 1, 2, 3, 4]].concat())).is_some());
        assert_eq!(parse(&message(&[&signature[..], &[0x00, 0x0d, 0, 4, 0, 0, 0, 0]].concat())), None);
    }

    #[test]
    fn attributes_that_must_be_understood_and_are_not_are_named() {
        // CHANGE-REQUEST
        let asking = message(&[0x00, 0x03, 0, 4, 0, 0, 0, 6]);
        assert!(matches!(parse(&asking), Some(Frame::Stun { unknown, .. }) if unknown == [3]));
    }

    #[test]
    fn channel_data_loses_its_padding() {
        let frame = [0x40, 0x01, 0, 5, 1, 2, 3, 4, 5, 0, 0, 0];
        assert_eq!(parse(&frame), Some(Frame::Channel { number: 0x4001, payload: &[1, 2, 3, 4, 5] }));
        assert_eq!(stream_frame_bytes([0x40, 0x01, 0, 5]), Some(12));
        assert_eq!(parse(&frame[..8]), None);
        assert_eq!(parse(&[0x50, 0, 0, 0]), None);
    }

    #[test]
    fn a_stream_that_makes_no_sense_has_no_frames() {
        assert_eq!(stream_frame_bytes([0, 1, 0, 8]), Some(28));
        for head in [[0x80, 0, 0, 0], [0xff; 4], [0, 1, 0xff, 0xfc], [0x40, 0, 0xff, 0xff]] {
            assert_eq!(stream_frame_bytes(head), None);
        }
    }
}
