//! Which peer is where: virtual addresses and the real ones behind them.
//!
//! Towards QUIC every connection has one virtual address for life. This table says where its datagrams go
//! now and whose a received datagram is. It is pure but for the moments its callers pass in.
//!
//! An entry is *opening* until its peer is authenticated. Since connection ids are empty, a real address
//! belongs to one entry at a time. Three cases need care:
//! - Both sides dial each other at once. One of them, by their ids, ignores the other's dial while its own
//!   is under way; the other one gives way.
//! - A peer's process restarts on the same address. Its first packet would go to the old connection, which
//!   cannot use it. So a first packet from the address of a peer that has been silent for a while opens a
//!   new entry. While the peer is heard such a packet is dropped: two connections behind one virtual address
//!   would end each other.
//! - We dial a peer anew that only one of us has lost. Until the dial is answered, which begins with a long header
//!   (RFC 9000, section 17.2), what comes from there is still the old connection's.
//!
//! An opening entry only borrows an address that was somebody's: when it comes to nothing, the earlier entry gets
//! it back, at the latest when the opening's lifetime is over and a datagram comes.

use protocol::demux::{Class, Source, classify, is_first_flight};
use protocol::door::cookie::{ANSWER_BYTES, CHALLENGE_BYTES, Cookie, answer, token_of};
use protocol::door::{KnockKey, Verdict};
use protocol::local::is_local;
use protocol::path::{Change, Kind, PathSet, Route, Via};
use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::time::Instant;

/// Opening entries kept; beyond it the oldest one that we did not dial is given up.
const OPENING_MAX: usize = 64;

/// A stranger that has not become a peer by then is given up: somewhat more than the handshake may take.
const OPENING_LIFETIME: Duration = Duration::from_secs(5);

/// The same for our own dials, which also wait for somebody to be there: 8 s to be answered and the handshake.
const DIAL_LIFETIME: Duration = Duration::from_secs(12);

/// The first datagrams of a handshake between two who know of each other are sent twice. A lost one would cost QUIC's first
/// guess of a round trip, and one lost after a late answer seconds: that answer is then taken for the round trip.
const EARLY_TWICE: u8 = 6;

/// Challenges answered for one dial: one for each time its first packet is sent.
const ANSWERS_MAX: u8 = 8;

/// A peer silent for this long may be replaced by a new connection from its address. A talking peer sends
/// every 60 ms, a silent one every 1.2 s and acknowledges as often.
const SILENCE_BEFORE_REPLACEMENT: Duration = Duration::from_millis(1500);

/// A path on which QUIC is heard is not given up for an unanswered check.
const HEARD_LATELY: Duration = Duration::from_millis(1500);

/// The bit that tells QUIC's long headers (RFC 9000, section 17.2).
const LONG_HEADER: u8 = 0x80;

/// The table.
#[derive(Debug)]
pub struct PathTable {
    entries: BTreeMap<u64, Entry>,
    by_route: HashMap<Route, u64>,
    next: u64,
    /// The zero of the path sets' clock.
    zero: Instant,
}

#[derive(Debug)]
struct Entry {
    set: PathSet,
    last_heard: Instant,
    state: State,
    /// What a dial has to show at the door, until it is answered.
    calling: Option<Box<Calling>>,
    /// Datagrams sent before we know each other, up to [`EARLY_TWICE`].
    early: u8,
}

#[derive(Debug, Default)]
struct Calling {
    knocks: Vec<KnockKey>,
    /// The first packet, to be repeated after a challenge.
    packet: Vec<u8>,
    answers: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// We dialled. When the other side dials at the same time we give way, or insist and ignore it.
    Dialled { since: Instant, yielding: bool, answered: bool },
    /// A stranger's first packet came.
    Incoming { since: Instant, invited: bool },
    /// Authenticated.
    Peer,
}

impl State {
    /// When an entry that is still opening is given up.
    fn given_up_at(self) -> Option<Instant> {
        match self {
            Self::Dialled { since, .. } => Some(since + DIAL_LIFETIME),
            Self::Incoming { since, .. } => Some(since + OPENING_LIFETIME),
            Self::Peer => None,
        }
    }
}

impl Entry {
    fn is_at(&self, route: Route) -> bool {
        self.set.accepts(route)
    }

    fn is_over(&self, now: Instant) -> bool {
        self.state.given_up_at().is_some_and(|end| now > end)
    }
}

/// What a received datagram is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inbound {
    /// For QUIC, from this virtual address.
    Quic(SocketAddr),
    /// A STUN message.
    Stun,
    /// The beginning of a connection, whose sender gets this first.
    Challenge([u8; CHALLENGE_BYTES]),
    /// Nothing we answer.
    Drop,
}

