//! Two agents on a wire, and what strangers send them. Whole networks are in netsim's tests.

use super::{
    Agent, AgentConfig, Candidate, CandidateKind, Credentials, Event, Mapping, Observation, Role, classify,
    username_of,
};
use crate::path::{Route, Via};
use proptest::collection::vec;
use proptest::prelude::{any, prop_assert, proptest};
use std::net::SocketAddr;
use std::time::Duration;

pub(super) fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(super) fn credentials(name: char) -> Credentials {
    Credentials { ufrag: name.to_string().repeat(8), pwd: name.to_string().repeat(26) }
}

pub(super) fn agent(role: Role, own: char, theirs: char, seed: u8) -> Agent {
    let config = AgentConfig {
        role,
        tie_breaker: seed.into(),
        local: credentials(own),
        remote: credentials(theirs),
        seed: [seed; 32],
        relay_only: false,
        birthday: true,
    };
    Agent::new(config, Duration::ZERO)
}

pub(super) fn host(text: &str) -> Candidate {
    Candidate { kind: CandidateKind::Host, address: address(text), via: Via::Socket }
}

pub(super) const A: &str = "192.0.2.1:1000";
pub(super) const B: &str = "192.0.2.2:2000";

/// Runs both with 20 ms between them; what they told.
pub(super) fn run(
    a: &mut Agent,
    b: &mut Agent,
    from_ms: u64,
    to_ms: u64,
    mut lose: impl FnMut() -> bool,
) -> (Vec<Event>, Vec<Event>) {
    let (mut told_a, mut told_b) = (Vec::new(), Vec::new());
    let mut flying: Vec<(Duration, bool, Vec<u8>)> = Vec::new();
    let mut now = Duration::from_millis(from_ms);
    while now < Duration::from_millis(to_ms) {
        a.handle_timeout(now);
        b.handle_timeout(now);
        for (to_b, agent) in [(true, &mut *a), (false, &mut *b)] {
            while let Some(transmit) = agent.poll_transmit() {
                let right = if to_b { B } else { A };
                if transmit.hops.is_none() && transmit.route.to == address(right) && !lose() {
                    flying.push((now + Duration::from_millis(20), to_b, transmit.bytes));
                }
            }
        }
        let (landed, left) = flying.into_iter().partition(|(at, ..)| *at <= now);
        flying = left;
        let landed: Vec<(Duration, bool, Vec<u8>)> = landed;
        for (_, to_b, bytes) in landed {
            let (agent, from) = if to_b { (&mut *b, A) } else { (&mut *a, B) };
            agent.handle_stun(now, Route::direct(address(from)), &bytes);
        }
        told_a.extend(std::iter::from_fn(|| a.poll_event()));
        told_b.extend(std::iter::from_fn(|| b.poll_event()));
        now += Duration::from_millis(1);
    }
    (told_a, told_b)
}

pub(super) fn two(a: Role, b: Role) -> (Agent, Agent) {
    let (mut a, mut b) = (agent(a, 'a', 'b', 1), agent(b, 'b', 'a', 2));
    a.add_local(Duration::ZERO, host(A));
    b.add_local(Duration::ZERO, host(B));
    a.add_remote(Duration::ZERO, CandidateKind::Host, address(B));
    b.add_remote(Duration::ZERO, CandidateKind::Host, address(A));
    (a, b)
}

pub(super) fn is_valid(event: &Event) -> bool {
    matches!(event, Event::Valid { .. })
}

#[test]
fn two_agents_find_each_other_and_agree_on_the_route() {
    let (mut a, mut b) = two(Role::Controlling, Role::Controlled);
    let (told_a, told_b) = run(&mut a, &mut b, 0, 300, || false);
    assert!(told_a.iter().any(is_valid) && told_b.iter().any(is_valid));
    let measured = told_a.iter().find_map(|event| match event {
        Event::Valid { round_trip, .. } => Some(*round_trip),
        _ => None,
    });
    assert!((40..45).contains(&measured.unwrap().as_millis()), "{measured:?}");
    a.nominate(Duration::from_millis(300), Route::direct(address(B)));
    let (_, told_b) = run(&mut a, &mut b, 300, 400, || false);
    assert!(told_b.contains(&Event::Nominated { route: Route::direct(address(A)) }));
}

