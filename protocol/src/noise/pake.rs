//! SPAKE2: both sides get one key if they know one password, and a wrong guess costs an exchange.

use spake2::{Ed25519Group, Identity, Password, Spake2};
use zeroize::Zeroizing;

use super::Party;
use super::random::SeededRandom;
use super::reason::RefuseReason;
use super::secret::StretchedPassword;
use crate::id::GroupId;

/// Our half of the exchange, waiting for the other's.
pub(super) struct Pake(Spake2<Ed25519Group>);

/// The sides differ in the protocol, so that nobody can answer us with our own message.
#[derive(Clone, Copy)]
pub(super) enum Side {
    Initiator,
    Responder,
}

/// What both sides know before the exchange.
pub(super) struct Exchange<'a> {
    pub(super) party: &'a Party,
    pub(super) group: GroupId,
    pub(super) transcript: [u8; 32],
}

impl Pake {
    /// The first step, and the message for the other side.
    pub(super) fn start(
        side: Side,
        password: &StretchedPassword,
        exchange: &Exchange<'_>,
    ) -> (Self, Vec<u8>) {
        let password = Password::new(password.as_bytes());
        let name = |role: &str| Identity::new(&[role.as_bytes(), &exchange.group.0].concat());
        let (initiator, responder) = (name("roundtable 1 initiator"), name("roundtable 1 responder"));
        let random = SeededRandom::new("roundtable 1 pake randomness", exchange.party, &exchange.transcript);
        let (state, message) = match side {
            Side::Initiator => Spake2::start_a_with_rng(&password, &initiator, &responder, random),
            Side::Responder => Spake2::start_b_with_rng(&password, &initiator, &responder, random),
        };
        (Self(state), message)
    }

    /// The key, which equals the other side's only if the passwords do. Nothing here can tell.
    pub(super) fn finish(self, message: &[u8]) -> Result<Zeroizing<Vec<u8>>, RefuseReason> {
        self.0.finish(message).map(Zeroizing::new).map_err(|_| RefuseReason::Malformed)
    }
}