/// What an authentic check told of a route.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Learnt {
    /// It works both ways, with this round trip.
    Valid(Duration),
    /// The peer was heard there.
    Heard,
    /// It does not answer any more.
    Expired,
    /// The peer wants it used.
    Nominated,
}

impl Default for PathTable {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), by_route: HashMap::new(), next: 0, zero: Instant::now() }
    }
}

impl PathTable {
    /// Sorts a datagram and finds its connection. `judge` is asked about the first packet of a connection.
    pub fn inbound(
        &mut self,
        from: Route,
        datagram: &[u8],
        now: Instant,
        judge: impl FnOnce() -> Verdict,
    ) -> Inbound {
        let mut known = self.by_route.get(&from).copied();
        if known.is_some_and(|index| self.is_over(index, now)) {
            self.expire(now);
            known = self.by_route.get(&from).copied();
        }
        let source = if known.is_some() { Source::Known } else { Source::Unknown };
        match classify(source, datagram) {
            Class::Stun => Inbound::Stun,
            Class::ChannelData | Class::Drop => Inbound::Drop,
            Class::Quic => self.inbound_quic(from, known, datagram, now, judge),
        }
    }

    fn inbound_quic(
        &mut self,
        from: Route,
        known: Option<u64>,
        datagram: &[u8],
        now: Instant,
        judge: impl FnOnce() -> Verdict,
    ) -> Inbound {
        let Some(index) = known else { return self.open_incoming(from, now, judge) };
        let entry = self.entries.get_mut(&index).expect("by_route names entries");
        if is_first_flight(datagram) {
            match entry.state {
                State::Dialled { yielding: false, .. } => return Inbound::Drop,
                State::Dialled { yielding: true, .. } => return self.open_incoming(from, now, judge),
                State::Peer if now - entry.last_heard > SILENCE_BEFORE_REPLACEMENT => {
                    return self.open_incoming(from, now, judge);
                }
                State::Peer => return Inbound::Drop,
                State::Incoming { .. } => {}
            }
        }
        let mut owner = index;
        if let State::Dialled { answered, .. } = &mut entry.state {
            *answered |= datagram.first().is_some_and(|first| first & LONG_HEADER != 0);
            if *answered {
                entry.calling = None;
            } else {
                owner = self.peer_at(from).unwrap_or(index);
            }
        }
        let at = now.saturating_duration_since(self.zero);
        let entry = self.entries.get_mut(&owner).expect("found above");
        entry.last_heard = now;
        entry.set.inbound(at, from);
        Inbound::Quic(virtual_address(owner))
    }

    /// The newest authenticated peer that is or was at this address.
    fn peer_at(&self, route: Route) -> Option<u64> {
        let peers = self.entries.iter().filter(|(_, entry)| entry.state == State::Peer && entry.is_at(route));
        peers.map(|(index, _)| *index).max()
    }

    fn open_incoming(&mut self, route: Route, now: Instant, judge: impl FnOnce() -> Verdict) -> Inbound {
        let invited = match judge() {
            Verdict::Invited => true,
            Verdict::Stranger => false,
            Verdict::Challenge(challenge) => return Inbound::Challenge(challenge),
            Verdict::Drop => return Inbound::Drop,
        };
        self.expire(now);
        // Strangers go first.
        let incoming = |(index, entry): (&u64, &Entry)| match entry.state {
            State::Incoming { since, invited } => Some((invited, since, *index)),
            State::Dialled { .. } | State::Peer => None,
        };
        let opening: Vec<_> = self.entries.iter().filter_map(incoming).collect();
        if opening.len() >= OPENING_MAX {
            let (_, _, oldest) = opening.iter().min().expect("a full table has an oldest entry");
            self.remove_index(*oldest);
        }
        Inbound::Quic(self.insert(route, kind_of(route), State::Incoming { since: now, invited }, now))
    }

    /// A new virtual address for a connection we open over `route`. `yielding` says whether to give way when
    /// the other side dials us at the same moment.
    pub fn dial(&mut self, route: Route, yielding: bool, now: Instant) -> SocketAddr {
        self.expire(now);
        let state = State::Dialled { since: now, yielding, answered: false };
        let address = self.insert(route, kind_of(route), state, now);
        if let Some(entry) = index_of(address).and_then(|index| self.entries.get_mut(&index)) {
            entry.calling = Some(Box::default());
        }
        address
    }

