//! Examples with fixed keys, against which another implementation can be held: `vectors.txt`, a name and a value a line.
//!
//! `VECTORS=write cargo test -p protocol --test vectors` writes the file anew, for a new version of the protocol only.

use data_encoding::HEXLOWER;
use protocol::control::{
    CandidateInfo, Candidates, Chat, Epoch, Grant, Grants, Heads, Leave, Member, Members, Message,
    Operations, SignedOperation, VoiceState, Welcome,
};
use protocol::door::KnockKey;
use protocol::door::cookie::{answer, challenge, read_answer, read_challenge};
use protocol::door::knock::read_knock;
use protocol::group::{Action, Admission, Operation, Role, Roster, commitment};
use protocol::ice::{
    Agent, AgentConfig, Candidate, CandidateKind, Credentials, Role as IceRole, username_of,
};
use protocol::id::{GroupId, PeerId};
use protocol::identity::{Identity, noise_key};
use protocol::invite::{Door, Ticket, TicketId, TicketSecret};
use protocol::media::ReceptionReport;
use protocol::media::packet::{Copied, Marks, VoicePacket};
use protocol::noise::{
    Credential, EpochSecret, Initiator, InitiatorEvent, Local, Mode, Responder, ResponderEvent, Secret,
    stretch_password,
};
use protocol::path::{Route, Via};
use protocol::reach::Reach;
use protocol::reply::Reply;
use protocol::stun::TransactionId;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

const GROUP: GroupId = GroupId([0x11; 16]);
const EPOCH: u64 = 7;
const EPOCH_SECRET: [u8; 32] = [0x55; 32];
const TICKET_SECRET: [u8; 16] = [0x44; 16];
/// What the two ends of a connection export from TLS for Noise.
const EXPORTER: [u8; 32] = [0x33; 32];
const PASSWORD: &[u8] = b"four random common words";
/// From which each side makes its ephemeral keys.
const SEEDS: [[u8; 32]; 2] = [[1; 32], [2; 32]];

fn alice() -> Identity {
    Identity::from_seed(&[0xa1; 32])
}

fn bob() -> Identity {
    Identity::from_seed(&[0xb0; 32])
}

fn at(address: &str) -> std::net::SocketAddr {
    address.parse().expect("an address")
}

struct Vectors(String);

impl Vectors {
    fn put(&mut self, name: &str, value: &[u8]) {
        self.put_text(name, &HEXLOWER.encode(value));
    }

    fn put_text(&mut self, name: &str, value: &str) {
        writeln!(self.0, "{name} {value}").expect("a string takes every write");
    }
}

#[test]
fn the_wire_is_what_it_was() {
    let mut vectors = Vectors(String::new());
    identities(&mut vectors);
    invitations(&mut vectors);
    door(&mut vectors);
    handshakes(&mut vectors);
    control(&mut vectors);
    group(&mut vectors);
    media(&mut vectors);
    checks(&mut vectors);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors.txt");
    if std::env::var("VECTORS").is_ok_and(|what| what == "write") {
        std::fs::write(&path, &vectors.0).expect("the file can be written");
    }
    let expected = std::fs::read_to_string(&path).expect("the file is there");
    for (ours, expected) in vectors.0.lines().zip(expected.lines()) {
        assert_eq!(ours, expected);
    }
    assert_eq!(vectors.0.lines().count(), expected.lines().count());
}

fn identities(vectors: &mut Vectors) {
    vectors.put("identity.seed", &[0xa1; 32]);
    vectors.put("identity.seed.of_bob", &[0xb0; 32]);
    vectors.put("identity.peer_id", &alice().peer_id().0);
    vectors.put_text("identity.peer_id.text", &alice().peer_id().to_string());
    vectors.put("identity.x25519", &noise_key(&alice().peer_id()).expect("a key"));
    vectors.put("identity.signature.of_message_in_context", &alice().sign("context", b"message"));
}

