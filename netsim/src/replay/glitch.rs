//! Why sound was made up, left out or stretched: in words, with the evidence.
//!
//! The live buffer has to name a cause while the packet in question may still come; here all arrivals are known, so
//! what is said is what was the case: lost means that it never came, late by how much, and how much more depth would
//! have been enough. The buffer's own account by cause stands in the summary.

use super::log::{Input, What};
use super::watch::{MadeUp, Skipped, StretchRun, thought};
use protocol::jitter::Cause;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// Nothing for so long is a standstill, not jitter: 60 ms, as the buffer has it.
const STALL_MIN_US: i64 = 60_000;
/// Packets within this of the first after a standstill came with it.
const AT_ONCE_US: i64 = 10_000;
const SAMPLES_PER_MS: f64 = 48.0;

/// What kind of glitch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Packets that never came.
    Lost,
    /// Packets that came after their moment.
    Late,
    /// Nothing came at all for a while.
    Stall,
    /// Our own device asked too early.
    OwnDevice,
    /// The path was just being changed.
    PathSwitch,
    /// Sound was left out, so as to catch up.
    Skipped,
    /// Sound was cut out in small pieces, which is seldom heard.
    Faster,
    /// Sound was inserted in small pieces, which is seldom heard.
    Slower,
}

impl Why {
    /// Whether this is heard as a glitch; stretching usually is not.
    pub fn is_heard(self) -> bool {
        !matches!(self, Self::Faster | Self::Slower)
    }
}

/// A moment at which the listener did not hear what was said, or not at the speed at which it was said.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Glitch {
    /// When it began, in seconds since the start of the program.
    pub start_s: f64,
    /// Sound made up, left out, cut out or inserted, in milliseconds.
    pub duration_ms: f64,
    /// What kind.
    pub why: Why,
    /// What happened and how that is known.
    pub evidence: String,
    /// The first and last packet that was missing, if any was.
    pub packets: Option<(u64, u64)>,
    /// How much deeper than [`Self::depth_ms`] the buffer would have had to be, in milliseconds, if depth could have
    /// helped.
    pub more_depth_ms: Option<f64>,
    /// The depth that the buffer aimed at when it began, in milliseconds.
    pub target_ms: f32,
    /// The depth that it had, in milliseconds: from a frame's fastest possible arrival to the moment it is needed.
    pub depth_ms: f32,
}

impl fmt::Display for Glitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.why {
            Why::Lost | Why::Late | Why::Stall | Why::OwnDevice | Why::PathSwitch => "made up",
            Why::Skipped => "left out",
            Why::Faster => "cut out",
            Why::Slower => "inserted",
        };
        write!(f, "{:.3} s: {} ms {what}: {}", self.start_s, round(self.duration_ms), self.evidence)
    }
}

/// When packets came.
pub(super) struct Arrivals {
    /// The first arrival of each primary frame.
    by_sequence: BTreeMap<u64, i64>,
    in_time: Vec<i64>,
    /// Delay above the fastest path, of those that have one.
    above_us: BTreeMap<u64, i64>,
}

impl Arrivals {
    /// `above_us`: see `path::above_us`.
    pub(super) fn new(inputs: &[Input], above_us: &[Option<i64>]) -> Self {
        let (mut by_sequence, mut above) = (BTreeMap::new(), BTreeMap::new());
        let mut in_time = Vec::new();
        for (input, above_us) in inputs.iter().zip(above_us) {
            let What::Frame(frame) = input.what else { continue };
            if !frame.copy {
                let at_us = input.at_us.min(i64::MAX as u64) as i64;
                by_sequence.entry(frame.sequence).or_insert(at_us);
                above.extend(above_us.map(|us| (frame.sequence, us)));
                in_time.push(at_us);
            }
        }
        in_time.sort_unstable();
        Self { by_sequence, in_time, above_us: above }
    }

    /// The last arrival up to this moment, the first after it, and how many came with that one.
    fn around(&self, at_us: i64) -> (Option<i64>, Option<i64>, usize) {
        let after = self.in_time.partition_point(|at| *at <= at_us);
        let before = after.checked_sub(1).map(|index| self.in_time[index]);
        let first = self.in_time.get(after).copied();
        let together = first.map_or(0, |first| {
            self.in_time[after..].partition_point(|at| at.saturating_sub(first) <= AT_ONCE_US)
        });
        (before, first, together)
    }
}

