//! Choice, moves and death, by hand.

use super::PathSet;
use crate::limits::ROUTES_MAX;
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

#[test]
fn alternating_measurements_move_nothing_to_and_fro() {
    let mut set = PathSet::new(direct(1), Kind::Direct, ms(0));
    for round in 0..1000 {
        let now = ms(round * 1000);
        // Each in turn is the shorter one by far, for some seconds.
        let (one, other) = if round / 5 % 2 == 0 { (20, 200) } else { (200, 20) };
        set.on_valid(now, direct(1), Kind::Direct, ms(one));
        set.on_valid(now, direct(2), Kind::Direct, ms(other));
        set.on_valid(now, relay(), Kind::Relayed, ms(other));
        for step in 0..10 {
            let at = now + ms(step * 100);
            set.outbound(at);
            let active = set.active();
            set.inbound(at, active);
            set.tick(at);
        }
    }
    // Each of three routes is held for up to 64 s.
    assert!(set.counters().moves <= 60, "{} moves in 1000 s", set.counters().moves);
}

#[test]
fn a_better_route_of_the_same_kind_needs_two_measurements_and_says_by_how_much() {
    let mut set = PathSet::new(direct(1), Kind::Direct, ms(0));
    set.on_valid(ms(0), direct(1), Kind::Direct, ms(80));
    set.on_valid(ms(3000), direct(2), Kind::Direct, ms(40));
    assert_eq!(set.active(), direct(1));
    set.on_valid(ms(4000), direct(2), Kind::Direct, ms(40));
    assert_eq!(set.active(), direct(2));
    let change = set.take_change().expect("it moved");
    assert_eq!(change.reason.to_string(), "shorter round trip by 40 ms");
}

#[test]
fn a_route_that_loses_much_is_left_for_one_that_does_not() {
    let mut set = PathSet::new(direct(1), Kind::Direct, ms(0));
    for round in 0..4 {
        set.on_loss(direct(1), 0.3);
        set.on_loss(relay(), 0.0);
        set.on_valid(ms(round * 2000), direct(1), Kind::Direct, ms(40));
        set.on_valid(ms(round * 2000), relay(), Kind::Relayed, ms(50));
    }
    assert_eq!((set.active(), set.reason().code()), (relay(), "less_loss"));
}

#[test]
fn a_dead_nomination_is_not_followed_and_a_live_one_only_when_our_check_was_answered() {
    let mut set = PathSet::new(relay(), Kind::Relayed, ms(0));
    set.on_nominated(ms(0), direct(1));
    assert_eq!(set.active(), relay(), "nothing is sent where nothing has answered");
    assert!(set.accepts(direct(1)));
    set.on_valid(ms(10), direct(1), Kind::Direct, ms(40));
    assert_eq!((set.active(), set.reason().code()), (direct(1), "other_side"));
    set.on_expired(ms(5000), direct(1));
    assert_eq!(set.active(), relay());
    set.on_nominated(ms(5100), direct(1));
    assert_eq!(set.active(), relay());
}

#[test]
fn lost_consent_ends_all_sending_there_at_once() {
    let mut set = call();
    assert_eq!(set.outbound(ms(110)), (direct(1), Some(relay())));
    set.on_expired(ms(120), direct(1));
    assert_eq!(set.outbound(ms(130)), (relay(), None));
    assert!(!set.accepts(direct(1)));
    // Alone it is kept all the same: there must be somewhere to send.
    set.on_expired(ms(140), relay());
    assert_eq!(set.outbound(ms(150)), (relay(), None));
    set.on_heard(ms(160), direct(3), Kind::Direct);
    assert_eq!(set.outbound(ms(170)), (direct(3), None));
}

