//! A TURN server (RFC 8656) that behaves like coturn: any UDP peer, long-term credentials, permissions that both
//! ends need, data as ChannelData only towards a client that bound the channel itself.
//!
//! An *allocation* is a relayed address that belongs to one client (transport, server address, client address).
//! It lives until its refreshes stop; within it *permissions* say from which addresses data comes in, and
//! *channels* abbreviate peers. What has expired is skipped where it is met, and swept out by requests and
//! [`TurnServer::tick`].
//!
//! Left out: EVEN-PORT and RESERVATION-TOKEN (508), TCP peers (RFC 6062), ADDITIONAL-ADDRESS-FAMILY (ignored, as
//! RFC 8656 allows), ICMP, time-limited credentials, and the five minutes after expiry in which a channel number
//! must not be bound to another peer. A moved allocation (RFC 8016) leaves its old client at once.

mod allocation;
mod auth;
mod config;
mod peers;
mod requests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use stun_rs::attributes::turn::{Data, XorPeerAddress};
use stun_rs::methods::{ALLOCATE, BINDING, CHANNEL_BIND, CREATE_PERMMISSION, DATA, REFRESH, SEND};
use stun_rs::{MessageClass, StunMessage};

use super::{ChannelData, Output, message};
use crate::nat::Transport;
use allocation::Allocation;
use auth::Authenticator;

pub use auth::BadCredentials;
pub use config::TurnConfig;
pub use peers::{PeerRule, PeerRuleError};

/// More is not relayed: a UDP payload has at most 65,507 bytes, and a Data indication needs room around it.
const PAYLOAD_BYTES_MAX: usize = 65_000;

/// The 5-tuple that an allocation belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Client {
    transport: Transport,
    /// The server's address.
    on: SocketAddr,
    from: SocketAddr,
}

/// A TURN server. Times are since the simulation's start and must not go back.
#[derive(Debug)]
pub struct TurnServer {
    config: TurnConfig,
    rng: ChaCha8Rng,
    auth: Authenticator,
    /// By relayed address.
    allocations: BTreeMap<SocketAddr, Allocation>,
    by_client: BTreeMap<Client, SocketAddr>,
}

