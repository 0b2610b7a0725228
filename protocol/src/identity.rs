//! Who we are: one 32-byte seed, from which every key of a member is derived.
//!
//! - The Ed25519 signing key is the seed itself (RFC 8032, 5.1.5). Its public key is the [`PeerId`].
//! - The X25519 key that Noise uses is the same key in its Montgomery form ([`noise_key`]), so that whoever
//!   knows a peer id can greet its owner in one message. One key for both uses is safe: Thormarker, *On using
//!   the same key pair for Ed25519 and an X25519 based KEM*, Cryptology ePrint 2021/509.
//!
//! Every signature is made over `context ‖ 0x00 ‖ message`, so that one made for one purpose is worthless
//! for another. Contexts are literals without a zero byte.
//!
//! Left out: where the seed is stored and who else is known; that is the application's.

use std::fmt;

use crate::entropy::Entropy;
use crate::id::PeerId;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use ed25519_zebra::{VerificationKeyBytes, batch};
use rand_core::{CryptoRng, RngCore};
use std::collections::BTreeSet;
use zeroize::Zeroizing;

const BATCH_DERIVATION: &str = "roundtable 1 weights of signatures";

/// A member's secret keys. Erased from memory when dropped, and never printed.
pub struct Identity {
    signing: SigningKey,
    noise: Zeroizing<[u8; 32]>,
}

/// A signature was not made by the named peer, over this message, in this context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature is not the named member's")]
pub struct BadSignature;

/// A peer id that is no public key, or one of small order, whose private key everybody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the peer id is not a usable public key")]
pub struct BadKey;

impl Identity {
    /// The identity that a seed stands for; the seed must come from the system's random source.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let signing = SigningKey::from_bytes(seed);
        let noise = Zeroizing::new(signing.to_scalar_bytes());
        Self { signing, noise }
    }

    /// The public name of this identity.
    pub fn peer_id(&self) -> PeerId {
        PeerId(self.signing.verifying_key().to_bytes())
    }

    /// Signs `message` for one purpose only, the one `context` names.
    pub fn sign(&self, context: &'static str, message: &[u8]) -> [u8; 64] {
        self.signing.sign(&in_context(context, message)).to_bytes()
    }

    pub(crate) fn noise_private_key(&self) -> &Zeroizing<[u8; 32]> {
        &self.noise
    }
}

/// What somebody is said to have signed.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// Who.
    pub by: PeerId,
    /// What, without the context.
    pub message: &'a [u8],
    /// As [`Identity::sign`] made it.
    pub signature: [u8; 64],
}

/// Checks signatures made by [`Identity::sign`], all in one context, together: a thousand take about a fifth of the
/// time of a thousand single ones.
///
/// By the rules of ZIP 215, under which a signature is valid alone if and only if it is valid among others: all replicas
/// have to come to the same verdict, however they got it. Keys of small order fail, whose signatures fit any message.
pub fn verify(context: &'static str, signed: &[Signed<'_>]) -> Result<(), BadSignature> {
    let (mut batch, mut seed) = (batch::Verifier::new(), blake3::Hasher::new_derive_key(BATCH_DERIVATION));
    let authors: BTreeSet<PeerId> = signed.iter().map(|signed| signed.by).collect();
    if authors.iter().any(|author| noise_key(author).is_err()) {
        return Err(BadSignature);
    }
    for Signed { by, message, signature } in signed {
        let message = in_context(context, message);
        batch.queue((VerificationKeyBytes::from(by.0), Signature::from_bytes(signature), &message));
        seed.update(&by.0).update(blake3::hash(&message).as_bytes()).update(signature);
    }
    // The numbers that weigh the signatures follow from all of them: nobody can choose any so that the errors cancel.
    batch.verify(Weights(Entropy::new(seed.finalize().into()))).map_err(|_| BadSignature)
}

/// [`Entropy`], as the verifier wants it.
struct Weights(Entropy);

impl RngCore for Weights {
    fn next_u32(&mut self) -> u32 {
        self.0.u64() as u32
    }

