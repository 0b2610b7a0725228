//! Random histories: replicas that part and meet, say things at the same time, and sometimes lie.
//!
//! `cargo test --release -p protocol --lib a_long_swarm -- --ignored` runs ten times as many.

use super::history::History;
use super::membership::Membership;
use super::operation::{Action, Admission, Operation, OperationId, Role};
use super::roster::{NoRoster, Roster};
use super::rules::judge;
use crate::id::PeerId;
use crate::identity::Identity;
use crate::invite::TicketId;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

const HISTORIES: u64 = 100_000;
const PEOPLE: usize = 8;
const STEPS: usize = 40;

static IDENTITIES: LazyLock<Vec<Identity>> =
    LazyLock::new(|| (0..PEOPLE as u8).map(|n| Identity::from_seed(&[n + 1; 32])).collect());

struct Swarm {
    random: ChaCha8Rng,
    /// What each person knows; nobody outside knows anything.
    rosters: Vec<Option<Roster>>,
    people: usize,
    /// Who can hear whom.
    partition: Vec<u8>,
    leaving: bool,
    lying: bool,
}

fn peer(person: usize) -> PeerId {
    IDENTITIES[person].peer_id()
}

impl Swarm {
    fn new(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let founded = Roster::found(&IDENTITIES[0], random.random(), Admission::Open);
        let mut rosters: Vec<Option<Roster>> = (0..PEOPLE).map(|_| None).collect();
        rosters[0] = Some(founded);
        let (leaving, lying) = (random.random(), random.random_bool(0.3));
        let people = random.random_range(2..=PEOPLE);
        let mut swarm = Self { random, rosters, people, partition: vec![0; people], leaving, lying };
        (1..people).for_each(|newcomer| swarm.add(0, newcomer, None));
        for moderator in 1..people.div_ceil(2) {
            let action = Action::SetRole { peer: peer(moderator), role: Role::Moderator };
            swarm.rosters[0].as_mut().expect("the founder").say(&IDENTITIES[0], action).expect("it may");
        }
        (1..people).for_each(|other| swarm.tell_each_other(0, other));
        swarm
    }

    fn step(&mut self) {
        let person = self.random.random_range(0..self.people);
        match self.random.random_range(0..10) {
            0 => self.partition.iter_mut().for_each(|part| *part = self.random.random_range(0..2)),
            1 => self.partition.fill(0),
            2..5 => self.meet(person),
            5..7 => self.admit(person),
            _ if self.lying && self.random.random_bool(0.2) => self.lie(person),
            _ => self.say(person),
        }
    }

    fn meet(&mut self, person: usize) {
        let other = self.random.random_range(0..self.people);
        if self.partition[person] == self.partition[other] && person != other {
            self.tell_each_other(person, other);
        }
    }

    fn tell_each_other(&mut self, person: usize, other: usize) {
        let [Some(one), Some(two)] = [person, other].map(|n| self.rosters[n].clone()) else { return };
        let tell = |from: &Roster, to: &Roster| -> Vec<Operation> {
            from.history().unknown_to(&to.history().heads()).into_iter().cloned().collect()
        };
        for (at, from, to) in [(other, &one, &two), (person, &two, &one)] {
            let taken = self.rosters[at].as_mut().expect("looked at above").take(tell(from, to));
            assert_eq!(taken.refused, None);
        }
    }

    /// Somebody comes in, perhaps again, and forgets what it knew.
    fn admit(&mut self, person: usize) {
        let newcomer = self.random.random_range(0..self.people);
        let ticket = self.random.random_bool(0.5).then(|| TicketId([self.random.random_range(0..3); 8]));
        if newcomer != person {
            self.add(person, newcomer, ticket);
        }
    }

