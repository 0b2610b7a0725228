//! Kinds of ways, and why one is used, in the user's words.

use super::Route;
use std::fmt;

/// What kind of way a route is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// Inside one local network or machine.
    Lan,
    /// Across the internet, without a relay.
    Direct,
    /// Through a TURN server.
    Relayed,
}

/// Why datagrams go another way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// A better kind of way works.
    Found(Kind),
    /// What was used before does not answer any more.
    Dead {
        /// What kind it was.
        was: Kind,
        /// What kind took over.
        now: Kind,
    },
    /// It takes less time, by this many milliseconds.
    Shorter(u32),
    /// The other side chose it.
    TheirChoice,
}

/// Datagrams go another way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change {
    /// Before.
    pub from: Route,
    /// Now.
    pub to: Route,
    /// What kind of way that is.
    pub kind: Kind,
    /// Why.
    pub reason: Reason,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found(Kind::Lan) => f.write_str("same machine or local network"),
            Self::Found(Kind::Direct) => f.write_str("a direct path was found"),
            Self::Found(Kind::Relayed) => f.write_str("through a relay: no direct path was found"),
            Self::Dead { was: Kind::Relayed, .. } => f.write_str("the relay stopped answering"),
            Self::Dead { now: Kind::Relayed, .. } => {
                f.write_str("through a relay: the direct path stopped answering")
            }
            Self::Dead { .. } => f.write_str("the path before stopped answering"),
            Self::Shorter(ms) => write!(f, "shorter by {ms} ms"),
            Self::TheirChoice => f.write_str("the other side's choice"),
        }
    }
}
