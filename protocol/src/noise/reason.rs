//! Why a handshake ends without a connection, told to both sides.

use std::fmt;

/// The reason in a Refuse message. The codes are part of the protocol and never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefuseReason {
    /// 1: no version in common.
    WrongVersion,
    /// 2: no such ticket here, or of another group.
    UnknownTicket,
    /// 3: the ticket's time is over.
    ExpiredTicket,
    /// 4: the ticket was withdrawn.
    RevokedTicket,
    /// 5: as many have joined with this ticket as may.
    UsedUpTicket,
    /// 6: the password or a ticket's secret is wrong, or someone stands between the two.
    WrongSecret,
    /// 7: not in the group, or of an epoch that is over.
    NotAMember,
    /// 8: the group has as many members as it can have.
    GroupFull,
    /// 9: nobody is admitted at present.
    Locked,
    /// 10: was removed from the group.
    Removed,
    /// 11: this group takes no passwords.
    PasswordNotAccepted,
    /// 12: too many wrong passwords, from whomever.
    TooManyAttempts,
    /// 13: a message that does not fit the protocol, or was altered on its way.
    Malformed,
    /// 14: the other is not the one who was expected, or not who they claim to be.
    UnexpectedPeer,
    /// 15: both sides have the same identity.
    SameIdentity,
    /// 16: somebody was asked, and said no, or nothing.
    Denied,
    /// Any other code: a later version's reason.
    UnknownCode(u8),
}

/// How a handshake failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The other side refused us.
    Refused(RefuseReason),
    /// We refused the other side. The message that says so is waiting to be sent.
    Refusing(RefuseReason),
}

impl RefuseReason {
    /// The code on the wire.
    pub fn code(self) -> u8 {
        match self {
            Self::WrongVersion => 1,
            Self::UnknownTicket => 2,
            Self::ExpiredTicket => 3,
            Self::RevokedTicket => 4,
            Self::UsedUpTicket => 5,
            Self::WrongSecret => 6,
            Self::NotAMember => 7,
            Self::GroupFull => 8,
            Self::Locked => 9,
            Self::Removed => 10,
            Self::PasswordNotAccepted => 11,
            Self::TooManyAttempts => 12,
            Self::Malformed => 13,
            Self::UnexpectedPeer => 14,
            Self::SameIdentity => 15,
            Self::Denied => 16,
            Self::UnknownCode(code) => code,
        }
    }

    /// The reason a code stands for.
    pub fn from_code(code: u8) -> Self {
        match code {
            1 => Self::WrongVersion,
            2 => Self::UnknownTicket,
            3 => Self::ExpiredTicket,
            4 => Self::RevokedTicket,
            5 => Self::UsedUpTicket,
            6 => Self::WrongSecret,
            7 => Self::NotAMember,
            8 => Self::GroupFull,
            9 => Self::Locked,
            10 => Self::Removed,
            11 => Self::PasswordNotAccepted,
            12 => Self::TooManyAttempts,
            13 => Self::Malformed,
            14 => Self::UnexpectedPeer,
            15 => Self::SameIdentity,
            16 => Self::Denied,
            0 | 17.. => Self::UnknownCode(code),
        }
    }

    /// For whoever was refused: what it means and what to do.
    fn advice(self) -> &'static str {
        match self {
            Self::WrongVersion => "the two programs speak different versions; bring the older one up to date",
            Self::UnknownTicket => "this ticket is not known there; ask for a new one",
            Self::ExpiredTicket => "this ticket has expired; ask for a new one",
            Self::RevokedTicket => "this ticket was withdrawn; ask for a new one",
            Self::UsedUpTicket => "this ticket was already used as often as it may be; ask for a new one",
            Self::WrongSecret => {
                "the password or ticket is wrong; check it with whoever invited you \
                 (if it is right, someone may be intercepting the connection)"
            }
            Self::NotAMember => "you are no longer a member there; ask for a new ticket",
            Self::GroupFull => "the group is full; try again when someone has left",
            Self::Locked => "the group is locked; ask a member to unlock it",
            Self::Removed => "you were removed from this group; only a member can let you in again",
            Self::PasswordNotAccepted => "this group takes no password; ask for a ticket",
            Self::TooManyAttempts => {
                "too many wrong passwords were tried; wait ten minutes, or ask for a ticket"
            }
            Self::Malformed => "a message arrived damaged or altered; try again, and update both programs",
            Self::UnexpectedPeer => {
                "whoever answered is not the one expected; ask for a new ticket from that member \
                 (if it happens again, someone may be intercepting the connection)"
            }
            Self::SameIdentity => {
                "both sides use the same identity; start one of them with an identity of its own"
            }
            Self::Denied => "nobody let you in; ask a member whether they are there, and try again",
            Self::UnknownCode(_) => "for a reason this program does not know; bring it up to date",
        }
    }

    /// For whoever refused: what the other did.
    fn finding(self) -> &'static str {
        match self {
            Self::WrongVersion => "their program speaks another version",
            Self::UnknownTicket => "their ticket is not one of ours",
            Self::ExpiredTicket => "their ticket has expired; send a new one",
            Self::RevokedTicket => "their ticket was withdrawn",
            Self::UsedUpTicket => "their ticket is used up; send a new one",
            Self::WrongSecret => "they do not have the right password or ticket, or someone is in between",
            Self::NotAMember => "they are not a member",
            Self::GroupFull => "the group is full",
            Self::Locked => "the group is locked",
            Self::Removed => "they were removed from the group",
            Self::PasswordNotAccepted => "they tried a password, and this group takes none",
            Self::TooManyAttempts => "too many wrong passwords were tried",
            Self::Malformed => "a message from them arrived damaged or altered",
            Self::UnexpectedPeer => "they are not who was expected; ask for a new ticket",
            Self::SameIdentity => "they use our own identity; start one of the two with another",
            Self::Denied => "nobody let them in",
            Self::UnknownCode(_) => "no reason known to this version",
        }
    }
}

impl HandshakeError {
    /// The reason, whoever gave it.
    pub fn reason(&self) -> RefuseReason {
        match *self {
            Self::Refused(reason) | Self::Refusing(reason) => reason,
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reason) => write!(f, "the other side refused: {}", reason.advice()),
            Self::Refusing(reason) => write!(f, "connection refused: {}", reason.finding()),
        }
    }
}

impl std::error::Error for HandshakeError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_means_one_reason_and_back() {
        for code in 0..=255 {
            assert_eq!(RefuseReason::from_code(code).code(), code);
        }
        assert_eq!(RefuseReason::from_code(6), RefuseReason::WrongSecret);
        assert_eq!(RefuseReason::from_code(17), RefuseReason::UnknownCode(17));
    }
}
