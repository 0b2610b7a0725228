//! The table by examples, and by whatever may happen to it.

use super::{Inbound, Learnt, OPENING_LIFETIME, OPENING_MAX, PathTable, State, virtual_address};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use protocol::door::Verdict;
use protocol::path::{Kind, Route};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::time::Instant;

fn remote(port: u16) -> Route {
    Route::direct(SocketAddr::from(([192, 0, 2, 1], port)))
}

/// Another path is checked and chosen.
fn switch(table: &mut PathTable, address: SocketAddr, to: Route, now: Instant) {
    for learnt in [Learnt::Valid(Duration::from_millis(1)), Learnt::Nominated] {
        table.learn(address, to, Kind::Direct, learnt, now);
    }
}

fn first_flight() -> Vec<u8> {
    let mut datagram = vec![0xc3, 0, 0, 0, 1, 8];
    datagram.resize(1200, 0);
    datagram
}

fn quic(inbound: Inbound) -> SocketAddr {
    match inbound {
        Inbound::Quic(address) => address,
        Inbound::Stun | Inbound::Challenge(_) | Inbound::Drop => panic!("not for QUIC: {inbound:?}"),
    }
}

#[test]
fn strangers_only_open_connections() {
    let (mut table, now) = (PathTable::default(), Instant::now());
    assert_eq!(table.inbound(remote(1), &[0x41; 60], now, || Verdict::Stranger), Inbound::Drop);
    let address = quic(table.inbound(remote(1), &first_flight(), now, || Verdict::Stranger));
    assert_eq!(table.inbound(remote(1), &[0x41; 60], now, || Verdict::Stranger), Inbound::Quic(address));
    assert_eq!(table.route(address), Some(remote(1)));
}

#[test]
fn whoever_is_not_let_in_leaves_no_trace() {
    let (mut table, now) = (PathTable::default(), Instant::now());
    for verdict in [Verdict::Drop, Verdict::Challenge([0; 48])] {
        assert!(!matches!(table.inbound(remote(1), &first_flight(), now, || verdict), Inbound::Quic(_)));
        assert!(table.entries.is_empty() && table.by_route.is_empty());
    }
}

#[test]
fn a_crowd_of_strangers_does_not_push_out_who_was_invited() {
    let (mut table, now) = (PathTable::default(), Instant::now());
    let friend = quic(table.inbound(remote(1), &first_flight(), now, || Verdict::Invited));
    for port in 2..=2 * OPENING_MAX as u16 {
        table.inbound(remote(port), &first_flight(), now, || Verdict::Stranger);
    }
    assert!(table.is_invited(friend));
    assert_eq!(table.route(friend), Some(remote(1)));
}

#[test]
fn a_challenge_is_answered_only_to_a_dial_that_sent_the_packet() {
    let (mut table, now) = (PathTable::default(), Instant::now());
    let address = table.dial(remote(1), false, now);
    assert!(table.answer(remote(1), [0; 12], &[0; 16]).is_none(), "nothing was sent yet");
    table.knocks(address, &first_flight());
    assert!(table.answer(remote(1), [1; 12], &[0; 16]).is_none(), "another packet's");
    assert!(table.answer(remote(2), [0; 12], &[0; 16]).is_none(), "from elsewhere");
    let (_, packet) = table.answer(remote(1), [0; 12], &[0; 16]).expect("its own");
    assert_eq!(packet, first_flight());
    for _ in 0..100 {
        table.answer(remote(1), [0; 12], &[0; 16]);
    }
    assert!(table.answer(remote(1), [0; 12], &[0; 16]).is_none(), "that is enough");
}

#[test]
fn a_switch_moves_both_directions_and_keeps_the_virtual_address() {
    let (mut table, now) = (PathTable::default(), Instant::now());
    let address = table.dial(remote(1), false, now);
    table.promote(address);
    switch(&mut table, address, remote(2), now);
    assert_eq!(table.route(address), Some(remote(2)));
    assert_eq!(table.inbound(remote(2), &[0x41; 60], now, || Verdict::Stranger), Inbound::Quic(address));
    assert_eq!(table.inbound(remote(1), &[0x41; 60], now, || Verdict::Stranger), Inbound::Quic(address));
}

#[test]
fn of_two_simultaneous_dials_exactly_one_wins() {
    let now = Instant::now();
    let mut insisting = PathTable::default();
    let mine = insisting.dial(remote(1), false, now);
    assert_eq!(insisting.inbound(remote(1), &first_flight(), now, || Verdict::Stranger), Inbound::Drop);
    let handshake = [0xe3, 0, 0, 0, 1, 0];
    assert_eq!(insisting.inbound(remote(1), &handshake, now, || Verdict::Stranger), Inbound::Quic(mine));

    let mut yielding = PathTable::default();
    let mine = yielding.dial(remote(1), true, now);
    let theirs = quic(yielding.inbound(remote(1), &first_flight(), now, || Verdict::Stranger));
    assert_ne!(mine, theirs);
    assert_eq!(yielding.inbound(remote(1), &[0x41; 60], now, || Verdict::Stranger), Inbound::Quic(theirs));
}

