//! Which ways lead to a peer, and which of them its datagrams take now.

mod reason;
mod route;
mod set;

pub use reason::{Change, Kind, Reason};
pub use route::{RelayId, Route, Via};
pub use set::PathSet;
