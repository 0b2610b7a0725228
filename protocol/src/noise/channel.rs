//! Noise itself: snow, set up our way, with messages as vectors.

use snow::{Builder, HandshakeState, TransportState};
use zeroize::Zeroizing;

use super::introduction::{self, Introduction};
use super::pake::Side;
use super::random::{SeededRandom, SeededResolver};
use super::reason::RefuseReason;
use super::secret::Psk;
use super::wire::{self, Kind};
use super::{Party, Transcript};
use crate::limits::{HANDSHAKE_MESSAGE_BYTES_MAX, HANDSHAKE_PAYLOAD_BYTES_MAX};

/// The initiator knows who answers: one round trip.
const NAMED: &str = "Noise_IKpsk0_25519_ChaChaPoly_BLAKE2s";
/// Nobody knows anybody: one and a half.
const UNNAMED: &str = "Noise_XXpsk0_25519_ChaChaPoly_BLAKE2s";
const PROLOGUE: &[u8] = b"roundtable 1 noise, initiator is the quic client\0";

/// A Noise handshake on its way.
pub(super) struct Channel(Box<HandshakeState>);

/// What each side knows of the other beforehand.
#[derive(Clone, Copy)]
pub(super) enum Acquaintance {
    /// Nobody knows anybody.
    None,
    /// The initiator knows this key of the responder's.
    Responder([u8; 32]),
    /// We are the responder whom the initiator knows.
    Ourselves,
}

/// A Noise handshake after its third message: good for Confirm, in one direction.
pub(super) struct FinishedChannel {
    transport: Box<TransportState>,
    pub(super) handshake_hash: [u8; 32],
}

impl Channel {
    pub(super) fn new(
        side: Side,
        acquaintance: Acquaintance,
        party: &Party,
        psk: &Psk,
        transcript: &Transcript,
    ) -> Self {
        let transcript = transcript.hash();
        let random = SeededRandom::new("roundtable 1 noise randomness", party, &transcript);
        let prologue = Zeroizing::new([PROLOGUE, &transcript, &*party.exporter].concat());
        let pattern = match acquaintance {
            Acquaintance::None => UNNAMED,
            Acquaintance::Responder(_) | Acquaintance::Ourselves => NAMED,
        };
        let builder = Builder::with_resolver(
            pattern.parse().expect("the pattern is one that snow knows"),
            Box::new(SeededResolver::new(random)),
        );
        let state = builder
            .local_private_key(&*party.noise_key)
            .and_then(|builder| builder.psk(0, psk))
            .and_then(|builder| builder.prologue(&prologue))
            .and_then(|builder| match &acquaintance {
                Acquaintance::Responder(key) => builder.remote_public_key(key),
                Acquaintance::None | Acquaintance::Ourselves => Ok(builder),
            })
            .and_then(|builder| match side {
                Side::Initiator => builder.build_initiator(),
                Side::Responder => builder.build_responder(),
            })
            .expect("every part the pattern asks for is given, once");
        Self(Box::new(state))
    }

    /// The next message with our introduction, after `head`.
    pub(super) fn write_introduction(
        &mut self,
        kind: Kind,
        head: &[u8],
        party: &Party,
        payload: &[u8],
    ) -> Vec<u8> {
        self.write(kind, head, &introduction::encode(party.peer, &party.name, payload))
    }

    /// The next message; `head` goes before it in the clear.
    pub(super) fn write(&mut self, kind: Kind, head: &[u8], payload: &[u8]) -> Vec<u8> {
        let mut buffer = [0; HANDSHAKE_MESSAGE_BYTES_MAX - 1];
        let len = self
            .0
            .write_message(payload, &mut buffer)
            .expect("it is our turn, and the limits keep our messages short");
        wire::message(kind, &[head, &buffer[..len]])
    }

    /// Checks a message's authenticity and gives its payload.
    pub(super) fn read(&mut self, body: &[u8]) -> Result<Vec<u8>, snow::Error> {
        let mut plaintext = vec![0; HANDSHAKE_MESSAGE_BYTES_MAX];
        let len = self.0.read_message(body, &mut plaintext)?;
        plaintext.truncate(len);
        Ok(plaintext)
    }

    /// What the other side, whose key has come by now, introduced itself with.
    pub(super) fn introduction(&self, payload: &[u8], party: &Party) -> Result<Introduction, RefuseReason> {
        let noise_key = self.0.get_remote_static().ok_or(RefuseReason::Malformed)?;
        introduction::decode(payload, noise_key, party.peer)
    }

    /// Of all messages so far.
    pub(super) fn handshake_hash(&self) -> [u8; 32] {
        self.0.get_handshake_hash().try_into().expect("BLAKE2s hashes have 32 bytes")
    }

    /// After the third message.
    pub(super) fn finish(self) -> FinishedChannel {
        let handshake_hash = self.handshake_hash();
        let transport = self.0.into_transport_mode().expect("three messages have passed");
        FinishedChannel { transport: Box::new(transport), handshake_hash }
    }
}

impl FinishedChannel {
    pub(super) fn write_confirm(mut self, payload: &[u8]) -> Vec<u8> {
        let mut buffer = [0; HANDSHAKE_MESSAGE_BYTES_MAX - 1];
        let len =
            self.transport.write_message(payload, &mut buffer).expect("the first message, within the limits");
        wire::message(Kind::Confirm, &[&buffer[..len]])
    }

    pub(super) fn read_confirm(mut self, body: &[u8]) -> Result<Vec<u8>, RefuseReason> {
        let mut plaintext = [0; HANDSHAKE_MESSAGE_BYTES_MAX];
        let len = self.transport.read_message(body, &mut plaintext).map_err(|_| RefuseReason::Malformed)?;
        if len > HANDSHAKE_PAYLOAD_BYTES_MAX {
            return Err(RefuseReason::Malformed);
        }
        Ok(plaintext[..len].to_vec())
    }
}
