//! The ways to somebody that are tried at once.

use crate::net::connectivity::Connectivity;
use protocol::path::Route;
use protocol::reach::{Reach, RelayedReach};
use std::fmt;
use std::net::SocketAddr;

/// One of them.
#[derive(Debug, Clone)]
pub enum Way {
    /// Straight to an address.
    Direct(SocketAddr),
    /// From an allocation of ours to one of theirs on the same TURN server.
    Relayed(RelayedReach),
}

impl Way {
    /// The route, once there is one; why there is none, in words.
    pub async fn route(&self, connectivity: &Connectivity) -> Result<Route, String> {
        match self {
            Self::Direct(address) => Ok(Route::direct(*address)),
            Self::Relayed(to) => {
                let route = connectivity.relay_route(to.clone()).await;
                route.map_err(|error| format!("{error}; {}", error.hint()))
            }
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct(address) => address.fmt(f),
            Self::Relayed(relay) => write!(f, "{} (relayed)", relay.address),
        }
    }
}

/// All ways that a reach offers us. Who wants to be hidden goes through relays only.
pub fn ways(connectivity: &Connectivity, reach: Reach) -> Vec<Way> {
    let direct = reach.addresses.into_iter().filter(|_| !connectivity.is_relay_only()).map(Way::Direct);
    direct.chain(reach.relays.into_iter().map(Way::Relayed)).collect()
}
