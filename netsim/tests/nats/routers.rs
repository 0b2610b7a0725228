//! What real routers do that RFC 4787 does not ask for, or asks them not to do.

use std::num::NonZeroU16;

use netsim::nat::{Dropped, Nat, NatConfig, PortAssignment, PortRange, Transport, kind};

use crate::{at, ip, nat, s};

const UDP: Transport = Transport::Udp;

#[test]
fn a_sequential_nats_next_port_can_be_told_from_the_last() {
    let step = NonZeroU16::new(2).unwrap();
    let mut nat = nat(&NatConfig { port_step: step, ..kind("symmetric-sequential").unwrap() });
    let mut last = nat.outbound(s(0), UDP, at("10.0.0.2:5000"), at("192.0.2.1:999")).unwrap().port();
    for port in 1000..1050 {
        let remote = at(&format!("192.0.2.1:{port}"));
        let next = nat.outbound(s(0), UDP, at("10.0.0.2:5000"), remote).unwrap().port();
        assert_eq!(next, last + 2);
        last = next;
    }
}

#[test]
fn sequential_ports_wrap_around_and_skip_those_taken() {
    let config = NatConfig {
        port_range: PortRange::new(3000, 3003).unwrap(),
        // A step that divides the size meets only half of the ports.
        port_step: NonZeroU16::new(2).unwrap(),
        ..kind("symmetric-sequential").unwrap()
    };
    let mut nat = nat(&config);
    let given: std::collections::BTreeSet<u16> = (1..=4)
        .map(|port| {
            let remote = at(&format!("192.0.2.1:{port}"));
            nat.outbound(s(0), UDP, at("10.0.0.2:5000"), remote).unwrap().port()
        })
        .collect();
    assert_eq!(given, (3000..=3003).collect());
    let one_more = nat.outbound(s(0), UDP, at("10.0.0.2:5000"), at("192.0.2.1:9"));
    assert_eq!(one_more, Err(Dropped::PortsExhausted));
}

#[test]
fn random_ports_spread_over_the_range() {
    let mut nat = nat(&kind("symmetric-random").unwrap());
    let mut ports: Vec<u16> = (1..=2000)
        .map(|port| {
            let remote = at(&format!("192.0.2.1:{port}"));
            nat.outbound(s(0), UDP, at("10.0.0.2:5000"), remote).unwrap().port()
        })
        .collect();
    ports.sort_unstable();
    // Uniform over 1024..=65535: the quartiles of 2000 draws have a standard error below 650 ports.
    for (rank, expected) in [(500, 17_152_f64), (1000, 33_280.0), (1500, 49_408.0)] {
        assert!((f64::from(ports[rank]) - expected).abs() < 2500.0, "quantile {rank}: {}", ports[rank]);
    }
}

#[test]
fn a_full_table_drops_new_mappings_and_keeps_the_old() {
    let mut nat = nat(&NatConfig { mappings_max: 2, ..NatConfig::default() });
    let remote = at("192.0.2.1:1");
    let first = nat.outbound(s(0), UDP, at("10.0.0.2:1"), remote).unwrap();
    nat.outbound(s(0), UDP, at("10.0.0.2:2"), remote).unwrap();
    assert_eq!(nat.outbound(s(0), UDP, at("10.0.0.2:3"), remote), Err(Dropped::TableFull));
    assert_eq!(nat.outbound(s(29), UDP, at("10.0.0.2:1"), remote), Ok(first));
    assert_eq!(nat.mappings(), 2);
    assert!(nat.outbound(s(30), UDP, at("10.0.0.2:3"), remote).is_ok(), "room after the second expired");
}

#[test]
fn a_full_session_table_drops_new_remotes_without_leaving_a_mapping() {
    let mut nat = nat(&NatConfig { sessions_max: 1, ..NatConfig::default() });
    nat.outbound(s(0), UDP, at("10.0.0.2:1"), at("192.0.2.1:1")).unwrap();
    assert_eq!(nat.outbound(s(0), UDP, at("10.0.0.2:1"), at("192.0.2.1:2")), Err(Dropped::TableFull));
    assert_eq!(nat.outbound(s(0), UDP, at("10.0.0.2:2"), at("192.0.2.1:1")), Err(Dropped::TableFull));
    assert_eq!((nat.mappings(), nat.sessions()), (1, 1));
}

