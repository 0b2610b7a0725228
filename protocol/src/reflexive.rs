//! Finding out how servers see us: several are asked at once, on the call's own socket.
//!
//! The first answer of each address family is our server-reflexive address. All answers together tell how the NAT
//! chooses ports ([`crate::ice::classify`]); a server that has a second address (RFC 5780) is asked there as well, so
//! that one such server is enough. The mapping is kept open by asking again from time to time.

use crate::entropy::Entropy;
use crate::ice::{NatReport, Observation, classify};
use crate::stun::{TransactionId, binding_request, decode_binding_response};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Servers asked at once, their other addresses included. More are left out.
const SERVERS_MAX: usize = 12;

/// Between the first requests to different servers.
const STAGGER: Duration = Duration::from_millis(5);

/// A request is repeated after this, then after twice as long (RFC 8489, section 6.2.1, begins with 500 ms).
const FIRST_TIMEOUT: Duration = Duration::from_millis(300);
const TRIES: u32 = 5;

/// Between two questions that keep a mapping open: NATs may forget it after 30 s.
const KEEP_ALIVE: Duration = Duration::from_secs(25);

/// Something was learnt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// We are seen there.
    Reflexive {
        /// Where.
        mapped: SocketAddr,
        /// By whom.
        server: SocketAddr,
        /// How long the answer took.
        round_trip: Duration,
    },
    /// How the NAT chooses ports.
    Nat(NatReport),
    /// A server did not answer.
    ServerFailed {
        /// Which.
        server: SocketAddr,
    },
}

#[derive(Debug)]
struct Server {
    address: SocketAddr,
    id: TransactionId,
    sent: Duration,
    next: Option<Duration>,
    timeout: Duration,
    left: u32,
    seen: Option<SocketAddr>,
    /// In which order the answers' questions were first asked.
    order: u64,
}

/// The questions to all servers.
#[derive(Debug)]
pub struct Discovery {
    servers: Vec<Server>,
    own: Vec<IpAddr>,
    entropy: Entropy,
    asked: u64,
    told: Vec<(bool, SocketAddr)>,
    report: NatReport,
    outgoing: VecDeque<(SocketAddr, Vec<u8>)>,
    events: VecDeque<Event>,
    /// Answers that named an address nobody can have.
    lies: u64,
}

impl Discovery {
    /// Starts asking. `own` are this machine's addresses.
    pub fn new(servers: Vec<SocketAddr>, own: Vec<IpAddr>, seed: [u8; 32], now: Duration) -> Self {
        let mut discovery = Self {
            servers: Vec::new(),
            own,
            entropy: Entropy::new(seed),
            asked: 0,
            told: Vec::new(),
            report: NatReport::default(),
            outgoing: VecDeque::new(),
            events: VecDeque::new(),
            lies: 0,
        };
        for server in servers {
            discovery.add(server, now);
        }
        discovery
    }

    fn add(&mut self, address: SocketAddr, now: Duration) {
        if self.servers.len() >= SERVERS_MAX || self.servers.iter().any(|server| server.address == address) {
            return;
        }
        let next = Some(now + STAGGER * self.servers.len() as u32);
        let id = TransactionId(self.entropy.bytes());
        let (timeout, order) = (FIRST_TIMEOUT, self.asked);
        self.asked += 1;
        self.servers.push(Server { address, id, sent: now, next, timeout, left: TRIES, seen: None, order });
    }

    /// The network has changed: everything is asked anew.
    pub fn recheck(&mut self, own: Vec<IpAddr>, now: Duration) {
        self.own = own;
        self.told.clear();
        self.report = NatReport::default();
        for (position, server) in self.servers.iter_mut().enumerate() {
            server.id = TransactionId(self.entropy.bytes());
            server.next = Some(now + STAGGER * position as u32);
            (server.timeout, server.left, server.seen) = (FIRST_TIMEOUT, TRIES, None);
        }
    }

    /// Something is wrong: are we still seen where we were?
    pub fn doubt(&mut self, now: Duration) {
        for (position, server) in self.servers.iter_mut().enumerate().filter(|(_, s)| s.seen.is_some()) {
            server.next = Some(now + STAGGER * position as u32);
            (server.timeout, server.left) = (FIRST_TIMEOUT, TRIES);
        }
    }

    /// The next request.
    pub fn poll_transmit(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.outgoing.pop_front()
    }

