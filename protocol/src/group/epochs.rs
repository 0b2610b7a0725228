//! The secrets by which members recognise each other, one after the other.
//!
//! A removal begins an epoch: whoever removed makes a secret and gives it to those who stay. Somebody who was out of
//! reach may still come with an older one; that alone lets nobody in, as a member is let in by its identity.

use super::{Membership, commitment};
use crate::noise::EpochSecret;

/// Secrets that are remembered: a member that was away for more removals needs a new ticket.
const EPOCHS_MAX: usize = 16;

/// The secrets of a group that one member knows, at least one.
pub struct Epochs {
    /// The first one is the oldest.
    secrets: Vec<Epoch>,
}

struct Epoch {
    commitment: [u8; 32],
    secret: EpochSecret,
}

impl Epochs {
    /// Begins with the one secret that is known.
    pub fn new(secret: EpochSecret) -> Self {
        Self { secrets: vec![Epoch { commitment: commitment(secret.as_bytes()), secret }] }
    }

    /// Takes the secret of a removal that is in force; returns whether it is one, and new.
    pub fn learn(&mut self, secret: EpochSecret, membership: &Membership) -> bool {
        let commitment = commitment(secret.as_bytes());
        let is_known = self.secrets.iter().any(|epoch| epoch.commitment == commitment);
        if is_known || !membership.commitments.contains(&commitment) {
            return false;
        }
        self.secrets.push(Epoch { commitment, secret });
        if self.secrets.len() > EPOCHS_MAX {
            self.secrets.remove(0);
        }
        true
    }

    /// The name of the present epoch.
    pub fn present(&self, membership: &Membership) -> u64 {
        match membership.epoch_commitment {
            Some(commitment) => name(commitment),
            None => name(self.secrets.first().expect("there is always one").commitment),
        }
    }

    /// The secret that a member names.
    pub fn find(&self, name: u64) -> Option<&EpochSecret> {
        self.secrets.iter().find(|epoch| self::name(epoch.commitment) == name).map(|epoch| &epoch.secret)
    }

    /// The secret of the present epoch, or the newest that is known.
    pub fn newest(&self, membership: &Membership) -> &EpochSecret {
        let present = self.secrets.iter().find(|epoch| Some(epoch.commitment) == membership.epoch_commitment);
        &present.or(self.secrets.last()).expect("there is always one").secret
    }

    /// The names and secrets with which to knock, the likeliest first.
    pub fn to_try(&self, membership: &Membership) -> Vec<(u64, EpochSecret)> {
        let is_present = |epoch: &&Epoch| Some(epoch.commitment) == membership.epoch_commitment;
        let present = self.secrets.iter().filter(is_present);
        let others = self.secrets.iter().rev().filter(|epoch| !is_present(epoch));
        present.chain(others).map(|epoch| (name(epoch.commitment), epoch.secret.clone())).collect()
    }
}

/// What everybody may know of an epoch's secret, shortened.
fn name(commitment: [u8; 32]) -> u64 {
    let (name, _) = commitment.split_first_chunk().expect("a commitment has 32 bytes");
    u64::from_be_bytes(*name)
}

#[cfg(test)]
mod tests {
    use super::{EPOCHS_MAX, Epochs};
    use crate::group::{Membership, commitment};
    use crate::noise::EpochSecret;

    fn secret(n: u8) -> EpochSecret {
        EpochSecret::from_bytes([n; 32])
    }

    fn after(removals: impl IntoIterator<Item = u8>) -> Membership {
        let mut membership = Membership::default();
        for n in removals {
            membership.commitments.insert(commitment(&[n; 32]));
            membership.epoch_commitment = Some(commitment(&[n; 32]));
        }
        membership
    }

    #[test]
    fn only_secrets_of_removals_are_taken_and_the_oldest_goes() {
        let mut epochs = Epochs::new(secret(0));
        assert!(!epochs.learn(secret(9), &after([1])), "nobody was removed with it");
        for n in 1..=EPOCHS_MAX as u8 {
            assert!(epochs.learn(secret(n), &after(1..=n)));
        }
        assert!(!epochs.learn(secret(3), &after([3])), "known");
        let names: Vec<u64> = epochs.to_try(&after([5])).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), EPOCHS_MAX);
        assert_eq!(epochs.find(names[0]).map(EpochSecret::as_bytes), Some(&[5; 32]));
        assert_eq!(epochs.find(names[1]).map(EpochSecret::as_bytes), Some(&[EPOCHS_MAX as u8; 32]));
    }

    #[test]
    fn the_present_secret_is_used_when_it_is_known_and_the_last_one_otherwise() {
        let mut epochs = Epochs::new(secret(0));
        assert_eq!(epochs.newest(&Membership::default()).as_bytes(), &[0; 32]);
        epochs.learn(secret(1), &after([1, 2]));
        assert_eq!(epochs.newest(&after([1])).as_bytes(), &[1; 32]);
        assert_eq!(
            epochs.newest(&after([2])).as_bytes(),
            &[1; 32],
            "that of the second removal has not come yet"
        );
    }
}
