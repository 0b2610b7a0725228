//! Examples with fixed keys, against which another implementation can be held: `vectors.txt`, a name and a value a line.
//!
//! `VECTORS=write cargo test -p protocol --test vectors` writes the file anew, for a new version of the protocol only.

use data_encoding::HEXLOWER;
use protocol::control::{
    CandidateInfo, Candidates, Chat, Epoch, Grant, Grants, Heads, Leave, Member, Members, Message,
    Operations, SignedOperation, VoiceState, Welcome,
};
use protocol::group::{Action, Admission, Operation, Role, Roster, commitment};
use protocol::id::{GroupId, PeerId};
use protocol::identity::{Identity, noise_key};
use protocol::invite::{Door, Ticket, TicketId, TicketSecret};
use protocol::media::ReceptionReport;
use protocol::media::packet::{Copied, Marks, VoicePacket};
use protocol::noise::{
    Credential, EpochSecret, Initiator, InitiatorEvent, Local, Mode, Responder, ResponderEvent, Secret,
    stretch_password,
};
use protocol::reach::Reach;
use protocol::reply::Reply;
use std::fmt::Write;
use std::path::Path;

const GROUP: GroupId = GroupId([0x11; 16]);

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
    handshakes(&mut vectors);
    control(&mut vectors);
    group(&mut vectors);
    media(&mut vectors);
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
        secret: TicketSecret::from_bytes([0x44; 16]),
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

/// Both sides with fixed keys, and what each sent.
fn shake(vectors: &mut Vectors, name: &str, credential: Credential) {
    let (alice, bob) = (alice(), bob());
    let local = |identity, name, seed| Local { identity, name, exporter: [0x33; 32], seed: [seed; 32] };
    let mut initiator = Initiator::new(&local(&alice, "Alice", 1), credential, b"from alice");
    let mut responder = Responder::new(&local(&bob, "Bob", 2), GROUP);
    let password = || stretch_password(b"four random common words", GROUP);
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
                    responder.provide(Secret::Ticket(TicketSecret::from_bytes([0x44; 16])));
                }
                ResponderEvent::NeedSecret(Mode::Password) => {
                    responder.provide(Secret::Password(password()));
                }
                ResponderEvent::NeedSecret(Mode::Member { .. }) => {
                    responder.provide(Secret::Member(EpochSecret::from_bytes([0x55; 32])));
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
    shake(vectors, "ticket", Credential::of_ticket(&ticket()));
    let secret = EpochSecret::from_bytes([0x55; 32]);
    shake(vectors, "member", Credential::Member { group: GROUP, epoch: 7, secret, to: bob().peer_id() });
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
        secret: [0x44; 16].into(),
        expiry: 1_800_000_000,
        issuer: bob().peer_id().0.into(),
        epoch: 7,
    };
    let candidates = Candidates {
        candidates: vec![CandidateInfo { kind: 1, address: "192.0.2.7:4700".into() }],
        mapping: 3,
        step: 1,
        newest: Some("192.0.2.7:4701".into()),
    };
    let operation = SignedOperation { body: vec![0xa0].into(), signature: [0x66; 64].into() };
    let welcome = Welcome {
        epoch_secret: [0x55; 32].into(),
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
        ("epoch", Message::Epoch(Epoch { secret: [0x55; 32].into() })),
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
