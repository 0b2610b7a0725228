//! What is known of our own addresses (RFC 8445, section 5.1), and what others are told of it.

use crate::net::interfaces;
use crate::net::relays::Allocation;
use protocol::control::{CandidateInfo, Candidates};
use protocol::ice::{Candidate, CandidateKind, Mapping, NatReport};
use protocol::limits::CANDIDATES_MAX;
use protocol::local::is_local;
use protocol::path::Via;
use protocol::reach::{Reach, RelayedReach};
use std::net::{IpAddr, SocketAddr};

/// What was gathered. The order of each list is the order of preference.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Local {
    /// Addresses of the interfaces, with our port.
    pub(super) hosts: Vec<SocketAddr>,
    /// Where the router lets everybody in.
    pub(super) mapped: Option<SocketAddr>,
    /// Where servers see us.
    pub(super) reflexive: Vec<SocketAddr>,
    /// Where TURN servers relay for us, each with the server as tickets tell it.
    pub(super) relayed: Vec<(String, Allocation)>,
    /// How our NAT behaves.
    pub(super) nat: NatReport,
    /// Nothing but relayed addresses may be told or used.
    pub(super) relay_only: bool,
    /// Local addresses are neither told nor used.
    pub(super) no_lan: bool,
}

impl Local {
    /// Takes over the interfaces' addresses; `socket` is what our socket is bound to.
    pub(super) fn set_interfaces(&mut self, socket: SocketAddr, addresses: Vec<IpAddr>) {
        self.hosts = interfaces::usable(socket, addresses);
        if self.no_lan {
            self.hosts.retain(|address| !is_local(address.ip()));
        }
    }

    /// All that checks can start from.
    pub(super) fn candidates(&self) -> Vec<Candidate> {
        let on_socket =
            |kind| move |address: &SocketAddr| Candidate { kind, address: *address, via: Via::Socket };
        let mut all = Vec::new();
        if !self.relay_only {
            all.extend(self.hosts.iter().map(on_socket(CandidateKind::Host)));
            // A port mapping's address counts as one that servers see (RFC 8445, section 5.1.1.2).
            let outside = self.reflexive.iter().filter(|address| Some(**address) != self.mapped);
            let outside = self.mapped.iter().chain(outside);
            let elsewhere = outside.filter(|address| !self.hosts.contains(address));
            all.extend(elsewhere.map(on_socket(CandidateKind::ServerReflexive)));
        }
        all.extend(self.relayed.iter().map(|(_, allocation)| Candidate {
            kind: CandidateKind::Relayed,
            address: allocation.relayed,
            via: Via::Relay(allocation.id),
        }));
        all.truncate(CANDIDATES_MAX);
        all
    }

    /// What peers are told of it.
    pub(super) fn message(&self) -> Candidates {
        let nat = if self.relay_only { NatReport::default() } else { self.nat };
        let (mapping, step) = match nat.mapping {
            Mapping::Unknown => (0, 0),
            Mapping::None => (1, 0),
            Mapping::EndpointIndependent => (2, 0),
            Mapping::Sequential { step } => (3, step),
            Mapping::Random => (4, 0),
        };
        let info = |candidate: Candidate| CandidateInfo {
            kind: match candidate.kind {
                CandidateKind::Host => 0,
                CandidateKind::ServerReflexive => 1,
                CandidateKind::PeerReflexive => 2,
                CandidateKind::Relayed => 3,
            },
            address: candidate.address.to_string(),
        };
        Candidates {
            candidates: self.candidates().into_iter().map(info).collect(),
            mapping,
            step,
            newest: nat.newest.map(|address| address.to_string()),
        }
    }

    /// What tickets and introductions tell of it: public addresses first, since a list may be cut.
    ///
    /// Where there is a relay to meet on, reflexive addresses are left out. Most NATs let nobody in there who was not
    /// sent to before, and a router that takes a stranger's packet for its own then gives our packets to that stranger
    /// another port: checks, which are careful about this, would fail for good. Where the router maps a port, everybody
    /// is let in.
    pub(super) fn reach(&self) -> Reach {
        let mut addresses = Vec::new();
        let relays = self.relayed.iter().filter(|(_, allocation)| !matches!(allocation.meets, Some(Err(_))));
        let relays: Vec<RelayedReach> = relays
            .map(|(server, allocation)| RelayedReach { server: server.clone(), address: allocation.relayed })
            .collect();
        if !self.relay_only {
            let (local, public): (Vec<SocketAddr>, Vec<SocketAddr>) =
                self.hosts.iter().partition(|address| is_local(address.ip()));
            addresses.extend(public);
            addresses.extend(self.mapped);
            if relays.is_empty() {
                addresses.extend(&self.reflexive);
            }
            addresses.extend(local);
        }
        let mut seen = std::collections::BTreeSet::new();
        addresses.retain(|address| seen.insert(*address));
        addresses.truncate(CANDIDATES_MAX);
        Reach { addresses, relays }
    }
}

