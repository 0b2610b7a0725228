//! The choice among the routes to one peer.
//!
//! One route is *active*. Around it there are five modes:
//! - *settled*: datagrams go on the active route alone.
//! - *moving*: a better one has become active; the one before still gets a copy of everything, until the peer was
//!   heard on the new one. QUIC drops duplicates (RFC 9000, section 12.3). If the peer is never heard there,
//!   we go back.
//! - *doubted*: the active route is silent ([`super::pulse`]); another one gets copies. When the peer is heard there
//!   and the active one remains silent, we move for good.
//! - *easing*: the doubt was wrong; copies end in a moment.
//! - *echoing*: the peer is heard on a route on which we do not send, so it probably does not hear us on ours. It
//!   gets copies there for a moment, once for each time the peer comes there.
//!
//! A route that was left for being silent or worse has to prove itself for longer each time before it is chosen
//! again. When the other side decides (it is ICE's controlling agent), its nomination beats our preference for as long
//! as that route answers.
//!
//! Left out: authenticity. Whoever can send from a route's address (spoofing it) can make a dead route look alive,
//! until its consent is lost; or draw copies to another one. He cannot add a route.

use crate::path::measure::better;
use crate::path::pulse::Pulse;
use crate::path::rotation::Rotation;
use crate::path::slots::{Slot, Slots, Standing};
use crate::path::{Change, Kind, Reason, Route};
use std::time::Duration;

mod choosing;
mod doubt;

/// The routes to one peer. `now` is the time since any fixed moment; it never goes back.
#[derive(Clone, Copy, Debug)]
pub struct PathSet {
    slots: Slots,
    active: usize,
    mode: Mode,
    pulse: Pulse,
    active_since: Duration,
    forgiven: Duration,
    /// The other side's nomination.
    chosen: Option<Route>,
    controlling: Option<bool>,
    /// When last looked at, an answer was overdue.
    overdue: bool,
    was_direct: bool,
    reason: Reason,
    change: Option<Change>,
    rotation: Rotation,
    counters: Counters,
}

/// What has been done since the beginning.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Datagrams sent, each once.
    pub sent: u64,
    /// Copies sent on second routes.
    pub copies: u64,
    /// Times the active route was doubted.
    pub doubts: u64,
    /// Moves from one route to another.
    pub moves: u64,
}

/// By what the peer was noticed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Sign {
    /// A datagram of the call: it sends there.
    Call,
    /// A check, which goes everywhere.
    Check,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Settled,
    Moving { from: usize, since: Duration, sent: u32, heard: bool },
    Doubted { since: Duration, second: usize, second_since: Duration },
    Easing { second: usize, until: Duration },
    Echoing { second: usize, until: Duration, least: u8 },
}

impl PathSet {
    /// A peer that is reached by `first`, as its handshake proved.
    pub fn new(first: Route, kind: Kind, now: Duration) -> Self {
        Self {
            slots: Slots::new(Slot::new(now, first, kind, Standing::Valid)),
            active: 0,
            mode: Mode::Settled,
            pulse: Pulse::new(now),
            active_since: now,
            forgiven: now,
            chosen: None,
            controlling: None,
            overdue: false,
            was_direct: kind != Kind::Relayed,
            reason: Reason::First(kind),
            change: None,
            rotation: Rotation::default(),
            counters: Counters::default(),
        }
    }

    /// Who of the two nominates, in ICE's terms. It breaks ties between sides that prefer different routes.
    pub fn set_controlling(&mut self, controlling: bool) {
        self.controlling = Some(controlling);
    }

    /// Where the next datagram goes, and where a copy of it.
    pub fn outbound(&mut self, now: Duration) -> (Route, Option<Route>) {
        self.pulse.on_sent(now);
        self.step(now);
        let second = self.second();
        match &mut self.mode {
            Mode::Moving { sent, .. } => *sent = sent.saturating_add(1),
            Mode::Echoing { least, .. } => *least = least.saturating_sub(1),
            Mode::Settled | Mode::Doubted { .. } | Mode::Easing { .. } => {}
        }
        self.counters.sent += 1;
        let active = self.slots.at_mut(self.active);
        active.sent = Some(now);
        let route = active.route;
        let copy = second.map(|second| {
            self.counters.copies += 1;
            let second = self.slots.at_mut(second);
            second.sent = Some(now);
            second.route
        });
        (route, copy)
    }

