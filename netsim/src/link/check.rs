//! What a config must hold, told by field.
//!
//! A config that passes can be run: nothing in the link fails later.

use super::config::{
    BurstLoss, CrossTraffic, DelayTraceUse, GilbertElliott, Grants, LinkConfig, OpportunityTraceUse, Stalls,
};
use super::spread::{LONGEST_MS, Spread};

/// A queue must hold at least one packet of an Ethernet MTU.
const QUEUE_BYTES_MIN: f64 = 1500.0;
/// More is no queue.
const QUEUE_BYTES_MAX: f64 = 1e9;
/// Slower than one bit a second, or faster than a terabit: a slip in the unit.
const RATE_KBPS: (f64, f64) = (0.001, 1e9);
/// RFC 791: every link carries 68 bytes. No IP packet is larger than 65,535.
const MTU_BYTES: (f64, f64) = (68.0, 65_535.0);
/// No time of a scenario is later than a week.
const LATEST_S: f64 = 7.0 * 86_400.0;
/// Stalls may not fill more of the time than this, or their overlaps never end.
const STALLED_MAX: f64 = 0.9;

/// A config is wrong. Fields are spelled as in a file: `changes[1].jitter.mean_ms`.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// A number is too small, too large, or none.
    #[error("`{field}` is {value}; write a number from {least} to {most}")]
    OutOfRange {
        /// Which.
        field: String,
        /// What it is.
        value: f64,
        /// The least allowed.
        least: f64,
        /// The most allowed.
        most: f64,
    },
    /// It does not fit another field.
    #[error("`{field}`: {problem}")]
    Misfit {
        /// Which.
        field: String,
        /// Why, and what to write.
        problem: &'static str,
    },
    /// A trace is named but was not loaded: the caller's omission.
    #[error("`{field}`: the file `{file}` has not been loaded")]
    NotLoaded {
        /// Which.
        field: String,
        /// The file it names.
        file: String,
    },
}

impl LinkError {
    /// The field that is wrong.
    pub fn field(&self) -> &str {
        match self {
            LinkError::OutOfRange { field, .. }
            | LinkError::Misfit { field, .. }
            | LinkError::NotLoaded { field, .. } => field,
        }
    }
}

impl LinkConfig {
    /// Whether a link can be built from it, now and after each of its changes.
    pub fn check(&self) -> Result<(), LinkError> {
        check_one(self, &Checked { prefix: String::new() })?;
        let mut current = self.clone();
        let mut earlier = 0.0;
        for (index, change) in self.changes.iter().enumerate() {
            let at = Checked { prefix: format!("changes[{index}].") };
            at.range("at_s", change.at_s, (0.0, LATEST_S))?;
            at.fits("at_s", change.at_s >= earlier, "changes stand in the order of their times")?;
            earlier = change.at_s;
            current = change.apply(&current);
            check_one(&current, &at)?;
        }
        Ok(())
    }
}

/// Where in the file the fields stand that are checked.
struct Checked {
    prefix: String,
}

type Outcome = Result<(), LinkError>;

impl Checked {
    fn below(&self, field: &str) -> Checked {
        Checked { prefix: format!("{}{field}.", self.prefix) }
    }

    fn named(&self, field: &str) -> String {
        format!("{}{field}", self.prefix)
    }

    fn range(&self, field: &str, value: f64, (least, most): (f64, f64)) -> Outcome {
        // A NaN is in no range.
        if (least..=most).contains(&value) {
            return Ok(());
        }
        Err(LinkError::OutOfRange { field: self.named(field), value, least, most })
    }

    fn range_if(&self, field: &str, value: Option<f64>, range: (f64, f64)) -> Outcome {
        value.map_or(Ok(()), |value| self.range(field, value, range))
    }

    fn fits(&self, field: &str, fits: bool, problem: &'static str) -> Outcome {
        if fits { Ok(()) } else { Err(LinkError::Misfit { field: self.named(field), problem }) }
    }

    fn percent(&self, field: &str, value: f64) -> Outcome {
        self.range(field, value, (0.0, 100.0))
    }

