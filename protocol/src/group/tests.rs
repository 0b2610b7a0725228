//! The rules, one by one: what was said at the same time, and who may say what.

use super::history::{History, NotTaken};
use super::membership::{Membership, Removal};
use super::operation::{Action, Admission, Operation, OperationId, Role};
use super::roster::{NotAllowed, Roster};
use super::rules::judge;
use crate::id::PeerId;
use crate::identity::Identity;
use crate::invite::TicketId;
use crate::limits::{
    MEMBERS_MAX, OPERATIONS_MAX, OPERATIONS_OF_AUTHOR_MAX, OPERATIONS_RESERVED, PARENTS_MAX,
};

/// Everybody in it, by number; 0 founded it.
pub(super) struct Group {
    pub(super) people: Vec<(Identity, Roster)>,
}

pub(super) fn identity(n: u8) -> Identity {
    Identity::from_seed(&[n + 1; 32])
}

pub(super) fn peer(n: u8) -> PeerId {
    identity(n).peer_id()
}

pub(super) fn remove(n: u8) -> Action {
    Action::Remove { peer: peer(n), is_ban: false, epoch: [n; 32] }
}

fn ban(n: u8) -> Action {
    Action::Remove { peer: peer(n), is_ban: true, epoch: [n; 32] }
}

pub(super) fn role(n: u8, role: Role) -> Action {
    Action::SetRole { peer: peer(n), role }
}

pub(super) fn add(n: u8) -> Action {
    Action::Add { peer: peer(n), ticket: None }
}

pub(super) fn all_of(roster: &Roster) -> Vec<Operation> {
    roster.history().unknown_to(&[]).into_iter().cloned().collect()
}

impl Group {
    /// Of so many, who joined in the order of their numbers and know of each other.
    pub(super) fn of(people: u8) -> Self {
        let founder = Roster::found(&identity(0), [7; 32], Admission::Open);
        let mut group = Self { people: vec![(identity(0), founder)] };
        (1..people).for_each(|n| group.enter(0, n));
        group.meet();
        group
    }

    /// The same, in which these moderate.
    pub(super) fn moderated_by(people: u8, moderators: &[u8]) -> Self {
        let mut group = Self::of(people);
        moderators.iter().for_each(|n| group.say(0, role(*n, Role::Moderator)));
        group.meet();
        group
    }

    /// Somebody comes in through somebody, perhaps again.
    pub(super) fn enter(&mut self, by: u8, n: u8) {
        self.say(by, add(n));
        let roster = &self.people[usize::from(by)].1;
        let joined = Roster::join(peer(n), roster.history().group(), all_of(roster)).expect("it was added");
        let person = (identity(n), joined);
        match self.people.get_mut(usize::from(n)) {
            Some(place) => *place = person,
            None => self.people.push(person),
        }
    }

    fn try_to(&mut self, n: u8, action: Action) -> Result<Operation, NotAllowed> {
        let (identity, roster) = &mut self.people[usize::from(n)];
        roster.say(identity, action)
    }

    #[track_caller]
    pub(super) fn say(&mut self, n: u8, action: Action) {
        self.try_to(n, action).expect("it is allowed");
    }

    #[track_caller]
    pub(super) fn may_not(&mut self, n: u8, action: Action) {
        let before = all_of(&self.people[usize::from(n)].1).len();
        assert_eq!(self.try_to(n, action).err(), Some(NotAllowed::Rules), "{action:?}");
        assert_eq!(all_of(&self.people[usize::from(n)].1).len(), before, "nothing was said");
    }

    /// One tells another all that it knows.
    pub(super) fn tell(&mut self, from: u8, to: u8) {
        let all = all_of(&self.people[usize::from(from)].1);
        assert_eq!(self.people[usize::from(to)].1.take(all).refused, None);
    }

    /// All tell each other everything, in two orders; what they agree on.
    pub(super) fn meet(&mut self) -> Membership {
        let count = self.people.len() as u8;
        for from in (0..count).chain((0..count).rev()) {
            (0..count).filter(|to| *to != from).for_each(|to| self.tell(from, to));
        }
        let first = self.people[0].1.membership().clone();
        for (_, roster) in &self.people {
            assert_eq!(*roster.membership(), first);
        }
        first
    }