fn ticket() -> Ticket {
    Ticket {
        group: GROUP,
        issuer: bob().peer_id(),
        id: TicketId([0x22; 8]),
        secret: TicketSecret::from_bytes(TICKET_SECRET),
        expires_at: 1_800_000_000,
        uses: 3,
        candidates: vec![at("203.0.113.5:4700"), at("[2001:db8::7]:4701")],
        relays: vec!["turn:user:word@192.0.2.1:3478 192.0.2.1:50000".into()],
        others: vec![Door {
            member: alice().peer_id(),
            reach: Reach { addresses: vec![at("203.0.113.6:4700")], relays: Vec::new() },
        }],
    }
}

fn invitations(vectors: &mut Vectors) {
    let line = ticket().to_string();
    assert_eq!(line.parse::<Ticket>(), Ok(ticket()));
    vectors.put_text("ticket", &line);
    let reach = Reach { addresses: vec![at("192.0.2.7:4700")], relays: Vec::new() };
    vectors.put_text("reply", &Reply { reach }.to_string());
}

fn door(vectors: &mut Vectors) {
    const UNIX: u64 = 1_799_999_999;
    let keys = [
        ("ticket", KnockKey::of_ticket(TicketId([0x22; 8]), &TicketSecret::from_bytes(TICKET_SECRET))),
        ("member", KnockKey::of_member(GROUP, EPOCH, &EpochSecret::from_bytes(EPOCH_SECRET))),
    ];
    for (name, key) in keys {
        let knock = key.knock(TransactionId([0x0a; 12]), UNIX);
        let read = read_knock(&knock).expect("it is one");
        assert!(key.made(&knock) && read.name == key.name() && read.made_at == UNIX);
        vectors.put(&format!("door.knock.{name}"), &knock);
    }
    let (token, cookie) = ([0x0b; 12], *b"0123456789abcdef");
    assert_eq!(read_challenge(&challenge(token, &cookie)), Some((token, cookie)));
    vectors.put("door.challenge", &challenge(token, &cookie));
    assert_eq!(read_answer(&answer(token, &cookie)), Some(cookie));
    vectors.put("door.answer", &answer(token, &cookie));
}

/// A check and its answer, between agents whose names and passwords are 8 and 26 times the same letter.
fn checks(vectors: &mut Vectors) {
    let agent = |role, local: &str, remote: &str| {
        let credentials = |name: &str| Credentials { ufrag: name.repeat(8), pwd: name.repeat(26) };
        let (local, remote) = (credentials(local), credentials(remote));
        let (seed, relay_only, birthday) = ([2; 32], false, false);
        AgentConfig { role, tie_breaker: 1, local, remote, seed, relay_only, birthday }
    };
    let [here, there] = [at("192.0.2.1:1000"), at("192.0.2.2:2000")];
    let mut asking = Agent::new(agent(IceRole::Controlling, "a", "b"), Duration::ZERO);
    let mut asked = Agent::new(agent(IceRole::Controlled, "b", "a"), Duration::ZERO);
    let host = |address| Candidate { kind: CandidateKind::Host, address, via: Via::Socket };
    asking.add_local(Duration::ZERO, host(here));
    asked.add_local(Duration::ZERO, host(there));
    asking.add_remote(Duration::ZERO, CandidateKind::ServerReflexive, there);
    asking.handle_timeout(Duration::ZERO);
    let check = asking.poll_transmit().expect("an agent that knows an address checks it").bytes;
    assert_eq!(username_of(&check), Some(("b".repeat(8), "a".repeat(8))));
    vectors.put("ice.check", &check);
    assert!(asked.handle_stun(Duration::ZERO, Route::direct(here), &check));
    vectors.put("ice.answer", &asked.poll_transmit().expect("a true check is answered").bytes);
}

