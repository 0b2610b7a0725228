//! All routes to one peer, and which of them its datagrams take.
//!
//! A route is used once a check was answered on it (*valid*). The best valid one is *active*: the score is the round
//! trip, with an advantage for ways without a relay, and another one has to be better by a margin. Two things are done
//! without waiting for certainty, because they cost only a few duplicates, which the other side's QUIC drops:
//! - While the active route changes, datagrams go both ways for [`OVERLAP`].
//! - When the peer has not been heard for about three datagrams' time although it should have answered, the active
//!   route is *suspected*, and everything is sent on the best other one as well. Should the peer be heard there and
//!   not on the active one, that is the active one from then on; should it be heard on the active one, nothing was
//!   lost.
//!
//! How long a silence is suspicious is learnt from the silences that ended well: a path that stalls now and then is
//! not suspected each time. Everything here is called for each datagram: nothing allocates but a new route.

use super::{Change, Kind, Reason, Route};
use std::time::Duration;

/// Routes of one peer. Beyond it the worst one that is not used is forgotten.
const ROUTES_MAX: usize = 8;

/// For how long datagrams go both ways when the active route changes.
const OVERLAP: Duration = Duration::from_millis(250);

/// The shortest silence that is suspicious: three datagrams of 10 ms, and the 25 ms a QUIC acknowledgement may wait.
const SUSPICIOUS_MIN: Duration = Duration::from_millis(55);

/// The longest: a path with long stalls is given up by then.
const SUSPICIOUS_MAX: Duration = Duration::from_millis(600);

/// A suspected route that stays silent while another one is heard is left after this.
const CERTAIN: Duration = Duration::from_millis(150);

/// Datagrams sent and not answered before a silence can mean anything.
const UNANSWERED_MIN: u32 = 3;

/// What a relay has to be faster by, to be preferred.
const RELAY_HANDICAP: Duration = Duration::from_millis(60);

/// What another route has to be better by.
const MARGIN: Duration = Duration::from_millis(15);

/// A route that failed is not returned to for this long, doubled with each failure.
const HOLD: Duration = Duration::from_secs(2);
const HOLD_DOUBLINGS_MAX: u32 = 5;

#[derive(Debug, Clone, Copy)]
struct Known {
    route: Route,
    kind: Kind,
    /// The last round trip that a check took; `None` while none was answered.
    round_trip: Option<Duration>,
    /// When a datagram or check last came from there.
    heard: Option<Duration>,
    failures: u32,
    held_until: Duration,
}

/// The routes of one peer.
#[derive(Debug)]
pub struct PathSet {
    known: Vec<Known>,
    /// Index of the active one.
    active: usize,
    /// The one before, while datagrams still go there, and until when.
    former: Option<(Route, Duration)>,
    nominated: Option<Route>,
    /// Since the active route was last heard.
    unanswered: u32,
    /// When it was, or when it became active.
    heard: Duration,
    /// A silence of the active route that is longer than this is suspicious.
    suspicious: Duration,
    suspected: Option<Duration>,
    change: Option<Change>,
}

impl PathSet {
    /// A peer that is reached on one route.
    pub fn new(first: Route, kind: Kind, now: Duration) -> Self {
        let first = Known {
            route: first,
            kind,
            round_trip: None,
            heard: None,
            failures: 0,
            held_until: Duration::ZERO,
        };
        Self {
            known: vec![first],
            active: 0,
            former: None,
            nominated: None,
            unanswered: 0,
            heard: now,
            suspicious: SUSPICIOUS_MIN,
            suspected: None,
            change: None,
        }
    }

    /// Where a datagram goes that is sent now.
    pub fn outbound(&mut self, now: Duration) -> (Route, Option<Route>) {
        self.unanswered = self.unanswered.saturating_add(1);
        self.suspect(now);
        let active = self.known[self.active].route;
        let second = match self.former {
            Some((former, until)) if now < until => Some(former),
            _ if self.suspected.is_some() => self.other(),
            _ => None,
        };
        (active, second.filter(|second| *second != active))
    }

    /// A datagram of the peer came in.
    pub fn inbound(&mut self, now: Duration, route: Route) {
        let Some(index) = self.position(route) else { return };
        self.known[index].heard = Some(now);
        if index == self.active {
            self.on_active_heard(now);
        }
    }

