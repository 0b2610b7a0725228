//! Stalls: moments in which nothing gets through, and then everything at once.
//!
//! A radio that scans or yields holds back a tenth of a second, every few seconds. Among ordinary delays a single one
//! would look like a path on which several packets in a hundred are late, and the buffer would be deep for something
//! that is over. So they are counted by themselves, by how often and how high, and weighed as what they cost: a pause
//! in which nothing that is said gets lost.

use super::window::bin;

/// So much longer than the sound between two packets is the time between them when one begins.
const BEGINS_US: i64 = 40_000;
/// Later packets belong to it as long as they come faster than this share of what they hold.
const DRAINS: (i64, i64) = (6, 10);
/// Stalls of the last 20 s of speech are remembered, and no more than these.
const MEMORY_US: i64 = 20_000_000;
const STALLS_MAX: usize = 32;
/// A pause in speech counts for no more than this, as in `window`.
const PAUSE_US: i64 = 100_000;

#[derive(Clone, Copy)]
struct Stall {
    at_us: i64,
    height_us: i64,
}

pub(super) struct Stalls {
    stalls: [Stall; STALLS_MAX],
    next: usize,
    draining: bool,
    /// Time in which somebody spoke.
    spoken_us: i64,
    last_us: i64,
    last_end_us: i64,
}

impl Stalls {
    pub(super) fn new() -> Self {
        Self {
            stalls: [Stall { at_us: i64::MIN / 2, height_us: 0 }; STALLS_MAX],
            next: 0,
            draining: false,
            spoken_us: 0,
            last_us: i64::MIN / 2,
            last_end_us: i64::MIN / 2,
        }
    }

    /// A new stream, or another path: what is known of stalls stays.
    pub(super) fn restart(&mut self) {
        self.draining = false;
        self.last_us = i64::MIN / 2;
        self.last_end_us = i64::MIN / 2;
    }

    /// Takes an arrival whose sound ends at `end_us` and which is `delay_us` above the envelope; whether it was held
    /// up by a stall.
    pub(super) fn observe(&mut self, now_us: i64, end_us: i64, delay_us: i64) -> bool {
        let (between_us, sound_us) = (now_us - self.last_us, end_us - self.last_end_us);
        let is_first = self.last_us < 0 && self.last_end_us < 0;
        if is_first || sound_us <= 0 {
            if is_first {
                (self.last_us, self.last_end_us) = (now_us, end_us);
            }
            return self.draining;
        }
        self.spoken_us += between_us.clamp(0, PAUSE_US);
        (self.last_us, self.last_end_us) = (now_us, end_us);
        if between_us - sound_us >= BEGINS_US && delay_us >= BEGINS_US {
            self.draining = true;
            self.stalls[self.next] = Stall { at_us: self.spoken_us, height_us: delay_us };
            self.next = (self.next + 1) % STALLS_MAX;
        } else if between_us * DRAINS.1 > sound_us * DRAINS.0 {
            self.draining = false;
        }
        self.draining
    }

    /// Adds up, for each depth in ms, the share of time (in millionths) in which playout stands still for stalls that are
    /// higher. `out` is as long as there are bins.
    pub(super) fn standstill(&self, out: &mut [f32]) {
        out.fill(0.0);
        let span_us = self.spoken_us.clamp(MEMORY_US / 4, MEMORY_US) as f32;
        for stall in self.stalls.iter().filter(|stall| stall.at_us > self.spoken_us - MEMORY_US) {
            out[bin(stall.height_us)] += 1.0;
        }
        let (mut higher, mut still_us) = (0.0, 0.0);
        for value in out.iter_mut().rev() {
            still_us += higher * 1_000.0;
            higher += *value;
            *value = still_us / span_us;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Stalls;
    use crate::jitter::histogram::BINS;

    #[test]
    fn a_stall_is_all_that_came_at_once_after_it_and_nothing_else() {
        let mut stalls = Stalls::new();
        let mut held = Vec::new();
        for n in 0..100_i64 {
            let due_us = n * 10_000;
            let at_us = if (500_000..620_000).contains(&due_us) { 619_000 + n } else { due_us };
            if stalls.observe(at_us, due_us, at_us - due_us) {
                held.push(n);
            }
        }
        // The last of them came right after the others, and on time.
        assert_eq!(held, (50..63).collect::<Vec<_>>());
        let mut still = [0.0; BINS];
        stalls.standstill(&mut still);
        // 120 ms in a quarter of the memory, the least that is divided by.
        assert!((still[0] - 0.024).abs() < 0.001, "{}", still[0]);
        assert!((still[60] - 0.012).abs() < 0.001, "{}", still[60]);
        assert_eq!(still[121], 0.0);
    }

    #[test]
    fn the_end_of_a_silence_is_no_stall() {
        let mut stalls = Stalls::new();
        assert!(!stalls.observe(0, 0, 0));
        assert!(!stalls.observe(2_000_000, 2_000_000, 0));
        assert!(!stalls.observe(2_030_000, 2_010_000, 20_000), "a little late");
    }
}
