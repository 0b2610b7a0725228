//! How a TURN server is set up, as data; named after coturn's options where it has them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Deserialize;

use super::peers::PeerRule;
use crate::nat::PortRange;

/// A TURN server's settings. The default relays from nowhere and knows nobody: `relay` and `users` are needed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TurnConfig {
    /// Addresses to relay from. Of several of one family each allocation gets any, as with large providers.
    pub relay: Vec<IpAddr>,
    /// The realm of its users.
    pub realm: String,
    /// Passwords by user name.
    pub users: BTreeMap<String, String>,
    /// Ports of relayed addresses.
    pub port_range: PortRange,
    /// Allocations at once; beyond them 508.
    pub allocations_max: usize,
    /// Allocations of one user at once; beyond them 486. Absent: as many as there are.
    pub user_quota: Option<usize>,
    /// Permissions of one allocation at once; beyond them 508.
    pub permissions_max: usize,
    /// Channels of one allocation at once; beyond them 508.
    pub channels_max: usize,
    /// Seconds that a nonce is good for; beyond them 438.
    pub nonce_lifetime_s: u32,
    /// Seconds that an allocation lives when its client asks for less, or for nothing.
    pub lifetime_default_s: u32,
    /// Seconds that an allocation lives at most without a refresh.
    pub lifetime_max_s: u32,
    /// Peers that nobody may be relayed to (403).
    pub denied_peers: Vec<PeerRule>,
    /// Exceptions from `denied_peers`.
    pub allowed_peers: Vec<PeerRule>,
    /// Whether loopback addresses may be peers; else 403.
    pub allow_loopback_peers: bool,
    /// Whether allocations can move with their client (RFC 8016); else 405 when asked for.
    pub mobility: bool,
}

impl Default for TurnConfig {
    fn default() -> Self {
        TurnConfig {
            relay: Vec::new(),
            realm: "netsim".to_owned(),
            users: BTreeMap::new(),
            // The dynamic ports, as RFC 8656 section 7.2 recommends.
            port_range: PortRange::new(49_152, u16::MAX).expect("in order"),
            allocations_max: 1024,
            user_quota: None,
            permissions_max: 128,
            channels_max: 128,
            // coturn's stale-nonce.
            nonce_lifetime_s: 600,
            // RFC 8656 section 3.2: 10 minutes; section 7.2: not above an hour.
            lifetime_default_s: 600,
            lifetime_max_s: 3600,
            denied_peers: Vec::new(),
            allowed_peers: Vec::new(),
            allow_loopback_peers: false,
            mobility: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_can_be_written_down() {
        let config: TurnConfig = toml::from_str(
            r#"
            relay = ["198.51.100.1", "2001:db8::1"]
            users = { alice = "secret" }
            port_range = [50000, 50999]
            user_quota = 2
            denied_peers = ["10.0.0.0/8"]
            mobility = true
            "#,
        )
        .unwrap();
        assert_eq!(config.users["alice"], "secret");
        assert_eq!(config.relay.len(), 2);
        assert_eq!(config.lifetime_default_s, 600);
        for (wrong, named) in [("denied_peers = [\"10/8\"]", "10/8"), ("quota = 1", "quota")] {
            let error = toml::from_str::<TurnConfig>(wrong).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
