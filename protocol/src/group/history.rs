//! All operations that are known: a graph that only grows, every operation after those it names.
//!
//! Whoever has the same operations has the same history, in whatever order they came. What they mean is for
//! [`rules`](super::rules) to say.

use super::operation::{Action, Operation, OperationId};
use crate::id::{GroupId, PeerId};
use crate::limits::{OPERATIONS_MAX, OPERATIONS_OF_AUTHOR_MAX, OPERATIONS_RESERVED};
use std::collections::BTreeMap;

/// An operation's place: predecessors have smaller ones. Differs from member to member.
pub(super) type Place = usize;

/// A set of places.
#[derive(Clone, Default, Debug)]
pub(super) struct Places(Vec<u64>);

/// Heads in a summary. More can only be where many speak at once; the others are found by what is older.
const HEADS_MAX: usize = 64;

/// What is known of a group.
#[derive(Clone, Debug)]
pub struct History {
    operations: Vec<Known>,
    places: BTreeMap<OperationId, Place>,
    /// Those that nothing comes after.
    heads: Places,
    /// The first operation with which an author went on from another one.
    first_after: BTreeMap<(PeerId, Option<OperationId>), Place>,
}

/// An operation with what follows from its place.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) operation: Operation,
    /// All that came before.
    pub(super) past: Places,
    /// The longest way to the creation.
    pub(super) depth: u32,
    /// How many its author said without being added again, with this one.
    nth: usize,
    /// The author said something else at this place: two chains where an honest member has one.
    pub(super) is_forked: bool,
}

/// Why an operation was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotTaken {
    /// Something that came before it is missing.
    #[error("a group operation without what came before it")]
    Missing,
    /// It is the beginning of another group.
    #[error("a group operation of another group")]
    Foreign,
    /// The author does not go on from where it was.
    #[error("a group operation whose author does not go on from its last one")]
    Unchained,
    /// There are too many, of this author or in all.
    #[error("the group's history is full")]
    Full,
}

impl Places {
    pub(super) fn contains(&self, place: Place) -> bool {
        self.0.get(place / 64).is_some_and(|word| word >> (place % 64) & 1 == 1)
    }

    pub(super) fn insert(&mut self, place: Place) {
        let word = place / 64;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (place % 64);
    }

    fn remove(&mut self, place: Place) {
        if let Some(word) = self.0.get_mut(place / 64) {
            *word &= !(1 << (place % 64));
        }
    }

    /// Leaves those before a place.
    pub(super) fn truncate(&mut self, from: Place) {
        self.0.truncate(from / 64 + 1);
        if let Some(last) = self.0.get_mut(from / 64) {
            *last &= (1 << (from % 64)) - 1;
        }
    }

    /// Whether the other has all of these.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        let theirs = other.0.iter().copied().chain(std::iter::repeat(0));
        self.0.iter().zip(theirs).all(|(ours, theirs)| ours & !theirs == 0)
    }

    pub(super) fn extend(&mut self, other: &Self) {
        if other.0.len() > self.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        self.0.iter_mut().zip(&other.0).for_each(|(ours, theirs)| *ours |= theirs);
    }

    fn iter(&self) -> impl Iterator<Item = Place> {
        self.0.iter().enumerate().flat_map(|(index, &word)| {
            (0..64).filter(move |bit| word >> bit & 1 == 1).map(move |bit| index * 64 + bit)
        })
    }
}

impl FromIterator<Place> for Places {
    fn from_iter<I: IntoIterator<Item = Place>>(places: I) -> Self {
        let mut set = Self::default();
        places.into_iter().for_each(|place| set.insert(place));
        set
    }
}

impl History {
    /// Begins with a group's creation, if that is what it is.
    pub fn begin(creation: Operation) -> Result<Self, NotTaken> {
        if !matches!(creation.action, Action::Create { .. }) {
            return Err(NotTaken::Foreign);
        }
        let mut history = Self {
            operations: Vec::new(),
            places: BTreeMap::new(),
            heads: Places::default(),
            first_after: BTreeMap::new(),
        };
        history.place(creation, None);
        Ok(history)
    }

    /// Takes an operation; returns whether it is new.
    pub fn take(&mut self, operation: Operation) -> Result<bool, NotTaken> {
        self.take_from(operation, true)
    }

    /// The same; only of those who keep the door there is room to the very end.
    pub(super) fn take_from(&mut self, operation: Operation, keeps_the_door: bool) -> Result<bool, NotTaken> {
        if self.places.contains_key(&operation.id) {
            return Ok(false);
        }
        let previous = self.check_place(&operation, keeps_the_door)?;
        self.place(operation, previous);
        Ok(true)
    }

    /// Whether it may stand where it says; the author's own operation before it.
    fn check_place(&self, operation: &Operation, keeps_the_door: bool) -> Result<Option<Place>, NotTaken> {
        let Some(previous) = operation.previous else { return Err(NotTaken::Foreign) };
        if !operation.predecessors().all(|id| self.places.contains_key(&id)) {
            return Err(NotTaken::Missing);
        }
        let place = self.places[&previous];
        let before = &self.operations[place].operation;
        let is_own = before.author == operation.author;
        if !is_own && !matches!(before.action, Action::Add { peer, .. } if peer == operation.author) {
            return Err(NotTaken::Unchained);
        }
        let is_needed_most = matches!(
            operation.action,
            Action::Remove { .. } | Action::SetAdmission(_) | Action::Revoke(_) | Action::Leave
        );
        let room = if is_needed_most && keeps_the_door {
            OPERATIONS_MAX
        } else {
            OPERATIONS_MAX - OPERATIONS_RESERVED
        };
        let previous = is_own.then_some(place);
        // Counted along the chain, not by author: what one replica refuses is then refused by all, and whoever says one
        // thing here and another there cannot hide behind its own bound. Nobody can make a moderator say so much that it
        // cannot put them out any more.
        let most = if is_needed_most { 2 * OPERATIONS_OF_AUTHOR_MAX } else { OPERATIONS_OF_AUTHOR_MAX };
        if self.operations.len() >= room || self.nth_after(previous) > most {
            return Err(NotTaken::Full);
        }
        Ok(previous)
    }

