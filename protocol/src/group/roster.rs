//! Who is in the group, as one member knows it: the history, what it amounts to, and what we say ourselves.

use super::history::{History, NotTaken, Places};
use super::membership::Membership;
use super::operation::{Action, Admission, Operation, OperationId};
use super::rules::judge;
use crate::id::{GroupId, PeerId};
use crate::identity::Identity;

/// A group's history with its meaning.
#[derive(Clone, Debug)]
pub struct Roster {
    history: History,
    membership: Membership,
    /// What of it counts.
    in_force: Places,
    me: PeerId,
    /// What our next operation goes on from.
    last: OperationId,
}

/// What became of operations from elsewhere.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Taken {
    /// Those that were new, for others who may not know them.
    pub new: Vec<Operation>,
    /// How many were not taken, and why the first one was not.
    pub refused: Option<(usize, NotTaken)>,
}

/// A roster cannot begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoRoster {
    /// The history is not one of this group.
    #[error("the history is of another group")]
    Foreign,
    /// By the history we are not a member.
    #[error("the history does not make us a member")]
    NotAMember,
}

/// We may not do that, or it would change nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotAllowed {
    /// By the group's rules.
    #[error("the rules of the group do not allow it")]
    Rules,
    /// There is no room for more.
    #[error(transparent)]
    NotTaken(#[from] NotTaken),
}

impl Roster {
    /// A new group, with us as its founder. The nonce is 32 bytes of the system's random source.
    pub fn found(identity: &Identity, nonce: [u8; 32], admission: Admission) -> Self {
        let creation = Operation::sign(identity, None, Vec::new(), Action::Create { nonce, admission });
        let last = creation.id;
        let history = History::begin(creation).expect("a creation begins a history");
        let (membership, in_force) = judge(&history);
        Self { history, membership, in_force, me: identity.peer_id(), last }
    }

    /// The group into which a member let us, from all its operations, predecessors first.
    pub fn join(me: PeerId, group: GroupId, operations: Vec<Operation>) -> Result<Self, NoRoster> {
        let mut operations = operations.into_iter();
        let creation = operations.next().filter(|creation| creation.id.group() == group);
        let mut history =
            creation.and_then(|creation| History::begin(creation).ok()).ok_or(NoRoster::Foreign)?;
        for operation in operations {
            // What does not fit is missing to what comes after it as well.
            let _ = history.take(operation);
        }
        let last = history.fresh_addition(me).ok_or(NoRoster::NotAMember)?;
        let (membership, in_force) = judge(&history);
        if !membership.contains(me) {
            return Err(NoRoster::NotAMember);
        }
        Ok(Self { history, membership, in_force, me, last })
    }

    /// Who is in.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// All that is known.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Takes operations from another member, predecessors first.
    pub fn take(&mut self, operations: Vec<Operation>) -> Taken {
        let mut taken = Taken::default();
        for operation in operations {
            let keeps_the_door = self.membership.keeps_the_door(operation.author);
            match self.history.take_from(operation.clone(), keeps_the_door) {
                Ok(true) => taken.new.push(operation),
                Ok(false) => {}
                Err(reason) => {
                    let (count, first) = taken.refused.unwrap_or((0, reason));
                    taken.refused = Some((count + 1, first));
                }
            }
        }
        if !taken.new.is_empty() {
            (self.membership, self.in_force) = judge(&self.history);
        }
        taken
    }

    /// Says something to the group; the operation is for all others.
    pub fn say(&mut self, identity: &Identity, action: Action) -> Result<Operation, NotAllowed> {
        debug_assert_eq!(identity.peer_id(), self.me, "only we speak for ourselves");
        let newest = self.history.newest(&self.in_force);
        let parents = newest.into_iter().filter(|id| *id != self.last).collect();
        let operation = Operation::sign(identity, Some(self.last), parents, action);
        let mut history = self.history.clone();
        history.take_from(operation.clone(), self.membership.keeps_the_door(self.me))?;
        let (membership, in_force) = judge(&history);
        let is_in_vain = matches!(action, Action::Add { peer, .. } if !membership.contains(peer));
        if !in_force.contains(history.len() - 1) || is_in_vain {
            return Err(NotAllowed::Rules);
        }
        self.last = operation.id;
        (self.history, self.membership, self.in_force) = (history, membership, in_force);
        Ok(operation)
    }
}
