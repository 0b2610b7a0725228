//! What came of a replay, for programs and, through `Display`, for people.

use super::glitch::{Glitch, Why};
use protocol::jitter::Report;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// A replayed call.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Replayed {
    /// What was changed; empty when nothing was.
    pub what_if: String,
    /// Records missing in the log because they could not be written in time.
    pub missing_records: u64,
    /// Where the log is cut short, in bytes.
    pub cut_at: Option<usize>,
    /// Each peer, in the order in which they came.
    pub peers: Vec<PeerReplay>,
}

/// One peer's part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PeerReplay {
    /// From 1, in the order in which peers came.
    pub number: usize,
    /// When it came, in seconds since the start of the program.
    pub from_s: f64,
    /// When it went.
    pub to_s: f64,
    /// Whether the buffer's counters came out as in the live call; `None` with a what-if, or when the log ends before
    /// the peer went.
    pub same_as_live: Option<bool>,
    /// The figures.
    pub summary: Summary,
    /// What went wrong, in order.
    pub glitches: Vec<Glitch>,
    /// The course of things, for plotting.
    pub series: Series,
    /// The buffer's own account.
    #[serde(skip)]
    pub report: Report,
}

/// A peer's figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Frames that came, copies and duplicates included.
    pub arrived: u64,
    /// Packets that never came in time.
    pub lost: u64,
    /// Of those, rebuilt from error correction.
    pub recovered: u64,
    /// Frames that came after their moment.
    pub late: u64,
    /// Frames thrown away.
    pub dropped: u64,
    /// How often the sender's stream began anew.
    pub restarts: u64,
    /// Sound made up, by the buffer's account of causes.
    pub concealed_ms: ConcealedMs,
    /// Sound inserted by stretching.
    pub expanded_ms: f64,
    /// Sound cut out by stretching.
    pub accelerated_ms: f64,
    /// The depth aimed at, while talking.
    pub target_ms: Spread,
    /// The depth there was, while talking.
    pub depth_ms: Spread,
    /// Glitches that are heard, per minute of the peer's presence.
    pub glitches_per_minute: f64,
    /// Heard glitches by kind.
    pub glitches: BTreeMap<Why, usize>,
}

/// Sound made up by cause, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct ConcealedMs {
    /// Later packets were here, this one was not.
    pub lost_on_path: f64,
    /// It came, but after its moment.
    pub late: f64,
    /// Nothing came.
    pub sender_stalled: f64,
    /// Our own device asked too early.
    pub own_underrun: f64,
    /// The path was changing.
    pub path_switch: f64,
    /// All together.
    pub total: f64,
}

/// The middle and the worse end of something.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Spread {
    /// Half of the time it was no more.
    pub median: f32,
    /// 95 % of the time it was no more.
    pub p95: f32,
}

/// The course of things.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Series {
    /// The buffer every 20 ms or so, while talking.
    pub buffer: Vec<BufferPoint>,
    /// Every packet that came.
    pub arrivals: Vec<ArrivalPoint>,
    /// Every pull for which sound was made up.
    pub concealed: Vec<ConcealedPoint>,
}

/// The buffer at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BufferPoint {
    /// When, in seconds since the start of the program.
    pub t_s: f64,
    /// The depth aimed at, in milliseconds.
    pub target_ms: f32,
    /// The depth of the last frame played.
    pub depth_ms: f32,
}

/// One packet.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ArrivalPoint {
    /// When it came, in seconds since the start of the program.
    pub t_s: f64,
    /// Its number, as its sender counts, modulo 2^32.
    pub sequence: u64,
    /// Its delay above the fastest of the six seconds before and after, in milliseconds.
    pub above_ms: Option<f32>,
}

/// Sound made up for one pull.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ConcealedPoint {
    /// When, in seconds since the start of the program.
    pub t_s: f64,
    /// How much.
    pub ms: f64,
}

