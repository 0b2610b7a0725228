//! The signed roster, among people who say what they like.

use protocol::group::{Action, Admission, Operation, OperationId, Role, Roster};
use protocol::id::PeerId;
use protocol::identity::Identity;
use protocol::invite::TicketId;
use protocol::limits::{MEMBERS_MAX, OPERATIONS_MAX};
use std::sync::LazyLock;

const PEOPLE: usize = 4;

static IDENTITIES: LazyLock<Vec<Identity>> =
    LazyLock::new(|| (0..PEOPLE as u8).map(|n| Identity::from_seed(&[n + 1; 32])).collect());

fn peer(number: u8) -> PeerId {
    IDENTITIES[usize::from(number) % PEOPLE].peer_id()
}

/// Steps of four bytes: who, does what, and two that say what exactly. What follows the last step is read as an operation.
/// Nobody's words make anybody panic, and the same words amount to the same group for all.
pub fn group_operations(data: &[u8]) {
    let founded = Roster::found(&IDENTITIES[0], [9; 32], Admission::Open);
    let mut rosters: Vec<Option<Roster>> = (0..PEOPLE).map(|_| None).collect();
    rosters[0] = Some(founded);
    let mut steps = data.chunks_exact(4);
    for step in steps.by_ref().take(48) {
        let &[who, what, one, two] = step else { continue };
        let who = usize::from(who) % PEOPLE;
        match what % 4 {
            0 => tell(&mut rosters, who, usize::from(one) % PEOPLE),
            1 => lie(&mut rosters[who], &IDENTITIES[who], one, two),
            _ => say(&mut rosters, who, one, two),
        }
    }
    let rest = steps.remainder();
    assert!(Operation::read(rest, [0; 64]).is_err(), "a signature of nothing");
    for (from, to) in
        (0..PEOPLE).chain((0..PEOPLE).rev()).flat_map(|from| (0..PEOPLE).map(move |to| (from, to)))
    {
        tell(&mut rosters, from, to);
    }
    let mut memberships = rosters.iter().flatten().map(|roster| {
        assert!(roster.history().len() <= OPERATIONS_MAX);
        assert!(roster.membership().members.len() <= MEMBERS_MAX);
        roster.membership()
    });
    let first = memberships.next().expect("there is a founder");
    assert!(memberships.all(|membership| membership == first), "two who know the same disagree");
}

fn tell(rosters: &mut [Option<Roster>], from: usize, to: usize) {
    let [Some(theirs), Some(ours)] = [from, to].map(|who| rosters[who].clone()) else { return };
    let news = theirs.history().unknown_to(&ours.history().summary());
    // As it goes over the wire.
    let read = |said: &Operation| Operation::read(said.body(), *said.signature()).expect("our own words");
    let news: Vec<Operation> = news.into_iter().map(read).collect();
    let taken = rosters[to].as_mut().expect("looked at above").take(news);
    assert_eq!(taken.refused, None);
}

fn action(one: u8, two: u8) -> Action {
    let subject = peer(two);
    match one % 10 {
        0 | 1 => Action::Remove { peer: subject, is_ban: two & 0x80 != 0, epoch: [two; 32] },
        2 => Action::SetRole {
            peer: subject,
            role: if two & 0x80 == 0 { Role::Member } else { Role::Moderator },
        },
        3 => Action::SetAdmission(if two & 0x80 == 0 { Admission::Open } else { Admission::Locked }),
        4 => Action::Revoke(TicketId([two; 8])),
        5 => Action::Leave,
        6 => Action::MarkAbsent(subject),
        7 => Action::Return,
        8 => Action::Unknown(two | 0x80),
        _ => Action::Add { peer: subject, ticket: Some(TicketId([two; 8])) },
    }
}

fn say(rosters: &mut [Option<Roster>], who: usize, one: u8, two: u8) {
    let Some(roster) = rosters[who].as_mut() else { return };
    let action = action(one, two);
    let said = roster.say(&IDENTITIES[who], action).is_ok();
    let newcomer = usize::from(two) % PEOPLE;
    if let (true, Action::Add { peer, .. }) = (said, action)
        && newcomer != who
    {
        let all = roster.history().unknown_to(&[]).into_iter().cloned().collect();
        let joined = Roster::join(peer, roster.history().group(), all);
        rosters[newcomer] = Some(joined.expect("it was just added"));
    }
}

/// Says something without regard to the rules, after whatever one likes.
fn lie(roster: &mut Option<Roster>, identity: &Identity, one: u8, two: u8) {
    let Some(roster) = roster else { return };
    let all: Vec<OperationId> = roster.history().unknown_to(&[]).into_iter().map(|said| said.id).collect();
    let some = |number: u8| all[usize::from(number) % all.len()];
    let lie = Operation::sign(identity, Some(some(two)), vec![some(one)], action(one, two));
    roster.take(vec![lie]);
}
