//! Named networks: what one access link does, each way.
//!
//! They are the TOML files of `netsim/profiles`, built in; each says where its numbers come from, and a copy of one,
//! changed, is as good. Base delay is the scenario's to add, except where delay is what the profile is about.

use serde::Deserialize;

use super::config::LinkConfig;

/// One access link. A call between two people over such a network has one of them in its middle.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// One line.
    pub description: String,
    /// From the person towards the internet.
    #[serde(default)]
    pub up: LinkConfig,
    /// From the internet to the person.
    #[serde(default)]
    pub down: LinkConfig,
}

impl Profile {
    /// Reads one as it stands in a file. The error tells line and field; `LinkConfig::check` is still to be asked, after
    /// its traces are loaded.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }
}

macro_rules! bundled {
    ($($name:literal),+ $(,)?) => {
        /// The name and the text of each profile, from the harmless to the hard.
        pub const PROFILES: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../profiles/", $name, ".toml")))),+];
    };
}

bundled!(
    "clean",
    "drift",
    "wifi",
    "wifi-stalls",
    "lte",
    "dsl-bufferbloat",
    "loss5",
    "loss10",
    "loss20",
    "bursts",
    "spike",
    "route-step",
    "outage",
);

/// The profile of that name, if there is one.
pub fn profile(name: &str) -> Option<Profile> {
    let (_, text) = PROFILES.iter().find(|(known, _)| *known == name)?;
    Some(Profile::parse(text).expect("the tests read every bundled profile"))
}
