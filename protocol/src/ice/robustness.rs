//! What an agent must withstand: unlucky losses, late reports, roaming, and peers that mean harm.

use super::check::Codec;
use super::tests::{A, B, address, agent, credentials, host, is_valid, run, two};
use super::{Agent, Candidate, CandidateKind, Event, Mapping, NatReport, Role};
use crate::entropy::Entropy;
use crate::path::{RelayId, Route, Via};
use crate::stun::TransactionId;
use std::net::SocketAddr;
use std::time::Duration;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Runs the agent alone: what it sent and told until then.
fn alone(agent: &mut Agent, from_ms: u64, to_ms: u64) -> (Vec<Route>, Vec<Event>) {
    let (mut sent, mut told) = (Vec::new(), Vec::new());
    for now in from_ms..to_ms {
        agent.handle_timeout(ms(now));
        sent.extend(std::iter::from_fn(|| agent.poll_transmit()).map(|sent| sent.route));
        told.extend(std::iter::from_fn(|| agent.poll_event()));
    }
    (sent, told)
}

fn report(mapping: Mapping) -> NatReport {
    NatReport { mapping, newest: None }
}

/// One behind random ports whose peer's NAT keeps its port, and nothing answers.
fn unreachable_by_plain_checks() -> Agent {
    let mut agent = agent(Role::Controlling, 'a', 'b', 1);
    agent.add_local(ms(0), host("192.168.1.2:1000"));
    agent.set_nat(ms(0), report(Mapping::Random), report(Mapping::EndpointIndependent));
    agent.add_remote(ms(0), CandidateKind::ServerReflexive, address(B));
    agent
}

#[test]
fn relay_only_answers_no_direct_check_not_even_about_roles() {
    let mut hidden = agent(Role::Controlling, 'a', 'b', 9);
    hidden.config_mut().relay_only = true;
    let peer = Codec::new(credentials('b'), credentials('a')).unwrap();
    for (role, tie_breaker) in [(Role::Controlling, 0), (Role::Controlled, 0)] {
        let check = peer.request(TransactionId([tie_breaker as u8; 12]), 1, role, tie_breaker, false);
        hidden.handle_stun(ms(0), Route::direct(address(B)), &check);
        let (sent, _) = alone(&mut hidden, 0, 1000);
        assert_eq!(sent, [], "{role:?}");
    }
}

#[test]
fn several_role_conflicts_at_once_change_the_role_once() {
    let mut ours = agent(Role::Controlled, 'a', 'b', 1);
    ours.add_local(ms(0), host(A));
    for port in 2000..2004 {
        ours.add_remote(ms(0), CandidateKind::Host, SocketAddr::from(([192, 0, 2, 2], port)));
    }
    let peer = Codec::new(credentials('b'), credentials('a')).unwrap();
    let mut refused = 0;
    for now in 0..80 {
        ours.handle_timeout(ms(now));
    }
    while let Some(sent) = ours.poll_transmit() {
        if sent.hops.is_none() {
            let id = crate::stun::transaction_of(&sent.bytes).unwrap();
            assert!(ours.handle_stun(ms(90), sent.route, &peer.role_conflict(id)));
            refused += 1;
            assert_eq!(ours.config_role(), Role::Controlling, "after {refused} refusals");
        }
    }
    assert_eq!(refused, 4);
}

#[test]
fn a_nomination_outlives_lost_packets() {
    for lost in 1..6 {
        let (mut a, mut b) = two(Role::Controlling, Role::Controlled);
        run(&mut a, &mut b, 0, 300, || false);
        a.keep(ms(300), &[Route::direct(address(B))]);
        b.keep(ms(300), &[Route::direct(address(A))]);
        a.nominate(ms(300), Route::direct(address(B)));
        let mut count = 0;
        let lose = || {
            count += 1;
            count <= lost
        };
        let (_, told) = run(&mut a, &mut b, 300, 3300, lose);
        assert!(told.contains(&Event::Nominated { route: Route::direct(address(A)) }), "{lost} lost");
    }
}

#[test]
fn a_route_that_is_wanted_later_is_checked_before_it_is_given_up() {
    let (mut a, mut b) = two(Role::Controlling, Role::Controlled);
    run(&mut a, &mut b, 0, 20_000, || false);
    let there = Route::direct(address(B));
    a.keep(ms(20_000), &[there]);
    let (told, _) = run(&mut a, &mut b, 20_000, 26_000, || false);
    assert!(!told.contains(&Event::Expired { route: there }), "it works");
    assert!(told.iter().any(is_valid), "and shows so soon");
}

