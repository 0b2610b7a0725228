//! One test for each requirement that concerns a simulated NAT. Not simulated, hence not here: REQ-4 (port
//! parity), REQ-7 (conflicting networks), REQ-10 (gateways), REQ-12 to REQ-14 (ICMP, fragments).

use netsim::nat::Behaviour::{AddressAndPortDependent, AddressDependent, EndpointIndependent};
use netsim::nat::{Dropped, Nat, NatConfig, Pooling, PortAssignment, PortRange, Transport};

use crate::{at, ip, nat, s};

const UDP: Transport = Transport::Udp;

/// Section 4.1, REQ-1: X1':x1' towards (Y1,y1), (Y1,y2) and (Y2,y1).
fn mapped(mapping: netsim::nat::Behaviour) -> [u16; 3] {
    let mut nat = nat(&NatConfig { mapping, ports: PortAssignment::Random, ..NatConfig::default() });
    ["192.0.2.1:1000", "192.0.2.1:2000", "192.0.2.2:1000"]
        .map(|remote| nat.outbound(s(0), UDP, at("10.0.0.2:5000"), at(remote)).unwrap().port())
}

#[test]
fn req_1_endpoint_independent_mapping_reuses_the_port_for_every_remote() {
    let [first, other_port, other_address] = mapped(EndpointIndependent);
    assert_eq!(first, other_port);
    assert_eq!(first, other_address);
}

#[test]
fn req_1_address_dependent_mapping_reuses_the_port_for_one_address() {
    let [first, other_port, other_address] = mapped(AddressDependent);
    assert_eq!(first, other_port);
    assert_ne!(first, other_address);
}

#[test]
fn req_1_address_and_port_dependent_mapping_reuses_the_port_for_one_endpoint() {
    let [first, other_port, other_address] = mapped(AddressAndPortDependent);
    assert_ne!(first, other_port);
    assert_ne!(first, other_address);
    assert_ne!(other_port, other_address);
}

/// External addresses that one host with many ports gets from a pool of four.
fn pooled(pooling: Pooling, host: &str) -> std::collections::BTreeSet<std::net::IpAddr> {
    let pool = (1..=4).map(|n| ip(&format!("203.0.113.{n}"))).collect();
    let mut nat = Nat::new(&NatConfig { pooling, ..NatConfig::default() }, pool, 3);
    (5000..5040)
        .map(|port| nat.outbound(s(0), UDP, at(&format!("{host}:{port}")), at("192.0.2.1:1")).unwrap().ip())
        .collect()
}

#[test]
fn req_2_paired_pooling_gives_a_host_one_address() {
    for host in ["10.0.0.2", "10.0.0.3", "10.0.0.4"] {
        assert_eq!(pooled(Pooling::Paired, host).len(), 1);
    }
    let all: std::collections::BTreeSet<_> =
        (2..40).flat_map(|n| pooled(Pooling::Paired, &format!("10.0.0.{n}"))).collect();
    assert_eq!(all.len(), 4, "the whole pool is used");
}

#[test]
fn req_2_arbitrary_pooling_spreads_a_host_over_the_pool() {
    assert!(pooled(Pooling::Arbitrary, "10.0.0.2").len() > 1);
}

/// Section 4.2.1.
#[test]
fn req_3_a_free_port_is_preserved_and_a_taken_one_is_never_shared() {
    let mut nat = nat(&NatConfig::default());
    let remote = at("192.0.2.1:1000");
    let first = nat.outbound(s(0), UDP, at("10.0.0.2:5000"), remote).unwrap();
    assert_eq!(first, at("203.0.113.1:5000"));
    let second = nat.outbound(s(0), UDP, at("10.0.0.3:5000"), remote).unwrap();
    assert_ne!(second.port(), 5000);
    // No port overloading: not even towards another remote.
    let elsewhere = nat.outbound(s(0), UDP, at("10.0.0.4:5000"), at("192.0.2.9:1")).unwrap();
    assert_ne!(elsewhere.port(), 5000);
    assert_ne!(elsewhere, second);
    // TCP's ports are others than UDP's.
    assert_eq!(nat.outbound(s(0), Transport::Tcp, at("10.0.0.3:5000"), remote).unwrap().port(), 5000);
}

