//! What somebody might try who has a key that once was a member's, and any dates it likes.

use super::membership::Removal;
use super::operation::{Action, Admission, Operation, OperationId, Role};
use super::roster::Roster;
use super::tests::{Group, add, all_of, assert_in, chain, identity, peer, remove, role};
use crate::limits::{OPERATIONS_MAX, OPERATIONS_OF_AUTHOR_MAX, PARENTS_MAX};

/// The operation that made somebody a member, as it was known to itself.
fn addition(group: &Group, n: u8) -> OperationId {
    group.people[usize::from(n)].1.history().newest_addition(peer(n)).expect("it was added")
}

fn take(group: &mut Group, at: u8, operation: Operation) {
    assert_eq!(group.people[usize::from(at)].1.take(vec![operation]).refused, None);
}

#[test]
fn what_counts_for_nothing_makes_nobody_senior() {
    // 1 came first and was put out; 2 and then 3 came through longer ways.
    let mut group = Group::of(2);
    group.say(0, Action::SetAdmission(Admission::Open));
    group.enter(0, 2);
    group.enter(0, 3);
    group.meet();
    group.say(0, remove(1));
    group.say(0, Action::Leave);
    group.meet();
    group.say(2, remove(3));
    assert_in(&group.meet(), &[2]);
    let date = addition(&group, 1);
    let late = Operation::sign(&identity(1), Some(date), Vec::new(), add(3));
    take(&mut group, 2, late);
    assert_in(&group.meet(), &[2]);
}

#[test]
fn whom_others_put_out_meanwhile_makes_nobody_a_moderator() {
    // 0 left; 2 moderates and makes 3 a moderator, who puts 2 out. 1 is plain, the most senior, and says
    // that it knew of nothing but 2.
    let mut group = Group::moderated_by(5, &[2]);
    group.say(0, Action::Leave);
    group.meet();
    let heads = group.people[1].1.history().heads();
    group.say(2, role(3, Role::Moderator));
    group.meet();
    group.say(3, remove(2));
    assert_in(&group.meet(), &[1, 3, 4]);
    let date = addition(&group, 1);
    let late = Operation::sign(&identity(1), Some(date), heads, remove(3));
    take(&mut group, 3, late);
    assert_in(&group.meet(), &[1, 3, 4]);
}

#[test]
fn two_tongues_are_found_out_beyond_the_bound_of_an_author() {
    let mut group = Group::of(4);
    let from = addition(&group, 3);
    let one = chain(3, from, OPERATIONS_OF_AUTHOR_MAX, |_| add(5));
    let other = chain(3, from, OPERATIONS_OF_AUTHOR_MAX, |_| add(6));
    group.people[0].1.take(one.clone());
    group.people[1].1.take(other.clone());
    group.people[0].1.take(other);
    group.people[1].1.take(one);
    let (zero, one) = (group.membership(0).clone(), group.membership(1));
    assert_eq!(zero, *one);
    assert_eq!(zero.removed[&peer(3)], Removal::TwoTongues);
    assert_in(&zero, &[0, 1, 2]);
}

#[test]
fn a_liars_many_heads_keep_no_moderator_from_its_office() {
    let mut group = Group::of(4);
    let from = addition(&group, 3);
    let lie = |group: &mut Group, n: u8| {
        take(group, 1, Operation::sign(&identity(3), Some(from), Vec::new(), add(100 + n)));
    };
    (0..3 * PARENTS_MAX as u8).for_each(|n| lie(&mut group, n));
    group.say(0, role(1, Role::Moderator));
    group.tell(0, 1);
    // As many again: neither the oldest nor the newest heads are worth naming.
    (3 * PARENTS_MAX as u8..6 * PARENTS_MAX as u8).for_each(|n| lie(&mut group, n));
    group.say(1, remove(2));
}

