//! Hosts, networks and what lies between them, as a queue of events in virtual time.
//!
//! A packet leaves a host by the line of one of its interfaces, crosses a network, and enters another host by that
//! one's line; on the way out of a local network it passes the router's NAT, firewall and line, and so on outwards
//! (`routing`). Everything happens at an exact time in nanoseconds and, at the same time, in the order in which it
//! was caused. [`Network`] 0 is the internet.
//!
//! The world knows nothing of calls: whoever runs it takes due events with [`World::next_due`] and hears about
//! the times it asked for.

mod events;
mod packet;
mod platform;
mod routing;
mod service;
mod streams;
mod tcp;
pub mod topology;
mod trace;
mod udp;

pub use events::Alarm;
pub use packet::{Header, Packet, TTL_DEFAULT};
pub use platform::{Names, SimPlatform};
pub use service::{STUN_PORT, Service};
pub use tcp::Segment;
pub use topology::{Family, HostId, INTERNET, LineId, NetworkId, RouterId};
pub use trace::{Kind, Trace};
pub use udp::{SharedWorld, SimUdp};

use events::{Event, Events, Place};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use streams::{Held, StreamId};
use topology::{Host, Line, Network, Router};

/// What a socket holds for a program that does not read, as the real one asks the system for.
const RECEIVE_BUFFER_BYTES: usize = 1024 * 1024;

/// A world at one moment.
#[derive(Debug)]
pub struct World {
    now: Duration,
    events: Events,
    networks: Vec<Network>,
    hosts: Vec<Host>,
    routers: Vec<Router>,
    lines: Vec<Line>,
    streams: BTreeMap<StreamId, Held>,
    walls: Vec<BTreeSet<HostId>>,
    dropped: BTreeMap<&'static str, u64>,
    trace: Trace,
    woken: BTreeSet<HostId>,
    seeds: ChaCha8Rng,
}

impl World {
    /// A world with nothing but the internet, which any packet crosses in `delay`.
    pub fn new(delay: Duration, seed: u64) -> Self {
        Self {
            now: Duration::ZERO,
            events: Events::default(),
            networks: vec![Network::internet(delay)],
            hosts: Vec::new(),
            routers: Vec::new(),
            lines: Vec::new(),
            streams: BTreeMap::new(),
            walls: Vec::new(),
            dropped: BTreeMap::new(),
            trace: Trace::default(),
            woken: BTreeSet::new(),
            seeds: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// The time.
    pub fn now(&self) -> Duration {
        self.now
    }

    /// When the next event is due.
    pub fn next_due(&self) -> Option<Duration> {
        self.events.next_due()
    }

    /// Moves the clock to `now` and lets happen what is due by then; returns the alarms among it.
    pub fn advance(&mut self, now: Duration, alarms: &mut Vec<Alarm>) {
        while let Some((at, event)) = self.events.pop_due(now) {
            self.now = at;
            match event {
                Event::Packet(place, packet) => self.arrive(place, packet),
                Event::Alarm(alarm) => alarms.push(alarm),
                Event::Stream(id) => self.on_stream_alarm(id),
            }
        }
        self.now = now;
    }

    /// Asks to be told at a time.
    pub fn set_alarm(&mut self, at: Duration, alarm: Alarm) {
        self.events.push(at.max(self.now), Event::Alarm(alarm));
    }

    /// Hosts that got something to read since the last time.
    pub fn take_woken(&mut self) -> BTreeSet<HostId> {
        std::mem::take(&mut self.woken)
    }

    /// Events that wait; bounded by what hosts send within the longest delay.
    pub fn events_waiting(&self) -> usize {
        self.events.len()
    }

    /// Packets dropped, by reason.
    pub fn dropped(&self) -> &BTreeMap<&'static str, u64> {
        &self.dropped
    }

    /// The hash of everything, to note more in it or to read it.
    pub fn trace(&mut self) -> &mut Trace {
        &mut self.trace
    }

    /// Nothing passes between these hosts and all others until [`World::remove_wall`].
    pub fn build_wall(&mut self, around: BTreeSet<HostId>) {
        self.walls.push(around);
    }

    /// Takes a wall away.
    pub fn remove_wall(&mut self, around: &BTreeSet<HostId>) {
        if let Some(at) = self.walls.iter().position(|wall| wall == around) {
            self.walls.swap_remove(at);
        }
    }

    fn drop_packet(&mut self, packet: &Packet, reason: &'static str) {
        *self.dropped.entry(reason).or_default() += 1;
        self.trace.note(Kind::Dropped, self.now, u64::from(packet.origin.0), packet.bytes.len() as u64);
    }

    fn later(&mut self, at: Duration, place: Place, packet: Packet) {
        self.events.push(at, Event::Packet(place, packet));
    }
}
