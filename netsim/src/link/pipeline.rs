//! The link itself: the stages put together, and the streams each of them draws from.

use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::bottleneck::{Bottleneck, GrantSlots, QUEUE_BYTES_DEFAULT};
use super::check::LinkError;
use super::config::{DelayTraceUse, Grants, LinkConfig, OpportunityTraceUse};
use super::cross_traffic::CrossFlow;
use super::fate::{DropReason, Fate};
use super::gate::{Outages, Spikes};
use super::loss::{BurstyLoss, draw};
use super::slots::Slots;
use super::spread::{Sampler, ns_from_ms};

/// One direction of a link. Times are since the simulation's start and never decrease from call to call.
#[derive(Clone, Debug)]
pub struct Link {
    /// As it is now, all changes up to `now` applied.
    config: LinkConfig,
    /// The first of `config.changes` still to come, and when it comes.
    next_change: usize,
    next_change_at: u64,
    now: u64,

    bottleneck: Bottleneck,
    outages: Outages,
    spikes: Spikes,
    base_delay: u64,
    jitter: Option<Sampler>,
    reorder: Option<Sampler>,
    bursty_loss: Option<BurstyLoss>,
    /// The delay trace's next packet.
    trace_index: usize,
    draws: Draws,

    /// Departure of the last packet and what its grant's retransmissions added.
    last_grant: Option<(u64, u64)>,
    /// No packet in order arrives before this.
    in_order_from: u64,
    /// The last of all arrivals so far.
    last_arrival: u64,
}

/// One stream a mechanism.
#[derive(Clone, Debug)]
struct Draws {
    jitter: ChaCha8Rng,
    reorder: ChaCha8Rng,
    copy: ChaCha8Rng,
    loss: ChaCha8Rng,
    bursty_loss: ChaCha8Rng,
    duplicate: ChaCha8Rng,
    retransmit: ChaCha8Rng,
    cross_traffic: ChaCha8Rng,
    grants: ChaCha8Rng,
    delay_trace: ChaCha8Rng,
    opportunity_trace: ChaCha8Rng,
}

/// What chance says of one packet, drawn before anything is decided, so that no draw depends on a packet's fate.
struct Chance {
    jitter: u64,
    reorder: u64,
    copy_reorder: u64,
    lost: bool,
    duplicate: bool,
    retransmissions: u32,
    /// `Some(None)` is lost by the trace.
    traced: Option<Option<u64>>,
}

