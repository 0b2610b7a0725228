//! Outages and spikes: what happens at stated times, once or again and again.

use super::config::{Outage, Spike};
use super::spread::ns_from_ms;

/// A stretch of time, perhaps repeated, in ns.
#[derive(Clone, Copy, Debug)]
struct Window {
    from: u64,
    length: u64,
    every: Option<u64>,
}

impl Window {
    fn new(at_s: f64, for_s: f64, every_s: Option<f64>) -> Self {
        let ns = |s: f64| ns_from_ms(s * 1000.0);
        Window { from: ns(at_s), length: ns(for_s), every: every_s.map(ns) }
    }

    /// How long it has lasted at `at`, if it does.
    fn elapsed(&self, at: u64) -> Option<u64> {
        let since = at.checked_sub(self.from)?;
        let elapsed = self.every.map_or(since, |every| since % every);
        (elapsed < self.length).then_some(elapsed)
    }
}

/// When the wire is cut.
#[derive(Clone, Debug)]
pub(super) struct Outages(Vec<Window>);

impl Outages {
    pub(super) fn new(outages: &[Outage]) -> Self {
        Outages(outages.iter().map(|outage| Window::new(outage.at_s, outage.for_s, outage.every_s)).collect())
    }

    pub(super) fn cut(&self, at: u64) -> bool {
        self.0.iter().any(|window| window.elapsed(at).is_some())
    }
}

/// When delay jumps.
#[derive(Clone, Debug)]
pub(super) struct Spikes(Vec<(Window, f64)>);

impl Spikes {
    pub(super) fn new(spikes: &[Spike]) -> Self {
        let window = |spike: &Spike| Window::new(spike.at_s, spike.drain_s, spike.every_s);
        Spikes(spikes.iter().map(|spike| (window(spike), spike.height_ms * 1e6)).collect())
    }

    /// What they add for a packet sent at `at`, in ns.
    pub(super) fn extra(&self, at: u64) -> u64 {
        let one = |(window, height): &(Window, f64)| {
            window
                .elapsed(at)
                .map_or(0, |elapsed| (height * (1.0 - elapsed as f64 / window.length as f64)) as u64)
        };
        self.0.iter().map(one).sum()
    }
}
