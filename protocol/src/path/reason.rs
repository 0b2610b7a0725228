//! Why a peer is reached the way it is, in words for the one who looks at the screen.

use super::{Kind, Route};
use std::fmt;
use std::time::Duration;

/// Why the active route is the active one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// It is the one that first contact came by.
    First(Kind),
    /// Both are on one local network.
    SameNetwork,
    /// The call was relayed until a direct path answered.
    DirectFound,
    /// There was a direct path before, and it answers again.
    DirectBack,
    /// A path of this kind stopped answering; another of the kind beside it took over.
    Stopped {
        /// Of the path that was left.
        left: Kind,
        /// Of the one in use now.
        now: Kind,
    },
    /// By how much its round trip is shorter than that of the path left.
    ShorterRoundTrip(Duration),
    /// It loses fewer datagrams.
    LessLoss,
    /// The other side chose it, or went there first.
    OtherSide,
    /// The other side is reached at another address now.
    AddressChanged,
    /// A NAT forgets ports though they are in use: a fresh one in good time.
    FreshPort,
    /// The path changed to did not carry the call: back to the one before.
    DidNotCarry,
}

impl Reason {
    /// A stable word for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::First(_) => "first_contact",
            Self::SameNetwork => "same_network",
            Self::DirectFound => "direct_found",
            Self::DirectBack => "direct_back",
            Self::Stopped { .. } => "path_stopped",
            Self::ShorterRoundTrip(_) => "shorter_round_trip",
            Self::LessLoss => "less_loss",
            Self::OtherSide => "other_side",
            Self::AddressChanged => "address_changed",
            Self::FreshPort => "fresh_port",
            Self::DidNotCarry => "did_not_carry",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First(Kind::Lan) | Self::SameNetwork => f.write_str("same local network"),
            Self::First(Kind::Direct) => f.write_str("reached directly at once"),
            Self::First(Kind::Relayed) => f.write_str("relayed: no direct path was found"),
            Self::DirectFound => f.write_str("a direct path was found"),
            Self::DirectBack => f.write_str("the direct path is back"),
            Self::Stopped { left: Kind::Lan | Kind::Direct, now: Kind::Relayed } => {
                f.write_str("relayed: the direct path stopped answering")
            }
            Self::Stopped { left: Kind::Relayed, now: Kind::Relayed } => {
                f.write_str("another relay: the first one stopped answering")
            }
            Self::Stopped { left: Kind::Relayed, now: Kind::Lan | Kind::Direct } => {
                f.write_str("direct: the relay stopped answering")
            }
            Self::Stopped { left: Kind::Lan, now: Kind::Lan | Kind::Direct } => {
                f.write_str("the path over the local network stopped answering")
            }
            Self::Stopped { left: Kind::Direct, now: Kind::Lan | Kind::Direct } => {
                f.write_str("another direct path: the former one stopped answering")
            }
            Self::ShorterRoundTrip(by) => write!(f, "shorter round trip by {} ms", by.as_millis()),
            Self::LessLoss => f.write_str("fewer losses than on the former path"),
            Self::OtherSide => f.write_str("the other side's choice"),
            Self::AddressChanged => f.write_str("the other side's address changed"),
            Self::FreshPort => f.write_str("a fresh port, before the router forgets the old one"),
            Self::DidNotCarry => f.write_str("the new path did not carry the call"),
        }
    }
}

/// A move from one route to another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change {
    /// The route left.
    pub from: Route,
    /// The route in use now.
    pub to: Route,
    /// What kind it is of.
    pub kind: Kind,
    /// Why.
    pub reason: Reason,
}
