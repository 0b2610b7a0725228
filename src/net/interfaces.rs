//! The addresses of this machine at which others may reach us.

use protocol::limits::CANDIDATES_MAX;
use std::net::{IpAddr, SocketAddr};

/// Addresses for a ticket, best first: those of the interfaces, with the socket's port. A socket bound to one
/// address has only that. Loopback addresses count only where there is nothing else, so that two people on
/// one machine without a network can still talk.
pub fn addresses(local: SocketAddr) -> Vec<SocketAddr> {
    if !local.ip().is_unspecified() {
        return vec![local];
    }
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let all: Vec<IpAddr> =
        interfaces.iter().map(if_addrs::Interface::ip).filter(|ip| local.is_ipv6() || ip.is_ipv4()).collect();
    let mut usable: Vec<IpAddr> =
        all.iter().copied().filter(|ip| !ip.is_loopback() && !is_link_local(*ip)).collect();
    if usable.is_empty() {
        usable = all.into_iter().filter(IpAddr::is_loopback).collect();
    }
    usable.sort_by_key(|ip| (rank(*ip), *ip));
    usable.dedup();
    usable.into_iter().take(CANDIDATES_MAX).map(|ip| SocketAddr::new(ip, local.port())).collect()
}

/// Whether packets to this address stay in one local network or machine.
pub fn is_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
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
    use super::addresses;
    use std::net::SocketAddr;

    #[test]
    fn a_bound_address_is_the_only_candidate() {
        let local: SocketAddr = "127.0.0.1:4700".parse().expect("an address");
        assert_eq!(addresses(local), [local]);
    }

    #[test]
    fn an_open_socket_has_at_least_one_candidate_with_its_port() {
        let found = addresses("[::]:4711".parse().expect("an address"));
        assert!(!found.is_empty() && found.iter().all(|a| a.port() == 4711 && !a.ip().is_unspecified()));
    }
}
