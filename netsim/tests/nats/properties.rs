//! What must hold for a NAT of any configuration after any packets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use netsim::nat::{Behaviour, Nat, NatConfig, Pooling, PortAssignment, PortRange, Transport};
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::{option, proptest};

use crate::{at, ip};

#[derive(Clone, Debug)]
enum Step {
    Outbound { host: u8, port: u8, remote: u8, remote_port: u8 },
    Inbound { remote: u8, remote_port: u8, external: u8, port: u16 },
    Hairpin { host: u8, port: u8, external: u8, to: u16 },
    Wait { seconds: u8 },
    Reboot,
    Renumber { to: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    // Few addresses and ports, so that packets meet.
    let port = 2000..2012_u16;
    prop_oneof![
        8 => (0..4_u8, 0..8_u8, 0..3_u8, 0..3_u8)
            .prop_map(|(host, port, remote, remote_port)| Step::Outbound { host, port, remote, remote_port }),
        8 => (0..3_u8, 0..3_u8, 0..3_u8, port.clone())
            .prop_map(|(remote, remote_port, external, port)| Step::Inbound { remote, remote_port, external, port }),
        2 => (0..4_u8, 0..8_u8, 0..3_u8, port).prop_map(|(host, port, external, to)| Step::Hairpin { host, port, external, to }),
        1 => any::<u8>().prop_map(|seconds| Step::Wait { seconds }),
        1 => Just(Step::Reboot),
        1 => (0..3_u8).prop_map(|to| Step::Renumber { to }),
    ]
}

fn behaviour() -> impl Strategy<Value = Behaviour> {
    prop_oneof![
        Just(Behaviour::EndpointIndependent),
        Just(Behaviour::AddressDependent),
        Just(Behaviour::AddressAndPortDependent)
    ]
}

fn config() -> impl Strategy<Value = NatConfig> {
    let ports = prop_oneof![
        Just(PortAssignment::Preserving),
        Just(PortAssignment::Random),
        Just(PortAssignment::Sequential)
    ];
    let flags = any::<[bool; 4]>();
    let limits = (option::of(1..5_u16), option::of(1..200_u32), 0..12_usize, 0..24_usize);
    (behaviour(), behaviour(), ports, flags, limits).prop_map(
        |(mapping, filtering, ports, [hairpin, inbound_refresh, leaky, paired], limits)| NatConfig {
            mapping,
            filtering,
            ports,
            hairpin,
            inbound_refresh,
            leaky,
            pooling: if paired { Pooling::Paired } else { Pooling::Arbitrary },
            port_range: PortRange::new(2000, 2011).unwrap(),
            port_step: NonZeroU16::new(3).unwrap(),
            port_block: limits.0.and_then(NonZeroU16::new),
            mapping_lifetime_s: limits.1,
            mappings_max: limits.2,
            sessions_max: limits.3,
            ..NatConfig::default()
        },
    )
}

fn external(n: u8) -> String {
    format!("203.0.113.{}", n + 1)
}

fn remote(n: u8, port: u8) -> SocketAddr {
    at(&format!("192.0.2.{}:{}", n + 1, u16::from(port) + 1000))
}

fn inside(n: u8, port: u8) -> SocketAddr {
    at(&format!("10.0.0.{}:{}", n + 2, u16::from(port) + 2000))
}

/// What an observer of both sides knows: who has sent, and whose each flow outside was last.
#[derive(Default)]
struct Observer {
    senders: BTreeSet<SocketAddr>,
    /// Who left as (external, remote), and when.
    flows: BTreeMap<(SocketAddr, SocketAddr), (SocketAddr, Duration)>,
}

impl Observer {
    /// `least`: the shortest time that a mapping lives after its last outbound packet.
    fn on_outbound(
        &mut self,
        now: Duration,
        least: Duration,
        from: SocketAddr,
        external: SocketAddr,
        to: SocketAddr,
    ) {
        self.senders.insert(from);
        if let Some((owner, last)) = self.flows.insert((external, to), (from, now)) {
            // A flow may change hands only after its mapping could have expired.
            assert!(owner == from || now >= last + least, "{external} to {to} has two owners");
        }
    }
}

fn run(config: &NatConfig, steps: &[Step], seed: u64) {
    let mut nat = Nat::new(config, vec![ip(&external(0)), ip(&external(1))], seed);
    let mut observer = Observer::default();
    let mut now = Duration::ZERO;
    // The default's first timeout; a lifetime may end the moment after a packet.
    let least = Duration::from_secs(if config.mapping_lifetime_s.is_some() { 1 } else { 30 });
    for step in steps {
        match *step {
            Step::Outbound { host, port, remote: r, remote_port } => {
                let (from, to) = (inside(host, port), remote(r, remote_port));
                if let Ok(external) = nat.outbound(now, Transport::Udp, from, to) {
                    assert!(nat.external().contains(&external.ip()));
                    observer.on_outbound(now, least, from, external, to);
                }
            }
            Step::Inbound { remote: r, remote_port, external: e, port } => {
                let to = SocketAddr::new(ip(&external(e)), port);
                if let Ok(receiver) = nat.inbound(now, Transport::Udp, remote(r, remote_port), to) {
                    assert!(observer.senders.contains(&receiver), "{receiver} never sent anything");
                }
            }
            Step::Hairpin { host, port, external: e, to } => {
                let (from, to) = (inside(host, port), SocketAddr::new(ip(&external(e)), to));
                // Whatever comes of it, the sender may have got a mapping.
                observer.senders.insert(from);
                if let Ok((source, receiver)) = nat.hairpin(now, Transport::Udp, from, to) {
                    observer.on_outbound(now, least, from, source, to);
                    assert!(observer.senders.contains(&receiver), "{receiver} never sent anything");
                }
            }
            Step::Wait { seconds } => now += Duration::from_secs(u64::from(seconds)),
            Step::Reboot => {
                nat.reboot(now);
                observer = Observer::default();
            }
            Step::Renumber { to } => {
                nat.renumber(now, vec![ip(&external(to)), ip(&external(0))]);
                // Mappings on lost addresses are gone: their flows may change hands at once.
                observer.flows.retain(|(own, _), _| nat.external().contains(&own.ip()));
            }
        }
        assert!(nat.mappings() <= config.mappings_max);
        assert!(nat.sessions() <= config.sessions_max);
    }
}

proptest! {
    #[test]
    fn tables_are_bounded_flows_have_one_owner_and_only_senders_receive(
        config in config(),
        steps in proptest::collection::vec(step(), 1..300),
        seed in any::<u64>(),
    ) {
        run(&config, &steps, seed);
    }
}
