//! The side that was connected to. It decides who enters, and asks its caller twice: for the secret
//! when the initiator has said what it claims to hold, and for admission when it is known who it is.

use std::collections::VecDeque;
use std::mem;

use super::channel::{Acquaintance, Channel, FinishedChannel};
use super::introduction::Introduction;
use super::pake::{Exchange, Pake, Side};
use super::reason::{HandshakeError, RefuseReason};
use super::secret::{Psk, Secret, StretchedPassword, member_psk, password_psk, ticket_psk};
use super::wire::{self, Kind, Mode};
use super::{Established, Local, Party, Transcript};
use crate::id::{GroupId, PeerId};
use crate::limits::HANDSHAKE_PAYLOAD_BYTES_MAX;
use crate::name::DisplayName;

/// Who asks to enter: the identity is proven, and so is the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newcomer {
    /// Who it is.
    pub peer: PeerId,
    /// What they call themselves, made safe to show.
    pub name: DisplayName,
    /// With what they were authenticated.
    pub mode: Mode,
    /// What their application sent along.
    pub payload: Vec<u8>,
}

/// What the responder tells its caller.
#[derive(Debug)]
pub enum ResponderEvent {
    /// Answer with [`Responder::provide`] or [`Responder::refuse`]. The mode's group is ours.
    NeedSecret(Mode),
    /// Answer with [`Responder::admit`] or [`Responder::refuse`]. Here a ticket's use is spent.
    NeedAdmission(Newcomer),
    /// The end: connected, as soon as the waiting message is sent.
    Established(Established),
    /// The end: not connected.
    Failed(HandshakeError),
}

/// The responder's state machine.
///
/// After each call, send what [`poll_transmit`](Self::poll_transmit) gives and then act on
/// [`poll_event`](Self::poll_event). After the last event every message is ignored.
pub struct Responder {
    state: State,
    transmit: VecDeque<Vec<u8>>,
    event: Option<ResponderEvent>,
}

/// What stays the same until the initiator has introduced itself.
struct Start {
    party: Party,
    group: GroupId,
    transcript: Transcript,
}

/// What Hello settled.
#[derive(Clone, Copy)]
struct Greeting {
    version: u8,
    mode: Mode,
    /// For which a Noise1 may come first, as the initiator foresaw another reply: the highest that it offered.
    foreseen: Option<u8>,
}

enum State {
    AwaitHello(Start),
    AwaitSecret { start: Start, greeting: Greeting },
    AwaitPake { start: Start, greeting: Greeting, password: StretchedPassword },
    AwaitNoise1 { start: Start, greeting: Greeting, psk: Psk },
    AwaitNoise3 { start: Start, greeting: Greeting, channel: Channel },
    AwaitAdmission { greeting: Greeting, introduction: Introduction, answer: Answer },
    Ended,
}

/// How a newcomer is told that it may enter.
enum Answer {
    /// With our introduction, in Noise2.
    Introduction { party: Party, channel: Channel },
    /// It has that already: with Confirm.
    Confirm(FinishedChannel),
}

/// A state reached, and what is to be sent or told on reaching it.
struct Step {
    state: State,
    transmit: Option<Vec<u8>>,
    event: Option<ResponderEvent>,
}

impl Responder {
    /// Waits for a Hello to the group that is here.
    pub fn new(local: &Local<'_>, group: GroupId) -> Self {
        Self::with_party(Party::new(local), group)
    }

    pub(super) fn with_party(party: Party, group: GroupId) -> Self {
        let start = Start { party, group, transcript: Transcript::new() };
        Self { state: State::AwaitHello(start), transmit: VecDeque::new(), event: None }
    }

    /// Takes a message from the initiator, without its frame header.
    pub fn handle_message(&mut self, message: &[u8]) {
        if self.has_ended() {
            return;
        }
        let state = mem::replace(&mut self.state, State::Ended);
        if let Some(reason) = wire::refusal(message) {
            self.event = Some(ResponderEvent::Failed(HandshakeError::Refused(reason)));
            return;
        }
        let step = match state {
            State::AwaitHello(start) => start.on_hello(message),
            State::AwaitPake { start, greeting, password } => start.on_pake(message, greeting, &password),
            State::AwaitNoise1 { start, greeting, psk } => start.on_noise1(message, greeting, psk),
            State::AwaitNoise3 { start, greeting, channel } => start.on_noise3(message, greeting, channel),
            // It is our caller's turn, who does not read on before it has answered.
            State::AwaitSecret { .. } | State::AwaitAdmission { .. } => Err(RefuseReason::Malformed),
            State::Ended => return,
        };
        self.apply(step);
    }

