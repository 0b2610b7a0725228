//! The three kinds of secret a handshake can be keyed by, and the Noise PSK each gives.

use std::fmt;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::id::GroupId;
use crate::invite::{TicketId, TicketSecret};

/// 64 MiB make a guess expensive on graphics cards, and still fit a small computer.
const ARGON2_MEMORY_KIB: u32 = 64 * 1024;
/// Three passes: about a quarter of a second, against a handshake deadline of three.
const ARGON2_PASSES: u32 = 3;
/// One lane, so that the time is the same on a computer with one core.
const ARGON2_LANES: u32 = 1;

/// 256 random bits shared by the members of one epoch of a group.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct EpochSecret([u8; 32]);

/// A password after Argon2id, for one group. As secret as the password.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct StretchedPassword([u8; 32]);

/// The responder's secret for the [`Mode`](super::Mode) the initiator asked for.
#[derive(Clone, Debug)]
pub enum Secret {
    /// Of the ticket named in the mode.
    Ticket(TicketSecret),
    /// Of the group.
    Password(StretchedPassword),
    /// Of the epoch named in the mode.
    Member(EpochSecret),
}

/// What Noise is keyed with.
pub(super) type Psk = Zeroizing<[u8; 32]>;

impl EpochSecret {
    /// From 32 bytes of the system's random source, or as received from a member.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// To pass on to a member.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl StretchedPassword {
    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    #[cfg(test)]
    pub(super) fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// Stretches a password for one group. Takes 64 MiB and about a quarter of a second: call it on a thread
/// that may block, and keep the result. The bytes count as they are; strip a line's ending first.
pub fn stretch_password(password: &[u8], group: GroupId) -> StretchedPassword {
    let salt = blake3::derive_key("roundtable 1 password salt", &group.0);
    let params = Params::new(ARGON2_MEMORY_KIB, ARGON2_PASSES, ARGON2_LANES, Some(32))
        .expect("the parameters are constants within Argon2's bounds");
    let mut memory = vec![Block::new(); params.block_count()];
    let mut stretched = StretchedPassword([0; 32]);
    // A password longer than Argon2's 4 GiB does not reach this.
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(password, &salt[..16], &mut stretched.0, &mut memory)
        .expect("the salt, the output and the memory have valid lengths");
    memory.iter_mut().for_each(Zeroize::zeroize);
    stretched
}

pub(super) fn ticket_psk(secret: &TicketSecret, id: TicketId) -> Psk {
    Zeroizing::new(secret.derive("roundtable 1 ticket psk", id))
}

pub(super) fn member_psk(secret: &EpochSecret, group: GroupId, epoch: u64) -> Psk {
    let mut hasher = blake3::Hasher::new_derive_key("roundtable 1 member psk");
    hasher.update(&group.0).update(&epoch.to_be_bytes()).update(&secret.0);
    Zeroizing::new(hasher.finalize().into())
}

pub(super) fn password_psk(pake_key: &[u8], transcript: &[u8; 32], exporter: &[u8; 32]) -> Psk {
    let mut hasher = blake3::Hasher::new_derive_key("roundtable 1 password psk");
    hasher.update(pake_key).update(transcript).update(exporter);
    Zeroizing::new(hasher.finalize().into())
}

impl fmt::Debug for EpochSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EpochSecret(..)")
    }
}

impl fmt::Debug for StretchedPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StretchedPassword(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretched_password_is_of_one_group_and_repeats() {
        let group = GroupId([1; 16]);
        let stretched = stretch_password(b"correct horse", group);
        assert_eq!(stretched.0, stretch_password(b"correct horse", group).0);
        assert_ne!(stretched.0, stretch_password(b"correct horse", GroupId([2; 16])).0);
        assert_eq!(format!("{stretched:?}"), "StretchedPassword(..)");
    }
}