#[test]
fn a_reboot_forgets_everything_and_random_ports_come_out_different() {
    let mut nat = nat(&kind("symmetric-random").unwrap());
    let (inside, remote) = (at("10.0.0.2:5000"), at("192.0.2.1:1000"));
    let before = nat.outbound(s(0), UDP, inside, remote).unwrap();
    nat.reboot(s(1));
    assert_eq!((nat.mappings(), nat.sessions()), (0, 0));
    assert_eq!(nat.inbound(s(1), UDP, remote, before), Err(Dropped::NoMapping));
    assert_ne!(nat.outbound(s(1), UDP, inside, remote).unwrap(), before);
}

#[test]
fn renumbering_forgets_the_mappings_of_addresses_that_are_gone() {
    let mut nat = nat(&NatConfig::default());
    let (inside, remote) = (at("10.0.0.2:5000"), at("192.0.2.1:1000"));
    let before = nat.outbound(s(0), UDP, inside, remote).unwrap();
    nat.renumber(s(1), vec![ip("203.0.113.1"), ip("203.0.113.9")]);
    assert_eq!(nat.outbound(s(1), UDP, inside, remote), Ok(before), "the address stayed");
    nat.renumber(s(2), vec![ip("203.0.113.9")]);
    assert_eq!(nat.inbound(s(2), UDP, remote, before), Err(Dropped::NoMapping));
    assert_eq!(nat.outbound(s(2), UDP, inside, remote), Ok(at("203.0.113.9:5000")));
}

#[test]
fn each_family_needs_an_external_address_of_its_own() {
    let mut nat = Nat::new(&NatConfig::default(), vec![ip("203.0.113.1"), ip("2001:db8::1")], 1);
    let six = nat.outbound(s(0), UDP, at("[fd00::2]:5000"), at("[2001:db8::9]:1")).unwrap();
    assert_eq!(six, at("[2001:db8::1]:5000"));
    nat.renumber(s(0), vec![ip("203.0.113.1")]);
    let none = nat.outbound(s(0), UDP, at("[fd00::2]:5000"), at("[2001:db8::9]:1"));
    assert_eq!(none, Err(Dropped::NoExternalAddress));
}

#[test]
fn a_carrier_gives_each_host_one_block_of_ports() {
    let size = 64;
    let config = NatConfig { port_block: NonZeroU16::new(size), ..kind("cgnat").unwrap() };
    let mut nat = nat(&config);
    let mut blocks = std::collections::BTreeSet::new();
    for host in 2..12 {
        let mut own = std::collections::BTreeSet::new();
        for port in 0..size {
            let inside = at(&format!("100.64.0.{host}:{}", 5000 + port));
            let external = nat.outbound(s(0), UDP, inside, at("192.0.2.1:1")).unwrap();
            own.insert((external.port() - 1024) / size);
        }
        assert_eq!(own.len(), 1, "one block a host");
        blocks.extend(own);
        let inside = at(&format!("100.64.0.{host}:9999"));
        let beyond = nat.outbound(s(0), UDP, inside, at("192.0.2.1:1"));
        assert_eq!(beyond, Err(Dropped::PortsExhausted));
    }
    assert_eq!(blocks.len(), 10, "no block is shared");
}

#[test]
fn a_block_goes_back_with_its_hosts_last_mapping() {
    let range = PortRange::new(2000, 2001).unwrap();
    let config = NatConfig { port_block: NonZeroU16::new(2), port_range: range, ..kind("cgnat").unwrap() };
    let mut nat = nat(&config);
    let remote = at("192.0.2.1:1");
    nat.outbound(s(0), UDP, at("100.64.0.2:1"), remote).unwrap();
    assert_eq!(nat.outbound(s(29), UDP, at("100.64.0.3:1"), remote), Err(Dropped::PortsExhausted));
    assert!(nat.outbound(s(30), UDP, at("100.64.0.3:1"), remote).is_ok());
    nat.reboot(s(31));
    assert!(nat.outbound(s(31), UDP, at("100.64.0.2:1"), remote).is_ok(), "or with a reboot");
}

