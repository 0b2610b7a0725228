//! Which packets the wire loses: each by itself, or in bursts.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::config::{BurstLoss, GilbertElliott};

impl From<BurstLoss> for GilbertElliott {
    /// With everything lost in the bad state and nothing in the good one, a burst's mean length is 1/r and the loss is
    /// the share of bad states, p / (p + r).
    fn from(burst: BurstLoss) -> Self {
        let lost = burst.loss_percent / 100.0;
        let bad_to_good = 1.0 / burst.burst_packets;
        GilbertElliott {
            good_to_bad_percent: 100.0 * bad_to_good * lost / (1.0 - lost),
            bad_to_good_percent: 100.0 * bad_to_good,
            good_loss_percent: 0.0,
            bad_loss_percent: 100.0,
        }
    }
}

impl GilbertElliott {
    /// The share of packets that meet the bad state.
    fn bad_share(&self) -> f64 {
        let (p, r) = (self.good_to_bad_percent, self.bad_to_good_percent);
        if p + r > 0.0 { p / (p + r) } else { 0.0 }
    }

    /// The loss of all packets in the long run.
    pub fn mean_loss_percent(&self) -> f64 {
        let bad = self.bad_share();
        bad * self.bad_loss_percent + (1.0 - bad) * self.good_loss_percent
    }
}

/// Gilbert-Elliott loss at work.
#[derive(Clone, Debug)]
pub(super) struct BurstyLoss {
    model: GilbertElliott,
    bad: bool,
}

impl BurstyLoss {
    /// Starts in a state drawn by how often each is met, so that the first packets are as the later ones.
    pub(super) fn new(model: GilbertElliott, rng: &mut ChaCha8Rng) -> Self {
        let bad = draw(model.bad_share() * 100.0, rng);
        BurstyLoss { model, bad }
    }

    /// Whether the next packet is lost. Two draws.
    pub(super) fn next(&mut self, rng: &mut ChaCha8Rng) -> bool {
        let (loss, leave) = if self.bad {
            (self.model.bad_loss_percent, self.model.bad_to_good_percent)
        } else {
            (self.model.good_loss_percent, self.model.good_to_bad_percent)
        };
        let lost = draw(loss, rng);
        self.bad ^= draw(leave, rng);
        lost
    }
}

/// True with the given chance. One draw.
pub(super) fn draw(percent: f64, rng: &mut ChaCha8Rng) -> bool {
    rng.random::<f64>() * 100.0 < percent
}
