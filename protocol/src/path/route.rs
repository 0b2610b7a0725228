//! From where to where one datagram goes.

use std::fmt;
use std::net::SocketAddr;

/// An allocation on a TURN server, as its owner numbers them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RelayId(pub u8);

/// The local end of a route: what RFC 8445 calls a base.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Via {
    /// The call's own UDP socket.
    Socket,
    /// One of the spare sockets that are opened to be found by chance (see [`crate::ice`]).
    Spare(u16),
    /// A relayed address on a TURN server.
    Relay(RelayId),
}

/// One way to send a datagram.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Route {
    /// From where.
    pub via: Via,
    /// To where. Canonical: an IPv4 peer is an IPv4 address, also on a dual-stack socket.
    pub to: SocketAddr,
}

impl Route {
    /// From the call's own socket.
    pub fn direct(to: SocketAddr) -> Self {
        Self { via: Via::Socket, to }
    }

    /// Whether its datagrams leave through a TURN server of ours.
    pub fn is_relayed(self) -> bool {
        matches!(self.via, Via::Relay(_))
    }
}

impl From<SocketAddr> for Route {
    fn from(to: SocketAddr) -> Self {
        Self::direct(to)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.via {
            Via::Socket => write!(f, "{}", self.to),
            Via::Spare(number) => write!(f, "{} (spare socket {number})", self.to),
            Via::Relay(RelayId(relay)) => write!(f, "{} through relay {relay}", self.to),
        }
    }
}
