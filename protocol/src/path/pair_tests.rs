//! What two sides make of cuts, stalls, losses and moves.

use super::pair::{DIRECT, Line, Pair, RELAY, ms, route};
use super::{Kind, Route};

/// Runs until a side sends copies, from a cut at each of 40 moments. The longest it took.
fn longest_until_copies(delay: u64, talks: [Option<u64>; 2]) -> u64 {
    let took = |offset: u64| {
        let mut pair = Pair::direct(delay, talks);
        let cut = 5000 + offset;
        pair.run(cut);
        let copies = pair.sides[0].set.counters().copies;
        pair.cut(DIRECT, cut, u64::MAX);
        // What is on its way is lost too.
        pair.flying.retain(|flying| flying.2 != DIRECT);
        while pair.sides[0].set.counters().copies == copies {
            pair.step();
            assert!(pair.now < cut + 2000, "a dead path was not noticed");
        }
        pair.now - cut
    };
    (0..40).map(took).max().unwrap()
}

#[test]
fn a_cut_is_answered_by_copies_within_about_three_frames() {
    for (delay, talks, at_most) in [
        (50, [Some(20), Some(20)], 85),
        (5, [Some(20), Some(20)], 85),
        (50, [Some(10), Some(10)], 60),
        (5, [Some(10), Some(10)], 60),
        (50, [Some(20), None], 95),
        (5, [Some(20), None], 95),
        (50, [Some(10), None], 70),
        (5, [Some(10), None], 70),
    ] {
        let took = longest_until_copies(delay, talks);
        println!("{delay} ms one way, {talks:?}: copies after at most {took} ms");
        assert!(took <= at_most, "{delay} ms one way, {talks:?}: {took} ms");
    }
}

#[test]
fn a_cut_moves_both_sides_to_the_relay_with_a_pause_of_a_few_frames() {
    for delay in [5, 25, 50] {
        for talks in [[Some(20), Some(20)], [Some(10), Some(10)], [Some(20), None]] {
            let mut pair = Pair::direct(delay, talks);
            pair.run(6000);
            pair.cut(DIRECT, 6000, u64::MAX);
            pair.run(8000);
            for side in &mut pair.sides {
                assert_eq!(side.set.active(), route(RELAY), "{delay} ms, {talks:?}");
                let change = side.set.take_change().expect("it moved");
                assert_eq!((change.from, change.to), (route(DIRECT), route(RELAY)));
                assert_eq!(change.reason.to_string(), "relayed: the direct path stopped answering");
                assert_eq!(side.set.outbound(ms(8000)).1, None, "copies have ended");
            }
            let pause = pair.longest_pause(1, 6000);
            println!("{delay} ms, {talks:?}: pause {pause} ms");
            assert!(pause <= 120, "{delay} ms, {talks:?}: a pause of {pause} ms");
        }
    }
}

#[test]
fn a_path_cut_in_one_direction_only_is_left_by_both() {
    for broken in 0..2 {
        for talks in [[Some(20), Some(20)], [Some(20), None]] {
            let mut pair = Pair::direct(25, talks);
            pair.run(6000);
            pair.lines[DIRECT][broken].cuts.push((6000, u64::MAX));
            pair.run(9000);
            for side in &pair.sides {
                assert_eq!(side.set.active(), route(RELAY), "from side {broken}, {talks:?}");
            }
            let pause = pair.longest_pause(1, 6000);
            println!("from side {broken}, {talks:?}: pause {pause} ms");
            assert!(pause <= 200, "from side {broken}, {talks:?}: a pause of {pause} ms");
        }
    }
}

#[test]
fn a_path_that_comes_back_is_returned_to_without_a_pause() {
    let mut pair = Pair::direct(25, [Some(20), Some(20)]);
    pair.cut(DIRECT, 6000, 10_000);
    pair.run(9000);
    assert_eq!(pair.sides[0].set.active(), route(RELAY));
    let before = pair.now;
    pair.run(30_000);
    for side in &pair.sides {
        assert_eq!(side.set.active(), route(DIRECT));
        assert_eq!(side.set.reason().to_string(), "the direct path is back");
    }
    assert_eq!(pair.moves(), 6, "to the direct path, to the relay, and back, each side");
    for side in 0..2 {
        assert!(pair.longest_pause(side, before) <= 25);
    }
}

