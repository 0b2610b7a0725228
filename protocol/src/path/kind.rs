//! What sort of way a route is.

use super::Route;
use std::fmt;
use std::net::IpAddr;

/// What sort of way a route is; the smaller the better.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// Within one local network.
    Lan,
    /// From one side to the other over the internet.
    Direct,
    /// Through a TURN server of either side.
    Relayed,
}

impl Kind {
    /// What sort of way a route is. `own`: our address on it as the network knows us, if told; without it an
    /// address that only has a meaning in a local network is taken for one of ours. `peer_relayed`: the peer
    /// told `route.to` as its address on a TURN server.
    pub fn of(route: Route, own: Option<IpAddr>, peer_relayed: bool) -> Self {
        if route.is_relayed() || peer_relayed {
            Self::Relayed
        } else if is_local(route.to.ip()) && own.is_none_or(is_local) {
            Self::Lan
        } else {
            Self::Direct
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lan => "local network",
            Self::Direct => "direct",
            Self::Relayed => "relayed",
        })
    }
}

/// Private (RFC 1918), link-local, unique local (RFC 4193) or loopback. Addresses shared by a carrier's
/// customers (RFC 6598) are not: two of them may be in different cities.
fn is_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => v4.is_private() || v4.is_link_local() || v4.is_loopback(),
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_unicast_link_local() || v6.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::{RelayId, Via};

    fn to(address: &str) -> Route {
        Route::direct(address.parse().unwrap())
    }

    #[test]
    fn a_route_is_local_only_when_both_ends_are() {
        let own: IpAddr = "192.168.1.4".parse().unwrap();
        let public: IpAddr = "203.0.113.4".parse().unwrap();
        for local in
            ["10.1.2.3:5", "192.168.1.9:5", "169.254.3.3:5", "[fd00::3]:5", "[fe80::1]:5", "127.0.0.1:5"]
        {
            assert_eq!(Kind::of(to(local), Some(own), false), Kind::Lan, "{local}");
            assert_eq!(Kind::of(to(local), None, false), Kind::Lan, "{local}");
            assert_eq!(Kind::of(to(local), Some(public), false), Kind::Direct, "{local}");
        }
        for far in ["100.64.0.9:5", "203.0.113.9:5", "[2001:db8::1]:5"] {
            assert_eq!(Kind::of(to(far), Some(own), false), Kind::Direct, "{far}");
        }
    }

    #[test]
    fn either_sides_turn_server_makes_a_route_relayed() {
        let local = to("10.1.2.3:5");
        assert_eq!(Kind::of(local, None, true), Kind::Relayed);
        assert_eq!(Kind::of(Route { via: Via::Relay(RelayId(0)), ..local }, None, false), Kind::Relayed);
    }
}