    fn on_active_heard(&mut self, now: Duration) {
        let silence = now.saturating_sub(self.heard);
        // Only silences while it had something to answer teach anything.
        if self.unanswered >= UNANSWERED_MIN {
            let wanted = (silence + silence / 2).clamp(SUSPICIOUS_MIN, SUSPICIOUS_MAX);
            self.suspicious = if wanted > self.suspicious {
                wanted
            } else {
                // Some seconds of an even path, and stalls are forgotten.
                self.suspicious - (self.suspicious - wanted) / 128
            };
        }
        self.heard = now;
        self.unanswered = 0;
        self.suspected = None;
    }

    fn suspect(&mut self, now: Duration) {
        let silent = self.unanswered >= UNANSWERED_MIN && now.saturating_sub(self.heard) > self.suspicious;
        if silent && self.suspected.is_none() {
            self.suspected = Some(now);
        }
        let Some(since) = self.suspected else { return };
        let Some(other) = self.other().and_then(|route| self.position(route)) else { return };
        let heard_there = self.known[other].heard.is_some_and(|heard| heard > since);
        if heard_there && now.saturating_sub(since) > CERTAIN {
            let was = self.known[self.active].kind;
            self.fail(self.active, now);
            self.switch(other, Reason::Dead { was, now: self.known[other].kind }, now);
        }
    }

    fn fail(&mut self, index: usize, now: Duration) {
        let known = &mut self.known[index];
        known.held_until = now + HOLD * 2u32.pow(known.failures.min(HOLD_DOUBLINGS_MAX));
        known.failures = known.failures.saturating_add(1);
        known.round_trip = None;
    }

    /// The best route beside the active one: a valid one, else one where the peer was heard while it was not heard here.
    fn other(&self) -> Option<Route> {
        let others = self.known.iter().enumerate().filter(|(index, _)| *index != self.active);
        let best =
            others.clone().filter(|(_, known)| known.round_trip.is_some()).min_by_key(|(_, k)| score(k));
        let heard = || {
            let lately = |known: &Known| known.heard.filter(|heard| *heard > self.heard);
            others.filter(|(_, known)| lately(known).is_some()).max_by_key(|(_, known)| lately(known))
        };
        best.or_else(heard).map(|(_, known)| known.route)
    }

    /// Whether the peer's datagrams may come from there.
    pub fn accepts(&self, route: Route) -> bool {
        self.position(route).is_some()
    }

    /// A check was answered on a route.
    pub fn on_valid(&mut self, now: Duration, route: Route, kind: Kind, round_trip: Duration) {
        let Some(index) = self.enter(route, kind) else { return };
        self.known[index].round_trip = Some(round_trip);
        self.known[index].heard = Some(now);
        self.choose(now);
    }

    /// An authentic check came from there.
    pub fn on_heard(&mut self, now: Duration, route: Route, kind: Kind) {
        if let Some(index) = self.enter(route, kind) {
            self.known[index].heard = Some(now);
        }
    }

    /// No check is answered on a route any more.
    pub fn on_expired(&mut self, now: Duration, route: Route) {
        let Some(index) = self.position(route) else { return };
        self.fail(index, now);
        if index != self.active {
            self.forget(index);
        } else if let Some(other) = self.other().and_then(|other| self.position(other)) {
            let was = self.known[index].kind;
            self.switch(other, Reason::Dead { was, now: self.known[other].kind }, now);
        }
    }

    /// The other side, whose choice it is, wants this one.
    pub fn on_nominated(&mut self, now: Duration, route: Route) {
        self.nominated = Some(route);
        self.choose(now);
    }

    /// Looks after what only time changes. To be called every 100 ms or so.
    pub fn tick(&mut self, now: Duration) {
        if self.former.is_some_and(|(_, until)| now >= until) {
            self.former = None;
        }
        self.choose(now);
    }

    fn choose(&mut self, now: Duration) {
        let current = self.known[self.active];
        let theirs = self.nominated.and_then(|route| self.position(route));
        if let Some(theirs) = theirs
            && theirs != self.active
            && self.known[theirs].round_trip.is_some()
            && now >= self.known[theirs].held_until
        {
            return self.switch(theirs, Reason::TheirChoice, now);
        }
        if self.nominated == Some(current.route) && self.suspected.is_none() {
            return;
        }
        let usable = |(index, known): &(usize, &Known)| {
            *index != self.active && known.round_trip.is_some() && now >= known.held_until
        };
        let Some((best, known)) =
            self.known.iter().enumerate().filter(usable).min_by_key(|(_, known)| score(known))
        else {
            return;
        };
        // The first route has no round trip of its own before it is checked: only a better kind takes over from it.
        let gain = match current.round_trip {
            Some(_) => score(&current).saturating_sub(score(known)),
            None if known.kind < current.kind => MARGIN,
            None => Duration::ZERO,
        };
        if gain >= MARGIN {
            let reason = if known.kind == current.kind {
                Reason::Shorter(gain.as_millis() as u32)
            } else {
                Reason::Found(known.kind)
            };
            self.switch(best, reason, now);
        }
    }

