use super::{COMEBACKS_MAX, Doors, GUESSES_MAX, Terms};
use crate::net::handshake::{Doorkeeper, Verdict};
use protocol::group::{Action, Admission};
use protocol::id::PeerId;
use protocol::identity::Identity;
use protocol::invite::{Ticket, TicketId};
use protocol::limits::MEMBERS_MAX;
use protocol::name::DisplayName;
use protocol::noise::{Mode, Newcomer, RefuseReason, stretch_password};
use protocol::reach::Reach;
use std::sync::Arc;
use std::time::Duration;

fn doors() -> Doors {
    Doors::found(Arc::new(Identity::from_seed(&[1; 32])), Admission::Open, [3; 32], [4; 32])
}

fn newcomer(n: u8, mode: Mode) -> Newcomer {
    let peer = Identity::from_seed(&[n; 32]).peer_id();
    Newcomer { peer, name: DisplayName::new("Ada"), mode, payload: Vec::new() }
}

fn mint(doors: &Doors, uses: u32) -> Ticket {
    doors.mint(Terms { uses, ..Terms::default() }, &Reach::default(), Vec::new()).0
}

fn by(ticket: &Ticket) -> Mode {
    Mode::Ticket { group: ticket.group, ticket: ticket.id }
}

fn refusal(verdict: Verdict) -> Option<RefuseReason> {
    match verdict {
        Verdict::Refuse(reason) => Some(reason),
        Verdict::Enter | Verdict::Ask(_) | Verdict::Unknown(_) => None,
    }
}

#[test]
fn wrong_passwords_close_the_door_for_passwords_only() {
    let doors = doors();
    assert_eq!(doors.secret(&Mode::Password).err(), Some(RefuseReason::PasswordNotAccepted));
    doors.set_password(stretch_password(b"swordfish", doors.group()));
    for _ in 0..GUESSES_MAX {
        assert!(doors.secret(&Mode::Password).is_ok());
    }
    assert_eq!(doors.secret(&Mode::Password).err(), Some(RefuseReason::TooManyAttempts));
    assert!(doors.secret(&by(&mint(&doors, 0))).is_ok());
}

#[test]
fn a_right_password_is_no_guess() {
    let doors = doors();
    doors.set_password(stretch_password(b"swordfish", doors.group()));
    for n in 0..2 * GUESSES_MAX as u8 {
        assert!(doors.secret(&Mode::Password).is_ok());
        assert!(matches!(doors.judge(&newcomer(n + 2, Mode::Password)), Verdict::Enter));
    }
}

#[test]
fn tickets_of_others_and_of_yesterday_open_nothing() {
    let doors = doors();
    let foreign = Mode::Ticket { group: doors.group(), ticket: TicketId([9; 8]) };
    assert_eq!(doors.secret(&foreign).err(), Some(RefuseReason::UnknownTicket));
    let terms = Terms { uses: 0, lifetime: Duration::ZERO };
    let (ticket, _) = doors.mint(terms, &Reach::default(), Vec::new());
    assert_eq!(doors.secret(&by(&ticket)).err(), Some(RefuseReason::ExpiredTicket));
}

#[test]
fn a_single_use_ticket_lets_one_in_who_may_come_again() {
    let doors = doors();
    let ticket = mint(&doors, 1);
    assert!(matches!(doors.judge(&newcomer(2, by(&ticket))), Verdict::Enter));
    assert_eq!(refusal(doors.judge(&newcomer(3, by(&ticket)))), Some(RefuseReason::UsedUpTicket));
    assert!(matches!(doors.judge(&newcomer(2, by(&ticket))), Verdict::Enter));
    assert_eq!(doors.membership(|membership| membership.members.len()), 2);
}

#[test]
fn who_comes_again_and_again_does_not_fill_the_history() {
    let doors = doors();
    let ticket = mint(&doors, 0);
    let judge = |n: u8| doors.judge(&newcomer(n, by(&ticket)));
    let entered = (0..100).filter(|_| matches!(judge(2), Verdict::Enter)).count();
    assert_eq!(entered, 1 + COMEBACKS_MAX);
    assert_eq!(refusal(judge(2)), Some(RefuseReason::TooManyAttempts));
    assert!(matches!(judge(3), Verdict::Enter));
    assert_eq!(doors.said().len(), 2 + COMEBACKS_MAX);
}

