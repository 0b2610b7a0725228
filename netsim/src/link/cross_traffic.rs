//! Another flow through the same queue, packet by packet: when it sends is decided here, what becomes of a packet is
//! the queue's to say.
//!
//! The greedy flow is TCP as RFC 5681 has it, reduced to what shapes a queue: slow start from ten packets (RFC 6928), one
//! packet more a round trip, half at a loss, at most once a round trip (NewReno). Left out: timeouts, delayed
//! acknowledgements, and that its acknowledgements travel a link of their own.

use std::collections::VecDeque;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::config::CrossTraffic;
use super::spread::ns_from_ms;

/// The size of its packets: an Ethernet MTU.
pub(super) const PACKET_BYTES: usize = 1500;

/// RFC 6928.
const FIRST_WINDOW: f64 = 10.0;

#[derive(Clone, Debug)]
pub(super) struct CrossFlow {
    phases: Phases,
    on: bool,
    /// When it next goes on or pauses.
    turns: u64,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    Greedy(Greedy),
    Constant { interval: u64, next: u64 },
}

impl CrossFlow {
    pub(super) fn new(config: &CrossTraffic, now: u64, rng: &mut ChaCha8Rng) -> Self {
        let (kind, on_s, off_s) = match *config {
            CrossTraffic::Greedy { round_trip_ms, on_s, off_s } => {
                (Kind::Greedy(Greedy::new(ns_from_ms(round_trip_ms))), on_s, off_s)
            }
            CrossTraffic::Constant { rate_kbps, on_s, off_s } => {
                let interval = (PACKET_BYTES as f64 * 8e6 / rate_kbps).round().max(1.0) as u64;
                (Kind::Constant { interval, next: now }, on_s, off_s)
            }
        };
        let phases = Phases::new(on_s.zip(off_s), rng);
        // Its first turn, at once, finds out whether it is on.
        CrossFlow { phases, on: false, turns: now, kind }
    }

    /// When it next wants to be asked by `poll_packets`.
    pub(super) fn next_event(&self) -> u64 {
        let event = match &self.kind {
            Kind::Greedy(greedy) => greedy.feedback.front().map_or(u64::MAX, |&(at, _)| at),
            Kind::Constant { next, .. } if self.on => *next,
            Kind::Constant { .. } => u64::MAX,
        };
        event.min(self.turns)
    }

    /// How many packets it sends at `at`, its next event. Each is reported by `on_sent`.
    pub(super) fn poll_packets(&mut self, at: u64) -> u32 {
        if at == self.turns {
            let (on, turns) = self.phases.at(at);
            if on && !self.on {
                match &mut self.kind {
                    Kind::Greedy(greedy) => greedy.start(),
                    Kind::Constant { next, .. } => *next = at,
                }
            }
            (self.on, self.turns) = (on, turns);
        }
        match &mut self.kind {
            Kind::Greedy(greedy) => {
                greedy.handle_feedback(at);
                if self.on { greedy.room() } else { 0 }
            }
            Kind::Constant { interval, next } if self.on && *next <= at => {
                *next = at + *interval;
                1
            }
            Kind::Constant { .. } => 0,
        }
    }

    /// What became of a packet sent at `at`: it leaves the queue at `departure`, or was dropped.
    pub(super) fn on_sent(&mut self, at: u64, departure: Option<u64>) {
        match &mut self.kind {
            Kind::Greedy(greedy) => greedy.on_sent(at, departure),
            Kind::Constant { .. } => {}
        }
    }
}

#[derive(Clone, Debug)]
struct Greedy {
    round_trip: u64,
    /// In packets.
    window: f64,
    slow_start_until: f64,
    in_flight: u32,
    /// Losses before this belong to one already answered.
    recovers_at: u64,
    /// When the sender learns what became of each packet, in order, and whether it was lost.
    feedback: VecDeque<(u64, bool)>,
    last_feedback: u64,
}

impl Greedy {
    fn new(round_trip: u64) -> Self {
        Greedy {
            round_trip,
            window: FIRST_WINDOW,
            slow_start_until: f64::INFINITY,
            in_flight: 0,
            recovers_at: 0,
            feedback: VecDeque::new(),
            last_feedback: 0,
        }
    }

    fn start(&mut self) {
        self.window = FIRST_WINDOW;
        self.slow_start_until = f64::INFINITY;
    }

    fn room(&self) -> u32 {
        (self.window as u32).saturating_sub(self.in_flight)
    }

    fn on_sent(&mut self, at: u64, departure: Option<u64>) {
        // A loss shows when the packets before it are acknowledged.
        let known = departure.unwrap_or(at) + self.round_trip;
        self.last_feedback = self.last_feedback.max(known);
        self.feedback.push_back((self.last_feedback, departure.is_none()));
        self.in_flight += 1;
    }

    fn handle_feedback(&mut self, at: u64) {
        while let Some(&(known, lost)) = self.feedback.front()
            && known <= at
        {
            self.feedback.pop_front();
            self.in_flight -= 1;
            if !lost {
                let slow_start = self.window < self.slow_start_until;
                self.window += if slow_start { 1.0 } else { 1.0 / self.window };
            } else if known >= self.recovers_at {
                self.window = (self.window / 2.0).max(2.0);
                self.slow_start_until = self.window;
                self.recovers_at = self.last_feedback + 1;
            }
        }
    }
}

/// On for a while, off for a while, from a phase the seed chose.
#[derive(Clone, Copy, Debug)]
enum Phases {
    Always,
    Periodic { on: u64, period: u64, ahead: u64 },
}

impl Phases {
    fn new(on_off_s: Option<(f64, f64)>, rng: &mut ChaCha8Rng) -> Self {
        let part: f64 = rng.random();
        let Some((on_s, off_s)) = on_off_s else { return Phases::Always };
        let (on, off) = (ns_from_ms(on_s * 1000.0), ns_from_ms(off_s * 1000.0));
        let period = on + off;
        Phases::Periodic { on, period, ahead: (part * period as f64) as u64 }
    }

    /// Whether it is on at `at`, and until when that stays so.
    fn at(&self, at: u64) -> (bool, u64) {
        match *self {
            Phases::Always => (true, u64::MAX),
            Phases::Periodic { on, period, ahead } => {
                let within = (at + ahead) % period;
                if within < on { (true, at + on - within) } else { (false, at + period - within) }
            }
        }
    }
}
