//! Bytes and messages.

use stun_rs::attributes::stun::{ErrorCode, MessageIntegrity};
use stun_rs::{
    DecoderContextBuilder, HMACKey, MessageClass, MessageDecoder, MessageDecoderBuilder, MessageEncoder,
    MessageMethod, StunAttribute, StunMessage, StunMessageBuilder, TransactionId,
};

/// Room for a message: the longest attributes we send are a user's name, a realm and a nonce of 763 bytes each.
const MESSAGE_BYTES_MAX: usize = 2560;

/// The bytes of a message; `None` when an attribute cannot be written.
pub(crate) fn encode(
    method: MessageMethod,
    class: MessageClass,
    transaction: super::TransactionId,
    attributes: Vec<StunAttribute>,
) -> Option<Vec<u8>> {
    let builder =
        StunMessageBuilder::new(method, class).with_transaction_id(TransactionId::from(transaction.0));
    let message = attributes.into_iter().fold(builder, StunMessageBuilder::with_attribute).build();
    let mut bytes = vec![0; MESSAGE_BYTES_MAX];
    let size = MessageEncoder::default().encode(&mut bytes, &message).ok()?;
    bytes.truncate(size);
    Some(bytes)
}

/// The message in a datagram. Integrity is not looked at.
pub(crate) fn decode(datagram: &[u8]) -> Option<StunMessage> {
    MessageDecoder::default().decode(datagram).ok().map(|(message, _)| message)
}

/// Whether the datagram carries a MESSAGE-INTEGRITY made with `key`. (`stun-rs` validates it if it is there, and says
/// nothing if it is not.)
pub(crate) fn has_integrity(datagram: &[u8], key: &HMACKey) -> bool {
    let context = DecoderContextBuilder::default().with_key(key.clone()).with_validation().build();
    let decoder = MessageDecoderBuilder::default().with_context(context).build();
    decoder.decode(datagram).is_ok_and(|(message, _)| message.get::<MessageIntegrity>().is_some())
}

/// The code of an error response.
pub(crate) fn error_code(message: &StunMessage) -> Option<u16> {
    let attribute = message.get::<ErrorCode>()?.as_error_code().ok()?;
    Some(attribute.error_code().error_code())
}
