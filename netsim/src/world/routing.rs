//! The way of a packet, hop by hop.

use super::events::Place;
use super::packet::{Header, Packet};
use super::topology::{HostId, Interface, NetworkId, RouterId};
use super::{Kind, World};
use crate::link::{DropReason, Fate};
use crate::nat::Dropped;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Who has an address in a network.
enum Owner {
    Host(HostId),
    Router(RouterId),
    /// A router that leads to a public IPv6 address behind it.
    Behind(RouterId),
    /// Whoever it is, it is on the other side of this router.
    Elsewhere(RouterId),
    Nobody,
}

impl World {
    /// Sends what a host's program gave to its socket on `port`.
    pub(super) fn send(&mut self, host: HostId, port: u16, mut packet: Packet) -> io::Result<()> {
        if !self.hosts[host.0 as usize].running {
            return Err(io::ErrorKind::NetworkUnreachable.into());
        }
        let Some((source, network, line)) = self.interface_towards(host, packet.to.ip()) else {
            return Err(io::ErrorKind::NetworkUnreachable.into());
        };
        // A server with several addresses says itself which it answers from.
        let own =
            self.hosts[host.0 as usize].interfaces.iter().any(|i| i.addresses.contains(&packet.from.ip()));
        packet.from = SocketAddr::new(if own { packet.from.ip() } else { source }, port);
        let bytes = packet.wire_bytes();
        self.trace.note(Kind::Sent, self.now, u64::from(host.0), bytes as u64);
        self.hosts[host.0 as usize].bytes_up += bytes as u64;
        self.hosts[host.0 as usize].packets_up += 1;
        let fate = self.lines[line.0 as usize].up.offer(self.now, bytes);
        self.follow(&fate, Place::Network(network), packet);
        Ok(())
    }

    /// The address and line a host sends from: those of a network that has the destination, else the first that
    /// leads on with an address of the same family.
    pub(super) fn interface_towards(
        &self,
        host: HostId,
        to: IpAddr,
    ) -> Option<(IpAddr, NetworkId, super::LineId)> {
        let interfaces = &self.hosts[host.0 as usize].interfaces;
        let near = interfaces.iter().filter(|i| {
            !matches!(self.owner(i.network, to), Owner::Nobody | Owner::Elsewhere(_) | Owner::Behind(_))
        });
        let source = |interface: &Interface| {
            let address = interface.addresses.iter().find(|address| address.is_ipv4() == to.is_ipv4());
            address.map(|address| (*address, interface.network, interface.line))
        };
        near.chain(interfaces.iter()).find_map(source)
    }

    fn owner(&self, network: NetworkId, address: IpAddr) -> Owner {
        let here = |host: &super::topology::Host| {
            host.interfaces.iter().any(|i| i.network == network && i.addresses.contains(&address))
        };
        if let Some(number) = self.hosts.iter().position(here) {
            return Owner::Host(HostId(number as u32));
        }
        let mut inwards =
            (0..).map(RouterId).zip(&self.routers).filter(|(_, router)| router.outer == network);
        if let Some((id, _)) = inwards.clone().find(|(_, router)| router.addresses.contains(&address)) {
            return Owner::Router(id);
        }
        if address.is_ipv6()
            && let Some((id, _)) = inwards.find(|(_, router)| self.is_inside(router.inner, address))
        {
            return Owner::Behind(id);
        }
        match self.networks[network.0 as usize].gateway {
            Some(router) => Owner::Elsewhere(router),
            None => Owner::Nobody,
        }
    }

    fn is_inside(&self, network: NetworkId, address: IpAddr) -> bool {
        self.hosts.iter().any(|host| {
            host.interfaces.iter().any(|i| i.network == network && i.addresses.contains(&address))
        }) || self
            .routers
            .iter()
            .any(|router| router.outer == network && self.is_inside(router.inner, address))
    }

