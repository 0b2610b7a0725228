//! Classes from what servers said.

use super::{Observation, classify};
use crate::ice::{Mapping, NatReport};
use proptest::prelude::{any, prop, prop_assert_eq, prop_assume, proptest};
use std::net::{IpAddr, SocketAddr};

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// One port asked servers at different addresses, which saw these.
fn seen(mapped: &[&str]) -> Vec<Observation> {
    let server = |n: usize| {
        if mapped[0].starts_with("[2") {
            format!("[2001:db8:5::{n}]:3478")
        } else {
            format!("198.51.100.{n}:3478")
        }
    };
    let observed =
        |(n, mapped): (usize, &&str)| Observation { server: at(&server(n + 1)), mapped: at(mapped) };
    mapped.iter().enumerate().map(observed).collect()
}

fn by_ports(ports: &[u16]) -> Mapping {
    let mapped: Vec<String> = ports.iter().map(|port| format!("203.0.113.1:{port}")).collect();
    let mapped: Vec<&str> = mapped.iter().map(String::as_str).collect();
    classify(&seen(&mapped), &[]).mapping
}

#[test]
fn nothing_is_known_without_an_observation() {
    assert_eq!(classify(&[], &[]), NatReport::default());
}

#[test]
fn an_own_address_with_its_own_port_means_no_nat() {
    let own: IpAddr = "203.0.113.7".parse().unwrap();
    let one = seen(&["203.0.113.7:5000"]);
    assert_eq!(classify(&one, &[own]).mapping, Mapping::None);
    assert_eq!(classify(&one, &[]).mapping, Mapping::Unknown, "one observation behind a NAT tells nothing");
    let v6 = seen(&["[2001:db8::7]:5000"; 2]);
    assert_eq!(classify(&v6, &["2001:db8::7".parse().unwrap()]).mapping, Mapping::None);
    let mapped_v4 = seen(&["[::ffff:203.0.113.7]:5000"]);
    assert_eq!(classify(&mapped_v4, &[own]).mapping, Mapping::None);
}

#[test]
fn the_same_port_for_different_addresses_is_endpoint_independent() {
    let report = classify(&seen(&["203.0.113.1:7000"; 2]), &[]);
    assert_eq!(
        report,
        NatReport { mapping: Mapping::EndpointIndependent, newest: Some(at("203.0.113.1:7000")) }
    );
    let v6 = seen(&["[2001:db8::1]:7000"; 3]);
    assert_eq!(classify(&v6, &[]).mapping, Mapping::EndpointIndependent);
}

#[test]
fn the_same_port_for_two_ports_of_one_server_is_no_proof() {
    let mut asked = seen(&["203.0.113.1:7000"; 2]);
    asked[1].server = SocketAddr::new(asked[0].server.ip(), 3479);
    assert_eq!(classify(&asked, &[]).mapping, Mapping::Unknown);
}

#[test]
fn small_steps_are_sequential_either_way_and_over_gaps() {
    assert_eq!(by_ports(&[7000, 7001]), Mapping::Sequential { step: 1 });
    assert_eq!(by_ports(&[7000, 7002, 7004, 7006]), Mapping::Sequential { step: 2 });
    assert_eq!(by_ports(&[7000, 6998, 6996]), Mapping::Sequential { step: -2 });
    assert_eq!(by_ports(&[7000, 7001, 7004, 7005]), Mapping::Sequential { step: 1 }, "others took two");
    assert_eq!(by_ports(&[65535, 0, 1]), Mapping::Sequential { step: 1 });
    assert_eq!(
        by_ports(&[65534, 65535, 1024, 1025]),
        Mapping::Sequential { step: 1 },
        "the range begins anew"
    );
}

#[test]
fn large_or_contradicting_steps_are_random() {
    assert_eq!(by_ports(&[7000, 7033]), Mapping::Random);
    assert_eq!(by_ports(&[7000, 7001, 6999]), Mapping::Random);
    assert_eq!(by_ports(&[7000, 7001, 9000]), Mapping::Random);
    assert_eq!(by_ports(&[7000, 7003, 7008, 7009, 40000]), Mapping::Random);
    assert_eq!(
        by_ports(&[7000, 7000, 9000]),
        Mapping::Random,
        "two servers behind one address-dependent mapping"
    );
}

#[test]
fn a_pool_of_outside_addresses_is_random() {
    let pool = seen(&["203.0.113.1:7000", "203.0.113.2:7000"]);
    assert_eq!(classify(&pool, &[]).mapping, Mapping::Random);
}

#[test]
fn another_family_is_passed_over() {
    let mut mixed = seen(&["203.0.113.1:7000"; 3]);
    mixed.insert(1, Observation { mapped: at("[2001:db8::1]:4"), ..mixed[1] });
    assert_eq!(classify(&mixed, &[]).mapping, Mapping::EndpointIndependent);
}

proptest! {
    #[test]
    fn every_small_step_is_found_wherever_it_begins(first: u16, step in -32_i16..=32, count in 2_usize..6) {
        prop_assume!(step != 0);
        let ports: Vec<u16> = (0..count as i16).map(|n| first.wrapping_add_signed(n * step)).collect();
        prop_assert_eq!(by_ports(&ports), Mapping::Sequential { step });
    }

    #[test]
    fn nothing_observed_panics(
        what in prop::collection::vec((any::<SocketAddr>(), any::<SocketAddr>()), 0..40),
        own in prop::collection::vec(any::<IpAddr>(), 0..3),
    ) {
        let what: Vec<_> =
            what.into_iter().map(|(server, mapped)| Observation { server, mapped }).collect();
        let report = classify(&what, &own);
        prop_assert_eq!(report.newest.is_some(), !what.is_empty());
    }
}
