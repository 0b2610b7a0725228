//! Moments at which a transmitter may send so many bytes: an uplink's grants, a trace's delivery opportunities.
//!
//! A packet takes what is left of the first moment at which it is ready, and as many later ones as it needs; it has left
//! with the last of them. What nobody takes is gone.

use std::sync::Arc;

use super::trace::OpportunityTrace;

/// What a trace's opportunity carries: mahimahi's packet.
const OPPORTUNITY_BYTES: usize = 1500;

#[derive(Clone, Debug)]
pub(super) struct Slots {
    times: Times,
    bytes_each: usize,
    /// The slot in use, counted from the first, and what is left of it.
    index: u64,
    left: usize,
}

#[derive(Clone, Debug)]
enum Times {
    Periodic { phase: u64, period: u64 },
    Traced { trace: Arc<OpportunityTrace>, ahead: u64 },
}

impl Slots {
    /// A slot every `period` ns from `phase` on.
    pub(super) fn periodic(phase: u64, period: u64, bytes_each: usize) -> Self {
        Slots { times: Times::Periodic { phase, period }, bytes_each, index: 0, left: bytes_each }
    }

    /// The trace's opportunities after the first `skipped`; what the last one skipped had for a time is now 0.
    pub(super) fn traced(trace: Arc<OpportunityTrace>, skipped: usize) -> Self {
        let ahead = if skipped == 0 { 0 } else { trace.times()[skipped - 1] };
        let times = Times::Traced { trace, ahead };
        Slots { times, bytes_each: OPPORTUNITY_BYTES, index: skipped as u64, left: OPPORTUNITY_BYTES }
    }

    /// When a packet of `bytes` that is ready at `ready` has left. `ready` never decreases from call to call.
    pub(super) fn take(&mut self, ready: u64, bytes: usize) -> u64 {
        let first = self.times.first_from(ready);
        if first > self.index {
            self.index = first;
            self.left = self.bytes_each;
        }
        let mut needed = bytes;
        loop {
            let taken = self.left.min(needed);
            let at = self.times.at(self.index);
            needed -= taken;
            self.left -= taken;
            if self.left == 0 {
                self.index += 1;
                self.left = self.bytes_each;
            }
            if needed == 0 {
                return at;
            }
        }
    }
}

impl Times {
    fn at(&self, index: u64) -> u64 {
        match self {
            Times::Periodic { phase, period } => phase + index * period,
            Times::Traced { trace, ahead } => {
                let times = trace.times();
                let (round, place) = (index / times.len() as u64, index % times.len() as u64);
                round * end(times) + times[place as usize] - ahead
            }
        }
    }

    /// The first slot that is not before `ready`.
    fn first_from(&self, ready: u64) -> u64 {
        match self {
            Times::Periodic { phase, period } => ready.saturating_sub(*phase).div_ceil(*period),
            Times::Traced { trace, ahead } => {
                let times = trace.times();
                let at = ready + ahead;
                // A round ends with its last time, included: the next one's 0 is the same moment.
                let round = at.saturating_sub(1) / end(times);
                let within = at - round * end(times);
                round * times.len() as u64 + times.partition_point(|&time| time < within) as u64
            }
        }
    }
}

/// When one pass ends and the next begins.
fn end(times: &[u64]) -> u64 {
    *times.last().expect("a parsed trace holds at least one time")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn traced(text: &str, skipped: usize) -> Slots {
        Slots::traced(Arc::new(OpportunityTrace::parse(text).unwrap()), skipped)
    }

    #[test]
    fn small_packets_share_an_opportunity_and_large_ones_take_several() {
        let mut slots = traced("2\n5\n5\n10", 0);
        let leave: Vec<u64> = [600, 600, 600, 3000].iter().map(|&bytes| slots.take(0, bytes) / MS).collect();
        // 300 of the third wait for 5; of the fourth 1200 go at 5, 1500 at 5, 300 at 10.
        assert_eq!(leave, [2, 2, 5, 10]);
    }

    #[test]
    fn a_trace_begins_again_at_its_last_time() {
        let mut slots = traced("2\n5", 0);
        let leave: Vec<u64> = (0..6).map(|_| slots.take(0, 1500) / MS).collect();
        assert_eq!(leave, [2, 5, 7, 10, 12, 15]);
        assert_eq!(slots.take(20 * MS, 1500), 20 * MS);
        assert_eq!(slots.take(20 * MS, 1500), 22 * MS);
    }

    #[test]
    fn an_end_and_a_start_at_the_same_moment_are_two_opportunities() {
        let mut slots = traced("0\n4", 0);
        let leave: Vec<u64> = (0..4).map(|_| slots.take(4 * MS, 1500) / MS).collect();
        assert_eq!(leave, [4, 4, 8, 8]);
    }

    #[test]
    fn skipped_opportunities_shift_the_rest_to_the_start() {
        let mut slots = traced("2\n5\n9", 2);
        let leave: Vec<u64> = (0..3).map(|_| slots.take(0, 1500) / MS).collect();
        assert_eq!(leave, [4, 6, 9]);
    }

    #[test]
    fn unused_moments_are_gone() {
        let mut slots = Slots::periodic(3, 10, 100);
        assert_eq!([slots.take(0, 60), slots.take(1, 60), slots.take(40, 60)], [3, 13, 43]);
    }
}