impl Link {
    /// A link at time 0. Fails if the config is wrong; the error names the field.
    pub fn new(config: &LinkConfig, seed: u64) -> Result<Link, LinkError> {
        config.check()?;
        let stream = |number| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(number);
            rng
        };
        let draws = Draws {
            jitter: stream(1),
            reorder: stream(2),
            copy: stream(3),
            loss: stream(4),
            bursty_loss: stream(5),
            duplicate: stream(6),
            retransmit: stream(7),
            cross_traffic: stream(8),
            grants: stream(9),
            delay_trace: stream(10),
            opportunity_trace: stream(11),
        };
        let mut link = Link {
            config: LinkConfig::default(),
            next_change: 0,
            next_change_at: u64::MAX,
            now: 0,
            bottleneck: Bottleneck::new(stream(12)),
            outages: Outages::new(&[]),
            spikes: Spikes::new(&[]),
            base_delay: 0,
            jitter: None,
            reorder: None,
            bursty_loss: None,
            trace_index: 0,
            draws,
            last_grant: None,
            in_order_from: 0,
            last_arrival: 0,
        };
        link.begin(0, config);
        Ok(link)
    }

    /// Offers a packet of `bytes` (as on the wire, IP and UDP headers included) at `now`; says what becomes of it.
    ///
    /// # Panics
    /// If `now` is before an earlier call's.
    pub fn offer(&mut self, now: Duration, bytes: usize) -> Fate {
        let now = ns(now);
        self.advance(now);
        let chance = self.draw();
        match self.decide(now, bytes, &chance) {
            Ok(fate) => {
                self.last_arrival = fate.arrivals().map(ns).fold(self.last_arrival, u64::max);
                fate
            }
            Err(reason) => Fate::Dropped { reason },
        }
    }

    /// Bytes waiting in its queue at `now`, cross traffic and the packet being sent included.
    ///
    /// # Panics
    /// If `now` is before an earlier call's.
    pub fn queued_bytes(&mut self, now: Duration) -> usize {
        self.advance(ns(now));
        self.bottleneck.queued_bytes()
    }

    /// What its queue holds at most. After a change to a smaller queue it may hold more until that has drained.
    pub fn queue_limit(&self) -> usize {
        self.bottleneck.queue_limit
    }

    /// How it behaves now, with every change until then applied.
    pub fn config(&self) -> &LinkConfig {
        &self.config
    }

    /// Replaces its behaviour from `now` on. Packets under way keep their arrival, and none of the new ones overtakes them
    /// unless the new config reorders. What is the same in both configs goes on where it was. Changes in the new config
    /// whose time has passed are in force at once.
    ///
    /// # Panics
    /// If `now` is before an earlier call's.
    pub fn reconfigure(&mut self, now: Duration, config: &LinkConfig) -> Result<(), LinkError> {
        config.check()?;
        let now = ns(now);
        self.advance(now);
        self.begin(now, config);
        Ok(())
    }

    fn advance(&mut self, now: u64) {
        assert!(now >= self.now, "a link's time never goes back: {now} ns after {} ns", self.now);
        while self.next_change_at <= now {
            let at = self.next_change_at;
            self.bottleneck.advance(at);
            let next = self.config.changes[self.next_change].apply(&self.config);
            self.install(at, next);
            self.schedule_change(self.next_change + 1);
        }
        self.bottleneck.advance(now);
        self.now = now;
    }

    /// Takes over a checked config, and of its changes those whose time has passed.
    fn begin(&mut self, now: u64, config: &LinkConfig) {
        let passed = config.changes.iter().take_while(|change| ns_from_ms(change.at_s * 1000.0) <= now);
        let next_change = passed.clone().count();
        let current = passed.fold(config.clone(), |config, change| change.apply(&config));
        self.install(now, current);
        self.schedule_change(next_change);
    }

    fn schedule_change(&mut self, next: usize) {
        self.next_change = next;
        self.next_change_at =
            self.config.changes.get(next).map_or(u64::MAX, |change| ns_from_ms(change.at_s * 1000.0));
    }

    /// Puts `next` into force; what it has in common with what was goes on.
    fn install(&mut self, now: u64, next: LinkConfig) {
        let was = std::mem::replace(&mut self.config, next);
        let next = &self.config;
        self.base_delay = ns_from_ms(next.delay_ms);
        self.jitter = next.jitter.as_ref().map(Sampler::new);
        self.reorder = next.reorder.as_ref().map(Sampler::new);
        self.outages = Outages::new(&next.outages);
        self.spikes = Spikes::new(&next.spikes);
        self.bottleneck.queue_limit = next.queue_bytes.unwrap_or(QUEUE_BYTES_DEFAULT);
        self.bottleneck.ns_per_byte = next.rate_kbps.map_or(0.0, |kbps| 8e6 / kbps);
        if next.stalls != was.stalls {
            self.bottleneck.set_stalls(next.stalls.as_ref(), now);
        }
        let draws = &mut self.draws;
        if next.cross_traffic != was.cross_traffic {
            self.bottleneck.cross =
                next.cross_traffic.map(|flow| CrossFlow::new(&flow, now, &mut draws.cross_traffic));
        }
        if next.grants != was.grants {
            self.bottleneck.grants = next.grants.map(|grants| grant_slots(&grants, &mut draws.grants));
            self.last_grant = None;
        }
        if next.opportunity_trace != was.opportunity_trace {
            self.bottleneck.opportunities =
                next.opportunity_trace.as_ref().map(|used| traced(used, &mut draws.opportunity_trace));
        }
        if next.delay_trace != was.delay_trace {
            self.trace_index =
                next.delay_trace.as_ref().map_or(0, |used| first_line(used, &mut draws.delay_trace));
        }
        if (next.burst_loss, next.gilbert_elliott) != (was.burst_loss, was.gilbert_elliott) {
            let model = next.gilbert_elliott.or(next.burst_loss.map(Into::into));
            self.bursty_loss = model.map(|model| BurstyLoss::new(model, &mut draws.bursty_loss));
        }
        if next.keeps_order() {
            self.in_order_from = self.in_order_from.max(self.last_arrival);
        }
    }

    fn draw(&mut self) -> Chance {
        let Draws { jitter, reorder, copy, loss, bursty_loss, duplicate, retransmit, .. } = &mut self.draws;
        let lost_alone = self.config.loss_percent > 0.0 && draw(self.config.loss_percent, loss);
        let lost_in_burst = self.bursty_loss.as_mut().is_some_and(|model| model.next(bursty_loss));
        let duplicate = self.config.duplicate_percent > 0.0 && draw(self.config.duplicate_percent, duplicate);
        let traced = self.config.delay_trace.as_ref().and_then(|used| used.trace.as_ref()).map(|trace| {
            let delay = trace.at(self.trace_index);
            self.trace_index += 1;
            delay
        });
        Chance {
            jitter: self.jitter.map_or(0, |spread| spread.draw(jitter)),
            reorder: self.reorder.map_or(0, |spread| spread.draw(reorder)),
            copy_reorder: self.reorder.map_or(0, |spread| spread.draw(copy)),
            lost: lost_alone || lost_in_burst,
            duplicate,
            retransmissions: self.config.grants.map_or(0, |grants| retransmissions(&grants, retransmit)),
            traced,
        }
    }

    fn decide(&mut self, now: u64, bytes: usize, chance: &Chance) -> Result<Fate, DropReason> {
        if self.config.mtu_bytes.is_some_and(|mtu| bytes > mtu) {
            return Err(DropReason::Mtu);
        }
        let departure = self.bottleneck.take(now, bytes).ok_or(DropReason::Queue)?;
        if self.outages.cut(departure) {
            return Err(DropReason::Outage);
        }
        let traced = chance.traced.flatten().unwrap_or(0);
        let trace_keeps_order = self.config.delay_trace.as_ref().is_some_and(|used| used.keep_order);
        let (traced_in_order, traced_freely) = if trace_keeps_order { (traced, 0) } else { (0, traced) };
        let in_order = departure
            + self.retransmission_delay(departure, chance.retransmissions)
            + self.base_delay
            + self.spikes.extra(departure)
            + chance.jitter
            + traced_in_order;
        // A packet that is then lost has held up those behind it all the same: it was lost after it was waited for.
        self.in_order_from = self.in_order_from.max(in_order);
        if chance.lost {
            return Err(DropReason::Loss);
        }
        if chance.traced == Some(None) {
            return Err(DropReason::Trace);
        }
        let at = Duration::from_nanos(self.in_order_from + traced_freely + chance.reorder);
        if !chance.duplicate {
            return Ok(Fate::Arrives { at });
        }
        let copy_at = Duration::from_nanos(self.in_order_from + traced_freely + chance.copy_reorder);
        Ok(Fate::ArrivesTwice { at, copy_at })
    }

    /// All packets of one grant are one transport block: they need the same retransmissions.
    fn retransmission_delay(&mut self, departure: u64, retransmissions: u32) -> u64 {
        let Some(grants) = &self.config.grants else { return 0 };
        if let Some((at, delay)) = self.last_grant
            && at == departure
        {
            return delay;
        }
        let delay = u64::from(retransmissions) * ns_from_ms(grants.retransmit_ms);
        self.last_grant = Some((departure, delay));
        delay
    }
}

