//! From this machine to the others: sockets, paths, QUIC, and the tasks of each peer.
//!
//! One UDP socket carries everything. QUIC sees each peer under a *virtual* address that never changes
//! ([`paths`]); the socket ([`socket`]) maps it to wherever the peer really is, so that a change of path is
//! invisible to the connection. [`link`] turns an authenticated connection into frames and messages.

mod changes;
pub mod congestion;
pub mod connectivity;
pub mod entrance;
pub mod handshake;
pub mod interfaces;
pub mod lan;
pub mod link;
pub mod node;
pub mod paths;
pub mod platform;
pub mod port_mapping;
pub mod random;
pub mod relays;
pub mod routes;
pub mod socket;
#[cfg(all(test, target_os = "linux"))]
mod testing;
pub mod tls;
pub mod udp;
