//! Delays of the last seconds of speech, in bins of 1 ms, and of nothing before that.
//!
//! A memory that fades leaves a trace for several times its length, and then a buffer stays deep for as long after
//! the jitter is over. Here all is forgotten when its time has come.

use super::histogram::BINS;

/// Pieces that are forgotten one by one.
const PIECES: usize = 7;
/// 0.5 s each.
const PIECE_US: i64 = 500_000;
/// A pause between two arrivals counts for no more than this: who listens for a minute still knows the path.
const PAUSE_US: i64 = 100_000;
/// After this long the path may be another.
const STALE_US: i64 = 60_000_000;

pub(super) struct Window {
    pieces: Vec<[u16; BINS]>,
    piece: usize,
    /// Of the piece being filled.
    age_us: i64,
    last_us: i64,
    bins: Vec<u32>,
    total: u32,
}

impl Window {
    pub(super) fn new() -> Self {
        Self {
            pieces: vec![[0; BINS]; PIECES],
            piece: 0,
            age_us: 0,
            last_us: 0,
            bins: vec![0; BINS],
            total: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        self.pieces.iter_mut().for_each(|piece| piece.fill(0));
        self.bins.fill(0);
        self.total = 0;
        self.age_us = 0;
    }

    /// Time goes by.
    pub(super) fn advance(&mut self, now_us: i64) {
        let elapsed_us = now_us - self.last_us;
        self.last_us = now_us;
        if elapsed_us > STALE_US {
            self.clear();
        }
        self.age_us += elapsed_us.clamp(0, PAUSE_US);
        if self.age_us < PIECE_US {
            return;
        }
        self.age_us -= PIECE_US;
        self.piece = (self.piece + 1) % PIECES;
        for (sum, old) in self.bins.iter_mut().zip(&mut self.pieces[self.piece]) {
            *sum -= u32::from(*old);
            self.total -= u32::from(*old);
            *old = 0;
        }
    }

    /// Delays beyond the last bin count in it; negative ones in the first.
    pub(super) fn add(&mut self, delay_us: i64) {
        let bin = bin(delay_us);
        let count = &mut self.pieces[self.piece][bin];
        if *count < u16::MAX {
            *count += 1;
            self.bins[bin] += 1;
            self.total += 1;
        }
    }

    /// How many there are, by the ms that their delay has begun.
    pub(super) fn bins(&self) -> &[u32] {
        &self.bins
    }

    /// All of them.
    pub(super) fn total(&self) -> u32 {
        self.total
    }

    /// Upper edge of the bin in which the share `q` is reached, in microseconds; 0 when nothing is known.
    pub(super) fn quantile_us(&self, q: f32) -> i64 {
        let beyond = (self.total as f32 * (1.0 - q)) as u32;
        let mut above = 0;
        let reached = self.bins.iter().rposition(|count| {
            above += count;
            above > beyond
        });
        reached.map_or(0, |bin| (bin as i64 + 1) * 1_000)
    }
}

pub(super) fn bin(delay_us: i64) -> usize {
    (delay_us.max(0) / 1_000).min(BINS as i64 - 1) as usize
}

#[cfg(test)]
mod tests {
    use super::Window;

    #[test]
    fn the_past_is_gone_after_its_time_and_pauses_take_none() {
        let mut window = Window::new();
        let mut now_us = 0;
        let mut run = |window: &mut Window, count: usize, delay_us: i64| {
            for _ in 0..count {
                now_us += 10_000;
                window.advance(now_us);
                window.add(delay_us);
            }
            now_us += 20_000_000;
        };
        run(&mut window, 300, 80_000);
        assert_eq!(window.quantile_us(0.98), 81_000);
        run(&mut window, 40, 3_000);
        assert_eq!(window.quantile_us(0.98), 81_000, "most of it was a pause");
        run(&mut window, 300, 3_000);
        assert_eq!((window.quantile_us(1.0), window.total() > 290), (4_000, true));
    }
}