#[test]
fn a_relay_is_kept_warm_beside_a_direct_path_and_the_other_way_round() {
    let mut set = call();
    set.on_valid(ms(200), direct(2), Kind::Direct, ms(50));
    assert_eq!((set.active(), set.standby()), (direct(1), Some(relay())));
    let mut set = PathSet::new(relay(), Kind::Relayed, ms(0));
    set.on_valid(ms(0), relay(), Kind::Relayed, ms(20));
    set.on_valid(ms(0), direct(1), Kind::Direct, ms(100));
    assert_eq!((set.active(), set.standby()), (relay(), Some(direct(1))));
}

#[test]
fn of_two_relays_the_one_is_kept_warm_beside_the_other() {
    let through = |relay: Option<u8>, server: u8| Route {
        via: relay.map_or(Via::Socket, |relay| Via::Relay(RelayId(relay))),
        to: SocketAddr::from(([192, 0, 2, server], 50_000)),
    };
    let mut set = PathSet::new(through(Some(1), 1), Kind::Relayed, ms(0));
    // Those that share a server with the active one are shorter.
    for (route, trip) in [
        (through(Some(1), 1), 30),
        (through(None, 1), 20),
        (through(Some(1), 2), 25),
        (through(Some(2), 1), 25),
        (through(Some(2), 2), 40),
    ] {
        set.on_valid(ms(0), route, Kind::Relayed, ms(trip));
    }
    assert_eq!((set.active(), set.standby()), (through(Some(1), 1), Some(through(Some(2), 2))));
}

#[test]
fn direct_paths_that_live_a_minute_each_are_advised_to_rotate() {
    let mut set = PathSet::new(relay(), Kind::Relayed, ms(0));
    for life in 0..2 {
        let begin = life * 200_000;
        for check in 0..60 {
            set.on_valid(ms(begin + check * 1000), direct(1), Kind::Direct, ms(40));
            set.on_valid(ms(begin + check * 1000), relay(), Kind::Relayed, ms(60));
        }
        assert_eq!(set.rotation_advice(), None);
        set.on_expired(ms(begin + 62_000), direct(1));
    }
    let advice = set.rotation_advice().expect("twice about the same life");
    assert!((ms(45_000)..ms(55_000)).contains(&advice), "{advice:?}");
    // The third life begins at 400 s and is to end before it does.
    let (mut now, mut wanted) = (ms(400_000), false);
    while !wanted {
        now += ms(1000);
        set.on_valid(now, direct(1), Kind::Direct, ms(40));
        set.tick(now);
        wanted = set.wants_rotation(now);
        assert!(now < ms(480_000), "it is wanted before the path ends");
    }
    assert!(set.kind() == Kind::Direct && now - set.active_since >= advice);
    set.rotate_to(now, direct(2));
    assert_eq!(set.active(), direct(1), "nobody knows whether that works");
    set.on_valid(now, direct(2), Kind::Direct, ms(40));
    set.rotate_to(now, direct(2));
    assert_eq!(set.outbound(now), (direct(2), Some(direct(1))));
    assert!(!set.wants_rotation(now));
}

proptest! {
    /// Whatever is measured and heard, the routes change seldom.
    #[test]
    fn moves_by_choice_are_bounded(trips in vec((0u16..4, 1u64..500, 0u8..100), 300..600)) {
        let mut set = PathSet::new(direct(0), Kind::Direct, ms(0));
        for (step, (port, trip, lost)) in trips.into_iter().enumerate() {
            let now = ms(step as u64 * 500);
            let (route, kind) = if port == 3 { (relay(), Kind::Relayed) } else { (direct(port), Kind::Direct) };
            set.on_loss(route, f32::from(lost) / 100.0);
            set.on_valid(now, route, kind, ms(trip));
            let active = set.active();
            set.outbound(now);
            set.inbound(now, active);
            set.tick(now);
        }
        // In 300 s each of four routes is left after 2, 4, 8, 16, 32, 64, 64 and 64 s at the earliest.
        prop_assert!(set.counters().moves <= 32, "{} moves", set.counters().moves);
    }
}