    /// A datagram of the call came in by this route.
    pub fn inbound(&mut self, now: Duration, route: Route) {
        if let Some(index) = self.slots.find(route)
            && self.takes(index)
        {
            self.on_peer(now, index, Sign::Call);
        }
    }

    /// Whether what comes from there may be this peer's.
    pub fn accepts(&self, route: Route) -> bool {
        self.slots.find(route).is_some_and(|index| self.takes(index))
    }

    /// A check of ours on this route was answered, after this round trip.
    pub fn on_valid(&mut self, now: Duration, route: Route, kind: Kind, round_trip: Duration) {
        let Some(index) = self.enter(now, route, kind, Standing::Valid) else { return };
        let slot = self.slots.at_mut(index);
        if slot.answers == 0 {
            slot.proven_since = now;
        }
        slot.answers = slot.answers.saturating_add(1);
        slot.kind = kind;
        slot.measure.add_round_trip(round_trip);
        self.on_peer(now, index, Sign::Check);
        if index != self.active {
            if self.chosen == Some(route) {
                self.follow_nomination(now, index);
            } else {
                let (slot, active) = (self.slots.at(index), self.slots.at(self.active));
                let is_better = better((slot.kind, slot.measure), (active.kind, active.measure)).is_some();
                let slot = self.slots.at_mut(index);
                slot.better_for = if is_better { slot.better_for.saturating_add(1) } else { 0 };
            }
        }
        self.consider(now);
    }

    /// Which share of what was sent on this route was lost lately, 0 to 1.
    pub fn on_loss(&mut self, route: Route, share: f32) {
        if let Some(index) = self.slots.find(route) {
            self.slots.at_mut(index).measure.add_loss(share);
        }
    }

    /// An authentic check of the peer came by this route: its datagrams may, too. When the active route is silent
    /// this is where the peer is now.
    pub fn on_heard(&mut self, now: Duration, route: Route, kind: Kind) {
        if let Some(index) = self.enter(now, route, kind, Standing::Heard) {
            self.on_peer(now, index, Sign::Check);
            self.leave_dead(now);
        }
    }

    /// Consent to send there is lost (RFC 7675).
    pub fn on_expired(&mut self, now: Duration, route: Route) {
        if self.chosen == Some(route) {
            self.chosen = None;
        }
        let Some(index) = self.slots.find(route) else { return };
        self.slots.at_mut(index).fail();
        self.slots.at_mut(index).standing = Standing::Dead { since: now };
        if self.in_use().contains(&index) {
            self.mode = Mode::Settled;
        }
        self.leave_dead(now);
    }

    /// The other side nominated this route.
    pub fn on_nominated(&mut self, now: Duration, route: Route) {
        self.chosen = Some(route);
        self.controlling = Some(false);
        let kind = Kind::of(route, None, false);
        let Some(index) = self.enter(now, route, kind, Standing::Nominated) else { return };
        self.follow_nomination(now, index);
    }

    /// Does what has become due. To be called every 100 ms or more often.
    pub fn tick(&mut self, now: Duration) {
        self.step(now);
        self.consider(now);
        if now.saturating_sub(self.forgiven) >= FORGIVEN_AFTER {
            self.forgiven = now;
            let active = self.slots.at_mut(self.active);
            active.failures = active.failures.saturating_sub(1);
        }
        if self.kind() == Kind::Direct {
            self.rotation.on_age(now.saturating_sub(self.active_since));
        }
    }

    /// Where datagrams go.
    pub fn active(&self) -> Route {
        self.slots.at(self.active).route
    }