    /// What was learnt since the last time.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.servers.iter().filter_map(|server| server.next).min()
    }

    /// It is `now`.
    pub fn handle_timeout(&mut self, now: Duration) {
        for server in self.servers.iter_mut().filter(|server| server.next.is_some_and(|next| next <= now)) {
            if server.left == 0 {
                server.next = Some(now + KEEP_ALIVE);
                (server.left, server.timeout) = (1, FIRST_TIMEOUT);
                self.events.push_back(Event::ServerFailed { server: server.address });
                continue;
            }
            server.left -= 1;
            server.sent = now;
            server.next = Some(now + server.timeout);
            server.timeout *= 2;
            self.outgoing.push_back((server.address, binding_request(server.id)));
        }
    }

    /// A STUN message; whether it was an answer to one of these questions.
    pub fn handle(&mut self, now: Duration, from: SocketAddr, message: &[u8]) -> bool {
        let Some(response) = decode_binding_response(message) else { return false };
        let asked = |server: &&mut Server| server.address == from && server.id == response.id;
        let Some(server) = self.servers.iter_mut().find(asked) else { return false };
        let mapped = response.mapped;
        let ip = mapped.ip();
        if mapped.port() == 0
            || ip.is_unspecified()
            || ip.is_multicast()
            || (ip.is_loopback() && !from.ip().is_loopback())
        {
            self.lies += 1;
            return true;
        }
        let round_trip = now.saturating_sub(server.sent);
        let changed = server.seen.is_some_and(|seen| seen != mapped);
        server.seen = Some(mapped);
        // The next question keeps the mapping open.
        server.id = TransactionId(self.entropy.bytes());
        (server.next, server.left, server.timeout) = (Some(now + KEEP_ALIVE), 2, FIRST_TIMEOUT);
        let family = mapped.is_ipv4();
        if changed {
            self.told.retain(|(known, _)| *known != family);
        }
        if !self.told.iter().any(|(known, _)| *known == family) {
            self.told.push((family, mapped));
            self.events.push_back(Event::Reflexive { mapped, server: from, round_trip });
        }
        if let Some(other) = response.other
            && other.is_ipv4() == from.is_ipv4()
            && !other.ip().is_loopback()
            && !other.ip().is_multicast()
        {
            self.add(other, now);
        }
        self.tell_nat();
        true
    }

    fn tell_nat(&mut self) {
        let mut servers: Vec<&Server> =
            self.servers.iter().filter(|server| server.address.is_ipv4()).collect();
        servers.sort_by_key(|server| server.order);
        let seen = servers
            .iter()
            .filter_map(|server| Some(Observation { server: server.address, mapped: server.seen? }));
        let report = classify(&seen.collect::<Vec<_>>(), &self.own);
        if report != self.report {
            self.report = report;
            self.events.push_back(Event::Nat(report));
        }
    }

    /// Whether every server has answered or failed at least once.
    pub fn is_settled(&self) -> bool {
        self.servers.iter().all(|server| server.seen.is_some() || server.left <= 1)
    }

    /// Those that answered.
    pub fn servers(&self) -> impl Iterator<Item = SocketAddr> {
        self.servers.iter().filter(|server| server.seen.is_some()).map(|server| server.address)
    }

    /// Answers that named an address nobody can have.
    pub fn lies(&self) -> u64 {
        self.lies
    }
}

#[cfg(test)]
mod tests {
    use super::{Discovery, Event};
    use crate::stun::{TransactionId, encode, transaction_of};
    use std::net::SocketAddr;
    use std::time::Duration;
    use stun_rs::MessageClass;
    use stun_rs::attributes::stun::XorMappedAddress;
    use stun_rs::methods::BINDING;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// A discovery that has asked one server, and the question's id.
    fn asked() -> (Discovery, SocketAddr, TransactionId) {
        let server = address("198.51.100.1:3478");
        let mut discovery = Discovery::new(vec![server], Vec::new(), [1; 32], Duration::ZERO);
        discovery.handle_timeout(Duration::ZERO);
        let (to, request) = discovery.poll_transmit().unwrap();
        assert_eq!(to, server);
        (discovery, server, transaction_of(&request).unwrap())
    }

    fn answer(id: TransactionId, mapped: &str) -> Vec<u8> {
        let attributes = vec![XorMappedAddress::from(address(mapped)).into()];
        encode(BINDING, MessageClass::SuccessResponse, id, attributes).unwrap()
    }

    #[test]
    fn an_answer_tells_where_we_are_seen() {
        let (mut discovery, server, id) = asked();
        let later = Duration::from_millis(30);
        assert!(discovery.handle(later, server, &answer(id, "203.0.113.7:4700")));
        let seen = Event::Reflexive { mapped: address("203.0.113.7:4700"), server, round_trip: later };
        assert_eq!(discovery.poll_event(), Some(seen));
        assert!(discovery.is_settled());
    }

    #[test]
    fn answers_that_lie_or_come_from_elsewhere_teach_nothing() {
        let (mut discovery, server, id) = asked();
        let truth = answer(id, "203.0.113.7:4700");
        assert!(!discovery.handle(Duration::ZERO, address("198.51.100.9:3478"), &truth));
        assert!(!discovery.handle(
            Duration::ZERO,
            server,
            &answer(TransactionId([9; 12]), "203.0.113.7:4700")
        ));
        for lie in ["127.0.0.1:4700", "224.0.0.1:4700", "0.0.0.0:4700", "203.0.113.7:0"] {
            assert!(discovery.handle(Duration::ZERO, server, &answer(id, lie)));
        }
        assert_eq!((discovery.poll_event(), discovery.lies()), (None, 4));
        assert!(discovery.handle(Duration::ZERO, server, &truth), "the question still waits");
    }
}
