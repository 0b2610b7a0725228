//! What the relay does with each message: a TURN server (RFC 8656) without sockets or clock.
//!
//! The caller hands in a message with its client and the time, and sends what comes back. A client is unknown
//! until a request of its carries good credentials; then it is one with an allocation, until that expires, it
//! gives it up, or its connection ends. Requests of clients without credentials are answered from no memory
//! ([`super::nonce`]) and only so often ([`Strangers`]).
//!
//! Credentials are checked for their end when something is allocated: a call that is under way is not cut off.

use super::allocation::{Allocation, Allocations, Unbound, granted};
use super::allowance::{Allowance, Strangers};
use super::credentials::{Secret, parse_username};
use super::framing::{Frame, is_channel, parse};
use super::messages;
use super::nonce::Nonces;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use turn_server::codec::Attributes;
use turn_server::codec::crypto::{Password, generate_password};
use turn_server::codec::message::Message;
use turn_server::codec::message::attributes::address::IpFamily;
use turn_server::codec::message::attributes::error::ErrorType;
use turn_server::codec::message::attributes::{
    AttributeType, ChannelNumber, Data, ErrorCode, Lifetime, MessageIntegrity, Nonce, PasswordAlgorithm,
    Realm, RequestedAddressFamily, RequestedTransport, UserName, XorMappedAddress, XorPeerAddress,
    XorRelayedAddress,
};
use turn_server::codec::message::methods::{
    ALLOCATE_REQUEST, ALLOCATE_RESPONSE, BINDING_REQUEST, BINDING_RESPONSE, CHANNEL_BIND_REQUEST,
    CHANNEL_BIND_RESPONSE, CREATE_PERMISSION_REQUEST, CREATE_PERMISSION_RESPONSE, REFRESH_REQUEST,
    REFRESH_RESPONSE, SEND_INDICATION,
};
use turn_server::service::session::ports::{PortAllocator, PortRange};

/// Only a name for the pair of user name and password; it need not be the machine's.
const REALM: &str = "roundtable";

/// How a client reaches the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// A datagram a message.
    Udp,
    /// A stream.
    Tcp,
}

/// Whom a message comes from: RFC 8656's 5-tuple, as there is one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Client {
    /// The address it comes from; canonical.
    pub source: SocketAddr,
    /// Over what.
    pub transport: Transport,
}

/// A message to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// To whom.
    pub to: Client,
    /// As it goes on the wire.
    pub bytes: Vec<u8>,
}

/// The addresses that others reach this server at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct External {
    /// For IPv4 allocations; without it they are refused (440).
    pub v4: Option<Ipv4Addr>,
    /// For IPv6 allocations.
    pub v6: Option<Ipv6Addr>,
}

/// What everybody together, and each user, may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Allocations; further ones are refused with 508.
    pub total_quota: usize,
    /// Allocations of one user; further ones are refused with 486.
    pub user_quota: usize,
    /// What one user may send through the server, in kbit/s of payload; more is dropped.
    pub user_kbps: u32,
}

/// How often what happened, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes that were no message, or none that a client sends.
    pub malformed: u64,
    /// Messages of strangers beyond what is answered.
    pub unanswered: u64,
    /// Requests with wrong or ended credentials.
    pub refused: u64,
    /// Datagrams that were passed on.
    pub relayed: u64,
    /// Datagrams for nobody, or without permission.
    pub unwanted: u64,
    /// Datagrams beyond a user's rate.
    pub over_rate: u64,
}

/// The server.
pub struct Server {
    external: External,
    limits: Limits,
    secret: Secret,
    nonces: Nonces,
    allocations: Allocations,
    ports: PortAllocator,
    /// Of users that have allocations, or had some a moment ago.
    rates: BTreeMap<String, Allowance>,
    strangers: Strangers,
    indications: u64,
    counters: Counters,
}

/// What a request with good credentials is answered with; `Err` is an error response.
type Answer = Result<Option<Vec<u8>>, ErrorType>;

