//! A stateful packet filter: who is inside may speak first, answers come back.
//!
//! It holds one *state* a flow (transport, inside endpoint, remote), made by an outbound packet, or by an inbound
//! one to a port that is open to everybody, and refreshed in both directions. It changes no address; a
//! network with a NAT puts it on the inside of it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;

use super::Transport;
use super::aging::Aging;

/// What a firewall lets through. The default lets everything out, and in only what answers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FirewallConfig {
    /// UDP from inside.
    pub udp: UdpPolicy,
    /// TCP from inside.
    pub tcp: TcpPolicy,
    /// Inside UDP ports that anybody may send to.
    pub inbound_udp: BTreeSet<u16>,
    /// Inside TCP ports that anybody may connect to.
    pub inbound_tcp: BTreeSet<u16>,
    /// Seconds until an idle UDP flow is forgotten.
    pub udp_timeout_s: u32,
    /// Seconds until an idle TCP flow is forgotten.
    pub tcp_timeout_s: u32,
    /// Flows kept at once; when full, packets of new ones are dropped.
    pub states_max: usize,
}

impl Default for FirewallConfig {
    fn default() -> Self {
        FirewallConfig {
            udp: UdpPolicy::Allowed,
            tcp: TcpPolicy::Allowed,
            inbound_udp: BTreeSet::new(),
            inbound_tcp: BTreeSet::new(),
            // Linux's conntrack for a UDP stream; RFC 5382 REQ-5 for TCP.
            udp_timeout_s: 120,
            tcp_timeout_s: 7440,
            states_max: 65_536,
        }
    }
}

impl FirewallConfig {
    /// No UDP at all: the network where only a TCP or TLS relay helps.
    pub fn udp_blocked() -> Self {
        FirewallConfig { udp: UdpPolicy::Blocked, ..FirewallConfig::default() }
    }

    /// No UDP, and TCP only to these remote ports.
    pub fn tcp_only(ports: impl IntoIterator<Item = u16>) -> Self {
        FirewallConfig { tcp: TcpPolicy::Only(ports.into_iter().collect()), ..Self::udp_blocked() }
    }
}

/// What happens to UDP from inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UdpPolicy {
    /// It passes.
    Allowed,
    /// It is dropped without a word, as is all UDP from outside.
    Blocked,
}

/// What happens to TCP from inside.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TcpPolicy {
    /// It passes.
    Allowed,
    /// It is dropped, as is all TCP from outside.
    Blocked,
    /// It passes to these remote ports: `{ only = [443, 3478] }`.
    Only(BTreeSet<u16>),
}

/// A firewall in front of a network or host.
#[derive(Debug)]
pub struct Firewall {
    config: FirewallConfig,
    states: Aging<(Transport, SocketAddr, SocketAddr), ()>,
}

impl Firewall {
    /// One that has seen nothing yet.
    pub fn new(config: &FirewallConfig) -> Self {
        Firewall { config: config.clone(), states: Aging::new() }
    }

    /// Whether a packet from `from` inside may go out to `to`.
    pub fn outbound(
        &mut self,
        now: Duration,
        transport: Transport,
        from: SocketAddr,
        to: SocketAddr,
    ) -> bool {
        let allowed = match (transport, &self.config.udp, &self.config.tcp) {
            (Transport::Udp, UdpPolicy::Allowed, _) => true,
            (Transport::Udp, UdpPolicy::Blocked, _) => false,
            (Transport::Tcp, _, TcpPolicy::Allowed) => true,
            (Transport::Tcp, _, TcpPolicy::Blocked) => false,
            // Answers from a port that is open to everybody go to any port.
            (Transport::Tcp, _, TcpPolicy::Only(ports)) => {
                ports.contains(&to.port()) || self.config.inbound_tcp.contains(&from.port())
            }
        };
        self.expire(now);
        allowed && self.remember(now, (transport, from, to))
    }

    /// Whether a packet from `from` outside may come in to `to`.
    pub fn inbound(&mut self, now: Duration, transport: Transport, from: SocketAddr, to: SocketAddr) -> bool {
        self.expire(now);
        let flow = (transport, to, from);
        let (blocked, open) = match transport {
            Transport::Udp => (self.config.udp == UdpPolicy::Blocked, &self.config.inbound_udp),
            Transport::Tcp => (self.config.tcp == TcpPolicy::Blocked, &self.config.inbound_tcp),
        };
        let passes = !blocked && (self.states.contains(&flow) || open.contains(&to.port()));
        passes && self.remember(now, flow)
    }

    /// Flows remembered at the time of the last call, never above `states_max`.
    pub fn states(&self) -> usize {
        self.states.len()
    }

    /// All flows are forgotten.
    pub fn reboot(&mut self) {
        self.states.clear();
    }

    fn expire(&mut self, now: Duration) {
        while self.states.pop_expired(now).is_some() {}
    }

