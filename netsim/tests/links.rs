//! Links do what their config asks, measured over many packets.
//!
//! Tolerances: a share measured over n packets is within 4 standard errors; a distribution within the Kolmogorov-Smirnov
//! distance that 1 in 1000 samples of that size exceeds, 1.95 / sqrt(n). Seeds are fixed, so a test that passes goes on
//! passing.

#[path = "links/any_config.rs"]
mod any_config;
#[path = "links/delay.rs"]
mod delay;
#[path = "links/loss.rs"]
mod loss;
#[path = "links/named.rs"]
mod named;
#[path = "links/queue.rs"]
mod queue;
#[path = "links/refused.rs"]
mod refused;
#[path = "links/traces.rs"]
mod traces;

use std::time::Duration;

use netsim::link::{Fate, Link, LinkConfig};

/// A voice packet with its headers.
const VOICE_BYTES: usize = 130;

/// The config a scenario file would give.
fn config(text: &str) -> LinkConfig {
    toml::from_str(text).expect("the test's config reads")
}

fn link(text: &str, seed: u64) -> Link {
    Link::new(&config(text), seed).expect("the test's config is valid")
}

fn ms(ms: f64) -> Duration {
    Duration::from_secs_f64(ms / 1000.0)
}

/// `packets` of voice, one every `every_ms` from 0 on: when each was offered and what became of it.
fn offer(link: &mut Link, packets: usize, every_ms: f64) -> Vec<(Duration, Fate)> {
    (0..packets)
        .map(|packet| {
            let now = ms(packet as f64 * every_ms);
            (now, link.offer(now, VOICE_BYTES))
        })
        .collect()
}

/// How long each packet that arrived took, in ms.
fn delays_ms(fates: &[(Duration, Fate)]) -> Vec<f64> {
    let delay = |&(now, fate): &(Duration, Fate)| fate.arrival().map(|at| (at - now).as_secs_f64() * 1000.0);
    fates.iter().filter_map(delay).collect()
}

/// The value below which a `part` of `values` lies.
fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[(part * (sorted.len() - 1) as f64).round() as usize]
}

fn lost_share(fates: &[(Duration, Fate)]) -> f64 {
    fates.iter().filter(|(_, fate)| fate.dropped().is_some()).count() as f64 / fates.len() as f64
}

/// Lengths of the runs of lost packets.
fn bursts(fates: &[(Duration, Fate)]) -> Vec<usize> {
    let lost: Vec<bool> = fates.iter().map(|(_, fate)| fate.dropped().is_some()).collect();
    lost.chunk_by(|a, b| a == b).filter(|run| run[0]).map(<[bool]>::len).collect()
}

fn arrivals_in_order(fates: &[(Duration, Fate)]) -> bool {
    let arrivals: Vec<Duration> = fates.iter().flat_map(|(_, fate)| fate.arrivals()).collect();
    arrivals.is_sorted()
}
