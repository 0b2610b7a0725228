//! Cuts a TCP or TLS stream into STUN messages and ChannelData (RFC 8656, section 12.5).

/// A frame that is longer is not for us: a datagram of 1,500 bytes and what is around it.
const FRAME_BYTES_MAX: usize = 2048;

/// The stream is not TURN's, or not any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the stream is not TURN's")]
pub struct StreamError;

/// Holds at most one frame and what was pushed after it.
#[derive(Debug, Default)]
pub struct StreamReader {
    buffer: Vec<u8>,
}

impl StreamReader {
    /// Takes what the stream delivered.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, if there is one yet.
    pub fn next_frame(&mut self) -> Result<Option<Vec<u8>>, StreamError> {
        let Some(&[first, _, high, low]) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (frame, padded) = match first {
            0..=3 => (20 + length, 20 + length),
            // On a stream ChannelData is padded to four bytes.
            0x40..=0x4f => (4 + length, 4 + length.next_multiple_of(4)),
            _ => return Err(StreamError),
        };
        if padded > FRAME_BYTES_MAX {
            return Err(StreamError);
        }
        if self.buffer.len() < padded {
            return Ok(None);
        }
        let bytes = self.buffer[..frame].to_vec();
        self.buffer.drain(..padded);
        Ok(Some(bytes))
    }
}
