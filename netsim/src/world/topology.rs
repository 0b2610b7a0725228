//! What a world is made of, and how it is put together.

use super::{Service, World};
use crate::link::{Link, LinkConfig, LinkError};
use crate::nat::{Firewall, FirewallConfig, Nat, NatConfig};
use rand::RngCore;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::Waker;
use std::time::Duration;

/// Names a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostId(pub u32);

/// Names a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NetworkId(pub u32);

/// Names a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RouterId(pub u32);

/// Names a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LineId(pub u32);

/// A version of the Internet Protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    fn speaks(self, address: IpAddr) -> bool {
        match self {
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
        }
    }
}

/// The network that all others are behind.
pub const INTERNET: NetworkId = NetworkId(0);

/// Routers on the way across the internet: a packet with a lower TTL never reaches the other side.
const INTERNET_HOPS: u8 = 8;

/// Hosts that share a link layer.
#[derive(Debug)]
pub struct Network {
    pub(super) delay: Duration,
    pub(super) hops: u8,
    pub(super) gateway: Option<RouterId>,
    ipv6: bool,
    /// Local networks between this one and the internet, itself included.
    depth: u8,
    addresses_given: u16,
}

impl Network {
    pub(super) fn internet(delay: Duration) -> Self {
        Self { delay, hops: INTERNET_HOPS, gateway: None, ipv6: true, depth: 0, addresses_given: 0 }
    }
}

/// The two directions of an access line.
#[derive(Debug)]
pub struct Line {
    pub(super) up: Link,
    pub(super) down: Link,
    /// The most that either queue was ever allowed to hold: a smaller one drains first.
    queue_limit_max: usize,
}

/// A host's attachment to a network.
#[derive(Debug, Clone)]
pub(super) struct Interface {
    pub(super) network: NetworkId,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) line: LineId,
}

/// A machine, or a server.
#[derive(Debug)]
pub struct Host {
    pub(super) interfaces: Vec<Interface>,
    family: Option<Family>,
    pub(super) sockets: BTreeMap<u16, Inbox>,
    pub(super) service: Option<Service>,
    /// Nothing comes in or goes out while it is off.
    pub(super) running: bool,
    pub(super) bytes_up: u64,
    pub(super) bytes_down: u64,
    pub(super) packets_up: u64,
    /// How often its addresses have changed, and who wants to know.
    pub(super) moves: u64,
    pub(super) watchers: Vec<Waker>,
    pub(super) stream_ports_given: u16,
}

/// What came for a socket and was not read yet.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    pub(super) datagrams: VecDeque<(SocketAddr, Vec<u8>)>,
    pub(super) bytes: usize,
    pub(super) reader: Option<Waker>,
}

/// What lies between a local network and another one.
#[derive(Debug)]
pub struct Router {
    pub(super) outer: NetworkId,
    pub(super) inner: NetworkId,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) line: LineId,
    pub(super) nat: Option<Nat>,
    pub(super) firewall: Option<Firewall>,
    /// Nothing passes while it is off.
    pub(super) running: bool,
}

impl World {
    /// A line to be attached to something.
    pub fn add_line(&mut self, up: &LinkConfig, down: &LinkConfig) -> Result<LineId, LinkError> {
        let up = Link::new(up, self.seeds.next_u64())?;
        let down = Link::new(down, self.seeds.next_u64())?;
        let queue_limit_max = up.queue_limit().max(down.queue_limit());
        self.lines.push(Line { up, down, queue_limit_max });
        Ok(LineId(self.lines.len() as u32 - 1))
    }

    /// The line becomes another one; what is under way arrives as before.
    pub fn change_line(&mut self, line: LineId, up: &LinkConfig, down: &LinkConfig) -> Result<(), LinkError> {
        let now = self.now;
        let line = &mut self.lines[line.0 as usize];
        line.up.reconfigure(now, up)?;
        line.down.reconfigure(now, down)
    }

