//! A packet on its way.

use super::HostId;
use crate::nat::Transport;
use std::net::SocketAddr;

/// RFC 768.
const UDP_HEADER_BYTES: usize = 8;
/// RFC 791 and RFC 8200, both without options.
const IPV4_HEADER_BYTES: usize = 20;
const IPV6_HEADER_BYTES: usize = 40;

/// Systems start at this; enough for any way through a world.
pub const TTL_DEFAULT: u8 = 64;

/// A packet as it is between two hops: NATs have changed its addresses, the rest stays.
#[derive(Debug, Clone)]
pub struct Packet {
    /// UDP or TCP.
    pub transport: Transport,
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

impl Packet {
    /// Bytes on the wire: payload, UDP and IP headers.
    pub fn wire_bytes(&self) -> usize {
        let ip = if self.to.is_ipv4() { IPV4_HEADER_BYTES } else { IPV6_HEADER_BYTES };
        self.bytes.len() + UDP_HEADER_BYTES + ip
    }
}