#[test]
fn req_3_ports_outside_the_range_are_not_preserved() {
    let range = PortRange::new(20_000, 20_009).unwrap();
    let mut nat = nat(&NatConfig { port_range: range, ..NatConfig::default() });
    for port in 5000..5010 {
        let inside = at(&format!("10.0.0.2:{port}"));
        assert!(range.contains(nat.outbound(s(0), UDP, inside, at("192.0.2.1:1")).unwrap().port()));
    }
    let one_more = nat.outbound(s(0), UDP, at("10.0.0.2:6000"), at("192.0.2.1:1"));
    assert_eq!(one_more, Err(Dropped::PortsExhausted));
}

/// Section 4.3.
#[test]
fn req_5_an_idle_mapping_lives_its_timeout_and_no_longer() {
    let config = NatConfig { udp_timeout_s: 300, udp_first_timeout_s: None, ..NatConfig::default() };
    let remote = at("192.0.2.1:1000");
    for (after, expected) in [(299, Ok(at("10.0.0.2:5000"))), (300, Err(Dropped::NoMapping))] {
        let mut nat = nat(&config);
        let external = nat.outbound(s(0), UDP, at("10.0.0.2:5000"), remote).unwrap();
        assert_eq!(nat.inbound(s(after), UDP, remote, external), expected, "after {after} s");
    }
}

#[test]
fn req_5_a_mapping_without_a_reply_may_be_forgotten_sooner() {
    let mut nat = nat(&NatConfig::default());
    let (silent, answering) = (at("192.0.2.1:1000"), at("192.0.2.2:1000"));
    let first = nat.outbound(s(0), UDP, at("10.0.0.2:5000"), silent).unwrap();
    let second = nat.outbound(s(0), UDP, at("10.0.0.2:6000"), answering).unwrap();
    nat.inbound(s(1), UDP, answering, second).unwrap();
    assert_eq!(nat.inbound(s(40), UDP, silent, first), Err(Dropped::NoMapping));
    assert_eq!(nat.inbound(s(40), UDP, answering, second), Ok(at("10.0.0.2:6000")));
}

#[test]
fn req_5_a_remote_that_has_replied_is_let_in_for_the_longer_time() {
    for inbound_refresh in [true, false] {
        let mut nat = nat(&NatConfig { inbound_refresh, ..NatConfig::default() });
        let remote = at("192.0.2.1:1000");
        let external = nat.outbound(s(0), UDP, at("10.0.0.2:5000"), remote).unwrap();
        nat.inbound(s(1), UDP, remote, external).unwrap();
        nat.outbound(s(20), UDP, at("10.0.0.2:5000"), remote).unwrap();
        assert!(nat.inbound(s(139), UDP, remote, external).is_ok(), "inbound refresh {inbound_refresh}");
    }
}

#[test]
fn req_5_tcp_has_a_timer_of_its_own() {
    let mut nat = nat(&NatConfig::default());
    let remote = at("192.0.2.1:443");
    let external = nat.outbound(s(0), Transport::Tcp, at("10.0.0.2:5000"), remote).unwrap();
    assert!(nat.inbound(s(7200), Transport::Tcp, remote, external).is_ok());
}

#[test]
fn req_6_outbound_always_refreshes_and_inbound_if_so_configured() {
    let remote = at("192.0.2.1:1000");
    for (inbound_refresh, expected) in [(true, Ok(at("10.0.0.2:5000"))), (false, Err(Dropped::NoMapping))] {
        let mut nat = nat(&NatConfig { inbound_refresh, udp_first_timeout_s: None, ..NatConfig::default() });
        let external = nat.outbound(s(0), UDP, at("10.0.0.2:5000"), remote).unwrap();
        assert_eq!(nat.outbound(s(100), UDP, at("10.0.0.2:5000"), remote), Ok(external));
        assert!(nat.inbound(s(200), UDP, remote, external).is_ok(), "refreshed by outbound");
        assert_eq!(nat.inbound(s(300), UDP, remote, external), expected, "inbound refresh {inbound_refresh}");
    }
}

/// Section 5, REQ-8: an answer from (Y1,y1), after sending there; then (Y1,y2), then (Y2,y1).
fn let_in(filtering: netsim::nat::Behaviour) -> [bool; 3] {
    let mut nat = nat(&NatConfig { filtering, ..NatConfig::default() });
    let external = nat.outbound(s(0), UDP, at("10.0.0.2:5000"), at("192.0.2.1:1000")).unwrap();
    ["192.0.2.1:1000", "192.0.2.1:2000", "192.0.2.2:1000"].map(|remote| {
        match nat.inbound(s(1), UDP, at(remote), external) {
            Ok(inside) => inside == at("10.0.0.2:5000"),
            Err(dropped) => {
                assert_eq!(dropped, Dropped::Filtered);
                false
            }
        }
    })
}