    fn add(&mut self, person: usize, newcomer: usize, ticket: Option<TicketId>) {
        let Some(roster) = self.rosters[person].as_mut() else { return };
        let action = Action::Add { peer: peer(newcomer), ticket };
        if roster.say(&IDENTITIES[person], action).is_ok() {
            let all = roster.history().unknown_to(&[]).into_iter().cloned().collect();
            let joined = Roster::join(peer(newcomer), roster.history().group(), all);
            self.rosters[newcomer] = Some(joined.expect("it was just added"));
        }
    }

    fn action(&mut self) -> Action {
        let other = peer(self.random.random_range(0..self.people));
        let admissions = [Admission::Open, Admission::Knock, Admission::Locked];
        match self.random.random_range(0..12) {
            0..4 => Action::Remove { peer: other, is_ban: self.random.random(), epoch: self.random.random() },
            4..7 => {
                let role = *[Role::Member, Role::Moderator].choose(&mut self.random).expect("there are two");
                Action::SetRole { peer: other, role }
            }
            7..9 => Action::SetAdmission(*admissions.choose(&mut self.random).expect("there are three")),
            9 => Action::MarkAbsent(other),
            10 if self.leaving => Action::Leave,
            10 => Action::Return,
            _ => Action::Revoke(TicketId([self.random.random_range(0..3); 8])),
        }
    }

    fn say(&mut self, person: usize) {
        let action = self.action();
        if let Some(roster) = self.rosters[person].as_mut() {
            let _ = roster.say(&IDENTITIES[person], action);
        }
    }

    /// Says something without regard to the rules, as if it knew less, or says two things in one place.
    fn lie(&mut self, person: usize) {
        let action = self.action();
        let Some(roster) = self.rosters[person].as_mut() else { return };
        let all: Vec<Operation> = roster.history().unknown_to(&[]).into_iter().cloned().collect();
        let own = all.iter().filter(|operation| {
            operation.author == peer(person)
                || matches!(operation.action, Action::Add { peer: added, .. } if added == peer(person))
        });
        let own: Vec<OperationId> = own.map(|operation| operation.id).collect();
        let some = all.choose(&mut self.random).map(|operation| operation.id);
        let previous = own.choose(&mut self.random).copied();
        let lie = Operation::sign(&IDENTITIES[person], previous, some.into_iter().collect(), action);
        let taken = roster.take(vec![lie]);
        assert!(taken.refused.is_none());
    }

    fn everything(&self) -> Vec<Operation> {
        let all = self.rosters.iter().flatten().flat_map(|roster| roster.history().unknown_to(&[]));
        let all: BTreeMap<OperationId, Operation> = all.map(|said| (said.id, said.clone())).collect();
        all.into_values().collect()
    }
}

/// The operations in some order in which predecessors come first.
fn shuffled(operations: &[Operation], random: &mut ChaCha8Rng) -> Vec<Operation> {
    let mut waiting: Vec<&Operation> = operations.iter().collect();
    waiting.shuffle(random);
    let (mut known, mut ordered) = (BTreeSet::new(), Vec::new());
    while !waiting.is_empty() {
        waiting.retain(|operation| {
            let is_ready = operation.predecessors().all(|id| known.contains(&id));
            if is_ready {
                known.insert(operation.id);
                ordered.push((*operation).clone());
            }
            !is_ready
        });
    }
    ordered
}

fn history(operations: Vec<Operation>) -> History {
    let mut operations = operations.into_iter();
    let mut history = History::begin(operations.next().expect("a creation")).expect("it is one");
    operations.for_each(|operation| assert_eq!(history.take(operation), Ok(true)));
    history
}

