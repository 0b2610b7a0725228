//! The side that opened the connection.

use std::mem;

use super::channel::{Acquaintance, Channel, FinishedChannel};
use super::introduction::Introduction;
use super::pake::{Exchange, Pake, Side};
use super::reason::{HandshakeError, RefuseReason};
use super::secret::{EpochSecret, Psk, StretchedPassword, member_psk, password_psk, ticket_psk};
use super::wire::{self, Kind, Mode};
use super::{Established, Local, Party, Transcript};
use crate::id::{GroupId, PeerId};
use crate::identity::noise_key;
use crate::invite::{Ticket, TicketId, TicketSecret};
use crate::limits::HANDSHAKE_PAYLOAD_BYTES_MAX;

/// What entitles us to enter.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A ticket.
    Ticket {
        /// The group it is for.
        group: GroupId,
        /// Which ticket.
        ticket: TicketId,
        /// Its secret.
        secret: TicketSecret,
        /// Who has to answer: its issuer, or another member whom it names.
        from: PeerId,
    },
    /// A password; it is asked for once the group is known, which salts it. Whoever has it may answer.
    Password,
    /// Membership.
    Member {
        /// The group we are in.
        group: GroupId,
        /// The epoch we know.
        epoch: u64,
        /// Its secret.
        secret: EpochSecret,
        /// Who has to answer.
        to: PeerId,
    },
}

/// What the initiator tells its caller.
#[derive(Debug)]
pub enum InitiatorEvent {
    /// Answer with [`Initiator::provide_password`].
    NeedPassword {
        /// What to stretch the password for.
        group: GroupId,
    },
    /// We are at the door, and somebody is being asked whether to let us in. Comes again while that lasts.
    Waiting,
    /// The end: connected.
    Established(Established),
    /// The end: not connected.
    Failed(HandshakeError),
}

/// The initiator's state machine.
///
/// After creating it, and after each call, send what [`poll_transmit`](Self::poll_transmit) gives and then
/// act on [`poll_event`](Self::poll_event). After the last event every message is ignored.
pub struct Initiator {
    state: State,
    transmit: Option<Vec<u8>>,
    /// Noise1, sent with Hello.
    early: Option<Vec<u8>>,
    event: Option<InitiatorEvent>,
}

/// What stays the same until we have introduced ourselves and know the other.
struct Start {
    party: Party,
    credential: Credential,
    payload: Vec<u8>,
    transcript: Transcript,
}

enum State {
    AwaitReply { start: Start, early: Option<Early> },
    AwaitPassword { start: Start, version: u8, group: GroupId },
    AwaitPake { start: Start, version: u8, pake: Pake },
    AwaitNoise2 { start: Start, version: u8, channel: Channel },
    AwaitConfirm { version: u8, mode: Mode, introduction: Introduction, channel: FinishedChannel },
    Ended,
}

/// Noise begun before the reply, as if the reply were this one.
struct Early {
    channel: Channel,
    reply: Vec<u8>,
}

/// A state reached, and what is to be sent or told on reaching it.
struct Step {
    state: State,
    transmit: Option<Vec<u8>>,
    event: Option<InitiatorEvent>,
}

impl Credential {
    /// A ticket's, to be answered by its issuer.
    pub fn of_ticket(ticket: &Ticket) -> Self {
        Self::of_ticket_at(ticket, ticket.issuer)
    }

    /// A ticket's, to be answered by this one of those who honour it.
    pub fn of_ticket_at(ticket: &Ticket, from: PeerId) -> Self {
        Self::Ticket { group: ticket.group, ticket: ticket.id, secret: ticket.secret.clone(), from }
    }

    fn mode(&self) -> Mode {
        match *self {
            Self::Ticket { group, ticket, .. } => Mode::Ticket { group, ticket },
            Self::Password => Mode::Password,
            Self::Member { group, epoch, .. } => Mode::Member { group, epoch },
        }
    }
}

impl Initiator {
    /// Begins a handshake. `payload` goes to the responder's application, encrypted, once the responder is
    /// known; at most [`HANDSHAKE_PAYLOAD_BYTES_MAX`] bytes.
    ///
    /// # Panics
    /// If the payload is longer.
    pub fn new(local: &Local<'_>, credential: Credential, payload: &[u8]) -> Self {
        Self::with_party(Party::new(local), credential, payload)
    }

