//! Two sides with two paths between them, which can be cut, stalled and restored, in virtual time.
//!
//! Each side talks or does not, and acknowledges what it gets as QUIC does: every second datagram at once, a single
//! one after 25 ms. What it sends goes where its [`PathSet`] says.

use super::{Kind, PathSet, RelayId, Route, Via};
use std::collections::BTreeSet;
use std::time::Duration;

pub(super) const RELAY: usize = 0;
pub(super) const DIRECT: usize = 1;

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(super) fn route(path: usize) -> Route {
    match path {
        RELAY => Route { via: Via::Relay(RelayId(0)), to: "192.0.2.9:9".parse().unwrap() },
        _ => Route::direct(format!("192.0.2.1:{path}").parse().unwrap()),
    }
}

fn kind(path: usize) -> Kind {
    if path == RELAY { Kind::Relayed } else { Kind::Direct }
}

fn path_of(route: Route) -> usize {
    (0..4).find(|path| self::route(*path) == route).unwrap()
}

/// One direction of a path.
#[derive(Clone, Default)]
pub(super) struct Line {
    pub(super) delay: u64,
    /// Nothing passes from the first to before the second moment.
    pub(super) cuts: Vec<(u64, u64)>,
    /// What is sent in between arrives at the end.
    pub(super) stalls: Vec<(u64, u64)>,
    /// One datagram in so many is lost; 0: none.
    pub(super) loss: u64,
}

pub(super) struct Side {
    pub(super) set: PathSet,
    /// Between two datagrams of voice.
    pub(super) talks: Option<u64>,
    unacknowledged: u64,
    acknowledge_at: Option<u64>,
    last_sent: u64,
    seen: BTreeSet<u64>,
    /// When something new came, of the other side's voice.
    voice: Vec<u64>,
}

pub(super) struct Pair {
    pub(super) now: u64,
    pub(super) sides: [Side; 2],
    /// By path and sending side.
    pub(super) lines: [[Line; 2]; 2],
    /// (arrival, order, path, receiver, number, is voice).
    pub(super) flying: BTreeSet<(u64, u64, usize, usize, u64, bool)>,
    number: u64,
    noise: u64,
    checks: bool,
}

impl Pair {
    /// On the direct path, with the relay as standby, and used to it.
    pub(super) fn direct(delay: u64, talks: [Option<u64>; 2]) -> Self {
        let line = Line { delay, ..Line::default() };
        let mut pair = Self::new(line, talks);
        pair.run(3000);
        for side in &pair.sides {
            assert_eq!(side.set.active(), route(DIRECT));
            assert_eq!(side.set.standby(), Some(route(RELAY)));
        }
        for side in &mut pair.sides {
            assert!(side.set.take_change().is_some());
        }
        pair
    }

    pub(super) fn new(line: Line, talks: [Option<u64>; 2]) -> Self {
        let side = |talks| Side {
            set: PathSet::new(route(RELAY), Kind::Relayed, ms(0)),
            talks,
            unacknowledged: 0,
            acknowledge_at: None,
            last_sent: 0,
            seen: BTreeSet::new(),
            voice: Vec::new(),
        };
        let lines = [[line.clone(), line.clone()], [line.clone(), line]];
        let sides = talks.map(side);
        let mut pair =
            Self { now: 0, sides, lines, flying: BTreeSet::new(), number: 0, noise: 1, checks: true };
        pair.sides[0].set.set_controlling(true);
        pair.sides[1].set.set_controlling(false);
        pair
    }

    pub(super) fn random(&mut self, below: u64) -> u64 {
        self.noise = self.noise.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.noise >> 33) % below
    }

    fn is_cut(&self, path: usize, from: usize) -> bool {
        self.lines[path][from].cuts.iter().any(|(start, end)| (*start..*end).contains(&self.now))
    }

    pub(super) fn cut(&mut self, path: usize, from: u64, to: u64) {
        for side in 0..2 {
            self.lines[path][side].cuts.push((from, to));
        }
    }

    fn send(&mut self, side: usize, is_voice: bool) {
        let (first, second) = self.sides[side].set.outbound(ms(self.now));
        self.sides[side].last_sent = self.now;
        self.number += 1;
        for path in [Some(first), second].into_iter().flatten().map(path_of) {
            let loss = self.lines[path][side].loss;
            if self.is_cut(path, side) || (loss > 0 && self.random(loss) == 0) {
                continue;
            }
            let line = &self.lines[path][side];
            let stalled = line.stalls.iter().find(|(start, end)| (*start..*end).contains(&self.now));
            let arrival = stalled.map_or(self.now, |(_, end)| *end) + line.delay;
            self.flying.insert((arrival, self.number, path, 1 - side, self.number, is_voice));
        }
    }

    fn arrive(&mut self, path: usize, to: usize, number: u64, is_voice: bool) {
        let now = self.now;
        let side = &mut self.sides[to];
        side.set.inbound(ms(now), route(path));
        if !side.seen.insert(number) || !is_voice {
            return;
        }
        side.voice.push(now);
        side.unacknowledged += 1;
        if side.unacknowledged >= 2 {
            side.acknowledge_at = Some(now);
        } else {
            side.acknowledge_at.get_or_insert(now + 25);
        }
    }

    /// Checks are answered on every path that is not cut, each 2.5 s.
    fn check(&mut self) {
        for path in 0..2 {
            if self.is_cut(path, 0) || self.is_cut(path, 1) {
                continue;
            }
            let round_trip = self.lines[path][0].delay + self.lines[path][1].delay;
            for side in &mut self.sides {
                side.set.on_valid(ms(self.now), route(path), kind(path), ms(round_trip));
            }
        }
    }

    pub(super) fn step(&mut self) {
        self.now += 1;
        while let Some(first) = self.flying.first().copied().filter(|flying| flying.0 <= self.now) {
            self.flying.remove(&first);
            self.arrive(first.2, first.3, first.4, first.5);
        }
        if self.checks && self.now % 2500 == 100 {
            self.check();
        }
        for index in 0..2 {
            if self.now.is_multiple_of(100) {
                self.sides[index].set.tick(ms(self.now));
            }
            let side = &mut self.sides[index];
            // A phase of its own, so that the two do not talk in step.
            let is_voice =
                side.talks.is_some_and(|every| (self.now + 7 * index as u64).is_multiple_of(every));
            let acknowledges = side.acknowledge_at.is_some_and(|at| at <= self.now);
            let keeps_alive = self.now - side.last_sent >= 400;
            if is_voice || acknowledges || keeps_alive {
                (side.acknowledge_at, side.unacknowledged) = (None, 0);
                self.send(index, is_voice || keeps_alive);
            }
        }
    }

    pub(super) fn run(&mut self, until: u64) {
        while self.now < until {
            self.step();
        }
    }

    /// The longest pause between two new datagrams of voice at a side, of those that end after `since`.
    pub(super) fn longest_pause(&self, side: usize, since: u64) -> u64 {
        let voice = &self.sides[side].voice;
        let pauses = voice.windows(2).filter(|pair| pair[1] > since).map(|pair| pair[1] - pair[0]);
        pauses.max().unwrap_or(u64::MAX)
    }

    pub(super) fn copies(&self) -> u64 {
        self.sides.iter().map(|side| side.set.counters().copies).sum()
    }

    pub(super) fn sent(&self) -> u64 {
        self.sides.iter().map(|side| side.set.counters().sent).sum()
    }

    pub(super) fn moves(&self) -> u64 {
        self.sides.iter().map(|side| side.set.counters().moves).sum()
    }
}
