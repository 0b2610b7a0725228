//! Addresses at which a member may be reached, and what is known of the NAT in front of them.

use crate::path::Via;
use std::net::SocketAddr;

/// Where an address comes from (RFC 8445, section 5.1.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CandidateKind {
    /// An interface's own, or one that a port mapping promised.
    Host,
    /// As a STUN server saw it.
    ServerReflexive,
    /// As a check revealed it.
    PeerReflexive,
    /// On a TURN server.
    Relayed,
}

/// One address of ours, and from where to send so that it is the one seen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Candidate {
    /// Where it comes from.
    pub kind: CandidateKind,
    /// The address that peers are told.
    pub address: SocketAddr,
    /// What datagrams for it are sent from.
    pub via: Via,
}

/// How a NAT chooses the outside port for a new destination (RFC 4787, section 4.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Mapping {
    /// Not known (yet).
    #[default]
    Unknown,
    /// There is no NAT: the address is our own.
    None,
    /// The same port for every destination.
    EndpointIndependent,
    /// Another port for each destination: ports follow each other by this step.
    Sequential {
        /// From one mapping to the next; never 0.
        step: i16,
    },
    /// Another port for each destination, none foreseeable.
    Random,
}

/// What a member knows of the NAT in front of it, for one address family.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct NatReport {
    /// How it chooses ports.
    pub mapping: Mapping,
    /// The outside address of the newest mapping: where predicted ports continue from.
    pub newest: Option<SocketAddr>,
}