#[test]
fn the_first_direct_path_is_taken_at_once_and_nothing_is_lost() {
    let mut pair = Pair::new(Line { delay: 25, ..Line::default() }, [Some(20), Some(20)]);
    pair.lines[RELAY][0].delay = 60;
    pair.lines[RELAY][1].delay = 60;
    pair.run(2000);
    for side in 0..2 {
        assert_eq!(pair.sides[side].set.active(), route(DIRECT));
        assert_eq!(pair.sides[side].set.reason().to_string(), "a direct path was found");
        assert!(pair.longest_pause(side, 0) <= 25);
    }
    assert_eq!(pair.moves(), 2);
}

#[test]
fn a_path_that_stalls_each_second_costs_few_copies_and_is_not_left() {
    let everybody = [[Some(20), Some(20)], [Some(20), None], [Some(10), Some(10)]];
    for (delay, talks) in [5, 25].into_iter().flat_map(|delay| everybody.map(|talks| (delay, talks))) {
        let mut pair = Pair::direct(delay, talks);
        let mut stalls = Vec::new();
        for second in 3..123 {
            let length = 60 + pair.random(61);
            stalls.push((second * 1000, second * 1000 + length));
        }
        for side in 0..2 {
            pair.lines[DIRECT][side].stalls = stalls.clone();
        }
        let (copies, sent, moves) = (pair.copies(), pair.sent(), pair.moves());
        pair.run(123_000);
        assert_eq!(pair.moves(), moves, "{talks:?}");
        let (copies, sent) = (pair.copies() - copies, pair.sent() - sent);
        println!("{talks:?}: {copies} of {sent} sent twice");
        assert!(copies * 20 < sent, "{talks:?}: {copies} of {sent} sent twice");
    }
}

#[test]
fn a_path_that_loses_a_tenth_costs_few_copies_and_is_not_left() {
    for talks in [[Some(20), Some(20)], [Some(20), None]] {
        let mut pair = Pair::direct(25, talks);
        for side in 0..2 {
            pair.lines[DIRECT][side].loss = 10;
        }
        let (copies, sent, moves) = (pair.copies(), pair.sent(), pair.moves());
        pair.run(123_000);
        assert_eq!(pair.moves(), moves, "{talks:?}");
        let (copies, sent) = (pair.copies() - copies, pair.sent() - sent);
        println!("{talks:?}: {copies} of {sent} sent twice");
        assert!(copies * 20 < sent, "{talks:?}: {copies} of {sent} sent twice");
    }
}

#[test]
fn an_even_path_is_never_doubted_whoever_talks() {
    for delay in [5, 50, 250] {
        let mut pair = Pair::direct(delay, [Some(20), Some(20)]);
        let doubts = |pair: &Pair| pair.sides.iter().map(|side| side.set.counters().doubts).sum::<u64>();
        let before = doubts(&pair);
        for (until, talks) in [
            (10_000, [None, None]),
            (20_000, [Some(20), None]),
            (30_000, [None, Some(10)]),
            (40_000, [None, None]),
            (41_000, [Some(20), Some(20)]),
            (42_000, [None, None]),
            (50_000, [Some(60), Some(60)]),
        ] {
            for (side, talks) in pair.sides.iter_mut().zip(talks) {
                side.talks = talks;
            }
            pair.run(until);
            assert_eq!(doubts(&pair), before, "{delay} ms, {talks:?}");
        }
    }
}

#[test]
fn a_silent_pair_leaves_a_dead_path_within_some_of_its_datagrams() {
    let mut pair = Pair::direct(25, [None, None]);
    pair.run(10_000);
    pair.cut(DIRECT, 10_000, u64::MAX);
    pair.run(13_500);
    for side in &pair.sides {
        assert_eq!(side.set.active(), route(RELAY));
    }
}

#[test]
fn a_path_that_dies_again_and_again_is_used_less_and_less() {
    let mut pair = Pair::direct(25, [Some(20), Some(20)]);
    // It works for 4 s of each 6.
    for round in 1..100 {
        pair.cut(DIRECT, round * 6000, round * 6000 + 2000);
    }
    pair.run(600_000);
    let moves = pair.sides[0].set.counters().moves;
    println!("{moves} moves in 10 minutes");
    assert!(moves <= 30, "{moves} moves");
}

