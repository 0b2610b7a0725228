//! The agent of one peer: what it is made of, and when it sends which check. Which pairs there are is in [`addresses`],
//! what comes in in [`messages`], and the search for ports in [`search`].

mod addresses;
mod messages;
mod search;

use super::birthday::Probing;
use super::check::{Codec, Credentials};
use super::pair::Pair;
use super::{Candidate, CandidateKind, Mapping, NatReport};
use crate::entropy::Entropy;
use crate::path::Route;
use crate::stun::TransactionId;
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

/// The same of a pair that is kept in reserve: NATs forget after 30 s at the earliest.
const CONSENT_RESERVE: Duration = Duration::from_secs(22);

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

/// In which order pairs are checked: by their types, and of those alike IPv6 first (RFC 8421, section 4).
fn rank(local: CandidateKind, remote: CandidateKind, address: SocketAddr) -> u64 {
    u64::from(preference(local) + preference(remote)) * 2 + u64::from(address.is_ipv6())
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
