//! What the operations amount to: who is in, what they are, and how one comes in.
//!
//! A function of the set of operations alone: whoever has the same ones comes to the same result, in whatever order they
//! arrived. An operation counts if its author was allowed to say it by all that it knew, with these rules for what was
//! said at the same time, that is by two authors who did not know of each other's operation:
//!
//! - A removal is decided first, the most senior remover's before all others'. What the removed member said without
//!   knowing of it is void, removals of others included. So of two members who remove each other the senior stays, and
//!   as whoever removes is there, somebody stays.
//! - A removal wins over an addition of the same member. Who is to come back is added by somebody who knows of the removal.
//! - The strictest of several ways in wins: a lock over its undoing.
//! - The lowest of several roles wins.
//! - An author who says two things in one place has told different members different things. Neither counts, nor anything
//!   after it, and the author is out for good; what it said before stands. An honest member cannot get there: it goes on from its own last operation,
//!   and after a restart from its new addition.
//!
//! Seniority is the place of the first addition in the graph: the shorter way to the creation first, then by hash.
//!
//! Founder and moderators moderate. When all of them left or were removed, the most senior member does. While all of them
//! are only absent, the most senior member present may change the way in, and let people in, but remove nobody: otherwise
//! calling others absent would be a way to power.

use super::history::{History, Known, Place, Places};
use super::membership::{MemberState, Membership, Removal};
use super::operation::{Action, Admission, OperationId, Role};
use crate::id::PeerId;
use crate::limits::MEMBERS_MAX;
use std::collections::{BTreeMap, BTreeSet};

/// The operations by whom they are about, in the order of places.
#[derive(Default)]
struct Index {
    additions: BTreeMap<PeerId, Vec<Place>>,
    removals: BTreeMap<PeerId, Vec<Place>>,
    leaves: BTreeMap<PeerId, Vec<Place>>,
    roles: BTreeMap<PeerId, Vec<Place>>,
    absences: BTreeMap<PeerId, Vec<Place>>,
    said: BTreeMap<PeerId, Vec<Place>>,
    admissions: Vec<Place>,
    seniority: BTreeMap<PeerId, (u32, OperationId)>,
    forkers: BTreeSet<PeerId>,
}

/// What is decided so far.
struct Judge<'a> {
    known: &'a [Known],
    index: Index,
    in_force: Places,
    /// Removals that are decided. They stay.
    removals: Places,
}

/// How far somebody looks.
#[derive(Clone, Copy)]
enum View<'a> {
    /// At everything.
    All,
    /// At what came before an operation, and at removals of its author that did not know of it.
    From(Place, &'a Places),
}

impl View<'_> {
    fn sees(self, place: Place) -> bool {
        match self {
            Self::All => true,
            Self::From(_, past) => past.contains(place),
        }
    }
}

/// Judges everything.
pub(super) fn judge(history: &History) -> (Membership, Places) {
    let mut judge = Judge {
        known: history.known(),
        index: Index::of(history),
        in_force: Places::default(),
        removals: Places::default(),
    };
    loop {
        let candidates = judge.pass();
        let author = |place: &Place| judge.known[*place].operation.author;
        let senior = |place: &Place| (judge.index.seniority.get(&author(place)).copied(), author(place));
        let Some(first) = candidates.iter().map(senior).min() else { break };
        let decided: Vec<Place> = candidates.iter().copied().filter(|place| senior(place) == first).collect();
        decided.into_iter().for_each(|place| judge.removals.insert(place));
    }
    (judge.membership(), judge.in_force)
}

impl Index {
    fn of(history: &History) -> Self {
        let mut index = Self::default();
        for (place, known) in history.known().iter().enumerate() {
            let operation = &known.operation;
            index.said.entry(operation.author).or_default().push(place);
            if known.is_forked {
                index.forkers.insert(operation.author);
            }
            let added = match operation.action {
                Action::Create { .. } => Some(operation.author),
                Action::Add { peer, .. } => Some(peer),
                _ => None,
            };
            if let Some(peer) = added {
                index.additions.entry(peer).or_default().push(place);
                let rank = (known.depth, operation.id);
                let first = index.seniority.entry(peer).or_insert(rank);
                *first = rank.min(*first);
            }
            match operation.action {
                Action::Remove { peer, .. } => index.removals.entry(peer).or_default().push(place),
                Action::Leave => index.leaves.entry(operation.author).or_default().push(place),
                Action::SetRole { peer, .. } => index.roles.entry(peer).or_default().push(place),
                Action::MarkAbsent(peer) => index.absences.entry(peer).or_default().push(place),
                Action::SetAdmission(_) => index.admissions.push(place),
                Action::Create { .. }
                | Action::Add { .. }
                | Action::Revoke(_)
                | Action::Return
                | Action::Unknown(_) => {}
            }
        }
        index
    }
}