impl Server {
    /// A server without clients. `key` is random and makes its nonces its own.
    pub fn new(secret: Secret, external: External, limits: Limits, key: [u8; 32]) -> Self {
        Self {
            external,
            limits,
            secret,
            nonces: Nonces::new(key),
            allocations: Allocations::default(),
            ports: PortAllocator::new(PortRange::default()),
            rates: BTreeMap::new(),
            strangers: Strangers::default(),
            indications: 0,
            counters: Counters::default(),
        }
    }

    /// Takes one datagram, or one frame of a stream. `now` never goes back; `unix` is the wall clock in seconds
    /// since 1970, for the end of credentials.
    pub fn handle(&mut self, now: Duration, unix: u64, from: Client, bytes: &[u8]) -> Option<Outgoing> {
        match parse(bytes) {
            None => {
                self.counters.malformed += 1;
                None
            }
            Some(Frame::Channel { number, payload }) => {
                let peer = self.allocations.get(from).and_then(|allocation| allocation.peer_of(now, number));
                self.relay(now, from, peer, payload)
            }
            Some(Frame::Stun { bytes, unknown }) => {
                let mut attributes = Attributes::default();
                let Some(message) = messages::decode(bytes, &mut attributes) else {
                    self.counters.malformed += 1;
                    return None;
                };
                if message.method() == SEND_INDICATION {
                    let peer = message.get::<XorPeerAddress>();
                    return self.relay(now, from, peer, message.get::<Data>()?);
                }
                let bytes = self.request(now, unix, from, &message, &unknown)?;
                Some(Outgoing { to: from, bytes })
            }
        }
    }

    /// Forgets a client whose connection ended.
    pub fn on_closed(&mut self, client: Client) {
        if let Some(allocation) = self.allocations.remove(client) {
            self.ports.deallocate(allocation.relayed.port());
        }
    }

    /// Forgets the allocations whose time is over. To be called every second or so.
    pub fn expire(&mut self, now: Duration) {
        for client in self.allocations.over(now) {
            self.on_closed(client);
        }
        // Who comes back at once finds what it had left, and no fresh allowance.
        let Self { rates, allocations, .. } = self;
        rates.retain(|user, allowance| allocations.of_user(user) > 0 || !allowance.is_full(now));
    }

    /// How many allocations there are.
    pub fn allocations(&self) -> usize {
        self.allocations.len()
    }

    /// Whether a client has an allocation.
    pub fn has_allocation(&self, client: Client) -> bool {
        self.allocations.get(client).is_some()
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn request(
        &mut self,
        now: Duration,
        unix: u64,
        from: Client,
        message: &Message<'_>,
        unknown: &[u16],
    ) -> Option<Vec<u8>> {
        // Responses and indications have no place here.
        let is_request = matches!(
            message.method(),
            BINDING_REQUEST
                | ALLOCATE_REQUEST
                | REFRESH_REQUEST
                | CREATE_PERMISSION_REQUEST
                | CHANNEL_BIND_REQUEST
        );
        if !is_request {
            self.counters.malformed += 1;
            return None;
        }
        // Who has an allocation is no stranger, and keeps it alive however many others ask from its address.
        if self.allocations.get(from).is_none() && !self.strangers.admit(now, from.source.ip()) {
            self.counters.unanswered += 1;
            return None;
        }
        if !unknown.is_empty() {
            return messages::unknown_attributes(message, unknown);
        }
        if message.method() == BINDING_REQUEST {
            return messages::response(BINDING_RESPONSE, message, None, |encoder| {
                encoder.append::<XorMappedAddress>(from.source);
            });
        }
        let (username, key) = match self.authenticate(now, from, message) {
            Ok(known) => known,
            Err(error) => return self.challenge(now, from, message, error),
        };
        let answer = match message.method() {
            ALLOCATE_REQUEST => self.allocate(now, unix, from, message, (username, &key)),
            REFRESH_REQUEST => self.refresh(now, from, message, (username, &key)),
            CREATE_PERMISSION_REQUEST => self.permit(now, from, message, (username, &key)),
            _ => self.bind(now, from, message, (username, &key)),
        };
        match answer {
            Ok(bytes) => bytes,
            Err(ErrorType::Unauthorized) => self.challenge(now, from, message, ErrorType::Unauthorized),
            Err(error) => messages::error(message, error, Some(&key)),
        }
    }

    /// RFC 8489 section 9.2.4, in its order.
    fn authenticate<'m>(
        &mut self,
        now: Duration,
        from: Client,
        message: &Message<'m>,
    ) -> Result<(&'m str, Password), ErrorType> {
        if message.get::<MessageIntegrity>().is_none() {
            return Err(ErrorType::Unauthorized);
        }
        let (Some(username), Some(_), Some(nonce)) =
            (message.get::<UserName>(), message.get::<Realm>(), message.get::<Nonce>())
        else {
            return Err(ErrorType::BadRequest);
        };
        if !self.nonces.is_fresh(now, from, nonce) {
            return Err(ErrorType::StaleNonce);
        }
        let password = self.secret.password(username);
        let key = generate_password(username, &password, REALM, PasswordAlgorithm::Md5);
        if parse_username(username).is_none() || message.verify(&key).is_err() {
            self.counters.refused += 1;
            return Err(ErrorType::Unauthorized);
        }
        Ok((username, key))
    }

