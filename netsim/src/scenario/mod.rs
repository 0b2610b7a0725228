//! Scenarios as data: who talks, over which networks, what goes wrong when, and what may come of it.
//!
//! A scenario is a TOML file; the bundled ones are in `netsim/scenarios`, and a user may bring another. Everything
//! in it but `description` has a default: two people on perfect lines, 20 s, 20 ms apart.

mod bundled;
mod check;
pub mod expect;
pub mod fault;
mod judge;
mod lines;
mod load;
mod mistake;
mod names;
pub mod network;
mod places;
mod recording;
mod syntax;

pub use bundled::{BUNDLED, networks};
pub use check::{delay_is_right, duration_is_right};
pub use expect::Expect;
pub use fault::{Fault, FaultKind};
pub use judge::judge;
pub use load::{Loaded, load, load_text};
pub use mistake::ScenarioError;
pub use network::{AccessConfig, LanConfig, NatChoice, ServerConfig, ServerKind};
pub use recording::Recording;

use serde::Deserialize;

/// A scenario as it is written.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it shows, in a sentence or two.
    pub description: String,
    /// How long it lasts in simulated time, in seconds.
    #[serde(default = "default_duration_s")]
    pub duration_s: f64,
    /// One-way delay across the internet between any two access lines, in ms.
    #[serde(default = "default_delay_ms")]
    pub delay_ms: f64,
    /// Who takes part; the first founds the group. Two people when none is written.
    #[serde(default = "two_members", rename = "member")]
    pub members: Vec<MemberConfig>,
    /// Local networks, each behind a router.
    #[serde(default, rename = "lan")]
    pub lans: Vec<LanConfig>,
    /// STUN and TURN servers.
    #[serde(default, rename = "server")]
    pub servers: Vec<ServerConfig>,
    /// What goes wrong when.
    #[serde(default, rename = "fault")]
    pub faults: Vec<Fault>,
    /// What may come of it.
    #[serde(default)]
    pub expect: Expect,
}

/// One member and its machine.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberConfig {
    /// Its name, unique in the scenario.
    pub name: String,
    /// The local network it is in; without one it is on the internet itself.
    #[serde(default)]
    pub lan: Option<String>,
    /// Its line to the internet, or to the router of its local network.
    #[serde(default)]
    pub access: AccessConfig,
    /// More interfaces of its machine; the first one that reaches an address is used for it.
    #[serde(default)]
    pub also: Vec<Attachment>,
    /// Versions of the Internet Protocol that its machine speaks.
    #[serde(default)]
    pub ip: Ip,
    /// When it joins, in seconds.
    #[serde(default)]
    pub join_at_s: f64,
    /// When it leaves with a goodbye, in seconds; without, it stays.
    #[serde(default)]
    pub leave_at_s: Option<f64>,
    /// What its microphone hears.
    #[serde(default)]
    pub talk: Talk,
    /// How much faster than true its sound devices' clock runs, in parts per million (-1000 to 1000).
    #[serde(default)]
    pub clock_ppm: f64,
    /// What its devices take and give at a time, in ms (2.5 to 100).
    #[serde(default = "default_block_ms")]
    pub block_ms: f64,
    /// How it comes in; anything but `invited` must stay outside.
    #[serde(default)]
    pub entry: Entry,
    /// Names of the servers that it asks for its reflexive address.
    #[serde(default)]
    pub stun: Vec<String>,
    /// Names of the TURN servers on which it can be met, as the first of the server's users.
    #[serde(default)]
    pub turn: Vec<String>,
    /// It sends nothing to other members' addresses.
    #[serde(default)]
    pub relay_only: bool,
}

/// One more interface.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attachment {
    /// The local network it is in; without one it is on the internet itself.
    #[serde(default)]
    pub lan: Option<String>,
    /// Its line.
    #[serde(default)]
    pub access: AccessConfig,
}

/// Versions of the Internet Protocol; what a network does not offer is not there anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ip {
    /// Both.
    #[default]
    Both,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

/// What a microphone hears.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Talk {
    /// The bundled recording of human speech over and over, from a place that the seed chooses.
    #[default]
    Speech,
    /// A generated voice in talkspurts and pauses as in a conversation (ITU-T P.59).
    Conversation,
    /// A generated voice without pauses.
    Steady,
    /// Nothing.
    Silence,
    /// A WAV file, mono or its first channel, over and over; the path is relative to the scenario.
    File(String),
}

/// With what a member comes to the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entry {
    /// A ticket.
    #[default]
    Invited,
    /// A ticket with a wrong secret.
    ForgedTicket,
}

fn default_duration_s() -> f64 {
    20.0
}

fn default_delay_ms() -> f64 {
    20.0
}

fn default_block_ms() -> f64 {
    10.0
}

fn two_members() -> Vec<MemberConfig> {
    ["ada", "ben"].map(MemberConfig::named).into()
}

impl MemberConfig {
    /// A member with everything at its default.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.into(),
            lan: None,
            access: AccessConfig::default(),
            also: Vec::new(),
            ip: Ip::default(),
            join_at_s: 0.0,
            leave_at_s: None,
            talk: Talk::default(),
            clock_ppm: 0.0,
            block_ms: default_block_ms(),
            entry: Entry::default(),
            stun: Vec::new(),
            turn: Vec::new(),
            relay_only: false,
        }
    }
}