#[test]
fn a_lost_check_or_two_cost_no_route_in_reserve() {
    let (mut a, mut b) = two(Role::Controlling, Role::Controlled);
    run(&mut a, &mut b, 0, 300, || false);
    let there = Route::direct(address(B));
    let other = Route::direct(address("192.0.2.77:7"));
    a.keep(ms(300), &[other, there]);
    let mut chance = Entropy::new([5; 32]);
    // A third of the packets gets lost, for ten minutes.
    let lose = || chance.below(3) == 0;
    let (told, _) = run(&mut a, &mut b, 300, 600_000, lose);
    assert!(!told.contains(&Event::Expired { route: there }));
}

#[test]
fn a_cut_route_is_found_again_when_it_is_mended() {
    let (mut a, mut b) = two(Role::Controlling, Role::Controlled);
    run(&mut a, &mut b, 0, 300, || false);
    let there = Route::direct(address(B));
    a.keep(ms(300), &[there]);
    b.keep(ms(300), &[Route::direct(address(A))]);
    let (told, _) = run(&mut a, &mut b, 300, 40_000, || true);
    assert!(told.contains(&Event::Expired { route: there }));
    let (told, _) = run(&mut a, &mut b, 40_000, 75_000, || false);
    assert!(told.iter().any(is_valid));
}

#[test]
fn nobody_can_send_us_round_our_own_network() {
    let mut agent = agent(Role::Controlling, 'a', 'b', 1);
    agent.add_local(ms(0), host("192.168.1.2:1000"));
    for (text, taken) in [
        ("192.168.1.7:2000", true),
        ("192.168.7.7:2000", false),
        ("10.0.0.1:53", false),
        ("172.16.3.3:2000", false),
        ("[fd00:1::1]:2000", false),
        ("203.0.113.7:2000", true),
    ] {
        assert_eq!(agent.add_remote(ms(0), CandidateKind::Host, address(text)), taken, "{text}");
    }
    let (sent, _) = alone(&mut agent, 0, 1000);
    let named: std::collections::BTreeSet<String> = sent.iter().map(|route| route.to.to_string()).collect();
    assert_eq!(named.into_iter().collect::<Vec<_>>(), ["192.168.1.7:2000", "203.0.113.7:2000"]);
}

#[test]
fn in_a_large_network_both_are_seen_at_one_address() {
    let mut agent = agent(Role::Controlling, 'a', 'b', 1);
    agent.add_local(ms(0), host("10.3.1.2:1000"));
    assert!(!agent.add_remote(ms(0), CandidateKind::Host, address("10.3.9.9:2000")));
    agent.add_remote(ms(0), CandidateKind::ServerReflexive, address("203.0.113.1:2000"));
    let reflexive = Candidate { kind: CandidateKind::ServerReflexive, ..host("203.0.113.1:1000") };
    agent.add_local(ms(0), reflexive);
    let (sent, _) = alone(&mut agent, 0, 1000);
    assert!(sent.contains(&Route::direct(address("10.3.9.9:2000"))));
}

#[test]
fn a_late_report_of_the_nat_still_starts_the_search() {
    let mut agent = agent(Role::Controlling, 'a', 'b', 1);
    agent.add_local(ms(0), host("192.168.1.2:1000"));
    agent.set_nat(ms(0), NatReport::default(), report(Mapping::EndpointIndependent));
    agent.add_remote(ms(0), CandidateKind::ServerReflexive, address(B));
    alone(&mut agent, 0, 1500);
    agent.set_nat(ms(1500), report(Mapping::Random), report(Mapping::EndpointIndependent));
    let (_, told) = alone(&mut agent, 1500, 3000);
    assert!(told.contains(&Event::WantSpares { count: 256 }));
}

#[test]
fn a_late_address_of_ours_still_starts_the_guessing() {
    let mut agent = agent(Role::Controlling, 'a', 'b', 1);
    let newest = address("203.0.113.1:5000");
    let remote = NatReport { mapping: Mapping::Sequential { step: 1 }, newest: Some(newest) };
    agent.set_nat(ms(0), report(Mapping::EndpointIndependent), remote);
    agent.add_remote(ms(0), CandidateKind::ServerReflexive, newest);
    agent.add_local(ms(100), host("192.168.1.2:1000"));
    let (sent, _) = alone(&mut agent, 100, 1000);
    assert!(sent.contains(&Route::direct(address("203.0.113.1:5001"))));
}