/// One more address at which we are seen, the first to be tried.
pub(super) fn add_reflexive(told: &mut Candidates, seen: SocketAddr) {
    told.candidates.insert(0, CandidateInfo { kind: 1, address: seen.to_string() });
    told.candidates.truncate(CANDIDATES_MAX);
}

/// What a peer told, read: its addresses and its NAT. What cannot be is skipped.
pub(super) fn read(told: &Candidates) -> (Vec<(CandidateKind, SocketAddr)>, NatReport) {
    let candidate = |info: &CandidateInfo| {
        let kind = match info.kind {
            0 => CandidateKind::Host,
            1 => CandidateKind::ServerReflexive,
            2 => CandidateKind::PeerReflexive,
            3 => CandidateKind::Relayed,
            4.. => return None,
        };
        Some((kind, info.address.parse().ok()?))
    };
    let mapping = match told.mapping {
        1 => Mapping::None,
        2 => Mapping::EndpointIndependent,
        3 if told.step != 0 => Mapping::Sequential { step: told.step },
        4 => Mapping::Random,
        _ => Mapping::Unknown,
    };
    let newest = told.newest.as_ref().and_then(|text| text.parse().ok());
    let candidates = told.candidates.iter().filter_map(candidate).take(CANDIDATES_MAX).collect();
    (candidates, NatReport { mapping, newest })
}

#[cfg(test)]
mod tests {
    use super::{Allocation, Local, read};
    use protocol::ice::{CandidateKind, Mapping, NatReport};
    use protocol::path::RelayId;

    fn gathered() -> Local {
        Local {
            hosts: vec!["192.168.1.2:4700".parse().unwrap(), "[2001:db8::2]:4700".parse().unwrap()],
            reflexive: vec!["203.0.113.9:40000".parse().unwrap()],
            nat: NatReport { mapping: Mapping::Sequential { step: -2 }, newest: None },
            ..Local::default()
        }
    }

    #[test]
    fn what_is_told_is_read_as_it_was_meant() {
        let local = gathered();
        let (candidates, nat) = read(&local.message());
        assert_eq!(nat, local.nat);
        let told: Vec<_> = local.candidates().iter().map(|c| (c.kind, c.address)).collect();
        assert_eq!(candidates, told);
        assert!(candidates.contains(&(CandidateKind::ServerReflexive, local.reflexive[0])));
    }

    #[test]
    fn a_ticket_names_public_addresses_first() {
        let reach = gathered().reach();
        let texts: Vec<_> = reach.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["[2001:db8::2]:4700", "203.0.113.9:40000", "192.168.1.2:4700"]);
    }

    #[test]
    fn a_mapped_port_is_told_once_and_also_beside_a_relay() {
        let mut local = Local { mapped: Some("203.0.113.9:40000".parse().unwrap()), ..gathered() };
        let outside = |local: &Local| {
            let told =
                local.candidates().into_iter().filter(|one| one.kind == CandidateKind::ServerReflexive);
            told.map(|one| one.address.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(outside(&local), ["203.0.113.9:40000"]);
        local.mapped = Some("203.0.113.9:4700".parse().unwrap());
        assert_eq!(outside(&local), ["203.0.113.9:4700", "203.0.113.9:40000"]);
        let relayed = "198.51.100.1:50000".parse().unwrap();
        let allocation = Allocation { id: RelayId(1), relayed, reflexive: None, meets: None };
        local.relayed = vec![("turn.example.org".into(), allocation)];
        let told: Vec<_> = local.reach().addresses.iter().map(ToString::to_string).collect();
        assert_eq!(told, ["[2001:db8::2]:4700", "203.0.113.9:4700", "192.168.1.2:4700"]);
    }

    #[test]
    fn relay_only_tells_nothing_of_where_we_are() {
        let mapped = Some("203.0.113.9:4700".parse().unwrap());
        let local = Local { relay_only: true, mapped, ..gathered() };
        assert!(local.reach().is_empty());
        let message = local.message();
        assert!(message.candidates.is_empty() && message.newest.is_none() && message.mapping == 0);
    }
}