    /// With what a dial knocks in front of each first packet.
    pub fn set_knocks(&mut self, address: SocketAddr, knocks: Vec<KnockKey>) {
        let entry = index_of(address).and_then(|index| self.entries.get_mut(&index));
        if let Some(calling) = entry.and_then(|entry| entry.calling.as_mut()) {
            calling.knocks = knocks;
        }
    }

    /// Takes note of a packet that is about to be sent; with what to knock in front of it.
    pub fn knocks(&mut self, address: SocketAddr, packet: &[u8]) -> Vec<KnockKey> {
        let entry = index_of(address).and_then(|index| self.entries.get_mut(&index));
        match entry.and_then(|entry| entry.calling.as_mut()) {
            Some(calling) if is_first_flight(packet) => {
                packet.clone_into(&mut calling.packet);
                calling.knocks.clone()
            }
            Some(_) | None => Vec::new(),
        }
    }

    /// The answer to a challenge, and the first packet once more; nothing when it is not the challenge to a dial of ours.
    pub fn answer(
        &mut self,
        from: Route,
        token: [u8; 12],
        cookie: &Cookie,
    ) -> Option<([u8; ANSWER_BYTES], Vec<u8>)> {
        let calling = self.entries.get_mut(self.by_route.get(&from)?)?.calling.as_mut()?;
        if calling.answers >= ANSWERS_MAX || token_of(&calling.packet) != Some(token) {
            return None;
        }
        calling.answers += 1;
        Some((answer(token, cookie), calling.packet.clone()))
    }

    /// Whether this connection was opened by somebody who holds a key to the group.
    pub fn is_invited(&self, address: SocketAddr) -> bool {
        self.entry(address).is_some_and(|entry| matches!(entry.state, State::Incoming { invited: true, .. }))
    }

    fn insert(&mut self, route: Route, kind: Kind, state: State, now: Instant) -> SocketAddr {
        let index = self.next;
        self.next += 1;
        let set = PathSet::new(route, kind, now.saturating_duration_since(self.zero));
        self.entries.insert(index, Entry { set, last_heard: now, state, calling: None, early: 0 });
        self.by_route.insert(route, index);
        virtual_address(index)
    }

    /// Where a datagram to a virtual address goes that is sent now: on one route, at times on a second one as well.
    pub fn outbound(&mut self, address: SocketAddr, now: Instant) -> Option<(Route, Option<Route>)> {
        let at = now.saturating_duration_since(self.zero);
        Some(self.entries.get_mut(&index_of(address)?)?.set.outbound(at))
    }

    /// The route that a virtual address stands for now.
    pub fn route(&self, address: SocketAddr) -> Option<Route> {
        Some(self.entry(address)?.set.active())
    }

    /// What kind of way that is.
    pub fn kind(&self, address: SocketAddr) -> Option<Kind> {
        Some(self.entry(address)?.set.kind())
    }

    /// The routes worth keeping: the active one first.
    pub fn kept(&self, address: SocketAddr) -> Vec<Route> {
        let Some(entry) = self.entry(address) else { return Vec::new() };
        let mut kept = vec![entry.set.active()];
        kept.extend(entry.set.standby());
        kept
    }

    /// Looks after a peer's paths; what changed since the last time.
    pub fn tick(&mut self, address: SocketAddr, now: Instant) -> Option<Change> {
        let at = now.saturating_duration_since(self.zero);
        let set = &mut self.entries.get_mut(&index_of(address)?)?.set;
        set.tick(at);
        set.take_change()
    }

    /// Whether the peer's active route does not seem to work.
    pub fn is_suspected(&self, address: SocketAddr) -> bool {
        self.entry(address).is_some_and(|entry| entry.set.is_suspected())
    }

    fn entry(&self, address: SocketAddr) -> Option<&Entry> {
        self.entries.get(&index_of(address)?)
    }

    /// Takes in what an authentic check told of a peer's route.
    pub fn learn(&mut self, address: SocketAddr, route: Route, kind: Kind, learnt: Learnt, now: Instant) {
        let at = now.saturating_duration_since(self.zero);
        let Some(index) = index_of(address) else { return };
        let Some(entry) = self.entries.get_mut(&index) else { return };
        match learnt {
            Learnt::Valid(round_trip) => entry.set.on_valid(at, route, kind, round_trip),
            Learnt::Heard => entry.set.on_heard(at, route, kind),
            Learnt::Nominated => entry.set.on_nominated(at, route),
            Learnt::Expired => {
                if route == entry.set.active() && now - entry.last_heard < HEARD_LATELY {
                    return;
                }
                entry.set.on_expired(at, route);
            }
        }
        self.sync(index, route);
    }