    /// An error that is not signed, with a nonce to try again with where that may help.
    fn challenge(
        &self,
        now: Duration,
        from: Client,
        message: &Message<'_>,
        error: ErrorType,
    ) -> Option<Vec<u8>> {
        let nonce = self.nonces.issue(now, from);
        messages::response(message.method().error()?, message, None, |encoder| {
            encoder.append::<ErrorCode<'_>>(ErrorCode::from(error));
            if matches!(error, ErrorType::Unauthorized | ErrorType::StaleNonce) {
                encoder.append::<Realm>(REALM);
                encoder.append::<Nonce>(&nonce);
            }
        })
    }

    /// RFC 8656 section 7.2.
    fn allocate(
        &mut self,
        now: Duration,
        unix: u64,
        from: Client,
        message: &Message<'_>,
        (username, key): (&str, &Password),
    ) -> Answer {
        let transaction = transaction_of(message)?;
        if let Some(allocation) = self.allocations.get(from) {
            // The same request again, because our answer was lost.
            if allocation.transaction == transaction && allocation.username == username {
                let lifetime = allocation.expires.saturating_sub(now);
                return Ok(allocated(message, key, from, allocation.relayed, lifetime));
            }
            return Err(ErrorType::AllocationMismatch);
        }
        let (expires, user) = parse_username(username).ok_or(ErrorType::Unauthorized)?;
        if expires <= unix {
            self.counters.refused += 1;
            return Err(ErrorType::Unauthorized);
        }
        match message.get::<RequestedTransport>() {
            Some(RequestedTransport::Udp) => {}
            Some(RequestedTransport::Tcp) => return Err(ErrorType::UnsupportedTransportAddress),
            None => return Err(ErrorType::BadRequest),
        }
        if [AttributeType::EvenPort, AttributeType::ReservationToken]
            .into_iter()
            .any(|kind| message.get_for_type(kind).is_some())
        {
            return Err(ErrorType::InsufficientCapacity);
        }
        let ip = self.relayed_ip(message)?;
        if self.allocations.of_user(user) >= self.limits.user_quota {
            return Err(ErrorType::AllocationQuotaReached);
        }
        if self.allocations.len() >= self.limits.total_quota {
            return Err(ErrorType::InsufficientCapacity);
        }
        let port = self.ports.allocate(None).ok_or(ErrorType::InsufficientCapacity)?;
        let lifetime = granted(message.get::<Lifetime>());
        let relayed = SocketAddr::new(ip, port);
        let allocation = Allocation::new(relayed, (username, user), transaction, now + lifetime);
        self.allocations.insert(from, allocation);
        let per_second = f64::from(self.limits.user_kbps) * 1000.0 / 8.0;
        // Half a second saved up: people who begin to talk all at once.
        let new = || Allowance::new(per_second, per_second / 2.0, now);
        self.rates.entry(user.to_owned()).or_insert_with(new);
        Ok(allocated(message, key, from, relayed, lifetime))
    }