    pub(super) fn arrive(&mut self, place: Place, packet: Packet) {
        match place {
            Place::Network(network) => self.forward(network, packet),
            Place::HostLine(network, host) => self.enter_host_line(network, host, packet),
            Place::RouterLine(router) => self.enter_router_line(router, packet),
            Place::Router(router) => self.pass_inwards(router, packet),
            Place::Host(host) => self.deliver(host, packet),
        }
    }

    fn forward(&mut self, network: NetworkId, mut packet: Packet) {
        let net = &self.networks[network.0 as usize];
        let Some(ttl) = packet.ttl.checked_sub(net.hops).filter(|ttl| *ttl > 0) else {
            return self.drop_packet(&packet, "ttl");
        };
        packet.ttl = ttl;
        let crossed = self.now + net.delay;
        match self.owner(network, packet.to.ip()) {
            Owner::Host(host) => self.later(crossed, Place::HostLine(network, host), packet),
            Owner::Router(router) | Owner::Behind(router) => {
                self.later(crossed, Place::RouterLine(router), packet);
            }
            Owner::Elsewhere(router) => self.pass_outwards(router, packet),
            Owner::Nobody => self.drop_packet(&packet, "no such address"),
        }
    }

    fn enter_host_line(&mut self, network: NetworkId, host: HostId, packet: Packet) {
        let interfaces = &self.hosts[host.0 as usize].interfaces;
        let here = |i: &&Interface| i.network == network && i.addresses.contains(&packet.to.ip());
        let Some(line) = interfaces.iter().find(here).map(|interface| interface.line) else {
            // It moved away while the packet crossed the network.
            return self.drop_packet(&packet, "no such address");
        };
        let fate = self.lines[line.0 as usize].down.offer(self.now, packet.wire_bytes());
        self.follow(&fate, Place::Host(host), packet);
    }

    fn enter_router_line(&mut self, router: RouterId, packet: Packet) {
        let line = self.routers[router.0 as usize].line;
        let fate = self.lines[line.0 as usize].down.offer(self.now, packet.wire_bytes());
        self.follow(&fate, Place::Router(router), packet);
    }

    fn pass_outwards(&mut self, id: RouterId, mut packet: Packet) {
        let now = self.now;
        if !self.routers[id.0 as usize].running {
            return self.drop_packet(&packet, "router off");
        }
        let Some(ttl) = packet.ttl.checked_sub(1).filter(|ttl| *ttl > 0) else {
            return self.drop_packet(&packet, "ttl");
        };
        packet.ttl = ttl;
        let router = &mut self.routers[id.0 as usize];
        let (outer, inner, line) = (router.outer, router.inner, router.line);
        if router.addresses.contains(&packet.to.ip()) {
            let Some(nat) = &mut router.nat else {
                return self.drop_packet(&packet, "no such address");
            };
            return match nat.hairpin(now, packet.transport(), packet.from, packet.to) {
                Ok((from, to)) => {
                    (packet.from, packet.to) = (from, to);
                    self.later(now, Place::Network(inner), packet);
                }
                Err(reason) => self.drop_packet(&packet, nat_word(reason)),
            };
        }
        if let Some(firewall) = &mut router.firewall
            && !firewall.outbound(now, packet.transport(), packet.from, packet.to)
        {
            return self.drop_packet(&packet, "firewall: out");
        }
        // IPv6 is routed, not translated.
        if let Some(nat) = &mut router.nat
            && packet.from.is_ipv4()
        {
            match nat.outbound(now, packet.transport(), packet.from, packet.to) {
                Ok(from) => packet.from = from,
                Err(reason) => return self.drop_packet(&packet, nat_word(reason)),
            }
        }
        let fate = self.lines[line.0 as usize].up.offer(now, packet.wire_bytes());
        self.follow(&fate, Place::Network(outer), packet);
    }

