//! The scenarios that come with the program.

macro_rules! bundled {
    ($($name:literal),* $(,)?) => {
        /// Names and texts of the bundled scenarios: first those of two people on one kind of network each
        ///, then what else befalls a call.
        pub const BUNDLED: &[(&str, &str)] = &[$(
            ($name, include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/", $name, ".toml"))),
        )*];
    };
}

bundled![
    "clean",
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
    "drift",
    "outage",
    "three-people",
    "eight-people",
    "partition",
    "roam",
    "kill",
    "suspend",
    "nat-home",
    "carrier-forgets",
    "cgnat-double-nat",
    "stranger",
    "leave",
];

/// How many of the first are networks.
const NETWORKS_COUNT: usize = 13;

/// The names of those in which two people talk over one kind of network.
pub fn networks() -> impl Iterator<Item = &'static str> {
    BUNDLED.iter().take(NETWORKS_COUNT).map(|(name, _)| *name)
}