pub(super) fn summarise(
    report: &Report,
    glitches: &[Glitch],
    series: &Series,
    (from_s, to_s): (f64, f64),
) -> Summary {
    let ms = |time: std::time::Duration| time.as_secs_f64() * 1e3;
    let concealed = &report.concealed;
    let mut by_kind = BTreeMap::new();
    for glitch in glitches.iter().filter(|glitch| glitch.why.is_heard()) {
        *by_kind.entry(glitch.why).or_insert(0) += 1;
    }
    let minutes = (to_s - from_s) / 60.0;
    let heard = by_kind.values().sum::<usize>() as f64;
    Summary {
        arrived: report.received + report.duplicates + report.implausible,
        lost: report.lost,
        recovered: report.recovered,
        late: report.late,
        dropped: report.dropped,
        restarts: report.restarts,
        concealed_ms: ConcealedMs {
            lost_on_path: ms(concealed.lost_on_path),
            late: ms(concealed.late),
            sender_stalled: ms(concealed.sender_stalled),
            own_underrun: ms(concealed.own_underrun),
            path_switch: ms(concealed.path_switch),
            total: ms(concealed.total()),
        },
        expanded_ms: ms(report.expanded),
        accelerated_ms: ms(report.accelerated),
        target_ms: spread(series.buffer.iter().map(|point| point.target_ms)),
        depth_ms: spread(series.buffer.iter().map(|point| point.depth_ms)),
        glitches_per_minute: if minutes > 0.0 { heard / minutes } else { 0.0 },
        glitches: by_kind,
    }
}

fn spread(values: impl Iterator<Item = f32>) -> Spread {
    let mut values: Vec<f32> = values.collect();
    values.sort_by(f32::total_cmp);
    let at = |share: usize| values.get((values.len() * share / 100).min(values.len().saturating_sub(1)));
    Spread { median: at(50).copied().unwrap_or(0.0), p95: at(95).copied().unwrap_or(0.0) }
}

impl fmt::Display for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.what_if.is_empty() {
            writeln!(f, "what if {}:", self.what_if)?;
        }
        if let Some(cut) = self.cut_at {
            writeln!(f, "the log is cut short after {cut} bytes: this is the call up to there")?;
        }
        if self.missing_records > 0 {
            let missing = self.missing_records;
            writeln!(f, "{missing} records could not be written in time: the replay differs from the call")?;
        }
        if self.peers.is_empty() {
            writeln!(f, "nobody else was in this call")?;
        }
        self.peers.iter().try_for_each(|peer| peer.fmt(f))
    }
}

impl fmt::Display for PeerReplay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { concealed_ms, target_ms, depth_ms, .. } = &self.summary;
        let sum = &self.summary;
        writeln!(f, "peer {}, {:.1} s to {:.1} s", self.number, self.from_s, self.to_s)?;
        writeln!(
            f,
            "  packets    {} came, {} lost ({} rebuilt), {} late, {} thrown away",
            sum.arrived, sum.lost, sum.recovered, sum.late, sum.dropped
        )?;
        writeln!(
            f,
            "  made up    {:.1} ms: lost {:.1}, late {:.1}, nothing came {:.1}, own device {:.1}, path switch {:.1}",
            concealed_ms.total,
            concealed_ms.lost_on_path,
            concealed_ms.late,
            concealed_ms.sender_stalled,
            concealed_ms.own_underrun,
            concealed_ms.path_switch
        )?;
        writeln!(f, "  stretched  {:.1} ms inserted, {:.1} ms cut out", sum.expanded_ms, sum.accelerated_ms)?;
        writeln!(
            f,
            "  depth      median {:.1} ms, 95 % {:.1} ms; target median {:.1} ms, 95 % {:.1} ms",
            depth_ms.median, depth_ms.p95, target_ms.median, target_ms.p95
        )?;
        writeln!(f, "  glitches   {:.1} a minute", sum.glitches_per_minute)?;
        match self.same_as_live {
            Some(true) => writeln!(f, "  the replay made every decision of the call")?,
            Some(false) => writeln!(f, "  the replay differs from the call: its explanations may be wrong")?,
            None => {}
        }
        self.glitches.iter().try_for_each(|glitch| writeln!(f, "    {glitch}"))
    }
}
