//! STUN messages (RFC 8489), over `stun-rs`: what servers and peers are asked, and reading what they answer.

mod binding;
mod codec;

pub use binding::{BindingResponse, binding_request, binding_request_to_port, decode_binding_response};
pub(crate) use codec::{decode, encode, error_code, has_integrity};

/// By what a request and its response find each other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TransactionId(pub [u8; 12]);

/// The transaction of any STUN message.
pub fn transaction_of(message: &[u8]) -> Option<TransactionId> {
    Some(TransactionId(message.get(8..20)?.try_into().ok()?))
}

/// The class bits of a message (RFC 8489, section 5): request, indication, success, error.
pub(crate) fn class_of(message: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes([*message.first()?, *message.get(1)?]) & 0x0110)
}

pub(crate) const REQUEST: u16 = 0x0000;
