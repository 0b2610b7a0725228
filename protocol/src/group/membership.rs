//! Who is in the group, at one moment.

use super::directory::FindError;
use super::operation::{Admission, Role};
use crate::id::PeerId;
use crate::invite::TicketId;
use std::collections::{BTreeMap, BTreeSet};

/// What a history amounts to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Membership {
    /// Everybody who is in.
    pub members: BTreeMap<PeerId, MemberState>,
    /// Who was put out and has not come back.
    pub removed: BTreeMap<PeerId, Removal>,
    /// How one comes in.
    pub admission: Admission,
    /// How many secrets the group has had: one, and another one for each removal.
    pub epoch: u64,
    /// What the newest secret has to fit, see [`commitment`](super::commitment); `None` for the first one.
    pub epoch_commitment: Option<[u8; 32]>,
    /// What the secrets of all epochs but the first fit.
    pub commitments: BTreeSet<[u8; 32]>,
    /// Tickets that were revoked: by whom, where only its issuer's word counts.
    pub(super) revoked: BTreeMap<TicketId, BTreeSet<Option<PeerId>>>,
    /// Who came in by which ticket.
    pub(super) admitted_by: BTreeMap<TicketId, BTreeSet<PeerId>>,
}

/// One member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemberState {
    /// What it may do.
    pub role: Role,
    /// 0 for the most senior.
    pub rank: usize,
    /// Nobody has seen it for as long as a seat is kept.
    pub is_absent: bool,
}

/// Why somebody is out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Removal {
    /// Put out; may come back with a new invitation.
    Removed,
    /// Put out for good.
    Banned,
    /// Said different things to different members.
    TwoTongues,
}

impl Default for Membership {
    fn default() -> Self {
        Self {
            members: BTreeMap::new(),
            removed: BTreeMap::new(),
            admission: Admission::Locked,
            epoch: 1,
            epoch_commitment: None,
            commitments: BTreeSet::new(),
            revoked: BTreeMap::new(),
            admitted_by: BTreeMap::new(),
        }
    }
}

impl Membership {
    /// Whether this peer is in.
    pub fn contains(&self, peer: PeerId) -> bool {
        self.members.contains_key(&peer)
    }

    /// Whether this peer may remove, lock and promote.
    pub fn moderates(&self, peer: PeerId) -> bool {
        let Some(state) = self.members.get(&peer) else { return false };
        let is_moderated = self.members.values().any(|member| member.role >= Role::Moderator);
        state.role >= Role::Moderator || (!is_moderated && state.rank == 0)
    }

    /// Whether this peer may change the way in: a moderator, or whoever stands in while all of them are absent.
    pub fn keeps_the_door(&self, peer: PeerId) -> bool {
        let stands_in = || {
            let present = self.members.iter().filter(|(_, member)| !member.is_absent);
            let first = present.min_by_key(|(_, member)| member.rank);
            let moderators = self.members.values().filter(|member| member.role >= Role::Moderator);
            moderators.into_iter().all(|member| member.is_absent)
                && first.is_some_and(|(first, _)| *first == peer)
        };
        self.moderates(peer) || stands_in()
    }

    /// The one member whose id begins so, with at least four characters.
    pub fn find(&self, who: &str) -> Result<PeerId, FindError> {
        let wanted = who.to_lowercase();
        let is_meant = |peer: &&PeerId| wanted.len() >= 4 && peer.to_string().starts_with(&wanted);
        let mut found = self.members.keys().filter(is_meant);
        match (found.next(), found.next()) {
            (Some(peer), None) => Ok(*peer),
            (None, _) => Err(FindError::Nobody),
            (Some(_), Some(_)) => Err(FindError::Several),
        }
    }

    /// Whether a ticket was revoked by a moderator or its issuer.
    pub fn is_revoked(&self, ticket: TicketId, issuer: PeerId) -> bool {
        self.revoked.get(&ticket).is_some_and(|by| by.contains(&None) || by.contains(&Some(issuer)))
    }

    /// How many others than `peer` came in by a ticket.
    pub fn uses(&self, ticket: TicketId, peer: PeerId) -> usize {
        self.admitted_by.get(&ticket).map_or(0, |by| by.iter().filter(|other| **other != peer).count())
    }
}
