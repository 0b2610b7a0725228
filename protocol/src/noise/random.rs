//! The handshake's ephemeral randomness, from a seed that the caller drew.
//!
//! Block `n` of a stream is `BLAKE3.keyed_hash(key, n as 8 bytes little endian)`. The key depends on the
//! seed, our private key and everything that went before, so that even a seed used twice by mistake
//! gives different ephemeral keys for different handshakes (the idea of RFC 8937).

use std::cell::Cell;

use rand_core::{CryptoRng, RngCore};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use zeroize::Zeroizing;

use super::Party;

pub(super) struct SeededRandom {
    key: Zeroizing<[u8; 32]>,
    block: u64,
}

impl SeededRandom {
    pub(super) fn new(context: &'static str, party: &Party, transcript: &[u8; 32]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(context);
        hasher.update(&*party.seed).update(&*party.noise_key).update(transcript).update(&*party.exporter);
        Self { key: Zeroizing::new(hasher.finalize().into()), block: 0 }
    }

    fn fill(&mut self, dest: &mut [u8]) {
        for chunk in dest.chunks_mut(32) {
            let block = blake3::keyed_hash(&self.key, &self.block.to_le_bytes());
            chunk.copy_from_slice(&block.as_bytes()[..chunk.len()]);
            self.block += 1;
        }
    }
}

impl Random for SeededRandom {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        self.fill(dest);
        Ok(())
    }
}

impl RngCore for SeededRandom {
    fn next_u32(&mut self) -> u32 {
        rand_core::impls::next_u32_via_fill(self)
    }

    fn next_u64(&mut self) -> u64 {
        rand_core::impls::next_u64_via_fill(self)
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        self.fill(dest);
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill(dest);
        Ok(())
    }
}

impl CryptoRng for SeededRandom {}

/// snow's own primitives with our randomness. It hands the stream out once: a second handshake from the
/// same resolver would repeat the first one's keys, and fails to build instead.
pub(super) struct SeededResolver(Cell<Option<SeededRandom>>);

impl SeededResolver {
    pub(super) fn new(random: SeededRandom) -> Self {
        Self(Cell::new(Some(random)))
    }
}

impl CryptoResolver for SeededResolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        self.0.take().map(|random| Box::new(random) as Box<dyn Random>)
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}