#[test]
fn puppets_in_the_history_take_no_seat_and_members_that_are_met_do() {
    let doors = doors();
    for n in 0..2 * MEMBERS_MAX as u8 {
        doors.say(Action::Add { peer: PeerId([n; 32]), ticket: None }).expect("the founder may");
    }
    let ticket = mint(&doors, 0);
    assert!(matches!(doors.judge(&newcomer(2, by(&ticket))), Verdict::Enter));
    for n in 1..MEMBERS_MAX as u8 {
        doors.directory(|directory| directory.add(PeerId([n; 32]), "x", Reach::default()));
    }
    assert_eq!(refusal(doors.judge(&newcomer(3, by(&ticket)))), Some(RefuseReason::GroupFull));
}

#[test]
fn a_locked_group_lets_nobody_in_but_members_who_come_again() {
    let doors = doors();
    let ticket = mint(&doors, 0);
    assert!(matches!(doors.judge(&newcomer(2, by(&ticket))), Verdict::Enter));
    doors.say(Action::SetAdmission(Admission::Locked)).expect("the founder may");
    assert_eq!(refusal(doors.judge(&newcomer(3, by(&ticket)))), Some(RefuseReason::Locked));
    assert!(matches!(doors.judge(&newcomer(2, by(&ticket))), Verdict::Enter));
}

#[test]
fn who_knocks_is_let_in_by_somebody_and_not_before() {
    let doors = doors();
    doors.say(Action::SetAdmission(Admission::Knock)).expect("the founder may");
    let ada = newcomer(2, by(&mint(&doors, 0)));
    let Verdict::Ask(mut answer) = doors.judge(&ada) else { panic!("it has to be asked about") };
    assert!(!doors.membership(|membership| membership.contains(ada.peer)));
    assert_eq!(doors.new_knocks().len(), 1);
    assert_eq!(doors.new_knocks().len(), 0, "told once");
    assert_eq!(doors.answer_knock("eve", true), None);
    assert_eq!(doors.answer_knock("ADA", true), Some(ada.peer));
    assert_eq!(answer.try_recv(), Ok(true));
    assert_eq!(doors.let_in(&ada), Ok(()));
    assert!(doors.membership(|membership| membership.contains(ada.peer)));
    assert_eq!(doors.said().len(), 1);
}

#[test]
fn a_kicked_member_stays_out_with_its_ticket_and_its_epoch_and_passwords_are_asked_about() {
    let doors = doors();
    doors.set_password(stretch_password(b"swordfish", doors.group()));
    let ticket = mint(&doors, 0);
    let ada = newcomer(2, by(&ticket));
    assert!(matches!(doors.judge(&ada), Verdict::Enter));
    let (epoch, _) = doors.epochs_to_try()[0].clone();
    doors.remove(ada.peer, false, [9; 32]).expect("the founder may");
    assert_eq!(doors.secret(&by(&ticket)).err(), Some(RefuseReason::RevokedTicket));
    let member = newcomer(2, Mode::Member { group: doors.group(), epoch });
    assert_eq!(refusal(doors.judge(&member)), Some(RefuseReason::Removed));
    assert_ne!(doors.epochs_to_try()[0].0, epoch, "there is a new epoch");
    let other = newcomer(3, Mode::Password);
    assert!(matches!(doors.judge(&other), Verdict::Ask(_)), "she may come by another name");
}

#[test]
fn a_banned_identity_stays_out_with_a_fresh_ticket() {
    let doors = doors();
    let peer = newcomer(2, Mode::Password).peer;
    doors.remove(peer, true, [9; 32]).expect("the founder may");
    let ticket = mint(&doors, 0);
    assert_eq!(refusal(doors.judge(&newcomer(2, by(&ticket)))), Some(RefuseReason::Removed));
    assert!(matches!(doors.judge(&newcomer(3, by(&ticket))), Verdict::Enter));
}

#[test]
fn a_revoked_ticket_opens_nothing() {
    let doors = doors();
    let ticket = mint(&doors, 0);
    doors.say(Action::Revoke(ticket.id)).expect("the issuer may");
    assert_eq!(doors.secret(&by(&ticket)).err(), Some(RefuseReason::RevokedTicket));
    assert!(doors.valid_tickets().is_empty());
}

#[test]
fn nobody_is_a_member_by_the_secret_alone() {
    let doors = doors();
    let (epoch, _) = doors.epochs_to_try()[0].clone();
    let stranger = newcomer(7, Mode::Member { group: doors.group(), epoch });
    assert!(matches!(doors.judge(&stranger), Verdict::Unknown(_)));
    assert!(doors.secret(&Mode::Member { group: doors.group(), epoch: epoch ^ 1 }).is_err());
    let ourselves = newcomer(1, stranger.mode);
    assert_eq!(refusal(doors.judge(&ourselves)), Some(RefuseReason::SameIdentity));
    assert!(!doors.membership(|membership| membership.contains(PeerId([7; 32]))));
}
