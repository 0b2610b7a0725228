//! The addresses of this machine at which others may reach us.

use protocol::limits::CANDIDATES_MAX;
use protocol::local::is_local;
use std::net::{IpAddr, SocketAddr};

/// Addresses at which others may reach a socket, best first: those of the interfaces, with the socket's port. A socket
/// bound to one address has only that. Loopback addresses count only where there is nothing else, so that two people
/// on one machine without a network can still talk.
pub fn usable(socket: SocketAddr, interfaces: Vec<IpAddr>) -> Vec<SocketAddr> {
    if !socket.ip().is_unspecified() {
        return vec![socket];
    }
    let all: Vec<IpAddr> = interfaces.into_iter().filter(|ip| socket.is_ipv6() || ip.is_ipv4()).collect();
    let mut usable: Vec<IpAddr> =
        all.iter().copied().filter(|ip| !ip.is_loopback() && !is_link_local(*ip)).collect();
    if usable.is_empty() {
        usable = all.into_iter().filter(IpAddr::is_loopback).collect();
    }
    usable.sort_by_key(|ip| (rank(*ip), *ip));
    usable.dedup();
    usable.into_iter().take(CANDIDATES_MAX).map(|ip| SocketAddr::new(ip, socket.port())).collect()
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
    use super::usable;
    use std::net::{IpAddr, SocketAddr};

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().expect("an address")).collect()
    }

    fn socket(text: &str) -> SocketAddr {
        text.parse().expect("an address")
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
}
