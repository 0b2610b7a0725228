//! What members are called and where they may be reached, and by which tickets one comes in.
//!
//! Ordered, bounded and without a clock. Nothing here is signed, see the parent module.

use crate::control::{Grant, Member};
use crate::id::PeerId;
use crate::invite::{TicketId, TicketSecret};
use crate::limits::{CANDIDATES_MAX, GRANTS_MAX, MEMBERS_MAX, TICKET_RELAYS_MAX};
use crate::name::DisplayName;
use crate::reach::Reach;
use std::collections::BTreeMap;

/// One member of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRecord {
    /// Display name; possibly empty.
    pub name: DisplayName,
    /// Where it may be reached.
    pub reach: Reach,
}

/// What became of a member that was told to the directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Added {
    /// It was not known: tell the others, connect to it.
    New,
    /// It was known; its addresses or name may have changed.
    Known,
    /// The group is full.
    Full,
}

/// The members other than oneself, and the tickets.
#[derive(Debug, Default)]
pub struct Directory {
    members: BTreeMap<PeerId, MemberRecord>,
    grants: BTreeMap<[u8; 8], Grant>,
}

/// Whether a ticket opens the door.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GrantState {
    /// It does, with this secret.
    Valid(TicketSecret),
    /// It did until its expiry.
    Expired,
    /// This group never issued it.
    Unknown,
}

impl Directory {
    /// Adds or updates a member.
    pub fn add(&mut self, id: PeerId, name: &str, mut reach: Reach) -> Added {
        reach.addresses.truncate(CANDIDATES_MAX);
        reach.relays.truncate(TICKET_RELAYS_MAX);
        let record = MemberRecord { name: DisplayName::new(name), reach };
        let full = self.is_full();
        match self.members.get_mut(&id) {
            Some(known) => {
                if !record.reach.is_empty() {
                    known.reach = record.reach;
                }
                known.name = record.name;
                Added::Known
            }
            None if full => Added::Full,
            None => {
                self.members.insert(id, record);
                Added::New
            }
        }
    }

    /// Removes a member; returns whether it was there.
    pub fn remove(&mut self, id: PeerId) -> bool {
        self.members.remove(&id).is_some()
    }

    /// A member's record.
    pub fn get(&self, id: PeerId) -> Option<&MemberRecord> {
        self.members.get(&id)
    }

    /// All other members, ordered by id.
    pub fn iter(&self) -> impl Iterator<Item = (PeerId, &MemberRecord)> {
        self.members.iter().map(|(id, record)| (*id, record))
    }

    /// Whether there is a place for one more.
    pub fn is_full(&self) -> bool {
        // One place is our own.
        self.members.len() + 1 >= MEMBERS_MAX
    }

    /// Finds the one member a person means: by the id's beginning, or by name without regard to case.
    pub fn find(&self, who: &str) -> Result<PeerId, FindError> {
        let wanted = who.to_lowercase();
        let mut found = self.members.iter().filter(|(id, member)| {
            member.name.as_str().to_lowercase() == wanted
                || (wanted.len() >= 4 && id.to_string().starts_with(&wanted))
        });
        match (found.next(), found.next()) {
            (Some((id, _)), None) => Ok(*id),
            (None, _) => Err(FindError::Nobody),
            (Some(_), Some(_)) => Err(FindError::Several),
        }
    }

    /// Remembers a ticket that another member minted, valid until `latest` at most. What is known stays as it
    /// is, and when [`GRANTS_MAX`] are known no more are taken: nobody can void the tickets of others.
    pub fn learn_grant(&mut self, mut grant: Grant, latest: u64) {
        if self.grants.len() < GRANTS_MAX {
            grant.expiry = grant.expiry.min(latest);
            self.grants.entry(*grant.ticket).or_insert(grant);
        }
    }

    /// Remembers a ticket of our own. Beyond [`GRANTS_MAX`] the one that expires first is forgotten.
    pub fn grant(&mut self, grant: Grant) {
        self.grants.insert(*grant.ticket, grant);
        while self.grants.len() > GRANTS_MAX {
            let first = self.grants.values().min_by_key(|g| g.expiry).map(|g| *g.ticket);
            self.grants.remove(&first.expect("a table over its bound is not empty"));
        }
    }

    /// The tickets, for a newcomer.
    pub fn grants(&self) -> Vec<Grant> {
        self.grants.values().cloned().collect()
    }

    /// Whether a ticket is valid at `now_unix` seconds.
    pub fn grant_state(&self, ticket: TicketId, now_unix: u64) -> GrantState {
        match self.grants.get(&ticket.0) {
            None => GrantState::Unknown,
            Some(grant) if grant.expiry <= now_unix => GrantState::Expired,
            Some(grant) => GrantState::Valid(TicketSecret::from_bytes(*grant.secret)),
        }
    }
}