    /// Answers [`ResponderEvent::NeedSecret`]; ignored at any other time. A secret of another kind than
    /// the mode's counts as none.
    pub fn provide(&mut self, secret: Secret) {
        match mem::replace(&mut self.state, State::Ended) {
            State::AwaitSecret { start, greeting } => {
                let step = start.on_secret(greeting, secret);
                self.apply(step);
            }
            other => self.state = other,
        }
    }

    /// Answers [`ResponderEvent::NeedAdmission`]; ignored at any other time. `payload` goes to the
    /// newcomer's application, encrypted; at most [`HANDSHAKE_PAYLOAD_BYTES_MAX`] bytes.
    ///
    /// # Panics
    /// If the payload is longer.
    pub fn admit(&mut self, payload: &[u8]) {
        assert!(payload.len() <= HANDSHAKE_PAYLOAD_BYTES_MAX, "the payload is longer than allowed");
        match mem::replace(&mut self.state, State::Ended) {
            State::AwaitAdmission { greeting, introduction, answer } => {
                let Introduction { peer, name, payload: theirs } = introduction;
                let Greeting { version, mode, foreseen: _ } = greeting;
                let (message, handshake_hash) = answer.write(payload);
                self.transmit.push_back(message);
                self.event = Some(ResponderEvent::Established(Established {
                    peer,
                    name,
                    version,
                    handshake_hash,
                    payload: theirs,
                    mode,
                }));
            }
            other => self.state = other,
        }
    }

    /// Tells an initiator that waits for its admission to go on waiting; ignored at any other time.
    pub fn wait(&mut self) {
        if let State::AwaitAdmission { .. } = self.state {
            self.transmit.push_back(wire::message(Kind::Wait, &[]));
        }
    }

    /// Ends the handshake for a reason that the initiator is told; ignored when it has ended.
    pub fn refuse(&mut self, reason: RefuseReason) {
        if !self.has_ended() {
            self.state = State::Ended;
            self.apply(Err(reason));
        }
    }

    /// A message to send.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmit.pop_front()
    }

    /// What the caller has to know or do.
    pub fn poll_event(&mut self) -> Option<ResponderEvent> {
        self.event.take()
    }

    /// Whether the last event has been given.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    fn apply(&mut self, step: Result<Step, RefuseReason>) {
        match step {
            Ok(Step { state, transmit, event }) => {
                self.state = state;
                self.transmit.extend(transmit);
                self.event = event;
            }
            Err(reason) => {
                self.transmit.push_back(wire::refuse(reason));
                self.event = Some(ResponderEvent::Failed(HandshakeError::Refusing(reason)));
            }
        }
    }
}

impl Answer {
    /// The message, and the hash of the handshake.
    fn write(self, payload: &[u8]) -> (Vec<u8>, [u8; 32]) {
        match self {
            Self::Introduction { party, mut channel } => {
                let message = channel.write_introduction(Kind::Noise2, &[], &party, payload);
                (message, channel.handshake_hash())
            }
            Self::Confirm(channel) => {
                let handshake_hash = channel.handshake_hash;
                (channel.write_confirm(payload), handshake_hash)
            }
        }
    }
}

impl Start {
    fn on_hello(mut self, message: &[u8]) -> Result<Step, RefuseReason> {
        let versions = (self.party.version_min, self.party.version_max);
        let (version, highest, mode) = wire::read_hello(wire::body(Kind::Hello, message)?, versions)?;
        match mode {
            Mode::Ticket { group, .. } if group != self.group => return Err(RefuseReason::UnknownTicket),
            Mode::Member { group, .. } if group != self.group => return Err(RefuseReason::NotAMember),
            Mode::Ticket { .. } | Mode::Member { .. } | Mode::Password => {}
        }
        self.transcript.add(message);
        let foreseen = (mode != Mode::Password && highest != version).then_some(highest);
        let state = State::AwaitSecret { start: self, greeting: Greeting { version, mode, foreseen } };
        Ok(Step { state, transmit: None, event: Some(ResponderEvent::NeedSecret(mode)) })
    }

