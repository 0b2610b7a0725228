//! The agent of one peer.

use super::birthday::{Probing, SPARES};
use super::check::{Codec, Credentials, Request, Response};
use super::filter::{is_local, is_near, is_plausible};
use super::pair::Pair;
use super::{Candidate, CandidateKind, Mapping, NatReport};
use crate::entropy::Entropy;
use crate::limits::CANDIDATES_MAX;
use crate::path::{Route, Via};
use crate::stun::{REQUEST, TransactionId, class_of, transaction_of};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

/// Pairs, without those of spare sockets. Beyond it one that never answered makes room, or no more are made.
const PAIRS_MAX: usize = 96;

/// Between two packets (RFC 8445, section 14.2, which calls it Ta).
const PACE: Duration = Duration::from_millis(5);

/// The same for packets from spare sockets.
const SPARE_PACE: Duration = Duration::from_millis(1);

/// Between the packet that opens our NAT and the first that is to arrive.
const OPENING: Duration = Duration::from_millis(60);

/// The same when our own NAT uses another port for each destination: the other side has to send to that port before ours
/// reaches its router, and has to guess it first.
const OPENING_UNSEEN: Duration = Duration::from_millis(400);

/// Between two packets of a spare socket, which keep its port open while it is searched.
const SPARE_AGAIN: Duration = Duration::from_secs(3);

/// How far the packet goes that opens our NAT.
const OPENING_HOPS: u8 = 2;

/// Ordinary checks have this long before ports are searched.
const BEFORE_SEARCH: Duration = Duration::from_millis(600);

/// Ports of a sequential NAT that are tried.
const PREDICTED: i32 = 16;

/// Checks of a predicted port, or from a spare socket.
const FEW_TRIES: u32 = 5;

/// Between two checks of the pair in use, give or take a fifth.
const CONSENT_ACTIVE: Duration = Duration::from_secs(5);

/// The same of a pair that is kept in reserve.
const CONSENT_RESERVE: Duration = Duration::from_secs(12);

/// Requests of which it is remembered where they came from.
const SEEN_MAX: usize = 64;

const EVENTS_MAX: usize = 256;

/// Who decides (RFC 8445, section 6.1.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// We nominate.
    Controlling,
    /// The other side does.
    Controlled,
}

/// What an agent is made with.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// Who decides, as long as the other side does not think the same of itself.
    pub role: Role,
    /// Decides who decides, if so.
    pub tie_breaker: u64,
    /// Ours.
    pub local: Credentials,
    /// The peer's.
    pub remote: Credentials,
    /// For transactions.
    pub seed: [u8; 32],
    /// Only through relays of our own.
    pub relay_only: bool,
    /// Ports may be searched by trying many.
    pub birthday: bool,
}

/// Something to be sent.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transmit {
    /// From where to where.
    pub route: Route,
    /// What.
    pub bytes: Vec<u8>,
    /// How many routers may pass it on.
    pub hops: Option<u8>,
}

/// What an agent found out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// A check was answered.
    Valid {
        /// On this route.
        route: Route,
        /// What kinds of addresses are at its ends: ours, theirs.
        kinds: (CandidateKind, CandidateKind),
        /// The time it took.
        round_trip: Duration,
    },
    /// An authentic check came in.
    HeardFrom {
        /// From there.
        route: Route,
    },
    /// The peer wants this one used.
    Nominated {
        /// Which.
        route: Route,
    },
    /// A route that worked is not answered any more.
    Expired {
        /// Which.
        route: Route,
    },
    /// Open so many sockets, and tell with [`Agent::add_spare`].
    WantSpares {
        /// How many.
        count: u16,
    },
    /// They are not needed any more.
    DropSpares {
        /// But this one.
        except: Option<u16>,
    },
}

/// What was not as it should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Messages in our name that nobody with the password had sent.
    pub forged: u64,
    /// Old requests from new addresses.
    pub replayed: u64,
    /// Addresses that nobody can have, or too many.
    pub filtered: u64,
    /// Checks sent.
    pub sent: u64,
}

