//! A packet on its way.

use super::HostId;
use super::tcp::Segment;
use crate::nat::Transport;
use std::net::SocketAddr;

/// RFC 768.
const UDP_HEADER_BYTES: usize = 8;
/// RFC 9293, without options.
const TCP_HEADER_BYTES: usize = 20;
/// RFC 791 and RFC 8200, both without options.
const IPV4_HEADER_BYTES: usize = 20;
const IPV6_HEADER_BYTES: usize = 40;

/// Systems start at this; enough for any way through a world.
pub const TTL_DEFAULT: u8 = 64;

/// A packet as it is between two hops: NATs have changed its addresses, the rest stays.
#[derive(Debug, Clone)]
pub struct Packet {
    /// What follows the IP header.
    pub header: Header,
    /// Whom it seems to be from here.
    pub from: SocketAddr,
    /// Where it goes from here.
    pub to: SocketAddr,
    /// Routers it may still pass.
    pub ttl: u8,
    /// The payload.
    pub bytes: Vec<u8>,
    /// The host that really sent it; only the simulation knows.
    pub origin: HostId,
}

/// The header of a transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// A datagram.
    Udp,
    /// A piece of a stream.
    Tcp(Segment),
}

impl Packet {
    /// How it travels.
    pub fn transport(&self) -> Transport {
        match self.header {
            Header::Udp => Transport::Udp,
            Header::Tcp(_) => Transport::Tcp,
        }
    }

    /// Bytes on the wire: payload and headers.
    pub fn wire_bytes(&self) -> usize {
        let ip = if self.to.is_ipv4() { IPV4_HEADER_BYTES } else { IPV6_HEADER_BYTES };
        let transport = match self.header {
            Header::Udp => UDP_HEADER_BYTES,
            Header::Tcp(_) => TCP_HEADER_BYTES,
        };
        self.bytes.len() + transport + ip
    }
}
