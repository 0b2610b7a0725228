//! Times at which a transmitter sends nothing.
//!
//! Onsets are a Poisson process that does not heed the traffic, so it can be drawn as far ahead as a waiting packet
//! needs. Stalls that overlap make one.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::config::Stalls;
use super::spread::Sampler;

#[derive(Clone, Debug)]
pub(super) struct StallProcess {
    mean_gap_ns: f64,
    length: Sampler,
    next_onset: u64,
    stalled_until: u64,
}

impl StallProcess {
    /// The first stall comes some time after `now`.
    pub(super) fn new(stalls: &Stalls, now: u64, rng: &mut ChaCha8Rng) -> Self {
        let mean_gap_ns = 60e9 / stalls.per_minute;
        let next_onset = now.saturating_add(gap(mean_gap_ns, rng));
        StallProcess { mean_gap_ns, length: Sampler::new(&stalls.length), next_onset, stalled_until: now }
    }

    /// The first time from `ready` on at which it may send. `ready` never decreases from call to call.
    pub(super) fn release(&mut self, ready: u64, rng: &mut ChaCha8Rng) -> u64 {
        let mut at = ready;
        loop {
            while self.next_onset <= at {
                self.stalled_until = self.stalled_until.max(self.next_onset + self.length.draw(rng));
                self.next_onset = self.next_onset.saturating_add(gap(self.mean_gap_ns, rng));
            }
            if self.stalled_until <= at {
                return at;
            }
            at = self.stalled_until;
        }
    }
}

fn gap(mean_ns: f64, rng: &mut ChaCha8Rng) -> u64 {
    // At least 1 ns, so that every loop over onsets ends.
    (-mean_ns * (-rng.random::<f64>()).ln_1p()) as u64 + 1
}