    fn next_u64(&mut self) -> u64 {
        self.0.u64()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.0.fill(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.0.fill(bytes);
        Ok(())
    }
}

impl CryptoRng for Weights {}

/// The X25519 public key (RFC 7748) of a member: its Ed25519 key as a point of the Montgomery curve.
///
/// Two peer ids share each key, a point and its opposite. The owner of one owns the other.
pub fn noise_key(peer: &PeerId) -> Result<[u8; 32], BadKey> {
    let key = VerifyingKey::from_bytes(&peer.0).map_err(|_| BadKey)?;
    if key.is_weak() {
        return Err(BadKey);
    }
    Ok(key.to_montgomery().to_bytes())
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.peer_id().short())
    }
}

fn in_context(context: &'static str, message: &[u8]) -> Vec<u8> {
    debug_assert!(!context.as_bytes().contains(&0), "a zero byte ends the context");
    [context.as_bytes(), &[0], message].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use curve25519_dalek::montgomery::MontgomeryPoint;

    fn alice() -> Identity {
        Identity::from_seed(&[1; 32])
    }

    #[test]
    fn the_same_seed_is_the_same_member_and_another_seed_another() {
        assert_eq!(alice().peer_id(), alice().peer_id());
        assert_ne!(alice().peer_id(), Identity::from_seed(&[2; 32]).peer_id());
    }

    #[test]
    fn the_noise_key_in_the_peer_id_is_the_private_one_s() {
        let public = MontgomeryPoint::mul_base_clamped(**alice().noise_private_key()).to_bytes();
        assert_eq!(noise_key(&alice().peer_id()), Ok(public));
    }

    #[test]
    fn a_peer_id_that_anybody_could_own_is_none() {
        let mut order_one = [0; 32];
        order_one[0] = 1;
        // y = 2 is on no point of the curve.
        let mut no_point = [0; 32];
        no_point[0] = 2;
        let order_four = [0; 32];
        for peer in [order_one, no_point, order_four] {
            assert_eq!(noise_key(&PeerId(peer)), Err(BadKey));
        }
    }

    #[test]
    fn a_signature_is_worthless_in_another_context() {
        let signature = alice().sign("one", b"message");
        let peer = alice().peer_id();
        let said = |message| Signed { by: peer, message, signature };
        assert_eq!(verify("one", &[said(b"message")]), Ok(()));
        assert_eq!(verify("two", &[said(b"message")]), Err(BadSignature));
        assert_eq!(verify("one", &[said(b"massage")]), Err(BadSignature));
    }

    #[test]
    fn one_forgery_among_many_is_noticed() {
        let people: Vec<Identity> = (0..4).map(|n| Identity::from_seed(&[n; 32])).collect();
        let messages: Vec<[u8; 4]> = (0u32..40).map(u32::to_le_bytes).collect();
        let mut all: Vec<Signed<'_>> = messages
            .iter()
            .zip(people.iter().cycle())
            .map(|(message, person)| Signed {
                by: person.peer_id(),
                message,
                signature: person.sign("one", message),
            })
            .collect();
        assert_eq!(verify("one", &all), Ok(()));
        // Another's, a message moved, and each a little wrong so that the sums stay.
        let wrong: [fn(&mut [Signed<'_>]); 3] = [
            |all| all[7].by = all[8].by,
            |all| all[7].message = all[11].message,
            |all| {
                all[7].signature[32] = all[7].signature[32].wrapping_add(1);
                all[11].signature[32] = all[11].signature[32].wrapping_sub(1);
            },
        ];
        for spoil in wrong {
            let before = all.clone();
            spoil(&mut all);
            assert_eq!(verify("one", &all), Err(BadSignature));
            all = before;
        }
    }

    #[test]
    fn a_key_of_small_order_signs_nothing() {
        // The point of order one with the signature R = identity, s = 0 satisfies the lax equation.
        let mut identity_point = [0; 32];
        identity_point[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        let signed = Signed { by: PeerId(identity_point), message: b"anything", signature };
        assert_eq!(verify("one", &[signed]), Err(BadSignature));
    }

    #[test]
    fn the_secret_keys_are_not_printed() {
        assert_eq!(format!("{:?}", alice()), format!("Identity({})", alice().peer_id().short()));
    }
}
