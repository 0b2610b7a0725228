//! Servers that answer at once, without a machine of their own: the pure ones of [`crate::servers`] on their sockets.

use super::packet::{Packet, TTL_DEFAULT};
use super::topology::HostId;
use crate::nat::Transport;
use crate::servers::{BadCredentials, Output, StunServer, TurnConfig, TurnServer};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The registered port of STUN and TURN (RFC 8489, RFC 8656).
pub const STUN_PORT: u16 = 3478;
/// The second port of RFC 5780.
const ALTERNATE_PORT: u16 = 3479;

/// What a server serves.
#[derive(Debug)]
pub enum Service {
    /// Reflexive addresses: one for each family.
    Stun(Vec<StunServer>),
    /// Relayed addresses.
    Turn(Box<TurnServer>),
}

impl Service {
    /// A STUN server on these addresses; with two of one family it also tells NATs apart (RFC 5780).
    pub fn stun(addresses: &[IpAddr]) -> Self {
        let family = |v6: bool| addresses.iter().copied().filter(move |address| address.is_ipv6() == v6);
        let servers = [false, true].into_iter().filter_map(|v6| {
            let primary = SocketAddr::new(family(v6).next()?, STUN_PORT);
            let alternate = family(v6).nth(1).map(|address| SocketAddr::new(address, ALTERNATE_PORT));
            Some(match alternate {
                Some(alternate) => StunServer::with_alternate(primary, alternate)
                    .expect("another address of the same family, and another port"),
                None => StunServer::new(primary),
            })
        });
        Self::Stun(servers.collect())
    }

    /// A TURN server that relays from these addresses, unless its settings name others.
    ///
    /// # Errors
    /// When a user's name or password is none.
    pub fn turn(addresses: &[IpAddr], config: &TurnConfig, seed: u64) -> Result<Self, BadCredentials> {
        let mut config = config.clone();
        if config.relay.is_empty() {
            config.relay = addresses.to_vec();
        }
        Ok(Self::Turn(Box::new(TurnServer::new(&config, seed)?)))
    }

    /// What is sent in answer to a packet.
    pub(super) fn handle(&mut self, now: Duration, host: HostId, packet: &Packet) -> Vec<Packet> {
        let datagram = |transport, from, to, bytes| Packet {
            transport,
            from,
            to,
            ttl: TTL_DEFAULT,
            bytes,
            origin: host,
        };
        match self {
            Self::Stun(servers) => {
                let answers = servers
                    .iter()
                    .filter_map(|server| server.handle(now, packet.to, packet.from, &packet.bytes));
                answers.map(|(from, to, bytes)| datagram(Transport::Udp, from, to, bytes)).collect()
            }
            Self::Turn(server) => {
                let outputs = if packet.to.port() == STUN_PORT {
                    server.handle(now, packet.transport, packet.to, packet.from, &packet.bytes)
                } else {
                    server.relayed(now, packet.to, packet.from, &packet.bytes)
                };
                let send = |Output::Send { transport, from, to, bytes }| datagram(transport, from, to, bytes);
                outputs.into_iter().map(send).collect()
            }
        }
    }

    /// It starts anew.
    pub(super) fn restart(&mut self) {
        match self {
            // It remembers nothing anyway.
            Self::Stun(_) => {}
            Self::Turn(server) => server.restart(),
        }
    }
}
