//! What came of one run.

use serde::{Deserialize, Serialize};

/// Everything that is said about a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// The scenario's name.
    pub scenario: String,
    /// Its description.
    pub description: String,
    /// The seed.
    pub seed: u64,
    /// Simulated time, s.
    pub simulated_s: f64,
    /// Hash (BLAKE3, hex) over every packet's time, way, size and fate, every event, and all sound heard.
    pub trace: String,
    /// One entry for each member that listened to another.
    pub directions: Vec<Direction>,
    /// Members, in the scenario's order.
    pub members: Vec<MemberOutcome>,
    /// How many of them were connected to all others at the end.
    pub connected_at_end: u32,
    /// What happened, in order: joins, losses, faults.
    pub timeline: Vec<Happening>,
    /// Packets that networks dropped, by reason.
    pub dropped: std::collections::BTreeMap<String, u64>,
    /// Invariants that were broken. Anything in here is a bug.
    pub violations: Vec<String>,
    /// Expectations that were not met.
    pub unmet: Vec<String>,
}

impl Outcome {
    /// Whether an invariant was broken or an expectation not met.
    pub fn failed(&self) -> bool {
        !self.violations.is_empty() || !self.unmet.is_empty()
    }
}

/// One member over the whole run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MemberOutcome {
    /// Its name.
    pub name: String,
    /// From its joining until it was connected to everybody there, ms; nothing when it never was.
    pub connect_ms: Option<f64>,
    /// How often a connected member was lost to it.
    pub times_lost: u64,
    /// Bytes its machine sent, with IP and UDP headers.
    pub bytes_up: u64,
    /// Bytes that reached its machine.
    pub bytes_down: u64,
    /// The group as it saw it last; nothing when it never was in.
    #[serde(default)]
    pub group: Option<GroupOutcome>,
    /// How its call ended before it was to: `left`, `removed`, or why it did not get in.
    #[serde(default)]
    pub ended: Option<String>,
    /// The log of its jitter buffers; only when asked for.
    #[serde(skip)]
    pub rtlog: Option<Vec<u8>>,
    /// What it said, 48 kHz mono from the simulation's zero; only when asked for.
    #[serde(skip)]
    pub said: Option<Vec<f32>>,
}

/// The group as one member sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupOutcome {
    /// Who is in, by name, in order.
    pub members: Vec<String>,
    /// Whether nobody may come in.
    pub locked: bool,
    /// 1, and one more for each removal.
    pub epoch: u64,
}

/// One moment of the timeline.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Happening {
    /// When, s.
    pub t: f64,
    /// To whom; empty for the world.
    pub who: String,
    /// What.
    pub what: String,
}

/// One voice as one listener heard it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Direction {
    /// Who spoke.
    pub from: String,
    /// Who listened.
    pub to: String,
    /// Kind of the path at the end: `lan`, `direct`, `relayed`, or `none`.
    pub path: String,
    /// From the listener's side: ms until voice could flow, after the later of the two had joined.
    pub connect_ms: Option<f64>,
    /// From mouth to ear of the frames that were heard, ms.
    pub mouth_to_ear: Quantiles,
    /// Where the mean goes: ms by station.
    pub budget: Budget,
    /// Speech that was sent, ms.
    pub speech_ms: f64,
    /// Speech that was made up, ms by cause.
    pub concealed_ms: Concealed,
    /// The same as a share of the speech, percent.
    pub concealed_pct: f64,
    /// Speech that was neither heard nor rebuilt, whether or not something was made up for it, percent.
    pub unheard_pct: f64,
    /// Sound inserted and removed by stretching, ms.
    pub expanded_ms: f64,
    /// See `expanded_ms`.
    pub accelerated_ms: f64,
    /// Both together as a share of the speech, percent.
    pub stretched_pct: f64,
    /// Voice packets that never arrived, percent.
    pub lost_pct: f64,
    /// Share of the voice bytes that were copies of earlier frames, percent.
    pub redundancy_pct: f64,
    /// Voice frames sent to this listener.
    pub frames: u64,
    /// Of those lost, the ones rebuilt from a later packet.
    pub recovered: u64,
    /// The least constant delay, from a frame's end to its playing, that any buffer could have had with as
    /// little concealment, ms.
    pub oracle_ms: Option<f64>,
    /// What the buffer's mean delay was beyond that, ms.
    pub regret_ms: Option<f64>,
    /// The NetEQ model on the same packets.
    pub neteq: NetEqOutcome,
    /// How it went, every 100 ms.
    pub series: Vec<Sample>,
    /// What the listener heard of this voice, 48 kHz mono from the simulation's zero; only when asked for.
    #[serde(skip)]
    pub sound: Option<Vec<f32>>,
}

/// The share of each station in the delay, ms.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Budget {
    /// From the first sample of a frame to the moment it is encoded.
    pub capture_ms: f64,
    /// What the codec looks ahead.
    pub codec_ms: f64,
    /// From encoding to arrival.
    pub network_ms: f64,
    /// From arrival to the moment it is decoded.
    pub buffer_ms: f64,
    /// From there to the ear.
    pub playout_ms: f64,
}

/// Quantiles of a delay, ms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Median.
    pub median: f64,
    /// 5th percentile.
    pub p5: f64,
    /// 95th percentile.
    pub p95: f64,
    /// Mean.
    pub mean: f64,
}

impl From<Option<crate::judge::Quantiles>> for Quantiles {
    fn from(quantiles: Option<crate::judge::Quantiles>) -> Self {
        quantiles.map_or_else(Self::default, |q| Self {
            median: q.median_ms,
            p5: q.p5_ms,
            p95: q.p95_ms,
            mean: q.mean_ms,
        })
    }
}

/// Made-up sound by cause, ms.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Concealed {
    /// Lost on the path.
    pub lost: f64,
    /// Too late.
    pub late: f64,
    /// The sender stalled, or its path.
    pub stalled: f64,
    /// The listener's own device.
    pub underrun: f64,
    /// The path was changing.
    pub path: f64,
}

impl Concealed {
    /// All causes together.
    pub fn total(&self) -> f64 {
        self.lost + self.late + self.stalled + self.underrun + self.path
    }
}

/// What a model of NetEQ makes of the same packets.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct NetEqOutcome {
    /// From a frame's end to its playing, ms.
    pub delay: Quantiles,
    /// The same of our buffer, ms, to compare with.
    pub ours: Quantiles,
    /// Speech made up, percent.
    pub concealed_pct: f64,
}

/// 100 ms of one direction.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Sample {
    /// When it ends, s.
    pub t: f32,
    /// Mean delay from mouth to ear of what was heard, ms; nothing in silence.
    pub mouth_to_ear_ms: Option<f32>,
    /// Largest network delay of a packet that arrived, ms.
    pub network_ms: Option<f32>,
    /// The buffer's depth, ms.
    pub depth_ms: f32,
    /// The buffer's target, ms.
    pub target_ms: f32,
    /// The NetEQ model's target, ms.
    pub neteq_target_ms: f32,
    /// Packets lost.
    pub lost: u16,
    /// Sound made up, ms.
    pub concealed_ms: f32,
    /// Sound inserted (positive) or removed (negative) by stretching, ms.
    pub stretched_ms: f32,
}