#[test]
fn a_restarted_peer_gets_in_and_an_impostor_only_borrows_the_address() {
    let (mut table, start) = (PathTable::default(), Instant::now());
    let old = quic(table.inbound(remote(1), &first_flight(), start, || Verdict::Stranger));
    table.promote(old);
    let soon = start + Duration::from_secs(1);
    assert_eq!(
        table.inbound(remote(1), &first_flight(), soon, || Verdict::Stranger),
        Inbound::Drop,
        "it is still heard"
    );
    let later = soon + Duration::from_secs(2);
    let new = quic(table.inbound(remote(1), &first_flight(), later, || Verdict::Stranger));
    assert_ne!(new, old);
    assert_eq!(table.inbound(remote(1), &[0x41; 60], later, || Verdict::Stranger), Inbound::Quic(new));
    table.remove(new);
    assert_eq!(table.inbound(remote(1), &[0x41; 60], later, || Verdict::Stranger), Inbound::Quic(old));
}

#[test]
fn a_peer_dialled_anew_is_heard_on_its_old_connection_until_it_answers() {
    let (mut table, start) = (PathTable::default(), Instant::now());
    let old = quic(table.inbound(remote(1), &first_flight(), start, || Verdict::Stranger));
    table.promote(old);
    let new = table.dial(remote(1), true, start + Duration::from_secs(3));
    let now = start + Duration::from_secs(4);
    assert_eq!(table.inbound(remote(1), &[0x41; 60], now, || Verdict::Stranger), Inbound::Quic(old));
    let theirs = quic(table.inbound(remote(1), &first_flight(), now, || Verdict::Stranger));
    table.remove(theirs);
    assert_eq!(
        table.inbound(remote(1), &[0x41; 60], now, || Verdict::Stranger),
        Inbound::Quic(old),
        "their dial came to nothing"
    );
    assert_eq!(
        table.inbound(remote(1), &[0xe0, 0, 0, 0, 1, 0, 0], now, || Verdict::Stranger),
        Inbound::Quic(new)
    );
    assert_eq!(table.inbound(remote(1), &[0x41; 60], now, || Verdict::Stranger), Inbound::Quic(new));
    table.remove(old);
    assert_eq!(table.inbound(remote(1), &[0x41; 60], now, || Verdict::Stranger), Inbound::Quic(new));
    let newer = table.dial(remote(1), true, now);
    table.remove(new);
    table.remove(newer);
    assert_eq!(
        table.inbound(remote(1), &[0x41; 60], now, || Verdict::Stranger),
        Inbound::Drop,
        "nobody is left"
    );
}

#[test]
fn a_flood_of_openings_is_bounded_and_spares_peers() {
    let (mut table, now) = (PathTable::default(), Instant::now());
    let peer = table.dial(remote(1), false, now);
    table.promote(peer);
    for port in 2..5000 {
        table.inbound(remote(port), &first_flight(), now, || Verdict::Stranger);
    }
    assert!(table.entries.len() <= OPENING_MAX + 1);
    assert_eq!(table.by_route.len(), table.entries.len());
    assert_eq!(table.inbound(remote(1), &[0x41; 60], now, || Verdict::Stranger), Inbound::Quic(peer));
}

#[test]
fn a_dial_that_comes_to_nothing_gives_a_peer_its_address_back() {
    let (mut table, now) = (PathTable::default(), Instant::now());
    let peer = table.dial(remote(1), false, now);
    table.promote(peer);
    let again = table.dial(remote(1), true, now);
    // While that dial waits, a spoofed opening makes it give way, and fails.
    let spoofed = quic(table.inbound(remote(1), &first_flight(), now, || Verdict::Stranger));
    table.remove(again);
    table.remove(spoofed);
    assert_eq!(table.inbound(remote(1), &[0x41; 60], now, || Verdict::Stranger), Inbound::Quic(peer));
}

#[test]
fn an_opening_that_nobody_took_care_of_ends_by_itself() {
    let (mut table, start) = (PathTable::default(), Instant::now());
    let peer = table.dial(remote(1), false, start);
    table.promote(peer);
    let later = start + Duration::from_secs(2);
    assert_ne!(table.inbound(remote(1), &first_flight(), later, || Verdict::Stranger), Inbound::Quic(peer));
    let over = later + OPENING_LIFETIME + Duration::from_millis(1);
    assert_eq!(table.inbound(remote(1), &[0x41; 60], over, || Verdict::Stranger), Inbound::Quic(peer));
}

