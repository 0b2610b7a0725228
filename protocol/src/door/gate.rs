//! Decides about first packets of those who are nobody yet.

use super::buckets::Buckets;
use super::cookie::{CHALLENGE_BYTES, CookieJar, challenge, read_answer, token_of};
use super::knock::{Knock, KnockKey, Name, read_knock};
use crate::path::Route;
use crate::stun::TransactionId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// How long a proof is good for: QUIC repeats its first packet after 0.3, 0.9 and 2.1 s, each time with a new one.
const OPEN_FOR: Duration = Duration::from_secs(5);

/// How far the clocks of two members may be apart: a computer that takes its clock's local time for UTC is off by up to 14 h.
/// What has been used is remembered for all of this time, so its length only matters for a knock that never arrived.
const CLOCKS_APART_SECONDS: u64 = 15 * 60 * 60;

/// Addresses with a proof that is still good. Beyond it the one that would end first ends now.
const OPEN_MAX: usize = 256;

/// Knocks remembered, so that none counts twice. Only holders of keys can fill it; beyond it the oldest is forgotten.
const KNOCKS_MAX: usize = 4096;

/// Strangers let in without a challenge: a family that joins by password does so without a further round trip.
const UNCHALLENGED_BURST: u32 = 4;
const UNCHALLENGED_PER_SECOND: u32 = 1;

/// Connections that strangers of one address may open, and those of one network (a /24, or a /56).
const ADDRESS_BURST: u32 = 8;
const ADDRESS_PER_SECOND: u32 = 1;
const NETWORK_BURST: u32 = 32;
const NETWORK_PER_SECOND: u32 = 4;

/// Challenges to one address, to one network, and to all: at 48 bytes the last are 10 Mbit/s.
const CHALLENGES_PER_ADDRESS: u32 = 16;
const CHALLENGES_PER_NETWORK: u32 = 256;
const CHALLENGES_PER_SECOND: u32 = 25_000;

/// Who knows the keys that one can knock with.
pub trait Keys {
    /// The key of this name, if it opens this door.
    fn key(&self, name: Name) -> Option<KnockKey>;
}

/// What becomes of those who do not knock.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Strangers {
    /// They are let through: whoever listens looks after itself.
    #[default]
    Welcome,
    /// They may try, for a password opens the door; within limits.
    Limited,
    /// Nothing is said to them.
    Ignored,
}

/// What becomes of a first packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Its sender holds a key.
    Invited,
    /// Its sender may try.
    Stranger,
    /// Its sender has to show first that it is where it says it is.
    Challenge([u8; CHALLENGE_BYTES]),
    /// Nothing is said.
    Drop,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Proof {
    /// A cookie came back.
    Address,
    /// A knock.
    Key,
}

/// The gate.
pub struct Gate {
    jar: CookieJar,
    pub(super) open: BTreeMap<Route, (Proof, Duration)>,
    /// In the order in which they came, with the time at which it came.
    pub(super) knocks: VecDeque<(Duration, TransactionId)>,
    pub(super) known_knocks: BTreeSet<TransactionId>,
    unchallenged: Buckets<()>,
    by_address: Buckets<IpAddr>,
    by_network: Buckets<IpAddr>,
    challenges: Buckets<()>,
    pub(super) challenges_by_address: Buckets<IpAddr>,
    pub(super) challenges_by_network: Buckets<IpAddr>,
}

impl Gate {
    /// A gate with a seed for its cookies.
    pub fn new(seed: [u8; 32]) -> Self {
        Self {
            jar: CookieJar::new(seed),
            open: BTreeMap::new(),
            knocks: VecDeque::new(),
            known_knocks: BTreeSet::new(),
            unchallenged: Buckets::new(UNCHALLENGED_BURST, UNCHALLENGED_PER_SECOND),
            by_address: Buckets::new(ADDRESS_BURST, ADDRESS_PER_SECOND),
            by_network: Buckets::new(NETWORK_BURST, NETWORK_PER_SECOND),
            challenges: Buckets::new(CHALLENGES_PER_SECOND, CHALLENGES_PER_SECOND),
            challenges_by_address: Buckets::new(CHALLENGES_PER_ADDRESS, CHALLENGES_PER_ADDRESS),
            challenges_by_network: Buckets::new(CHALLENGES_PER_NETWORK, CHALLENGES_PER_NETWORK),
        }
    }