    pub(super) fn with_party(party: Party, credential: Credential, payload: &[u8]) -> Self {
        assert!(payload.len() <= HANDSHAKE_PAYLOAD_BYTES_MAX, "the payload is longer than allowed");
        let hello = wire::hello(party.version_min, party.version_max, &credential.mode());
        let mut transcript = Transcript::new();
        transcript.add(&hello);
        let start = Start { party, credential, payload: payload.to_vec(), transcript };
        let (early, noise1) = start.begin_early().unzip();
        Self { state: State::AwaitReply { start, early }, transmit: Some(hello), early: noise1, event: None }
    }

    /// Takes a message from the responder, without its frame header.
    pub fn handle_message(&mut self, message: &[u8]) {
        if self.has_ended() {
            return;
        }
        let state = mem::replace(&mut self.state, State::Ended);
        if let Some(reason) = wire::refusal(message) {
            self.event = Some(InitiatorEvent::Failed(HandshakeError::Refused(reason)));
            return;
        }
        let is_at_the_door = matches!(state, State::AwaitNoise2 { .. } | State::AwaitConfirm { .. });
        if is_at_the_door && wire::is_wait(message) {
            self.event = Some(InitiatorEvent::Waiting);
            self.state = state;
            return;
        }
        let step = match state {
            State::AwaitReply { start, early } => start.on_reply(message, early),
            // Nothing can come before our own next message.
            State::AwaitPassword { .. } => Err(RefuseReason::Malformed),
            State::AwaitPake { start, version, pake } => start.on_pake(message, version, pake),
            State::AwaitNoise2 { start, version, channel } => start.on_noise2(message, version, channel),
            State::AwaitConfirm { version, mode, introduction, channel } => {
                on_confirm(message, channel).map(|(payload, handshake_hash)| {
                    Step::done(version, mode, Introduction { payload, ..introduction }, handshake_hash)
                })
            }
            State::Ended => return,
        };
        self.apply(step);
    }

    /// Answers [`InitiatorEvent::NeedPassword`]; ignored at any other time.
    pub fn provide_password(&mut self, password: &StretchedPassword) {
        match mem::replace(&mut self.state, State::Ended) {
            State::AwaitPassword { start, version, group } => {
                let step = start.on_password(version, group, password);
                self.apply(Ok(step));
            }
            other => self.state = other,
        }
    }

    /// A message to send.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmit.take().or_else(|| self.early.take())
    }

    /// What the caller has to know or do.
    pub fn poll_event(&mut self) -> Option<InitiatorEvent> {
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
                self.transmit = transmit;
                self.event = event;
            }
            Err(reason) => {
                self.transmit = Some(wire::refuse(reason));
                self.event = Some(InitiatorEvent::Failed(HandshakeError::Refusing(reason)));
            }
        }
    }
}

impl Step {
    fn done(version: u8, mode: Mode, introduction: Introduction, handshake_hash: [u8; 32]) -> Self {
        let Introduction { peer, name, payload } = introduction;
        let established = Established { peer, name, version, handshake_hash, payload, mode };
        Self { state: State::Ended, transmit: None, event: Some(InitiatorEvent::Established(established)) }
    }
}

impl Start {
    /// The group and the key, when no question to anybody decides them.
    fn known_psk(&self) -> Option<(GroupId, Psk)> {
        match &self.credential {
            Credential::Ticket { group, ticket, secret, from: _ } => {
                Some((*group, ticket_psk(secret, *ticket)))
            }
            Credential::Member { group, epoch, secret, to: _ } => {
                Some((*group, member_psk(secret, *group, *epoch)))
            }
            Credential::Password => None,
        }
    }

    /// Who has to answer, if it may not be anybody.
    fn expected(&self) -> Option<PeerId> {
        match self.credential {
            Credential::Ticket { from: peer, .. } | Credential::Member { to: peer, .. } => Some(peer),
            Credential::Password => None,
        }
    }

    /// Foresees the reply, which saves a round trip.
    fn begin_early(&self) -> Option<(Early, Vec<u8>)> {
        let (group, psk) = self.known_psk()?;
        let reply = wire::hello_reply(self.party.version_max, group);
        let mut transcript = self.transcript.clone();
        transcript.add(&reply);
        let (channel, noise1) = self.noise1(self.party.version_max, &psk, &transcript);
        Some((Early { channel, reply }, noise1))
    }