impl TurnServer {
    /// A server that has just started.
    pub fn new(config: &TurnConfig, seed: u64) -> Result<Self, BadCredentials> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let auth = Authenticator::new(config, rng.random())?;
        let config = config.clone();
        Ok(TurnServer { config, rng, auth, allocations: BTreeMap::new(), by_client: BTreeMap::new() })
    }

    /// A datagram, or over TCP one frame (see [`next_frame`](super::next_frame)), that came from the client `from`
    /// in on the server's address `on`. Anything that is no valid message for it is ignored.
    pub fn handle(
        &mut self,
        now: Duration,
        transport: Transport,
        on: SocketAddr,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Vec<Output> {
        let client = Client { transport, on, from };
        if let Some(data) = ChannelData::decode(datagram) {
            return self.channel_data(now, client, data);
        }
        let Some(message) = message::decode(datagram) else { return Vec::new() };
        let answer = match (message.class(), message.method()) {
            (MessageClass::Request, BINDING) => message::binding(&message, from, Vec::new()),
            (MessageClass::Request, ALLOCATE | REFRESH | CREATE_PERMMISSION | CHANNEL_BIND) => {
                self.request(now, client, &message, datagram)
            }
            (MessageClass::Indication, SEND) => return self.send(now, client, &message),
            // Unknown methods, and what only servers send.
            _ => return Vec::new(),
        };
        vec![Output::Send { transport, from: on, to: from, bytes: answer }]
    }

    /// A datagram that came in on one of its relayed addresses.
    pub fn relayed(
        &mut self,
        now: Duration,
        relayed: SocketAddr,
        from: SocketAddr,
        payload: &[u8],
    ) -> Vec<Output> {
        let live = self.allocations.get(&relayed).filter(|allocation| now < allocation.expires);
        let Some(allocation) = live.filter(|allocation| allocation.permits(now, from.ip())) else {
            return Vec::new();
        };
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Vec::new();
        }
        let Client { transport, on, from: to } = allocation.client;
        let bytes = match allocation.channel_of(now, from) {
            Some(channel) => ChannelData { channel, payload }
                .encode(transport == Transport::Tcp)
                .expect("the payload is shorter than a u16 counts"),
            None => {
                let attributes = vec![XorPeerAddress::from(from).into(), Data::new(payload).into()];
                let transaction = self.rng.random();
                message::encode(DATA, MessageClass::Indication, &transaction, attributes, payload.len())
            }
        };
        vec![Output::Send { transport, from: on, to, bytes }]
    }

    /// Lets go of what has expired. Needed only to free memory: nothing expired is ever used.
    pub fn tick(&mut self, now: Duration) {
        let expired = |allocation: &Allocation| now >= allocation.expires;
        let gone: Vec<SocketAddr> =
            self.allocations.iter().filter(|(_, a)| expired(a)).map(|(relayed, _)| *relayed).collect();
        for relayed in gone {
            self.release(relayed);
        }
    }

    /// The TCP connection from `from` to the server's address `on` has closed: its allocation ends with it, as with
    /// coturn, unless a ticket lets the client come back for it (RFC 8016 section 3.1).
    pub fn on_closed(&mut self, on: SocketAddr, from: SocketAddr) {
        let client = Client { transport: Transport::Tcp, on, from };
        let held = self.by_client.get(&client).copied();
        let relayed =
            held.filter(|relayed| self.allocations.get(relayed).is_some_and(|a| a.ticket.is_none()));
        if let Some(relayed) = relayed {
            self.release(relayed);
        }
    }

    /// The server starts anew: allocations are gone and old nonces stale.
    pub fn restart(&mut self) {
        self.allocations.clear();
        self.by_client.clear();
        let nonce_key = self.rng.random();
        self.auth.set_nonce_key(nonce_key);
    }

    /// The relayed addresses at the time of the last request or tick, in order; never more than
    /// `allocations_max`.
    pub fn relayed_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.allocations.keys().copied()
    }

    /// The client's allocation, if it lives.
    fn allocation(&mut self, now: Duration, client: Client) -> Option<(SocketAddr, &mut Allocation)> {
        let relayed = *self.by_client.get(&client)?;
        let allocation = self.allocations.get_mut(&relayed).expect("the index names allocations");
        (now < allocation.expires).then_some((relayed, allocation))
    }

    fn release(&mut self, relayed: SocketAddr) {
        if let Some(allocation) = self.allocations.remove(&relayed) {
            self.by_client.remove(&allocation.client);
        }
    }

    /// RFC 8656 section 12.6: as coturn, a bound channel needs no permission on the way out.
    fn channel_data(&mut self, now: Duration, client: Client, data: ChannelData<'_>) -> Vec<Output> {
        let Some((relayed, allocation)) = self.allocation(now, client) else { return Vec::new() };
        match allocation.peer_of(now, data.channel) {
            Some(peer) => self.relay(now, relayed, peer, data.payload),
            None => Vec::new(),
        }
    }

    /// A Send indication (RFC 8656 section 11.2).
    fn send(&mut self, now: Duration, client: Client, message: &StunMessage) -> Vec<Output> {
        if !message::unknown(message, &[]).is_empty() {
            return Vec::new();
        }
        let peer = message.get::<XorPeerAddress>().and_then(|a| a.as_xor_peer_address().ok());
        let data = message.get::<Data>().and_then(|a| a.as_data().ok());
        let (Some(peer), Some(data)) = (peer, data) else { return Vec::new() };
        let peer = *peer.socket_address();
        match self.allocation(now, client) {
            Some((relayed, allocation)) if allocation.permits(now, peer.ip()) => {
                self.relay(now, relayed, peer, data.as_bytes())
            }
            Some(_) | None => Vec::new(),
        }
    }

    /// From a relayed address to a peer; a peer that is a relayed address of ours is served without the network.
    fn relay(&mut self, now: Duration, relayed: SocketAddr, peer: SocketAddr, payload: &[u8]) -> Vec<Output> {
        if payload.len() > PAYLOAD_BYTES_MAX {
            Vec::new()
        } else if self.allocations.contains_key(&peer) {
            self.relayed(now, peer, relayed, payload)
        } else {
            let bytes = payload.to_vec();
            vec![Output::Send { transport: Transport::Udp, from: relayed, to: peer, bytes }]
        }
    }
}
