//! The jitter buffer of one peer: takes frames as they come, says what to play next.
//!
//! It decides and counts; decoding, concealing and stretching are done by whoever asks. It reads no clock
//! and draws no random number, so it runs live, in virtual time and under a fuzzer alike. After
//! [`JitterBuffer::new`] nothing allocates.
//!
//! Before the first frame it is idle. A talkspurt starts when its first frame has waited for the target
//! depth, and then runs at the pace of the device: a missing frame with later ones here is lost, and
//! playout goes on without it; with nothing later here, playout stands still and sound is made up until
//! a frame comes or silence is assumed. A gap in media time without one in sequence numbers is silence,
//! never loss.
//!
//! The parts: `packets` (what waits), `delay`, `stalls` and `loss` (what the path does), `target` (how deep to be),
//! `pulls` (when our device asks), `depth` (moving there), `playout` (the next operation), `serve` (asking until a block
//! is full). Left out: deep redundancy (DRED).

mod decision;
mod delay;
mod depth;
mod fec;
mod histogram;
mod loss;
mod packets;
mod playout;
#[cfg(test)]
mod properties;
mod pulls;
mod report;
#[cfg(test)]
mod scenario;
mod sequence;
mod serve;
mod stalls;
mod target;
mod window;

pub use decision::{Decision, Stretch};
pub use fec::has_fec;
pub use loss::PathLoss;
pub use report::{Cause, Concealed, Report};
pub use serve::{BLOCK_MAX, OPERATIONS_MAX, Player, nominal_samples, serve};

use crate::media::{Frame, FrameOrigin, TICKS_PER_SECOND};
use delay::{DelayHistory, Plausibility};
use depth::Depth;
use loss::LossCounter;
use packets::{Packets, Stored};
use playout::Playout;
use pulls::Pulls;
use sequence::SeenSequences;
use std::time::Duration;
use target::Target;

/// Bounds of the depth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JitterConfig {
    /// Never shallower than this: below it, one's own scheduling makes frames late.
    pub target_min: Duration,
    /// Never deeper than this: above it a conversation is impossible anyway.
    pub target_max: Duration,
    /// Added to what the path asks for, within the bounds, in microseconds; 0 but in experiments.
    pub target_shift_us: i64,
}

impl Default for JitterConfig {
    fn default() -> Self {
        Self {
            target_min: Duration::from_millis(4),
            target_max: Duration::from_millis(400),
            target_shift_us: 0,
        }
    }
}

/// What became of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inserted {
    /// It waits for its turn.
    Queued,
    /// It waits for its turn; the buffer was full and its oldest frame was dropped.
    DisplacedOldest,
    /// It, or a copy of it, was here before.
    Duplicate,
    /// Its moment has passed.
    Late,
    /// It is no possible frame: without duration, without payload, or with a time beyond all sense.
    Malformed,
    /// Its time does not fit the stream; should more like it come, the stream restarts.
    Implausible,
    /// The sender began anew, and this is where its new stream starts.
    StreamRestarted,
}

/// The jitter buffer of one peer. All times are since one arbitrary start, on one steady clock.
pub struct JitterBuffer {
    config: JitterConfig,
    packets: Packets,
    seen: SeenSequences,
    delay: DelayHistory,
    loss: LossCounter,
    target: Target,
    /// What `target` found, and when.
    found_us: i64,
    found_at_us: i64,
    pulls: Pulls,
    depth: Depth,
    playout: Playout,
    report: Report,
    /// The latest time given; time never runs backwards in here.
    now_us: i64,
    path_switch_until_us: i64,
}

impl JitterBuffer {
    /// Allocates all that will ever be needed, about 60 KiB.
    pub fn new(config: JitterConfig) -> Self {
        Self {
            config,
            packets: Packets::new(),
            seen: SeenSequences::new(),
            delay: DelayHistory::new(),
            loss: LossCounter::default(),
            target: Target::new(),
            found_us: 0,
            found_at_us: i64::MIN / 2,
            pulls: Pulls::new(),
            depth: Depth::new(),
            playout: Playout::new(),
            report: Report::default(),
            now_us: 0,
            path_switch_until_us: i64::MIN,
        }
    }