    pub(super) fn membership(&self, n: u8) -> &Membership {
        self.people[usize::from(n)].1.membership()
    }
}

#[track_caller]
pub(super) fn assert_in(membership: &Membership, people: &[u8]) {
    let expected: std::collections::BTreeSet<PeerId> = people.iter().map(|n| peer(*n)).collect();
    assert_eq!(membership.members.keys().copied().collect::<std::collections::BTreeSet<_>>(), expected);
}

#[test]
fn of_two_who_remove_each_other_the_senior_stays() {
    let mut group = Group::moderated_by(3, &[1, 2]);
    group.say(2, remove(1));
    group.say(1, remove(2));
    assert_in(&group.meet(), &[0, 1]);
}

#[test]
fn of_three_who_remove_each_other_in_a_circle_somebody_stays() {
    let mut group = Group::moderated_by(4, &[1, 2, 3]);
    [(1, 2), (2, 3), (3, 1)].into_iter().for_each(|(by, whom)| group.say(by, remove(whom)));
    // 1 removes 2, whose word is void then; 3 is still there to remove 1.
    assert_in(&group.meet(), &[0, 3]);
}

#[test]
fn a_removal_wins_over_an_addition_that_did_not_know_of_it() {
    let mut group = Group::of(3);
    group.say(0, remove(2));
    group.say(1, add(2));
    assert_in(&group.meet(), &[0, 1]);
    group.say(1, add(2));
    assert_in(&group.meet(), &[0, 1, 2]);
}

#[test]
fn what_a_removed_member_said_meanwhile_is_void_and_so_is_what_came_of_it() {
    let mut group = Group::moderated_by(3, &[2]);
    group.say(0, remove(2));
    group.enter(2, 3);
    group.enter(3, 4);
    group.say(2, Action::SetAdmission(Admission::Locked));
    let membership = group.meet();
    assert_in(&membership, &[0, 1]);
    assert_eq!(membership.admission, Admission::Open);
}

#[test]
fn a_removed_member_says_nothing_more_even_with_an_older_date() {
    let mut group = Group::moderated_by(3, &[2]);
    group.say(0, remove(2));
    group.tell(0, 1);
    let (identity, roster) = &group.people[2];
    let last = roster.history().newest_addition(peer(2)).expect("it was added");
    let late = Operation::sign(identity, Some(last), Vec::new(), remove(1));
    assert_eq!(group.people[1].1.take(vec![late]).refused, None);
    assert_in(&group.meet(), &[0, 1]);
}

#[test]
fn a_lock_wins_over_its_undoing_and_opens_for_who_knows_of_it() {
    let mut group = Group::moderated_by(3, &[1, 2]);
    group.say(0, Action::SetAdmission(Admission::Knock));
    group.meet();
    group.say(1, Action::SetAdmission(Admission::Locked));
    group.say(2, Action::SetAdmission(Admission::Open));
    assert_eq!(group.meet().admission, Admission::Locked);
    group.say(2, Action::SetAdmission(Admission::Open));
    assert_eq!(group.meet().admission, Admission::Open);
}

#[test]
fn while_it_is_locked_only_moderators_let_in_and_members_come_again() {
    let mut group = Group::of(3);
    group.say(0, Action::SetAdmission(Admission::Locked));
    group.meet();
    group.may_not(1, add(3));
    group.enter(1, 2);
    group.enter(0, 3);
    assert_in(&group.meet(), &[0, 1, 2, 3]);
}

#[test]
fn the_lower_of_two_roles_wins() {
    let mut group = Group::moderated_by(4, &[1, 2]);
    group.say(0, role(2, Role::Member));
    group.say(1, role(3, Role::Moderator));
    group.say(0, role(3, Role::Moderator));
    group.say(0, role(3, Role::Member));
    let membership = group.meet();
    assert!(!membership.moderates(peer(2)));
    assert!(!membership.moderates(peer(3)), "raised and lowered at the same time");
}

#[test]
fn moderators_raise_others_and_only_the_founder_lowers() {
    let mut group = Group::moderated_by(4, &[1, 2]);
    group.say(1, role(3, Role::Moderator));
    group.may_not(1, role(2, Role::Member));
    group.may_not(1, role(3, Role::Founder));
    group.may_not(0, role(3, Role::Founder));
    group.say(0, role(1, Role::Member));
    group.meet();
    group.may_not(1, remove(3));
    assert!(group.meet().moderates(peer(3)), "what was said before stays");
}

