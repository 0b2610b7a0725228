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
//!   that does not come before them, and the author is out for good; what it said before stands. An honest member cannot
//!   get there: it goes on from its own last operation, and after a restart from its new addition.
//!
//! Seniority is the place of the first addition in the graph that counts: the shorter way to the creation first, then by
//! hash. An author is judged by the seniority it knew of: nothing that somebody says later, with an older date, makes
//! another one the most senior of then.
//!
//! Founder and moderators moderate. When all of them left or were removed, the most senior member does. While all of them
//! are only absent, the most senior member present may change the way in, and let people in, but remove nobody: otherwise
//! calling others absent would be a way to power.

use super::history::{History, Known, Place, Places};
use super::membership::{MemberState, Membership, Removal};
use super::operation::{Action, Admission, OperationId, Role};
use crate::id::PeerId;
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
    /// Everybody who was ever to come in, by the highest seniority that can be theirs, which void additions give as well.
    by_rank: Vec<(Rank, PeerId)>,
    /// What authors said in one place, place by place.
    lies: BTreeMap<PeerId, BTreeMap<Option<OperationId>, Vec<Place>>>,
}

/// Of an addition; the smaller, the more senior.
type Rank = (u32, OperationId);

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
    let (mut candidates, mut from) = (BTreeSet::new(), 0);
    loop {
        judge.pass(from, &mut candidates);
        let author = |place: &Place| judge.known[*place].operation.author;
        let senior = |place: &Place| (judge.rank(author(place), View::All), author(place));
        let Some(first) = candidates.iter().map(senior).min() else { break };
        let decided: Vec<Place> = candidates.iter().copied().filter(|place| senior(place) == first).collect();
        from = decided.iter().map(|removal| judge.first_touched(*removal, &candidates)).min().unwrap_or(0);
        for removal in decided {
            candidates.remove(&removal);
            judge.removals.insert(removal);
        }
    }
    (judge.membership(), judge.in_force)
}

