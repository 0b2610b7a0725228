//! The next operation, from what waits and what is due.

use super::decision::{Decision, Stretch};
use super::depth::Observation;
use super::fec::has_fec;
use super::pulls::samples_us;
use super::report::{Cause, Report};
use super::{JitterBuffer, end, end_us, ticks_us};
use crate::media::{Frame, TICK_SAMPLES};

/// 400 ms: after so much made-up sound the sender counts as silent.
const CONCEAL_TICKS_MAX: u32 = 160;
/// Sound is made up in pieces of at most 10 ms while nothing is known, the least that Opus conceals well.
const STARVED_TICKS: u8 = 4;
/// Up to 60 ms a frame is late; beyond, the sender, or everything on the path, stood still.
const LATE_TICKS_MAX: u32 = 24;
/// Sound that is late by no more than this is still played, and the delay worked off by stretching: what
/// was said is worth more than the delay for a moment. Beyond, it is skipped.
const CATCH_UP_US: i64 = 300_000;
/// What may be left after skipping.
const SKIPPED_TO_US: i64 = 20_000;
/// Lost frames remembered in case they come late after all.
const GIVEN_UP: usize = 32;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// No frame yet.
    Idle,
    /// Between talkspurts; the sender said so.
    Silent,
    /// Nothing has come for so long that the sender may be gone.
    Gone,
    Talking,
}

#[derive(Clone, Copy)]
struct GivenUp {
    sequence: u64,
    concealed_ticks: u64,
    cause: Cause,
}

/// Where playout stands.
pub(super) struct Playout {
    phase: Phase,
    /// Media time of the next sample to be handed out, in ticks; valid unless idle.
    playhead: u64,
    /// The packet last played or given up.
    last_sequence: Option<u64>,
    /// Duration of the frame last played.
    frame_ticks: u8,
    /// What is still to be bridged of the missing frame at the playhead.
    missing_ticks: u8,
    /// Sound made up while `playhead` stands still.
    starved_ticks: u32,
    /// The part of it counted as [`Cause::SenderStalled`] until more is known.
    unexplained_ticks: u32,
    /// Sound made up since the last frame was played.
    run_ticks: u32,
    given_up: [GivenUp; GIVEN_UP],
    given_up_next: usize,
}

impl Playout {
    pub(super) fn new() -> Self {
        let none = GivenUp { sequence: u64::MAX, concealed_ticks: 0, cause: Cause::LostOnPath };
        Self {
            phase: Phase::Idle,
            playhead: 0,
            last_sequence: None,
            frame_ticks: 8,
            missing_ticks: 8,
            starved_ticks: 0,
            unexplained_ticks: 0,
            run_ticks: 0,
            given_up: [none; GIVEN_UP],
            given_up_next: 0,
        }
    }

    pub(super) fn restart(&mut self) {
        *self = Self::new();
    }

    pub(super) fn in_talkspurt(&self) -> bool {
        self.phase == Phase::Talking
    }

    pub(super) fn has_passed(&self, frame: &Frame) -> bool {
        frame.time.0 < self.playhead
    }

    pub(super) fn expects(&self, frame: &Frame) -> bool {
        self.phase == Phase::Talking && frame.time.0 == self.playhead
    }

    pub(super) fn on_late(&mut self, frame: &Frame, report: &mut Report) {
        report.late += 1;
        for given_up in &mut self.given_up {
            if given_up.sequence == frame.sequence && frame.sequence != u64::MAX {
                report.lost = report.lost.saturating_sub(1);
                if given_up.cause == Cause::LostOnPath {
                    report.concealed.reclassify(Cause::LostOnPath, Cause::Late, given_up.concealed_ticks);
                }
                given_up.sequence = u64::MAX;
                return;
            }
        }
    }

    /// The oldest waiting frames are gone: playout goes on with what is oldest now.
    pub(super) fn on_displaced(&mut self, first: Option<&Frame>) {
        if let (Phase::Talking, Some(first)) = (self.phase, first) {
            self.skip_to(first);
        }
    }

    fn skip_to(&mut self, frame: &Frame) {
        self.playhead = self.playhead.max(frame.time.0);
        self.last_sequence = Some(frame.sequence.wrapping_sub(1));
    }

    /// Packets that are missing between the last one played and this.
    fn missing_before(&self, frame: &Frame) -> u64 {
        self.last_sequence.map_or(0, |last| frame.sequence.saturating_sub(last.saturating_add(1)))
    }

    fn give_up(&mut self, concealed_ticks: u64, cause: Cause, report: &mut Report) {
        let sequence = self.last_sequence.unwrap_or(0).wrapping_add(1);
        self.last_sequence = Some(sequence);
        self.given_up[self.given_up_next] = GivenUp { sequence, concealed_ticks, cause };
        self.given_up_next = (self.given_up_next + 1) % GIVEN_UP;
        self.missing_ticks = self.frame_ticks;
        report.lost += 1;
    }

