//! What a router remembers: mappings and sessions, whom they serve, and how long they live.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::{Behaviour, NatConfig, Transport};

/// The remotes that a mapping serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    All,
    Address(IpAddr),
    Endpoint(SocketAddr),
}

#[derive(Debug)]
pub(super) struct Mapping {
    pub(super) transport: Transport,
    pub(super) inside: SocketAddr,
    pub(super) external: SocketAddr,
    pub(super) scope: Scope,
    pub(super) replied: bool,
    /// When it is forgotten however busy.
    pub(super) end: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) replied: bool,
}

pub(super) fn scope(mapping: Behaviour, to: SocketAddr) -> Scope {
    match mapping {
        Behaviour::EndpointIndependent => Scope::All,
        Behaviour::AddressDependent => Scope::Address(to.ip()),
        Behaviour::AddressAndPortDependent => Scope::Endpoint(to),
    }
}

/// What the filter remembers of a remote; nothing if it lets in everybody.
pub(super) fn remote(filtering: Behaviour, remote: SocketAddr) -> Option<SocketAddr> {
    match filtering {
        Behaviour::EndpointIndependent => None,
        Behaviour::AddressDependent => Some(SocketAddr::new(remote.ip(), 0)),
        Behaviour::AddressAndPortDependent => Some(remote),
    }
}

pub(super) fn timeout(config: &NatConfig, transport: Transport, replied: bool) -> Duration {
    secs(match (transport, replied) {
        (Transport::Udp, false) => config.udp_first_timeout_s.unwrap_or(config.udp_timeout_s),
        (Transport::Udp, true) => config.udp_timeout_s,
        (Transport::Tcp, _) => config.tcp_timeout_s,
    })
}

pub(super) fn expiry(config: &NatConfig, now: Duration, mapping: &Mapping) -> Duration {
    let idle = now + timeout(config, mapping.transport, mapping.replied);
    mapping.end.map_or(idle, |end| end.min(idle))
}

pub(super) fn secs(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds))
}
