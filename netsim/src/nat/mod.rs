//! Network address translation by RFC 4787, and firewalls.
//!
//! A [`Nat`] is a pure machine: packets' addresses and the time go in, the translated address or the reason of
//! the drop comes out. How it maps, filters, numbers its ports and forgets is data, a [`NatConfig`], and every
//! part of that is independent of the others; [`kind`] gives the combinations that have names. A [`Firewall`]
//! translates nothing and only says yes or no.
//!
//! Left out: port parity and contiguity (RFC 4787 REQ-4 and section 4.2.3; nobody needs RTCP at port + 1 any
//! more), conflicting inside and outside networks (REQ-7), application gateways (REQ-10), ICMP and fragments
//! (REQ-12 to REQ-14: simulated packets are never fragmented), and TCP's states: a TCP mapping ages like a UDP
//! one, only with a timer of its own.

mod aging;
mod config;
mod firewall;
mod kinds;
mod mapping;
mod ports;
mod router;

use serde::Deserialize;
use thiserror::Error;

pub use config::{Behaviour, NatConfig, Pooling, PortAssignment, PortRange, PortRangeError};
pub use firewall::{Firewall, FirewallConfig, TcpPolicy, UdpPolicy};
pub use kinds::{KINDS, kind};
pub use router::Nat;

/// What a packet travels by; each transport has ports, mappings and states of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A stream; only the packets' addresses matter here.
    Tcp,
}

/// Why a NAT did not pass a packet on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Error)]
#[non_exhaustive]
pub enum Dropped {
    /// The NAT has no external address of the packet's family.
    #[error("no external address of that family")]
    NoExternalAddress,
    /// Mappings or sessions are at their limit; those that exist go on working.
    #[error("translation table full")]
    TableFull,
    /// No external port (of the host's block, where there are blocks) is free.
    #[error("no free external port")]
    PortsExhausted,
    /// Nothing inside owns that external port.
    #[error("no mapping for that port")]
    NoMapping,
    /// The port is mapped but its filter does not let this sender in.
    #[error("filtered")]
    Filtered,
    /// A leaky router took the packet as meant for itself, and remembers it.
    #[error("taken in by the router itself")]
    IntoRouter,
    /// From inside to the NAT's own external address, and the NAT does not hairpin.
    #[error("no hairpinning")]
    NoHairpin,
}
