//! Invitations: the one line a member sends to friends.
//!
//! # The line
//! `rt1` followed by base32 (RFC 4648 alphabet, no padding, written in lower case) of
//!
//! ```text
//! length of the body in bytes   2, big endian, below 2048
//! body                          a CBOR map, see below
//! checksum                      the first 5 of BLAKE3.derive_key("roundtable 1 ticket checksum", body)
//! ```
//!
//! Base32 costs a fifth more characters than base64url, and is worth it where a ticket travels: it has no
//! `-` at which mail programs break and double clicks stop, no `_` that chat programs turn into italics,
//! and survives being upper-cased. Five bytes of checksum are exactly eight characters. The length comes
//! first so that a ticket that was cut off says so instead of seeming mistyped.
//!
//! The digits after `rt` are the version; they end at the first letter. Data of every version begins with
//! a letter (here `a`, as the length is below 2048), so an older program can name the version of a newer
//! ticket, which it does before it looks at anything else.
//!
//! # The body
//! A map with integer keys. A reader skips keys it does not know, so that fields can be added.
//!
//! | key | field | encoding |
//! |---|---|---|
//! | 0 | group id | 16 bytes |
//! | 1 | issuer's peer id | 32 bytes |
//! | 2 | ticket id | 8 bytes |
//! | 3 | secret | 16 bytes |
//! | 4 | expiry, unix seconds | unsigned |
//! | 5 | uses, 0 = unlimited | unsigned, at most 32 bits |
//! | 6 | candidates | array of byte strings: 4 or 16 bytes of address ‖ 2 of port, big endian |
//! | 7 | TURN servers and relayed addresses | array of text; may be absent |
//! | 8 | other members who honour it | array of at most [`DOORS_MAX`](crate::limits::DOORS_MAX) maps: 0 = peer id, 1 = candidates, 2 = relays, as above; may be absent |
//!
//! # Left out
//! Revocation and the count of uses are the issuer's to know: a ticket cannot say that it was used up.

mod fields;
mod secret;
mod text;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

pub use secret::{TicketId, TicketSecret};
pub use text::TicketError;

use crate::id::{GroupId, PeerId};
use crate::reach::Reach;

/// The version this program writes and reads.
pub const TICKET_VERSION: u32 = 1;

/// An invitation to a group. `Display` prints the line to paste, *with* its secret; `Debug` leaves it out.
#[derive(Clone, PartialEq, Eq)]
pub struct Ticket {
    /// The group one is invited to.
    pub group: GroupId,
    /// Who issued the ticket, and therefore who must answer.
    pub issuer: PeerId,
    /// By which the issuer finds the secret, and revokes it.
    pub id: TicketId,
    /// Known to the issuer and to whoever holds the ticket.
    pub secret: TicketSecret,
    /// The end of validity, in unix seconds.
    pub expires_at: u64,
    /// How many may join with it; 0 for any number.
    pub uses: u32,
    /// Where the issuer may be reached; at most [`CANDIDATES_MAX`](crate::limits::CANDIDATES_MAX).
    pub candidates: Vec<SocketAddr>,
    /// TURN servers with their expiring credentials and the relayed address on each, as
    /// [`RelayedReach`](crate::reach::RelayedReach) writes them; at most
    /// [`TICKET_RELAYS_MAX`](crate::limits::TICKET_RELAYS_MAX).
    pub relays: Vec<String>,
    /// Other members who let in whoever holds it; at most [`DOORS_MAX`](crate::limits::DOORS_MAX).
    pub others: Vec<Door>,
}

/// A member who lets people in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Door {
    /// Who has to answer.
    pub member: PeerId,
    /// Where it may be reached.
    pub reach: Reach,
}

/// The ticket's validity is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this ticket expired {} ago; ask for a new one (or check this computer's clock)", Rough(*ago))]
pub struct Expired {
    /// The time since.
    pub ago: Duration,
}

impl Ticket {
    /// Where the issuer may be reached. Relays that cannot be read belong to a later version.
    pub fn reach(&self) -> Reach {
        let relays = self.relays.iter().filter_map(|relay| relay.parse().ok()).collect();
        Reach { addresses: self.candidates.clone(), relays }
    }

    /// Everybody who honours it, the issuer first.
    pub fn doors(&self) -> Vec<Door> {
        let issuer = Door { member: self.issuer, reach: self.reach() };
        std::iter::once(issuer).chain(self.others.iter().cloned()).collect()
    }

    /// Whether the ticket is still valid at `now_unix`, in unix seconds.
    ///
    /// A courtesy to the joiner: the issuer's clock is the one that decides.
    pub fn check(&self, now_unix: u64) -> Result<(), Expired> {
        if now_unix < self.expires_at {
            return Ok(());
        }
        Err(Expired { ago: Duration::from_secs(now_unix - self.expires_at) })
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("group", &self.group)
            .field("issuer", &self.issuer)
            .field("id", &self.id)
            .field("expires_at", &self.expires_at)
            .field("uses", &self.uses)
            .field("candidates", &self.candidates)
            // Entries carry credentials.
            .field("relays", &self.relays.len())
            .field("others", &self.others.len())
            .finish_non_exhaustive()
    }
}

/// A duration to one unit, as a person would say it.
struct Rough(Duration);

impl fmt::Display for Rough {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (count, unit) = match seconds {
            0..120 => (seconds, "second"),
            120..7_200 => (seconds / 60, "minute"),
            7_200..172_800 => (seconds / 3_600, "hour"),
            172_800.. => (seconds / 86_400, "day"),
        };
        write!(f, "{count} {unit}{}", if count == 1 { "" } else { "s" })
    }
}

#[cfg(test)]
mod tests;