/// How often a transmission fails in a row. One draw.
fn retransmissions(grants: &Grants, rng: &mut ChaCha8Rng) -> u32 {
    let part: f64 = rng.random();
    let fails = grants.retransmit_percent / 100.0;
    let mut chance = fails;
    let mut count = 0;
    while count < grants.retransmissions_max && part < chance {
        count += 1;
        chance *= fails;
    }
    count
}

fn grant_slots(grants: &Grants, rng: &mut ChaCha8Rng) -> GrantSlots {
    let period = ns_from_ms(grants.period_ms);
    let phase = rng.random_range(0..period);
    let slots = Slots::periodic(phase, period, grants.grant_bytes.unwrap_or(usize::MAX));
    GrantSlots { request: ns_from_ms(grants.request_ms), slots }
}

fn traced(used: &OpportunityTraceUse, rng: &mut ChaCha8Rng) -> Slots {
    let trace = used.trace.clone().expect("a checked config's traces are loaded");
    let skipped = used.offset_lines.unwrap_or_else(|| rng.random_range(0..trace.opportunities()));
    Slots::traced(trace, skipped)
}

fn first_line(used: &DelayTraceUse, rng: &mut ChaCha8Rng) -> usize {
    let packets = used.trace.as_ref().map_or(1, |trace| trace.packets());
    used.offset_lines.unwrap_or_else(|| rng.random_range(0..packets))
}

/// A simulation of 584 years fits.
fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).expect("a simulation is shorter than 584 years")
}
