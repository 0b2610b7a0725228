//! Ports that nobody can be told: those a NAT will use next, and those that have to be found by chance.

use super::super::birthday::{Probing, SPARES};
use super::super::filter::is_plausible;
use super::super::pair::Pair;
use super::super::{Candidate, CandidateKind, Mapping, NatReport};
use super::{Agent, BEFORE_SEARCH, Event, FEW_TRIES, PREDICTED, Transmit, is_relayed, preference};
use crate::path::{Route, Via};
use std::net::SocketAddr;
use std::time::Duration;

impl Agent {
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

    /// Ports that the peer's NAT will use next, when it hands them out in order.
    pub(super) fn predict(&mut self, now: Duration) {
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

    pub(super) fn search(&mut self, now: Duration) {
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

    pub(super) fn drop_spares(&mut self, except: Option<u16>) {
        if std::mem::take(&mut self.spares_open) {
            self.spares.clear();
            self.tell(Event::DropSpares { except });
        }
    }

    pub(super) fn probe(&mut self, now: Duration) {
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
}
