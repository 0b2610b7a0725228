//! How one direction of a link behaves, as plain data for a scenario file.
//!
//! Units stand in the field names; kbps is 1000 bit/s, ms and s may have fractions. Whatever is left out is off: the
//! default is a perfect link. [`LinkConfig::check`] says what is wrong with a config, naming the field.

use std::sync::Arc;

use serde::Deserialize;

use super::change::Change;
use super::spread::Spread;
use super::trace::{DelayTrace, OpportunityTrace, TraceError};

/// One direction of a link. The default is perfect: no delay, no loss, no limit.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinkConfig {
    /// What every packet takes at least.
    pub delay_ms: f64,
    /// Extra delay of each packet that never reorders: a packet also waits for the one before it.
    pub jitter: Option<Spread>,
    /// Extra delay of each packet by itself, so that packets overtake each other.
    pub reorder: Option<Spread>,
    /// Times at which nothing is sent and everything waits, then leaves back to back, as on Wi-Fi.
    pub stalls: Option<Stalls>,
    /// Loss of each packet by itself.
    pub loss_percent: f64,
    /// Loss in bursts, by its mean and the bursts' mean length.
    pub burst_loss: Option<BurstLoss>,
    /// Loss in bursts, by the model's own four numbers; not together with `burst_loss`.
    pub gilbert_elliott: Option<GilbertElliott>,
    /// Packets that arrive twice.
    pub duplicate_percent: f64,
    /// How fast packets are sent on the wire; those that wait stand in the queue.
    pub rate_kbps: Option<f64>,
    /// The queue's size. A packet that would make it larger is dropped. 1,048,576 if not given.
    pub queue_bytes: Option<usize>,
    /// Another flow through the same queue.
    pub cross_traffic: Option<CrossTraffic>,
    /// A radio uplink's grants and retransmissions.
    pub grants: Option<Grants>,
    /// Larger packets, IP and UDP headers included, are dropped.
    pub mtu_bytes: Option<usize>,
    /// Times at which the wire is cut.
    pub outages: Vec<Outage>,
    /// Times at which delay jumps up and drains away.
    pub spikes: Vec<Spike>,
    /// Delay and loss of each packet from a file.
    pub delay_trace: Option<DelayTraceUse>,
    /// Delivery opportunities from a file.
    pub opportunity_trace: Option<OpportunityTraceUse>,
    /// What becomes different at given times.
    pub changes: Vec<Change>,
}

/// Wi-Fi's stalls: for a while nothing is sent, then all that waited leaves back to back (at `rate_kbps`, if given).
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stalls {
    /// Mean number of onsets a minute; they come independently of each other (Poisson).
    pub per_minute: f64,
    /// How long a stall lasts. Stalls that overlap make one.
    pub length: Spread,
}

/// Burst loss by what one measures: within a burst every packet is lost, outside none. The simple form of
/// [`GilbertElliott`].
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BurstLoss {
    /// Lost of all packets.
    pub loss_percent: f64,
    /// Mean number of packets lost in a row, at least 1.
    pub burst_packets: f64,
}

/// The two-state loss model of Gilbert (Capacity of a Burst-Noise Channel, BSTJ 39, 1960) with loss in both states as
/// by Elliott (Estimates of Error Rates for Codes on Burst-Noise Channels, BSTJ 42, 1963). The state steps once a packet.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GilbertElliott {
    /// Chance to go from good to bad, p.
    pub good_to_bad_percent: f64,
    /// Chance to go from bad to good, r.
    pub bad_to_good_percent: f64,
    /// Loss in the good state, 1-k.
    #[serde(default)]
    pub good_loss_percent: f64,
    /// Loss in the bad state, 1-h.
    pub bad_loss_percent: f64,
}

/// Another flow of 1500-byte packets through the same queue: voice alone never fills one.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(tag = "flow", rename_all = "kebab-case", deny_unknown_fields)]
pub enum CrossTraffic {
    /// An upload or download that takes all it gets: it fills the queue until one of its packets is dropped, then halves
    /// its window (RFC 5681), so that the queue goes in saw-teeth.
    Greedy {
        /// Its round trip without the queue.
        round_trip_ms: f64,
        /// How long it goes on; always, if left out. The seed chooses where in a period the simulation starts.
        on_s: Option<f64>,
        /// How long it then pauses; given together with `on_s`.
        off_s: Option<f64>,
    },
    /// A constant rate, whatever is lost.
    Constant {
        /// Its rate.
        rate_kbps: f64,
        /// How long it goes on; always, if left out. The seed chooses where in a period the simulation starts.
        on_s: Option<f64>,
        /// How long it then pauses; given together with `on_s`.
        off_s: Option<f64>,
    },
}

