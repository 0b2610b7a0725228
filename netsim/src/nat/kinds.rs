//! The NAT kinds that have names.
//!
//! A name stands for a mapping and a filtering together, as people used to classify NATs (RFC 3489 section 5,
//! given up by RFC 4787 because the two are independent) and still speak of them. A host with no NAT at all
//! ("open") and a network that lets no UDP out are not NATs: the world leaves the first away, and a
//! [`Firewall`](super::Firewall) is the second.

use std::num::NonZeroU16;

use super::{Behaviour, NatConfig, PortAssignment};

/// The names that [`kind`] knows, from the most to the least open.
pub const KINDS: [&str; 7] = [
    "full-cone",
    "address-restricted",
    "port-restricted",
    "cgnat",
    "symmetric-random",
    "symmetric-sequential",
    "leaky",
];

/// The behaviour that a name stands for; `None` if there is no such name.
pub fn kind(name: &str) -> Option<NatConfig> {
    use Behaviour::{AddressAndPortDependent, AddressDependent, EndpointIndependent};
    let home = NatConfig::default();
    let config = match name {
        "full-cone" => NatConfig { filtering: EndpointIndependent, ..home },
        "address-restricted" => NatConfig { filtering: AddressDependent, ..home },
        "port-restricted" => home,
        // RFC 6888: endpoint-independent mapping, paired addresses, few ports a subscriber, hairpinning.
        "cgnat" => NatConfig {
            ports: PortAssignment::Random,
            port_block: NonZeroU16::new(512),
            hairpin: true,
            mappings_max: 65_536,
            sessions_max: 262_144,
            ..home
        },
        "symmetric-random" => {
            NatConfig { mapping: AddressAndPortDependent, ports: PortAssignment::Random, ..home }
        }
        "symmetric-sequential" => {
            NatConfig { mapping: AddressAndPortDependent, ports: PortAssignment::Sequential, ..home }
        }
        "leaky" => NatConfig { leaky: true, ..home },
        _ => return None,
    };
    Some(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_name_is_a_kind_of_its_own() {
        let configs: Vec<_> = KINDS.iter().map(|name| kind(name).unwrap()).collect();
        for (index, config) in configs.iter().enumerate() {
            assert!(!configs[..index].contains(config), "{} repeats another", KINDS[index]);
        }
        assert_eq!(kind("open"), None);
    }
}