#[test]
fn spare_sockets_are_given_back_when_they_found_nothing() {
    let mut agent = unreachable_by_plain_checks();
    let (_, told) = alone(&mut agent, 0, 1000);
    assert!(told.contains(&Event::WantSpares { count: 256 }));
    (0..256).for_each(|number| agent.add_spare(ms(1000), number));
    let (_, told) = alone(&mut agent, 1000, 60_000);
    assert!(told.contains(&Event::DropSpares { except: None }));
}

#[test]
fn a_new_search_asks_for_spare_sockets_only_when_the_old_are_given_back() {
    let mut agent = unreachable_by_plain_checks();
    let mut open = 0_i32;
    let mut number = 0;
    for round in 0..20 {
        let (_, told) = alone(&mut agent, round * 2000, (round + 1) * 2000);
        for event in told {
            match event {
                Event::WantSpares { count } => {
                    for _ in 0..count {
                        agent.add_spare(ms((round + 1) * 2000), number);
                        number += 1;
                        open += 1;
                    }
                }
                Event::DropSpares { except: None } => open = 0,
                _ => {}
            }
            assert!(open <= 256, "{open} sockets open");
        }
        agent.recheck(ms((round + 1) * 2000));
    }
}

#[test]
fn spares_get_through_a_second_router_of_ours() {
    let mut agent = unreachable_by_plain_checks();
    alone(&mut agent, 0, 1000);
    agent.add_spare(ms(1000), 7);
    let mut hops = Vec::new();
    for now in 1000..20_000 {
        agent.handle_timeout(ms(now));
        let sent = std::iter::from_fn(|| agent.poll_transmit());
        hops.extend(sent.filter(|sent| sent.route.via == Via::Spare(7)).map(|sent| sent.hops));
    }
    assert_eq!(hops.first(), Some(&Some(2)));
    assert!(hops.contains(&None), "{hops:?}");
}

/// Whoever roams has other addresses in each network.
#[test]
fn the_twentieth_network_of_a_roaming_peer_is_still_checked() {
    let mut agent = agent(Role::Controlling, 'a', 'b', 1);
    agent.add_local(ms(0), host(A));
    for network in 0..20_u8 {
        let start = u64::from(network) * 30_000;
        for port in [2000, 2001] {
            let there = SocketAddr::from(([203, 0, network, 1], port));
            assert!(agent.add_remote(ms(start), CandidateKind::ServerReflexive, there), "{there}");
        }
        let (sent, _) = alone(&mut agent, start, start + 30_000);
        assert!(sent.contains(&Route::direct(SocketAddr::from(([203, 0, network, 1], 2001)))));
    }
}

/// Authentic checks from hundreds of places, none of which answers: the table stays bounded and takes the next.
#[test]
fn places_that_never_answer_do_not_shut_out_the_next() {
    let mut agent = agent(Role::Controlled, 'a', 'b', 1);
    agent.add_local(ms(0), host(A));
    let peer = Codec::new(credentials('b'), credentials('a')).unwrap();
    for n in 0..400_u16 {
        let mut id = [0; 12];
        id[..2].copy_from_slice(&n.to_be_bytes());
        let check = peer.request(TransactionId(id), 1, Role::Controlling, 5, false);
        let from = Route::direct(SocketAddr::from(([203, 0, 113, 1], 3000 + n)));
        let start = u64::from(n) * 20_000;
        agent.handle_stun(ms(start), from, &check);
        let (sent, _) = alone(&mut agent, start, start + 500);
        assert!(sent.iter().filter(|route| **route == from).count() >= 2, "{from}: answer and check");
        alone(&mut agent, start + 19_990, start + 20_000);
    }
}

#[test]
fn a_relay_that_is_gone_takes_its_routes_with_it() {
    let mut agent = agent(Role::Controlling, 'a', 'b', 1);
    let via = Via::Relay(RelayId(0));
    let relayed = Candidate { kind: CandidateKind::Relayed, address: address("198.51.100.1:5000"), via };
    agent.add_local(ms(0), relayed);
    agent.add_remote(ms(0), CandidateKind::ServerReflexive, address(B));
    agent.remove_local(ms(1), via, relayed.address);
    assert_eq!(alone(&mut agent, 1, 1000).0, []);
}