    /// IPv4 unless the client asks for IPv6, or there is nothing else.
    fn relayed_ip(&self, message: &Message<'_>) -> Result<IpAddr, ErrorType> {
        let (v4, v6) = (self.external.v4.map(IpAddr::from), self.external.v6.map(IpAddr::from));
        let ip = match message.get::<RequestedAddressFamily>() {
            Some(IpFamily::V4) => v4,
            Some(IpFamily::V6) => v6,
            None => v4.or(v6),
        };
        ip.ok_or(ErrorType::AddressFamilyNotSupported)
    }

    /// RFC 8656 section 8.2.
    fn refresh(
        &mut self,
        now: Duration,
        from: Client,
        message: &Message<'_>,
        (username, key): (&str, &Password),
    ) -> Answer {
        let allocation = own(&mut self.allocations, from, username)?;
        if message
            .get::<RequestedAddressFamily>()
            .is_some_and(|family| !is_of(allocation.relayed.ip(), family))
        {
            return Err(ErrorType::PeerAddressFamilyMismatch);
        }
        let asked = message.get::<Lifetime>();
        let lifetime = if asked == Some(0) { Duration::ZERO } else { granted(asked) };
        allocation.expires = now + lifetime;
        if lifetime.is_zero() {
            self.on_closed(from);
        }
        Ok(messages::response(REFRESH_RESPONSE, message, Some(key), |encoder| {
            encoder.append::<Lifetime>(seconds(lifetime));
        }))
    }

    /// RFC 8656 section 9.2: for addresses, whatever the ports.
    fn permit(
        &mut self,
        now: Duration,
        from: Client,
        message: &Message<'_>,
        (username, key): (&str, &Password),
    ) -> Answer {
        let external = self.external;
        let allocation = own(&mut self.allocations, from, username)?;
        let peers: Vec<SocketAddr> = message.get_all::<XorPeerAddress>().collect();
        if peers.is_empty() {
            return Err(ErrorType::BadRequest);
        }
        for peer in &peers {
            refuse_foreign(external, allocation, *peer)?;
        }
        for peer in peers {
            allocation.permit(now, peer.ip());
        }
        Ok(messages::response(CREATE_PERMISSION_RESPONSE, message, Some(key), |_| {}))
    }

    /// RFC 8656 section 12.2.
    fn bind(
        &mut self,
        now: Duration,
        from: Client,
        message: &Message<'_>,
        (username, key): (&str, &Password),
    ) -> Answer {
        let external = self.external;
        let allocation = own(&mut self.allocations, from, username)?;
        let (Some(peer), Some(number)) = (message.get::<XorPeerAddress>(), message.get::<ChannelNumber>())
        else {
            return Err(ErrorType::BadRequest);
        };
        if !is_channel(number) {
            return Err(ErrorType::BadRequest);
        }
        refuse_foreign(external, allocation, peer)?;
        allocation.bind(now, number, peer).map_err(|unbound| match unbound {
            Unbound::Taken => ErrorType::BadRequest,
            Unbound::Full => ErrorType::InsufficientCapacity,
        })?;
        Ok(messages::response(CHANNEL_BIND_RESPONSE, message, Some(key), |_| {}))
    }

