//! What comes in: checks of the peer, and answers to ours (RFC 8445, sections 7.2.5 and 7.3).

use super::super::CandidateKind;
use super::super::check::{Request, Response};
use super::super::filter::is_plausible;
use super::super::pair::Pair;
use super::{Agent, Event, PACE, Role, SEEN_MAX, Transmit, is_relayed, other, rank};
use crate::path::{Route, Via};
use crate::stun::{REQUEST, class_of, transaction_of};
use std::time::Duration;

impl Agent {
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
        let priority = rank(kind, remote, route.to);
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
}
