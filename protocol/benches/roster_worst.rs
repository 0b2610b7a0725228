//! What judging costs when somebody wants it to be slow: `cargo bench -p protocol --bench roster_worst`.

use protocol::group::{Action, Admission, Operation, OperationId, Role, Roster};
use protocol::id::PeerId;
use protocol::identity::Identity;
use protocol::invite::TicketId;
use protocol::limits::{OPERATIONS_MAX, OPERATIONS_RESERVED};
use std::collections::BTreeMap;
use std::time::Instant;

fn main() {
    let roles = [Role::Member, Role::Moderator];
    one_peer_comes_and_goes();
    measure("roles change all the time", 4, |_, index| Action::SetRole {
        peer: identity(2 + (index / 4 % 2) as u16).peer_id(),
        role: roles[index / 8 % 2],
    });
    nobody_moderates();
    many_moderators();
}

fn identity(number: u16) -> Identity {
    let mut seed = [1; 32];
    seed[..2].copy_from_slice(&number.to_be_bytes());
    Identity::from_seed(&seed)
}

fn add(number: u16) -> Action {
    Action::Add { peer: identity(number).peer_id(), ticket: None }
}

fn remove(peer: PeerId) -> Action {
    Action::Remove { peer, is_ban: false, epoch: [0; 32] }
}

fn somebody(index: usize) -> PeerId {
    let mut id = [0xaa; 32];
    id[..8].copy_from_slice(&(index as u64).to_be_bytes());
    PeerId(id)
}

fn room(start: usize) -> usize {
    OPERATIONS_MAX - OPERATIONS_RESERVED - start
}

/// Writes operations without asking whether they are allowed.
struct Script {
    last: BTreeMap<u16, OperationId>,
    all: Vec<Operation>,
}

impl Script {
    fn new() -> Self {
        let creation = Operation::sign(
            &identity(0),
            None,
            Vec::new(),
            Action::Create { nonce: [1; 32], admission: Admission::Open },
        );
        Self { last: BTreeMap::from([(0, creation.id)]), all: vec![creation] }
    }

    fn say(&mut self, who: u16, action: Action, newcomer: Option<u16>) {
        let newest = self.all.last().expect("a creation").id;
        let said = Operation::sign(&identity(who), Some(self.last[&who]), vec![newest], action);
        self.last.insert(who, said.id);
        if let Some(newcomer) = newcomer {
            self.last.insert(newcomer, said.id);
        }
        self.all.push(said);
    }

    fn say_blindly(&mut self, who: u16, action: Action) {
        let said = Operation::sign(&identity(who), Some(self.last[&who]), Vec::new(), action);
        self.last.insert(who, said.id);
        self.all.push(said);
    }

    fn judge(self, name: &str) {
        let (group, count) = (self.all[0].id.group(), self.all.len());
        let mut roster = Roster::found(&identity(0), [1; 32], Admission::Open);
        assert_eq!(roster.history().group(), group, "the same creation");
        let begin = Instant::now();
        let taken = roster.take(self.all[1..].to_vec());
        let took = begin.elapsed();
        println!(
            "{name:<40} {count} operations, {:?} refused: {:.0} ms",
            taken.refused,
            took.as_secs_f64() * 1e3
        );
    }
}

fn one_peer_comes_and_goes() {
    for (name, by_itself) in [("one peer comes and goes", true), ("one peer is let in and put out", false)] {
        let mut script = Script::new();
        for n in 2..6 {
            script.say(0, add(n), Some(n));
            script.say(0, Action::SetRole { peer: identity(n).peer_id(), role: Role::Moderator }, None);
        }
        script.say(0, Action::Leave, None);
        for index in 0..room(script.all.len()) / 2 {
            let by = 2 + (index % 4) as u16;
            script.say(by, add(1), Some(1));
            if by_itself {
                script.say(1, Action::Leave, None);
            } else {
                script.say(by, remove(identity(1).peer_id()), None);
            }
        }
        script.judge(name);
    }
}

fn measure(name: &str, people: u16, action: impl Fn(usize, usize) -> Action) {
    let mut script = Script::new();
    (1..=people).for_each(|n| script.say(0, add(n), Some(n)));
    (1..=people).for_each(|n| {
        script.say(0, Action::SetRole { peer: identity(n).peer_id(), role: Role::Moderator }, None)
    });
    for index in 0..room(script.all.len()) {
        let who = index % usize::from(people);
        script.say_blindly(who as u16 + 1, action(who, index));
    }
    script.judge(name);
}

fn nobody_moderates() {
    for (name, action) in [
        ("nobody moderates, all revoke", Action::Revoke(TicketId([1; 8]))),
        ("nobody moderates, all lock", Action::SetAdmission(Admission::Open)),
        ("nobody moderates, all remove", remove(somebody(0))),
    ] {
        let mut script = Script::new();
        script.say(0, add(1), Some(1));
        (2..6).for_each(|n| script.say(1, add(n), Some(n)));
        script.say(0, Action::Leave, None);
        for index in 0..900 {
            script.say_blindly(2, Action::Add { peer: somebody(index), ticket: None });
        }
        for index in 0..room(script.all.len()) {
            script.say(3 + (index % 3) as u16, action, None);
        }
        script.judge(name);
    }
}

fn many_moderators() {
    let mut script = Script::new();
    script.say(0, add(1), Some(1));
    let count = 400;
    for n in 2..2 + count {
        script.say(0, add(n), Some(n));
    }
    for n in 2..2 + count {
        script.say(0, Action::SetRole { peer: identity(n).peer_id(), role: Role::Moderator }, None);
    }
    for n in (2..2 + count).rev() {
        script.say(n, remove(somebody(usize::from(n))), None);
    }
    for index in 0..room(script.all.len()).min(900) {
        script.say_blindly(1, Action::Add { peer: somebody(index + 5000), ticket: None });
    }
    script.judge("many moderators remove");
}