    /// Passes a payload on, if both ends permitted it and the sender's user is within its rate.
    fn relay(
        &mut self,
        now: Duration,
        from: Client,
        peer: Option<SocketAddr>,
        payload: &[u8],
    ) -> Option<Outgoing> {
        let ends = self.allocations.get(from).zip(peer).and_then(|(sender, peer)| {
            let (to, receiver) = self.allocations.at(peer)?;
            let wanted = sender.permits(now, peer.ip()) && receiver.permits(now, sender.relayed.ip());
            (wanted && !sender.is_over(now) && !receiver.is_over(now)).then_some((sender, to, receiver))
        });
        let Some((sender, to, receiver)) = ends else {
            self.counters.unwanted += 1;
            return None;
        };
        let rate = self.rates.get_mut(&sender.user).expect("who has an allocation has a rate");
        let amount = f64::from(u32::try_from(payload.len()).unwrap_or(u32::MAX));
        if !rate.take(now, amount) {
            self.counters.over_rate += 1;
            return None;
        }
        self.counters.relayed += 1;
        let bytes = match receiver.channel_to(now, sender.relayed) {
            Some(number) => messages::channel_data(number, payload, to.transport == Transport::Tcp),
            None => {
                self.indications += 1;
                let mut transaction = [0; 12];
                transaction[..8].copy_from_slice(&self.indications.to_be_bytes());
                messages::data_indication(sender.relayed, payload, transaction)
            }
        };
        Some(Outgoing { to, bytes: bytes? })
    }
}

impl Client {
    /// A client that comes over UDP.
    pub fn udp(source: SocketAddr) -> Self {
        Self::new(source, Transport::Udp)
    }

    /// A client that comes over TCP.
    pub fn tcp(source: SocketAddr) -> Self {
        Self::new(source, Transport::Tcp)
    }

    /// On a socket for both families IPv4 addresses come as IPv6 ones; the client is to see its own.
    fn new(source: SocketAddr, transport: Transport) -> Self {
        Self { source: SocketAddr::new(source.ip().to_canonical(), source.port()), transport }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transport = match self.transport {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
        };
        write!(f, "{transport}:{}", self.source)
    }
}

/// The allocation that a request is about, if the same credentials made it (RFC 8656 section 5).
fn own<'a>(
    allocations: &'a mut Allocations,
    from: Client,
    username: &str,
) -> Result<&'a mut Allocation, ErrorType> {
    let allocation = allocations.get_mut(from).ok_or(ErrorType::AllocationMismatch)?;
    if allocation.username == username { Ok(allocation) } else { Err(ErrorType::WrongCredentials) }
}

/// A peer has to be a client of this server.
fn refuse_foreign(external: External, allocation: &Allocation, peer: SocketAddr) -> Result<(), ErrorType> {
    if peer.is_ipv4() != allocation.relayed.is_ipv4() {
        return Err(ErrorType::PeerAddressFamilyMismatch);
    }
    let ours = match peer.ip() {
        IpAddr::V4(ip) => external.v4 == Some(ip),
        IpAddr::V6(ip) => external.v6 == Some(ip),
    };
    if ours { Ok(()) } else { Err(ErrorType::Forbidden) }
}

fn is_of(ip: IpAddr, family: IpFamily) -> bool {
    match family {
        IpFamily::V4 => ip.is_ipv4(),
        IpFamily::V6 => ip.is_ipv6(),
    }
}

fn transaction_of(message: &Message<'_>) -> Result<[u8; 12], ErrorType> {
    message.transaction_id().try_into().map_err(|_| ErrorType::BadRequest)
}

fn allocated(
    message: &Message<'_>,
    key: &Password,
    from: Client,
    relayed: SocketAddr,
    lifetime: Duration,
) -> Option<Vec<u8>> {
    messages::response(ALLOCATE_RESPONSE, message, Some(key), |encoder| {
        encoder.append::<XorRelayedAddress>(relayed);
        encoder.append::<Lifetime>(seconds(lifetime));
        encoder.append::<XorMappedAddress>(from.source);
    })
}

fn seconds(lifetime: Duration) -> u32 {
    u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
