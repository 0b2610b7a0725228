//! The addresses of this machine at which others may reach us.
//!
//! Dropped: addresses that are about to go or not yet there (deprecated or tentative, RFC 4862), bridges that only join
//! virtual machines or containers, and all but two addresses of a family on an interface. A temporary IPv6 address
//! (RFC 8981) goes before the lasting one, which would be the same in every call. Tunnels stay: a VPN may be the only
//! network that two friends share.

use super::routes::default_routes;
use protocol::limits::CANDIDATES_MAX;
use protocol::local::is_local;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// Addresses of one family that one interface may add. More lead to the same place.
const PER_INTERFACE_MAX: usize = 2;

/// Addresses at which others may reach a socket, best first: those of the interfaces, with the socket's port. A socket
/// bound to one address has only that. Loopback addresses count only where there is nothing else, so that two people
/// on one machine without a network can still talk.
pub fn usable(socket: SocketAddr, interfaces: Vec<IpAddr>) -> Vec<SocketAddr> {
    if !socket.ip().is_unspecified() {
        return vec![socket];
    }
    let mut all: Vec<IpAddr> = Vec::new();
    for ip in interfaces {
        if (socket.is_ipv6() || ip.is_ipv4()) && !all.contains(&ip) {
            all.push(ip);
        }
    }
    let mut usable: Vec<IpAddr> =
        all.iter().copied().filter(|ip| !ip.is_loopback() && !is_link_local(*ip)).collect();
    if usable.is_empty() {
        usable = all.into_iter().filter(IpAddr::is_loopback).collect();
    }
    usable.sort_by_key(|ip| rank(*ip));
    usable.into_iter().take(CANDIDATES_MAX).map(|ip| SocketAddr::new(ip, socket.port())).collect()
}

/// The addresses that are worth something, best first on each interface.
pub(super) fn of_this_machine() -> Vec<IpAddr> {
    let states = std::fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap_or_default();
    let states = read_states(&states);
    let routes = default_routes();
    let found =
        if_addrs::get_if_addrs().unwrap_or_default().into_iter().map(|one| (one.name.clone(), one.ip()));
    // A bridge that leads out is the machine's own way; the others join what runs on this machine.
    let is_inner = |name: &str| {
        let bridge = Path::new("/sys/class/net").join(name).join("bridge").exists();
        bridge && !routes.iter().any(|route| route.interface == name)
    };
    select(found.collect(), &states, is_inner)
}

/// What the kernel says of an IPv6 address (bits of `/proc/net/if_inet6`, see rtnetlink(7)).
const TEMPORARY: u32 = 0x01;
const DUPLICATE: u32 = 0x08;
const DEPRECATED: u32 = 0x20;
const TENTATIVE: u32 = 0x40;

fn read_states(table: &str) -> BTreeMap<Ipv6Addr, u32> {
    let read = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [address, _, _, _, flags, _] = fields[..] else { return None };
        let address = Ipv6Addr::from(u128::from_str_radix(address, 16).ok()?);
        Some((address, u32::from_str_radix(flags, 16).ok()?))
    };
    table.lines().filter_map(read).collect()
}

fn select(
    found: Vec<(String, IpAddr)>,
    states: &BTreeMap<Ipv6Addr, u32>,
    is_inner: impl Fn(&str) -> bool,
) -> Vec<IpAddr> {
    let state = |ip: &IpAddr| match ip {
        IpAddr::V4(_) => 0,
        IpAddr::V6(v6) => states.get(v6).copied().unwrap_or_default(),
    };
    let mut kept: Vec<(String, IpAddr)> =
        found.into_iter().filter(|(_, ip)| state(ip) & (DUPLICATE | DEPRECATED | TENTATIVE) == 0).collect();
    // One that leads nowhere is better than none.
    if kept.iter().any(|(name, ip)| !is_inner(name) && !ip.is_loopback() && !is_link_local(*ip)) {
        kept.retain(|(name, _)| !is_inner(name));
    }
    kept.sort_by_key(|(_, ip)| state(ip) & TEMPORARY == 0);
    let mut counts: BTreeMap<(String, bool), usize> = BTreeMap::new();
    let fits = |(name, ip): (String, IpAddr)| {
        // Link-local ones are nobody's candidates and take no one's place.
        let count = counts.entry((name, ip.is_ipv4())).or_default();
        *count += usize::from(!is_link_local(ip));
        (*count <= PER_INTERFACE_MAX).then_some(ip)
    };
    kept.into_iter().filter_map(fits).collect()
}

/// A link-local IPv6 address means nothing without its interface, which differs on every machine.
fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// Public before private; all of them are tried at once, so the order only matters where they are cut.
fn rank(ip: IpAddr) -> u8 {
    if is_local(ip) { 1 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::{read_states, select, usable};
    use std::net::{IpAddr, SocketAddr};

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().expect("an address")).collect()
    }

    fn socket(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn on(interface: &str, texts: &[&str]) -> Vec<(String, IpAddr)> {
        ips(texts).into_iter().map(|ip| (interface.to_owned(), ip)).collect()
    }

    #[test]
    fn a_bound_address_is_the_only_candidate() {
        let bound = socket("127.0.0.1:4700");
        assert_eq!(usable(bound, ips(&["192.0.2.1"])), [bound]);
    }

    #[test]
    fn an_open_socket_has_its_interfaces_public_ones_first() {
        let interfaces = ips(&["127.0.0.1", "fe80::1", "10.0.0.2", "192.0.2.1", "10.0.0.2"]);
        let found = usable(socket("[::]:4711"), interfaces);
        assert_eq!(found, [socket("192.0.2.1:4711"), socket("10.0.0.2:4711")]);
        assert_eq!(usable(socket("0.0.0.0:1"), ips(&["::1", "127.0.0.1"])), [socket("127.0.0.1:1")]);
    }

    #[test]
    fn the_temporary_address_goes_first_and_those_that_come_or_go_are_not_told() {
        let line = |last: &str, flags: &str| {
            format!("20010db800000000000000000000000{last} 02 40 00 {flags}     eth0\n")
        };
        let table =
            [line("1", "80"), line("2", "01"), line("3", "21"), line("4", "40"), line("5", "08")].concat();
        let found = on("eth0", &["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4", "2001:db8::5"]);
        let kept = select(found, &read_states(&table), |_| false);
        assert_eq!(kept, ips(&["2001:db8::2", "2001:db8::1"]));
    }

    #[test]
    fn one_interface_cannot_take_all_places() {
        let mut found = on("eth0", &["10.0.0.1", "10.0.0.2", "10.0.0.3", "fe80::1", "2001:db8::1"]);
        found.extend(on("tun0", &["10.8.0.1"]));
        let kept = select(found, &Default::default(), |_| false);
        assert_eq!(kept, ips(&["10.0.0.1", "10.0.0.2", "fe80::1", "2001:db8::1", "10.8.0.1"]));
    }

    #[test]
    fn a_bridge_of_containers_counts_only_where_there_is_nothing_else() {
        let mut found = on("docker0", &["172.17.0.1"]);
        found.extend(on("lo", &["127.0.0.1"]));
        let is_inner = |name: &str| name == "docker0";
        assert_eq!(select(found.clone(), &Default::default(), is_inner), ips(&["172.17.0.1", "127.0.0.1"]));
        found.extend(on("wlan0", &["192.168.1.2"]));
        assert_eq!(select(found, &Default::default(), is_inner), ips(&["127.0.0.1", "192.168.1.2"]));
    }
}