    /// What was made up while nothing came is explained.
    fn settle(&mut self, cause: Cause, report: &mut Report) {
        report.concealed.reclassify(Cause::SenderStalled, cause, u64::from(self.unexplained_ticks));
        self.unexplained_ticks = 0;
        self.starved_ticks = 0;
    }
}

impl JitterBuffer {
    pub(super) fn decide(&mut self, now_us: i64, queued: usize) -> Decision {
        // Each round removes a frame or ends.
        loop {
            let decision = match self.playout.phase {
                Phase::Idle if self.packets.len() == 0 => Some(Decision::Idle),
                Phase::Idle => {
                    self.playout.phase = Phase::Silent;
                    continue;
                }
                Phase::Silent | Phase::Gone => self.decide_in_silence(now_us, queued),
                Phase::Talking => self.decide_in_talkspurt(now_us, queued),
            };
            if let Some(decision) = decision {
                return decision;
            }
        }
    }

    /// Silence until the first waiting frame has waited for the target; `None` to look again.
    fn decide_in_silence(&mut self, now_us: i64, queued: usize) -> Option<Decision> {
        let Some(first) = self.packets.first().copied() else { return Some(Decision::Silence { ticks: 1 }) };
        let keepalive = first.talkspurt_end && !first.talkspurt_start;
        let grid = self.pulls.grid(usize::from(first.ticks) * TICK_SAMPLES);
        // The frame must be there for the least favourable of its coming meetings with a block.
        let spread = self.pulls.block().saturating_sub(grid) + queued % grid;
        let spread_us = samples_us(spread as u64);
        let wanted_us = self.target_us() + spread_us;
        let waited_us = self.slack_us(now_us, &first) + samples_us(queued as u64);
        // Silence comes in ticks: the first of them on the grid is as close as one gets.
        if waited_us < wanted_us || queued % grid >= TICK_SAMPLES {
            return Some(Decision::Silence { ticks: 1 });
        }
        let excess_us = match self.playout.phase {
            Phase::Gone => SKIPPED_TO_US,
            Phase::Idle | Phase::Silent | Phase::Talking => CATCH_UP_US,
        };
        let too_old = waited_us > wanted_us + excess_us && self.packets.second().is_some();
        if too_old || keepalive {
            self.packets.remove_first();
            self.note_lost_silently(&first);
            self.playout.playhead = end(&first);
            self.playout.last_sequence = Some(first.sequence);
            self.report.dropped += u64::from(!keepalive);
            if keepalive {
                self.playout.phase = Phase::Silent;
            }
            return None;
        }
        self.note_lost_silently(&first);
        self.depth.forget();
        let playout = &mut self.playout;
        playout.phase = Phase::Talking;
        playout.skip_to(&first);
        playout.settle(Cause::SenderStalled, &mut self.report);
        playout.run_ticks = 0;
        None
    }

    /// Playing; `None` to look again.
    fn decide_in_talkspurt(&mut self, now_us: i64, queued: usize) -> Option<Decision> {
        let Some(first) = self.packets.first().copied() else { return Some(self.starve(now_us)) };
        if self.playout.has_passed(&first) {
            self.packets.remove_first();
            self.report.late += 1;
            return None;
        }
        if !self.playout.expects(&first) {
            return self.bridge(now_us, &first);
        }
        let late = self.playout.unexplained_ticks <= LATE_TICKS_MAX;
        let cause = if late { Cause::Late } else { Cause::SenderStalled };
        self.playout.settle(cause, &mut self.report);

        let slack_us = self.slack_us(now_us, &first);
        let target_us = self.target_us();
        if slack_us > target_us + CATCH_UP_US && self.packets.second().is_some() {
            self.skip_towards(now_us, target_us + SKIPPED_TO_US);
            return None;
        }
        Some(self.play(now_us, queued, slack_us, target_us, &first))
    }

    fn play(&mut self, now_us: i64, queued: usize, slack_us: i64, target_us: i64, frame: &Frame) -> Decision {
        self.packets.remove_first();
        self.note_lost_silently(frame);
        let playout = &mut self.playout;
        playout.playhead = end(frame);
        playout.last_sequence = Some(frame.sequence);
        playout.frame_ticks = frame.ticks;
        playout.missing_ticks = frame.ticks;
        playout.run_ticks = 0;
        if frame.talkspurt_end {
            playout.phase = Phase::Silent;
            if frame.payload.as_slice().is_empty() {
                return Decision::Silence { ticks: frame.ticks };
            }
        }
        self.report.decoded += 1;
        self.report.depth_ms = (slack_us + samples_us(queued as u64)) as f32 / 1e3;
        // With a whole block ready this is decoding ahead, which says nothing of when frames are needed.
        let needed = queued < self.pulls.block().max(1) || self.pulls.block() == 0;
        let stretch = if needed {
            let grid = self.pulls.grid(usize::from(frame.ticks) * TICK_SAMPLES);
            self.depth.advise(Observation { now_us, slack_us, queued }, target_us, grid)
        } else {
            Stretch::Normal
        };
        Decision::Decode { frame: *frame, stretch }
    }