    fn remember(&mut self, now: Duration, flow: (Transport, SocketAddr, SocketAddr)) -> bool {
        let seconds = match flow.0 {
            Transport::Udp => self.config.udp_timeout_s,
            Transport::Tcp => self.config.tcp_timeout_s,
        };
        let until = now + Duration::from_secs(u64::from(seconds));
        if let Some(((), expires)) = self.states.get_mut(&flow) {
            *expires = until;
            return true;
        }
        let room = self.states.len() < self.config.states_max;
        if room {
            self.states.insert(flow, (), until);
        }
        room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Duration = Duration::ZERO;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn answers_come_in_and_strangers_do_not() {
        let mut wall = Firewall::new(&FirewallConfig::default());
        let (inside, friend, stranger) = (at("10.0.0.2:5000"), at("1.1.1.1:9"), at("1.1.1.1:10"));
        assert!(!wall.inbound(T0, Transport::Udp, friend, inside));
        assert!(wall.outbound(T0, Transport::Udp, inside, friend));
        assert!(wall.inbound(T0, Transport::Udp, friend, inside));
        assert!(!wall.inbound(T0, Transport::Udp, stranger, inside));
        assert!(!wall.inbound(T0, Transport::Tcp, friend, inside));
    }

    #[test]
    fn an_idle_flow_is_forgotten_and_a_busy_one_is_not() {
        let mut wall = Firewall::new(&FirewallConfig { udp_timeout_s: 60, ..FirewallConfig::default() });
        let (inside, friend) = (at("10.0.0.2:5000"), at("1.1.1.1:9"));
        assert!(wall.outbound(T0, Transport::Udp, inside, friend));
        assert!(wall.inbound(Duration::from_secs(59), Transport::Udp, friend, inside));
        assert!(wall.inbound(Duration::from_secs(118), Transport::Udp, friend, inside));
        assert!(!wall.inbound(Duration::from_secs(178), Transport::Udp, friend, inside));
        assert_eq!(wall.states(), 0);
    }

    #[test]
    fn blocked_udp_passes_in_neither_direction() {
        let config = FirewallConfig { inbound_udp: BTreeSet::from([5000]), ..FirewallConfig::udp_blocked() };
        let mut wall = Firewall::new(&config);
        let (inside, friend) = (at("10.0.0.2:5000"), at("1.1.1.1:3478"));
        assert!(!wall.outbound(T0, Transport::Udp, inside, friend));
        assert!(!wall.inbound(T0, Transport::Udp, friend, inside));
        assert!(wall.outbound(T0, Transport::Tcp, inside, friend));
    }

    #[test]
    fn only_the_listed_tcp_ports_are_reachable() {
        let mut wall = Firewall::new(&FirewallConfig::tcp_only([443]));
        let inside = at("10.0.0.2:5000");
        assert!(wall.outbound(T0, Transport::Tcp, inside, at("1.1.1.1:443")));
        assert!(wall.inbound(T0, Transport::Tcp, at("1.1.1.1:443"), inside));
        assert!(!wall.outbound(T0, Transport::Tcp, inside, at("1.1.1.1:3478")));
        assert!(!wall.outbound(T0, Transport::Udp, inside, at("1.1.1.1:443")));
    }

    #[test]
    fn an_open_port_takes_strangers_and_may_answer_them() {
        let config = FirewallConfig { inbound_tcp: BTreeSet::from([80]), ..FirewallConfig::tcp_only([443]) };
        let mut wall = Firewall::new(&config);
        let (inside, stranger) = (at("10.0.0.2:80"), at("1.1.1.1:777"));
        assert!(wall.inbound(T0, Transport::Tcp, stranger, inside));
        assert!(wall.outbound(T0, Transport::Tcp, inside, stranger));
        assert!(!wall.inbound(T0, Transport::Tcp, stranger, at("10.0.0.2:81")));
    }

    #[test]
    fn a_full_table_refuses_new_flows_and_keeps_the_old() {
        let mut wall = Firewall::new(&FirewallConfig { states_max: 1, ..FirewallConfig::default() });
        let inside = at("10.0.0.2:5000");
        assert!(wall.outbound(T0, Transport::Udp, inside, at("1.1.1.1:1")));
        assert!(!wall.outbound(T0, Transport::Udp, inside, at("1.1.1.1:2")));
        assert!(wall.outbound(T0, Transport::Udp, inside, at("1.1.1.1:1")));
        assert_eq!(wall.states(), 1);
    }

    #[test]
    fn rules_can_be_written_down() {
        let config: FirewallConfig =
            toml::from_str("udp = \"blocked\"\ntcp = { only = [443, 3478] }\n").unwrap();
        assert_eq!(config, FirewallConfig::tcp_only([443, 3478]));
        assert!(toml::from_str::<FirewallConfig>("icmp = true").is_err());
    }
}
