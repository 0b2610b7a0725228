//! NATs against RFC 4787's text, and what two of them let two hosts do.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use netsim::nat::{Nat, NatConfig};

mod properties;
mod punching;
mod rfc4787;
mod routers;

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A router with one external address.
fn nat(config: &NatConfig) -> Nat {
    Nat::new(config, vec![ip("203.0.113.1")], 1)
}
