//! Where a member may be reached, as tickets and introductions tell it.

use crate::limits::{CANDIDATES_MAX, DESCRIBED_ADDRESSES_MAX, TICKET_RELAY_BYTES_MAX, TICKET_RELAYS_MAX};
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// All the ways to a member that it tells of itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reach {
    /// Where it may be reached directly, best first.
    pub addresses: Vec<SocketAddr>,
    /// Where it may be reached through TURN servers, best first.
    pub relays: Vec<RelayedReach>,
}

/// A relayed address, and how to come to the server that relays for it.
///
/// The text form, in tickets and on the wire, is `turn:USER:PASS@HOST:PORT ADDRESS:PORT`. Whoever knows it may use the
/// server: its credentials should expire.
#[derive(Clone, PartialEq, Eq)]
pub struct RelayedReach {
    /// The server, as `--turn` takes it. Opaque here.
    pub server: String,
    /// The address on it at which the member is reached from the server's own addresses.
    pub address: SocketAddr,
}

impl Reach {
    /// What tells texts from elsewhere apart: addresses that somebody can have, relays that can be read. The rest is
    /// skipped.
    pub fn from_texts(addresses: &[String], relays: &[String]) -> Self {
        let relays = relays.iter().filter_map(|text| text.parse().ok());
        Self { addresses: usable_addresses(addresses), relays: relays.take(TICKET_RELAYS_MAX).collect() }
    }

    /// Addresses as text for the wire, the best few.
    pub fn address_texts(&self) -> Vec<String> {
        self.addresses.iter().take(DESCRIBED_ADDRESSES_MAX).map(ToString::to_string).collect()
    }

    /// The best relay as text for the wire, when there is one.
    pub fn relay_texts(&self) -> Vec<String> {
        self.relays
            .iter()
            .map(ToString::to_string)
            .filter(|text| text.len() <= TICKET_RELAY_BYTES_MAX)
            .take(1)
            .collect()
    }

    /// Whether there is no way at all.
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.relays.is_empty()
    }
}

impl fmt::Display for RelayedReach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.server, self.address)
    }
}

impl fmt::Debug for RelayedReach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The server's text carries a password.
        f.debug_struct("RelayedReach").field("address", &self.address).finish_non_exhaustive()
    }
}

/// It is no relayed address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a relayed address")]
pub struct NotARelay;

impl FromStr for RelayedReach {
    type Err = NotARelay;

    fn from_str(text: &str) -> Result<Self, NotARelay> {
        let (server, address) = text.split_once(' ').ok_or(NotARelay)?;
        let address = address.parse().ok().filter(is_usable).ok_or(NotARelay)?;
        if server.is_empty() || text.len() > TICKET_RELAY_BYTES_MAX {
            return Err(NotARelay);
        }
        Ok(Self { server: server.to_owned(), address })
    }
}

/// Those texts that can be addresses of a member: parsed, and not unspecified, multicast, scoped or port 0. Anything
/// else is skipped.
fn usable_addresses(texts: &[String]) -> Vec<SocketAddr> {
    let parsed = texts.iter().filter_map(|text| text.parse().ok());
    parsed.filter(is_usable).take(CANDIDATES_MAX).collect()
}

fn is_usable(address: &SocketAddr) -> bool {
    let ip = address.ip();
    // A scope means nothing on another machine.
    let scoped = matches!(address, SocketAddr::V6(v6) if v6.scope_id() != 0);
    address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !scoped
}

#[cfg(test)]
mod tests {
    use super::{NotARelay, Reach, RelayedReach};

    #[test]
    fn addresses_nobody_can_have_are_skipped() {
        let addresses = ["0.0.0.0:1", "224.0.0.1:5", "10.0.0.1:0", "nonsense", "10.0.0.1:4700"];
        let relays = ["turn:a:b@h:1", "turn:a:b@h:1 0.0.0.0:5", " 192.0.2.1:5", "turn:a:b@h:1 192.0.2.1:5"];
        let texts = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let reach = Reach::from_texts(&texts(&addresses), &texts(&relays));
        assert_eq!(reach.addresses, ["10.0.0.1:4700".parse().expect("an address")]);
        let address = "192.0.2.1:5".parse().expect("an address");
        assert_eq!(reach.relays, [RelayedReach { server: "turn:a:b@h:1".into(), address }]);
        assert_eq!(reach.relay_texts(), ["turn:a:b@h:1 192.0.2.1:5"]);
    }

    #[test]
    fn a_relay_keeps_its_password_to_itself() {
        let relay: RelayedReach = "turn:ada:swordfish@h:1 192.0.2.1:5".parse().expect("a relay");
        assert!(!format!("{relay:?}").contains("swordfish"));
        assert_eq!("x".parse::<RelayedReach>(), Err(NotARelay));
    }
}
