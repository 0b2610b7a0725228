//! What the doctor's own questions brought, judged.

use super::probe::{Answer, Family, Probed};
use super::{Finding, Mark, network};
use crate::net::port_mapping::{State, Unavailable};
use std::net::IpAddr;

/// Tickets and time-limited credentials bear a clock that is off by less.
const CLOCK_OFF_MAX_SECONDS: f64 = 60.0;

/// Findings in the order in which they are told.
pub fn findings(probed: &Probed) -> Vec<Finding> {
    let mut all: Vec<Finding> = probed.stun.iter().map(|(name, answer)| stun(name, *answer)).collect();
    // IPv4's NAT is judged with the rest of what a call would find.
    let v6 = probed.nats.iter().filter(|(family, _)| *family == Family::V6);
    all.extend(v6.map(|(_, mapping)| Finding { check: "nat_ipv6", ..network::nat(*mapping) }));
    all.extend(probed.hairpin.map(hairpin));
    let seen = probed.stun.iter().filter_map(|(_, answer)| match answer {
        Answer::Seen { mapped, .. } if mapped.is_ipv4() => Some(mapped.ip()),
        Answer::Seen { .. } | Answer::Silent | Answer::Lied | Answer::NoAddress => None,
    });
    let seen: Vec<IpAddr> = seen.collect();
    all.extend(probed.mapping.as_ref().map(|state| mapping(state, &seen)));
    all.push(clock(probed.clock_ahead));
    all
}

fn stun(name: &str, answer: Answer) -> Finding {
    let warn = |found: String, meaning, fix| Finding::new("stun", Mark::Warn, found, meaning, fix);
    match answer {
        Answer::Seen { mapped, round_trip } => {
            let found = format!("{name} sees {mapped}, after {} ms", round_trip.as_millis());
            Finding::new("stun", Mark::Ok, found, "it tells us our public address", "")
        }
        Answer::Lied => {
            let found = format!("{name} names an address that nobody can have");
            warn(found, "it is of no use here", "name another with --stun")
        }
        Answer::Silent => {
            let found = format!("{name} does not answer");
            warn(found, "others may; one is enough", "if none does, let UDP out in the firewall")
        }
        Answer::NoAddress => {
            let fix = "check its name and that names can be looked up here, or name another with --stun";
            warn(format!("{name} has no address"), "it cannot be asked", fix)
        }
    }
}

fn hairpin(works: bool) -> Finding {
    if works {
        let meaning = "people behind the same router as you can reach you by your public address";
        return Finding::new("hairpin", Mark::Ok, "the router sends our packets back to us", meaning, "");
    }
    Finding::new(
        "hairpin",
        Mark::Warn,
        "the router does not send our packets back to us",
        "people behind the same router reach you only by your local address",
        "in a call with somebody at home, leave out --no-lan",
    )
}

/// `seen`: the IPv4 addresses that servers see.
fn mapping(state: &State, seen: &[IpAddr]) -> Finding {
    match state {
        State::Mapped { external, .. } if !seen.is_empty() && !seen.contains(&external.ip()) => {
            let found = format!("{external}, but servers see {}: there is another NAT outside", seen[0]);
            no_mapping(found, "ask your provider for a public address; calls work without")
        }
        State::Mapped { external, by } => Finding::new(
            "port_mapping",
            Mark::Ok,
            format!("{external} by {by}"),
            "the router lets others in: they reach you directly",
            "",
        ),
        State::Asking => {
            no_mapping("the router has not answered yet".into(), "switch on UPnP or PCP in the router")
        }
        State::Unavailable(why @ (Unavailable::BehindAnother(_) | Unavailable::NoPublicAddress)) => {
            no_mapping(why.to_string(), "ask your provider for a public address; calls work without")
        }
        State::Unavailable(why) => {
            no_mapping(why.to_string(), "switch on UPnP or PCP in the router, if you like")
        }
    }
}