    fn ms(&self, field: &str, value: f64) -> Outcome {
        self.range(field, value, (0.0, LONGEST_MS))
    }
}

fn check_one(config: &LinkConfig, at: &Checked) -> Outcome {
    at.ms("delay_ms", config.delay_ms)?;
    at.percent("loss_percent", config.loss_percent)?;
    at.percent("duplicate_percent", config.duplicate_percent)?;
    at.range_if("rate_kbps", config.rate_kbps, RATE_KBPS)?;
    let bytes = |value: Option<usize>| value.map(|value| value as f64);
    at.range_if("queue_bytes", bytes(config.queue_bytes), (QUEUE_BYTES_MIN, QUEUE_BYTES_MAX))?;
    at.range_if("mtu_bytes", bytes(config.mtu_bytes), MTU_BYTES)?;
    for (field, spread) in [("jitter", &config.jitter), ("reorder", &config.reorder)] {
        if let Some(spread) = spread {
            check_spread(spread, &at.below(field))?;
        }
    }
    if let Some(stalls) = &config.stalls {
        check_stalls(stalls, &at.below("stalls"))?;
    }
    check_burst_loss(config, at)?;
    if let Some(grants) = &config.grants {
        check_grants(grants, &at.below("grants"))?;
    }
    if let Some(flow) = &config.cross_traffic {
        let limited = config.rate_kbps.is_some() || config.opportunity_trace.is_some();
        at.fits("cross_traffic", limited, "only a link with a rate has a queue to fill; give `rate_kbps`")?;
        check_cross_traffic(flow, &at.below("cross_traffic"))?;
    }
    check_times(config, at)?;
    if let Some(used) = &config.delay_trace {
        check_delay_trace(used, &at.below("delay_trace"))?;
    }
    if let Some(used) = &config.opportunity_trace {
        check_opportunity_trace(used, &at.below("opportunity_trace"))?;
    }
    Ok(())
}

fn check_spread(spread: &Spread, at: &Checked) -> Outcome {
    let most = |max_ms: Option<f64>| at.range_if("max_ms", max_ms, (0.0, LONGEST_MS));
    match *spread {
        Spread::Constant { ms } => at.ms("ms", ms),
        Spread::Uniform { min_ms, max_ms } => {
            at.ms("min_ms", min_ms)?;
            at.range("max_ms", max_ms, (min_ms, LONGEST_MS))
        }
        Spread::Normal { mean_ms, deviation_ms, max_ms } => {
            at.ms("mean_ms", mean_ms)?;
            at.range("deviation_ms", deviation_ms, (0.001, LONGEST_MS))?;
            // Further below its mean there is too little of it to draw from.
            at.range_if("max_ms", max_ms, ((mean_ms - 3.0 * deviation_ms).max(0.001), LONGEST_MS))
        }
        Spread::Exponential { mean_ms, max_ms } => {
            at.ms("mean_ms", mean_ms)?;
            most(max_ms)
        }
        Spread::LogNormal { median_ms, p95_ms, max_ms } => {
            at.range("median_ms", median_ms, (0.001, LONGEST_MS))?;
            at.range("p95_ms", p95_ms, (median_ms, LONGEST_MS))?;
            most(max_ms)
        }
    }
}

fn check_stalls(stalls: &Stalls, at: &Checked) -> Outcome {
    at.range("per_minute", stalls.per_minute, (0.001, 6000.0))?;
    check_spread(&stalls.length, &at.below("length"))?;
    let stalled = stalls.per_minute * stalls.length.mean_ms() / 60_000.0;
    at.fits("per_minute", stalled <= STALLED_MAX, "stalls fill the time; write fewer, or a shorter `length`")
}

