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

/// Whether an address belongs to some local network.
pub(super) fn is_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_loopback() || ip.is_unicast_link_local(),
    }
}

/// Whether we may be in the local network that an address belongs to. We do not know the masks of others: /24 and /64 are
/// what nearly every network has. In larger ones a server sees both members at the same address.
pub(super) fn is_near(address: IpAddr, ours: IpAddr, same_outside: bool) -> bool {
    match (address, ours) {
        (IpAddr::V4(address), IpAddr::V4(ours)) => {
            let shift = if same_outside { 16 } else { 8 };
            address.to_bits() >> shift == ours.to_bits() >> shift
        }
        (IpAddr::V6(address), IpAddr::V6(ours)) => address.to_bits() >> 64 == ours.to_bits() >> 64,
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}
