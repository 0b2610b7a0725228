//! Which peers may be relayed to.

use std::net::IpAddr;
use std::str::FromStr;

use serde::Deserialize;
use thiserror::Error;

use super::TurnConfig;

/// An address, or a network as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PeerRule {
    address: IpAddr,
    /// Leading bits that have to agree.
    bits: u8,
}

/// A peer rule that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is neither an address nor a network as 10.0.0.0/8")]
pub struct PeerRuleError(String);

impl PeerRule {
    /// Whether the rule covers `ip`.
    pub fn matches(&self, ip: IpAddr) -> bool {
        match (self.address, ip) {
            (IpAddr::V4(rule), IpAddr::V4(ip)) => {
                (rule.to_bits() ^ ip.to_bits()).leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V6(rule), IpAddr::V6(ip)) => {
                (rule.to_bits() ^ ip.to_bits()).leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl From<IpAddr> for PeerRule {
    fn from(address: IpAddr) -> Self {
        PeerRule { address, bits: if address.is_ipv4() { 32 } else { 128 } }
    }
}

impl FromStr for PeerRule {
    type Err = PeerRuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || PeerRuleError(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let whole = PeerRule::from(address.parse::<IpAddr>().map_err(|_| wrong())?);
        match bits {
            None => Ok(whole),
            Some(bits) if bits <= whole.bits => Ok(PeerRule { bits, ..whole }),
            Some(_) => Err(wrong()),
        }
    }
}

impl TryFrom<String> for PeerRule {
    type Error = PeerRuleError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// Whether `ip` may be a peer (RFC 8656 section 10.2: else 403).
pub(super) fn is_allowed(config: &TurnConfig, ip: IpAddr) -> bool {
    let any = |rules: &[PeerRule]| rules.iter().any(|rule| rule.matches(ip));
    if ip.is_multicast() || ip.is_unspecified() || (ip.is_loopback() && !config.allow_loopback_peers) {
        return false;
    }
    any(&config.allowed_peers) || !any(&config.denied_peers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(denied: &[&str], allowed: &[&str]) -> TurnConfig {
        let rules = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        TurnConfig { denied_peers: rules(denied), allowed_peers: rules(allowed), ..TurnConfig::default() }
    }

    #[test]
    fn a_network_is_denied_but_for_its_exceptions() {
        let config = config(&["10.0.0.0/8", "fd00::/8", "192.0.2.7"], &["10.1.2.3"]);
        for (ip, allowed) in [
            ("10.9.9.9", false),
            ("10.1.2.3", true),
            ("11.0.0.1", true),
            ("fd12::1", false),
            ("fc00::1", true),
            ("192.0.2.7", false),
            ("192.0.2.6", true),
        ] {
            assert_eq!(is_allowed(&config, ip.parse().unwrap()), allowed, "{ip}");
        }
        assert!(!is_allowed(&self::config(&["0.0.0.0/0"], &[]), "1.2.3.4".parse().unwrap()));
    }

    #[test]
    fn loopback_and_multicast_are_denied_by_default() {
        for ip in ["127.0.0.1", "::1", "224.0.0.1", "0.0.0.0"] {
            assert!(!is_allowed(&TurnConfig::default(), ip.parse().unwrap()), "{ip}");
        }
        let config = TurnConfig { allow_loopback_peers: true, ..TurnConfig::default() };
        assert!(is_allowed(&config, "127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn a_rule_that_is_no_network_is_refused() {
        for text in ["10.0.0.0/33", "10.0.0", "::/129", "10.0.0.0/x", ""] {
            assert!(text.parse::<PeerRule>().is_err(), "{text}");
        }
    }
}
