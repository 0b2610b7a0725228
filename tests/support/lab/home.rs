//! A home: hosts in a LAN, and the router or routers between them and the internet.
//!
//! All LANs are 192.168.1.0/24, as in the world outside: an address of somebody else's LAN may look like one of
//! ours, though no two hosts have the same. An open home has no LAN: its only host is on the internet itself.

use super::{HOME_DELAY, Nat, internet::Line, namespace::Namespace};
use std::{net::Ipv4Addr, sync::Mutex};

/// The carrier's side of a home behind two NATs (RFC 6598).
const CARRIER: &str = "100.64.0.1";
const SUBSCRIBER: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 2);

/// A router in its LAN.
const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);

/// A home.
pub(crate) struct Home {
    pub(crate) nat: Nat,
    pub(super) number: usize,
    /// Where programs run.
    pub(crate) hosts: Vec<Namespace>,
    /// From the LAN outwards.
    pub(crate) routers: Vec<Namespace>,
    /// The last byte of the public address.
    last: Mutex<u8>,
}

impl Home {
    pub(super) fn build(prefix: &str, number: usize, nat: Nat, hosts: usize) -> (Self, Line) {
        let name = |what: &str| format!("{prefix}-{what}{number}");
        let outside = outside(number, 1);
        let mut home = Self { nat, number, hosts: Vec::new(), routers: Vec::new(), last: Mutex::new(1) };
        let tun = match nat {
            Nat::Open => {
                assert_eq!(hosts, 1, "an open home has no LAN");
                home.hosts.push(Namespace::create(&name("host")));
                let host = &home.hosts[0];
                let tun = host.tun("wan");
                host.ip(&format!(
                    "addr add {outside}/32 dev wan\nlink set wan up\nroute add default dev wan"
                ));
                tun
            }
            Nat::Cgnat => {
                let router = lan(&mut home, &name("router"), &name("host"), hosts);
                let carrier = Namespace::create(&name("carrier"));
                carrier.ip(&format!("link add lan type veth peer name wan netns {}", router.name));
                carrier.ip(&format!("addr add {CARRIER}/24 dev lan\nlink set lan up"));
                router.ip(&format!("addr add {SUBSCRIBER}/24 dev wan\nlink set wan up"));
                router.ip(&format!("route add default via {CARRIER}"));
                router.nft(&nat.rules());
                let tun = wan(&carrier, outside);
                carrier.nft(&nat.rules());
                home.routers = vec![router, carrier];
                tun
            }
            Nat::FullCone
            | Nat::AddressRestricted
            | Nat::PortRestricted
            | Nat::SymmetricRandom
            | Nat::SymmetricSequential
            | Nat::UdpBlocked
            | Nat::OnlyTls
            | Nat::Leaky => {
                let router = lan(&mut home, &name("router"), &name("host"), hosts);
                let tun = wan(&router, outside);
                router.nft(&nat.rules());
                home.routers = vec![router];
                tun
            }
        };
        let line = Line { tun, delay: HOME_DELAY, addresses: vec![outside] };
        (home, line)
    }

    /// The namespace of its first, and mostly only, host.
    pub(crate) fn host(&self) -> &Namespace {
        &self.hosts[0]
    }

    /// Its address on the internet.
    pub(crate) fn outside(&self) -> Ipv4Addr {
        outside(self.number, *self.last.lock().expect("nobody panics with it"))
    }

    /// Takes another public address in place of the old one; returns both.
    ///
    /// Behind a router the next packet leaves with the new address, as the kernel forgets what it masqueraded
    /// with one that goes.
    pub(super) fn renumber(&self) -> (Ipv4Addr, Ipv4Addr) {
        let mut last = self.last.lock().expect("nobody panics with it");
        let (old, new) = (outside(self.number, *last), outside(self.number, *last + 1));
        *last += 1;
        let router = self.routers.last().unwrap_or(&self.hosts[0]);
        // The default route is the device's, so it stays.
        router.ip(&format!("addr add {new}/32 dev wan\naddr del {old}/32 dev wan"));
        (old, new)
    }

    /// Another address in the LAN for its first host, as from another DHCP lease.
    pub(crate) fn renumber_host(&self) {
        assert!(self.nat != Nat::Open, "an open home's host has the public address");
        let (old, new) = (inside(self.number, 0), Ipv4Addr::new(192, 168, 1, 200 + self.number as u8));
        // The subnet's first address takes the others and the route with it.
        self.hosts[0].ip(&format!(
            "addr del {old}/24 dev eth0\naddr add {new}/24 dev eth0\nroute add default via {ROUTER}"
        ));
    }
}

fn outside(number: usize, last: u8) -> Ipv4Addr {
    Ipv4Addr::new(11, 0, u8::try_from(number).expect("a lab has few homes"), last)
}

fn inside(number: usize, host: usize) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 1, u8::try_from(10 + 4 * number + host).expect("a lab has few homes"))
}

/// Builds a router's LAN with its hosts: a switch, and a cable to each.
fn lan(home: &mut Home, router_name: &str, host_name: &str, hosts: usize) -> Namespace {
    let router = Namespace::create(router_name);
    router.set("net/ipv4/ip_forward", "1");
    router.ip(&format!("link add lan type bridge\naddr add {ROUTER}/24 dev lan\nlink set lan up"));
    for index in 0..hosts {
        let suffix = if index == 0 { String::new() } else { format!("-{}", index + 1) };
        let host = Namespace::create(&format!("{host_name}{suffix}"));
        router.ip(&format!(
            "link add port{index} type veth peer name eth0 netns {}\n\
             link set port{index} master lan up",
            host.name
        ));
        let address = inside(home.number, index);
        host.ip(&format!("addr add {address}/24 dev eth0\nlink set eth0 up\nroute add default via {ROUTER}"));
        home.hosts.push(host);
    }
    router
}

/// A router's line to the internet.
fn wan(router: &Namespace, address: Ipv4Addr) -> std::os::fd::OwnedFd {
    router.set("net/ipv4/ip_forward", "1");
    let tun = router.tun("wan");
    router.ip(&format!("addr add {address}/32 dev wan\nlink set wan up\nroute add default dev wan"));
    tun
}
