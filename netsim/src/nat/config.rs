//! How a NAT behaves, as data.

use std::num::NonZeroU16;

use serde::Deserialize;
use thiserror::Error;

/// A NAT's behaviour in the terms of RFC 4787; each field is independent of the others.
///
/// The default is the common home router: one port for all remotes, let in only who was sent to, keep the
/// inside port number, no hairpinning, and Linux's timers (30 s until the first reply, then 120 s).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NatConfig {
    /// Which packets of one inside endpoint share an external port (section 4.1).
    pub mapping: Behaviour,
    /// Whom a mapping lets in (section 5).
    pub filtering: Behaviour,
    /// How external ports are chosen (section 4.2.1).
    pub ports: PortAssignment,
    /// The distance between two sequential ports; only `sequential` uses it.
    pub port_step: NonZeroU16,
    /// Ports given out, both included: `[first, last]`.
    pub port_range: PortRange,
    /// Each inside host gets ports only from one block of this many (carrier-grade NAT, RFC 6888 REQ-4 and
    /// RFC 7422); a block is returned with the host's last mapping.
    pub port_block: Option<NonZeroU16>,
    /// Which of several external addresses an inside host gets (section 4.1, REQ-2).
    pub pooling: Pooling,
    /// Whether inside hosts reach each other by external addresses (section 6, REQ-9). The receiver then sees
    /// the sender's external address and port.
    pub hairpin: bool,
    /// Seconds until an idle UDP mapping is forgotten (section 4.3, REQ-5).
    pub udp_timeout_s: u32,
    /// Seconds until one that never had a reply is forgotten; absent: the same as `udp_timeout_s`.
    pub udp_first_timeout_s: Option<u32>,
    /// Seconds until an idle TCP mapping is forgotten (RFC 5382 REQ-5).
    pub tcp_timeout_s: u32,
    /// Whether inbound packets keep a mapping alive too; outbound ones always do (section 4.3, REQ-6).
    pub inbound_refresh: bool,
    /// Seconds after which a mapping is forgotten however busy it is, as some carriers do; absent: never.
    pub mapping_lifetime_s: Option<u32>,
    /// Mappings kept at once; when full, new ones are refused and their packets dropped.
    pub mappings_max: usize,
    /// Remotes remembered over all mappings (a filter is made of them), the router's own included; when full,
    /// packets to new remotes are dropped. Endpoint-independent filtering needs and counts none.
    pub sessions_max: usize,
    /// An unsolicited packet is taken in by the router itself, which remembers that flow; if later an inside
    /// host's packet would leave as the same flow, it is moved to another port. This is what Linux's
    /// masquerading does when its input chain accepts the packet, and it spoils hole punching for good.
    pub leaky: bool,
}

impl Default for NatConfig {
    fn default() -> Self {
        NatConfig {
            mapping: Behaviour::EndpointIndependent,
            filtering: Behaviour::AddressAndPortDependent,
            ports: PortAssignment::Preserving,
            port_step: NonZeroU16::MIN,
            port_range: PortRange { first: 1024, last: u16::MAX },
            port_block: None,
            pooling: Pooling::Paired,
            hairpin: false,
            // nf_conntrack_udp_timeout_stream and nf_conntrack_udp_timeout.
            udp_timeout_s: 120,
            udp_first_timeout_s: Some(30),
            // RFC 5382 REQ-5: not less than 2 hours 4 minutes.
            tcp_timeout_s: 7440,
            inbound_refresh: true,
            mapping_lifetime_s: None,
            // A small home router's memory; birthday punching has to fit in it.
            mappings_max: 4096,
            sessions_max: 16_384,
            leaky: false,
        }
    }
}

/// What of the remote endpoint matters to a mapping or a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Behaviour {
    /// Nothing.
    EndpointIndependent,
    /// Its address.
    AddressDependent,
    /// Its address and port.
    AddressAndPortDependent,
}

/// How a new mapping's external port is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortAssignment {
    /// The inside port's number if it is free, otherwise a random one.
    Preserving,
    /// Uniform over the range.
    Random,
    /// The port after the last one given to anybody, in steps of `port_step`.
    Sequential,
}

/// Which of several external addresses a mapping gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// Always the same one for one inside host, as REQ-2 recommends.
    Paired,
    /// Any, for each mapping anew.
    Arbitrary,
}

/// A range of ports, never empty and without port 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "(u16, u16)")]
pub struct PortRange {
    first: u16,
    last: u16,
}

/// A range that holds no port, or port 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a port range is [first, last] with 1 <= first <= last, not [{0}, {1}]")]
pub struct PortRangeError(u16, u16);

impl PortRange {
    /// From `first` to `last`, both included.
    pub fn new(first: u16, last: u16) -> Result<Self, PortRangeError> {
        if first == 0 || first > last {
            Err(PortRangeError(first, last))
        } else {
            Ok(PortRange { first, last })
        }
    }

    /// How many ports it holds.
    pub fn size(self) -> u32 {
        u32::from(self.last - self.first) + 1
    }

    /// Whether `port` is one of them.
    pub fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    /// The port at `index`, counted round and round.
    pub(crate) fn at(self, index: u32) -> u16 {
        let offset = u16::try_from(index % self.size()).expect("a remainder below the size is below 65536");
        self.first + offset
    }
}

impl TryFrom<(u16, u16)> for PortRange {
    type Error = PortRangeError;

    fn try_from((first, last): (u16, u16)) -> Result<Self, Self::Error> {
        PortRange::new(first, last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_table_is_the_home_router() {
        let config: NatConfig = toml::from_str("").unwrap();
        assert_eq!(config, NatConfig::default());
    }

    #[test]
    fn every_field_can_be_written_down() {
        let config: NatConfig = toml::from_str(
            r#"
            mapping = "address-dependent"
            filtering = "endpoint-independent"
            ports = "sequential"
            port_step = 2
            port_range = [2000, 2999]
            port_block = 64
            pooling = "arbitrary"
            hairpin = true
            udp_timeout_s = 60
            udp_first_timeout_s = 10
            tcp_timeout_s = 300
            inbound_refresh = false
            mapping_lifetime_s = 55
            mappings_max = 10
            sessions_max = 20
            leaky = true
            "#,
        )
        .unwrap();
        assert_eq!(config.mapping, Behaviour::AddressDependent);
        assert_eq!(config.ports, PortAssignment::Sequential);
        assert_eq!(config.port_range.size(), 1000);
        assert_eq!(config.mapping_lifetime_s, Some(55));
    }

    #[test]
    fn mistakes_are_refused_with_the_field_named() {
        for (text, named) in [
            ("mapping = \"symmetric\"", "symmetric"),
            ("hairpinning = true", "hairpinning"),
            ("port_range = [5, 4]", "port range"),
            ("port_range = [0, 4]", "port range"),
            ("port_step = 0", "port_step"),
            ("port_block = 0", "port_block"),
        ] {
            let error = toml::from_str::<NatConfig>(text).unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
