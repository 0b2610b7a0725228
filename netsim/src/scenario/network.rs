//! Lines, local networks and servers as they are written in a scenario.

use crate::link::LinkConfig;
use crate::nat::{FirewallConfig, NatConfig};
use crate::servers::TurnConfig;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use std::fmt;

/// A line: a profile by name, or both directions spelled out; what is spelled out replaces the profile's.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessConfig {
    /// One of the named profiles; or the path, with a slash or ending in `.toml`, of a profile's file relative to
    /// the scenario.
    #[serde(default)]
    pub profile: Option<String>,
    /// Towards the internet.
    #[serde(default)]
    pub up: Option<LinkConfig>,
    /// From the internet.
    #[serde(default)]
    pub down: Option<LinkConfig>,
}

/// A local network behind a router.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LanConfig {
    /// Its name, unique in the scenario.
    pub name: String,
    /// The local network its router's other side is in (double NAT); without one it is on the internet.
    #[serde(default)]
    pub behind: Option<String>,
    /// A kind of NAT by name, `none` for a router that only routes.
    #[serde(default = "default_nat")]
    pub nat: NatChoice,
    /// The router's firewall; without one it lets everything through.
    #[serde(default)]
    pub firewall: Option<FirewallConfig>,
    /// The router's line.
    #[serde(default)]
    pub access: AccessConfig,
    /// Whether its hosts have public IPv6 addresses as well.
    #[serde(default)]
    pub ipv6: bool,
}

/// A NAT by the name of its kind, or spelled out.
#[derive(Debug, Clone, PartialEq)]
pub enum NatChoice {
    /// One of the named kinds.
    Kind(String),
    /// Spelled out.
    Config(Box<NatConfig>),
}

// By hand, as serde's own way of trying one variant after the other forgets where and what the mistake was.
impl<'de> Deserialize<'de> for NatChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KindOrTable;
        impl<'de> Visitor<'de> for KindOrTable {
            type Value = NatChoice;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a kind of NAT, or a table")
            }

            fn visit_str<E>(self, kind: &str) -> Result<NatChoice, E> {
                Ok(NatChoice::Kind(kind.into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<NatChoice, A::Error> {
                let config = NatConfig::deserialize(MapAccessDeserializer::new(table))?;
                Ok(NatChoice::Config(Box::new(config)))
            }
        }
        deserializer.deserialize_any(KindOrTable)
    }
}

fn default_nat() -> NatChoice {
    NatChoice::Kind("port-restricted".into())
}

/// A server on the internet.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerConfig {
    /// Its name, unique in the scenario.
    pub name: String,
    /// What it serves.
    pub kind: ServerKind,
    /// Its line.
    #[serde(default)]
    pub access: AccessConfig,
    /// Users and limits of a TURN server; it relays from its own addresses when it names none.
    #[serde(default)]
    pub turn: TurnConfig,
}

/// What a server serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServerKind {
    /// Reflexive addresses.
    Stun,
    /// Relayed addresses, and reflexive ones.
    Turn,
}
