//! The network in front of this machine.

use super::{Finding, Mark};
use crate::net::connectivity::Gathered;
use protocol::ice::Mapping;
use protocol::local::is_local;

/// What was gathered, judged. `asked` STUN servers were asked.
pub fn findings(gathered: &Gathered, asked: usize) -> Vec<Finding> {
    let mut all = vec![addresses(gathered), udp(gathered, asked)];
    if !gathered.reflexive.is_empty() {
        all.push(nat(gathered.nat.mapping));
    }
    all.extend(gathered.relays.iter().map(|(server, state)| match state {
        Some(Ok(relayed)) => Finding::new(
            "turn",
            Mark::Ok,
            format!("{server} relays from {relayed}"),
            "with this server you can be reached from any network",
            "",
        ),
        Some(Err(error)) => Finding::new(
            "turn",
            Mark::Fail,
            format!("{server}: {error}"),
            "it cannot be used as a meeting place",
            error.hint(),
        ),
        None => Finding::new(
            "turn",
            Mark::Fail,
            format!("{server} has not answered yet"),
            "it cannot be used as a meeting place",
            "check that it runs, and that UDP or TCP to its port is not blocked",
        ),
    }));
    if gathered.relays.is_empty() {
        all.push(Finding::new(
            "turn",
            Mark::Fail,
            "no TURN server is set up",
            "two people behind strict NATs cannot meet, and nobody from a network without UDP",
            "name one with --turn, or in the configuration; docs/connecting.md has one in five lines",
        ));
    }
    all
}

fn addresses(gathered: &Gathered) -> Finding {
    let texts: Vec<String> = gathered.hosts.iter().map(|host| host.ip().to_string()).collect();
    let public = gathered.hosts.iter().any(|host| !is_local(host.ip()));
    let loopback = gathered.hosts.iter().all(|host| host.ip().is_loopback());
    if loopback {
        let fix = "connect this machine to a network";
        return Finding::new("addresses", Mark::Fail, "no network", "only this machine can be called", fix);
    }
    let meaning = if public {
        "this machine has an address of its own on the internet"
    } else {
        "this machine is in a local network, behind a router"
    };
    Finding::new("addresses", Mark::Ok, texts.join(", "), meaning, "")
}

fn udp(gathered: &Gathered, asked: usize) -> Finding {
    if asked == 0 && gathered.reflexive.is_empty() {
        let meaning = "whether UDP gets out cannot be told";
        return Finding::new("udp", Mark::Warn, "no STUN server was asked", meaning, "name one with --stun");
    }
    match &gathered.reflexive[..] {
        [] => Finding::new(
            "udp",
            Mark::Fail,
            format!("none of {asked} STUN servers answered"),
            "UDP does not get out, so every call goes through a TURN server over TCP",
            "let UDP out in the firewall, or set up a TURN server that listens on TCP 443",
        ),
        seen => {
            let seen: Vec<String> = seen.iter().map(ToString::to_string).collect();
            Finding::new("udp", Mark::Ok, format!("seen as {}", seen.join(" and ")), "UDP gets out", "")
        }
    }
}

/// A NAT's kind, judged.
pub(super) fn nat(mapping: Mapping) -> Finding {
    match mapping {
        Mapping::None => Finding::new("nat", Mark::Ok, "none", "others can reach you directly", ""),
        Mapping::EndpointIndependent => Finding::new(
            "nat",
            Mark::Ok,
            "one port for all destinations",
            "calls are direct with everybody whose network lets UDP out",
            "",
        ),
        Mapping::Sequential { step } => Finding::new(
            "nat",
            Mark::Warn,
            format!("another port for each destination, {step} after the last"),
            "direct with most networks, through a relay with others of this kind",
            "switch the router from symmetric to cone NAT if it can, or forward a port",
        ),
        Mapping::Random => Finding::new(
            "nat",
            Mark::Warn,
            "another random port for each destination",
            "direct with most networks after a search, through a relay with others of this kind",
            "switch the router from symmetric to cone NAT if it can, or forward a port",
        ),
        Mapping::Unknown => Finding::new(
            "nat",
            Mark::Warn,
            "only one server answered",
            "how the router chooses ports cannot be told",
            "name two servers with --stun",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::findings;
    use crate::doctor::{Mark, call_is_possible};
    use crate::net::connectivity::Gathered;
    use protocol::ice::{Mapping, NatReport};
    use protocol::turn::TurnError;

    fn marks(gathered: &Gathered) -> Vec<(&'static str, Mark)> {
        findings(gathered, 2).iter().map(|finding| (finding.check, finding.mark)).collect()
    }

    #[test]
    fn a_home_behind_an_ordinary_router_is_fine_but_for_a_relay() {
        let gathered = Gathered {
            hosts: vec!["192.168.1.2:4700".parse().unwrap()],
            reflexive: vec!["203.0.113.7:4700".parse().unwrap()],
            nat: NatReport { mapping: Mapping::EndpointIndependent, newest: None },
            ..Gathered::default()
        };
        let expected = [("addresses", Mark::Ok), ("udp", Mark::Ok), ("nat", Mark::Ok), ("turn", Mark::Fail)];
        assert_eq!(marks(&gathered), expected);
        assert!(call_is_possible(&findings(&gathered, 2)));
    }

    #[test]
    fn without_udp_and_with_a_wrong_password_nothing_works_and_it_says_why() {
        let gathered = Gathered {
            hosts: vec!["192.168.1.2:4700".parse().unwrap()],
            relays: vec![("turn.example.org:3478".into(), Some(Err(TurnError::Unauthorized)))],
            ..Gathered::default()
        };
        let found = findings(&gathered, 2);
        assert!(!call_is_possible(&found));
        assert!(found.iter().any(|finding| finding.found.contains("password") && !finding.fix.is_empty()));
    }
}
