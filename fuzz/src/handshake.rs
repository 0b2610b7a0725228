//! The handshake, with somebody in the middle who changes what passes.

use protocol::id::GroupId;
use protocol::identity::Identity;
use protocol::invite::{TicketId, TicketSecret};
use protocol::limits::HANDSHAKE_MESSAGE_BYTES_MAX;
use protocol::noise::{
    Credential, EpochSecret, Initiator, InitiatorEvent, Local, Mode, Responder, ResponderEvent, Secret,
};

const GROUP: GroupId = GroupId([1; 16]);
const TICKET: TicketId = TicketId([2; 8]);

/// The input's first bit chooses ticket or membership; then, for each message in turn, one byte says what
/// becomes of it. A side that was sent anything else than the other's own message does not connect.
pub fn handshake(data: &[u8]) {
    let Some((&first, mut script)) = data.split_first() else { return };
    let (alice, bob) = (Identity::from_seed(&[3; 32]), Identity::from_seed(&[4; 32]));
    let mut initiator = Initiator::new(
        &local(&alice, 5),
        if first & 1 == 0 {
            Credential::Ticket { group: GROUP, ticket: TICKET, secret: ticket_secret(), from: bob.peer_id() }
        } else {
            Credential::Member { group: GROUP, epoch: 7, secret: epoch_secret(), to: bob.peer_id() }
        },
        b"hello",
    );
    let mut responder = Responder::new(&local(&bob, 6), GROUP);
    let (mut to_initiator_changed, mut to_responder_changed) = (false, false);
    // Four messages make a handshake; the bound stops two sides that would answer each other for ever.
    for _ in 0..16 {
        let mut silent = true;
        if let Some(sent) = initiator.poll_transmit() {
            silent = false;
            to_responder_changed |= pass(sent, &mut script, |message| responder.handle_message(message));
        }
        while let Some(event) = responder.poll_event() {
            match event {
                ResponderEvent::NeedSecret(mode) => responder.provide(match mode {
                    Mode::Ticket { .. } | Mode::Password => Secret::Ticket(ticket_secret()),
                    Mode::Member { .. } => Secret::Member(epoch_secret()),
                }),
                ResponderEvent::NeedAdmission(_) => responder.admit(b"welcome"),
                ResponderEvent::Established(_) => assert!(!to_responder_changed, "the responder connected"),
                ResponderEvent::Failed(_) => {}
            }
        }
        if let Some(sent) = responder.poll_transmit() {
            silent = false;
            to_initiator_changed |= pass(sent, &mut script, |message| initiator.handle_message(message));
        }
        while let Some(event) = initiator.poll_event() {
            match event {
                InitiatorEvent::Established(_) => assert!(!to_initiator_changed, "the initiator connected"),
                InitiatorEvent::NeedPassword { .. } => unreachable!("a ticket or a membership needs none"),
                InitiatorEvent::Waiting => {}
                InitiatorEvent::Failed(_) => {}
            }
        }
        if silent {
            return;
        }
    }
    panic!("the handshake does not end");
}

/// Hands a message on as the script says; returns whether it was changed.
fn pass(sent: Vec<u8>, script: &mut &[u8], deliver: impl FnOnce(&[u8])) -> bool {
    assert!(sent.len() <= HANDSHAKE_MESSAGE_BYTES_MAX, "{} bytes sent", sent.len());
    let mut message = sent.clone();
    if let [what, with, rest @ ..] = *script {
        *script = rest;
        let at = usize::from(*with) % message.len().max(1);
        match what % 8 {
            1 => message[at] ^= 1 << (what >> 5),
            2 => message.truncate(at),
            3 => message.push(*what),
            4 => {
                let (own, rest) = rest.split_at(usize::from(*with).min(rest.len()));
                message = own.to_vec();
                *script = rest;
            }
            5 => message[at..].fill(*what),
            _ => {}
        }
    }
    deliver(&message);
    message != sent
}

fn local(identity: &Identity, seed: u8) -> Local<'_> {
    Local { identity, name: "somebody", exporter: [9; 32], seed: [seed; 32] }
}

fn ticket_secret() -> TicketSecret {
    TicketSecret::from_bytes([7; 16])
}

fn epoch_secret() -> EpochSecret {
    EpochSecret::from_bytes([8; 32])
}
