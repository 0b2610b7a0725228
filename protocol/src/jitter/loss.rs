//! What the path loses, before copies, corrections and concealment hide it: the sender chooses redundancy by this.

/// A packet that has not come when so many later ones were sent is lost; fewer may be reordered.
const REORDERED_MAX: u64 = 8;
/// A gap in the numbers beyond this is no loss to be believed at any size.
const SPAN: u64 = 64;

/// Packets of one stream whose fate is known.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct PathLoss {
    /// All of them.
    pub sent: u64,
    /// Those that did not come.
    pub lost: u64,
    /// Runs of lost ones: `lost` over this is the mean length of a burst.
    pub bursts: u64,
}

/// Counts by the numbers of the packets that come.
#[derive(Default)]
pub(super) struct LossCounter {
    highest: Option<u64>,
    /// Of the last packets, the newest at bit 0.
    came: u64,
    /// How many of them were sent since the beginning.
    known: u64,
    in_burst: bool,
    total: PathLoss,
}

impl LossCounter {
    /// A packet came, in whatever order.
    pub(super) fn on_arrived(&mut self, sequence: u64) {
        let highest = *self.highest.get_or_insert(sequence);
        if sequence.abs_diff(highest) >= SPAN {
            let total = self.total;
            *self = Self { highest: Some(sequence), came: 1, known: 1, total, in_burst: false };
            return;
        }
        if sequence <= highest {
            self.came |= 1 << (highest - sequence);
            self.known = self.known.max(1);
            return;
        }
        for _ in highest..sequence {
            self.came <<= 1;
            self.known = (self.known + 1).min(SPAN);
            if self.known > REORDERED_MAX {
                self.decide(self.came >> REORDERED_MAX & 1 == 1);
            }
        }
        self.came |= 1;
        self.highest = Some(sequence);
    }

    pub(super) fn total(&self) -> PathLoss {
        self.total
    }

    fn decide(&mut self, came: bool) {
        self.total.sent += 1;
        self.total.lost += u64::from(!came);
        self.total.bursts += u64::from(!came && !self.in_burst);
        self.in_burst = !came;
    }
}

#[cfg(test)]
mod tests {
    use super::{LossCounter, PathLoss};

    #[test]
    fn losses_and_their_bursts_are_counted_and_reordering_is_neither() {
        let mut counter = LossCounter::default();
        for n in (1_000..2_000_u64).filter(|n| n % 100 != 7 && !(1_500..1_504).contains(n)) {
            counter.on_arrived(if n % 2 == 0 { n + 1 } else { n - 1 });
        }
        let total = counter.total();
        assert!(total.sent >= 985, "{total:?}");
        // 1,007 swapped its number with 1,006, and so on: 10 of one packet each, and one of four.
        assert_eq!((total.lost, total.bursts), (14, 11), "{total:?}");
    }

    #[test]
    fn a_stream_that_begins_anew_lost_nothing() {
        let mut counter = LossCounter::default();
        for n in (0..100).chain(5_000_000..5_000_100) {
            counter.on_arrived(n);
        }
        assert_eq!(counter.total(), PathLoss { sent: 200 - 16 - 2 + 2, ..PathLoss::default() });
    }
}