/// One peer's agent.
pub struct Agent {
    config: AgentConfig,
    codec: Option<Codec>,
    entropy: Entropy,
    locals: Vec<Candidate>,
    remotes: Vec<(CandidateKind, SocketAddr)>,
    pairs: Vec<Pair>,
    spares: Vec<Pair>,
    /// The caller was asked to open them.
    spares_open: bool,
    probing: Option<Probing>,
    local_nat: NatReport,
    remote_nat: NatReport,
    /// When ports are searched if nothing else has worked.
    search_at: Option<Duration>,
    searched: bool,
    kept: Vec<Route>,
    pace: Duration,
    seen: VecDeque<(TransactionId, Route)>,
    outgoing: VecDeque<Transmit>,
    events: VecDeque<Event>,
    counters: Counters,
}

impl std::fmt::Debug for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agent").field("pairs", &self.pairs.len()).finish_non_exhaustive()
    }
}

impl Agent {
    /// An agent that knows no address yet.
    pub fn new(config: AgentConfig, now: Duration) -> Self {
        Self {
            codec: Codec::new(config.local.clone(), config.remote.clone()),
            entropy: Entropy::new(config.seed),
            config,
            locals: Vec::new(),
            remotes: Vec::new(),
            pairs: Vec::new(),
            spares: Vec::new(),
            spares_open: false,
            probing: None,
            local_nat: NatReport::default(),
            remote_nat: NatReport::default(),
            search_at: None,
            searched: false,
            kept: Vec::new(),
            pace: now,
            seen: VecDeque::new(),
            outgoing: VecDeque::new(),
            events: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// An address of ours.
    pub fn add_local(&mut self, now: Duration, candidate: Candidate) {
        if self.locals.contains(&candidate) || self.locals.len() >= CANDIDATES_MAX {
            return;
        }
        self.locals.push(candidate);
        // It may show that we are in the network of an address that looked foreign.
        for local in self.locals.clone() {
            for (kind, address) in self.remotes.clone() {
                self.pair(local, kind, address, now);
            }
        }
        self.predict(now);
    }

    /// An address that is not ours any more.
    pub fn remove_local(&mut self, _now: Duration, via: Via, address: SocketAddr) {
        self.locals.retain(|candidate| candidate.via != via || candidate.address != address);
        if !self.locals.iter().any(|candidate| candidate.via == via) && !matches!(via, Via::Spare(_)) {
            self.pairs.retain(|pair| pair.route.via != via);
        }
    }

    /// An address that the peer told. Whether it is one to be checked.
    pub fn add_remote(&mut self, now: Duration, kind: CandidateKind, address: SocketAddr) -> bool {
        let loopback = self.locals.iter().any(|candidate| candidate.address.ip().is_loopback());
        if self.remotes.iter().any(|(_, known)| *known == address) {
            return true;
        }
        if !is_plausible(address, loopback) || !self.make_room_for_remote() {
            self.counters.filtered += 1;
            return false;
        }
        self.remotes.push((kind, address));
        for candidate in self.locals.clone() {
            self.pair(candidate, kind, address, now);
        }
        if kind == CandidateKind::ServerReflexive {
            // It may show that a private address is of a network that we share.
            for (kind, address) in self.remotes.clone() {
                self.locals
                    .clone()
                    .into_iter()
                    .for_each(|candidate| self.pair(candidate, kind, address, now));
            }
            self.search_at.get_or_insert(now + BEFORE_SEARCH);
        }
        let is_foreign = is_local(address.ip()) && !self.is_near(address);
        self.counters.filtered += u64::from(is_foreign);
        !is_foreign
    }

    /// Whoever roams has other addresses in each network: the oldest that came to nothing is forgotten.
    fn make_room_for_remote(&mut self) -> bool {
        if self.remotes.len() < CANDIDATES_MAX {
            return true;
        }
        let came_to_nothing = |(_, address): &(CandidateKind, SocketAddr)| {
            self.pairs.iter().filter(|pair| pair.route.to == *address).all(Pair::is_dead)
        };
        let Some(position) = self.remotes.iter().position(came_to_nothing) else { return false };
        let (_, address) = self.remotes.remove(position);
        self.pairs.retain(|pair| pair.route.to != address);
        true
    }

    /// Whether one more pair may be made; a dead one is forgotten for it.
    fn make_room_for_pair(&mut self) -> bool {
        if self.pairs.len() < PAIRS_MAX {
            return true;
        }
        let dead = self.pairs.iter().position(Pair::is_dead);
        dead.map(|position| self.pairs.remove(position)).is_some()
    }

    /// Whether a private address may be of a network that we are in.
    fn is_near(&self, address: SocketAddr) -> bool {
        let seen_at = |ip| {
            self.remotes.iter().any(|(kind, seen)| *kind == CandidateKind::ServerReflexive && seen.ip() == ip)
        };
        let same_outside = self
            .locals
            .iter()
            .any(|local| local.kind == CandidateKind::ServerReflexive && seen_at(local.address.ip()));
        self.locals.iter().any(|local| is_near(address.ip(), local.address.ip(), same_outside))
    }

    /// What is known of the NATs of both sides.
    pub fn set_nat(&mut self, now: Duration, local: NatReport, remote: NatReport) {
        if (local, remote) == (self.local_nat, self.remote_nat) {
            return;
        }
        (self.local_nat, self.remote_nat) = (local, remote);
        self.predict(now);
        // A report may come later than the addresses.
        let is_seen = |(kind, _): &(CandidateKind, SocketAddr)| *kind == CandidateKind::ServerReflexive;
        if !self.searched && self.remotes.iter().any(is_seen) {
            self.search_at.get_or_insert(now + BEFORE_SEARCH);
        }
    }

    fn pair(&mut self, local: Candidate, remote: CandidateKind, address: SocketAddr, now: Duration) {
        let route = Route { via: local.via, to: address };
        if local.address.is_ipv4() != address.is_ipv4() || (self.config.relay_only && !route.is_relayed()) {
            return;
        }
        // No relay on the internet leads into somebody's local network; many refuse to try.
        let astray = route.is_relayed() && is_local(address.ip()) && !is_local(local.address.ip());
        let foreign = is_local(address.ip()) && !self.is_near(address);
        if astray
            || foreign
            || self.pairs.iter().any(|pair| pair.route == route)
            || !self.make_room_for_pair()
        {
            return;
        }
        let opens = local.via == Via::Socket && !is_local(address.ip()) && remote != CandidateKind::Relayed;
        let priority = (preference(local.kind) + preference(remote)).into();
        self.pairs.push(Pair::new(route, local.kind, remote, priority, opens, now));
    }

    /// Ports that the peer's NAT will use next, when it hands them out in order.
    fn predict(&mut self, now: Duration) {
        let (Mapping::Sequential { step }, Some(newest)) = (self.remote_nat.mapping, self.remote_nat.newest)
        else {
            return;
        };
        let symmetric = matches!(self.local_nat.mapping, Mapping::Sequential { .. } | Mapping::Random);
        let on_socket = |candidate: &&Candidate| {
            candidate.via == Via::Socket && candidate.address.is_ipv4() == newest.is_ipv4()
        };
        let Some(local) = self.locals.iter().find(on_socket).copied() else { return };
        if symmetric || self.config.relay_only || !is_plausible(newest, false) {
            return;
        }
        for ahead in 1..=PREDICTED {
            let port = i32::from(newest.port()) + i32::from(step) * ahead;
            let Ok(port @ 1024..) = u16::try_from(port) else { continue };
            let to = SocketAddr::new(newest.ip(), port);
            if self.pairs.iter().any(|pair| pair.route == Route::direct(to)) {
                continue;
            }
            self.pair(local, CandidateKind::PeerReflexive, to, now);
            if let Some(pair) = self.pairs.iter_mut().find(|pair| pair.route == Route::direct(to)) {
                pair.priority = 0;
                pair.opens = false;
                pair.tries_left = FEW_TRIES;
            }
        }
    }

    fn search(&mut self, now: Duration) {
        self.search_at = None;
        let direct = self.pairs.iter().any(|pair| pair.answered.is_some() && !is_relayed(pair));
        if direct || self.searched || !self.config.birthday || self.config.relay_only {
            return;
        }
        let keeps = |mapping| matches!(mapping, Mapping::EndpointIndependent | Mapping::None);
        if self.local_nat.mapping == Mapping::Random && keeps(self.remote_nat.mapping) {
            self.searched = true;
            self.spares_open = true;
            self.tell(Event::WantSpares { count: SPARES });
        } else if self.remote_nat.mapping == Mapping::Random && keeps(self.local_nat.mapping) {
            let reflexive = |(kind, address): &&(CandidateKind, SocketAddr)| {
                *kind == CandidateKind::ServerReflexive && address.is_ipv4()
            };
            if let Some((_, address)) = self.remotes.iter().find(reflexive) {
                self.searched = true;
                self.probing = Some(Probing::new(*address, self.entropy.bytes(), now));
            }
        }
    }

    /// A spare socket is open: its packets go to where the peer is seen.
    pub fn add_spare(&mut self, now: Duration, number: u16) {
        if self.spares.len() >= usize::from(SPARES) {
            return;
        }
        let reflexive = self
            .remotes
            .iter()
            .filter(|(kind, address)| address.is_ipv4() && *kind == CandidateKind::ServerReflexive);
        if let Some((kind, address)) = reflexive.clone().next() {
            let route = Route { via: Via::Spare(number), to: *address };
            // Its packets only open our NAT: the other side has to find the port.
            let mut pair = Pair::new(route, CandidateKind::PeerReflexive, *kind, 0, true, now);
            pair.tries_left = FEW_TRIES;
            self.spares.push(pair);
        }
    }

    /// A STUN message that came in on a route. `false` when it is not this agent's.
    pub fn handle_stun(&mut self, now: Duration, route: Route, message: &[u8]) -> bool {
        let Some(codec) = &self.codec else { return false };
        if class_of(message) == Some(REQUEST) {
            let Some(request) = codec.read_request(message) else {
                self.counters.forged += 1;
                return false;
            };
            self.on_request(request, route, now);
            return true;
        }
        let Some(id) = transaction_of(message) else { return false };
        let mut all = self.pairs.iter().chain(&self.spares);
        let waited_for = all.any(|pair| pair.route == route && pair.waits_for(id));
        let probed =
            self.probing.as_ref().is_some_and(|p| route.via == Via::Socket && p.is_answer(route.to, id));
        if !waited_for && !probed {
            return false;
        }
        let Some(response) = codec.read_response(message) else {
            self.counters.forged += 1;
            return true;
        };
        let all = self.pairs.iter_mut().chain(&mut self.spares);
        let sent = all.filter(|pair| pair.route == route).find_map(|pair| pair.take(id));
        match response {
            Response::Success => {
                self.on_valid(route, sent.map(|sent| now.saturating_sub(sent.at)), now);
            }
            Response::RoleConflict => {
                // Of several that were under way with the old role each is told so.
                if sent.is_some_and(|sent| sent.role == self.config.role) {
                    self.config.role = other(self.config.role);
                }
                if let Some(pair) = self.pairs.iter_mut().find(|pair| pair.route == route) {
                    pair.again(now);
                }
            }
        }
        true
    }

    fn on_request(&mut self, request: Request, route: Route, now: Duration) {
        let Some(codec) = &self.codec else { return };
        if self.config.relay_only && !route.is_relayed() {
            self.counters.filtered += 1;
            return;
        }
        if self.seen.iter().any(|(id, from)| *id == request.id && *from != route) {
            self.counters.replayed += 1;
            return;
        }
        if self.seen.len() >= SEEN_MAX {
            self.seen.pop_front();
        }
        self.seen.push_back((request.id, route));
        if request.role == self.config.role {
            let we_stay =
                (self.config.tie_breaker >= request.tie_breaker) == (self.config.role == Role::Controlling);
            if we_stay {
                let bytes = codec.role_conflict(request.id);
                self.outgoing.push_back(Transmit { route, bytes, hops: None });
                return;
            }
            self.config.role = other(self.config.role);
        }
        let bytes = codec.success(request.id, route.to);
        self.outgoing.push_back(Transmit { route, bytes, hops: None });
        self.tell(Event::HeardFrom { route });
        let answers = self.trigger(route, now);
        if request.nominates && self.config.role == Role::Controlled && answers {
            self.tell(Event::Nominated { route });
        }
    }

    /// A check in answer to a check (RFC 8445, section 7.3.1.4): what came in may be what gets out.
    fn trigger(&mut self, route: Route, now: Duration) -> bool {
        let all = self.pairs.iter_mut().chain(&mut self.spares);
        if let Some(pair) = all.filter(|pair| pair.route == route).last() {
            pair.opens = false;
            if pair.answered.is_none() {
                pair.again(now);
            }
            return true;
        }
        if !is_plausible(route.to, route.to.ip().is_loopback()) || !self.make_room_for_pair() {
            return false;
        }
        let local = self.locals.iter().find(|candidate| candidate.via == route.via);
        let kind = local.map_or(CandidateKind::PeerReflexive, |candidate| candidate.kind);
        let remote = CandidateKind::PeerReflexive;
        let priority = (preference(kind) + preference(remote)).into();
        self.pairs.push(Pair::new(route, kind, remote, priority, false, now));
        true
    }

    fn on_valid(&mut self, route: Route, round_trip: Option<Duration>, now: Duration) {
        if let Some(position) = self.spares.iter().position(|pair| pair.route == route) {
            let pair = self.spares.swap_remove(position);
            self.pairs.push(pair);
        }
        if !self.pairs.iter().any(|pair| pair.route == route) {
            // A random port was the right one.
            let (host, reflexive) = (CandidateKind::Host, CandidateKind::PeerReflexive);
            self.pairs.push(Pair::new(route, host, reflexive, 0, false, now));
        }
        let next = self.next_consent(route, now);
        let Some(pair) = self.pairs.iter_mut().find(|pair| pair.route == route) else { return };
        let first = pair.answered.is_none();
        // Before the route is kept or not, it is checked once more: its second round trip has no opening in it.
        pair.works(now, if first { Some(now + PACE * 4) } else { next });
        let kinds = (pair.local, pair.remote);
        let relayed = is_relayed(pair);
        // What a probe took nobody noted; the next check will tell.
        let round_trip = round_trip.unwrap_or(Duration::from_millis(100));
        self.tell(Event::Valid { route, kinds, round_trip });
        if !relayed {
            self.probing = None;
            self.drop_spares(if let Via::Spare(number) = route.via { Some(number) } else { None });
        }
    }

    fn drop_spares(&mut self, except: Option<u16>) {
        if std::mem::take(&mut self.spares_open) {
            self.spares.clear();
            self.tell(Event::DropSpares { except });
        }
    }

    fn next_consent(&mut self, route: Route, now: Duration) -> Option<Duration> {
        let interval = match self.kept.iter().position(|kept| *kept == route)? {
            0 => CONSENT_ACTIVE,
            _ => CONSENT_RESERVE,
        };
        let fifths = interval.as_millis() as u64 / 5;
        Some(
            now + interval - Duration::from_millis(fifths)
                + Duration::from_millis(self.entropy.below(2 * fifths)),
        )
    }

    /// Which routes are worth keeping: first the one in use.
    pub fn keep(&mut self, now: Duration, routes: &[Route]) {
        self.kept = routes.to_vec();
        for route in routes {
            let next = self.next_consent(*route, now);
            if let Some(pair) =
                self.pairs.iter_mut().find(|pair| pair.route == *route && pair.answered.is_some())
            {
                // One that was not kept until now has not been checked for a while.
                pair.due = Some(pair.due.map_or(now, |due| next.map_or(due, |next| due.min(next))));
            }
        }
    }

    /// Tells the peer which route we use.
    pub fn nominate(&mut self, now: Duration, route: Route) {
        if self.config.role != Role::Controlling {
            return;
        }
        for pair in &mut self.pairs {
            pair.nominates = pair.route == route;
            if pair.nominates {
                pair.due = Some(now);
                pair.opens = false;
            }
        }
    }

    /// Our own address may have changed: everything is checked again at once, what works first.
    pub fn recheck(&mut self, now: Duration) {
        for pair in &mut self.pairs {
            pair.again(now);
            pair.opens = false;
        }
        self.drop_spares(None);
        self.searched = false;
        self.search_at = Some(now + 2 * BEFORE_SEARCH);
    }

    /// The next packet.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.outgoing.pop_front()
    }

    /// What was found out since the last time.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] is to be called.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let checks = self.pairs.iter().chain(&self.spares).filter_map(|pair| pair.due);
        let checks = checks.min().map(|due| due.max(self.pace));
        let probe = self.probing.as_ref().map(|probing| probing.next);
        checks.into_iter().chain(probe).chain(self.search_at).min()
    }

