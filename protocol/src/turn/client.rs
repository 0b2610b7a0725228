//! One allocation.

use super::TurnError;
use super::peers::Peers;
use super::transaction::{Purpose, Transaction};
use super::wrapping;
use crate::entropy::Entropy;
use crate::stun::{
    TransactionId, binding_request, decode, encode, error_code, has_integrity, transaction_of,
};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use stun_rs::attributes::mobility::MobilityTicket;
use stun_rs::attributes::stun::{
    AlternateServer, MessageIntegrity, Nonce, Realm, UserName, XorMappedAddress,
};
use stun_rs::attributes::turn::{
    ChannelNumber, LifeTime, RequestedAddressFamily, RequestedTrasport, XorPeerAddress, XorRelayedAddress,
};
use stun_rs::methods::{ALLOCATE, CHANNEL_BIND, CREATE_PERMMISSION, REFRESH};
use stun_rs::{
    AddressFamily, Algorithm, AlgorithmId, HMACKey, MessageClass, MessageMethod, StunAttribute, StunMessage,
    protocols,
};

/// Requests under way at once; more wait for the next refresh.
const TRANSACTIONS_MAX: usize = 512;

/// Events that nobody took; the oldest are dropped.
const EVENTS_MAX: usize = 64;

/// A question meets at most this many challenges: one without credentials and one with an old nonce are normal.
const CHALLENGES_MAX: u32 = 3;

/// NATs forget a mapping over UDP after 30 s at the earliest (RFC 4787 asks for 2 minutes).
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// An allocation is refreshed when this much of its lifetime is over, and a minute before its end at the latest.
const REFRESH_SHARE: f64 = 0.75;

/// How a connection to a server cuts its messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// One message in a datagram.
    Datagram,
    /// One after the other in a stream.
    Stream,
}

/// Which addresses the server is to relay from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6 (RFC 8656, section 7).
    V6,
}

/// What is asked for.
#[derive(Clone)]
pub struct ClientConfig {
    /// The user's name.
    pub username: String,
    /// The password.
    pub password: String,
    /// What carries the messages.
    pub transport: Framing,
    /// Where to relay from.
    pub family: Family,
    /// Ask for an allocation that survives a change of our own address (RFC 8016).
    pub mobility: bool,
    /// How long the allocation is to live without a refresh.
    pub lifetime: Duration,
}

/// What a message from the server is.
#[derive(Debug, PartialEq, Eq)]
pub enum Input<'a> {
    /// A peer's datagram.
    Data {
        /// Who sent it.
        peer: SocketAddr,
        /// It.
        payload: &'a [u8],
    },
    /// The client's own business.
    Consumed,
    /// Nothing of this client.
    Ignored,
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// There is an allocation.
    Allocated {
        /// Where the server relays for us.
        relayed: SocketAddr,
        /// Where it sees us.
        mapped: SocketAddr,
        /// Without a refresh it ends then.
        lifetime: Duration,
    },
    /// The allocation is reached from another address of ours now.
    Moved {
        /// Where the server sees us.
        mapped: SocketAddr,
    },
    /// Peers at this address may send.
    Permitted {
        /// The address.
        ip: IpAddr,
    },
    /// The server does not relay to this address.
    Forbidden {
        /// The address.
        ip: IpAddr,
        /// Why.
        error: TurnError,
    },
    /// A channel is there.
    Bound {
        /// With whom.
        peer: SocketAddr,
    },
    /// Another server is to be asked (RFC 8489, section 10). The last event.
    Redirected {
        /// Which.
        to: SocketAddr,
    },
    /// There is no allocation, or not any more. The last event.
    Failed {
        /// Why.
        error: TurnError,
    },
}

/// An allocation on one server, or the attempt at one.
pub struct Client {
    config: ClientConfig,
    entropy: Entropy,
    challenge: Option<(Realm, Nonce, HMACKey)>,
    allocation: Option<Allocation>,
    ticket: Option<Vec<u8>>,
    peers: Peers,
    transactions: Vec<Transaction>,
    outgoing: VecDeque<Vec<u8>>,
    events: VecDeque<Event>,
    last_sent: Duration,
    over: bool,
}