    /// What kind the active route is of.
    pub fn kind(&self) -> Kind {
        self.slots.at(self.active).kind
    }

    /// Whether the active route does not seem to work, be there another one or not.
    pub fn is_suspected(&self) -> bool {
        self.overdue || matches!(self.mode, Mode::Doubted { .. })
    }

    /// Why the active route is in use.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The smoothed round trip of the active route.
    pub fn round_trip(&self) -> Option<Duration> {
        self.slots.at(self.active).measure.round_trip
    }

    /// Every route whose datagrams are accepted.
    pub fn routes(&self) -> impl Iterator<Item = Route> {
        self.slots.iter().filter(|(index, _)| self.takes(*index)).map(|(_, slot)| slot.route)
    }

    /// The best other validated route, of another nature if there is one: to be kept warm.
    pub fn standby(&self) -> Option<Route> {
        self.standby_index().map(|index| self.slots.at(index).route)
    }

    /// The move since this was last asked, if the route is another one now.
    pub fn take_change(&mut self) -> Option<Change> {
        self.change.take()
    }

    /// At which age a direct path should be given a fresh port, when the NAT seems to forget ports in use.
    pub fn rotation_advice(&self) -> Option<Duration> {
        self.rotation.advice()
    }

    /// Whether the active path has reached that age.
    pub fn wants_rotation(&self, now: Duration) -> bool {
        let age = now.saturating_sub(self.active_since);
        self.kind() == Kind::Direct && self.rotation.advice().is_some_and(|advice| age >= advice)
    }

    /// Moves to a route that works, from one that is about to end.
    pub fn rotate_to(&mut self, now: Duration, route: Route) {
        let Some(index) = self.slots.find(route) else { return };
        if index != self.active && self.slots.at(index).is_valid() {
            self.move_to(now, index, Reason::FreshPort, true);
        }
    }

    /// What has been done since the beginning.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// What is due by the clock alone.
    fn step(&mut self, now: Duration) {
        match self.mode {
            Mode::Settled => self.doubt_if_silent(now),
            Mode::Easing { until, .. } => {
                if now >= until {
                    self.mode = Mode::Settled;
                }
                self.doubt_if_silent(now);
            }
            Mode::Echoing { until, least, .. } => {
                if now >= until && least == 0 {
                    self.mode = Mode::Settled;
                }
                self.doubt_if_silent(now);
            }
            Mode::Moving { from, since, sent, heard } => self.finish_move(now, from, since, sent, heard),
            Mode::Doubted { since, second, second_since } => {
                self.settle_doubt(now, since, second, second_since);
            }
        }
    }

    /// The route that gets copies now.
    fn second(&self) -> Option<usize> {
        let second = match self.mode {
            Mode::Settled => return None,
            Mode::Moving { from, .. } => from,
            Mode::Doubted { second, .. } | Mode::Easing { second, .. } | Mode::Echoing { second, .. } => {
                second
            }
        };
        (second != self.active).then_some(second)
    }

    fn in_use(&self) -> [usize; 2] {
        [self.active, self.second().unwrap_or(self.active)]
    }

    fn takes(&self, index: usize) -> bool {
        index == self.active || self.slots.at(index).is_usable()
    }

    /// Finds a route's slot or makes one. Standing only rises.
    fn enter(&mut self, now: Duration, route: Route, kind: Kind, standing: Standing) -> Option<usize> {
        let Some(index) = self.slots.find(route) else {
            return self.slots.insert(Slot::new(now, route, kind, standing), self.in_use());
        };
        let slot = self.slots.at_mut(index);
        let rises = match (slot.standing, standing) {
            (_, Standing::Valid) | (Standing::Dead { .. }, _) => true,
            (Standing::Heard, Standing::Nominated) => true,
            (Standing::Valid | Standing::Nominated | Standing::Heard, _) => false,
        };
        if rises {
            slot.standing = standing;
        }
        Some(index)
    }
}

/// A failure is forgiven for each time the route has carried the call this long.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