    /// It is `now`.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.search_at.is_some_and(|at| at <= now) {
            self.search(now);
        }
        self.expire(now);
        while self.pace <= now && self.check(now) {}
        // A machine that was held up does not catch up on everything at once.
        self.pace = self.pace.max(now.saturating_sub(PACE));
        self.probe(now);
    }

    fn expire(&mut self, now: Duration) {
        let mut expired = Vec::new();
        // One that is not kept is not checked either: it may still work when it is needed.
        for pair in self.pairs.iter_mut().filter(|pair| pair.is_lost(now)) {
            pair.lose(now);
            if self.kept.contains(&pair.route) {
                expired.push(pair.route);
            }
        }
        if !self.spares.is_empty() && self.spares.iter().all(Pair::is_dead) {
            self.drop_spares(None);
        }
        expired.into_iter().for_each(|route| self.tell(Event::Expired { route }));
    }

    /// Sends the check that is due and most promising; `false` when none is.
    fn check(&mut self, now: Duration) -> bool {
        let due = |pair: &&mut Pair| pair.due.is_some_and(|due| due <= now);
        let unseen = matches!(self.local_nat.mapping, Mapping::Sequential { .. } | Mapping::Random);
        let (role, tie_breaker) = (self.config.role, self.config.tie_breaker);
        let id = TransactionId(self.entropy.bytes());
        let best = self
            .pairs
            .iter_mut()
            .filter(due)
            .max_by_key(|pair| (pair.nominates, pair.answered.is_some(), pair.opens, pair.priority));
        let (pair, pace, spare) = match best {
            Some(pair) => (pair, PACE, false),
            None => match self.spares.iter_mut().find(|pair| pair.due.is_some_and(|due| due <= now)) {
                Some(pair) => (pair, SPARE_PACE, true),
                None => return false,
            },
        };
        let Some(codec) = &self.codec else { return false };
        let priority = preference(CandidateKind::PeerReflexive) << 24 | 0xff;
        let bytes = codec.request(id, priority, role, tie_breaker, pair.nominates);
        // A spare's later packets reach a second router of ours, such as a carrier's. By then a port was found or will not
        // be, so that they spoil nothing at the other side.
        let near = pair.opens && (!spare || pair.tries_left == FEW_TRIES);
        let hops = near.then_some(OPENING_HOPS);
        if pair.opens && spare {
            pair.tries_left = pair.tries_left.saturating_sub(1);
            pair.due = (pair.tries_left > 0).then_some(now + SPARE_AGAIN);
        } else if pair.opens {
            pair.opens = false;
            pair.due = Some(now + if unseen { OPENING_UNSEEN } else { OPENING });
        } else {
            pair.sent(id, role, now);
        }
        let route = pair.route;
        self.outgoing.push_back(Transmit { route, bytes, hops });
        self.counters.sent += 1;
        self.pace = self.pace.max(now.saturating_sub(PACE)) + pace;
        true
    }

    fn probe(&mut self, now: Duration) {
        let Some(probing) = &mut self.probing else { return };
        let Some(codec) = &self.codec else { return };
        let priority = preference(CandidateKind::PeerReflexive) << 24;
        while probing.next <= now {
            let before = probing.next;
            let Some((to, id)) = probing.next(before) else {
                self.probing = None;
                return;
            };
            let bytes = codec.request(id, priority, self.config.role, self.config.tie_breaker, false);
            self.outgoing.push_back(Transmit { route: Route::direct(to), bytes, hops: None });
            self.counters.sent += 1;
        }
    }

    fn tell(&mut self, event: Event) {
        if self.events.len() < EVENTS_MAX {
            self.events.push_back(event);
        }
    }

    /// What was not as it should be.
    pub fn counters(&self) -> Counters {
        self.counters
    }
}

fn is_relayed(pair: &Pair) -> bool {
    pair.route.is_relayed() || pair.remote == CandidateKind::Relayed
}

fn other(role: Role) -> Role {
    match role {
        Role::Controlling => Role::Controlled,
        Role::Controlled => Role::Controlling,
    }
}

/// Type preferences (RFC 8445, section 5.1.2.2).
fn preference(kind: CandidateKind) -> u32 {
    match kind {
        CandidateKind::Host => 126,
        CandidateKind::PeerReflexive => 110,
        CandidateKind::ServerReflexive => 100,
        CandidateKind::Relayed => 0,
    }
}

#[cfg(test)]
impl Agent {
    pub(super) fn config_role(&self) -> Role {
        self.config.role
    }

    pub(super) fn config_mut(&mut self) -> &mut AgentConfig {
        &mut self.config
    }
}