#[test]
fn some_carriers_forget_a_busy_mapping() {
    let config = NatConfig { mapping_lifetime_s: Some(55), ..kind("cgnat").unwrap() };
    let mut nat = nat(&config);
    let (inside, remote) = (at("100.64.0.2:5000"), at("192.0.2.1:1000"));
    let external = nat.outbound(s(0), UDP, inside, remote).unwrap();
    for second in 1..55 {
        assert_eq!(nat.outbound(s(second), UDP, inside, remote), Ok(external));
        assert!(nat.inbound(s(second), UDP, remote, external).is_ok());
    }
    assert_eq!(nat.inbound(s(55), UDP, remote, external), Err(Dropped::NoMapping));
    assert_ne!(nat.outbound(s(55), UDP, inside, remote), Ok(external));
}

/// The peer's punch arrives first: at a leaky router the later outbound packet becomes another flow, but only
/// that one.
#[test]
fn a_leaky_router_moves_the_flow_that_it_took_for_its_own() {
    let (inside, peer, stun) = (at("10.0.0.2:5000"), at("192.0.2.1:1000"), at("198.51.100.1:3478"));
    for (leaky, dropped, port_kept) in [(false, Dropped::Filtered, true), (true, Dropped::IntoRouter, false)]
    {
        let mut nat = nat(&NatConfig { leaky, ..NatConfig::default() });
        let external = nat.outbound(s(0), UDP, inside, stun).unwrap();
        assert_eq!(nat.inbound(s(1), UDP, peer, external), Err(dropped));
        let towards_peer = nat.outbound(s(2), UDP, inside, peer).unwrap();
        assert_eq!(towards_peer == external, port_kept);
        assert_eq!(nat.outbound(s(2), UDP, inside, stun), Ok(external), "others are not moved");
        // The peer's further punches to the old port go on into the router.
        assert_eq!(nat.inbound(s(3), UDP, peer, external).is_ok(), port_kept);
        assert_eq!(nat.inbound(s(3), UDP, peer, towards_peer), Ok(inside));
    }
}

#[test]
fn a_leaky_router_takes_unsolicited_packets_before_any_mapping_too() {
    let mut nat = nat(&kind("leaky").unwrap());
    let (inside, peer) = (at("10.0.0.2:5000"), at("192.0.2.1:1000"));
    assert_eq!(nat.inbound(s(0), UDP, peer, at("203.0.113.1:5000")), Err(Dropped::IntoRouter));
    assert_ne!(nat.outbound(s(1), UDP, inside, peer).unwrap().port(), 5000);
    assert_eq!(nat.outbound(s(1), UDP, inside, at("192.0.2.2:7")).unwrap().port(), 5000);
}

#[test]
fn a_flow_that_the_router_has_is_its_own_even_if_a_mapping_would_take_it() {
    let config = NatConfig { leaky: true, ..kind("full-cone").unwrap() };
    let mut nat = nat(&config);
    let (early, late) = (at("192.0.2.1:1000"), at("192.0.2.1:2000"));
    assert_eq!(nat.inbound(s(0), UDP, early, at("203.0.113.1:5000")), Err(Dropped::IntoRouter));
    let external = nat.outbound(s(1), UDP, at("10.0.0.2:5000"), at("198.51.100.1:3478")).unwrap();
    assert_eq!(external.port(), 5000);
    assert_eq!(nat.inbound(s(2), UDP, early, external), Err(Dropped::IntoRouter));
    assert_eq!(nat.inbound(s(2), UDP, late, external), Ok(at("10.0.0.2:5000")));
}

#[test]
fn a_leak_is_forgotten_when_the_peer_stays_silent() {
    let mut nat = nat(&kind("leaky").unwrap());
    let (inside, peer) = (at("10.0.0.2:5000"), at("192.0.2.1:1000"));
    assert_eq!(nat.inbound(s(0), UDP, peer, at("203.0.113.1:5000")), Err(Dropped::IntoRouter));
    assert_eq!(nat.outbound(s(30), UDP, inside, peer).unwrap().port(), 5000);
}

#[test]
fn the_same_seed_gives_the_same_ports() {
    let run = |seed| -> Vec<u16> {
        let config = NatConfig { ports: PortAssignment::Random, ..NatConfig::default() };
        let mut nat = Nat::new(&config, vec![ip("203.0.113.1")], seed);
        (1..100)
            .map(|port| {
                nat.outbound(s(0), UDP, at(&format!("10.0.0.2:{port}")), at("192.0.2.1:1")).unwrap().port()
            })
            .collect()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}
