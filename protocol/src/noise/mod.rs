//! The handshake over a connection's first QUIC stream: who is there, and do they hold the secret?
//!
//! TLS hides what follows and names nobody. This handshake, run inside it, ends on both sides with the
//! same knowledge: the other's [`PeerId`], that both hold the same secret, and that
//! nobody sits between. It is two state machines without I/O, [`Initiator`] and [`Responder`]. The
//! initiator is always the QUIC client, and opens the stream.
//!
//! # Messages
//! On the stream each message is preceded by its length, two bytes big endian, from 1 to
//! [`HANDSHAKE_MESSAGE_BYTES_MAX`]. The first byte is the kind. Numbers are big endian.
//!
//! | kind | name | from | body |
//! |---|---|---|---|
//! | `01` | Hello | I | lowest version 1 ‖ highest version 1 ‖ mode |
//! | `02` | HelloReply | R | chosen version 1 ‖ group id 16 |
//! | `03` | PakeInitiator | I | SPAKE2 message of side A, 33 (password mode only) |
//! | `04` | PakeResponder | R | SPAKE2 message of side B, 33 (password mode only) |
//! | `05` | Noise1 | I | version it is made for 1 ‖ Noise message 1, introduction (empty in password mode) |
//! | `06` | Noise2 | R | Noise message 2, introduction |
//! | `07` | Noise3 | I | Noise message 3, introduction (password mode only) |
//! | `08` | Confirm | R | Noise transport message, the application's payload (password mode only) |
//! | `09` | Wait | R | nothing: somebody is being asked whether to let the initiator in; may come again and again |
//! | `7f` | Refuse | both | [`RefuseReason`] code 1; ends the handshake at any point |
//!
//! The mode is `00` ‖ group id 16 ‖ ticket id 8 (ticket), `01` (password), or `02` ‖ group id 16 ‖ epoch 8
//! (member). Bytes after the known ones in Hello, HelloReply and Refuse are ignored and belong to later
//! versions; those of the first two still enter the transcript. The responder chooses the highest common
//! version; if there is none it refuses before reading the mode.
//!
//! With a ticket or as a member the initiator foresees the reply: its own highest version, and the group. So Noise1 goes
//! with Hello. A responder that chose a lower version passes over that Noise1, and the
//! initiator sends another one, for the transcript as it is. It also knows whom it greets, and says
//! who it is in its first message: one round trip after TLS both may speak. Noise2 is sent at admission.
//!
//! An *introduction* is a CBOR map: 0 = peer id (32 bytes), 1 =
//! display name (text), 2 = the application's payload (bytes; may be absent). Unknown keys are
//! skipped. The peer id has to be of the X25519 key with which Noise went ([`noise_key`](crate::identity::noise_key)).
//!
//! # Keys
//! The *transcript* is `BLAKE3.derive_key("roundtable 1 handshake transcript", ..)` over Hello, HelloReply and
//! the two SPAKE2 messages if there are any, each preceded by its two-byte length. The *exporter* is 32 bytes of TLS
//! keying material (RFC 8446, 7.5) under [`EXPORTER_LABEL`] with an empty context. With
//! `KDF(context, x) = BLAKE3.derive_key("roundtable 1 " + context, x)`, the Noise PSK is
//!
//! - ticket: `KDF("ticket psk", ticket id ‖ ticket secret)`
//! - member: `KDF("member psk", group id ‖ epoch ‖ epoch secret)`
//! - password: `KDF("password psk", SPAKE2 key ‖ transcript ‖ exporter)`. The SPAKE2 password is
//!   Argon2id v1.3 (64 MiB, 3 passes, 1 lane, 32 bytes) of the password, salted with the first 16 bytes of
//!   `KDF("password salt", group id)`; the group is Ed25519, and the sides' identities are
//!   `roundtable 1 initiator` and `roundtable 1 responder`, each followed by the group id.
//!
//! Noise is `Noise_IKpsk0_25519_ChaChaPoly_BLAKE2s` (password mode: `Noise_XXpsk0_25519_ChaChaPoly_BLAKE2s`)
//! with the prologue `"roundtable 1 noise, initiator is the quic client" ‖ 00 ‖ transcript ‖ exporter`.
//!
//! # Why it holds
//! - *Somebody in the middle* who ends TLS on both sides has two exporters, hence two prologues: Noise1 does
//!   not decrypt. Relaying the SPAKE2 messages does not help, the key is bound to the exporter as well.
//! - *A downgrade* (another version, mode or group in the clear part) changes the transcript, so the prologue.
//! - *A replay* meets a fresh exporter, to which the responder's own random numbers in TLS contribute.
//! - *A wrong secret* shows at Noise1, the first thing that depends on it. The initiator proves its secret
//!   first, so someone probing a responder learns one bit for one counted attempt.
//! - *The responder has the last word*, Noise2 or Confirm, because an initiator's own last message proves nothing
//!   to it about the responder's verdict. Only then is the initiator done, and it can be told "refused" until
//!   then. The responder is done when it has sent it: should that be lost, its connection closes without a word
//!   spoken on it.
//! - *A member's stolen key* lets the thief pose as that member. In IK it lets a thief who holds the group's secret
//!   as well pose to that member as anybody, until Noise2, which it cannot read as them, is answered: nothing that
//!   a thief could not have by entering as the member, for a round trip less in every joining.
//! - *A recording gives nothing to test offline.* Under TLS there is only ciphertext with forgotten keys. Even
//!   for whoever ended TLS: ticket and epoch secrets have at least 128 random bits, and a password enters
//!   only the SPAKE2 messages, each of which is uniformly distributed whatever the password; a guess can
//!   be checked only by taking part, once per try. A party that takes part with a wrong guess gets
//!   one Noise1 or one refusal, which say "no" to that guess and nothing about the others.
//! - *Who holds a leaked ticket* cannot pose as its issuer: without the issuer's key Noise1 does not decrypt.
//!
//! # Left out
//! Deadlines, counting attempts, and the ticket's validity and uses are the caller's, who answers
//! [`ResponderEvent::NeedSecret`] and [`ResponderEvent::NeedAdmission`]. Two things to mind there:
//! - An attempt at a password is to be counted when the secret is asked for, and given back at admission.
//!   Counted at the failure, a thousand handshakes begun side by side would get a thousand guesses.
//! - A ticket's use is spent at admission, which the caller decides on its one thread, so that a
//!   single-use ticket admits one. It should be spent in the peer's name: one whose Confirm was lost comes again.
//!
//! snow and spake2 do not erase their keys; ours are erased. After the handshake Noise's keys are dropped: the QUIC connection, to which
//! the exporter tied it, carries on.

