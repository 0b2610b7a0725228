//! Addresses that belong to some local network.

use std::net::IpAddr;

/// Whether packets to this address stay in one local network or machine.
pub fn is_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// Whether we may be in the local network that an address belongs to. We do not know the masks of others: /24 and /64 are
/// what nearly every network has. In larger ones a server sees both members at the same address (`same_outside`).
pub fn is_near(address: IpAddr, ours: IpAddr, same_outside: bool) -> bool {
    match (address, ours) {
        (IpAddr::V4(address), IpAddr::V4(ours)) => {
            let shift = if same_outside { 16 } else { 8 };
            address.to_bits() >> shift == ours.to_bits() >> shift
        }
        (IpAddr::V6(address), IpAddr::V6(ours)) => address.to_bits() >> 64 == ours.to_bits() >> 64,
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}