/// What must hold of every history, found out in the plainest way.
fn check(history: &History, membership: &Membership) {
    let (_, in_force) = judge(history);
    let known = history.known();
    let founder = known[0].operation.author;
    let founder_left =
        known.iter().any(|k| k.operation.author == founder && k.operation.action == Action::Leave);
    let lied = known.iter().any(|known| known.is_forked);
    let left = known.iter().any(|known| known.operation.action == Action::Leave);
    assert!(!membership.members.is_empty() || left || lied, "nobody is left, and nobody left");
    for (place, removal) in known.iter().enumerate() {
        let Action::Remove { peer, .. } = removal.operation.action else { continue };
        let by_founder = removal.operation.author == founder && peer != founder && !founder_left && !lied;
        assert!(!by_founder || in_force.contains(place), "the founder's word counts");
        if !in_force.contains(place) {
            continue;
        }
        let is_back = known
            .iter()
            .enumerate()
            .any(|(at, later)| later.adds(peer) && in_force.contains(at) && later.past.contains(place));
        assert!(is_back || !membership.contains(peer), "a removed member is in");
    }
    for (peer, state) in &membership.members {
        let added = known.iter().enumerate().any(|(at, known)| known.adds(*peer) && in_force.contains(at));
        assert!(added, "somebody is in whom nobody let in");
        assert!(!membership.removed.contains_key(peer));
        assert!(state.role < Role::Founder || *peer == founder);
    }
    if let Some(forked) = known.iter().find(|known| known.is_forked) {
        assert!(!membership.contains(forked.operation.author), "who speaks with two tongues is out");
    }
}

/// What the histories held, to see that they are about something.
#[derive(Default, Debug)]
struct Tally {
    operations: usize,
    removals: usize,
    void: usize,
    forks: usize,
    largest: usize,
}

impl Tally {
    fn count(&mut self, history: &History) {
        let (_, in_force) = judge(history);
        self.largest = self.largest.max(history.len());
        for (place, known) in history.known().iter().enumerate() {
            self.operations += 1;
            self.void += usize::from(!in_force.contains(place));
            self.forks += usize::from(known.is_forked);
            let is_removal = matches!(known.operation.action, Action::Remove { .. });
            self.removals += usize::from(is_removal && in_force.contains(place));
        }
    }
}

fn run(seeds: std::ops::Range<u64>) {
    let mut tally = Tally::default();
    for seed in seeds {
        let mut swarm = Swarm::new(seed);
        for _ in 0..STEPS {
            swarm.step();
        }
        let all = swarm.everything();
        let one = history(shuffled(&all, &mut swarm.random));
        let other = history(shuffled(&all, &mut swarm.random));
        let (membership, _) = judge(&one);
        assert_eq!(membership, judge(&other).0, "seed {seed}");
        check(&one, &membership);
        tally.count(&one);
        // Each by what the others tell it comes to the same.
        for roster in swarm.rosters.iter_mut().flatten() {
            let missing = one.unknown_to(&roster.history().heads()).into_iter().cloned().collect();
            assert_eq!(roster.take(missing).refused, None);
            assert_eq!(roster.membership(), &membership, "seed {seed}");
        }
    }
    println!("{tally:?}");
}

#[test]
fn a_hundred_thousand_random_histories_come_out_the_same_everywhere() {
    let half = HISTORIES / 2;
    std::thread::scope(|scope| {
        scope.spawn(|| run(0..half));
        scope.spawn(|| run(half..HISTORIES));
    });
}

#[test]
#[ignore = "ten times as many: minutes"]
fn a_long_swarm() {
    run(HISTORIES..11 * HISTORIES);
}

#[test]
fn joining_takes_the_group_one_was_invited_to_and_a_place_in_it() {
    let roster = Roster::found(&IDENTITIES[0], [1; 32], Admission::Open);
    let all: Vec<Operation> = roster.history().unknown_to(&[]).into_iter().cloned().collect();
    let other = Roster::found(&IDENTITIES[0], [2; 32], Admission::Open).history().group();
    assert_eq!(Roster::join(peer(1), other, all.clone()).err(), Some(NoRoster::Foreign));
    assert_eq!(Roster::join(peer(1), roster.history().group(), all).err(), Some(NoRoster::NotAMember));
    assert_eq!(Roster::join(peer(1), other, Vec::new()).err(), Some(NoRoster::Foreign));
}
