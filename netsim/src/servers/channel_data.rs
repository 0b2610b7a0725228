//! ChannelData framing (RFC 8656 section 12.4), and how messages follow each other on a stream (RFC 8489
//! section 6.2.2, RFC 8656 section 12.5).

use thiserror::Error;

/// The least and greatest first byte of ChannelData: channels 0x4000 to 0x4FFF.
const FIRST_BYTES: std::ops::RangeInclusive<u8> = 0x40..=0x4F;

const HEADER_BYTES: usize = 4;
const STUN_HEADER_BYTES: usize = 20;

/// A payload and its channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelData<'a> {
    /// 0x4000 to 0x4FFF.
    pub channel: u16,
    /// At most 65,535 bytes.
    pub payload: &'a [u8],
}

impl<'a> ChannelData<'a> {
    /// From a datagram or a frame; bytes after the payload are padding.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        let [c0, c1, l0, l1] = *header;
        if !FIRST_BYTES.contains(&c0) {
            return None;
        }
        let payload = rest.get(..usize::from(u16::from_be_bytes([l0, l1])))?;
        Some(ChannelData { channel: u16::from_be_bytes([c0, c1]), payload })
    }

    /// The message, padded to a multiple of four bytes where it goes over a stream; nothing if the payload is too
    /// long for it.
    pub fn encode(&self, padded: bool) -> Option<Vec<u8>> {
        let length = u16::try_from(self.payload.len()).ok()?;
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.payload.len() + 3);
        bytes.extend(self.channel.to_be_bytes());
        bytes.extend(length.to_be_bytes());
        bytes.extend(self.payload);
        if padded {
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        Some(bytes)
    }
}

/// The stream carries something else than STUN messages and ChannelData; only closing it helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("neither a STUN message nor channel data begins with byte {0:#04x}")]
pub struct FramingError(u8);

/// Bytes of the first message of a stream's buffer, padding included; `None` if it is not complete yet.
pub fn next_frame(buffer: &[u8]) -> Result<Option<usize>, FramingError> {
    let Some(&[first, _, l0, l1]) = buffer.first_chunk::<HEADER_BYTES>() else {
        return match buffer.first() {
            Some(&first) if first > 0x3F && !FIRST_BYTES.contains(&first) => Err(FramingError(first)),
            Some(_) | None => Ok(None),
        };
    };
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let size = match first {
        0x00..=0x3F => STUN_HEADER_BYTES + length,
        first if FIRST_BYTES.contains(&first) => (HEADER_BYTES + length).next_multiple_of(4),
        first => return Err(FramingError(first)),
    };
    Ok((buffer.len() >= size).then_some(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eighty_bytes_of_voice_become_eighty_four() {
        let voice = [7; 80];
        let bytes = ChannelData { channel: 0x4001, payload: &voice }.encode(false).unwrap();
        assert_eq!(bytes.len(), 84);
        assert_eq!(ChannelData::decode(&bytes), Some(ChannelData { channel: 0x4001, payload: &voice }));
    }

    #[test]
    fn a_cut_message_or_another_channel_number_is_refused() {
        let bytes = ChannelData { channel: 0x4001, payload: &[1, 2, 3] }.encode(false).unwrap();
        for end in 0..bytes.len() {
            assert_eq!(ChannelData::decode(&bytes[..end]), None);
        }
        assert_eq!(ChannelData::decode(&[0x50, 0, 0, 0]), None);
    }

    #[test]
    fn a_stream_is_cut_into_padded_frames() {
        let mut stream = ChannelData { channel: 0x4001, payload: &[1, 2, 3, 4, 5] }.encode(true).unwrap();
        assert_eq!(stream.len(), 12);
        stream.extend([0x00, 0x01, 0x00, 0x04]);
        stream.extend([0; 20]);
        assert_eq!(next_frame(&stream), Ok(Some(12)));
        assert_eq!(next_frame(&stream[..11]), Ok(None));
        assert_eq!(next_frame(&stream[12..]), Ok(Some(24)));
        assert_eq!(next_frame(&[0x80]), Err(FramingError(0x80)));
        assert_eq!(next_frame(&[]), Ok(None));
    }
}
