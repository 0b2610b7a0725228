//! Reading and writing single messages with the codec of `turn-server`.

use super::framing;
use bytes::BytesMut;
use std::net::SocketAddr;
use turn_server::codec::Attributes;
use turn_server::codec::crypto::Password;
use turn_server::codec::message::attributes::error::ErrorType;
use turn_server::codec::message::attributes::{Data, ErrorCode, XorPeerAddress};
use turn_server::codec::message::methods::{DATA_INDICATION, Method};
use turn_server::codec::message::{Message, MessageEncoder};

/// UNKNOWN-ATTRIBUTES (RFC 8489 section 14.13), which the codec does not have.
const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
const STUN_HEADER_BYTES: usize = 20;

/// Reads a message that [`framing::parse`] found whole.
pub(super) fn decode<'a>(bytes: &'a [u8], attributes: &'a mut Attributes) -> Option<Message<'a>> {
    debug_assert!(
        matches!(framing::parse(bytes), Some(framing::Frame::Stun { .. })),
        "only whole ones are read"
    );
    Message::decode(bytes, attributes).ok()
}

/// A response, signed if there is a key, with what `fill` puts into it.
pub(super) fn response(
    method: Method,
    request: &Message<'_>,
    key: Option<&Password>,
    fill: impl FnOnce(&mut MessageEncoder<'_>),
) -> Option<Vec<u8>> {
    let mut bytes = BytesMut::with_capacity(256);
    let mut encoder = MessageEncoder::new(method, request.transaction_id(), &mut bytes);
    fill(&mut encoder);
    encoder.flush(key).ok()?;
    Some(bytes.to_vec())
}

/// An error in answer to a request; `None` when it is no request.
pub(super) fn error(request: &Message<'_>, error: ErrorType, key: Option<&Password>) -> Option<Vec<u8>> {
    response(request.method().error()?, request, key, |encoder| {
        encoder.append::<ErrorCode<'_>>(ErrorCode::from(error));
    })
}

/// 420, with the types that were not understood.
pub(super) fn unknown_attributes(request: &Message<'_>, unknown: &[u16]) -> Option<Vec<u8>> {
    let mut bytes = error(request, ErrorType::UnknownAttribute, None)?;
    let mut value: Vec<u8> = unknown.iter().flat_map(|kind| kind.to_be_bytes()).collect();
    let length = u16::try_from(value.len()).ok()?;
    value.resize(value.len().next_multiple_of(4), 0);
    bytes.extend(UNKNOWN_ATTRIBUTES.to_be_bytes());
    bytes.extend(length.to_be_bytes());
    bytes.extend(value);
    let length = u16::try_from(bytes.len() - STUN_HEADER_BYTES).ok()?;
    bytes[2..4].copy_from_slice(&length.to_be_bytes());
    Some(bytes)
}

/// A Data indication: `payload` came from `peer`. `transaction` makes it unlike others.
pub(super) fn data_indication(peer: SocketAddr, payload: &[u8], transaction: [u8; 12]) -> Option<Vec<u8>> {
    let mut bytes = BytesMut::with_capacity(payload.len() + 64);
    let mut encoder = MessageEncoder::new(DATA_INDICATION, &transaction, &mut bytes);
    encoder.append::<XorPeerAddress>(peer);
    encoder.append::<Data>(payload);
    encoder.flush(None).ok()?;
    Some(bytes.to_vec())
}

/// ChannelData, padded when it goes over a stream (RFC 8656 section 12.5).
pub(super) fn channel_data(number: u16, payload: &[u8], stream: bool) -> Option<Vec<u8>> {
    let length = u16::try_from(payload.len()).ok()?;
    let mut bytes = Vec::with_capacity(payload.len() + 8);
    bytes.extend(number.to_be_bytes());
    bytes.extend(length.to_be_bytes());
    bytes.extend(payload);
    if stream {
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    Some(bytes)
}