    /// The index of routes follows what the set accepts.
    fn sync(&mut self, index: u64, touched: Route) {
        let Some(entry) = self.entries.get(&index) else { return };
        for route in entry.set.routes() {
            self.by_route.insert(route, index);
        }
        if !entry.set.accepts(touched) && self.by_route.get(&touched) == Some(&index) {
            self.hand_back(touched);
        }
        // A set that was full let one go.
        let mine = |(route, owner): (&Route, &u64)| (*owner == index).then_some(*route);
        let left: Vec<Route> = self.by_route.iter().filter_map(mine).collect();
        for route in left {
            if !self.entries[&index].set.accepts(route) {
                self.hand_back(route);
            }
        }
    }

    /// Whether we nominate the path to this peer, or it does.
    pub fn set_controlling(&mut self, address: SocketAddr, controlling: bool) {
        if let Some(entry) = index_of(address).and_then(|index| self.entries.get_mut(&index)) {
            entry.set.set_controlling(controlling);
        }
    }

    /// Whether the path to this peer should get a fresh port.
    pub fn wants_rotation(&self, address: SocketAddr, now: Instant) -> bool {
        let at = now.saturating_duration_since(self.zero);
        self.entry(address).is_some_and(|entry| entry.set.wants_rotation(at))
    }

    /// Moves a peer to such a path.
    pub fn rotate_to(&mut self, address: SocketAddr, route: Route, now: Instant) {
        let at = now.saturating_duration_since(self.zero);
        if let Some(entry) = index_of(address).and_then(|index| self.entries.get_mut(&index)) {
            entry.set.rotate_to(at, route);
        }
    }

    /// The peer behind this address is authenticated.
    pub fn promote(&mut self, address: SocketAddr) {
        if let Some(entry) = index_of(address).and_then(|index| self.entries.get_mut(&index)) {
            entry.state = State::Peer;
        }
    }

    /// Whether a datagram to this address is to be sent once more: the first few, to somebody who is dialled or invited.
    pub fn is_sent_twice(&mut self, address: SocketAddr) -> bool {
        let entry = index_of(address).and_then(|index| self.entries.get_mut(&index));
        let Some(entry) = entry.filter(|entry| entry.early < EARLY_TWICE) else { return false };
        entry.early += 1;
        matches!(entry.state, State::Dialled { .. } | State::Incoming { invited: true, .. })
    }

    /// Forgets a connection.
    pub fn remove(&mut self, address: SocketAddr) {
        if let Some(index) = index_of(address) {
            self.remove_index(index);
        }
    }

    fn remove_index(&mut self, index: u64) {
        if self.entries.remove(&index).is_none() {
            return;
        }
        let mine = |(route, owner): (&Route, &u64)| (*owner == index).then_some(*route);
        let left: Vec<Route> = self.by_route.iter().filter_map(mine).collect();
        for route in left {
            self.hand_back(route);
        }
    }

    /// A route whose owner has left it goes to the entry that had it before: the newest of those that are there.
    fn hand_back(&mut self, route: Route) {
        let others = self.entries.iter().filter(|(_, entry)| entry.is_at(route));
        match others.max_by_key(|(index, entry)| (entry.set.active() == route, **index)) {
            Some((index, _)) => self.by_route.insert(route, *index),
            None => self.by_route.remove(&route),
        };
    }

    fn is_over(&self, index: u64, now: Instant) -> bool {
        self.entries.get(&index).is_some_and(|entry| entry.is_over(now))
    }

    fn expire(&mut self, now: Instant) {
        let old: Vec<u64> =
            self.entries.iter().filter(|(_, entry)| entry.is_over(now)).map(|(index, _)| *index).collect();
        for index in old {
            self.remove_index(index);
        }
    }
}

/// What kind of way a route is, as far as its addresses tell.
fn kind_of(route: Route) -> Kind {
    match route {
        Route { via: Via::Relay(_), .. } => Kind::Relayed,
        route if is_local(route.to.ip()) => Kind::Lan,
        _ => Kind::Direct,
    }
}

/// Virtual addresses are unique local IPv6 addresses (RFC 4193) that never reach a wire. `local_addr` of the
/// socket has to be IPv6 too, or quinn refuses to connect.
fn virtual_address(index: u64) -> SocketAddr {
    let low = u128::from(index);
    let prefix = 0xfd72_7462_u128 << 96;
    SocketAddr::from((Ipv6Addr::from(prefix | low), 1))
}

fn index_of(address: SocketAddr) -> Option<u64> {
    match address {
        SocketAddr::V6(v6) => Some(u128::from(*v6.ip()) as u64),
        SocketAddr::V4(_) => None,
    }
}

#[cfg(test)]
#[path = "paths_tests.rs"]
mod tests;
