//! Which addresses there are on both sides, and the pairs they make (RFC 8445, section 6.1.2).

use super::super::filter::is_plausible;
use super::super::pair::Pair;
use super::super::{Candidate, CandidateKind};
use super::{Agent, BEFORE_SEARCH, PAIRS_MAX, rank};
use crate::limits::CANDIDATES_MAX;
use crate::local::{is_local, is_near};
use crate::path::{Route, Via};
use std::net::SocketAddr;
use std::time::Duration;

impl Agent {
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

    /// A spare socket that was a candidate's is closed.
    pub fn remove_spare(&mut self, _now: Duration, number: u16) {
        let via = Via::Spare(number);
        self.locals.retain(|candidate| candidate.via != via);
        self.pairs.retain(|pair| pair.route.via != via);
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
    pub(super) fn make_room_for_pair(&mut self) -> bool {
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

    pub(super) fn pair(
        &mut self,
        local: Candidate,
        remote: CandidateKind,
        address: SocketAddr,
        now: Duration,
    ) {
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
        let opens = !route.is_relayed() && !is_local(address.ip()) && remote != CandidateKind::Relayed;
        let priority = rank(local.kind, remote, address);
        self.pairs.push(Pair::new(route, local.kind, remote, priority, opens, now));
    }
}
