use super::*;
use crate::limits::{HANDSHAKE_MESSAGE_BYTES_MAX, HANDSHAKE_PAYLOAD_BYTES_MAX, NAME_CHARS_MAX};

const NOISE1: u8 = 5;

#[test]
fn both_sides_end_knowing_each_other_in_every_mode() {
    for credential in credentials() {
        let (ours, theirs) = Meeting::with(credential).run();
        let (ours, theirs) = (ours.unwrap(), theirs.unwrap());
        assert_eq!((ours.peer, ours.name.as_str()), (bob().peer_id(), "Bob"));
        assert_eq!((theirs.peer, theirs.name.as_str()), (alice().peer_id(), "Alice"));
        assert_eq!((&ours.payload[..], &theirs.payload[..]), (&b"from bob"[..], &b"from alice"[..]));
        assert_eq!(ours.handshake_hash, theirs.handshake_hash);
        assert_eq!((ours.mode, ours.version), (theirs.mode, theirs.version));
    }
}

#[test]
fn a_real_password_connects() {
    let stretched = stretch_password(b"four random common words", GROUP);
    let meeting = Meeting { initiator_password: stretched.clone(), ..Meeting::with(Credential::Password) };
    let (mut initiator, mut responder) = meeting.sides();
    responder.handle_message(&initiator.poll_transmit().unwrap());
    assert!(matches!(responder.poll_event(), Some(ResponderEvent::NeedSecret(Mode::Password))));
    responder.provide(Secret::Password(stretched.clone()));
    initiator.handle_message(&responder.poll_transmit().unwrap());
    assert!(matches!(initiator.poll_event(), Some(InitiatorEvent::NeedPassword { group: GROUP })));
    initiator.provide_password(&stretched);
    for _ in 0..2 {
        responder.handle_message(&initiator.poll_transmit().unwrap());
        initiator.handle_message(&responder.poll_transmit().unwrap());
    }
    responder.handle_message(&initiator.poll_transmit().unwrap());
    assert!(matches!(responder.poll_event(), Some(ResponderEvent::NeedAdmission(_))));
    responder.admit(&[]);
    initiator.handle_message(&responder.poll_transmit().unwrap());
    assert!(matches!(initiator.poll_event(), Some(InitiatorEvent::Established(_))));
}

#[test]
fn the_initiator_is_not_done_before_the_responder_admitted_it() {
    for credential in credentials() {
        let meeting = Meeting::with(credential);
        let meeting = Meeting { admission: |_| Err(RefuseReason::GroupFull), ..meeting };
        assert_eq!(meeting.run(), refused_by_responder(RefuseReason::GroupFull));
    }
}

#[test]
fn the_same_seeds_give_the_same_messages_and_other_seeds_others() {
    let meeting = Meeting::with(Credential::Password);
    assert_eq!(meeting.recording(), meeting.recording());
    let other = Meeting { initiator_seed: 9, ..Meeting::with(Credential::Password) };
    assert_ne!(meeting.recording(), other.recording());
}

#[test]
fn a_seed_used_twice_still_gives_other_ephemeral_keys_in_another_connection() {
    let noise1 = |exporter| {
        let meeting = Meeting {
            initiator_exporter: exporter,
            responder_exporter: exporter,
            ..Meeting::with(ticket_credential())
        };
        let noise1 = |(_, message): &(From, Vec<u8>)| message[0] == NOISE1;
        meeting.recording().into_iter().find(noise1).unwrap().1
    };
    assert_ne!(noise1([1; 32])[1..33], noise1([2; 32])[1..33]);
}

#[test]
fn the_largest_messages_fit() {
    let name = "🦊".repeat(NAME_CHARS_MAX);
    let (alice, bob) = (alice(), bob());
    let local = |identity| Local { identity, name: &name, exporter: EXPORTER, seed: [1; 32] };
    let payload = [0xFF; HANDSHAKE_PAYLOAD_BYTES_MAX];
    let mut initiator = Initiator::new(&local(&alice), ticket_credential(), &payload);
    let mut responder = Responder::new(&local(&bob), GROUP);
    let mut largest = 0;
    let ending = loop {
        while let Some(message) = initiator.poll_transmit() {
            largest = largest.max(message.len());
            responder.handle_message(&message);
            match responder.poll_event() {
                Some(ResponderEvent::NeedSecret(mode)) => responder.provide(our_secret(mode).unwrap()),
                Some(ResponderEvent::NeedAdmission(_)) => responder.admit(&payload),
                Some(ResponderEvent::Established(_) | ResponderEvent::Failed(_)) | None => {}
            }
        }
        while let Some(message) = responder.poll_transmit() {
            largest = largest.max(message.len());
            initiator.handle_message(&message);
        }
        if let Some(event) = initiator.poll_event() {
            break event;
        }
    };
    assert!(matches!(ending, InitiatorEvent::Established(established) if established.payload == payload));
    assert!(largest <= HANDSHAKE_MESSAGE_BYTES_MAX, "{largest} bytes");
    assert_eq!(largest, 781, "the number in limits.rs");
}

#[test]
fn the_highest_common_version_is_chosen() {
    let meeting = Meeting { versions: [(1, 3), (2, 5)], ..Meeting::with(ticket_credential()) };
    let (ours, theirs) = meeting.run();
    assert_eq!((ours.unwrap().version, theirs.unwrap().version), (3, 3));
    let meeting = Meeting { versions: [(1, 1), (2, 5)], ..Meeting::with(ticket_credential()) };
    assert_eq!(meeting.run(), refused_by_responder(RefuseReason::WrongVersion));
}

#[test]
fn a_noise1_sent_ahead_for_another_version_is_passed_over_and_sent_again() {
    for credential in credentials() {
        let meeting = Meeting { versions: [(1, 5), (1, 3)], ..Meeting::with(credential.clone()) };
        let (ours, theirs) = meeting.run();
        assert_eq!((ours.unwrap().version, theirs.unwrap().version), (3, 3));
        let count = |meeting: &Meeting| {
            let noise1 = |(_, message): &&(From, Vec<u8>)| message[0] == NOISE1;
            meeting.recording().iter().filter(noise1).count()
        };
        let again = usize::from(!matches!(credential, Credential::Password));
        assert_eq!((count(&meeting), count(&Meeting::with(credential))), (1 + again, 1));
    }
}

#[test]
fn with_a_ticket_or_a_membership_one_round_trip_is_enough() {
    for (credential, turns) in [(ticket_credential(), 2), (member_credential(), 2), (Credential::Password, 8)]
    {
        let mut recording = Meeting::with(credential).recording();
        // What is said ahead arrives before the answer to what came before it.
        recording.dedup_by_key(|(from, _)| *from);
        assert_eq!(recording.len(), turns);
    }
}