#[test]
fn a_role_ends_with_the_removal() {
    let mut group = Group::moderated_by(3, &[2]);
    group.say(0, remove(2));
    group.enter(0, 2);
    let membership = group.meet();
    assert!(membership.contains(peer(2)) && !membership.moderates(peer(2)));
}

#[test]
fn plain_members_remove_nobody_and_nobody_removes_the_founder_or_themselves() {
    let mut group = Group::moderated_by(4, &[1]);
    group.may_not(2, remove(3));
    group.may_not(2, Action::SetAdmission(Admission::Locked));
    group.may_not(2, role(3, Role::Moderator));
    group.may_not(1, remove(0));
    group.may_not(1, remove(1));
    group.say(1, remove(3));
    assert_in(&group.meet(), &[0, 1, 2]);
}

#[test]
fn who_is_banned_is_let_in_by_moderators_only_and_who_is_kicked_by_anybody() {
    let mut group = Group::of(4);
    group.say(0, ban(2));
    group.say(0, remove(3));
    let membership = group.meet();
    assert_eq!(membership.removed[&peer(2)], Removal::Banned);
    assert_eq!(membership.removed[&peer(3)], Removal::Removed);
    group.may_not(1, add(2));
    group.enter(1, 3);
    group.enter(0, 2);
    assert_in(&group.meet(), &[0, 1, 2, 3]);
}

#[test]
fn when_the_founder_has_left_moderators_go_on_and_without_any_the_most_senior() {
    let mut group = Group::moderated_by(4, &[3]);
    group.say(0, Action::Leave);
    group.meet();
    group.may_not(1, remove(2));
    group.say(3, Action::Leave);
    assert_in(&group.meet(), &[1, 2]);
    group.may_not(2, remove(1));
    group.say(1, remove(2));
    assert_in(&group.meet(), &[1]);
}

#[test]
fn whoever_stands_in_for_absent_moderators_keeps_the_door_and_has_no_other_power() {
    let mut group = Group::of(5);
    group.say(0, ban(4));
    group.meet();
    group.may_not(3, Action::MarkAbsent(peer(3)));
    group.say(3, Action::MarkAbsent(peer(0)));
    group.meet();
    group.may_not(1, add(4));
    assert!(group.membership(1).keeps_the_door(peer(1)) && !group.membership(1).moderates(peer(1)));
    assert!(!group.membership(1).keeps_the_door(peer(2)));
    group.say(1, Action::SetAdmission(Admission::Locked));
    group.meet();
    group.may_not(2, add(5));
    group.may_not(1, remove(3));
    group.may_not(1, role(2, Role::Moderator));
    group.enter(1, 5);
    group.say(0, Action::Return);
    group.meet();
    group.may_not(1, Action::SetAdmission(Admission::Open));
    assert!(!group.membership(1).members[&peer(0)].is_absent);
}

#[test]
fn who_says_something_after_being_called_absent_is_there() {
    let mut group = Group::of(3);
    group.say(1, Action::MarkAbsent(peer(2)));
    group.say(2, Action::Revoke(TicketId([1; 8])));
    assert!(!group.meet().members[&peer(2)].is_absent, "said at the same time");
    group.say(1, Action::MarkAbsent(peer(2)));
    assert!(group.meet().members[&peer(2)].is_absent);
}

#[test]
fn who_says_two_things_in_one_place_is_out_for_good_in_whichever_order_they_come() {
    let mut group = Group::moderated_by(4, &[2]);
    let (identity, roster) = &group.people[2];
    let last = roster.history().newest_addition(peer(2)).expect("it was added");
    let heads = roster.history().heads();
    let say = |action| Operation::sign(identity, Some(last), heads.clone(), action);
    let (one, other) = (say(remove(3)), say(Action::SetAdmission(Admission::Locked)));
    let later = Operation::sign(identity, Some(one.id), Vec::new(), remove(1));
    group.people[0].1.take(vec![one.clone(), later.clone(), other.clone()]);
    group.people[1].1.take(vec![other, one, later]);
    let membership = group.meet();
    assert_in(&membership, &[0, 1, 3]);
    assert_eq!(membership.admission, Admission::Open);
    assert_eq!(membership.removed[&peer(2)], Removal::TwoTongues);
    group.may_not(0, add(2));
}