#[test]
fn routes_of_long_ago_are_forgotten() {
    let (mut table, now) = (PathTable::default(), Instant::now());
    let peer = table.dial(remote(1), false, now);
    table.promote(peer);
    for port in 2..100 {
        switch(&mut table, peer, remote(port), now);
    }
    assert!(table.by_route.len() <= 8, "{}", table.by_route.len());
    assert_eq!(table.inbound(remote(98), &[0x41; 60], now, || Verdict::Stranger), Inbound::Quic(peer));
    switch(&mut table, peer, remote(98), now);
    assert_eq!(table.route(peer), Some(remote(98)));
    assert_eq!(table.inbound(remote(99), &[0x41; 60], now, || Verdict::Stranger), Inbound::Quic(peer));
}

/// Something that happens to a table. Connections are chosen among those made so far.
#[derive(Debug, Clone)]
enum Operation {
    Opening(u16),
    Datagram(u16),
    Dial(u16, bool),
    Promote(usize),
    Switch(usize, u16),
    Remove(usize),
    Wait(u64),
}

fn operation(ports: std::ops::Range<u16>) -> impl Strategy<Value = Operation> {
    let connection = any::<usize>();
    prop_oneof![
        4 => ports.clone().prop_map(Operation::Opening),
        4 => ports.clone().prop_map(Operation::Datagram),
        2 => (ports.clone(), any::<bool>()).prop_map(|(port, yielding)| Operation::Dial(port, yielding)),
        2 => connection.prop_map(Operation::Promote),
        2 => (connection, ports).prop_map(|(at, port)| Operation::Switch(at, port)),
        2 => connection.prop_map(Operation::Remove),
        1 => (0_u64..7000).prop_map(Operation::Wait),
    ]
}

/// Applies an operation; what it made is added to `made`.
fn apply(table: &mut PathTable, operation: &Operation, made: &mut Vec<SocketAddr>, now: &mut Instant) {
    let chosen = |at: usize, made: &[SocketAddr]| (!made.is_empty()).then(|| made[at % made.len()]);
    match *operation {
        Operation::Opening(port) => {
            if let Inbound::Quic(address) =
                table.inbound(remote(port), &first_flight(), *now, || Verdict::Stranger)
                && !made.contains(&address)
            {
                made.push(address);
            }
        }
        Operation::Datagram(port) => {
            let _ = table.inbound(remote(port), &[0x41; 60], *now, || Verdict::Stranger);
        }
        Operation::Dial(port, yielding) => made.push(table.dial(remote(port), yielding, *now)),
        Operation::Promote(at) => chosen(at, made).into_iter().for_each(|address| table.promote(address)),
        Operation::Switch(at, port) => {
            chosen(at, made).into_iter().for_each(|address| switch(table, address, remote(port), *now));
        }
        Operation::Remove(at) => chosen(at, made).into_iter().for_each(|address| table.remove(address)),
        Operation::Wait(ms) => *now += Duration::from_millis(ms),
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_table_is_bounded_and_agrees_with_itself(
        operations in vec(operation(1..200), 0..400),
    ) {
        let (mut table, mut made, mut now) = (PathTable::default(), Vec::new(), Instant::now());
        for operation in operations {
            apply(&mut table, &operation, &mut made, &mut now);
            for (remote, owner) in &table.by_route {
                prop_assert!(table.entries.get(owner).is_some_and(|entry| entry.is_at(*remote)));
            }
            prop_assert!(table.by_route.len() <= 8 * table.entries.len());
            let strangers = table.entries.values().filter(|e| matches!(e.state, State::Incoming { .. }));
            prop_assert!(strangers.count() <= OPENING_MAX);
            // Whoever lost its address lost it to somebody, and whoever has one is reached under it.
            for (index, entry) in &table.entries {
                prop_assert!(table.by_route.contains_key(&entry.set.active()));
                prop_assert_eq!(table.route(virtual_address(*index)), Some(entry.set.active()));
            }
        }
    }

    /// Ports 2 and up are strangers, whose openings come to something or not; port 1 is a peer that talks, and
    /// anybody can spoof its address.
    #[test]
    fn a_talking_peer_keeps_its_address_whatever_strangers_do(
        operations in vec((operation(2..20), any::<bool>()), 0..200),
    ) {
        let (mut table, mut made, mut now) = (PathTable::default(), Vec::new(), Instant::now());
        let peer = table.dial(remote(1), false, now);
        table.promote(peer);
        for (operation, spoofed) in operations {
            if !matches!(operation, Operation::Wait(_)) {
                apply(&mut table, &operation, &mut made, &mut now);
            }
            if spoofed {
                table.inbound(remote(1), &first_flight(), now, || Verdict::Stranger);
            }
            now += Duration::from_millis(400);
            prop_assert_eq!(table.inbound(remote(1), &[0x41; 60], now, || Verdict::Stranger), Inbound::Quic(peer));
            prop_assert_eq!(table.route(peer), Some(remote(1)));
        }
    }
}
