//! Which addresses a peer may name.

use std::net::{IpAddr, SocketAddr};

/// Whether an address can be somebody's: not unspecified, multicast, broadcast, link-local (which means nothing on
/// another machine), reserved, or port 0. Loopback only where we are reached by it ourselves.
pub(super) fn is_plausible(address: SocketAddr, loopback: bool) -> bool {
    let possible = match address.ip() {
        IpAddr::V4(ip) => {
            let [first, ..] = ip.octets();
            first != 0 && first < 240 && !ip.is_multicast() && !ip.is_link_local()
        }
        IpAddr::V6(ip) => {
            !ip.is_unspecified()
                && !ip.is_multicast()
                && !ip.is_unicast_link_local()
                && ip.to_ipv4_mapped().is_none()
        }
    };
    possible && address.port() != 0 && (loopback || !address.ip().is_loopback())
}