/// Says why sound was made up.
pub(super) fn of_made_up(run: &MadeUp, arrivals: &Arrivals, frame_us: i64) -> Glitch {
    let missing = Missing::of(run, arrivals, frame_us);
    let own = thought(run, Cause::OwnUnderrun);
    let (why, evidence, more_depth_us) = if thought(run, Cause::PathSwitch) * 2 > run.samples {
        (Why::PathSwitch, format!("the path was just being changed{}", missing.also()), None)
    } else if own * 2 > run.samples {
        (Why::OwnDevice, own_device(run), None)
    } else {
        missing.explain(run, arrivals)
    };
    Glitch {
        start_s: run.began_us as f64 / 1e6,
        duration_ms: run.samples as f64 / SAMPLES_PER_MS,
        why,
        evidence,
        packets: missing.range.map(|(first, last)| (shown(first), shown(last))),
        more_depth_ms: more_depth_us.map(|us| us as f64 / 1e3),
        target_ms: run.target_ms,
        depth_ms: run.depth_ms,
    }
}

fn own_device(run: &MadeUp) -> String {
    let ms = |time: std::time::Duration| round(time.as_secs_f64() * 1e3);
    match (run.device.stalled, run.device.early) {
        (Some(stalled), _) => {
            format!("our own device asked for it after standing still for {} ms", ms(stalled))
        }
        (None, Some(early)) => format!("our own device asked {} ms earlier than it used to", ms(early)),
        (None, None) => {
            "our own device asked before even the fastest packet could have brought it".to_owned()
        }
    }
}

/// The packets between those played before and after.
struct Missing {
    range: Option<(u64, u64)>,
    lost: u64,
    /// (packet, microseconds after its moment)
    late: Vec<(u64, i64)>,
    /// The same of the one that was played in the end.
    next: Option<(u64, i64)>,
}

impl Missing {
    fn of(run: &MadeUp, arrivals: &Arrivals, frame_us: i64) -> Self {
        // The first that is missing was needed when sound began to be made up, the others one after the other.
        let first = run.last.map_or(0, |last| last.saturating_add(1));
        let late_us = |sequence: u64, at: i64| {
            let before = i64::try_from(sequence.saturating_sub(first)).unwrap_or(i64::MAX);
            at.saturating_sub(run.began_us.saturating_add(before.saturating_mul(frame_us)))
        };
        let played = run.next.and_then(|next| Some((next, late_us(next, *arrivals.by_sequence.get(&next)?))));
        let between = run.last.zip(run.next).filter(|(last, next)| next.saturating_sub(*last) > 1);
        let Some((last, next)) = between else {
            return Self { range: None, lost: 0, late: Vec::new(), next: played };
        };
        let came = arrivals.by_sequence.range(last + 1..next);
        // What had come and is missing all the same was thrown away, which is told apart.
        let (in_time, late): (Vec<_>, Vec<_>) = came.partition(|(_, at)| **at <= run.began_us);
        let lost = next - last - 1 - (in_time.len() + late.len()) as u64;
        let late = late.into_iter().map(|(sequence, at)| (*sequence, late_us(*sequence, *at))).collect();
        Self { range: Some((last + 1, next - 1)), lost, late, next: played }
    }

    fn also(&self) -> String {
        match self.range {
            Some(range) => format!("; {} missing", packets(range, "is", "are")),
            None => String::new(),
        }
    }

    fn explain(&self, run: &MadeUp, arrivals: &Arrivals) -> (Why, String, Option<i64>) {
        let (before, after, together) = arrivals.around(run.began_us);
        let standstill = before.zip(after).map(|(before, after)| after - before);
        // Of several the latest decides on the depth that would have saved all.
        let worst = self.late.iter().max_by_key(|(_, late_us)| *late_us);
        match (self.range, worst) {
            (Some(range), None) if self.lost > 0 => {
                let waited = thought(run, Cause::SenderStalled) > 0;
                let here = if waited { "nothing later was here yet either" } else { "later ones were here" };
                (Why::Lost, format!("{} lost ({here})", packets(range, "was", "were")), None)
            }
            // With later ones coming all the time nothing stood still: this one alone was late.
            (_, Some((sequence, late_us)))
                if *late_us <= STALL_MIN_US || standstill.is_some_and(|time| time < STALL_MIN_US) =>
            {
                self.explain_late(*sequence, *late_us, run, arrivals)
            }
            _ => match (self.next, standstill) {
                (Some((next, late_us)), _) if (1..=STALL_MIN_US).contains(&late_us) => {
                    self.explain_late(next, late_us, run, arrivals)
                }
                (_, Some(standstill)) if standstill >= STALL_MIN_US => {
                    let then = if together == 1 { "packet" } else { "packets" };
                    let words = format!(
                        "nothing came for {} ms: the sender or the path stood still, then {together} {then} came at once{}",
                        round(standstill as f64 / 1e3),
                        self.also()
                    );
                    (Why::Stall, words, None)
                }
                (None, None) => {
                    (Why::Stall, "nothing came any more: the peer left, or its path broke".to_owned(), None)
                }
                (_, _) => (
                    Why::Stall,
                    format!("no packet was here, and no later one told why{}", self.also()),
                    None,
                ),
            },
        }
    }