    /// A host at an address of its own in `network`, in each family that is spoken there.
    pub fn add_host(&mut self, network: NetworkId, line: LineId) -> HostId {
        self.hosts.push(Host {
            interfaces: Vec::new(),
            family: None,
            sockets: BTreeMap::new(),
            service: None,
            running: true,
            bytes_up: 0,
            bytes_down: 0,
            packets_up: 0,
            moves: 0,
            watchers: Vec::new(),
            stream_ports_given: 0,
        });
        let host = HostId(self.hosts.len() as u32 - 1);
        self.attach(host, network, line);
        host
    }

    /// A server with two addresses of each family on the internet; `service` gets them and a seed.
    pub fn add_server(&mut self, line: LineId, service: impl FnOnce(&[IpAddr], u64) -> Service) -> HostId {
        let host = self.add_host(INTERNET, line);
        self.attach(host, INTERNET, line);
        let seed = self.seeds.next_u64();
        let service = service(&self.addresses(host), seed);
        self.hosts[host.0 as usize].service = Some(service);
        host
    }

    /// A host speaks only this family from now on, wherever it goes.
    pub fn speak_only(&mut self, id: HostId, family: Family) {
        let host = &mut self.hosts[id.0 as usize];
        host.family = Some(family);
        for interface in &mut host.interfaces {
            interface.addresses.retain(|address| family.speaks(*address));
        }
        self.on_moved(id);
    }

    /// One more interface of a host, used for what its first one does not reach.
    pub fn attach(&mut self, id: HostId, network: NetworkId, line: LineId) {
        let mut addresses = self.fresh_addresses(network);
        let host = &mut self.hosts[id.0 as usize];
        addresses.retain(|address| host.family.is_none_or(|family| family.speaks(*address)));
        host.interfaces.push(Interface { network, addresses, line });
        self.on_moved(id);
    }

    /// The system tells its programs.
    fn on_moved(&mut self, id: HostId) {
        let host = &mut self.hosts[id.0 as usize];
        host.moves += 1;
        if !host.watchers.is_empty() {
            host.watchers.drain(..).for_each(Waker::wake);
            self.woken.insert(id);
        }
    }

    /// A host leaves all its networks for another one, where it gets another address; its sockets stay.
    pub fn roam(&mut self, host: HostId, network: NetworkId, line: LineId) {
        self.hosts[host.0 as usize].interfaces.clear();
        self.attach(host, network, line);
    }

    /// A local network, whose router has an address in `outer`; with `ipv6` its hosts have public addresses too.
    pub fn add_lan(
        &mut self,
        outer: NetworkId,
        line: LineId,
        nat: Option<&NatConfig>,
        firewall: Option<&FirewallConfig>,
        ipv6: bool,
    ) -> (NetworkId, RouterId) {
        let inner = NetworkId(self.networks.len() as u32);
        let router = RouterId(self.routers.len() as u32);
        let depth = self.networks[outer.0 as usize].depth + 1;
        let gateway = Some(router);
        let delay = Duration::ZERO;
        self.networks.push(Network { delay, hops: 0, gateway, ipv6, depth, addresses_given: 0 });
        let addresses = self.fresh_addresses(outer);
        let seed = self.seeds.next_u64();
        let outside = addresses.iter().copied().filter(IpAddr::is_ipv4).collect();
        let nat = nat.map(|config| Nat::new(config, outside, seed));
        let firewall = firewall.map(Firewall::new);
        self.routers.push(Router { outer, inner, addresses, line, nat, firewall, running: true });
        (inner, router)
    }

    /// Switches a router on or off; what it remembered is gone with [`World::reboot_router`] only.
    pub fn set_router_running(&mut self, router: RouterId, running: bool) {
        self.routers[router.0 as usize].running = running;
    }