    /// Takes what may be a knock or the answer to a challenge; returns whether it was one, good or not. `unix` is the
    /// time in seconds.
    pub fn handle(
        &mut self,
        from: Route,
        datagram: &[u8],
        keys: &dyn Keys,
        now: Duration,
        unix: u64,
    ) -> bool {
        if let Some(knock) = read_knock(datagram) {
            if self.is_good(&knock, datagram, keys, now, unix) {
                self.open(from, Proof::Key, now);
            }
            return true;
        }
        let Some(cookie) = read_answer(datagram) else { return false };
        if self.jar.knows(&cookie, from, now.as_secs()) && self.proof(from, now).is_none() {
            self.open(from, Proof::Address, now);
        }
        true
    }

    fn is_good(&mut self, knock: &Knock, datagram: &[u8], keys: &dyn Keys, now: Duration, unix: u64) -> bool {
        // Cheapest first: the MAC comes last.
        if knock.made_at.abs_diff(unix) > CLOCKS_APART_SECONDS || self.known_knocks.contains(&knock.id) {
            return false;
        }
        if !keys.key(knock.name).is_some_and(|key| key.made(datagram)) {
            return false;
        }
        let forgotten = Duration::from_secs(2 * CLOCKS_APART_SECONDS);
        while let Some((came, id)) = self.knocks.front().copied()
            && (now.saturating_sub(came) > forgotten || self.knocks.len() >= KNOCKS_MAX)
        {
            self.knocks.pop_front();
            self.known_knocks.remove(&id);
        }
        self.knocks.push_back((now, knock.id));
        self.known_knocks.insert(knock.id);
        true
    }

    fn open(&mut self, from: Route, proof: Proof, now: Duration) {
        self.open.retain(|_, (_, until)| *until > now);
        if self.open.len() >= OPEN_MAX {
            // Proofs of an address are cheaper to come by, and must not push out those of a key.
            let first = self.open.iter().min_by_key(|(_, (proof, until))| (*proof == Proof::Key, *until));
            let first = first.map(|(route, _)| *route);
            self.open.remove(&first.expect("a full table has a first entry"));
        }
        self.open.insert(from, (proof, now + OPEN_FOR));
    }

    pub(super) fn proof(&self, from: Route, now: Duration) -> Option<Proof> {
        let (proof, until) = self.open.get(&from)?;
        (*until > now).then_some(*proof)
    }

    /// Decides about a first packet.
    pub fn judge(&mut self, from: Route, packet: &[u8], strangers: Strangers, now: Duration) -> Verdict {
        let proof = self.proof(from, now);
        match strangers {
            _ if proof == Some(Proof::Key) => Verdict::Invited,
            Strangers::Welcome => Verdict::Stranger,
            Strangers::Ignored => Verdict::Drop,
            Strangers::Limited => self.judge_stranger(from, packet, proof.is_some(), now),
        }
    }

    fn judge_stranger(&mut self, from: Route, packet: &[u8], is_there: bool, now: Duration) -> Verdict {
        let (address, network) = prefixes(from.to.ip());
        if is_there || self.unchallenged.take((), now) {
            let may = self.by_address.take(address, now) && self.by_network.take(network, now);
            return if may { Verdict::Stranger } else { Verdict::Drop };
        }
        let may = self.challenges_by_address.take(address, now)
            && self.challenges_by_network.take(network, now)
            && self.challenges.take((), now);
        match token_of(packet) {
            Some(token) if may => Verdict::Challenge(challenge(token, &self.jar.cookie(from, now.as_secs()))),
            Some(_) | None => Verdict::Drop,
        }
    }
}

/// What counts as one address (a /32, or a /64), and as one network (a /24, or a /56).
pub(super) fn prefixes(ip: IpAddr) -> (IpAddr, IpAddr) {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            (ip, IpAddr::from([a, b, c, 0]))
        }
        IpAddr::V6(v6) => {
            let bits = v6.to_bits();
            let cut = |length: u32| IpAddr::V6(Ipv6Addr::from_bits(bits >> (128 - length) << (128 - length)));
            (cut(64), cut(56))
        }
    }
}
