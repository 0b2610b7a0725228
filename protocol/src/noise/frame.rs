//! Where one handshake message ends and the next begins on the stream.

use crate::limits::HANDSHAKE_MESSAGE_BYTES_MAX;

/// Bytes before each message.
pub const FRAME_HEADER_BYTES: usize = 2;

/// The announced length is zero or beyond the limit. Nothing after it can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a handshake message of {0} bytes: must be 1 to {HANDSHAKE_MESSAGE_BYTES_MAX}")]
pub struct FrameError(pub usize);

/// The message with its length in front.
pub fn encode_frame(message: &[u8]) -> Vec<u8> {
    assert!((1..=HANDSHAKE_MESSAGE_BYTES_MAX).contains(&message.len()), "our own messages are bounded");
    let mut frame = Vec::with_capacity(FRAME_HEADER_BYTES + message.len());
    frame.extend_from_slice(&(message.len() as u16).to_be_bytes());
    frame.extend_from_slice(message);
    frame
}

/// How many bytes the message after this header has; check before allocating for them.
pub fn frame_bytes(header: [u8; FRAME_HEADER_BYTES]) -> Result<usize, FrameError> {
    let bytes = usize::from(u16::from_be_bytes(header));
    if bytes == 0 || bytes > HANDSHAKE_MESSAGE_BYTES_MAX {
        return Err(FrameError(bytes));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_announces_its_length_and_no_stranger_can_announce_a_long_one() {
        let frame = encode_frame(b"abc");
        assert_eq!(frame, b"\x00\x03abc");
        assert_eq!(frame_bytes([frame[0], frame[1]]), Ok(3));
        assert_eq!(frame_bytes([0, 0]), Err(FrameError(0)));
        assert_eq!(frame_bytes([4, 0]), Ok(HANDSHAKE_MESSAGE_BYTES_MAX));
        assert_eq!(frame_bytes([4, 1]), Err(FrameError(HANDSHAKE_MESSAGE_BYTES_MAX + 1)));
    }
}