/// LTE's uplink: a packet asks, waits for the next grant, and may need retransmissions, behind which RLC holds back
/// what follows. The defaults are those of LTE with frequency division: HARQ's round trip of 8 ms (3GPP TS 36.321) and,
/// chosen from the periods TS 36.213 section 10.1 allows, a chance to ask every 10 ms.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Grants {
    /// Grants come this often; the seed chooses their phase.
    pub period_ms: f64,
    /// From a request to the first grant that can serve it.
    pub request_ms: f64,
    /// What a grant carries; all that waits, if left out.
    pub grant_bytes: Option<usize>,
    /// Transmissions that fail. All packets of one grant share its fate.
    pub retransmit_percent: f64,
    /// What each retransmission costs.
    pub retransmit_ms: f64,
    /// The last of so many always succeeds: what is then still lost is for the loss models to say.
    pub retransmissions_max: u32,
}

impl Default for Grants {
    fn default() -> Self {
        Grants {
            period_ms: 10.0,
            request_ms: 8.0,
            grant_bytes: None,
            retransmit_percent: 0.0,
            retransmit_ms: 8.0,
            retransmissions_max: 3,
        }
    }
}

/// What reaches the wire in an outage is lost; what waits in the queue is not.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// When it begins.
    pub at_s: f64,
    /// How long it lasts.
    pub for_s: f64,
    /// It comes again this often, if given.
    pub every_s: Option<f64>,
}

/// Delay that jumps up at once and drains away evenly.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spike {
    /// When it jumps.
    pub at_s: f64,
    /// How far.
    pub height_ms: f64,
    /// How long until nothing is left of it. Shorter than the height: what waited arrives in one burst.
    pub drain_s: f64,
    /// It comes again this often, if given.
    pub every_s: Option<f64>,
}

/// A file of delays, one line a packet, used again from its start when it ends.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DelayTraceUse {
    /// Where it is, relative to the file that names it.
    pub file: String,
    /// Values to skip at the start; chosen by the seed, if left out.
    pub offset_lines: Option<usize>,
    /// Let no packet overtake another though the trace says so, as when its packets were further apart than these.
    #[serde(default)]
    pub keep_order: bool,
    /// The file's content, see [`LinkConfig::resolve`].
    #[serde(skip)]
    pub trace: Option<Arc<DelayTrace>>,
}

/// A file of delivery opportunities as mahimahi's (Netravali et al., USENIX ATC 2015), used again from its start when
/// it ends.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpportunityTraceUse {
    /// Where it is, relative to the file that names it.
    pub file: String,
    /// Opportunities to skip at the start; chosen by the seed, if left out.
    pub offset_lines: Option<usize>,
    /// The file's content, see [`LinkConfig::resolve`].
    #[serde(skip)]
    pub trace: Option<Arc<OpportunityTrace>>,
}

/// A trace file a config names cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TraceFileError {
    /// It cannot be read.
    #[error("{file}: {problem}")]
    Unreadable {
        /// As the config names it.
        file: String,
        /// What the caller's loader said.
        problem: String,
    },
    /// It can be read but not understood.
    #[error("{file}: {error}")]
    Wrong {
        /// As the config names it.
        file: String,
        /// Line and reason.
        error: TraceError,
    },
}

impl LinkConfig {
    /// Whether packets arrive in the order in which they were offered.
    pub fn keeps_order(&self) -> bool {
        self.reorder.is_none() && self.delay_trace.as_ref().is_none_or(|used| used.keep_order)
    }

    /// Loads the trace files the config names: `load` is given a name as written and returns the text, or what is wrong.
    pub fn resolve(
        &mut self,
        mut load: impl FnMut(&str) -> Result<String, String>,
    ) -> Result<(), TraceFileError> {
        let mut text_of = |file: &str| {
            load(file).map_err(|problem| TraceFileError::Unreadable { file: file.to_owned(), problem })
        };
        let wrong = |file: &str, error| TraceFileError::Wrong { file: file.to_owned(), error };
        if let Some(used) = &mut self.delay_trace {
            let trace = DelayTrace::parse(&text_of(&used.file)?).map_err(|error| wrong(&used.file, error))?;
            used.trace = Some(Arc::new(trace));
        }
        if let Some(used) = &mut self.opportunity_trace {
            let trace =
                OpportunityTrace::parse(&text_of(&used.file)?).map_err(|error| wrong(&used.file, error))?;
            used.trace = Some(Arc::new(trace));
        }
        Ok(())
    }
}