#[test]
fn req_8_filtering_lets_in_whom_its_kind_allows() {
    assert_eq!(let_in(EndpointIndependent), [true, true, true]);
    assert_eq!(let_in(AddressDependent), [true, true, false]);
    assert_eq!(let_in(AddressAndPortDependent), [true, false, false]);
}

#[test]
fn req_8_filtering_does_not_depend_on_mapping() {
    for mapping in [EndpointIndependent, AddressDependent, AddressAndPortDependent] {
        for (filtering, stranger) in
            [(EndpointIndependent, true), (AddressDependent, false), (AddressAndPortDependent, false)]
        {
            let mut nat = nat(&NatConfig { mapping, filtering, ..NatConfig::default() });
            let external = nat.outbound(s(0), UDP, at("10.0.0.2:5000"), at("192.0.2.1:1000")).unwrap();
            let passed = nat.inbound(s(0), UDP, at("192.0.2.2:1000"), external).is_ok();
            assert_eq!(passed, stranger, "{mapping:?} {filtering:?}");
        }
    }
}

#[test]
fn req_8_a_remote_not_sent_to_for_the_timeout_is_filtered_again() {
    let config = NatConfig { udp_first_timeout_s: None, ..NatConfig::default() };
    let mut nat = nat(&config);
    let (old, current) = (at("192.0.2.1:1000"), at("192.0.2.2:1000"));
    let external = nat.outbound(s(0), UDP, at("10.0.0.2:5000"), old).unwrap();
    nat.outbound(s(100), UDP, at("10.0.0.2:5000"), current).unwrap();
    assert_eq!(nat.inbound(s(150), UDP, old, external), Err(Dropped::Filtered));
    assert!(nat.inbound(s(150), UDP, current, external).is_ok());
}

/// Section 6.
#[test]
fn req_9_hairpinning_shows_the_external_source() {
    let config = NatConfig { hairpin: true, filtering: EndpointIndependent, ..NatConfig::default() };
    let mut nat = nat(&config);
    let (a, b) = (at("10.0.0.2:5000"), at("10.0.0.3:6000"));
    let to_b = nat.outbound(s(0), UDP, b, at("192.0.2.1:1000")).unwrap();
    let (source, receiver) = nat.hairpin(s(0), UDP, a, to_b).unwrap();
    assert_eq!(receiver, b);
    assert_eq!(source, at("203.0.113.1:5000"), "REQ-9a: external source address and port");
    // And back, the same way.
    assert_eq!(nat.hairpin(s(0), UDP, b, source), Ok((to_b, a)));
}

#[test]
fn req_9_hairpinned_packets_are_filtered_like_others() {
    let mut nat = nat(&NatConfig { hairpin: true, ..NatConfig::default() });
    let (a, b) = (at("10.0.0.2:5000"), at("10.0.0.3:6000"));
    let to_a = nat.outbound(s(0), UDP, a, at("192.0.2.1:1000")).unwrap();
    let to_b = nat.outbound(s(0), UDP, b, at("192.0.2.1:1000")).unwrap();
    assert_eq!(nat.hairpin(s(0), UDP, a, to_b), Err(Dropped::Filtered));
    assert_eq!(nat.hairpin(s(0), UDP, b, to_a), Ok((to_b, a)), "a had sent to b's port");
}

#[test]
fn req_9_without_hairpinning_the_packet_is_dropped() {
    let mut nat = nat(&NatConfig::default());
    let to_b = nat.outbound(s(0), UDP, at("10.0.0.3:6000"), at("192.0.2.1:1000")).unwrap();
    assert_eq!(nat.hairpin(s(0), UDP, at("10.0.0.2:5000"), to_b), Err(Dropped::NoHairpin));
}

/// Section 8: behaviour does not change with conditions.
#[test]
fn req_11_a_mapping_keeps_its_kind_when_its_port_could_not_be_preserved() {
    let mut nat = nat(&NatConfig::default());
    nat.outbound(s(0), UDP, at("10.0.0.2:5000"), at("192.0.2.1:1000")).unwrap();
    let second = nat.outbound(s(0), UDP, at("10.0.0.3:5000"), at("192.0.2.1:1000")).unwrap();
    assert_eq!(nat.outbound(s(0), UDP, at("10.0.0.3:5000"), at("192.0.2.2:7")), Ok(second));
    assert_eq!(nat.inbound(s(0), UDP, at("192.0.2.3:7"), second), Err(Dropped::Filtered));
}
