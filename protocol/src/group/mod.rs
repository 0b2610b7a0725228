//! Who is in the group, who may come in, and nobody else: without a server, from what members sign.
//!
//! - [`operation`](Operation): what a member says, signed and tied by hashes to what it knew.
//! - [`History`]: all operations known, bounded; what somebody else lacks of them.
//! - `rules`: what a history amounts to, [`Membership`], the same for all who have the same one.
//! - [`Roster`]: the three together, for one member.
//! - [`Epochs`]: the secrets by which members recognise each other.
//! - [`Tickets`]: by which one comes in. Their secrets are for members' ears only.
//! - [`Directory`]: what others are called and where they may be reached. Unsigned: a name says nothing, and an address
//!   is proven by whoever answers there.
//!
//! The group's id is the beginning of its creation's hash, so a history cannot be of two groups.

mod directory;
mod epochs;
mod history;
mod membership;
mod operation;
mod roster;
mod rules;
mod tickets;

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod swarm;
#[cfg(test)]
mod tests;

pub use directory::{Added, Directory, FindError, MemberRecord, describe};
pub use epochs::Epochs;
pub use history::{History, NotTaken};
pub use membership::{MemberState, Membership, Removal};
pub use operation::{Action, Admission, Operation, OperationError, OperationId, Role};
pub use roster::{NoRoster, NotAllowed, Roster, Taken};
pub use tickets::Tickets;

/// What everybody may know of an epoch's secret: with it a member recognises the right one.
pub fn commitment(secret: &[u8; 32]) -> [u8; 32] {
    blake3::derive_key("roundtable 1 epoch commitment", secret)
}