#[test]
fn both_paths_cut_for_a_moment_are_resumed_wherever_the_peer_is_heard() {
    let mut pair = Pair::direct(25, [Some(20), Some(20)]);
    pair.cut(DIRECT, 6000, 8000);
    pair.cut(RELAY, 6000, 7000);
    pair.run(9000);
    for side in 0..2 {
        let pause = pair.longest_pause(side, 6000);
        assert!((1000..1100).contains(&pause), "{pause}");
    }
}

#[test]
fn a_peer_that_is_renumbered_is_heard_again_as_soon_as_its_check_comes() {
    for talks in [[Some(20), Some(20)], [Some(20), None], [None, Some(20)]] {
        let mut pair = Pair::direct(25, talks);
        // Side 1 gets another address: side 0 sends into the void, and sees what side 1 sends come from elsewhere.
        let moved = Route::direct("198.51.100.7:7".parse().unwrap());
        pair.run(6000);
        pair.cut(DIRECT, 6000, u64::MAX);
        pair.cut(RELAY, 6000, u64::MAX);
        let set = &mut pair.sides[0].set;
        let mut answered = None;
        for now in (6000..7000).step_by(20) {
            // Checks from the new address come 100 ms later, then each 50 ms.
            if now >= 6100 && now % 50 < 20 {
                set.on_heard(ms(now), moved, Kind::Direct);
            }
            if talks[1].is_some() && now >= 6100 {
                set.inbound(ms(now), moved);
            }
            if talks[0].is_some() || now % 400 == 0 {
                let (first, second) = set.outbound(ms(now));
                if first == moved || second == Some(moved) {
                    answered.get_or_insert(now);
                }
            }
        }
        let answered = answered.expect("it is answered where it is now");
        let at_most = if talks[0].is_some() { 6150 } else { 6400 };
        assert!(answered <= at_most, "{talks:?}: {answered}");
        assert_eq!((set.active(), set.reason().code()), (moved, "address_changed"), "{talks:?}");
    }
}

#[test]
fn sides_that_prefer_different_routes_come_to_agree() {
    for talks in [[Some(20), Some(20)], [Some(20), None], [None, None]] {
        let mut pair = Pair::direct(25, talks);
        // Side 1 goes to the relay by itself.
        pair.sides[1].set.on_nominated(ms(3000), route(RELAY));
        pair.run(30_000);
        assert_eq!(pair.sides[0].set.active(), pair.sides[1].set.active(), "{talks:?}");
        assert!(pair.moves() <= 8, "{talks:?}: {} moves", pair.moves());
        let copies = pair.copies();
        pair.run(60_000);
        assert_eq!(pair.copies(), copies, "{talks:?}: copies have ended");
    }
}

#[test]
fn a_new_path_that_carries_no_datagrams_is_left_again() {
    let mut pair = Pair::new(Line { delay: 25, ..Line::default() }, [Some(20), Some(20)]);
    // Checks are answered (they are small), datagrams of the call are swallowed.
    for side in 0..2 {
        pair.lines[DIRECT][side].loss = 1;
    }
    pair.run(10_000);
    for side in 0..2 {
        assert_eq!(pair.sides[side].set.active(), route(RELAY));
        assert_eq!(pair.sides[side].set.reason().code(), "did_not_carry");
        assert!(pair.longest_pause(side, 0) <= 25, "a pause of {} ms", pair.longest_pause(side, 0));
    }
    assert!(pair.moves() <= 8, "{}", pair.moves());
}

/// Run by hand: `cargo test --release -p protocol -- --ignored one_datagram --nocapture`.
#[test]
#[ignore = "prints a figure that depends on the machine"]
fn what_one_datagram_out_and_one_in_cost() {
    let mut set = super::PathSet::new(route(RELAY), Kind::Relayed, ms(0));
    for port in 1..4 {
        set.on_valid(ms(0), route(port), Kind::Direct, ms(50));
    }
    let begin = std::time::Instant::now();
    let rounds = 2_000_000;
    for round in 0..rounds {
        let now = ms(round * 10);
        let (first, _) = std::hint::black_box(set.outbound(now));
        set.inbound(now, first);
    }
    println!("{} ns out and in", begin.elapsed().as_nanos() / u128::from(rounds));
}
