//! What becomes different of a link at a given time.

use serde::Deserialize;

use super::config::{BurstLoss, CrossTraffic, GilbertElliott, Grants, LinkConfig, Stalls};
use super::spread::Spread;

/// From `at_s` on, what is given here replaces what was; everything else stays.
///
/// Packets already queued or on the wire keep their times. A jitter, loss or other mechanism that stays the same goes
/// on where it was.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Change {
    /// When, since the simulation's start; a list of changes is in this order.
    pub at_s: f64,
    /// What ends.
    pub off: Vec<Mechanism>,
    /// See [`LinkConfig::delay_ms`].
    pub delay_ms: Option<f64>,
    /// See [`LinkConfig::jitter`].
    pub jitter: Option<Spread>,
    /// See [`LinkConfig::reorder`].
    pub reorder: Option<Spread>,
    /// See [`LinkConfig::stalls`].
    pub stalls: Option<Stalls>,
    /// See [`LinkConfig::loss_percent`].
    pub loss_percent: Option<f64>,
    /// See [`LinkConfig::burst_loss`].
    pub burst_loss: Option<BurstLoss>,
    /// See [`LinkConfig::gilbert_elliott`].
    pub gilbert_elliott: Option<GilbertElliott>,
    /// See [`LinkConfig::duplicate_percent`].
    pub duplicate_percent: Option<f64>,
    /// See [`LinkConfig::rate_kbps`].
    pub rate_kbps: Option<f64>,
    /// See [`LinkConfig::queue_bytes`].
    pub queue_bytes: Option<usize>,
    /// See [`LinkConfig::cross_traffic`].
    pub cross_traffic: Option<CrossTraffic>,
    /// See [`LinkConfig::grants`].
    pub grants: Option<Grants>,
    /// See [`LinkConfig::mtu_bytes`].
    pub mtu_bytes: Option<usize>,
}

/// What a change can switch off by name, as `off = ["stalls", "rate"]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mechanism {
    /// In-order jitter.
    Jitter,
    /// Reordering jitter.
    Reorder,
    /// Stalls.
    Stalls,
    /// Random loss, `burst_loss` and `gilbert_elliott` alike.
    Loss,
    /// Duplication.
    Duplicates,
    /// The rate limit.
    Rate,
    /// The other flow.
    CrossTraffic,
    /// Grants and retransmissions.
    Grants,
    /// The largest packet.
    Mtu,
    /// The delay trace.
    DelayTrace,
    /// The opportunity trace.
    OpportunityTrace,
}

impl Change {
    /// `config` as it is after this change. Its list of changes stays the same.
    pub fn apply(&self, config: &LinkConfig) -> LinkConfig {
        let mut next = config.clone();
        for &mechanism in &self.off {
            switch_off(&mut next, mechanism);
        }
        replace(&mut next.delay_ms, self.delay_ms);
        replace(&mut next.loss_percent, self.loss_percent);
        replace(&mut next.duplicate_percent, self.duplicate_percent);
        replace_some(&mut next.jitter, &self.jitter);
        replace_some(&mut next.reorder, &self.reorder);
        replace_some(&mut next.stalls, &self.stalls);
        replace_some(&mut next.burst_loss, &self.burst_loss);
        replace_some(&mut next.gilbert_elliott, &self.gilbert_elliott);
        replace_some(&mut next.rate_kbps, &self.rate_kbps);
        replace_some(&mut next.queue_bytes, &self.queue_bytes);
        replace_some(&mut next.cross_traffic, &self.cross_traffic);
        replace_some(&mut next.grants, &self.grants);
        replace_some(&mut next.mtu_bytes, &self.mtu_bytes);
        next
    }
}

fn switch_off(config: &mut LinkConfig, mechanism: Mechanism) {
    match mechanism {
        Mechanism::Jitter => config.jitter = None,
        Mechanism::Reorder => config.reorder = None,
        Mechanism::Stalls => config.stalls = None,
        Mechanism::Loss => {
            config.loss_percent = 0.0;
            config.burst_loss = None;
            config.gilbert_elliott = None;
        }
        Mechanism::Duplicates => config.duplicate_percent = 0.0,
        Mechanism::Rate => config.rate_kbps = None,
        Mechanism::CrossTraffic => config.cross_traffic = None,
        Mechanism::Grants => config.grants = None,
        Mechanism::Mtu => config.mtu_bytes = None,
        Mechanism::DelayTrace => config.delay_trace = None,
        Mechanism::OpportunityTrace => config.opportunity_trace = None,
    }
}

fn replace<T: Copy>(field: &mut T, with: Option<T>) {
    if let Some(value) = with {
        *field = value;
    }
}

fn replace_some<T: Clone>(field: &mut Option<T>, with: &Option<T>) {
    if with.is_some() {
        field.clone_from(with);
    }
}
