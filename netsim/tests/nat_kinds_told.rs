//! Every kind of NAT is told from what four servers see of one port behind it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use netsim::nat::{Behaviour, KINDS, Nat, NatConfig, Transport, kind};
use protocol::ice::{Mapping, NatReport, Observation, classify};

const SEEDS: u64 = 500;

const LOCAL: &str = "10.0.0.2:5000";

const SERVERS: [&str; 4] = ["192.0.2.1:3478", "192.0.2.2:3478", "198.51.100.3:3478", "198.51.100.4:19302"];

/// What four servers at different addresses see. `others`: new mappings of another host after each question.
fn asked(config: &NatConfig, seed: u64, others: &[u16]) -> NatReport {
    let mut nat = Nat::new(config, vec!["203.0.113.1".parse().unwrap()], seed);
    let local: SocketAddr = LOCAL.parse().unwrap();
    let mut port = 1000;
    let mut seen = Vec::new();
    for (index, server) in SERVERS.into_iter().enumerate() {
        let server: SocketAddr = server.parse().unwrap();
        let now = Duration::from_millis(20 * index as u64);
        let mapped = nat.outbound(now, Transport::Udp, local, server).unwrap();
        seen.push(Observation { server, mapped });
        for _ in 0..others.get(index).copied().unwrap_or(0) {
            port += 1;
            let other = SocketAddr::new("10.0.0.3".parse().unwrap(), port);
            nat.outbound(now, Transport::Udp, other, "192.0.2.77:53".parse().unwrap()).unwrap();
        }
    }
    classify(&seen, &[local.ip()])
}

fn expected(name: &str) -> Mapping {
    match name {
        "full-cone" | "address-restricted" | "port-restricted" | "cgnat" | "leaky" => {
            Mapping::EndpointIndependent
        }
        "symmetric-random" => Mapping::Random,
        "symmetric-sequential" => Mapping::Sequential { step: 1 },
        other => panic!("{other} is new: say what it should be told as"),
    }
}

#[test]
fn every_kind_is_told_right_for_every_seed() {
    for name in KINDS {
        let config = kind(name).unwrap();
        for seed in 0..SEEDS {
            let report = asked(&config, seed, &[]);
            assert_eq!(report.mapping, expected(name), "{name}, seed {seed}: {report:?}");
            assert_eq!(report.newest.unwrap().ip().to_string(), "203.0.113.1");
        }
    }
}

#[test]
fn a_sequential_nat_is_told_by_its_step_though_others_use_it_too() {
    for step in [1, 2, 8, 32] {
        let config =
            NatConfig { port_step: NonZeroU16::new(step).unwrap(), ..kind("symmetric-sequential").unwrap() };
        for others in [&[][..], &[0, 2], &[3, 0, 1]] {
            let right = |seed: &u64| {
                asked(&config, *seed, others).mapping == Mapping::Sequential { step: step as i16 }
            };
            let wrong = (0..SEEDS).filter(|seed| !right(seed)).count();
            // Where the range ends within the four, the one step that would tell may be missing.
            let wrong_max = if others.is_empty() { 0 } else { SEEDS as usize / 100 };
            assert!(wrong <= wrong_max, "step {step}, {others:?}: {wrong} of {SEEDS} seeds");
        }
    }
}

#[test]
fn address_dependent_mapping_is_not_taken_for_one_port_for_all() {
    let config = NatConfig { mapping: Behaviour::AddressDependent, ..kind("symmetric-random").unwrap() };
    for seed in 0..SEEDS {
        assert_eq!(asked(&config, seed, &[]).mapping, Mapping::Random, "seed {seed}");
    }
}
