//! Words by which people make sure who they talk to.
//!
//! Two kinds, each of six words of eight bits ([`WORDS`]):
//!
//! - The words of a *pair* ([`Digest::of_pair`]) are read to each other over the call. They come from the hash of
//!   the handshake that the two shook, and from both their ids. Whoever sits between them shook two
//!   handshakes, and the two read different words. They belong to one connection; the next one has others.
//! - The *group phrase* ([`Digest::of_group`]) comes from the group's id and the ids of all members, in any order. All
//!   who see the same membership read the same one, in this call and the next.
//!
//! # What 48 bits are worth
//! The handshake hash binds fresh ephemeral keys and TLS keying material of both sides, so nothing can be computed before
//! a call. But there is *no commitment before the reveal*: in `Noise_IKpsk0` the responder speaks last, and in
//! `Noise_XXpsk0` the initiator, having seen what the other contributed. An attacker in the middle,
//! who already has to hold the group's secret, can hold back its last message on both sides and vary it until the words
//! of both handshakes are equal. That is a birthday search of about 2^24 tries on each side, for which a
//! plain hash would leave time within the handshake's deadline. So each try is made expensive: the words
//! are the outcome of Argon2id over the hash, at the price of a guess at a password: a tenth of a second on a fast core.
//! In the three seconds of [`HANDSHAKE_DEADLINE`](crate::limits::HANDSHAKE_DEADLINE) a thousand cores make
//! 2^15 tries; with half of them for each side, the words agree in one of a million attacks (2^28 pairs out of 2^48).
//! In IK, the attacker also needs the key of the member who was dialled, as its id is in the ticket or the roster.
//!
//! The group phrase binds nothing fresh, so colliding identities can be searched for in advance: 2^25 tries,
//! some forty days of a core. It shows that all see the same people, among people who trust
//! each other; where a person's identity is in doubt, the pair's words decide.

mod words;

pub use words::WORDS;

use crate::id::{GroupId, PeerId};
use argon2::{Algorithm, Argon2, Params, Version};
use std::collections::BTreeSet;
use std::fmt;

/// Words in a phrase.
pub const PHRASE_WORDS: usize = 6;

/// 64 MiB in three passes: what a guess at a password costs too.
const ARGON2_MEMORY_KIB: u32 = 64 * 1024;
const ARGON2_PASSES: u32 = 3;

/// What a phrase stands for, before it is made expensive and short.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Digest([u8; 32]);

/// Six words, to be compared aloud.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Phrase([u8; PHRASE_WORDS]);

impl Digest {
    /// Of the handshake of two members; the same on both sides.
    pub fn of_pair(handshake_hash: &[u8; 32], one: PeerId, other: PeerId) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("roundtable 1 words of a pair");
        hasher.update(handshake_hash).update(&one.min(other).0).update(&one.max(other).0);
        Self(hasher.finalize().into())
    }

    /// Of a group's members, ourselves included; the order and repetitions do not matter.
    pub fn of_group(group: GroupId, members: impl IntoIterator<Item = PeerId>) -> Self {
        let members: BTreeSet<PeerId> = members.into_iter().collect();
        let mut hasher = blake3::Hasher::new_derive_key("roundtable 1 words of a group");
        hasher.update(&group.0);
        for member in members {
            hasher.update(&member.0);
        }
        Self(hasher.finalize().into())
    }

    /// The words. Takes between a tenth and a quarter of a second, on purpose.
    pub fn phrase(&self) -> Phrase {
        let params = Params::new(ARGON2_MEMORY_KIB, ARGON2_PASSES, 1, Some(32));
        let params = params.expect("these parameters are within Argon2's limits");
        let mut stretched = [0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(&self.0, b"roundtable 1 words", &mut stretched)
            .expect("input and output have lengths that Argon2 takes");
        let (first, _) = stretched.split_first_chunk().expect("32 bytes have a first six");
        Phrase(*first)
    }
}

impl Phrase {
    /// The words, in the order in which they are read.
    pub fn words(&self) -> [&'static str; PHRASE_WORDS] {
        self.0.map(|byte| WORDS[usize::from(byte)])
    }
}

impl fmt::Display for Phrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::{Digest, Phrase};
    use crate::id::{GroupId, PeerId};
    use proptest::collection::btree_set;
    use proptest::prelude::{any, prop_assert_eq, prop_assert_ne, proptest};

    const GROUP: GroupId = GroupId([1; 16]);

    fn peers(ids: impl IntoIterator<Item = [u8; 32]>) -> Vec<PeerId> {
        ids.into_iter().map(PeerId).collect()
    }

    proptest! {
        #[test]
        fn both_sides_of_a_pair_have_the_same_digest(hash: [u8; 32], one: [u8; 32], other: [u8; 32]) {
            let (one, other) = (PeerId(one), PeerId(other));
            prop_assert_eq!(Digest::of_pair(&hash, one, other), Digest::of_pair(&hash, other, one));
        }

        #[test]
        fn another_handshake_or_another_peer_has_another_digest(hash: [u8; 32], bit in 0usize..768) {
            let mut input = [hash, [2; 32], [3; 32]];
            let of = |[hash, one, other]: [[u8; 32]; 3]| Digest::of_pair(&hash, PeerId(one), PeerId(other));
            let before = of(input);
            input[bit / 256][bit % 256 / 8] ^= 1 << (bit % 8);
            prop_assert_ne!(before, of(input));
        }

        #[test]
        fn the_same_members_in_any_order_have_the_same_digest(ids in btree_set(any::<[u8; 32]>(), 1..9), turn: usize) {
            let sorted = peers(ids);
            let mut turned = sorted.clone();
            turned.rotate_left(turn % sorted.len());
            turned.reverse();
            turned.push(sorted[0]);
            prop_assert_eq!(Digest::of_group(GROUP, sorted), Digest::of_group(GROUP, turned));
        }

        #[test]
        fn one_member_more_or_less_or_another_group_is_seen(ids in btree_set(any::<[u8; 32]>(), 1..9)) {
            let all = peers(ids);
            let whole = Digest::of_group(GROUP, all.clone());
            for left_out in 0..all.len() {
                let mut fewer = all.clone();
                fewer.remove(left_out);
                prop_assert_ne!(Digest::of_group(GROUP, fewer), whole);
            }
            prop_assert_ne!(Digest::of_group(GroupId([2; 16]), all), whole);
        }
    }

    #[test]
    fn a_phrase_is_always_the_same_six_words() {
        let pair = Digest::of_pair(&[7; 32], PeerId([1; 32]), PeerId([2; 32]));
        let group = Digest::of_group(GROUP, [PeerId([1; 32]), PeerId([2; 32])]);
        assert_eq!(pair.phrase().to_string(), "berry valley timber dinner heron sofa");
        assert_eq!(group.phrase().to_string(), "dancer cotton cherry ribbon eclipse lotus");
        assert_eq!(Phrase([0, 255, 0, 255, 0, 255]).to_string(), "acorn zigzag acorn zigzag acorn zigzag");
    }
}
