//! Serving one block: when the buffer is asked, and how often, until there is enough to play.
//!
//! The live receiver plays what it is told; a replay only counts. Both go through [`serve`], so that a replayed call
//! makes the very decisions of the live one: what a buffer decides depends on how much is queued when it is asked.

use super::{Decision, JitterBuffer, Stretch};
use crate::media::TICK_SAMPLES;
use std::time::Duration;

/// Operations for one block; a block of 20 ms takes eight ticks of silence, frames fewer.
pub const OPERATIONS_MAX: usize = 64;

/// The longest block served at once, 20 ms. Longer ones are cut in pieces.
pub const BLOCK_MAX: usize = 960;

/// Below this many queued samples, 25 ms, a cut of the longest pitch period (15 ms) finds too little to choose a
/// place from: it and two crossfades of 5 ms.
const CUT_FROM: usize = 1_200;

/// Who performs what the buffer decides, and keeps what was decoded until it is played.
pub trait Player {
    /// Samples decoded and not yet played, at 48 kHz.
    fn queued(&self) -> usize;

    /// Performs one operation; the stretch that comes with a [`Decision::Decode`] is asked for apart. `block` is
    /// the length of the block being served.
    fn perform(&mut self, decision: &Decision, block: usize);

    /// Stretches what is queued, as far as that goes well: samples inserted, or removed when negative.
    fn stretch(&mut self, stretch: Stretch) -> i32;
}

/// Announces a pull of `block` samples and performs operations until as many are queued; taking them out is left
/// to the caller. `block` is at most [`BLOCK_MAX`].
pub fn serve(buffer: &mut JitterBuffer, now: Duration, block: usize, player: &mut impl Player) {
    buffer.on_pull(now, block);
    let mut decode_ahead = false;
    for _ in 0..OPERATIONS_MAX {
        let enough = player.queued() >= block;
        if enough && !(decode_ahead && buffer.is_next_ready()) {
            break;
        }
        let decision = buffer.next(now, player.queued());
        player.perform(&decision, block);
        decode_ahead = false;
        if let Decision::Decode { stretch, .. } = decision
            && stretch != Stretch::Normal
        {
            let queued = player.queued();
            let stretched = player.stretch(stretch);
            buffer.on_stretched(now, stretched);
            let accelerating = matches!(stretch, Stretch::Accelerate { .. });
            // One more frame is wanted only to have enough sound to cut from.
            decode_ahead = accelerating && stretched == 0 && queued < CUT_FROM;
        }
    }
}

/// Samples that performing `decision` adds to `queued` ones: all of a frame, silence no further than to the end of
/// the block. A player that fades out before a silence may add others.
pub fn nominal_samples(decision: &Decision, block: usize, queued: usize) -> usize {
    let left = block.saturating_sub(queued);
    match decision {
        Decision::Decode { frame, .. } => samples(frame.ticks),
        Decision::DecodeFec { ticks, .. } | Decision::Conceal { ticks, .. } => samples(*ticks),
        Decision::Silence { ticks } => samples(*ticks).min(left),
        Decision::Idle => left,
    }
}

fn samples(ticks: u8) -> usize {
    usize::from(ticks) * TICK_SAMPLES
}

#[cfg(test)]
mod tests {
    use super::{BLOCK_MAX, Player, nominal_samples, serve};
    use crate::jitter::scenario::frame_at;
    use crate::jitter::{Decision, JitterBuffer, JitterConfig, Stretch};
    use std::time::Duration;

    /// Never finds a place to stretch at.
    #[derive(Default)]
    struct Stiff {
        queued: usize,
        decoded: usize,
        asked: usize,
    }

    impl Player for Stiff {
        fn queued(&self) -> usize {
            self.queued
        }

        fn perform(&mut self, decision: &Decision, block: usize) {
            self.decoded += usize::from(matches!(decision, Decision::Decode { .. }));
            self.queued += nominal_samples(decision, block, self.queued);
        }

        fn stretch(&mut self, _stretch: Stretch) -> i32 {
            self.asked += 1;
            0
        }
    }

    #[test]
    fn every_block_is_filled_and_a_cut_that_finds_no_place_is_given_one_more_frame() {
        let mut buffer = JitterBuffer::new(JitterConfig::default());
        let mut player = Stiff::default();
        let (mut sent, mut most) = (0, 0);
        for pull in 0..600_u64 {
            let now = Duration::from_millis(pull * 10);
            // A burst of half a second, then evenly: far too deep, so that cuts are asked for.
            while sent * 2 <= pull.max(16) && pull >= 8 {
                buffer.insert(now, &frame_at(sent, 1_000 + sent * 8, 8));
                sent += 1;
            }
            serve(&mut buffer, now, 480, &mut player);
            assert!(player.queued >= 480);
            most = most.max(player.queued);
            player.queued -= 480;
        }
        assert!(player.decoded > 200 && player.asked > 10, "{} {}", player.decoded, player.asked);
        assert!((1_440..=2_400).contains(&most), "{most}");
    }

    #[test]
    fn nobody_there_is_one_operation_a_block() {
        let mut buffer = JitterBuffer::new(JitterConfig::default());
        let mut player = Stiff::default();
        serve(&mut buffer, Duration::ZERO, BLOCK_MAX, &mut player);
        assert_eq!((player.queued, player.decoded), (BLOCK_MAX, 0));
    }
}
