//! Whole calls in virtual time: the real session, QUIC, Opus, jitter buffer and mixer over simulated networks.
//!
//! The same seed and build give the same run, packet for packet.

pub mod call;
pub mod cli;
pub mod judge;
pub mod link;
pub mod nat;
pub mod outcome;
pub mod replay;
pub mod report;
pub mod scenario;
pub mod servers;
pub mod world;