#[test]
fn of_addresses_of_one_kind_those_of_ipv6_are_checked_first() {
    let mut agent = agent(Role::Controlling, 'a', 'b', 1);
    for local in ["192.0.2.1:1000", "[2001:db8::1]:1000"] {
        agent.add_local(Duration::ZERO, host(local));
    }
    for remote in ["192.0.2.2:2000", "[2001:db8::2]:2000"] {
        agent.add_remote(Duration::ZERO, CandidateKind::Host, address(remote));
    }
    agent.add_remote(Duration::ZERO, CandidateKind::Relayed, address("[2001:db8::9]:3000"));
    let mut order = Vec::new();
    for ms in (0..100).step_by(5) {
        agent.handle_timeout(Duration::from_millis(ms));
        order.extend(std::iter::from_fn(|| agent.poll_transmit()).map(|sent| sent.route.to.to_string()));
    }
    order.dedup();
    assert_eq!(order[..3], ["[2001:db8::2]:2000", "192.0.2.2:2000", "[2001:db8::9]:3000"]);
}

#[test]
fn half_of_the_packets_are_enough() {
    let (mut a, mut b) = two(Role::Controlling, Role::Controlled);
    let mut count: u64 = 1;
    let lose = || {
        count = count.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        count >> 63 == 0
    };
    let (told_a, told_b) = run(&mut a, &mut b, 0, 6000, lose);
    assert!(told_a.iter().any(is_valid) && told_b.iter().any(is_valid));
}

#[test]
fn two_that_both_want_to_decide_settle_it() {
    for role in [Role::Controlling, Role::Controlled] {
        let (mut a, mut b) = two(role, role);
        let (told_a, told_b) = run(&mut a, &mut b, 0, 600, || false);
        assert!(told_a.iter().any(is_valid) && told_b.iter().any(is_valid));
        assert_ne!(a.config_role(), b.config_role());
    }
}

#[test]
fn consent_is_kept_while_answered_and_lost_when_not() {
    let (mut a, mut b) = two(Role::Controlling, Role::Controlled);
    let there = Route::direct(address(B));
    run(&mut a, &mut b, 0, 300, || false);
    let now = Duration::from_millis(300);
    a.keep(now, &[there]);
    b.keep(now, &[Route::direct(address(A))]);
    let before = a.counters().sent;
    let (told, _) = run(&mut a, &mut b, 300, 60_000, || false);
    assert!(!told.contains(&Event::Expired { route: there }));
    let checks = a.counters().sent - before;
    assert!((8..20).contains(&checks), "{checks} checks in a minute");
    let (told, _) = run(&mut a, &mut b, 60_000, 90_000, || true);
    assert!(told.contains(&Event::Expired { route: there }));
}

#[test]
fn addresses_nobody_can_have_and_more_than_enough_are_filtered() {
    let mut agent = agent(Role::Controlling, 'a', 'b', 1);
    agent.add_local(Duration::ZERO, host(A));
    for text in [
        "127.0.0.1:5",
        "224.0.0.1:5",
        "0.0.0.0:5",
        "255.255.255.255:5",
        "10.0.0.1:0",
        "[fe80::1]:5",
        "[::]:5",
    ] {
        assert!(!agent.add_remote(Duration::ZERO, CandidateKind::Host, address(text)), "{text}");
    }
    for port in 1..5000 {
        agent.add_remote(Duration::ZERO, CandidateKind::Host, SocketAddr::from(([203, 0, 113, 1], port)));
    }
    let mut sent = 0;
    for ms in 0..60_000 {
        agent.handle_timeout(Duration::from_millis(ms));
        sent += std::iter::from_fn(|| agent.poll_transmit()).count();
    }
    assert!(sent <= 16 * 16, "{sent} packets to addresses that were only named");
}