/// Why [`Directory::find`] found no member.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FindError {
    /// No member has that name or id.
    #[error("nobody here goes by that name or id")]
    Nobody,
    /// More than one member fits.
    #[error("several members fit: use the first letters of the id")]
    Several,
}

/// A member's description for the wire.
pub fn describe(id: PeerId, name: &str, reach: &Reach) -> Member {
    Member {
        id: id.0.into(),
        name: name.to_owned(),
        addresses: reach.address_texts(),
        relays: reach.relay_texts(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Added, Directory, FindError, GrantState};
    use crate::control::{Grant, Message, Welcome};
    use crate::id::PeerId;
    use crate::invite::{TicketId, TicketSecret};
    use crate::limits::{CONTROL_MESSAGE_BYTES_MAX, GRANTS_MAX, MEMBERS_MAX, TICKET_RELAY_BYTES_MAX};
    use crate::reach::Reach;

    fn peer(n: u8) -> PeerId {
        PeerId([n; 32])
    }

    #[test]
    fn the_group_has_a_last_seat() {
        let mut directory = Directory::default();
        for n in 1..MEMBERS_MAX as u8 {
            assert_eq!(directory.add(peer(n), "x", Reach::default()), Added::New);
        }
        assert_eq!(directory.add(peer(200), "x", Reach::default()), Added::Full);
        assert_eq!(directory.add(peer(1), "y", Reach::default()), Added::Known);
    }

    #[test]
    fn a_member_is_found_by_name_or_beginning_of_id() {
        let mut directory = Directory::default();
        directory.add(peer(1), "Ada", Reach::default());
        directory.add(peer(2), "Bob", Reach::default());
        directory.add(peer(3), "bob", Reach::default());
        assert_eq!(directory.find("ada"), Ok(peer(1)));
        assert_eq!(directory.find(&peer(2).short()), Ok(peer(2)));
        assert_eq!(directory.find("bob"), Err(FindError::Several));
        assert_eq!(directory.find("eve"), Err(FindError::Nobody));
    }

    #[test]
    fn others_can_neither_void_nor_prolong_a_ticket() {
        let mut directory = Directory::default();
        let grant = |n: u64, secret, expiry| Grant {
            ticket: n.to_be_bytes().into(),
            secret: [secret; 16].into(),
            expiry,
        };
        directory.grant(grant(0, 7, 100));
        for n in 0..2 * GRANTS_MAX as u64 {
            directory.learn_grant(grant(n, 9, u64::MAX), 200);
        }
        let valid = GrantState::Valid(TicketSecret::from_bytes([7; 16]));
        assert_eq!(directory.grant_state(TicketId(0u64.to_be_bytes()), 50), valid);
        assert_eq!(directory.grant_state(TicketId(0u64.to_be_bytes()), 150), GrantState::Expired);
        assert_eq!(directory.grant_state(TicketId(1u64.to_be_bytes()), 250), GrantState::Expired);
        assert_eq!(directory.grants().len(), GRANTS_MAX);
    }

    #[test]
    fn a_full_group_fits_into_a_welcome() {
        let mut directory = Directory::default();
        let address = "[2001:db8:1111:2222:3333:4444:5555:6666]:65535".parse().expect("an address");
        for n in 1..MEMBERS_MAX as u8 {
            let server = format!("turn:{}", "x".repeat(TICKET_RELAY_BYTES_MAX - "turn: 192.0.2.1:5".len()));
            let relay = format!("{server} 192.0.2.1:5").parse().expect("a relay");
            let reach = Reach { addresses: vec![address; 16], relays: vec![relay] };
            directory.add(peer(n), &"\u{1f600}".repeat(40), reach);
            directory.grant(Grant {
                ticket: u64::from(n).to_be_bytes().into(),
                secret: [7; 16].into(),
                expiry: u64::MAX,
            });
        }
        let members = directory
            .iter()
            .map(|(id, record)| super::describe(id, record.name.as_str(), &record.reach))
            .collect();
        let (grants, secret, group) = (directory.grants(), [9; 32].into(), [1; 16].into());
        let welcome = Welcome { epoch: u64::MAX, epoch_secret: secret, members, grants, group };
        assert!(Message::Welcome(welcome).encode().len() < CONTROL_MESSAGE_BYTES_MAX);
    }

    #[test]
    fn tickets_expire_and_the_table_is_bounded() {
        let mut directory = Directory::default();
        for n in 0..=GRANTS_MAX as u64 {
            let ticket = n.to_be_bytes();
            directory.grant(Grant { ticket: ticket.into(), secret: [7; 16].into(), expiry: 1000 + n });
        }
        assert_eq!(directory.grant_state(TicketId(0u64.to_be_bytes()), 10), GrantState::Unknown);
        assert_eq!(
            directory.grant_state(TicketId(5u64.to_be_bytes()), 10),
            GrantState::Valid(TicketSecret::from_bytes([7; 16]))
        );
        assert_eq!(directory.grant_state(TicketId(5u64.to_be_bytes()), 1006), GrantState::Expired);
    }
}
