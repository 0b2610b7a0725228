//! Two state machines face to face, with a wire between them that a test can tamper with.

mod attacks;
mod fuzz;
mod honest;

use super::*;
use crate::id::GroupId;
use crate::invite::{TicketId, TicketSecret};

const GROUP: GroupId = GroupId([0x11; 16]);
const TICKET: TicketId = TicketId([0x22; 8]);
const EXPORTER: [u8; 32] = [0x33; 32];

fn alice() -> Identity {
    Identity::from_seed(&[0xA1; 32])
}

fn bob() -> Identity {
    Identity::from_seed(&[0xB0; 32])
}

fn ticket_secret() -> TicketSecret {
    TicketSecret::from_bytes([0x44; 16])
}

fn epoch_secret() -> EpochSecret {
    EpochSecret::from_bytes([0x55; 32])
}

fn password() -> StretchedPassword {
    StretchedPassword::from_bytes([0x66; 32])
}

fn ticket_credential() -> Credential {
    Credential::Ticket { group: GROUP, ticket: TICKET, secret: ticket_secret(), from: bob().peer_id() }
}

fn member_credential() -> Credential {
    Credential::Member { group: GROUP, epoch: 7, secret: epoch_secret(), to: bob().peer_id() }
}

fn credentials() -> [Credential; 3] {
    [ticket_credential(), Credential::Password, member_credential()]
}

/// What a handshake needs; tests change one thing and watch it fail.
struct Meeting {
    initiator: Identity,
    responder: Identity,
    initiator_exporter: [u8; 32],
    responder_exporter: [u8; 32],
    initiator_seed: u8,
    responder_seed: u8,
    versions: [(u8, u8); 2],
    credential: Credential,
    initiator_password: StretchedPassword,
    /// The responder's answer to each of its two questions.
    secret: fn(Mode) -> Result<Secret, RefuseReason>,
    admission: fn(&Newcomer) -> Result<(), RefuseReason>,
}

/// How it ended for one side.
type Ending = Result<Established, HandshakeError>;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum From {
    Initiator,
    Responder,
}

fn our_secret(mode: Mode) -> Result<Secret, RefuseReason> {
    Ok(match mode {
        Mode::Ticket { .. } => Secret::Ticket(ticket_secret()),
        Mode::Password => Secret::Password(password()),
        Mode::Member { .. } => Secret::Member(epoch_secret()),
    })
}

impl Meeting {
    fn with(credential: Credential) -> Self {
        Self {
            initiator: alice(),
            responder: bob(),
            initiator_exporter: EXPORTER,
            responder_exporter: EXPORTER,
            initiator_seed: 1,
            responder_seed: 2,
            versions: [(1, 1), (1, 1)],
            credential,
            initiator_password: password(),
            secret: our_secret,
            admission: |_| Ok(()),
        }
    }

    fn sides(&self) -> (Initiator, Responder) {
        let party = |identity, name, exporter, seed, (version_min, version_max)| Party {
            version_min,
            version_max,
            ..Party::new(&Local { identity, name, exporter, seed: [seed; 32] })
        };
        let [ours, theirs] = self.versions;
        let alice =
            party(&self.initiator, "Alice\u{202e}", self.initiator_exporter, self.initiator_seed, ours);
        let bob = party(&self.responder, "Bob", self.responder_exporter, self.responder_seed, theirs);
        let initiator = Initiator::with_party(alice, self.credential.clone(), b"from alice");
        (initiator, Responder::with_party(bob, GROUP))
    }

    fn run(&self) -> (Ending, Ending) {
        self.run_tampered(|_, _, _| {})
    }

    /// Runs until nothing moves. `tamper` sees each message with its number, from 0, and may change it.
    ///
    /// Panics if one side has not come to an end then: it would hang in a real connection.
    fn run_tampered(&self, tamper: impl FnMut(From, usize, &mut Vec<u8>)) -> (Ending, Ending) {
        self.run_sides(self.sides(), tamper)
    }

    fn run_sides(
        &self,
        (mut initiator, mut responder): (Initiator, Responder),
        mut tamper: impl FnMut(From, usize, &mut Vec<u8>),
    ) -> (Ending, Ending) {
        let (mut ours, mut theirs) = (None, None);
        let mut number = 0;
        loop {
            let (from, mut message) = if let Some(message) = initiator.poll_transmit() {
                (From::Initiator, message)
            } else if let Some(message) = responder.poll_transmit() {
                (From::Responder, message)
            } else {
                break;
            };
            assert!(number < 12, "the sides talk without end");
            tamper(from, number, &mut message);
            number += 1;
            match from {
                From::Initiator => responder.handle_message(&message),
                From::Responder => initiator.handle_message(&message),
            }
            self.answer_initiator(&mut initiator, &mut ours);
            self.answer_responder(&mut responder, &mut theirs);
        }
        (ours.expect("the initiator came to an end"), theirs.expect("the responder came to an end"))
    }

    fn answer_initiator(&self, initiator: &mut Initiator, ending: &mut Option<Ending>) {
        match initiator.poll_event() {
            Some(InitiatorEvent::Waiting) => {}
            Some(InitiatorEvent::NeedPassword { .. }) => {
                initiator.provide_password(&self.initiator_password);
            }
            Some(InitiatorEvent::Established(established)) => *ending = Some(Ok(established)),
            Some(InitiatorEvent::Failed(error)) => *ending = Some(Err(error)),
            None => {}
        }
    }

    fn answer_responder(&self, responder: &mut Responder, ending: &mut Option<Ending>) {
        match responder.poll_event() {
            Some(ResponderEvent::NeedSecret(mode)) => match (self.secret)(mode) {
                Ok(secret) => responder.provide(secret),
                Err(reason) => responder.refuse(reason),
            },
            Some(ResponderEvent::NeedAdmission(newcomer)) => match (self.admission)(&newcomer) {
                Ok(()) => responder.admit(b"from bob"),
                Err(reason) => responder.refuse(reason),
            },
            Some(ResponderEvent::Established(established)) => *ending = Some(Ok(established)),
            Some(ResponderEvent::Failed(error)) => *ending = Some(Err(error)),
            None => {}
        }
        // An answer can be an end.
        if responder.has_ended() && ending.is_none() {
            self.answer_responder(responder, ending);
        }
    }

    /// The messages of an undisturbed run.
    fn recording(&self) -> Vec<(From, Vec<u8>)> {
        let mut messages = Vec::new();
        let (ours, theirs) = self.run_tampered(|from, _, message| messages.push((from, message.clone())));
        assert!(ours.is_ok() && theirs.is_ok());
        messages
    }
}

fn refused_by_responder(reason: RefuseReason) -> (Ending, Ending) {
    (Err(HandshakeError::Refused(reason)), Err(HandshakeError::Refusing(reason)))
}

fn refused_by_initiator(reason: RefuseReason) -> (Ending, Ending) {
    (Err(HandshakeError::Refusing(reason)), Err(HandshakeError::Refused(reason)))
}