    fn switch(&mut self, to: usize, reason: Reason, now: Duration) {
        let from = self.known[self.active].route;
        self.active = to;
        self.former = Some((from, now + OVERLAP));
        self.heard = now;
        self.unanswered = 0;
        self.suspected = None;
        self.suspicious = SUSPICIOUS_MIN;
        let Known { route, kind, .. } = self.known[to];
        let from = self.change.take().map_or(from, |earlier| earlier.from);
        self.change = Some(Change { from, to: route, kind, reason });
    }

    /// Where datagrams go.
    pub fn active(&self) -> Route {
        self.known[self.active].route
    }

    /// What kind of way that is.
    pub fn kind(&self) -> Kind {
        self.known[self.active].kind
    }

    /// Whether the active route does not seem to work.
    pub fn is_suspected(&self) -> bool {
        self.suspected.is_some()
    }

    /// The best other valid route.
    pub fn standby(&self) -> Option<Route> {
        let others =
            self.known.iter().enumerate().filter(|(i, k)| *i != self.active && k.round_trip.is_some());
        // One of another nature does not fail for the same reason.
        let kind = self.kind();
        others.min_by_key(|(_, known)| (known.kind == kind, score(known))).map(|(_, known)| known.route)
    }

    /// All routes that are known.
    pub fn routes(&self) -> impl Iterator<Item = Route> {
        self.known.iter().map(|known| known.route)
    }

    /// What changed since the last time this was asked.
    pub fn take_change(&mut self) -> Option<Change> {
        self.change.take().filter(|change| change.from != change.to)
    }

    fn position(&self, route: Route) -> Option<usize> {
        self.known.iter().position(|known| known.route == route)
    }

    fn enter(&mut self, route: Route, kind: Kind) -> Option<usize> {
        if let Some(index) = self.position(route) {
            self.known[index].kind = kind;
            return Some(index);
        }
        if self.known.len() >= ROUTES_MAX {
            let unused = |(index, known): &(usize, &Known)| {
                *index != self.active && self.former.is_none_or(|(former, _)| former != known.route)
            };
            let worst = self.known.iter().enumerate().filter(unused);
            let (worst, _) = worst.max_by_key(|(_, known)| (known.round_trip.is_none(), score(known)))?;
            self.forget(worst);
        }
        let known =
            Known { route, kind, round_trip: None, heard: None, failures: 0, held_until: Duration::ZERO };
        self.known.push(known);
        Some(self.known.len() - 1)
    }

    fn forget(&mut self, index: usize) {
        self.known.remove(index);
        if self.active > index {
            self.active -= 1;
        }
    }
}

fn score(known: &Known) -> Duration {
    let handicap = if known.kind == Kind::Relayed { RELAY_HANDICAP } else { Duration::ZERO };
    let base = if known.kind == Kind::Lan { Duration::ZERO } else { MARGIN };
    known.round_trip.unwrap_or(Duration::from_secs(10)) + handicap + base
}