#[test]
fn whom_a_liar_let_in_or_put_out_before_it_lied_is_in_or_out() {
    let mut group = Group::moderated_by(4, &[2]);
    group.enter(2, 4);
    group.say(2, remove(3));
    group.meet();
    let (identity, roster) = &group.people[2];
    let last = all_of(roster).into_iter().rfind(|said| said.author == peer(2)).expect("it spoke").id;
    let say = |action| Operation::sign(identity, Some(last), Vec::new(), action);
    let lies = vec![say(remove(1)), say(Action::Return)];
    group.people[0].1.take(lies);
    assert_in(&group.meet(), &[0, 1, 4]);
}

#[test]
fn a_ticket_is_revoked_by_its_issuer_and_by_moderators() {
    let mut group = Group::of(3);
    let [theirs, ours, other] = [1, 2, 3].map(|n| TicketId([n; 8]));
    group.say(1, Action::Revoke(theirs));
    group.say(0, Action::Revoke(ours));
    group.say(2, Action::Revoke(other));
    let membership = group.meet();
    assert!(membership.is_revoked(theirs, peer(1)));
    assert!(membership.is_revoked(ours, peer(1)));
    assert!(!membership.is_revoked(other, peer(1)));
}

#[test]
fn the_uses_of_a_ticket_are_other_people_than_the_one_who_comes() {
    let mut group = Group::of(2);
    let ticket = TicketId([1; 8]);
    for (by, n) in [(0, 2), (1, 3), (1, 2)] {
        group.say(by, Action::Add { peer: peer(n), ticket: Some(ticket) });
    }
    let membership = group.meet();
    assert_eq!(membership.uses(ticket, peer(2)), 1);
    assert_eq!(membership.uses(ticket, peer(4)), 2);
}

#[test]
fn each_removal_begins_an_epoch_and_all_agree_on_the_newest() {
    let mut group = Group::moderated_by(5, &[1]);
    assert_eq!((group.membership(0).epoch, group.membership(0).epoch_commitment), (1, None));
    group.say(0, remove(3));
    group.say(1, remove(4));
    let membership = group.meet();
    assert_eq!(membership.epoch, 3);
    assert!([Some([3; 32]), Some([4; 32])].contains(&membership.epoch_commitment));
    group.say(0, remove(2));
    assert_eq!(group.meet().epoch_commitment, Some([2; 32]), "it comes after both");
}

#[test]
fn what_somebody_lacks_is_told_in_an_order_in_which_it_can_be_taken() {
    let mut group = Group::of(3);
    group.say(1, Action::Return);
    group.say(2, Action::Return);
    group.say(2, Action::Return);
    let (one, two) = (&group.people[1].1, &group.people[2].1);
    let nobodys = OperationId([9; 32]);
    let heads: Vec<OperationId> = one.history().summary().into_iter().chain([nobodys]).collect();
    let lacking: Vec<Operation> = two.history().unknown_to(&heads).into_iter().cloned().collect();
    assert_eq!(lacking.len(), 2);
    let mut one = one.clone();
    let backwards: Vec<Operation> = lacking.iter().rev().cloned().collect();
    assert_eq!(one.take(backwards).refused, Some((1, NotTaken::Missing)));
    assert_eq!(one.take(lacking).new.len(), 1);
}

#[test]
fn what_does_not_belong_is_refused_and_changes_nothing() {
    let group = Group::of(3);
    let mut roster = group.people[0].1.clone();
    let before = roster.membership().clone();
    let other = Roster::found(&identity(5), [8; 32], Admission::Open);
    assert_eq!(roster.take(all_of(&other)).refused, Some((1, NotTaken::Foreign)));
    let creation = all_of(&roster)[0].id;
    // Somebody who was never let in, and somebody who goes on from another's words.
    for n in [5, 1] {
        let unchained = Operation::sign(&identity(n), Some(creation), Vec::new(), remove(2));
        assert_eq!(roster.take(vec![unchained]).refused, Some((1, NotTaken::Unchained)));
    }
    assert_eq!(*roster.membership(), before);
    assert_eq!(
        History::begin(Operation::sign(&identity(1), Some(creation), Vec::new(), add(2))).err(),
        Some(NotTaken::Foreign)
    );
}

