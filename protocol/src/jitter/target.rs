//! How deep the buffer should be: where delay and what is late cost least together.
//!
//! Each frame of the last seconds needed some depth to be heard: how long after the fastest possible it was there,
//! itself, as a copy in a later packet, or as the correction in the next one. So a depth has a price in delay and one in
//! frames that would have come too late, what redundancy brings back is in it without further ado, and nothing is
//! waited for that never comes. Prices are those of [`crate::impairment`].
//!
//! Left out: the part of the delay that is not the buffer's, which G.107 counts for more beyond 177 ms.

use super::histogram::BINS;
use super::stalls::Stalls;
use super::window::Window;
use crate::impairment::{CONCEALED_PER_PERCENT, DELAY_PER_MS, STANDSTILL_PER_PERCENT};

/// Another depth has to be better by this much (R): the target does not waver for nothing.
const WORTH_MOVING: f32 = 0.15;

/// Finds the depth; keeps the last one.
pub(super) struct Target {
    depth_ms: usize,
    /// Share of time for which playout would stand still, by depth.
    standstill: Vec<f32>,
}

impl Target {
    pub(super) fn new() -> Self {
        Self { depth_ms: 0, standstill: vec![0.0; BINS] }
    }

    /// The depth at which all but so many were there in time, in microseconds.
    pub(super) fn find_us(&mut self, needed: &Window, stalls: &Stalls) -> i64 {
        stalls.standstill(&mut self.standstill);
        let total = needed.total().max(1) as f32;
        let (mut late, mut best, mut stay) = (0, (f32::MAX, 0), f32::MAX);
        for depth_ms in (0..BINS).rev() {
            // A frame in the bin of this number is in time at the next depth, its upper edge.
            late += needed.bins()[depth_ms];
            let cost = DELAY_PER_MS * depth_ms as f32
                + CONCEALED_PER_PERCENT * 100.0 * late as f32 / total
                + STANDSTILL_PER_PERCENT * 100.0 * self.standstill[depth_ms];
            // Of equal ones the shallower.
            if cost <= best.0 {
                best = (cost, depth_ms);
            }
            if depth_ms == self.depth_ms {
                stay = cost;
            }
        }
        if stay - best.0 > WORTH_MOVING {
            self.depth_ms = best.1;
        }
        self.depth_ms as i64 * 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::Target;
    use crate::jitter::stalls::Stalls;
    use crate::jitter::window::Window;

    fn found_ms(delays_ms: impl Iterator<Item = i64>) -> i64 {
        let mut window = Window::new();
        delays_ms.for_each(|delay| window.add(delay * 1_000));
        Target::new().find_us(&window, &Stalls::new()) / 1_000
    }

    #[test]
    fn many_late_frames_are_waited_for_and_one_far_out_is_not() {
        assert_eq!(found_ms((0..300).map(|n| n % 3)), 3);
        assert_eq!(found_ms((0..300).map(|n| if n % 10 == 0 { 50 } else { 2 })), 51);
        assert_eq!(found_ms((0..300).map(|n| if n == 7 { 200 } else { 2 })), 3);
    }
}