#[test]
fn forged_and_replayed_checks_change_nothing() {
    let (mut a, mut b) = two(Role::Controlling, Role::Controlled);
    a.handle_timeout(Duration::ZERO);
    a.handle_timeout(Duration::from_millis(100));
    let check = std::iter::from_fn(|| a.poll_transmit()).last().unwrap().bytes;
    assert_eq!(username_of(&check), Some(("bbbbbbbb".into(), "aaaaaaaa".into())));
    let mut forged = check.clone();
    let end = forged.len();
    forged[end - 20] ^= 1;
    let stranger = Route::direct(address("203.0.113.9:9"));
    assert!(!b.handle_stun(Duration::ZERO, stranger, &forged));
    let mut stripped = check[..check.len() - 32].to_vec();
    let length = (stripped.len() - 20) as u16;
    stripped[2..4].copy_from_slice(&length.to_be_bytes());
    assert!(!b.handle_stun(Duration::ZERO, stranger, &stripped), "no integrity at all");
    assert!(b.poll_transmit().is_none() && b.poll_event().is_none());
    assert!(b.handle_stun(Duration::ZERO, Route::direct(address(A)), &check));
    while b.poll_transmit().is_some() {}
    while b.poll_event().is_some() {}
    b.handle_stun(Duration::ZERO, stranger, &check);
    assert!(b.poll_transmit().is_none() && b.poll_event().is_none());
    assert_eq!((b.counters().forged, b.counters().replayed), (2, 1));
}

#[test]
fn relay_only_sends_from_relays_only() {
    let mut agent = agent(Role::Controlling, 'a', 'b', 1);
    agent.config_mut().relay_only = true;
    agent.add_local(Duration::ZERO, host(A));
    agent.add_remote(Duration::ZERO, CandidateKind::Host, address(B));
    for ms in 0..5000 {
        agent.handle_timeout(Duration::from_millis(ms));
    }
    assert!(agent.poll_transmit().is_none());
}

#[test]
fn nats_are_told_by_what_servers_see() {
    let seen = |ports: &[u16]| {
        let observation = |(n, port): (usize, &u16)| Observation {
            server: SocketAddr::from(([198, 51, 100, n as u8], 3478)),
            mapped: SocketAddr::from(([203, 0, 113, 1], *port)),
        };
        let observations: Vec<_> = ports.iter().enumerate().map(observation).collect();
        classify(&observations, &["10.0.0.2".parse().unwrap()]).mapping
    };
    assert_eq!(seen(&[4700, 4700, 4700]), Mapping::EndpointIndependent);
    assert_eq!(seen(&[5000, 5001, 5003]), Mapping::Sequential { step: 1 });
    assert_eq!(seen(&[5000, 4998, 4996]), Mapping::Sequential { step: -2 });
    assert_eq!(seen(&[5000, 41000, 22222]), Mapping::Random);
    assert_eq!(seen(&[5000]), Mapping::Unknown);
    let own = Observation { server: address("198.51.100.1:3478"), mapped: address(A) };
    assert_eq!(classify(&[own], &[own.mapped.ip()]).mapping, Mapping::None);
}

proptest! {
    #[test]
    fn no_message_breaks_an_agent_or_makes_it_talk(messages in vec(vec(any::<u8>(), 0..200), 0..30)) {
        let mut agent = agent(Role::Controlled, 'a', 'b', 1);
        agent.add_local(Duration::ZERO, host(A));
        for mut message in messages {
            // Likely to be STUN.
            if message.len() >= 20 {
                let length = ((message.len() - 20) / 4 * 4) as u16;
                message.truncate(20 + usize::from(length));
                let class = u8::from(message[0] > 128);
                message[..2].copy_from_slice(&[class, 1]);
                message[2..4].copy_from_slice(&length.to_be_bytes());
                message[4..8].copy_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
            }
            prop_assert!(!agent.handle_stun(Duration::ZERO, Route::direct(address(B)), &message));
        }
        prop_assert!(agent.poll_transmit().is_none() && agent.poll_event().is_none());
    }
}
