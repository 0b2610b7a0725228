//! Follows a replay and notes each stretch of time in which the listener did not hear what was said.

use super::device::{Behaviour, Device};
use super::player::Happened;
use protocol::jitter::{Cause, JitterBuffer};

/// Stretches closer together than this are one.
const STRETCH_GAP_US: i64 = 500_000;
/// Stretching of less than this in all, 40 ms, is not worth a line.
const STRETCH_MIN: u32 = 1_920;

/// Sound that was made up without a break.
#[derive(Clone, Debug)]
pub(super) struct MadeUp {
    pub(super) began_us: i64,
    pub(super) samples: usize,
    /// Samples by what the buffer thought at the time, in the order of [`Cause`].
    pub(super) thought: [usize; 5],
    /// The packet played before.
    pub(super) last: Option<u64>,
    /// The packet played, or rebuilt, after; `None` if silence came first.
    pub(super) next: Option<u64>,
    pub(super) target_ms: f32,
    /// Of the last frame played.
    pub(super) depth_ms: f32,
    pub(super) device: Behaviour,
}

/// Frames thrown away so as to catch up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Skipped {
    pub(super) at_us: i64,
    pub(super) frames: u64,
    pub(super) target_ms: f32,
    pub(super) depth_ms: f32,
}

/// Stretching in one direction.
#[derive(Clone, Copy, Debug)]
pub(super) struct StretchRun {
    pub(super) began_us: i64,
    pub(super) ended_us: i64,
    /// More than 0: inserted.
    pub(super) samples: i32,
    pub(super) target_ms: f32,
    pub(super) depth_ms: f32,
}

/// What the listener noticed.
#[derive(Default)]
pub(super) struct Watch {
    pub(super) made_up: Vec<MadeUp>,
    pub(super) skipped: Vec<Skipped>,
    pub(super) stretched: Vec<StretchRun>,
    current: Option<MadeUp>,
    last: Option<u64>,
    dropped: u64,
    stretching: Option<StretchRun>,
}

impl Watch {
    /// A pull was served.
    pub(super) fn on_pull(
        &mut self,
        at_us: i64,
        happened: &[Happened],
        buffer: &JitterBuffer,
        device: &Device,
    ) {
        for event in happened {
            match *event {
                Happened::Played(sequence) | Happened::Rebuilt(sequence) => {
                    self.end(Some(sequence));
                    self.last = Some(sequence);
                }
                Happened::MadeUp(samples, cause) => {
                    let last = self.last;
                    let current = self.current.get_or_insert_with(|| {
                        let report = buffer.report();
                        MadeUp {
                            began_us: at_us,
                            samples: 0,
                            thought: [0; 5],
                            last,
                            next: None,
                            target_ms: report.target_ms,
                            depth_ms: report.depth_ms,
                            device: Behaviour::default(),
                        }
                    });
                    current.samples += samples;
                    let seen = device.behaviour(at_us);
                    current.device.early = seen.early.or(current.device.early);
                    current.device.stalled = seen.stalled.or(current.device.stalled);
                    current.thought[cause as usize] += samples;
                }
                Happened::Silent => self.end(None),
                Happened::Stretched(samples) => self.stretch(at_us, samples, buffer),
            }
        }
    }

    /// Looks for frames that were thrown away. To be called now and then, as a report costs more than a pull.
    pub(super) fn look(&mut self, at_us: i64, buffer: &JitterBuffer) {
        let report = buffer.report();
        let frames = report.dropped - self.dropped;
        self.dropped = report.dropped;
        if frames > 0 {
            let (target_ms, depth_ms) = (report.target_ms, report.depth_ms);
            self.skipped.push(Skipped { at_us, frames, target_ms, depth_ms });
        }
    }

    /// The call is over.
    pub(super) fn finish(&mut self) {
        self.end(None);
        self.end_stretching();
    }

    fn end(&mut self, next: Option<u64>) {
        if let Some(mut current) = self.current.take() {
            current.next = next;
            self.made_up.push(current);
        }
    }

    fn stretch(&mut self, at_us: i64, samples: i32, buffer: &JitterBuffer) {
        let goes_on = |run: &StretchRun| {
            run.samples.signum() == samples.signum() && at_us.saturating_sub(run.ended_us) <= STRETCH_GAP_US
        };
        if !self.stretching.as_ref().is_some_and(goes_on) {
            self.end_stretching();
        }
        let report = buffer.report();
        let run = self.stretching.get_or_insert(StretchRun {
            began_us: at_us,
            ended_us: at_us,
            samples: 0,
            target_ms: report.target_ms,
            depth_ms: report.depth_ms,
        });
        run.samples = run.samples.saturating_add(samples);
        run.ended_us = at_us;
        run.target_ms = report.target_ms;
    }

    fn end_stretching(&mut self) {
        self.stretched.extend(self.stretching.take().filter(|run| run.samples.unsigned_abs() >= STRETCH_MIN));
    }
}

/// Samples of a run by cause.
pub(super) fn thought(run: &MadeUp, cause: Cause) -> usize {
    run.thought[cause as usize]
}