    /// A router starts anew and remembers nothing; with `renumber` it has another address.
    pub fn reboot_router(&mut self, router: RouterId, renumber: bool) {
        let outer = self.routers[router.0 as usize].outer;
        let fresh = renumber.then(|| self.fresh_addresses(outer));
        let now = self.now;
        let router = &mut self.routers[router.0 as usize];
        if let Some(firewall) = &mut router.firewall {
            firewall.reboot();
        }
        if let Some(nat) = &mut router.nat {
            nat.reboot(now);
            if let Some(addresses) = &fresh {
                nat.renumber(now, addresses.iter().copied().filter(IpAddr::is_ipv4).collect());
            }
        }
        if let Some(addresses) = fresh {
            router.addresses = addresses;
        }
    }

    /// A server starts anew and remembers nothing.
    pub fn reboot_server(&mut self, host: HostId) {
        self.forget_streams(host);
        if let Some(service) = &mut self.hosts[host.0 as usize].service {
            service.restart();
        }
    }

    /// Switches a host on or off: off, nothing comes in or goes out, and nobody reads its sockets.
    pub fn set_running(&mut self, host: HostId, running: bool) {
        self.hosts[host.0 as usize].running = running;
    }

    /// Closes all sockets of a host, as the system does when a program dies.
    pub fn close_sockets(&mut self, host: HostId) {
        self.hosts[host.0 as usize].sockets.clear();
    }

    /// The addresses of a host, those of its first interface first.
    pub fn addresses(&self, host: HostId) -> Vec<IpAddr> {
        self.hosts[host.0 as usize].interfaces.iter().flat_map(|i| i.addresses.iter().copied()).collect()
    }

    /// Bytes a host sent and received, with all headers from IP on.
    pub fn traffic(&self, host: HostId) -> (u64, u64) {
        let host = &self.hosts[host.0 as usize];
        (host.bytes_up, host.bytes_down)
    }

    /// Packets that a host sent.
    pub fn packets_sent(&self, host: HostId) -> u64 {
        self.hosts[host.0 as usize].packets_up
    }

    /// Breaches of the bounds that every queue and table has, in words.
    pub fn overgrown(&mut self) -> Vec<String> {
        let now = self.now;
        let mut found = Vec::new();
        for (number, line) in self.lines.iter_mut().enumerate() {
            let limit = line.queue_limit_max.max(line.up.queue_limit()).max(line.down.queue_limit());
            line.queue_limit_max = limit;
            for (link, way) in [(&mut line.up, "up"), (&mut line.down, "down")] {
                let held = link.queued_bytes(now);
                if held > limit {
                    found.push(format!("line {number} {way} holds {held} bytes of {limit}"));
                }
            }
        }
        for (number, host) in self.hosts.iter().enumerate() {
            if let Some(inbox) = host.sockets.values().find(|inbox| inbox.bytes > super::RECEIVE_BUFFER_BYTES)
            {
                found.push(format!("a socket of host {number} holds {} bytes", inbox.bytes));
            }
        }
        found
    }

    /// Addresses that nobody else in this network has: RFC 2544's benchmarking block on the internet, and in local
    /// networks what home routers give out, the same ones in each.
    fn fresh_addresses(&mut self, network: NetworkId) -> Vec<IpAddr> {
        let net = &mut self.networks[network.0 as usize];
        net.addresses_given += 1;
        let [high, low] = (net.addresses_given + 1).to_be_bytes();
        let v4 = match net.depth {
            0 => Ipv4Addr::new(198, 18, high, low),
            depth => Ipv4Addr::new(192, 168, depth, low),
        };
        let mut addresses = vec![IpAddr::V4(v4)];
        if net.ipv6 {
            // RFC 3849.
            let prefix = [0x2001, 0xdb8, network.0 as u16];
            let host = net.addresses_given + 1;
            addresses.push(Ipv6Addr::new(prefix[0], prefix[1], prefix[2], 0, 0, 0, 0, host).into());
        }
        addresses
    }
}