#[derive(Debug, Clone, Copy)]
struct Allocation {
    relayed: SocketAddr,
    mapped: SocketAddr,
    refresh: Option<Duration>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("allocation", &self.allocation).finish_non_exhaustive()
    }
}

impl Client {
    /// Starts asking for an allocation.
    pub fn new(config: ClientConfig, seed: [u8; 32], now: Duration) -> Self {
        let mut client = Self {
            config,
            entropy: Entropy::new(seed),
            challenge: None,
            allocation: None,
            ticket: None,
            peers: Peers::default(),
            transactions: Vec::new(),
            outgoing: VecDeque::new(),
            events: VecDeque::new(),
            last_sent: now,
            over: false,
        };
        client.ask(Purpose::Allocate, 0, now);
        client
    }

    /// A message from the server: one datagram, or one frame of the stream.
    pub fn handle_input<'a>(&mut self, now: Duration, message: &'a [u8]) -> Input<'a> {
        if let Some((number, payload)) = wrapping::read_channel_data(message) {
            return match self.peers.peer_of(number) {
                Some(peer) => Input::Data { peer, payload },
                None => Input::Ignored,
            };
        }
        if let Some((peer, payload)) = wrapping::read_data_indication(message) {
            return match self.allocation {
                Some(_) if self.peers.lets_in(peer.ip()) => Input::Data { peer, payload },
                Some(_) | None => Input::Ignored,
            };
        }
        let position = transaction_of(message)
            .and_then(|id| self.transactions.iter().position(|transaction| transaction.id == id));
        let Some(position) = position else { return Input::Ignored };
        let Some(response) = decode(message) else { return Input::Ignored };
        let purpose = self.transactions[position].purpose;
        match response.class() {
            MessageClass::SuccessResponse => {
                let signed = self.challenge.as_ref().is_some_and(|(_, _, key)| has_integrity(message, key));
                if purpose != Purpose::Probe && !signed {
                    return Input::Ignored;
                }
                self.transactions.remove(position);
                self.on_success(purpose, &response, now);
            }
            MessageClass::ErrorResponse => {
                let Some(code) = error_code(&response) else { return Input::Ignored };
                let challenges = self.transactions.remove(position).challenges;
                self.on_error(purpose, code, challenges, &response, now);
            }
            MessageClass::Request | MessageClass::Indication => return Input::Ignored,
        }
        Input::Consumed
    }

    fn on_success(&mut self, purpose: Purpose, response: &StunMessage, now: Duration) {
        match purpose {
            Purpose::Allocate => self.on_allocated(response, now),
            Purpose::Refresh | Purpose::Move => {
                let lifetime = lifetime(response).unwrap_or(self.config.lifetime);
                self.remember_ticket(response);
                let Some(allocation) = &mut self.allocation else { return };
                allocation.refresh = Some(now + refresh_after(lifetime));
                if purpose == Purpose::Move {
                    if let Some(mapped) = mapped(response) {
                        allocation.mapped = mapped;
                    }
                    let mapped = allocation.mapped;
                    self.tell(Event::Moved { mapped });
                }
            }
            Purpose::Probe => self.on_seen(response, now),
            Purpose::Close => {}
            Purpose::Permit(ip) => {
                self.peers.permitted(ip, now);
                self.tell(Event::Permitted { ip });
            }
            Purpose::Bind(peer, _) => {
                self.peers.bound(peer, now);
                self.tell(Event::Bound { peer });
            }
        }
    }

    fn on_allocated(&mut self, response: &StunMessage, now: Duration) {
        let relayed = response.get::<XorRelayedAddress>().and_then(|a| a.as_xor_relayed_address().ok());
        let (Some(relayed), Some(mapped)) = (relayed.map(|a| *a.socket_address()), mapped(response)) else {
            return self.fail(TurnError::Refused(400));
        };
        let lifetime = lifetime(response).unwrap_or(self.config.lifetime);
        self.remember_ticket(response);
        self.allocation = Some(Allocation { relayed, mapped, refresh: Some(now + refresh_after(lifetime)) });
        self.tell(Event::Allocated { relayed, mapped, lifetime });
        let (ips, channels) = self.peers.start_anew();
        ips.into_iter().for_each(|ip| self.ask(Purpose::Permit(ip), 0, now));
        channels.into_iter().for_each(|(peer, number)| self.ask(Purpose::Bind(peer, number), 0, now));
    }

    /// The server answers, and sees us here. From another address than before it knows no allocation of ours: a router
    /// between us has a new address, or another port for us.
    fn on_seen(&mut self, response: &StunMessage, now: Duration) {
        let Some((allocation, mapped)) = self.allocation.as_mut().zip(mapped(response)) else { return };
        if self.config.transport == Framing::Datagram && allocation.mapped != mapped {
            allocation.mapped = mapped;
            self.network_changed(now);
        }
    }

    fn remember_ticket(&mut self, response: &StunMessage) {
        let ticket = response.get::<MobilityTicket>().and_then(|a| a.as_mobility_ticket().ok());
        if let Some(ticket) = ticket {
            self.ticket = Some(ticket.value().to_vec());
        }
    }

    fn on_error(
        &mut self,
        purpose: Purpose,
        code: u16,
        challenges: u32,
        response: &StunMessage,
        now: Duration,
    ) {
        if matches!(code, 401 | 438) && challenges < CHALLENGES_MAX && self.take_challenge(code, response) {
            return self.ask(purpose, challenges + 1, now);
        }
        let error = TurnError::of_code(code);
        match purpose {
            Purpose::Close | Purpose::Probe => {}
            Purpose::Allocate if code == 300 => {
                let to = response.get::<AlternateServer>().and_then(|a| a.as_alternate_server().ok());
                match to.map(|a| *a.socket_address()) {
                    Some(to) => {
                        self.over = true;
                        self.tell(Event::Redirected { to });
                    }
                    None => self.fail(error),
                }
            }
            Purpose::Allocate if code == 405 && self.config.mobility => {
                self.config.mobility = false;
                self.ask(purpose, challenges, now);
            }
            Purpose::Permit(ip) => {
                self.peers.forget(ip);
                self.tell(Event::Forbidden { ip, error });
            }
            // A channel is a convenience: without one indications do.
            Purpose::Bind(peer, _) => self.peers.unbind(peer),
            // From an address that has not changed after all, or a server that keeps no tickets: if an ordinary refresh is
            // refused as well, the allocation is lost.
            Purpose::Move => self.ask(Purpose::Refresh, challenges, now),
            Purpose::Allocate | Purpose::Refresh => self.fail(error),
        }
    }

    /// Whether the server's challenge can be answered: an old nonce always, unknown credentials once.
    fn take_challenge(&mut self, code: u16, response: &StunMessage) -> bool {
        let realm = response.get::<Realm>().and_then(|a| a.as_realm().ok()).cloned();
        let nonce = response.get::<Nonce>().and_then(|a| a.as_nonce().ok()).cloned();
        let (Some(realm), Some(nonce)) = (realm, nonce) else { return false };
        if code == 401 && self.challenge.is_some() {
            // We had answered already: it is the credentials that are wrong.
            return false;
        }
        let algorithm = Algorithm::from(AlgorithmId::MD5);
        let ClientConfig { username, password, .. } = &self.config;
        let Ok(key) = HMACKey::new_long_term(username, realm.as_str(), password, algorithm) else {
            return false;
        };
        self.challenge = Some((realm, nonce, key));
        true
    }

    fn ask(&mut self, purpose: Purpose, challenges: u32, now: Duration) {
        self.ask_with(purpose, challenges, false, now);
    }

    fn ask_with(&mut self, purpose: Purpose, challenges: u32, suspicious: bool, now: Duration) {
        if self.over || self.transactions.len() >= TRANSACTIONS_MAX {
            return;
        }
        let id = TransactionId(self.entropy.bytes());
        let Some(bytes) = self.request(purpose, id) else { return self.fail(TurnError::Unauthorized) };
        let mut transaction =
            Transaction::new(id, purpose, bytes.clone(), self.config.transport, suspicious, now);
        transaction.challenges = challenges;
        self.transactions.push(transaction);
        self.transmit(bytes, now);
    }

    fn request(&self, purpose: Purpose, id: TransactionId) -> Option<Vec<u8>> {
        let seconds = |lifetime: Duration| LifeTime::from(lifetime.as_secs() as u32);
        let (method, mut attributes): (MessageMethod, Vec<StunAttribute>) = match purpose {
            Purpose::Probe => return Some(binding_request(id)),
            Purpose::Allocate => {
                let mut attributes: Vec<StunAttribute> =
                    vec![RequestedTrasport::new(protocols::UDP).into(), seconds(self.config.lifetime).into()];
                if self.config.family == Family::V6 {
                    attributes.push(RequestedAddressFamily::new(AddressFamily::IPv6).into());
                }
                if self.config.mobility {
                    attributes.push(MobilityTicket::new([]).into());
                }
                (ALLOCATE, attributes)
            }
            Purpose::Refresh => (REFRESH, vec![seconds(self.config.lifetime).into()]),
            Purpose::Close => (REFRESH, vec![seconds(Duration::ZERO).into()]),
            Purpose::Move => {
                let ticket = self.ticket.as_deref().unwrap_or_default();
                (REFRESH, vec![seconds(self.config.lifetime).into(), MobilityTicket::new(ticket).into()])
            }
            Purpose::Permit(ip) => {
                (CREATE_PERMMISSION, vec![XorPeerAddress::from(SocketAddr::new(ip, 0)).into()])
            }
            Purpose::Bind(peer, number) => {
                (CHANNEL_BIND, vec![ChannelNumber::new(number).into(), XorPeerAddress::from(peer).into()])
            }
        };
        if let Some((realm, nonce, key)) = &self.challenge {
            attributes.push(UserName::new(&self.config.username).ok()?.into());
            attributes.extend([realm.clone().into(), nonce.clone().into()]);
            attributes.push(MessageIntegrity::new(key.clone()).into());
        }
        encode(method, MessageClass::Request, id, attributes)
    }

    fn transmit(&mut self, bytes: Vec<u8>, now: Duration) {
        self.last_sent = now;
        self.outgoing.push_back(bytes);
    }

    /// The next message to the server.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.outgoing.pop_front()
    }

    /// What happened since the last time.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Option<Duration> {
        if self.over {
            return None;
        }
        let transactions = self.transactions.iter().map(|transaction| transaction.next);
        let refresh = self.allocation.and_then(|allocation| allocation.refresh);
        let keep_alive = self.allocation.map(|_| self.last_sent + KEEP_ALIVE);
        transactions.chain(refresh).chain(self.peers.due()).chain(keep_alive).min()
    }

    /// It is `now`.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.over {
            return;
        }
        let mut failed = Vec::new();
        let mut again = Vec::new();
        self.transactions.retain_mut(|transaction| {
            if transaction.next > now {
                return true;
            }
            let repeat = transaction.repeat(now);
            if repeat {
                again.push(transaction.bytes.clone());
            } else {
                failed.push(transaction.purpose);
            }
            repeat
        });
        again.into_iter().for_each(|bytes| self.transmit(bytes, now));
        if failed.iter().any(|purpose| *purpose != Purpose::Close) {
            let error = if self.allocation.is_some() { TurnError::Dead } else { TurnError::NoAnswer };
            return self.fail(error);
        }
        if let Some(allocation) = &mut self.allocation {
            if allocation.refresh.take_if(|refresh| *refresh <= now).is_some() {
                self.ask(Purpose::Refresh, 0, now);
            }
            let (ips, channels) = self.peers.take_due(now);
            ips.into_iter().for_each(|ip| self.ask(Purpose::Permit(ip), 0, now));
            channels.into_iter().for_each(|(peer, number)| self.ask(Purpose::Bind(peer, number), 0, now));
            if now >= self.last_sent + KEEP_ALIVE {
                self.ask(Purpose::Probe, 0, now);
            }
        }
    }

    fn fail(&mut self, error: TurnError) {
        self.over = true;
        self.allocation = None;
        self.transactions.clear();
        self.tell(Event::Failed { error });
    }

    fn tell(&mut self, event: Event) {
        if self.events.len() >= EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// Where the server relays for us.
    pub fn relayed(&self) -> Option<SocketAddr> {
        self.allocation.map(|allocation| allocation.relayed)
    }

    /// Where the server sees us.
    pub fn mapped(&self) -> Option<SocketAddr> {
        self.allocation.map(|allocation| allocation.mapped)
    }

    /// Lets peers at this address send to us, until [`Self::forget`].
    pub fn permit(&mut self, now: Duration, ip: IpAddr) {
        if self.peers.permit(ip) && self.allocation.is_some() {
            self.ask(Purpose::Permit(ip), 0, now);
        }
    }

    /// Does not keep a permission any longer.
    pub fn forget(&mut self, ip: IpAddr) {
        self.peers.forget(ip);
    }

    /// Asks for a channel, which saves 32 bytes of each datagram.
    pub fn bind(&mut self, now: Duration, peer: SocketAddr) {
        self.permit(now, peer.ip());
        if let Some(number) = self.peers.bind(peer)
            && self.allocation.is_some()
        {
            self.ask(Purpose::Bind(peer, number), 0, now);
        }
    }

    /// Appends to `out` what makes the server send `payload` to a peer. `false` when there is no allocation.
    pub fn wrap(&mut self, now: Duration, peer: SocketAddr, payload: &[u8], out: &mut Vec<u8>) -> bool {
        if self.allocation.is_none() {
            return false;
        }
        let wrapped = match self.peers.channel_to(peer, now) {
            Some(number) => {
                wrapping::channel_data(number, payload, self.config.transport == Framing::Stream, out)
            }
            None => wrapping::send_indication(self.entropy.bytes(), peer, payload, out),
        };
        if wrapped {
            self.last_sent = now;
        }
        wrapped
    }

    /// Our own address may be another one now: the server has to learn it.
    pub fn network_changed(&mut self, now: Duration) {
        if self.allocation.is_none() || self.config.transport == Framing::Stream {
            return self.suspect(now);
        }
        // What is under way was sent from the old address.
        self.transactions.clear();
        let purpose = if self.ticket.is_some() { Purpose::Move } else { Purpose::Allocate };
        self.ask_with(purpose, 0, true, now);
    }

    /// Somebody hears nothing through this server: it has to answer soon, or is given up. It is also asked whether the
    /// allocation is still there, and where it sees us: a server that was restarted forgets everybody, and one that
    /// sees us elsewhere drops what we send.
    pub fn suspect(&mut self, now: Duration) {
        if self.allocation.is_none() {
            return;
        }
        for purpose in [Purpose::Probe, Purpose::Refresh] {
            if !self.transactions.iter().any(|transaction| transaction.purpose == purpose) {
                self.ask_with(purpose, 0, true, now);
            }
        }
    }

    /// Gives the allocation back. Not waited for.
    pub fn close(&mut self, now: Duration) {
        if self.allocation.is_some() {
            self.ask(Purpose::Close, 0, now);
        }
        self.over = true;
    }
}

fn refresh_after(lifetime: Duration) -> Duration {
    lifetime.mul_f64(REFRESH_SHARE).max(lifetime.saturating_sub(Duration::from_secs(60)))
}

fn lifetime(response: &StunMessage) -> Option<Duration> {
    let seconds = response.get::<LifeTime>()?.as_life_time().ok()?.as_u32();
    Some(Duration::from_secs(seconds.clamp(5, 3600).into()))
}

fn mapped(response: &StunMessage) -> Option<SocketAddr> {
    let mapped = *response.get::<XorMappedAddress>()?.as_xor_mapped_address().ok()?.socket_address();
    Some(SocketAddr::new(mapped.ip().to_canonical(), mapped.port()))
}