    /// Takes a frame that has come at `now`.
    pub fn insert(&mut self, now: Duration, frame: &Frame) -> Inserted {
        let now_us = self.clock(now);
        if !well_formed(frame) {
            self.report.implausible += 1;
            return Inserted::Malformed;
        }
        let raw_us = now_us - end_us(frame);
        // Copies come several to a packet, so only the frames themselves speak for a new stream.
        let judged = match frame.origin {
            FrameOrigin::Primary => self.delay.judge(raw_us),
            FrameOrigin::Redundant if self.delay.fits(raw_us) => Plausibility::Plausible,
            FrameOrigin::Redundant => Plausibility::Implausible,
        };
        if judged == Plausibility::Implausible {
            self.report.implausible += 1;
            return Inserted::Implausible;
        }
        let restarted = judged == Plausibility::Restart;
        if restarted {
            self.restart();
        }
        if !self.seen.insert(frame.sequence) {
            // A copy of what is known is no news.
            self.report.duplicates += u64::from(frame.origin == FrameOrigin::Primary);
            return Inserted::Duplicate;
        }
        match frame.origin {
            FrameOrigin::Primary => {
                self.report.received += 1;
                self.delay.observe(now_us, end_us(frame));
                self.loss.on_arrived(frame.sequence);
                let before = frame.sequence.wrapping_sub(1);
                if has_fec(frame.payload.as_slice()) && self.seen.lacks(before) {
                    self.delay.observe_recovered(now_us, ticks_us(frame.time.0));
                }
            }
            // Its delay says how far back copies are sent, nothing about the path.
            FrameOrigin::Redundant => self.delay.observe_recovered(now_us, end_us(frame)),
        }
        self.find_target(now_us);
        if self.playout.has_passed(frame) {
            if frame.origin == FrameOrigin::Primary {
                self.playout.on_late(frame, &mut self.report);
            }
            return Inserted::Late;
        }
        match self.packets.insert(frame) {
            Stored::Queued if restarted => Inserted::StreamRestarted,
            Stored::Queued => {
                self.note_recovered(frame);
                Inserted::Queued
            }
            Stored::DisplacedOldest => {
                self.note_recovered(frame);
                self.report.dropped += 1;
                self.playout.on_displaced(self.packets.first());
                Inserted::DisplacedOldest
            }
            Stored::Duplicate => {
                if frame.origin == FrameOrigin::Primary {
                    self.report.received -= 1;
                    self.report.duplicates += 1;
                }
                Inserted::Duplicate
            }
            Stored::OlderThanAll => {
                self.report.late += 1;
                Inserted::Late
            }
        }
    }

    /// Announces that the device asks for `samples` at 48 kHz; the calls of [`Self::next`] that follow serve
    /// it. Without this the buffer works too, but adapts less well to the device's blocks.
    pub fn on_pull(&mut self, now: Duration, samples: usize) {
        let now_us = self.clock(now);
        if self.pulls.on_pull(now_us, samples) {
            self.depth.forget();
        }
    }

    /// The next operation. `queued_samples` are decoded but not yet played, at 48 kHz.
    pub fn next(&mut self, now: Duration, queued_samples: usize) -> Decision {
        let now_us = self.clock(now);
        self.decide(now_us, queued_samples)
    }

    /// Whether the frame that follows what was last handed out is here, so that decoding ahead would
    /// neither conceal nor skip.
    pub fn is_next_ready(&self) -> bool {
        self.packets.first().is_some_and(|first| self.playout.expects(first))
    }

    /// How much was removed (negative) or inserted by following a [`Stretch`], in samples at 48 kHz.
    pub fn on_stretched(&mut self, now: Duration, samples: i32) {
        if samples == 0 {
            return;
        }
        let now_us = self.clock(now);
        let amount = samples.unsigned_abs() as usize;
        let time = Duration::from_micros(pulls::samples_us(amount as u64) as u64);
        if samples > 0 {
            self.report.expanded += time;
        } else {
            self.report.accelerated += time;
        }
        self.depth.on_stretched(now_us, amount);
    }