    fn on_secret(mut self, greeting: Greeting, secret: Secret) -> Result<Step, RefuseReason> {
        let reply = wire::hello_reply(greeting.version, self.group);
        self.transcript.add(&reply);
        let psk = match (greeting.mode, &secret) {
            (Mode::Ticket { ticket, .. }, Secret::Ticket(secret)) => ticket_psk(secret, ticket),
            (Mode::Member { group, epoch }, Secret::Member(secret)) => member_psk(secret, group, epoch),
            (Mode::Password, Secret::Password(password)) => {
                let state = State::AwaitPake { start: self, greeting, password: password.clone() };
                return Ok(Step { state, transmit: Some(reply), event: None });
            }
            (Mode::Ticket { .. }, Secret::Member(_) | Secret::Password(_))
            | (Mode::Member { .. }, Secret::Ticket(_) | Secret::Password(_))
            | (Mode::Password, Secret::Ticket(_) | Secret::Member(_)) => {
                return Err(RefuseReason::WrongSecret);
            }
        };
        let state = State::AwaitNoise1 { start: self, greeting, psk };
        Ok(Step { state, transmit: Some(reply), event: None })
    }

    fn on_pake(
        mut self,
        message: &[u8],
        greeting: Greeting,
        password: &StretchedPassword,
    ) -> Result<Step, RefuseReason> {
        let theirs = wire::body(Kind::PakeInitiator, message)?;
        self.transcript.add(message);
        let exchange = Exchange { party: &self.party, group: self.group, transcript: self.transcript.hash() };
        let (pake, ours) = Pake::start(Side::Responder, password, &exchange);
        let key = pake.finish(theirs)?;
        let reply = wire::message(Kind::PakeResponder, &[&ours]);
        self.transcript.add(&reply);
        let psk = password_psk(&key, &self.transcript.hash(), &self.party.exporter);
        let state = State::AwaitNoise1 { start: self, greeting, psk };
        Ok(Step { state, transmit: Some(reply), event: None })
    }

    fn on_noise1(self, message: &[u8], mut greeting: Greeting, psk: Psk) -> Result<Step, RefuseReason> {
        let (&version, body) =
            wire::body(Kind::Noise1, message)?.split_first().ok_or(RefuseReason::Malformed)?;
        if version != greeting.version {
            // Sent before our reply was known. Another one follows.
            let foreseen = greeting.foreseen.take();
            let state = State::AwaitNoise1 { start: self, greeting, psk };
            let step = Step { state, transmit: None, event: None };
            return foreseen
                .filter(|foreseen| *foreseen == version)
                .map(|_| step)
                .ok_or(RefuseReason::Malformed);
        }
        let acquaintance = match greeting.mode {
            Mode::Password => Acquaintance::None,
            Mode::Ticket { .. } | Mode::Member { .. } => Acquaintance::Ourselves,
        };
        let mut channel = Channel::new(Side::Responder, acquaintance, &self.party, &psk, &self.transcript);
        let payload = channel.read(body).map_err(|_| RefuseReason::WrongSecret)?;
        if let Acquaintance::None = acquaintance {
            let transmit = Some(channel.write_introduction(Kind::Noise2, &[], &self.party, &[]));
            return Ok(Step {
                state: State::AwaitNoise3 { start: self, greeting, channel },
                transmit,
                event: None,
            });
        }
        let introduction = channel.introduction(&payload, &self.party)?;
        Ok(greeting.ask(introduction, Answer::Introduction { party: self.party, channel }))
    }

    fn on_noise3(
        self,
        message: &[u8],
        greeting: Greeting,
        mut channel: Channel,
    ) -> Result<Step, RefuseReason> {
        let payload =
            channel.read(wire::body(Kind::Noise3, message)?).map_err(|_| RefuseReason::Malformed)?;
        let introduction = channel.introduction(&payload, &self.party)?;
        Ok(greeting.ask(introduction, Answer::Confirm(channel.finish())))
    }
}

impl Greeting {
    /// Whether this newcomer may enter.
    fn ask(self, introduction: Introduction, answer: Answer) -> Step {
        let newcomer = Newcomer {
            peer: introduction.peer,
            name: introduction.name.clone(),
            mode: self.mode,
            payload: introduction.payload.clone(),
        };
        let state = State::AwaitAdmission { greeting: self, introduction, answer };
        Step { state, transmit: None, event: Some(ResponderEvent::NeedAdmission(newcomer)) }
    }
}
