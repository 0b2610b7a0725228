//! The knock: who holds a ticket, or is a member, says so in front of a connection's first packet.
//!
//! A Binding request (RFC 8489, section 5) of exactly 80 bytes:
//!
//! | attribute | content |
//! |---|---|
//! | USERNAME | `t` or `m`, the name of the key in base32 (13 characters), unix time in seconds (10 hexadecimal digits) |
//! | MESSAGE-INTEGRITY | HMAC-SHA1, keyed as a short-term credential by the key's 64 hexadecimal digits |
//! | FINGERPRINT | |
//!
//! `t` names a ticket by its id, `m` the group's epoch. Deviation from RFC 8489, section 9.1.3:
//! a request that is not accepted gets no error, and one that is gets no success either. Nobody is told that somebody
//! listens here.
//!
//! A recorded knock is of no use: each one counts once, for the address it came from, and the time in it is compared.

use crate::id::GroupId;
use crate::invite::{TicketId, TicketSecret};
use crate::noise::{Credential, EpochSecret};
use crate::stun::{TransactionId, encode, has_integrity, transaction_of};
use data_encoding::{BASE32_NOPAD, HEXLOWER};
use std::fmt;
use stun_rs::attributes::stun::{Fingerprint, MessageIntegrity, UserName};
use stun_rs::methods::BINDING;
use stun_rs::{HMACKey, MessageClass};

/// The bytes of every knock.
pub const KNOCK_BYTES: usize = 80;

const USERNAME_BYTES: usize = 24;
const USERNAME_AT: usize = 24;
const NAME_CHARS: usize = 13;

/// Of which key: found by whoever has it too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Name {
    /// The ticket of this id.
    Ticket(TicketId),
    /// The secret of the group's epoch of this name.
    Member(u64),
}

/// What one knocks with.
#[derive(Clone)]
pub struct KnockKey {
    name: Name,
    key: HMACKey,
}

/// A knock as it came in. Nothing is validated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Knock {
    /// Of which key it is said to be.
    pub name: Name,
    /// When it is said to have been made, in unix seconds.
    pub made_at: u64,
    /// Which one it is.
    pub id: TransactionId,
}

impl KnockKey {
    /// Of a ticket.
    pub fn of_ticket(id: TicketId, secret: &TicketSecret) -> Self {
        Self::new(Name::Ticket(id), secret.derive("roundtable 1 ticket knock", id))
    }

    /// Of a member.
    pub fn of_member(group: GroupId, epoch: u64, secret: &EpochSecret) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("roundtable 1 member knock");
        hasher.update(&group.0).update(&epoch.to_be_bytes()).update(secret.as_bytes());
        Self::new(Name::Member(epoch), hasher.finalize().into())
    }

    /// Of whatever one enters with; nothing for a password.
    pub fn of(credential: &Credential) -> Option<Self> {
        match credential {
            Credential::Ticket { ticket, secret, .. } => Some(Self::of_ticket(*ticket, secret)),
            Credential::Member { group, epoch, secret, .. } => Some(Self::of_member(*group, *epoch, secret)),
            Credential::Password => None,
        }
    }

    fn new(name: Name, key: [u8; 32]) -> Self {
        let key = HMACKey::new_short_term(HEXLOWER.encode(&key)).expect("hexadecimal digits are a password");
        Self { name, key }
    }

    /// What it is called on the wire.
    pub fn name(&self) -> Name {
        self.name
    }

    /// A knock made at `unix` seconds.
    pub fn knock(&self, id: TransactionId, unix: u64) -> Vec<u8> {
        let (kind, name) = match self.name {
            Name::Ticket(id) => ('t', id.0),
            Name::Member(epoch) => ('m', epoch.to_be_bytes()),
        };
        let name = BASE32_NOPAD.encode(&name).to_lowercase();
        let username = format!("{kind}{name}{:010x}", unix & 0xff_ffff_ffff);
        let username = UserName::new(&username).expect("letters and digits are a user's name");
        let attributes = vec![
            username.into(),
            MessageIntegrity::new(self.key.clone()).into(),
            Fingerprint::default().into(),
        ];
        let knock = encode(BINDING, MessageClass::Request, id, attributes);
        knock.expect("a name, an integrity and a fingerprint can always be written")
    }

    /// Whether a knock was made with this key.
    pub fn made(&self, knock: &[u8]) -> bool {
        has_integrity(knock, &self.key)
    }
}

/// The knock in a datagram, if it is one. Costs next to nothing, whatever the datagram is.
pub fn read_knock(datagram: &[u8]) -> Option<Knock> {
    const HEADER: [u8; 8] = [0, 1, 0, (KNOCK_BYTES - 20) as u8, 0x21, 0x12, 0xa4, 0x42];
    const USERNAME: [u8; 4] = [0, 6, 0, USERNAME_BYTES as u8];
    if datagram.len() != KNOCK_BYTES || datagram[..8] != HEADER || datagram[20..24] != USERNAME {
        return None;
    }
    let (kind, rest) = datagram[USERNAME_AT..][..USERNAME_BYTES].split_first()?;
    let (name, time) = rest.split_at(NAME_CHARS);
    let mut upper = [0; NAME_CHARS];
    upper.copy_from_slice(name);
    upper.make_ascii_uppercase();
    // The decoder asks for room for one incomplete group more.
    let mut id = [0; 8];
    (BASE32_NOPAD.decode_len(NAME_CHARS) == Ok(id.len())).then_some(())?;
    BASE32_NOPAD.decode_mut(&upper, &mut id).ok()?;
    let name = match kind {
        b't' => Name::Ticket(TicketId(id)),
        b'm' => Name::Member(u64::from_be_bytes(id)),
        _ => return None,
    };
    let made_at = u64::from_str_radix(std::str::from_utf8(time).ok()?, 16).ok()?;
    Some(Knock { name, made_at, id: transaction_of(datagram)? })
}

impl fmt::Debug for KnockKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnockKey").field("name", &self.name).finish_non_exhaustive()
    }
}