mod channel;
mod frame;
mod initiator;
mod introduction;
mod pake;
mod random;
mod reason;
mod responder;
mod secret;
mod wire;

pub use frame::{FRAME_HEADER_BYTES, FrameError, encode_frame, frame_bytes};
pub use initiator::{Credential, Initiator, InitiatorEvent};
pub use reason::{HandshakeError, RefuseReason};
pub use responder::{Newcomer, Responder, ResponderEvent};
pub use secret::{EpochSecret, Secret, StretchedPassword, stretch_password};
pub use wire::Mode;

use zeroize::Zeroizing;

use crate::id::PeerId;
use crate::identity::Identity;
#[cfg(doc)]
use crate::limits::HANDSHAKE_MESSAGE_BYTES_MAX;
use crate::name::DisplayName;

/// The newest version of the handshake and of what follows it.
pub const PROTOCOL_VERSION: u8 = 1;

/// The label under which both sides export 32 bytes from TLS.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-roundtable-1-noise";

/// Our side of one handshake.
#[derive(Clone, Copy)]
pub struct Local<'a> {
    /// Who we are.
    pub identity: &'a Identity,
    /// What we call ourselves.
    pub name: &'a str,
    /// TLS keying material of this very connection, see [`EXPORTER_LABEL`].
    pub exporter: [u8; 32],
    /// From the system's random source, fresh for *every* handshake: all ephemeral keys come from it.
    pub seed: [u8; 32],
}

/// What both sides know in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Established {
    /// Who the other is, proven.
    pub peer: PeerId,
    /// What they call themselves, made safe to show. Not proven, not unique.
    pub name: DisplayName,
    /// The version both speak.
    pub version: u8,
    /// Equal on both sides and different for every handshake; for short authentication strings.
    pub handshake_hash: [u8; 32],
    /// What the other's application sent along.
    pub payload: Vec<u8>,
    /// How the handshake was authenticated.
    pub mode: Mode,
}

/// [`Local`], as a state machine keeps it.
struct Party {
    noise_key: Zeroizing<[u8; 32]>,
    peer: PeerId,
    name: DisplayName,
    exporter: Zeroizing<[u8; 32]>,
    seed: Zeroizing<[u8; 32]>,
    version_min: u8,
    version_max: u8,
}

impl Party {
    fn new(local: &Local<'_>) -> Self {
        Self {
            noise_key: local.identity.noise_private_key().clone(),
            peer: local.identity.peer_id(),
            name: DisplayName::new(local.name),
            exporter: Zeroizing::new(local.exporter),
            seed: Zeroizing::new(local.seed),
            version_min: PROTOCOL_VERSION,
            version_max: PROTOCOL_VERSION,
        }
    }
}

/// The clear part of the handshake, as both sides saw it.
#[derive(Clone)]
struct Transcript(blake3::Hasher);

impl Transcript {
    fn new() -> Self {
        Self(blake3::Hasher::new_derive_key("roundtable 1 handshake transcript"))
    }

    fn add(&mut self, message: &[u8]) {
        self.0.update(&(message.len() as u16).to_be_bytes()).update(message);
    }

    fn hash(&self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

#[cfg(test)]
mod tests;
