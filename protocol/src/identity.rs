//! Who we are: one 32-byte seed, from which every key of a member is derived.
//!
//! - The Ed25519 signing key is the seed itself (RFC 8032, 5.1.5). Its public key is the [`PeerId`].
//! - The X25519 key that Noise uses is `BLAKE3.derive_key("roundtable 1 x25519 static key", seed)`. It is
//!   a key of its own because signing and key agreement with one scalar have no joint security proof.
//!
//! What ties the two together is a [`SignedNoiseKey`]. It is long-lived and bound to no session: that its
//! sender holds the X25519 key *now* is what the Noise handshake proves.
//!
//! Every signature is made over `context ‖ 0x00 ‖ message`, so that one made for one purpose is worthless
//! for another. Contexts are literals without a zero byte.
//!
//! Left out: where the seed is stored and who else is known; that is the application's.

use std::fmt;

use curve25519_dalek::montgomery::MontgomeryPoint;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use crate::id::PeerId;

/// Bytes of an encoded [`SignedNoiseKey`].
pub const SIGNED_NOISE_KEY_BYTES: usize = 32 + 32 + 64;

const NOISE_KEY_DERIVATION: &str = "roundtable 1 x25519 static key";
const NOISE_KEY_CONTEXT: &str = "roundtable 1 signed noise key";

/// A member's secret keys. Erased from memory when dropped, and never printed.
pub struct Identity {
    signing: SigningKey,
    noise: Zeroizing<[u8; 32]>,
}

/// A signature was not made by the named peer, over this message, in this context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature is not the named member's")]
pub struct BadSignature;

/// An X25519 key with the proof that it belongs to a [`PeerId`]. A value from outside exists only verified.
///
/// Encoded as peer id (32 bytes) ‖ X25519 public key (32) ‖ Ed25519 signature of that key (64).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SignedNoiseKey {
    peer: PeerId,
    noise_key: [u8; 32],
    signature: [u8; 64],
}

impl Identity {
    /// The identity that a seed stands for; the seed must come from the system's random source.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self {
            signing: SigningKey::from_bytes(seed),
            noise: Zeroizing::new(blake3::derive_key(NOISE_KEY_DERIVATION, seed)),
        }
    }

    /// The public name of this identity.
    pub fn peer_id(&self) -> PeerId {
        PeerId(self.signing.verifying_key().to_bytes())
    }

    /// Signs `message` for one purpose only, the one `context` names.
    pub fn sign(&self, context: &'static str, message: &[u8]) -> [u8; 64] {
        self.signing.sign(&in_context(context, message)).to_bytes()
    }

    /// Our X25519 public key, tied to our peer id.
    pub fn signed_noise_key(&self) -> SignedNoiseKey {
        let noise_key = MontgomeryPoint::mul_base_clamped(*self.noise).to_bytes();
        let signature = self.sign(NOISE_KEY_CONTEXT, &noise_key);
        SignedNoiseKey { peer: self.peer_id(), noise_key, signature }
    }

    pub(crate) fn noise_private_key(&self) -> &Zeroizing<[u8; 32]> {
        &self.noise
    }
}

/// Checks a signature made by [`Identity::sign`].
///
/// Strict: keys and nonces of small order, which would make one signature fit several messages, fail.
pub fn verify(
    peer: &PeerId,
    context: &'static str,
    message: &[u8],
    signature: &[u8; 64],
) -> Result<(), BadSignature> {
    let key = VerifyingKey::from_bytes(&peer.0).map_err(|_| BadSignature)?;
    key.verify_strict(&in_context(context, message), &Signature::from_bytes(signature))
        .map_err(|_| BadSignature)
}

impl SignedNoiseKey {
    /// Reads an encoded key and verifies its signature.
    pub fn verify(encoded: &[u8; SIGNED_NOISE_KEY_BYTES]) -> Result<Self, BadSignature> {
        let (peer, rest) = encoded.split_first_chunk::<32>().ok_or(BadSignature)?;
        let (noise_key, rest) = rest.split_first_chunk::<32>().ok_or(BadSignature)?;
        let signature: &[u8; 64] = rest.try_into().map_err(|_| BadSignature)?;
        let peer = PeerId(*peer);
        verify(&peer, NOISE_KEY_CONTEXT, noise_key, signature)?;
        Ok(Self { peer, noise_key: *noise_key, signature: *signature })
    }

    /// The bytes [`SignedNoiseKey::verify`] reads.
    pub fn encode(&self) -> [u8; SIGNED_NOISE_KEY_BYTES] {
        let mut encoded = [0; SIGNED_NOISE_KEY_BYTES];
        encoded[..32].copy_from_slice(&self.peer.0);
        encoded[32..64].copy_from_slice(&self.noise_key);
        encoded[64..].copy_from_slice(&self.signature);
        encoded
    }

    /// Whose key it is.
    pub fn peer(&self) -> PeerId {
        self.peer
    }

    /// The X25519 public key.
    pub fn noise_key(&self) -> &[u8; 32] {
        &self.noise_key
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.peer_id().short())
    }
}

impl fmt::Debug for SignedNoiseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedNoiseKey({})", self.peer.short())
    }
}

fn in_context(context: &'static str, message: &[u8]) -> Vec<u8> {
    debug_assert!(!context.as_bytes().contains(&0), "a zero byte ends the context");
    [context.as_bytes(), &[0], message].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> Identity {
        Identity::from_seed(&[1; 32])
    }

    #[test]
    fn the_same_seed_is_the_same_member_and_another_seed_another() {
        assert_eq!(alice().peer_id(), alice().peer_id());
        assert_eq!(alice().signed_noise_key(), alice().signed_noise_key());
        assert_ne!(alice().peer_id(), Identity::from_seed(&[2; 32]).peer_id());
    }

    #[test]
    fn a_signed_noise_key_survives_encoding_and_no_bit_of_it_can_change() {
        let encoded = alice().signed_noise_key().encode();
        assert_eq!(SignedNoiseKey::verify(&encoded), Ok(alice().signed_noise_key()));
        for bit in 0..encoded.len() * 8 {
            let mut forged = encoded;
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SignedNoiseKey::verify(&forged), Err(BadSignature), "bit {bit}");
        }
    }

    #[test]
    fn nobody_can_claim_a_noise_key_for_another_member() {
        let mallory = Identity::from_seed(&[3; 32]).signed_noise_key();
        let claimed = SignedNoiseKey { peer: alice().peer_id(), ..mallory };
        assert_eq!(SignedNoiseKey::verify(&claimed.encode()), Err(BadSignature));
    }

    #[test]
    fn a_signature_is_worthless_in_another_context() {
        let signature = alice().sign("one", b"message");
        let peer = alice().peer_id();
        assert_eq!(verify(&peer, "one", b"message", &signature), Ok(()));
        assert_eq!(verify(&peer, "two", b"message", &signature), Err(BadSignature));
        assert_eq!(verify(&peer, "one", b"massage", &signature), Err(BadSignature));
    }

    #[test]
    fn a_key_of_small_order_signs_nothing() {
        // The point of order one with the signature R = identity, s = 0 satisfies the lax equation.
        let mut identity_point = [0; 32];
        identity_point[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        assert_eq!(verify(&PeerId(identity_point), "one", b"anything", &signature), Err(BadSignature));
    }

    #[test]
    fn the_secret_keys_are_not_printed() {
        assert_eq!(format!("{:?}", alice()), format!("Identity({})", alice().peer_id().short()));
    }
}