fn no_mapping(found: String, fix: &str) -> Finding {
    let meaning = "others reach you by punching or through a relay";
    Finding::new("port_mapping", Mark::Warn, found, meaning, fix)
}

fn clock(ahead: Option<f64>) -> Finding {
    let Some(ahead) = ahead else {
        let meaning = "tickets and time-limited passwords need a clock that is right";
        return Finding::new("clock", Mark::Warn, "could not be checked", meaning, "look at it yourself");
    };
    let direction = if ahead > 0.0 { "ahead" } else { "behind" };
    if ahead.abs() <= CLOCK_OFF_MAX_SECONDS {
        let found = format!("{:.1} s {direction}", ahead.abs());
        return Finding::new("clock", Mark::Ok, found, "right enough for tickets", "");
    }
    let found = format!("{:.0} s {direction}", ahead.abs());
    let meaning = "tickets and time-limited passwords may count as expired, or not as valid yet";
    Finding::new("clock", Mark::Fail, found, meaning, "let the system set its clock from the network")
}

#[cfg(test)]
mod tests {
    use super::findings;
    use crate::doctor::probe::{Answer, Family, Probed};
    use crate::doctor::{Finding, Mark};
    use crate::net::port_mapping::{Protocol, State, Unavailable};
    use protocol::ice::Mapping;
    use std::time::Duration;

    fn of<'a>(all: &'a [Finding], check: &str) -> &'a Finding {
        all.iter().find(|finding| finding.check == check).expect("it was looked at")
    }

    #[test]
    fn each_server_is_told_with_its_round_trip_or_what_is_wrong_with_it() {
        let mapped = "203.0.113.7:4700".parse().unwrap();
        let probed = Probed {
            stun: vec![
                ("one:3478".into(), Answer::Seen { mapped, round_trip: Duration::from_millis(12) }),
                ("two:3478".into(), Answer::Lied),
                ("three:3478".into(), Answer::Silent),
                ("four:3478".into(), Answer::NoAddress),
            ],
            nats: vec![(Family::V6, Mapping::None)],
            hairpin: Some(false),
            mapping: Some(State::Unavailable(Unavailable::BehindAnother("100.64.0.9".parse().unwrap()))),
            clock_ahead: Some(-3600.0),
        };
        let all = findings(&probed);
        let servers: Vec<_> = all.iter().filter(|one| one.check == "stun").map(|one| one.mark).collect();
        assert_eq!(servers, [Mark::Ok, Mark::Warn, Mark::Warn, Mark::Warn]);
        assert!(all[0].found.contains("203.0.113.7:4700, after 12 ms"));
        assert_eq!((of(&all, "nat_ipv6").mark, of(&all, "hairpin").mark), (Mark::Ok, Mark::Warn));
        assert!(of(&all, "port_mapping").found.contains("100.64.0.9"));
        assert_eq!((of(&all, "clock").mark, &*of(&all, "clock").found), (Mark::Fail, "3600 s behind"));
        assert!(all.iter().all(|finding| finding.mark == Mark::Ok || !finding.fix.is_empty()), "{all:?}");
    }

    #[test]
    fn a_forwarded_port_and_a_right_clock_are_fine() {
        let state = State::Mapped { external: "20.0.0.1:4700".parse().unwrap(), by: Protocol::Pcp };
        let probed = Probed {
            stun: Vec::new(),
            nats: Vec::new(),
            hairpin: None,
            mapping: Some(state),
            clock_ahead: Some(0.2),
        };
        let all = findings(&probed);
        assert!(all.iter().all(|finding| finding.mark == Mark::Ok), "{all:?}");
        assert!(of(&all, "port_mapping").found.contains("20.0.0.1:4700 by PCP"));
        let mapped = "203.0.113.7:4700".parse().unwrap();
        let answer = Answer::Seen { mapped, round_trip: Duration::from_millis(12) };
        let all = findings(&Probed { stun: vec![("one:3478".into(), answer)], ..probed });
        assert_eq!(of(&all, "port_mapping").mark, Mark::Warn, "a router behind another one");
    }
}
