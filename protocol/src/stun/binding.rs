//! Binding requests to servers: how do you see me?

use super::{TransactionId, decode, encode, transaction_of};
use std::net::SocketAddr;
use stun_rs::MessageClass;
use stun_rs::attributes::discovery::{OtherAddress, ResponsePort};
use stun_rs::attributes::stun::{Fingerprint, MappedAddress, XorMappedAddress};
use stun_rs::methods::BINDING;

/// What a server answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BindingResponse {
    /// The request it answers.
    pub id: TransactionId,
    /// Where the server sees us. Canonical.
    pub mapped: SocketAddr,
    /// Another address of the server, with another port (RFC 5780).
    pub other: Option<SocketAddr>,
}

/// A Binding request (RFC 8489, section 3).
pub fn binding_request(id: TransactionId) -> Vec<u8> {
    let attributes = vec![Fingerprint::default().into()];
    encode(BINDING, MessageClass::Request, id, attributes).expect("a fingerprint can always be written")
}

/// A Binding request whose answer goes to another of our ports (RESPONSE-PORT of RFC 5780, section 7.5).
pub fn binding_request_to_port(id: TransactionId, port: u16) -> Vec<u8> {
    let attributes = vec![ResponsePort::from(port).into(), Fingerprint::default().into()];
    encode(BINDING, MessageClass::Request, id, attributes).expect("a port and a fingerprint can be written")
}

/// The answer to one.
pub fn decode_binding_response(bytes: &[u8]) -> Option<BindingResponse> {
    let message = decode(bytes)?;
    if message.method() != BINDING || message.class() != MessageClass::SuccessResponse {
        return None;
    }
    let xored = message.get::<XorMappedAddress>().and_then(|a| a.as_xor_mapped_address().ok());
    let plain = message.get::<MappedAddress>().and_then(|a| a.as_mapped_address().ok());
    let mapped = xored.map(|a| *a.socket_address()).or_else(|| plain.map(|a| *a.socket_address()))?;
    let other = message.get::<OtherAddress>().and_then(|a| a.as_other_address().ok());
    Some(BindingResponse {
        id: transaction_of(bytes)?,
        mapped: SocketAddr::new(mapped.ip().to_canonical(), mapped.port()),
        other: other.map(|a| *a.socket_address()),
    })
}
