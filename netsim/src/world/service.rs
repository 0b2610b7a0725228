//! Servers that answer at once, without a machine of their own: the pure ones of [`crate::servers`] on their sockets.

use super::packet::Packet;
use crate::nat::Transport;
use crate::servers::{BadCredentials, Output, StunServer, TurnConfig, TurnServer};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The registered port of STUN and TURN (RFC 8489, RFC 8656).
pub const STUN_PORT: u16 = 3478;
/// Where firewalls let TCP out that block everything else. Only framed TURN is spoken there, as TLS is left out.
const HTTPS_PORT: u16 = 443;
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

    /// A TURN server that relays from the first of these addresses of each family, unless its settings name others.
    ///
    /// # Errors
    /// When a user's name or password is none.
    pub fn turn(addresses: &[IpAddr], config: &TurnConfig, seed: u64) -> Result<Self, BadCredentials> {
        let mut config = config.clone();
        if config.relay.is_empty() {
            // One of each family, as a server of the usual kind has.
            let first = |v6: bool| addresses.iter().copied().find(move |address| address.is_ipv6() == v6);
            config.relay = [false, true].into_iter().filter_map(first).collect();
        }
        Ok(Self::Turn(Box::new(TurnServer::new(&config, seed)?)))
    }

    /// Whether it takes TCP connections to a port.
    pub(super) fn listens(&self, port: u16) -> bool {
        match self {
            Self::Stun(_) => false,
            Self::Turn(_) => [STUN_PORT, HTTPS_PORT].contains(&port),
        }
    }

    /// What is sent in answer to a datagram.
    pub(super) fn handle(&mut self, now: Duration, packet: &Packet) -> Vec<Output> {
        let Packet { from, to, ref bytes, .. } = *packet;
        match self {
            Self::Stun(servers) => {
                let answers = servers.iter().filter_map(|server| server.handle(now, to, from, bytes));
                let transport = Transport::Udp;
                answers.map(|(from, to, bytes)| Output::Send { transport, from, to, bytes }).collect()
            }
            Self::Turn(server) if to.port() == STUN_PORT => {
                server.handle(now, Transport::Udp, to, from, bytes)
            }
            Self::Turn(server) => server.relayed(now, to, from, bytes),
        }
    }

    /// What is sent in answer to a frame of a stream that leads from a client to one of its addresses.
    pub(super) fn on_frame(
        &mut self,
        now: Duration,
        on: SocketAddr,
        from: SocketAddr,
        frame: &[u8],
    ) -> Vec<Output> {
        match self {
            Self::Stun(_) => Vec::new(),
            Self::Turn(server) => server.handle(now, Transport::Tcp, on, from, frame),
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