fn of(places: &BTreeMap<PeerId, Vec<Place>>, peer: PeerId) -> impl Iterator<Item = Place> {
    places.get(&peer).into_iter().flatten().copied()
}

impl Judge<'_> {
    /// Says of every operation whether it is in force, given the removals that are decided; returns further removals
    /// whose authors may remove.
    fn pass(&mut self) -> Vec<Place> {
        self.in_force = Places::default();
        let mut candidates = Vec::new();
        for (place, known) in self.known.iter().enumerate() {
            let is_removal = matches!(known.operation.action, Action::Remove { .. });
            if is_removal && self.removals.contains(place) {
                self.in_force.insert(place);
            } else if self.is_allowed(place) {
                if is_removal {
                    candidates.push(place);
                } else {
                    self.in_force.insert(place);
                }
            }
        }
        candidates
    }

    fn is_before(&self, first: Place, second: Place) -> bool {
        self.known[second].past.contains(first)
    }

    /// The additions by which this peer is a member. Empty for who is none.
    fn stint(&self, peer: PeerId, view: View<'_>) -> Vec<Place> {
        if self.index.forkers.contains(&peer) && matches!(view, View::All) {
            return Vec::new();
        }
        let additions = of(&self.index.additions, peer)
            .filter(|place| self.in_force.contains(*place) && view.sees(*place));
        let is_over = |addition: Place| {
            let removed = of(&self.index.removals, peer).any(|removal| {
                let counts = match view {
                    View::All => true,
                    View::From(place, past) => past.contains(removal) || !self.is_before(place, removal),
                };
                self.removals.contains(removal) && counts && !self.is_before(removal, addition)
            });
            removed
                || of(&self.index.leaves, peer).any(|leave| {
                    self.in_force.contains(leave) && view.sees(leave) && self.is_before(addition, leave)
                })
        };
        additions.filter(|addition| !is_over(*addition)).collect()
    }

    /// The role of this peer, if it is a member.
    fn role(&self, peer: PeerId, view: View<'_>) -> Option<Role> {
        let stint = self.stint(peer, view);
        if stint.is_empty() {
            return None;
        }
        if stint.contains(&0) {
            return Some(Role::Founder);
        }
        let given: Vec<Place> = of(&self.index.roles, peer)
            .filter(|role| self.in_force.contains(*role) && view.sees(*role))
            .filter(|role| stint.iter().any(|addition| self.is_before(*addition, *role)))
            .collect();
        Some(self.newest(&given).filter_map(|place| self.role_given(place)).min().unwrap_or(Role::Member))
    }

    fn role_given(&self, place: Place) -> Option<Role> {
        match self.known[place].operation.action {
            Action::SetRole { role, .. } => Some(role),
            _ => None,
        }
    }

    /// Those of `places`, which ascend, after which none of the others comes.
    fn newest(&self, places: &[Place]) -> impl Iterator<Item = Place> {
        let (mut covered, mut newest) = (Places::default(), Vec::new());
        for place in places.iter().rev() {
            if !covered.contains(*place) {
                covered.extend(&self.known[*place].past);
                newest.push(*place);
            }
        }
        newest.into_iter()
    }

    fn admission(&self, view: View<'_>) -> Admission {
        let set: Vec<Place> = self
            .index
            .admissions
            .iter()
            .copied()
            .filter(|place| self.in_force.contains(*place) && view.sees(*place))
            .collect();
        let set = self.newest(&set).filter_map(|place| match self.known[place].operation.action {
            Action::SetAdmission(admission) => Some(admission),
            _ => None,
        });
        let at_first = match self.known[0].operation.action {
            Action::Create { admission, .. } => admission,
            _ => Admission::Locked,
        };
        set.max().unwrap_or(at_first)
    }

    fn is_absent(&self, peer: PeerId, view: View<'_>) -> bool {
        let marks =
            of(&self.index.absences, peer).filter(|mark| self.in_force.contains(*mark) && view.sees(*mark));
        let is_back = |mark: Place| {
            of(&self.index.said, peer)
                .chain(of(&self.index.additions, peer))
                .any(|sign| self.in_force.contains(sign) && view.sees(sign) && !self.is_before(sign, mark))
        };
        marks.into_iter().any(|mark| !is_back(mark))
    }

    /// Members with their roles, the most senior first.
    fn members(&self, view: View<'_>) -> Vec<(PeerId, Role)> {
        let mut members: Vec<(PeerId, Role)> = self
            .index
            .additions
            .keys()
            .filter_map(|peer| self.role(*peer, view).map(|role| (*peer, role)))
            .collect();
        members.sort_by_key(|(peer, _)| self.index.seniority[peer]);
        members
    }

    /// Whether this author moderates; `may_stand_in` where being the most senior present is enough.
    fn moderates(&self, author: PeerId, role: Role, view: View<'_>, may_stand_in: bool) -> bool {
        if role >= Role::Moderator {
            return true;
        }
        let members = self.members(view);
        let mut moderators = members.iter().filter(|(_, role)| *role >= Role::Moderator).peekable();
        if moderators.peek().is_none() {
            return members.first().is_some_and(|(first, _)| *first == author);
        }
        may_stand_in
            && moderators.all(|(peer, _)| self.is_absent(*peer, view))
            && members
                .iter()
                .find(|(peer, _)| !self.is_absent(*peer, view))
                .is_some_and(|(first, _)| *first == author)
    }

    /// Whether the author may say this, by all that it knew.
    fn is_allowed(&self, place: Place) -> bool {
        let known = &self.known[place];
        let author = known.operation.author;
        if known.is_forked {
            return false;
        }
        let view = View::From(place, &known.past);
        if let Action::Create { .. } = known.operation.action {
            return place == 0;
        }
        let Some(role) = self.role(author, view) else { return false };
        match known.operation.action {
            Action::Add { peer, .. } => {
                if self.role(peer, view).is_some() {
                    // It comes again, after a restart.
                    return true;
                }
                let is_open = self.admission(view) != Admission::Locked && !self.is_banned(peer, view);
                is_open || self.moderates(author, role, view, !self.is_banned(peer, view))
            }
            Action::Remove { peer, .. } => {
                peer != author
                    && self.moderates(author, role, view, false)
                    && self.role(peer, view).is_none_or(|theirs| theirs < Role::Founder)
            }
            Action::SetRole { peer, role: given } => {
                let is_founder = role == Role::Founder;
                let raises = self.role(peer, view).is_some_and(|theirs| theirs < given);
                given < Role::Founder
                    && peer != author
                    && (is_founder || (raises && self.moderates(author, role, view, false)))
            }
            Action::SetAdmission(_) => self.moderates(author, role, view, true),
            Action::MarkAbsent(peer) => peer != author,
            Action::Revoke(_) | Action::Leave | Action::Return => true,
            Action::Create { .. } | Action::Unknown(_) => false,
        }
    }

    /// Whether the last that was said about a peer is that it stays out.
    fn is_banned(&self, peer: PeerId, view: View<'_>) -> bool {
        let bans: Vec<Place> = of(&self.index.removals, peer)
            .filter(|place| self.removals.contains(*place) && view.sees(*place))
            .filter(|place| {
                matches!(self.known[*place].operation.action, Action::Remove { is_ban: true, .. })
            })
            .collect();
        let readmitted = |ban: Place| {
            of(&self.index.additions, peer).any(|addition| {
                self.in_force.contains(addition) && view.sees(addition) && self.is_before(ban, addition)
            })
        };
        bans.into_iter().any(|ban| !readmitted(ban))
    }

    fn membership(&self) -> Membership {
        let view = View::All;
        let mut membership = Membership { admission: self.admission(view), ..Membership::default() };
        for (rank, (peer, role)) in self.members(view).into_iter().take(MEMBERS_MAX).enumerate() {
            let is_absent = self.is_absent(peer, view);
            membership.members.insert(peer, MemberState { role, rank, is_absent });
        }
        let is_in = |peer: &PeerId| membership.members.contains_key(peer);
        for peer in self.index.forkers.iter().filter(|peer| !is_in(peer)) {
            membership.removed.insert(*peer, Removal::TwoTongues);
        }
        let mut epochs = Vec::new();
        for (place, known) in
            self.known.iter().enumerate().filter(|(place, _)| self.in_force.contains(*place))
        {
            match known.operation.action {
                Action::Create { .. } => {}
                Action::Remove { peer, .. } => {
                    epochs.push(place);
                    if !membership.members.contains_key(&peer) {
                        let removal =
                            if self.is_banned(peer, view) { Removal::Banned } else { Removal::Removed };
                        membership.removed.entry(peer).or_insert(removal);
                    }
                }
                Action::Add { peer, ticket: Some(ticket) } => {
                    membership.admitted_by.entry(ticket).or_default().insert(peer);
                }
                Action::Revoke(ticket) => {
                    let author = known.operation.author;
                    let view = View::From(place, &known.past);
                    let moderates =
                        self.role(author, view).is_some_and(|role| self.moderates(author, role, view, false));
                    membership.revoked.entry(ticket).or_default().insert((!moderates).then_some(author));
                }
                _ => {}
            }
        }
        membership.epoch = 1 + epochs.len() as u64;
        membership.commitments = epochs.iter().filter_map(|place| self.commitment(*place)).collect();
        let newest = self
            .newest(&epochs)
            .max_by_key(|place| (self.known[*place].depth, self.known[*place].operation.id));
        membership.epoch_commitment = newest.and_then(|place| self.commitment(place));
        membership
    }

    fn commitment(&self, place: Place) -> Option<[u8; 32]> {
        match self.known[place].operation.action {
            Action::Remove { epoch, .. } => Some(epoch),
            _ => None,
        }
    }
}