/// Both sides with fixed keys, and what each sent.
fn shake(vectors: &mut Vectors, name: &str, credential: Credential) {
    let (alice, bob) = (alice(), bob());
    let local = |identity, name, seed| Local { identity, name, exporter: EXPORTER, seed };
    let mut initiator = Initiator::new(&local(&alice, "Alice", SEEDS[0]), credential, b"from alice");
    let mut responder = Responder::new(&local(&bob, "Bob", SEEDS[1]), GROUP);
    let password = || stretch_password(PASSWORD, GROUP);
    for number in 1.. {
        let (from, message) = if let Some(message) = initiator.poll_transmit() {
            responder.handle_message(&message);
            ("initiator", message)
        } else if let Some(message) = responder.poll_transmit() {
            initiator.handle_message(&message);
            ("responder", message)
        } else {
            break;
        };
        vectors.put(&format!("handshake.{name}.{number}.{from}"), &message);
        while let Some(event) = responder.poll_event() {
            match event {
                ResponderEvent::NeedSecret(Mode::Ticket { .. }) => {
                    responder.provide(Secret::Ticket(TicketSecret::from_bytes(TICKET_SECRET)));
                }
                ResponderEvent::NeedSecret(Mode::Password) => {
                    responder.provide(Secret::Password(password()));
                }
                ResponderEvent::NeedSecret(Mode::Member { .. }) => {
                    responder.provide(Secret::Member(EpochSecret::from_bytes(EPOCH_SECRET)));
                }
                ResponderEvent::NeedAdmission(_) => responder.admit(b"from bob"),
                ResponderEvent::Established(established) => {
                    vectors.put(&format!("handshake.{name}.hash"), &established.handshake_hash);
                }
                ResponderEvent::Failed(error) => panic!("{error}"),
            }
        }
        while let Some(event) = initiator.poll_event() {
            match event {
                InitiatorEvent::NeedPassword { .. } => initiator.provide_password(&password()),
                InitiatorEvent::Established(established) => assert_eq!(established.payload, b"from bob"),
                InitiatorEvent::Waiting => panic!("nobody is asked"),
                InitiatorEvent::Failed(error) => panic!("{error}"),
            }
        }
    }
}

fn handshakes(vectors: &mut Vectors) {
    vectors.put("handshake.exporter", &EXPORTER);
    vectors.put("handshake.seed.initiator", &SEEDS[0]);
    vectors.put("handshake.seed.responder", &SEEDS[1]);
    vectors.put("handshake.ticket.secret", &TICKET_SECRET);
    vectors.put("handshake.member.epoch", &EPOCH.to_be_bytes());
    vectors.put("handshake.member.secret", &EPOCH_SECRET);
    vectors.put("handshake.password.password", PASSWORD);
    shake(vectors, "ticket", Credential::of_ticket(&ticket()));
    let secret = EpochSecret::from_bytes(EPOCH_SECRET);
    shake(vectors, "member", Credential::Member { group: GROUP, epoch: EPOCH, secret, to: bob().peer_id() });
    shake(vectors, "password", Credential::Password);
}

fn control(vectors: &mut Vectors) {
    let member = Member {
        id: alice().peer_id().0.into(),
        name: "Alice".into(),
        addresses: vec!["192.0.2.7:4700".into()],
        relays: vec!["turn:user:word@192.0.2.1:3478 192.0.2.1:50000".into()],
    };
    let grant = Grant {
        ticket: [0x22; 8].into(),
        secret: TICKET_SECRET.into(),
        expiry: 1_800_000_000,
        issuer: bob().peer_id().0.into(),
        epoch: EPOCH,
    };
    let candidates = Candidates {
        candidates: vec![CandidateInfo { kind: 1, address: "192.0.2.7:4700".into() }],
        mapping: 3,
        step: 1,
        newest: Some("192.0.2.7:4701".into()),
    };
    let operation = SignedOperation { body: vec![0xa0].into(), signature: [0x66; 64].into() };
    let welcome = Welcome {
        epoch_secret: EPOCH_SECRET.into(),
        members: vec![member.clone()],
        grants: vec![grant.clone()],
        group: GROUP.0.into(),
    };
    let messages = [
        ("welcome", Message::Welcome(welcome)),
        ("members", Message::Members(Members { members: vec![member] })),
        ("grants", Message::Grants(Grants { grants: vec![grant] })),
        ("voice_state", Message::VoiceState(VoiceState { muted: true, deafened: false })),
        ("leave", Message::Leave(Leave {})),
        ("candidates", Message::Candidates(candidates)),
        ("chat", Message::Chat(Chat { id: 1, text: "hello".into() })),
        ("heads", Message::Heads(Heads { heads: vec![[0x77; 32].into()] })),
        ("operations", Message::Operations(Operations { operations: vec![operation] })),
        ("epoch", Message::Epoch(Epoch { secret: EPOCH_SECRET.into() })),
    ];
    for (name, message) in messages {
        let encoded = message.encode();
        assert_eq!(Message::decode(&encoded[2..]), Ok(Some(message)));
        vectors.put(&format!("control.{name}"), &encoded);
    }
}