    /// A packet that was no slower than the buffer was ready for is late only because our own device was early.
    fn explain_late(
        &self,
        sequence: u64,
        late_us: i64,
        run: &MadeUp,
        arrivals: &Arrivals,
    ) -> (Why, String, Option<i64>) {
        let early = run.device.early.filter(|early| early.as_micros() as i64 + AT_ONCE_US >= late_us);
        let above_us = arrivals.above_us.get(&sequence).copied();
        let punctual = above_us.is_some_and(|above| above as f32 / 1e3 <= run.target_ms);
        match early {
            Some(early) if punctual => {
                let words = format!(
                    "our own device asked {} ms earlier than it used to: packet {} was as fast as expected, and \
                     came {} ms after that",
                    round(early.as_secs_f64() * 1e3),
                    shown(sequence),
                    round(late_us as f64 / 1e3),
                );
                (Why::OwnDevice, words, Some(late_us))
            }
            _ => (Why::Late, self.late_words(sequence, late_us, run), Some(late_us)),
        }
    }

    fn late_words(&self, sequence: u64, late_us: i64, run: &MadeUp) -> String {
        let ms = round(late_us as f64 / 1e3);
        let others = match (self.late.len(), self.lost) {
            (0 | 1, 0) => String::new(),
            (0 | 1, lost) => format!(", and {lost} more never came"),
            (late, 0) => format!(", the last of {late} that were late"),
            (late, lost) => format!(", the last of {late} that were late, and {lost} more never came"),
        };
        format!(
            "late: packet {} came {ms} ms after its moment{others}; the buffer was {} ms deep, aiming at {} ms; \
             {ms} ms more would have saved it",
            shown(sequence),
            round(f64::from(run.depth_ms)),
            round(f64::from(run.target_ms)),
        )
    }
}

/// Says why sound was left out.
pub(super) fn of_skipped(skipped: &Skipped, frame_ms: f64) -> Glitch {
    let frames = if skipped.frames == 1 { "frame was" } else { "frames were" };
    let depth = round(f64::from(skipped.depth_ms));
    Glitch {
        start_s: skipped.at_us as f64 / 1e6,
        duration_ms: skipped.frames as f64 * frame_ms,
        why: Why::Skipped,
        evidence: format!(
            "{} {frames} thrown away to catch up: far more had come than the target of {} ms; it is {depth} ms deep now",
            skipped.frames,
            round(f64::from(skipped.target_ms)),
        ),
        packets: None,
        more_depth_ms: None,
        target_ms: skipped.target_ms,
        depth_ms: skipped.depth_ms,
    }
}

/// Says why the speed was another.
pub(super) fn of_stretched(run: &StretchRun) -> Glitch {
    let (why, state) = if run.samples > 0 { (Why::Slower, "too shallow") } else { (Why::Faster, "too deep") };
    Glitch {
        start_s: run.began_us as f64 / 1e6,
        duration_ms: f64::from(run.samples.unsigned_abs()) / SAMPLES_PER_MS,
        why,
        evidence: format!(
            "within {} ms, because the buffer was {state} for its target of {} ms",
            round((run.ended_us - run.began_us) as f64 / 1e3),
            round(f64::from(run.target_ms)),
        ),
        packets: None,
        more_depth_ms: None,
        target_ms: run.target_ms,
        depth_ms: run.depth_ms,
    }
}

fn packets((first, last): (u64, u64), one: &str, many: &str) -> String {
    let (first, last) = (shown(first), shown(last));
    if first == last { format!("packet {first} {one}") } else { format!("packets {first}-{last} {many}") }
}

/// A packet's number as its sender counts: the depacketizer unwraps counters from a high start.
pub(super) fn shown(sequence: u64) -> u64 {
    sequence & 0xffff_ffff
}

/// To a tenth, without a zero behind the point.
fn round(ms: f64) -> f64 {
    (ms * 10.0).round() / 10.0
}
