//! What can go wrong with a TURN server, in words a user can act on.

/// Why there is no allocation, or no way through it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TurnError {
    /// Nothing came back.
    #[error("the TURN server does not answer")]
    NoAnswer,
    /// It answered once and does not any more.
    #[error("the TURN server stopped answering")]
    Dead,
    /// Its name leads nowhere.
    #[error("the TURN server's name has no address")]
    NoAddress,
    /// 401, 441.
    #[error("the TURN server refuses the user name or password")]
    Unauthorized,
    /// 403.
    #[error("the TURN server refuses to relay to this address (403)")]
    Forbidden,
    /// 486.
    #[error("the TURN server's quota for this user is used up (486)")]
    Quota,
    /// 508.
    #[error("the TURN server has no capacity left (508)")]
    Capacity,
    /// 440, 443.
    #[error("the TURN server does not relay this address family")]
    Family,
    /// 437.
    #[error("the TURN server lost the allocation (437)")]
    Mismatch,
    /// It relays from another address than where the other side is met.
    #[error("the TURN server relays from another address than the other side's")]
    OtherAddress,
    /// Any other code.
    #[error("the TURN server refused with code {0}")]
    Refused(u16),
}

impl TurnError {
    /// The error that a code of a response stands for.
    pub fn of_code(code: u16) -> Self {
        match code {
            401 | 441 => Self::Unauthorized,
            403 => Self::Forbidden,
            437 => Self::Mismatch,
            440 | 443 => Self::Family,
            486 => Self::Quota,
            508 => Self::Capacity,
            other => Self::Refused(other),
        }
    }

    /// A stable word for programs.
    pub fn code(self) -> &'static str {
        match self {
            Self::NoAnswer => "turn_no_answer",
            Self::Dead => "turn_dead",
            Self::NoAddress => "turn_no_address",
            Self::Unauthorized => "turn_unauthorized",
            Self::Forbidden => "turn_forbidden",
            Self::Quota => "turn_quota",
            Self::Capacity => "turn_capacity",
            Self::Family => "turn_family",
            Self::Mismatch => "turn_mismatch",
            Self::OtherAddress => "turn_other_address",
            Self::Refused(_) => "turn_refused",
        }
    }

    /// What to do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::NoAnswer | Self::Dead => {
                "check that it runs, and that UDP or TCP to its port is not blocked"
            }
            Self::NoAddress => "check its name",
            Self::Unauthorized => "check the user name and password; time-limited ones may have expired",
            Self::Forbidden => "allow it to relay to itself; with coturn: allowed-peer-ip=<its own address>",
            Self::Quota => {
                "raise the quota (two members of a call need two allocations), or use another server"
            }
            Self::Capacity => "try again later, or use another server",
            Self::Family => "use a server that relays over IPv4",
            Self::Mismatch => "nothing to do: a new one is asked for",
            Self::OtherAddress => "use a server that relays from one address, or a second one",
            Self::Refused(_) => "look into the server's log",
        }
    }
}
