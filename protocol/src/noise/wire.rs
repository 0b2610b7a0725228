//! The clear part of the messages, as bytes.

use super::reason::RefuseReason;
use crate::id::GroupId;
use crate::invite::TicketId;
use crate::limits::HANDSHAKE_MESSAGE_BYTES_MAX;

/// How the initiator means to prove that it belongs here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// With the secret of a ticket.
    Ticket {
        /// The group the ticket is for.
        group: GroupId,
        /// Which of the issuer's tickets.
        ticket: TicketId,
    },
    /// With a password.
    Password,
    /// As a member, with the epoch's secret.
    Member {
        /// The group.
        group: GroupId,
        /// The epoch whose secret it is.
        epoch: u64,
    },
}

/// The first byte of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Hello,
    HelloReply,
    PakeInitiator,
    PakeResponder,
    Noise1,
    Noise2,
    Noise3,
    Confirm,
    Wait,
    Refuse,
}

impl Kind {
    pub(super) fn byte(self) -> u8 {
        match self {
            Self::Hello => 0x01,
            Self::HelloReply => 0x02,
            Self::PakeInitiator => 0x03,
            Self::PakeResponder => 0x04,
            Self::Noise1 => 0x05,
            Self::Noise2 => 0x06,
            Self::Noise3 => 0x07,
            Self::Confirm => 0x08,
            Self::Wait => 0x09,
            Self::Refuse => 0x7f,
        }
    }
}

/// A message of this kind.
pub(super) fn message(kind: Kind, body: &[&[u8]]) -> Vec<u8> {
    let mut message = vec![kind.byte()];
    body.iter().for_each(|part| message.extend_from_slice(part));
    message
}

/// The body of a message that has to be of this kind.
pub(super) fn body(kind: Kind, message: &[u8]) -> Result<&[u8], RefuseReason> {
    match message.split_first() {
        Some((&first, body)) if first == kind.byte() && message.len() <= HANDSHAKE_MESSAGE_BYTES_MAX => {
            Ok(body)
        }
        _ => Err(RefuseReason::Malformed),
    }
}

/// The reason, if this is a Refuse.
pub(super) fn refusal(message: &[u8]) -> Option<RefuseReason> {
    let body = body(Kind::Refuse, message).ok()?;
    // Without a code it still is a refusal.
    Some(body.first().map_or(RefuseReason::Malformed, |&code| RefuseReason::from_code(code)))
}

/// Whether this is a Wait.
pub(super) fn is_wait(message: &[u8]) -> bool {
    body(Kind::Wait, message).is_ok_and(<[u8]>::is_empty)
}

pub(super) fn refuse(reason: RefuseReason) -> Vec<u8> {
    message(Kind::Refuse, &[&[reason.code()]])
}

pub(super) fn hello(version_min: u8, version_max: u8, mode: &Mode) -> Vec<u8> {
    let versions = [version_min, version_max];
    match mode {
        Mode::Ticket { group, ticket } => message(Kind::Hello, &[&versions, &[0], &group.0, &ticket.0]),
        Mode::Password => message(Kind::Hello, &[&versions, &[1]]),
        Mode::Member { group, epoch } => {
            message(Kind::Hello, &[&versions, &[2], &group.0, &epoch.to_be_bytes()])
        }
    }
}

/// The highest version both speak, the highest offered, and the mode. `ours` is our lowest and highest version.
pub(super) fn read_hello(body: &[u8], ours: (u8, u8)) -> Result<(u8, u8, Mode), RefuseReason> {
    let (&[min, max], body) = body.split_first_chunk().ok_or(RefuseReason::Malformed)?;
    if min > max {
        return Err(RefuseReason::Malformed);
    }
    let version = max.min(ours.1);
    if version < min.max(ours.0) {
        return Err(RefuseReason::WrongVersion);
    }
    Ok((version, max, read_mode(body).ok_or(RefuseReason::Malformed)?))
}

fn read_mode(body: &[u8]) -> Option<Mode> {
    let (&code, body) = body.split_first()?;
    if code == 1 {
        return Some(Mode::Password);
    }
    let (group, body) = body.split_first_chunk()?;
    let group = GroupId(*group);
    let number: &[u8; 8] = body.first_chunk()?;
    match code {
        0 => Some(Mode::Ticket { group, ticket: TicketId(*number) }),
        2 => Some(Mode::Member { group, epoch: u64::from_be_bytes(*number) }),
        1 | 3.. => None,
    }
}

pub(super) fn hello_reply(version: u8, group: GroupId) -> Vec<u8> {
    message(Kind::HelloReply, &[&[version], &group.0])
}

pub(super) fn read_hello_reply(body: &[u8]) -> Result<(u8, GroupId), RefuseReason> {
    let (&version, body) = body.split_first().ok_or(RefuseReason::Malformed)?;
    let group = body.first_chunk().ok_or(RefuseReason::Malformed)?;
    Ok((version, GroupId(*group)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_survives_encoding_and_later_fields_are_ignored() {
        let group = GroupId([7; 16]);
        for mode in [
            Mode::Ticket { group, ticket: TicketId([9; 8]) },
            Mode::Password,
            Mode::Member { group, epoch: 1 << 40 },
        ] {
            let mut hello = hello(1, 3, &mode);
            hello.extend_from_slice(b"later");
            assert_eq!(read_hello(body(Kind::Hello, &hello).unwrap(), (1, 2)), Ok((2, 3, mode)));
        }
    }

    #[test]
    fn without_a_common_version_the_mode_is_not_even_read() {
        assert_eq!(read_hello(&[2, 3, 0xEE], (1, 1)), Err(RefuseReason::WrongVersion));
        assert_eq!(read_hello(&[1, 1, 0xEE], (2, 3)), Err(RefuseReason::WrongVersion));
        assert_eq!(read_hello(&[2, 1, 1], (1, 3)), Err(RefuseReason::Malformed));
        assert_eq!(read_hello(&[1, 1, 0xEE], (1, 1)), Err(RefuseReason::Malformed));
    }
}
