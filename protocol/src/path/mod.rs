//! Which ways lead to a peer, and which of them its datagrams take now.
//!
//! [`PathSet`] chooses; whoever checks the routes ([`crate::ice`]) tells it what answers, and the socket asks it
//! for each datagram.

mod kind;
mod measure;
mod pulse;
mod reason;
mod rotation;
mod route;
mod set;
mod slots;

pub use kind::Kind;
pub use reason::{Change, Reason};
pub use route::{RelayId, Route, Via};
pub use set::{Counters, PathSet};

#[cfg(test)]
mod pair;
#[cfg(test)]
mod pair_tests;
