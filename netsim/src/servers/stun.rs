//! A STUN server: tells a client which address it is seen as (RFC 8489), and with a second address which kind of
//! NAT it is behind (RFC 5780).
//!
//! RESPONSE-PORT and PADDING of RFC 5780 are optional there and refused here, and no request is authenticated,
//! as with public STUN servers.

use std::net::SocketAddr;
use std::time::Duration;

use stun_rs::attributes::discovery::{
    ChangeRequest, ChangeRequestFlags, OtherAddress, Padding, ResponseOrigin, ResponsePort,
};
use stun_rs::methods::BINDING;
use stun_rs::{AttributeType, MessageClass, StunAttributeType, StunMessage};
use thiserror::Error;

use super::message::{self, Refusal};

/// A server on one address and port, or on two addresses with two ports each.
#[derive(Clone, Debug)]
pub struct StunServer {
    primary: SocketAddr,
    alternate: Option<SocketAddr>,
}

/// An alternate address that RFC 5780 section 6 cannot use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{alternate} must differ from {primary} in both address and port, and be of its family")]
pub struct BadAlternate {
    primary: SocketAddr,
    alternate: SocketAddr,
}

impl StunServer {
    /// A server that only says who is asking.
    pub fn new(primary: SocketAddr) -> Self {
        StunServer { primary, alternate: None }
    }

    /// One that also answers from elsewhere: it listens on both addresses with both ports.
    pub fn with_alternate(primary: SocketAddr, alternate: SocketAddr) -> Result<Self, BadAlternate> {
        let differs = primary.ip() != alternate.ip() && primary.port() != alternate.port();
        if !differs || primary.is_ipv4() != alternate.is_ipv4() {
            return Err(BadAlternate { primary, alternate });
        }
        Ok(StunServer { primary, alternate: Some(alternate) })
    }

    /// Where it listens: one socket, or four.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        match self.alternate {
            None => vec![self.primary],
            Some(alternate) => vec![
                self.primary,
                SocketAddr::new(self.primary.ip(), alternate.port()),
                SocketAddr::new(alternate.ip(), self.primary.port()),
                alternate,
            ],
        }
    }

    /// A datagram that came in on the address `on`. The answer, if there is one: from which of the server's
    /// addresses, to whom, what.
    pub fn handle(
        &self,
        _now: Duration,
        on: SocketAddr,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Option<(SocketAddr, SocketAddr, Vec<u8>)> {
        let request = message::decode(datagram)?;
        let is_ours = self.addresses().contains(&on);
        if !is_ours || request.method() != BINDING || request.class() != MessageClass::Request {
            return None;
        }
        let unknown = message::unknown(&request, &self.unsupported());
        if !unknown.is_empty() {
            return Some((on, from, message::response(&request, Err(Refusal::unknown(&unknown)), None)));
        }
        let origin = self.origin(on, &request);
        let more = match self.alternate {
            None => Vec::new(),
            Some(_) => {
                let other = self.other(on);
                vec![
                    ResponseOrigin::new(origin.ip(), origin.port()).into(),
                    OtherAddress::new(other.ip(), other.port()).into(),
                ]
            }
        };
        Some((origin, from, message::binding(&request, from, more)))
    }

    fn unsupported(&self) -> Vec<AttributeType> {
        let mut kinds = vec![Padding::get_type(), ResponsePort::get_type()];
        if self.alternate.is_none() {
            // RFC 5780 section 7.2: without an alternate address it cannot be obeyed.
            kinds.push(ChangeRequest::get_type());
        }
        kinds
    }

    /// The address and port that are both not `on`'s.
    fn other(&self, on: SocketAddr) -> SocketAddr {
        let alternate = self.alternate.unwrap_or(self.primary);
        SocketAddr::new(
            if on.ip() == self.primary.ip() { alternate.ip() } else { self.primary.ip() },
            if on.port() == self.primary.port() { alternate.port() } else { self.primary.port() },
        )
    }

    /// From where to answer (RFC 5780 section 7.2, table 1).
    fn origin(&self, on: SocketAddr, request: &StunMessage) -> SocketAddr {
        let flags = request
            .get::<ChangeRequest>()
            .and_then(|attribute| attribute.as_change_request().ok())
            .map(ChangeRequest::flags);
        let asks = |flag| flags.is_some_and(|flags| flags.contains(flag));
        let other = self.other(on);
        SocketAddr::new(
            if asks(ChangeRequestFlags::ChangeIp) { other.ip() } else { on.ip() },
            if asks(ChangeRequestFlags::ChangePort) { other.port() } else { on.port() },
        )
    }
}