/// Operations by one author, each after the one before.
pub(super) fn chain(
    n: u8,
    after: OperationId,
    count: usize,
    action: impl Fn(usize) -> Action,
) -> Vec<Operation> {
    let (identity, mut last) = (identity(n), after);
    let next = |index| {
        let operation = Operation::sign(&identity, Some(last), Vec::new(), action(index));
        last = operation.id;
        operation
    };
    (0..count).map(next).collect()
}

fn somebody(index: usize) -> PeerId {
    let mut id = [0xaa; 32];
    id[..8].copy_from_slice(&(index as u64).to_be_bytes());
    PeerId(id)
}

#[test]
fn no_flood_of_additions_keeps_anybody_in() {
    let group = Group::of(8);
    let mut roster = group.people[0].1.clone();
    for n in 1..8 {
        let from = roster.history().newest_addition(peer(n)).expect("it was added");
        let flood = chain(n, from, OPERATIONS_OF_AUTHOR_MAX, |index| Action::Add {
            peer: somebody(index * 8 + usize::from(n)),
            ticket: None,
        });
        roster.take(flood);
    }
    assert_eq!(roster.history().len(), OPERATIONS_MAX - OPERATIONS_RESERVED);
    assert!((0..8).all(|n| roster.membership().contains(peer(n))));
    assert_eq!(roster.say(&identity(0), add(20)).err(), Some(NotAllowed::NotTaken(NotTaken::Full)));
    roster.say(&identity(0), remove(7)).expect("there is room for it");
    assert!(!roster.membership().contains(peer(7)));
}

#[test]
fn nobody_is_pushed_out_by_the_many_that_somebody_let_in_before() {
    let group = Group::of(2);
    let mut roster = group.people[0].1.clone();
    let from = roster.history().newest_addition(peer(1)).expect("it was added");
    roster.take(chain(1, from, 2 * MEMBERS_MAX, |index| Action::Add { peer: somebody(index), ticket: None }));
    roster.say(&identity(0), add(2)).expect("the founder lets in whom it likes");
    assert!(roster.membership().contains(peer(2)));
}

#[test]
fn whoever_is_made_to_say_as_much_as_one_may_can_still_put_out_who_did_that() {
    let mut group = Group::of(2);
    let (founder, roster) = &mut group.people[0];
    while roster.say(founder, Action::Return).is_ok() {}
    assert_eq!(roster.say(founder, add(1)).err(), Some(NotAllowed::NotTaken(NotTaken::Full)));
    roster.say(founder, remove(1)).expect("there is room for it");
    assert!(!roster.membership().contains(peer(1)));
}

#[test]
fn one_author_has_a_bound_of_its_own() {
    let group = Group::of(2);
    let mut roster = group.people[0].1.clone();
    let from = roster.history().newest_addition(peer(1)).expect("it was added");
    let taken = roster.take(chain(1, from, OPERATIONS_OF_AUTHOR_MAX + 5, |_| Action::Return));
    assert_eq!(taken.new.len(), OPERATIONS_OF_AUTHOR_MAX);
    assert_eq!(taken.refused.map(|(count, _)| count), Some(5));
}

#[test]
fn more_heads_than_one_operation_names_are_tied_together_by_the_next_ones() {
    let people = PARENTS_MAX as u8 + 4;
    let mut group = Group::of(people);
    (0..people).for_each(|n| group.say(n, Action::Return));
    group.meet();
    assert_eq!(group.people[0].1.history().heads().len(), usize::from(people));
    group.say(0, Action::Return);
    group.say(0, Action::Return);
    assert_eq!(group.people[0].1.history().heads().len(), 1);
}

#[test]
fn judging_does_not_depend_on_who_judges() {
    let group = Group::moderated_by(6, &[1, 2]);
    let all = all_of(&group.people[5].1);
    let mut again = History::begin(all[0].clone()).expect("a creation");
    all[1..].iter().for_each(|operation| assert_eq!(again.take(operation.clone()), Ok(true)));
    assert_eq!(judge(&again).0, *group.membership(0));
}