#[test]
fn who_is_let_in_by_somebody_that_knows_little_does_not_speak_twice_in_one_place() {
    let mut group = Group::of(3);
    (0..5).for_each(|_| group.say(0, Action::Return));
    group.enter(0, 2);
    group.say(2, Action::Return);
    group.meet();
    let late = Operation::sign(&identity(1), Some(addition(&group, 1)), Vec::new(), add(2));
    take(&mut group, 0, late);
    group.tell(0, 1);
    let all = all_of(&group.people[0].1);
    let joined = Roster::join(peer(2), all[0].id.group(), all).expect("it was added");
    group.people[2].1 = joined;
    group.say(2, Action::MarkAbsent(peer(1)));
    assert!(group.meet().contains(peer(2)), "it never lied");
}

#[test]
fn who_restarts_among_many_heads_goes_on_from_an_addition_it_has_not_spoken_from() {
    let mut group = Group::of(4);
    let liars = addition(&group, 3);
    (0..20).for_each(|_| group.say(0, Action::Return));
    group.enter(0, 2);
    group.say(2, Action::Return);
    // Before 1 hears of that, more heads than it can name, all of them older.
    for n in 0..3 * PARENTS_MAX as u8 {
        take(&mut group, 1, Operation::sign(&identity(3), Some(liars), Vec::new(), add(100 + n)));
    }
    group.tell(2, 1);
    group.enter(1, 2);
    group.say(2, Action::Return);
    assert!(group.meet().contains(peer(2)), "it never lied");
}

/// Two things in one place.
fn lie(group: &mut Group, n: u8, previous: OperationId) {
    for action in [Action::Return, Action::MarkAbsent(peer(100))] {
        let said = Operation::sign(&identity(n), Some(previous), Vec::new(), action);
        take(group, 0, said);
    }
    group.meet();
}

#[test]
fn where_the_founder_has_lied_the_most_senior_goes_on() {
    let mut group = Group::of(4);
    let heads = group.people[0].1.history().heads();
    for action in [Action::Return, Action::Leave] {
        let said = Operation::sign(&identity(0), Some(heads[0]), Vec::new(), action);
        take(&mut group, 1, said);
    }
    group.tell(1, 2);
    let most_senior = (1..4).find(|n| group.membership(1).moderates(peer(*n))).expect("somebody moderates");
    group.tell(1, most_senior);
    let other = (1..4).find(|n| *n != most_senior).expect("there are three");
    group.say(most_senior, remove(other));
}

#[test]
fn a_liar_says_nothing_more_by_way_of_another_addition() {
    let mut group = Group::moderated_by(4, &[2]);
    let first = addition(&group, 2);
    group.enter(0, 2);
    group.meet();
    let second = addition(&group, 2);
    assert_ne!(first, second);
    lie(&mut group, 2, second);
    assert_in(&group.meet(), &[0, 1, 3]);
    let heads = group.people[1].1.history().heads();
    let late = Operation::sign(&identity(2), Some(first), heads, remove(3));
    take(&mut group, 1, late);
    assert_in(&group.meet(), &[0, 1, 3]);
}

#[test]
fn a_liar_says_nothing_more_with_an_older_date() {
    let mut group = Group::moderated_by(4, &[2]);
    let first = addition(&group, 2);
    group.enter(0, 2);
    group.meet();
    let before = group.people[1].1.history().heads();
    let second = addition(&group, 2);
    lie(&mut group, 2, second);
    let dated_back = Operation::sign(&identity(2), Some(first), before, remove(3));
    take(&mut group, 1, dated_back);
    assert_in(&group.meet(), &[0, 1, 3]);
}

#[test]
fn no_flood_of_void_removals_takes_the_room_for_those_that_count() {
    let mut group = Group::of(2);
    let sybils = OPERATIONS_MAX / OPERATIONS_OF_AUTHOR_MAX + 1;
    (0..sybils as u8).for_each(|n| group.enter(1, 2 + n));
    group.meet();
    for n in 0..sybils as u8 {
        let from = addition(&group, 2 + n);
        let roster = &mut group.people[0].1;
        roster.take(chain(2 + n, from, OPERATIONS_OF_AUTHOR_MAX, |_| remove(0)));
        roster.take(chain(2 + n, from, OPERATIONS_OF_AUTHOR_MAX, |_| Action::SetAdmission(Admission::Open)));
    }
    group.say(0, remove(2));
    assert!(!group.membership(0).contains(peer(2)));
}
