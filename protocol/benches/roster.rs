//! How long a group's history takes to be read, taken and judged: `cargo bench -p protocol --bench roster`.
//!
//! The aim is 50 ms for a full history of 4,096 operations, the longest that somebody can be told when a connection
//! comes about.

use protocol::group::{Action, Admission, Operation, OperationId, Role, Roster};
use protocol::id::PeerId;
use protocol::identity::Identity;
use protocol::limits::{OPERATIONS_MAX, OPERATIONS_RESERVED};
use std::time::{Duration, Instant};

const AIM: Duration = Duration::from_millis(50);
const PEOPLE: u8 = 64;
const PER_MESSAGE: usize = 150;

fn main() {
    let (founder, people) = (identity(0), (1..PEOPLE).map(identity).collect::<Vec<_>>());
    let mut roster = Roster::found(&founder, [1; 32], Admission::Open);
    people
        .iter()
        .for_each(|person| say(&mut roster, &founder, Action::Add { peer: person.peer_id(), ticket: None }));
    say(&mut roster, &founder, Action::SetRole { peer: people[0].peer_id(), role: Role::Moderator });
    let start = roster;
    measure("everybody says that it is there", &start, &chains(&start, &people, |_, _| Action::Return));
    measure(
        "people come and go",
        &start,
        &chains(&start, &people, |_, index| Action::Add { peer: PeerId([index as u8; 32]), ticket: None }),
    );
    measure(
        "the way in changes all the time",
        &start,
        &chains(&start, &people[..4], |_, index| {
            Action::SetAdmission(if index % 2 == 0 { Admission::Locked } else { Admission::Open })
        }),
    );
    measure(
        "a moderator removes all the time",
        &start,
        &chains(&start, &people[..4], |_, index| Action::Remove {
            peer: PeerId([index as u8; 32]),
            is_ban: true,
            epoch: [0; 32],
        }),
    );
}

fn identity(number: u8) -> Identity {
    Identity::from_seed(&[number; 32])
}

fn say(roster: &mut Roster, identity: &Identity, action: Action) {
    roster.say(identity, action).expect("it is allowed");
}

/// As many operations as there is room for, by all in turn, none of whom knows of the others'.
fn chains(start: &Roster, people: &[Identity], action: impl Fn(usize, usize) -> Action) -> Vec<Operation> {
    let mut last: Vec<OperationId> = people
        .iter()
        .map(|person| start.history().newest_addition(person.peer_id()).expect("it was added"))
        .collect();
    let room = OPERATIONS_MAX - OPERATIONS_RESERVED - start.history().len();
    let next = |index: usize| {
        let who = index % people.len();
        let said = Operation::sign(&people[who], Some(last[who]), Vec::new(), action(who, index));
        last[who] = said.id;
        said
    };
    (0..room).map(next).collect()
}

fn measure(name: &str, start: &Roster, operations: &[Operation]) {
    let wire: Vec<(Vec<u8>, [u8; 64])> =
        operations.iter().map(|said| (said.body().to_vec(), *said.signature())).collect();
    let reading = Instant::now();
    // As many at once as one message holds.
    let read: Vec<Operation> = wire
        .chunks(PER_MESSAGE)
        .flat_map(|part| {
            let part = part.iter().map(|(body, signature)| (body.as_slice(), *signature));
            Operation::read_all(part).expect("our own")
        })
        .collect();
    let read_in = reading.elapsed();
    let mut roster = start.clone();
    let taking = Instant::now();
    let taken = roster.take(read);
    let taken_in = taking.elapsed();
    assert_eq!(taken.refused, None);
    let whole = read_in + taken_in;
    let verdict = if whole <= AIM { "" } else { "  above the aim of 50 ms" };
    println!(
        "{name:<34} {} operations: {:.1} ms for signatures, {:.1} ms to take and judge{verdict}",
        roster.history().len(),
        read_in.as_secs_f64() * 1e3,
        taken_in.as_secs_f64() * 1e3
    );
}