    /// The path to the peer has just been changed: delay may shift, and what is missing for the next second
    /// has this cause.
    pub fn on_path_switch(&mut self, now: Duration) {
        let now_us = self.clock(now);
        self.delay.expect_step(now_us);
        self.path_switch_until_us = now_us + 1_000_000;
    }

    /// Counters and present state.
    pub fn report(&self) -> Report {
        let mut report = self.report;
        report.target_ms = self.target_us() as f32 / 1e3;
        report.jitter_ms = self.delay.fast.quantile_us(0.95) as f32 / 1e3;
        report.waiting = self.packets.len();
        report
    }

    /// What the path lost, before anything was done about it: counted since the buffer was made, of packets so long ago
    /// that they would have come.
    pub fn path_loss(&self) -> PathLoss {
        self.loss.total()
    }

    /// Whether a talkspurt is being played.
    pub fn in_talkspurt(&self) -> bool {
        self.playout.in_talkspurt()
    }

    fn note_recovered(&mut self, frame: &Frame) {
        if frame.origin == FrameOrigin::Redundant {
            self.report.lost += 1;
            self.report.recovered += 1;
        }
    }

    /// Weighs the depths anew, once in a while.
    fn find_target(&mut self, now_us: i64) {
        if now_us - self.found_at_us >= TARGET_INTERVAL_US {
            self.found_at_us = now_us;
            self.found_us = self.target.find_us(&self.delay.fast, &self.delay.stalls);
        }
    }

    fn target_us(&self) -> i64 {
        let slow_us = self.delay.slow.quantile_us(SLOW_SHARE);
        let wanted_us = self.found_us.max(slow_us.min(self.found_us + SLOW_LIFT_US)) + MARGIN_US;
        let least = self.config.target_min.as_micros() as i64;
        let most = (self.config.target_max.as_micros() as i64).max(least);
        wanted_us.saturating_add(self.config.target_shift_us).clamp(least, most)
    }

    fn restart(&mut self) {
        self.report.restarts += 1;
        self.report.dropped += self.packets.len() as u64;
        self.packets.clear();
        self.seen = SeenSequences::new();
        self.delay.restart();
        self.depth.forget();
        self.playout.restart();
    }

    fn clock(&mut self, now: Duration) -> i64 {
        // Capped at 30,000 years, so that sums with media times cannot overflow.
        let now_us = now.as_micros().min(1 << 60) as i64;
        self.now_us = self.now_us.max(now_us);
        self.now_us
    }
}

/// How often the target is weighed: a packet or two.
const TARGET_INTERVAL_US: i64 = 20_000;
/// The slow memory may hold the target up by this much only: enough to meet jitter's return halfway, too
/// little to make a call pay for long for what has ended.
const SLOW_LIFT_US: i64 = 5_000;
const SLOW_SHARE: f32 = 0.97;
/// Histograms are exact to 1 ms, the engine's own timing to about as much.
const MARGIN_US: i64 = 2_000;

/// Media time beyond this, 89,000 years, would overflow microseconds in 64 bits.
const TIME_MAX: u64 = 1 << 50;
/// 60 ms, the longest Opus frame.
const FRAME_TICKS_MAX: u8 = 24;

fn well_formed(frame: &Frame) -> bool {
    let carries = !frame.payload.as_slice().is_empty() || frame.talkspurt_end;
    carries && (1..=FRAME_TICKS_MAX).contains(&frame.ticks) && frame.time.0 < TIME_MAX
}

/// Media time of the frame's end, the earliest at which it can have been sent.
fn end_us(frame: &Frame) -> i64 {
    ticks_us(end(frame))
}

/// Media time of the frame's end in ticks.
fn end(frame: &Frame) -> u64 {
    frame.time.0 + u64::from(frame.ticks)
}

fn ticks_us(ticks: u64) -> i64 {
    (ticks * (1_000_000 / TICKS_PER_SECOND)) as i64
}
