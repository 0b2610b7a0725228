//! Whole calls in virtual time: the real session, QUIC, Opus, jitter buffer and mixer over simulated networks.
//!
//! The same seed and build give the same run, packet for packet.

pub mod judge;
pub mod link;
pub mod nat;
pub mod replay;
pub mod servers;