impl Index {
    fn of(history: &History) -> Self {
        let (mut index, mut ranks) = (Self::default(), BTreeMap::new());
        for (place, known) in history.known().iter().enumerate() {
            let operation = &known.operation;
            index.said.entry(operation.author).or_default().push(place);
            if known.is_forked {
                let lies = index.lies.entry(operation.author).or_default();
                lies.entry(operation.previous).or_default().push(place);
            }
            let added = match operation.action {
                Action::Create { .. } => Some(operation.author),
                Action::Add { peer, .. } => Some(peer),
                _ => None,
            };
            if let Some(peer) = added {
                index.additions.entry(peer).or_default().push(place);
                let first = ranks.entry(peer).or_insert(known.rank());
                *first = known.rank().min(*first);
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
        index.by_rank = ranks.into_iter().map(|(peer, rank)| (rank, peer)).collect();
        index.by_rank.sort_unstable();
        index
    }
}

fn of(places: &BTreeMap<PeerId, Vec<Place>>, peer: PeerId) -> impl Iterator<Item = Place> {
    places.get(&peer).into_iter().flatten().copied()
}

impl Judge<'_> {
    /// Says of every operation from a place on whether it is in force, given the removals that are decided; keeps the
    /// further removals whose authors may remove.
    fn pass(&mut self, from: Place, candidates: &mut BTreeSet<Place>) {
        self.in_force.truncate(from);
        candidates.split_off(&from);
        for place in from..self.known.len() {
            let is_removal = matches!(self.known[place].operation.action, Action::Remove { .. });
            if is_removal && self.removals.contains(place) {
                self.in_force.insert(place);
            } else if self.is_allowed(place) {
                if is_removal {
                    candidates.insert(place);
                } else {
                    self.in_force.insert(place);
                }
            }
        }
    }

    /// The first operation that counts otherwise once this removal is decided. An operation depends on what came before
    /// it and on removals of its author only, so all before this one stay as they are.
    fn first_touched(&self, removal: Place, candidates: &BTreeSet<Place>) -> Place {
        let Action::Remove { peer, .. } = self.known[removal].operation.action else { return removal };
        let voided = of(&self.index.said, peer).find(|place| {
            (self.in_force.contains(*place) || candidates.contains(place)) && !self.is_before(*place, removal)
        });
        voided.map_or(removal, |place| place.min(removal))
    }

    fn is_before(&self, first: Place, second: Place) -> bool {
        self.known[second].past.contains(first)
    }

    /// The additions by which this peer is a member. Empty for who is none.
    fn stint(&self, peer: PeerId, view: View<'_>) -> Vec<Place> {
        if self.is_seen_lying(peer, view) {
            return Vec::new();
        }
        let removed = of(&self.index.removals, peer).filter(|removal| {
            let counts = match view {
                View::All => true,
                View::From(place, past) => {
                    let is_author = self.known[place].operation.author == peer;
                    past.contains(*removal) || (is_author && !self.is_before(place, *removal))
                }
            };
            self.removals.contains(*removal) && counts
        });
        let removed: Places = removed.collect();
        let mut left = Places::default();
        of(&self.index.leaves, peer)
            .filter(|leave| self.in_force.contains(*leave) && view.sees(*leave))
            .for_each(|leave| left.extend(&self.known[leave].past));
        of(&self.index.additions, peer)
            .filter(|place| self.in_force.contains(*place) && view.sees(*place))
            .filter(|place| removed.is_within(&self.known[*place].past) && !left.contains(*place))
            .collect()
    }

    /// Whether two things are known that this peer said in one place.
    fn is_seen_lying(&self, peer: PeerId, view: View<'_>) -> bool {
        let places = self.index.lies.get(&peer);
        places.is_some_and(|lies| {
            lies.values().any(|said| said.iter().filter(|place| view.sees(**place)).nth(1).is_some())
        })
    }

    /// Whether the author of this had not lied yet.
    fn is_before_lies(&self, place: Place) -> bool {
        let lies = self.index.lies.get(&self.known[place].operation.author);
        lies.is_none_or(|lies| lies.values().flatten().all(|lie| self.is_before(place, *lie)))
    }

    /// By the first addition that counts. `None`, for nobody, comes before all.
    fn rank(&self, peer: PeerId, view: View<'_>) -> Option<Rank> {
        let additions = of(&self.index.additions, peer);
        additions
            .filter(|place| self.in_force.contains(*place) && view.sees(*place))
            .map(|place| self.known[place].rank())
            .min()
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
        let peers = self.index.by_rank.iter().map(|(_, peer)| *peer);
        let mut members: Vec<(PeerId, Role)> =
            peers.filter_map(|peer| self.role(peer, view).map(|role| (peer, role))).collect();
        members.sort_by_cached_key(|(peer, _)| self.rank(*peer, view));
        members
    }

    /// Whether this author moderates; `may_stand_in` where being the most senior present is enough.
    fn moderates(&self, author: PeerId, role: Role, view: View<'_>, may_stand_in: bool) -> bool {
        if role >= Role::Moderator {
            return true;
        }
        let mut moderators = self.moderators(view).peekable();
        if moderators.peek().is_none() {
            return self.is_first(author, view, |_| true);
        }
        may_stand_in
            && moderators.all(|peer| self.is_absent(peer, view))
            && self.is_first(author, view, |peer| !self.is_absent(peer, view))
    }

    /// Who moderates by its role.
    fn moderators<'a>(&'a self, view: View<'a>) -> impl Iterator<Item = PeerId> + 'a {
        let founder = self.known[0].operation.author;
        let is_raised = move |peer: &PeerId| {
            of(&self.index.roles, *peer).any(|place| {
                self.in_force.contains(place)
                    && view.sees(place)
                    && self.role_given(place) == Some(Role::Moderator)
            })
        };
        let raised = self.index.roles.keys().copied().filter(move |peer| *peer != founder && is_raised(peer));
        [founder]
            .into_iter()
            .chain(raised)
            .filter(move |peer| self.role(*peer, view) >= Some(Role::Moderator))
    }

    /// Whether this member is the most senior of those who count. Looks at those only who could be more senior: most of
    /// a long history is by people who could not.
    fn is_first(&self, author: PeerId, view: View<'_>, counts: impl Fn(PeerId) -> bool) -> bool {
        let rank = self.rank(author, view);
        let could_be = self.index.by_rank.iter().take_while(|(highest, _)| Some(*highest) < rank);
        let is_senior = |peer: PeerId| {
            peer != author
                && self.rank(peer, view).is_some_and(|theirs| Some(theirs) < rank)
                && self.role(peer, view).is_some()
                && counts(peer)
        };
        counts(author) && !could_be.into_iter().any(|(_, peer)| is_senior(*peer))
    }

    /// Whether the author may say this, by all that it knew.
    fn is_allowed(&self, place: Place) -> bool {
        let known = &self.known[place];
        let author = known.operation.author;
        if !self.is_before_lies(place) {
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
        for (rank, (peer, role)) in self.members(view).into_iter().enumerate() {
            let is_absent = self.is_absent(peer, view);
            membership.members.insert(peer, MemberState { role, rank, is_absent });
        }
        let is_in = |peer: &PeerId| membership.members.contains_key(peer);
        for peer in self.index.lies.keys().filter(|peer| !is_in(peer)) {
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
