//! Requests and responses, over `stun-rs`.

use std::net::SocketAddr;

use stun_rs::attributes::stun::{ErrorCode, MessageIntegrity, UnknownAttributes, XorMappedAddress};
use stun_rs::methods::BINDING;
use stun_rs::{
    AttributeType, DecoderContextBuilder, HMACKey, MessageClass, MessageDecoder, MessageDecoderBuilder,
    MessageEncoder, MessageMethod, StunAttribute, StunMessage, StunMessageBuilder, TransactionId,
};

/// Room for a message's header and attributes other than DATA: the longest are USERNAME (508 bytes), REALM and
/// NONCE (763 each, RFC 8489 section 14).
const ATTRIBUTES_BYTES_MAX: usize = 2560;

/// The message in a datagram; nothing if it is not one. Integrity is not looked at.
pub(super) fn decode(datagram: &[u8]) -> Option<StunMessage> {
    MessageDecoder::default().decode(datagram).ok().map(|(message, _)| message)
}

/// Whether the datagram carries a MESSAGE-INTEGRITY made with `key`.
///
/// `stun-rs` validates the attribute if it is there, and says nothing if it is not.
pub(super) fn has_integrity(datagram: &[u8], key: &HMACKey) -> bool {
    let context = DecoderContextBuilder::default().with_key(key.clone()).with_validation().build();
    let decoder = MessageDecoderBuilder::default().with_context(context).build();
    decoder.decode(datagram).is_ok_and(|(message, _)| message.get::<MessageIntegrity>().is_some())
}

/// Attributes of the request that have to be understood (RFC 8489 section 14) and are not: those that `stun-rs`
/// does not know, and those named as unsupported.
pub(super) fn unknown(message: &StunMessage, unsupported: &[AttributeType]) -> Vec<u16> {
    let is_stranger = |attribute: &StunAttribute| {
        attribute.is_unknown() || unsupported.contains(&attribute.attribute_type())
    };
    let kinds = message.attributes().iter().filter(|attribute| is_stranger(attribute));
    kinds
        .map(StunAttribute::attribute_type)
        .filter(AttributeType::is_comprehension_required)
        .map(|kind| kind.as_u16())
        .collect()
}

/// An error with its reason phrase, and what it has to carry.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: u16,
    pub(super) attributes: Vec<StunAttribute>,
}

impl Refusal {
    pub(super) fn new(code: u16) -> Self {
        Refusal { code, attributes: Vec::new() }
    }

    /// 420, naming the attributes (RFC 8489 section 6.3.1).
    pub(super) fn unknown(attributes: &[u16]) -> Self {
        Refusal { code: 420, attributes: vec![UnknownAttributes::from(attributes).into()] }
    }
}

/// The reason phrases of RFC 8489 section 14.8, RFC 8656 section 19 and RFC 8016 section 4.
fn reason(code: u16) -> &'static str {
    match code {
        400 => "Bad Request",
        401 => "Unauthenticated",
        403 => "Forbidden",
        405 => "Mobility Forbidden",
        420 => "Unknown Attribute",
        437 => "Allocation Mismatch",
        438 => "Stale Nonce",
        440 => "Address Family not Supported",
        441 => "Wrong Credentials",
        442 => "Unsupported Transport Protocol",
        443 => "Peer Address Family Mismatch",
        486 => "Allocation Quota Reached",
        508 => "Insufficient Capacity",
        _ => "Error",
    }
}

/// The bytes of a response to `request`, with integrity if there is a key.
pub(super) fn response(
    request: &StunMessage,
    outcome: Result<Vec<StunAttribute>, Refusal>,
    key: Option<&HMACKey>,
) -> Vec<u8> {
    let (class, mut attributes) = match outcome {
        Ok(attributes) => (MessageClass::SuccessResponse, attributes),
        Err(Refusal { code, attributes }) => {
            let code = stun_rs::ErrorCode::new(code, reason(code)).expect("error codes are 300 to 699");
            let mut all = vec![ErrorCode::new(code).into()];
            all.extend(attributes);
            (MessageClass::ErrorResponse, all)
        }
    };
    attributes.extend(key.map(|key| MessageIntegrity::new(key.clone()).into()));
    encode(request.method(), class, request.transaction_id(), attributes, 0)
}

/// The bytes of a message whose DATA attribute has `data_bytes`.
pub(super) fn encode(
    method: MessageMethod,
    class: MessageClass,
    transaction: &TransactionId,
    attributes: Vec<StunAttribute>,
    data_bytes: usize,
) -> Vec<u8> {
    let builder = StunMessageBuilder::new(method, class).with_transaction_id(*transaction);
    let message = attributes.into_iter().fold(builder, StunMessageBuilder::with_attribute).build();
    let mut bytes = vec![0; ATTRIBUTES_BYTES_MAX + data_bytes];
    let size = MessageEncoder::default()
        .encode(&mut bytes, &message)
        .expect("our own attributes are well formed and fit their limits");
    bytes.truncate(size);
    bytes
}

/// The answer to a Binding request (RFC 8489 section 6.3.1), with more attributes if the server has some to say.
pub(super) fn binding(request: &StunMessage, from: SocketAddr, more: Vec<StunAttribute>) -> Vec<u8> {
    debug_assert!(request.method() == BINDING);
    let mut attributes = vec![XorMappedAddress::from(from).into()];
    attributes.extend(more);
    response(request, Ok(attributes), None)
}