    fn pass_inwards(&mut self, id: RouterId, mut packet: Packet) {
        let now = self.now;
        if !self.routers[id.0 as usize].running {
            return self.drop_packet(&packet, "router off");
        }
        let Some(ttl) = packet.ttl.checked_sub(1).filter(|ttl| *ttl > 0) else {
            return self.drop_packet(&packet, "ttl");
        };
        packet.ttl = ttl;
        let router = &mut self.routers[id.0 as usize];
        let inner = router.inner;
        if let Some(nat) = &mut router.nat
            && packet.to.is_ipv4()
        {
            match nat.inbound(now, packet.transport(), packet.from, packet.to) {
                Ok(to) => packet.to = to,
                Err(reason) => return self.drop_packet(&packet, nat_word(reason)),
            }
        }
        if let Some(firewall) = &mut router.firewall
            && !firewall.inbound(now, packet.transport(), packet.from, packet.to)
        {
            return self.drop_packet(&packet, "firewall: in");
        }
        self.later(now, Place::Network(inner), packet);
    }

    fn deliver(&mut self, id: HostId, packet: Packet) {
        if self.walls.iter().any(|wall| wall.contains(&id) != wall.contains(&packet.origin)) {
            return self.drop_packet(&packet, "partition");
        }
        let bytes = packet.wire_bytes() as u64;
        let host = &mut self.hosts[id.0 as usize];
        if !host.interfaces.iter().any(|interface| interface.addresses.contains(&packet.to.ip())) {
            // It moved away while the packet was on its line.
            return self.drop_packet(&packet, "no such address");
        }
        if !host.running {
            return self.drop_packet(&packet, "machine off");
        }
        host.bytes_down += bytes;
        self.trace.note(Kind::Delivered, self.now, u64::from(id.0), bytes);
        if let Header::Tcp(segment) = packet.header {
            return self.on_segment(id, &packet, &segment);
        }
        let host = &mut self.hosts[id.0 as usize];
        if let Some(mut service) = host.service.take() {
            let outputs = service.handle(self.now, &packet);
            self.hosts[id.0 as usize].service = Some(service);
            return self.send_outputs(id, outputs);
        }
        match host.sockets.get_mut(&packet.to.port()) {
            None => self.drop_packet(&packet, "port closed"),
            Some(inbox) if inbox.bytes + packet.bytes.len() > super::RECEIVE_BUFFER_BYTES => {
                self.drop_packet(&packet, "receive buffer full");
            }
            Some(inbox) => {
                inbox.bytes += packet.bytes.len();
                inbox.datagrams.push_back((packet.from, packet.bytes));
                if let Some(reader) = inbox.reader.take() {
                    reader.wake();
                }
                self.woken.insert(id);
            }
        }
    }

    /// Schedules the arrivals that a link decided on.
    fn follow(&mut self, fate: &Fate, place: Place, packet: Packet) {
        match *fate {
            Fate::Arrives { at } => self.later(at, place, packet),
            Fate::ArrivesTwice { at, copy_at } => {
                self.later(at, place, packet.clone());
                self.later(copy_at, place, packet);
            }
            Fate::Dropped { reason } => self.drop_packet(&packet, link_word(reason)),
        }
    }
}

/// A link's reason in the account of dropped packets.
fn link_word(reason: DropReason) -> &'static str {
    match reason {
        DropReason::Loss => "lost",
        DropReason::Queue => "queue full",
        DropReason::Mtu => "larger than the MTU",
        DropReason::Outage => "outage",
        DropReason::Trace => "lost by the trace",
    }
}

/// A NAT's reason in the account of dropped packets.
fn nat_word(reason: Dropped) -> &'static str {
    match reason {
        Dropped::NoExternalAddress => "nat: no external address",
        Dropped::TableFull => "nat: table full",
        Dropped::PortsExhausted => "nat: ports exhausted",
        Dropped::NoMapping => "nat: no mapping",
        Dropped::Filtered => "nat: filtered",
        Dropped::IntoRouter => "nat: into the router",
        Dropped::NoHairpin => "nat: no hairpin",
    }
}