    /// The how manieth of its author's an operation is that goes on from this one.
    fn nth_after(&self, previous: Option<Place>) -> usize {
        previous.map_or(1, |previous| self.operations[previous].nth + 1)
    }

    fn place(&mut self, operation: Operation, previous: Option<Place>) {
        let (mut past, mut depth) = (Places::default(), 0);
        for id in operation.predecessors() {
            let place = self.places[&id];
            past.extend(&self.operations[place].past);
            past.insert(place);
            depth = depth.max(self.operations[place].depth + 1);
            self.heads.remove(place);
        }
        let place = self.operations.len();
        self.heads.insert(place);
        self.places.insert(operation.id, place);
        let (author, after) = (operation.author, operation.previous);
        let nth = self.nth_after(previous);
        self.operations.push(Known { operation, past, depth, nth, is_forked: false });
        self.mark_fork(place, author, after);
    }

    /// Two operations of one author that go on from the same one are a fork. What goes on from them is void as well: it
    /// does not come before them.
    fn mark_fork(&mut self, place: Place, author: PeerId, after: Option<OperationId>) {
        let first = *self.first_after.entry((author, after)).or_insert(place);
        if first != place {
            self.operations[first].is_forked = true;
            self.operations[place].is_forked = true;
        }
    }

    /// The group.
    pub fn group(&self) -> GroupId {
        self.operations[0].operation.id.group()
    }

    /// How many operations there are.
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Never: there is a creation.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Those that nothing comes after: they stand for everything that is known.
    pub fn heads(&self) -> Vec<OperationId> {
        self.heads.iter().map(|place| self.operations[place].operation.id).collect()
    }

    /// The newest operations, and older ones at doubling distances: from these somebody who does not know the newest can
    /// tell as well what is lacking here.
    pub fn summary(&self) -> Vec<OperationId> {
        let last = self.operations.len() - 1;
        let distances = std::iter::successors(Some(1), |distance| Some(distance * 2));
        let older = distances.take_while(|distance| *distance <= last).map(|distance| last - distance);
        let older = older.map(|place| self.operations[place].operation.id);
        let mut summary = self.heads();
        summary.truncate(HEADS_MAX);
        summary.extend(older);
        summary
    }

    /// What somebody does not know who knows these, predecessors first. Those that are unknown here are passed over.
    pub fn unknown_to(&self, known_there: &[OperationId]) -> Vec<&Operation> {
        let mut known = Places::default();
        for place in known_there.iter().filter_map(|head| self.places.get(head)) {
            known.insert(*place);
            known.extend(&self.operations[*place].past);
        }
        let unknown = self.operations.iter().enumerate().filter(|(place, _)| !known.contains(*place));
        unknown.map(|(_, known)| &known.operation).collect()
    }

    /// The newest operation that made this peer a member.
    pub fn newest_addition(&self, peer: PeerId) -> Option<OperationId> {
        let adds = self.operations.iter().filter(|known| known.adds(peer));
        adds.max_by_key(|known| (known.depth, known.operation.id)).map(|known| known.operation.id)
    }

    /// The addition of this peer to go on from after a restart: the newest that it has not spoken from yet, as far as is
    /// known here. From any other one it would say a second thing in the same place.
    pub(super) fn fresh_addition(&self, peer: PeerId) -> Option<OperationId> {
        let adds = self.operations.iter().filter(|known| known.adds(peer));
        let adds = adds.filter(|known| !self.first_after.contains_key(&(peer, Some(known.operation.id))));
        adds.max_by_key(|known| known.rank()).map(|known| known.operation.id)
    }

    /// What an operation should name as having come before it, the most important first: what counts and has nothing
    /// after it that counts, then other heads. No flood of void operations displaces what somebody has its office from.
    pub(super) fn newest(&self, in_force: &Places) -> Vec<OperationId> {
        let (mut covered, mut newest) = (Places::default(), Vec::new());
        let mut cover = |places: Vec<Place>| {
            for place in places.into_iter().rev() {
                if !covered.contains(place) {
                    covered.extend(&self.operations[place].past);
                    covered.insert(place);
                    newest.push(self.operations[place].operation.id);
                }
            }
        };
        cover(in_force.iter().collect());
        cover(self.heads.iter().collect());
        newest
    }

    pub(super) fn known(&self) -> &[Known] {
        &self.operations
    }
}

impl Known {
    /// The seniority that this gives, if it is an addition.
    pub(super) fn rank(&self) -> (u32, OperationId) {
        (self.depth, self.operation.id)
    }

    /// Whether it makes this peer a member, if it is in force.
    pub(super) fn adds(&self, peer: PeerId) -> bool {
        match self.operation.action {
            Action::Create { .. } => self.operation.author == peer,
            Action::Add { peer: added, .. } => added == peer,
            _ => false,
        }
    }
}
