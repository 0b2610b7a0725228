//! The simulated STUN and TURN servers, spoken to by a small client of these tests.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::time::Duration;

mod client;
mod garbage;
mod over_tcp;
mod relaying;
mod requests;
mod stun;

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