fn group(vectors: &mut Vectors) {
    let (alice, bob, carl) = (alice(), bob(), Identity::from_seed(&[0xc0; 32]));
    let mut founder = Roster::found(&alice, [0x88; 32], Admission::Knock);
    vectors.put("group.id", &founder.history().group().0);
    let said = [
        Action::Add { peer: bob.peer_id(), ticket: Some(TicketId([0x22; 8])) },
        Action::Add { peer: carl.peer_id(), ticket: None },
        Action::SetRole { peer: bob.peer_id(), role: Role::Moderator },
        Action::SetAdmission(Admission::Open),
        Action::Revoke(TicketId([0x22; 8])),
        Action::MarkAbsent(carl.peer_id()),
    ];
    said.into_iter().for_each(|action| drop(founder.say(&alice, action).expect("it is allowed")));
    let all = |roster: &Roster| -> Vec<Operation> {
        roster.history().unknown_to(&[]).into_iter().cloned().collect()
    };
    let group = founder.history().group();
    let mut moderator = Roster::join(bob.peer_id(), group, all(&founder)).expect("a member");
    let mut member = Roster::join(carl.peer_id(), group, all(&founder)).expect("a member");
    // At the same time: one is removed, and says that it is there.
    let epoch = commitment(&[0x99; 32]);
    vectors.put("group.epoch.secret", &[0x99; 32]);
    vectors.put("group.epoch.commitment", &epoch);
    moderator.say(&bob, Action::Remove { peer: carl.peer_id(), is_ban: true, epoch }).expect("it is allowed");
    member.say(&carl, Action::Return).expect("it is allowed");
    moderator.say(&bob, Action::Leave).expect("it is allowed");
    founder.take(all(&member));
    founder.take(all(&moderator));
    for (number, operation) in all(&founder).iter().enumerate() {
        let read = Operation::read(operation.body(), *operation.signature());
        assert_eq!(read.as_ref(), Ok(operation));
        vectors.put(&format!("group.{number}.body"), operation.body());
        vectors.put(&format!("group.{number}.id"), &operation.id.0);
        vectors.put(&format!("group.{number}.signature"), operation.signature());
    }
    let membership = founder.membership();
    for (PeerId(id), state) in &membership.members {
        vectors.put(&format!("group.member.{:?}", state.role), id);
    }
    for (PeerId(id), removal) in &membership.removed {
        vectors.put(&format!("group.removed.{removal:?}"), id);
    }
    vectors.put_text("group.epoch", &membership.epoch.to_string());
}

fn media(vectors: &mut Vectors) {
    let marks = Marks { ticks: 4, talkspurt_start: true, talkspurt_end: false };
    let mut bytes = Vec::new();
    VoicePacket::new(0x1234, 0x56_789a, marks, &[0x48, 1, 2, 3]).encode(&mut bytes);
    vectors.put("media.voice", &bytes);
    let later = Marks { talkspurt_start: false, ..marks };
    let mut packet = VoicePacket::new(0x1235, 0x56_789e, later, &[0x48, 4, 5, 6]);
    packet.push_copy(Copied { sequence_back: 1, ticks_back: 4, marks, payload: &[0x48, 1, 2, 3] });
    bytes.clear();
    packet.encode(&mut bytes);
    vectors.put("media.voice.with_copy", &bytes);
    let report = ReceptionReport {
        lost: 10,
        concealed: 3,
        jitter_ms: 40,
        packets: 0x1234,
        packets_lost: 0x102,
        bursts: 0x33,
    };
    vectors.put("media.report", &report.encode());
    assert_eq!(ReceptionReport::decode(&report.encode()), Ok(report));
}