fn check_burst_loss(config: &LinkConfig, at: &Checked) -> Outcome {
    if let Some(BurstLoss { loss_percent, burst_packets }) = config.burst_loss {
        at.fits("burst_loss", config.gilbert_elliott.is_none(), "leave this or `gilbert_elliott` out")?;
        let at = at.below("burst_loss");
        at.range("loss_percent", loss_percent, (0.0, 99.0))?;
        at.range("burst_packets", burst_packets, (1.0, 1e6))?;
        let model = GilbertElliott::from(BurstLoss { loss_percent, burst_packets });
        let possible = model.good_to_bad_percent <= 100.0;
        at.fits(
            "burst_packets",
            possible,
            "so much loss comes in longer bursts; write more packets, or less loss",
        )?;
    }
    if let Some(model) = &config.gilbert_elliott {
        let at = at.below("gilbert_elliott");
        at.percent("good_to_bad_percent", model.good_to_bad_percent)?;
        at.percent("bad_to_good_percent", model.bad_to_good_percent)?;
        at.percent("good_loss_percent", model.good_loss_percent)?;
        at.percent("bad_loss_percent", model.bad_loss_percent)?;
    }
    Ok(())
}

fn check_grants(grants: &Grants, at: &Checked) -> Outcome {
    at.range("period_ms", grants.period_ms, (0.1, 10_000.0))?;
    at.ms("request_ms", grants.request_ms)?;
    at.range_if("grant_bytes", grants.grant_bytes.map(|bytes| bytes as f64), (1.0, QUEUE_BYTES_MAX))?;
    at.percent("retransmit_percent", grants.retransmit_percent)?;
    at.ms("retransmit_ms", grants.retransmit_ms)?;
    at.range("retransmissions_max", f64::from(grants.retransmissions_max), (0.0, 100.0))
}

fn check_cross_traffic(flow: &CrossTraffic, at: &Checked) -> Outcome {
    let (on_s, off_s) = match *flow {
        CrossTraffic::Greedy { round_trip_ms, on_s, off_s } => {
            at.range("round_trip_ms", round_trip_ms, (1.0, LONGEST_MS))?;
            (on_s, off_s)
        }
        CrossTraffic::Constant { rate_kbps, on_s, off_s } => {
            at.range("rate_kbps", rate_kbps, (RATE_KBPS.0, 1e6))?;
            (on_s, off_s)
        }
    };
    at.range_if("on_s", on_s, (0.01, LATEST_S))?;
    at.range_if("off_s", off_s, (0.01, LATEST_S))?;
    at.fits("on_s", on_s.is_some() == off_s.is_some(), "give both `on_s` and `off_s`, or neither")
}

fn check_times(config: &LinkConfig, at: &Checked) -> Outcome {
    for (index, outage) in config.outages.iter().enumerate() {
        let at = at.below(&format!("outages[{index}]"));
        at.range("at_s", outage.at_s, (0.0, LATEST_S))?;
        at.range("for_s", outage.for_s, (0.001, LATEST_S))?;
        at.range_if("every_s", outage.every_s, (outage.for_s, LATEST_S))?;
    }
    for (index, spike) in config.spikes.iter().enumerate() {
        let at = at.below(&format!("spikes[{index}]"));
        at.range("at_s", spike.at_s, (0.0, LATEST_S))?;
        at.ms("height_ms", spike.height_ms)?;
        at.range("drain_s", spike.drain_s, (0.001, LATEST_S))?;
        at.range_if("every_s", spike.every_s, (spike.drain_s, LATEST_S))?;
    }
    Ok(())
}

fn check_delay_trace(used: &DelayTraceUse, at: &Checked) -> Outcome {
    let file = used.file.clone();
    let trace = used.trace.as_ref().ok_or_else(|| LinkError::NotLoaded { field: at.named("file"), file })?;
    check_offset(used.offset_lines, trace.packets(), at)
}

fn check_opportunity_trace(used: &OpportunityTraceUse, at: &Checked) -> Outcome {
    let file = used.file.clone();
    let trace = used.trace.as_ref().ok_or_else(|| LinkError::NotLoaded { field: at.named("file"), file })?;
    check_offset(used.offset_lines, trace.opportunities(), at)
}

fn check_offset(offset: Option<usize>, values: usize, at: &Checked) -> Outcome {
    at.range_if("offset_lines", offset.map(|lines| lines as f64), (0.0, values as f64 - 1.0))
}
