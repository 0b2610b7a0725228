//! Roundtable: a group voice call between friends, peer to peer, with no server of its own.

pub mod audio;
pub mod cli;
pub mod config;
pub mod doctor;
pub mod net;
#[cfg(feature = "relay")]
pub mod relay;
pub mod session;
pub mod voice;
