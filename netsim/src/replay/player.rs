//! Performs what the buffer decides, without sound: it counts samples and tells what happened.

use super::log::Note;
use protocol::jitter::{BLOCK_MAX, Cause, Decision, Player, Stretch, nominal_samples};
use protocol::media::TICK_SAMPLES;

/// Beyond this a live queue would drop sound; it never comes near.
const QUEUED_MAX: usize = 1 << 20;
/// A plausible pitch period where none is known, 5 ms: a voice of 200 Hz.
const PERIOD: usize = 240;
/// The live stretcher's crossfade, which must be queued besides what is cut.
const CROSSFADE: usize = 240;

/// One operation, as far as a listener would notice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Happened {
    /// This packet's frame was played.
    Played(u64),
    /// The frame of this packet was rebuilt from the one after it.
    Rebuilt(u64),
    /// Sound was made up, in samples, for what was then thought to be the cause.
    MadeUp(usize, Cause),
    /// The sender was silent, or taken to be gone.
    Silent,
    /// Samples were inserted, or removed.
    Stretched(i32),
}

/// Where stretches come from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stretching {
    /// From the log.
    Logged,
    /// By one period of so many samples, whenever asked for.
    Modelled {
        /// See [`usual_period`].
        period: usize,
    },
}

pub(super) struct CountingPlayer<'a> {
    stretching: Stretching,
    queued: usize,
    /// What the log says of the pull going on.
    notes: &'a [Note],
    operation: u8,
    /// What happened in the pull going on.
    pub(super) happened: Vec<Happened>,
    /// Whether the last operation was sound: it fades out before a silence.
    sounding: bool,
}

impl<'a> CountingPlayer<'a> {
    pub(super) fn new(stretching: Stretching) -> Self {
        Self { stretching, queued: 0, notes: &[], operation: 0, happened: Vec::new(), sounding: false }
    }

    /// A pull begins, of which the log says this.
    pub(super) fn begin(&mut self, notes: &'a [Note]) {
        self.notes = notes;
        self.operation = 0;
        self.happened.clear();
    }

    /// The pull ends: the device takes its samples.
    pub(super) fn pop(&mut self, samples: usize) {
        self.queued = self.queued.saturating_sub(samples);
    }

    fn note(&self, operation: u8) -> Option<&'a Note> {
        self.notes.iter().find(|note| note.operation == operation)
    }

    fn yields(&self, decision: &Decision, block: usize) -> usize {
        let nominal = nominal_samples(decision, block, self.queued);
        match self.stretching {
            Stretching::Logged => self
                .note(self.operation)
                .and_then(|note| note.yielded)
                .map_or(nominal, |yielded| yielded as usize),
            Stretching::Modelled { .. } => {
                let silent = matches!(decision, Decision::Silence { .. } | Decision::Idle);
                if silent && self.sounding { TICK_SAMPLES } else { nominal }
            }
        }
    }
}

impl Player for CountingPlayer<'_> {
    fn queued(&self) -> usize {
        self.queued
    }

    fn perform(&mut self, decision: &Decision, block: usize) {
        let yielded = self.yields(decision, block);
        self.queued = (self.queued + yielded).min(QUEUED_MAX);
        self.sounding = !matches!(decision, Decision::Silence { .. } | Decision::Idle);
        self.operation += 1;
        self.happened.push(match decision {
            Decision::Decode { frame, .. } => Happened::Played(frame.sequence),
            Decision::DecodeFec { frame, .. } => Happened::Rebuilt(frame.sequence.wrapping_sub(1)),
            Decision::Conceal { cause, .. } => Happened::MadeUp(yielded, *cause),
            Decision::Silence { .. } | Decision::Idle => Happened::Silent,
        });
    }

    fn stretch(&mut self, stretch: Stretch) -> i32 {
        let wanted = match self.stretching {
            // Its operation was counted when it was performed.
            Stretching::Logged => self.note(self.operation - 1).map_or(0, |note| note.stretched),
            Stretching::Modelled { period } => modelled(stretch, self.queued, period),
        };
        // No more can be removed than there is.
        let moved = wanted.max(-(self.queued as i32));
        self.queued = self.queued.saturating_add_signed(moved as isize).min(QUEUED_MAX);
        if moved != 0 {
            self.happened.push(Happened::Stretched(moved));
        }
        moved
    }
}

/// The middle of what stretching moved a peer's voice by: its pitch period, mostly.
pub(super) fn usual_period(notes: &[Note]) -> usize {
    let mut moved: Vec<u32> =
        notes.iter().map(|note| note.stretched.unsigned_abs()).filter(|moved| *moved != 0).collect();
    moved.sort_unstable();
    // No more than a live queue ever holds, whatever a damaged log says.
    moved.get(moved.len() / 2).map_or(PERIOD, |moved| (*moved as usize).min(BLOCK_MAX))
}

fn modelled(stretch: Stretch, queued: usize, period: usize) -> i32 {
    match stretch {
        Stretch::Normal => 0,
        Stretch::Accelerate { samples_max, urgent: _ } => {
            if period <= samples_max && period + CROSSFADE <= queued { -(period as i32) } else { 0 }
        }
        Stretch::Expand { .. } => period as i32,
    }
}

#[cfg(test)]
mod tests {
    use super::{CountingPlayer, Note, Stretching, modelled, usual_period};
    use protocol::jitter::{Decision, Player, Stretch};

    #[test]
    fn what_the_log_says_of_an_operation_counts_and_of_others_the_nominal() {
        let notes = [Note { pull: 0, operation: 1, stretched: 0, yielded: Some(77) }];
        let mut player = CountingPlayer::new(Stretching::Logged);
        player.begin(&notes);
        for queued in [120, 197, 317] {
            player.perform(&Decision::Silence { ticks: 1 }, 480);
            assert_eq!(player.queued(), queued);
        }
    }

    #[test]
    fn modelled_stretches_are_by_the_period_that_the_log_shows() {
        let note = |stretched| Note { pull: 0, operation: 0, stretched, yielded: None };
        assert_eq!(usual_period(&[]), 240);
        let period = usual_period(&[note(0), note(343), note(-720), note(-341), note(0)]);
        assert_eq!(period, 343);
        let cut = |samples_max, queued| {
            modelled(Stretch::Accelerate { samples_max, urgent: false }, queued, period)
        };
        assert_eq!((cut(5_000, 2_000), cut(342, 2_000), cut(5_000, 500)), (-343, 0, 0));
        assert_eq!(modelled(Stretch::Expand { samples: 1_000, urgent: true }, 100, period), 343);
    }
}