    fn on_reply(mut self, message: &[u8], early: Option<Early>) -> Result<Step, RefuseReason> {
        let (version, group) = wire::read_hello_reply(wire::body(Kind::HelloReply, message)?)?;
        if version < self.party.version_min || version > self.party.version_max {
            return Err(RefuseReason::WrongVersion);
        }
        self.transcript.add(message);
        let Some((ours, psk)) = self.known_psk() else {
            let event = Some(InitiatorEvent::NeedPassword { group });
            let state = State::AwaitPassword { start: self, version, group };
            return Ok(Step { state, transmit: None, event });
        };
        if group != ours {
            return Err(RefuseReason::UnexpectedPeer);
        }
        match early {
            Some(Early { channel, reply }) if reply == message => {
                let state = State::AwaitNoise2 { start: self, version, channel };
                Ok(Step { state, transmit: None, event: None })
            }
            Some(_) | None => Ok(self.begin_noise(version, &psk)),
        }
    }

    fn on_password(mut self, version: u8, group: GroupId, password: &StretchedPassword) -> Step {
        let exchange = Exchange { party: &self.party, group, transcript: self.transcript.hash() };
        let (pake, message) = Pake::start(Side::Initiator, password, &exchange);
        let message = wire::message(Kind::PakeInitiator, &[&message]);
        self.transcript.add(&message);
        let state = State::AwaitPake { start: self, version, pake };
        Step { state, transmit: Some(message), event: None }
    }

    fn on_pake(mut self, message: &[u8], version: u8, pake: Pake) -> Result<Step, RefuseReason> {
        let key = pake.finish(wire::body(Kind::PakeResponder, message)?)?;
        self.transcript.add(message);
        let psk = password_psk(&key, &self.transcript.hash(), &self.party.exporter);
        Ok(self.begin_noise(version, &psk))
    }

    fn begin_noise(self, version: u8, psk: &Psk) -> Step {
        let (channel, noise1) = self.noise1(version, psk, &self.transcript);
        let state = State::AwaitNoise2 { start: self, version, channel };
        Step { state, transmit: Some(noise1), event: None }
    }

    /// Noise begun, and its first message, made for this version.
    fn noise1(&self, version: u8, psk: &Psk, transcript: &Transcript) -> (Channel, Vec<u8>) {
        let channel =
            |acquaintance| Channel::new(Side::Initiator, acquaintance, &self.party, psk, transcript);
        let Some(peer) = self.expected() else {
            let mut channel = channel(Acquaintance::None);
            let noise1 = channel.write(Kind::Noise1, &[version], &[]);
            return (channel, noise1);
        };
        // What is no key has no owner who could answer.
        let mut channel = channel(Acquaintance::Responder(noise_key(&peer).unwrap_or_default()));
        let noise1 = channel.write_introduction(Kind::Noise1, &[version], &self.party, &self.payload);
        (channel, noise1)
    }

    fn on_noise2(self, message: &[u8], version: u8, mut channel: Channel) -> Result<Step, RefuseReason> {
        let payload =
            channel.read(wire::body(Kind::Noise2, message)?).map_err(|_| RefuseReason::Malformed)?;
        let introduction = channel.introduction(&payload, &self.party)?;
        let mode = self.credential.mode();
        if let Some(expected) = self.expected() {
            if introduction.peer != expected {
                return Err(RefuseReason::UnexpectedPeer);
            }
            return Ok(Step::done(version, mode, introduction, channel.handshake_hash()));
        }
        let transmit = Some(channel.write_introduction(Kind::Noise3, &[], &self.party, &self.payload));
        let state = State::AwaitConfirm { version, mode, introduction, channel: channel.finish() };
        Ok(Step { state, transmit, event: None })
    }
}

fn on_confirm(message: &[u8], channel: FinishedChannel) -> Result<(Vec<u8>, [u8; 32]), RefuseReason> {
    let handshake_hash = channel.handshake_hash;
    let payload = channel.read_confirm(wire::body(Kind::Confirm, message)?)?;
    Ok((payload, handshake_hash))
}