#[cfg(test)]
mod tests {
    use super::{PathSet, ROUTES_MAX};
    use crate::path::{Kind, RelayId, Route, Via};
    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert, proptest};
    use std::net::SocketAddr;
    use std::time::Duration;

    fn direct(port: u16) -> Route {
        Route::direct(SocketAddr::from(([192, 0, 2, 1], port)))
    }

    fn relay() -> Route {
        Route { via: Via::Relay(RelayId(0)), to: SocketAddr::from(([192, 0, 2, 9], 9)) }
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Relayed first, then a direct path is found at 100 ms.
    fn call() -> PathSet {
        let mut set = PathSet::new(relay(), Kind::Relayed, ms(0));
        set.on_valid(ms(50), relay(), Kind::Relayed, ms(100));
        set.on_valid(ms(100), direct(1), Kind::Direct, ms(60));
        set
    }

    #[test]
    fn a_direct_path_takes_over_from_the_relay_with_both_in_use_for_a_moment() {
        let mut set = call();
        assert_eq!(set.outbound(ms(101)), (direct(1), Some(relay())));
        let change = set.take_change().expect("it changed");
        assert_eq!((change.from, change.to, change.kind), (relay(), direct(1), Kind::Direct));
        assert_eq!(change.reason.to_string(), "a direct path was found");
        set.inbound(ms(390), direct(1));
        assert_eq!(set.outbound(ms(400)), (direct(1), None));
        assert_eq!(set.standby(), Some(relay()));
    }

    /// Both talk, in frames of 10 ms; the direct path is cut at 1,000 ms.
    #[test]
    fn a_cut_is_noticed_within_some_frames_and_ends_on_the_relay() {
        let mut set = call();
        let (mut doubled, mut switched) = (None, None);
        for now in (110..2000).step_by(10) {
            if now < 1000 {
                set.inbound(ms(now), direct(1));
            } else if doubled.is_some_and(|since| now >= since + 100) {
                set.inbound(ms(now), relay());
            }
            let (first, second) = set.outbound(ms(now));
            if now >= 1000 && second == Some(relay()) {
                doubled.get_or_insert(now);
            }
            if first == relay() {
                switched.get_or_insert(now);
            }
        }
        let (doubled, switched) = (doubled.expect("it is noticed"), switched.expect("it is left"));
        assert!(doubled <= 1070, "noticed at {doubled}");
        assert!((doubled + 150..doubled + 300).contains(&switched), "left at {switched}");
        assert!(!set.is_suspected());
    }

    #[test]
    fn a_path_that_stalls_now_and_then_is_neither_left_nor_doubled_all_the_time() {
        let mut set = call();
        let (mut doubled, mut sent) = (0, 0);
        for now in (500..60_500).step_by(10) {
            // 120 ms of silence in each second.
            if now % 1000 >= 120 {
                set.inbound(ms(now), direct(1));
            }
            let (first, second) = set.outbound(ms(now));
            assert_eq!(first, direct(1), "at {now}");
            sent += 1;
            doubled += u32::from(second.is_some());
        }
        assert!(doubled * 20 < sent, "{doubled} of {sent} sent twice");
    }

    #[test]
    fn who_is_heard_elsewhere_after_a_move_is_answered_there() {
        let mut set = PathSet::new(direct(1), Kind::Direct, ms(0));
        for now in (0..500).step_by(10) {
            set.inbound(ms(now), direct(1));
            set.outbound(ms(now));
        }
        // Its address changed; a check from the new one came.
        set.on_heard(ms(560), direct(2), Kind::Direct);
        let answered = (560..1000).step_by(10).find(|now| {
            let (first, second) = set.outbound(ms(*now));
            [Some(first), second].contains(&Some(direct(2)))
        });
        assert!(answered.is_some_and(|at| at <= 600), "{answered:?}");
    }

    #[test]
    fn the_other_sides_choice_counts_while_it_works() {
        let mut set = call();
        set.on_nominated(ms(200), relay());
        assert_eq!(set.active(), relay());
        set.on_valid(ms(300), direct(1), Kind::Direct, ms(10));
        assert_eq!(set.active(), relay());
    }

    proptest! {
        #[test]
        fn whatever_happens_there_is_a_route_and_the_table_stays_small(
            steps in vec((0u8..7, 0u16..20, any::<bool>(), 0u64..500), 0..300),
        ) {
            let mut set = PathSet::new(direct(0), Kind::Direct, ms(0));
            let mut now = ms(0);
            for (what, port, relayed, later) in steps {
                now += ms(later);
                let (route, kind) = if relayed { (relay(), Kind::Relayed) } else { (direct(port), Kind::Direct) };
                match what {
                    0 => set.inbound(now, route),
                    1 => set.on_valid(now, route, kind, ms(later)),
                    2 => set.on_heard(now, route, kind),
                    3 => set.on_expired(now, route),
                    4 => set.on_nominated(now, route),
                    5 => set.tick(now),
                    _ => {
                        let (first, second) = set.outbound(now);
                        prop_assert!(set.accepts(first) && second != Some(first));
                    }
                }
                prop_assert!(set.accepts(set.active()) && set.routes().count() <= ROUTES_MAX);
            }
        }
    }
}
