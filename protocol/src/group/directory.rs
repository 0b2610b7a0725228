//! What members are called and where they may be reached.
//!
//! Ordered, bounded and without a clock. Nothing here is signed, see the parent module.

use crate::control::Member;
use crate::id::PeerId;
use crate::limits::{CANDIDATES_MAX, MEMBERS_MAX, TICKET_RELAYS_MAX};
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

/// The members other than oneself.
#[derive(Debug, Default)]
pub struct Directory {
    members: BTreeMap<PeerId, MemberRecord>,
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

    /// A known member has moved; returns whether that is new.
    pub fn move_to(&mut self, id: PeerId, reach: &Reach) -> bool {
        let Some(record) = self.members.get_mut(&id) else { return false };
        let mut reach = reach.clone();
        reach.addresses.truncate(CANDIDATES_MAX);
        reach.relays.truncate(TICKET_RELAYS_MAX);
        let is_new = record.reach != reach;
        record.reach = reach;
        is_new
    }

    /// More ways to a known member; returns whether they are new. Of those that are known half stay, whatever somebody
    /// else tells.
    pub fn extend(&mut self, id: PeerId, reach: &Reach) -> bool {
        let Some(record) = self.members.get(&id) else { return false };
        let addresses = mixed(&record.reach.addresses, &reach.addresses, CANDIDATES_MAX);
        let relays = mixed(&record.reach.relays, &reach.relays, TICKET_RELAYS_MAX);
        self.move_to(id, &Reach { addresses, relays })
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
}

/// The known and the told without repetition, `most` at most: of the known the first half, then the told, then the rest.
fn mixed<T: Clone + PartialEq>(known: &[T], told: &[T], most: usize) -> Vec<T> {
    let (kept, others) = known.split_at(known.len().min(most / 2));
    let mut all: Vec<T> = kept.to_vec();
    for way in told.iter().chain(others) {
        if all.len() < most && !all.contains(way) {
            all.push(way.clone());
        }
    }
    all
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
    use super::{Added, Directory, FindError};
    use crate::control::{Grant, Message, Welcome};
    use crate::id::PeerId;
    use crate::limits::{
        CANDIDATES_MAX, CONTROL_MESSAGE_BYTES_MAX, GRANTS_MAX, MEMBERS_MAX, TICKET_RELAY_BYTES_MAX,
    };
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
    fn what_others_tell_of_a_member_leaves_half_of_its_own_ways() {
        let mut directory = Directory::default();
        let reach = |net: u8| {
            let address = |host| std::net::SocketAddr::from(([192, 0, net, host], 5));
            Reach { addresses: (0..CANDIDATES_MAX as u8).map(address).collect(), relays: Vec::new() }
        };
        directory.add(peer(1), "Ada", reach(2));
        assert!(directory.extend(peer(1), &reach(3)) && directory.extend(peer(1), &reach(4)));
        let known = &directory.get(peer(1)).expect("added above").reach.addresses;
        assert_eq!(known.len(), CANDIDATES_MAX);
        assert_eq!(known[..CANDIDATES_MAX / 2], reach(2).addresses[..CANDIDATES_MAX / 2]);
        assert!(known.contains(&reach(4).addresses[0]), "a new address is tried as well");
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
    fn a_full_group_fits_into_a_welcome() {
        let mut directory = Directory::default();
        let address = "[2001:db8:1111:2222:3333:4444:5555:6666]:65535".parse().expect("an address");
        for n in 1..MEMBERS_MAX as u8 {
            let server = format!("turn:{}", "x".repeat(TICKET_RELAY_BYTES_MAX - "turn: 192.0.2.1:5".len()));
            let relay = format!("{server} 192.0.2.1:5").parse().expect("a relay");
            let reach = Reach { addresses: vec![address; 16], relays: vec![relay] };
            directory.add(peer(n), &"\u{1f600}".repeat(40), reach);
        }
        let members = directory
            .iter()
            .map(|(id, record)| super::describe(id, record.name.as_str(), &record.reach))
            .collect();
        let grant = Grant {
            ticket: [0xff; 8].into(),
            secret: [0xff; 16].into(),
            expiry: u64::MAX,
            issuer: [0xff; 32].into(),
            epoch: u64::MAX,
        };
        let grants = vec![grant; GRANTS_MAX];
        let welcome = Welcome { epoch_secret: [0xff; 32].into(), members, grants, group: [0xff; 16].into() };
        assert!(Message::Welcome(welcome).encode().len() < CONTROL_MESSAGE_BYTES_MAX);
    }
}
