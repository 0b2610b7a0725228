//! Is it worth waiting for the next frame, which may carry a copy of a lost one?

/// Of the last 150 packets, about.
const FORGET: f32 = 1.0 / 150.0;
/// Below the first share of lost packets waiting is no longer worth its delay, above the second it is.
const LOSS_LOW: f32 = 0.005;
const LOSS_HIGH: f32 = 0.015;

pub(super) struct LossHistory {
    lost: f32,
    protected: f32,
    waiting: bool,
}

impl LossHistory {
    pub(super) fn new() -> Self {
        Self { lost: 0.0, protected: 0.0, waiting: false }
    }

    pub(super) fn on_received(&mut self, protected: bool) {
        self.protected += (f32::from(u8::from(protected)) - self.protected) * FORGET;
        self.on_packet(0.0);
    }

    pub(super) fn on_lost(&mut self) {
        self.on_packet(1.0);
    }

    /// Whether losses are frequent, and frames carry copies of those before them.
    pub(super) fn worth_waiting(&self) -> bool {
        self.waiting
    }

    fn on_packet(&mut self, lost: f32) {
        self.lost += (lost - self.lost) * FORGET;
        let threshold = if self.waiting { LOSS_LOW } else { LOSS_HIGH };
        self.waiting = self.lost > threshold && self.protected > 0.2;
    }
}
