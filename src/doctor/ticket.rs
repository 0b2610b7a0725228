//! How the way to a ticket's host would be, told without joining.

use super::{Finding, Mark};
use crate::net::connectivity::Gathered;
use protocol::local::{is_local, is_near};
use protocol::reach::Reach;
use protocol::turn::TurnError;

/// The prediction. `relays` are the ticket's TURN servers: whether each gave us an allocation.
pub fn finding(reach: &Reach, gathered: &Gathered, relays: &[Result<(), TurnError>]) -> Finding {
    let public = reach.addresses.iter().any(|address| !is_local(address.ip()));
    let neighbour = reach.addresses.iter().any(|theirs| {
        gathered.hosts.iter().any(|ours| is_local(ours.ip()) && is_near(theirs.ip(), ours.ip(), false))
    });
    let relayed = relays.iter().any(Result::is_ok);
    let udp = !gathered.reflexive.is_empty();
    if neighbour {
        let meaning = "the host seems to be in your local network: expect a direct path";
        return Finding::new("path", Mark::Ok, "an address of this local network", meaning, "");
    }
    match (public && udp, relayed) {
        (true, true) => {
            let meaning = "expect a direct path; if there is none, the relay carries the call";
            Finding::new("path", Mark::Ok, "a public address, and a relay that answers", meaning, "")
        }
        (false, true) if udp => {
            let meaning = "you meet on the relay; a direct path follows unless both NATs are symmetric";
            Finding::new("path", Mark::Ok, "a relay that answers", meaning, "")
        }
        (false, true) => {
            let meaning = "without UDP the whole call goes through the relay";
            Finding::new("path", Mark::Warn, "a relay that answers", meaning, "let UDP out in the firewall")
        }
        (true, false) => {
            let meaning = "direct if the host's router lets you in; there is no relay to fall back on";
            let fix = "if it fails, ask the host to use --turn, or join with --reply";
            Finding::new("path", Mark::Warn, "a public address, no relay", meaning, fix)
        }
        (false, false) => {
            let error = relays.iter().find_map(|relay| relay.err());
            let found = error.map_or("no address that leads there".into(), |error| error.to_string());
            let fix = error.map_or("ask the host to use --turn", TurnError::hint);
            Finding::new("path", Mark::Fail, found, "the host cannot be reached from here", fix)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::finding;
    use crate::doctor::Mark;
    use crate::net::connectivity::Gathered;
    use protocol::reach::Reach;
    use protocol::turn::TurnError;

    #[test]
    fn the_ticket_and_our_own_network_together_make_the_prediction() {
        let reach = |address: &str| Reach { addresses: vec![address.parse().unwrap()], relays: Vec::new() };
        let home = Gathered {
            hosts: vec!["192.168.1.2:4700".parse().unwrap()],
            reflexive: vec!["203.0.113.7:4700".parse().unwrap()],
            ..Gathered::default()
        };
        let mark = |reach: &Reach, relays: &[_]| finding(reach, &home, relays).mark;
        assert_eq!(mark(&reach("192.168.1.9:4700"), &[]), Mark::Ok);
        assert_eq!(mark(&reach("198.51.100.9:4700"), &[]), Mark::Warn);
        assert_eq!(mark(&reach("10.0.0.9:4700"), &[Ok(())]), Mark::Ok);
        let failed = finding(&reach("10.0.0.9:4700"), &home, &[Err(TurnError::Quota)]);
        assert!(failed.mark == Mark::Fail && failed.found.contains("quota"), "{failed:?}");
    }
}