    /// The frame at the playhead is missing and later ones are here: loss, or silence, or one then the other.
    fn bridge(&mut self, now_us: i64, first: &Frame) -> Option<Decision> {
        let missing = self.playout.missing_before(first);
        let gap = first.time.0 - self.playout.playhead;
        if missing == 0 {
            self.playout.settle(Cause::SenderStalled, &mut self.report);
            self.playout.phase = Phase::Silent;
            return None;
        }
        let cause = self.cause(now_us, Cause::LostOnPath);
        let ticks = u64::from(self.playout.missing_ticks).min(gap);
        if self.playout.starved_ticks > 0 {
            // What was made up while nothing came stands for the lost frame, or for its beginning.
            let covered = u64::from(self.playout.starved_ticks).min(ticks);
            let starved = self.playout.starved_ticks - covered as u32;
            let unexplained = self.playout.unexplained_ticks.min(covered as u32);
            self.report.concealed.reclassify(Cause::SenderStalled, cause, u64::from(unexplained));
            self.playout.unexplained_ticks -= unexplained;
            self.playout.starved_ticks = starved;
            self.playout.playhead += covered;
            if covered == ticks || gap == covered {
                self.give_up(u64::from(unexplained), cause);
            } else {
                self.playout.missing_ticks = (ticks - covered) as u8;
            }
            return None;
        }
        if gap == u64::from(first.ticks) && has_fec(first.payload.as_slice()) {
            self.playout.playhead = first.time.0;
            self.playout.run_ticks = 0;
            self.give_up(0, cause);
            self.report.recovered += 1;
            self.depth.forget();
            return Some(Decision::DecodeFec { frame: *first, ticks: first.ticks });
        }
        self.playout.playhead += ticks;
        let decision = self.conceal(ticks as u8, cause);
        let counted = if self.playout.in_talkspurt() { ticks } else { 0 };
        self.give_up(counted, cause);
        Some(decision)
    }

    /// Nothing is here: the sound stands still, and something is made up meanwhile.
    fn starve(&mut self, now_us: i64) -> Decision {
        let ticks = self.playout.frame_ticks.min(STARVED_TICKS);
        let next_end_us = ticks_us(self.playout.playhead + u64::from(self.playout.missing_ticks));
        let possible = now_us - next_end_us >= self.delay.envelope_us();
        let own = if possible { Cause::SenderStalled } else { Cause::OwnUnderrun };
        let cause = self.cause(now_us, own);
        let decision = self.conceal(ticks, cause);
        if self.playout.in_talkspurt() {
            self.playout.starved_ticks += u32::from(ticks);
            if cause == Cause::SenderStalled {
                self.playout.unexplained_ticks += u32::from(ticks);
            }
        }
        decision
    }

    fn give_up(&mut self, concealed_ticks: u64, cause: Cause) {
        self.playout.give_up(concealed_ticks, cause, &mut self.report);
    }

    fn conceal(&mut self, ticks: u8, cause: Cause) -> Decision {
        self.depth.forget();
        if self.playout.run_ticks >= CONCEAL_TICKS_MAX {
            self.playout.settle(Cause::SenderStalled, &mut self.report);
            self.playout.phase = Phase::Gone;
            return Decision::Silence { ticks };
        }
        self.playout.run_ticks += u32::from(ticks);
        self.report.concealed.add(cause, u64::from(ticks));
        Decision::Conceal { ticks, cause }
    }

    fn cause(&self, now_us: i64, otherwise: Cause) -> Cause {
        if now_us <= self.path_switch_until_us { Cause::PathSwitch } else { otherwise }
    }

    /// Throws frames away until the first has no more slack than this.
    fn skip_towards(&mut self, now_us: i64, slack_max_us: i64) {
        while let (Some(first), Some(second)) = (self.packets.first(), self.packets.second()) {
            if self.slack_us(now_us, first) <= slack_max_us {
                return;
            }
            let second = *second;
            self.packets.remove_first();
            self.report.dropped += 1;
            self.playout.playhead = second.time.0;
            self.note_lost_silently(&second);
            self.playout.last_sequence = Some(second.sequence.wrapping_sub(1));
        }
    }

    /// Counts packets that are missing before `frame` though no sound was made up for them.
    fn note_lost_silently(&mut self, frame: &Frame) {
        // A jump of sequence numbers without one of time is no loss to be believed at any size.
        self.report.lost += self.playout.missing_before(frame).min(64);
    }

    /// From a frame's fastest possible arrival to now, by the device's schedule.
    fn slack_us(&self, now_us: i64, frame: &Frame) -> i64 {
        self.pulls.scheduled_us(now_us) - end_us(frame) - self.delay.envelope_us()
    }
}
