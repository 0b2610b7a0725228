//! What routers do to packets, as nftables rules.
//!
//! Linux's own `masquerade` keeps the inside port while it is free and lets in only who was sent to: that is
//! endpoint-independent mapping with address and port-dependent filtering (RFC 4787). The others are made of it:
//!
//! - cones add the way in: what was sent from a port is remembered, and strangers' packets to that port are
//!   redirected to its owner. It holds as long as no two hosts of a LAN use the same port.
//! - `fully-random` gives each destination another port; a counter through a table of ports gives each the next.
//!
//! Routers take nothing for themselves from outside. [`Nat::Leaky`] does, as too many do: a stranger's packet that
//! came before ours makes an entry that ours to that stranger then collides with, and ours gets another port.

use std::ops::Range;

/// What stands between a home and the internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Nat {
    /// Nothing: the host has a public address.
    Open,
    /// Endpoint-independent mapping and filtering.
    FullCone,
    /// Endpoint-independent mapping, address-dependent filtering.
    AddressRestricted,
    /// Endpoint-independent mapping, address and port-dependent filtering.
    PortRestricted,
    /// Two of them, one behind the other (RFC 6888).
    Cgnat,
    /// Each destination is given another port, any.
    SymmetricRandom,
    /// Each destination is given the next port.
    SymmetricSequential,
    /// TCP passes and UDP does not.
    UdpBlocked,
    /// Nothing passes but TCP to port 443.
    OnlyTls,
    /// Port-restricted, with a router that takes strangers' packets for itself.
    Leaky,
}

/// The ports that a sequential NAT gives, one after the other and then again from the first.
const SEQUENTIAL: Range<u16> = 40_000..42_048;

impl Nat {
    /// A router's rules, from `lan` to `wan`. Of CGNAT, one of the two's.
    pub(super) fn rules(self) -> String {
        let input = match self {
            Self::Leaky => "",
            Self::Open
            | Self::FullCone
            | Self::AddressRestricted
            | Self::PortRestricted
            | Self::Cgnat
            | Self::SymmetricRandom
            | Self::SymmetricSequential
            | Self::UdpBlocked
            | Self::OnlyTls => {
                "chain input {
                    type filter hook input priority filter; policy drop;
                    iifname != \"wan\" accept
                    ct state established,related accept
                }"
            }
        };
        let (forbidden, way_in, source) = match self {
            Self::Open | Self::PortRestricted | Self::Cgnat | Self::Leaky => {
                (String::new(), String::new(), "masquerade".to_owned())
            }
            Self::FullCone => (String::new(), cone(""), "masquerade".to_owned()),
            Self::AddressRestricted => {
                (String::new(), cone("udp dport . ip saddr @seen"), "masquerade".to_owned())
            }
            Self::SymmetricRandom => (String::new(), String::new(), "masquerade fully-random".to_owned()),
            Self::SymmetricSequential => {
                // Through a table, because the counter's own bytes are in the processor's order.
                let ports = SEQUENTIAL.enumerate().map(|(index, port)| format!("{index} : {port}"));
                let ports = ports.collect::<Vec<_>>().join(", ");
                let next = format!("numgen inc mod {} map {{ {ports} }}", SEQUENTIAL.len());
                let udp = format!("meta l4proto udp masquerade to :{next}");
                (String::new(), String::new(), format!("{udp}\nmasquerade"))
            }
            Self::UdpBlocked => ("meta l4proto udp drop".to_owned(), String::new(), "masquerade".to_owned()),
            Self::OnlyTls => (
                "iifname \"lan\" tcp dport != 443 drop\niifname \"lan\" meta l4proto != tcp drop".to_owned(),
                String::new(),
                "masquerade".to_owned(),
            ),
        };
        format!(
            "table ip home {{
                {input}
                chain forward {{
                    type filter hook forward priority filter; policy drop;
                    {forbidden}
                    iifname \"lan\" accept
                    ct state established,related accept
                    ct status dnat accept
                }}
                {way_in}
                chain source {{
                    type nat hook postrouting priority srcnat;
                    oifname != \"wan\" accept
                    {source}
                }}
            }}"
        )
    }
}

/// The way in of a cone, for whoever fulfils `condition`.
fn cone(condition: &str) -> String {
    format!(
        "map owners {{ type inet_service : ipv4_addr; flags dynamic,timeout; timeout 5m; size 65535; }}
        set seen {{ type inet_service . ipv4_addr; flags dynamic,timeout; timeout 5m; size 65535; }}
        chain outward {{
            type filter hook forward priority mangle;
            iifname \"lan\" oifname \"wan\" meta l4proto udp update @owners {{ udp sport : ip saddr }}
            iifname \"lan\" oifname \"wan\" meta l4proto udp update @seen {{ udp sport . ip daddr }}
        }}
        chain inward {{
            type nat hook prerouting priority dstnat;
            iifname \"wan\" meta l4proto udp {condition} dnat to udp dport map @owners
        }}"
    )
}
