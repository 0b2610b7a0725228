//! How a NAT chooses ports, from what several servers saw of one port of ours (RFC 5780, section 4.3, though
//! any two servers will do: RFC 5780's other address only saves the second one).
//!
//! One observation tells only whether there is a NAT. Servers that share an address tell less than servers that
//! do not: a NAT may give a port to each address (RFC 4787's address-dependent mapping), and would look
//! endpoint-independent to them.

use super::{Mapping, NatReport};
use std::net::{IpAddr, SocketAddr};

/// What one server saw. All are of one port of ours, in the order of asking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Observation {
    /// Who was asked.
    pub server: SocketAddr,
    /// Where the question came from, as it said.
    pub mapped: SocketAddr,
}

/// What the NAT in front of one local port does. The observations are of one address family; those of another one
/// than the last are passed over. `own`: the addresses of our interfaces.
pub fn classify(observations: &[Observation], own: &[IpAddr]) -> NatReport {
    let Some(last) = observations.last() else { return NatReport::default() };
    let last_mapped = canonical(last.mapped);
    let fits = |seen: &&Observation| canonical(seen.mapped).is_ipv4() == last_mapped.is_ipv4();
    let mut seen: Vec<(SocketAddr, SocketAddr)> = Vec::new();
    for observation in observations.iter().filter(fits).take(OBSERVATIONS_MAX) {
        let (server, mapped) = (canonical(observation.server), canonical(observation.mapped));
        // An answer to a repeated question tells nothing new, unless the mapping was made anew.
        if seen.last() != Some(&(server, mapped)) {
            seen.push((server, mapped));
        }
    }
    NatReport { mapping: mapping(&seen, own), newest: Some(last_mapped) }
}

/// `seen`: (server, mapped), all canonical.
fn mapping(seen: &[(SocketAddr, SocketAddr)], own: &[IpAddr]) -> Mapping {
    let is_own = |mapped: SocketAddr| own.iter().any(|own| own.to_canonical() == mapped.ip());
    if seen.iter().all(|(_, mapped)| is_own(*mapped)) {
        return Mapping::None;
    }
    let (first_server, first) = seen[0];
    let several_servers = seen.iter().any(|(server, _)| server.ip() != first_server.ip());
    if seen.iter().all(|(_, mapped)| *mapped == first) {
        // To one address's ports alone the port may have been kept for that address's sake.
        return if several_servers { Mapping::EndpointIndependent } else { Mapping::Unknown };
    }
    if seen.iter().any(|(_, mapped)| mapped.ip() != first.ip()) {
        // A pool of outside addresses: no port can be foretold, since the address cannot.
        return Mapping::Random;
    }
    let mut ports: Vec<u16> = seen.iter().map(|(_, mapped)| mapped.port()).collect();
    // Servers on one address share a mapping where mappings are by address.
    ports.dedup();
    step(&ports).map_or(Mapping::Random, |step| Mapping::Sequential { step })
}

/// The step by which ports follow each other, if they do. Other hosts' traffic may have taken some in between:
/// gaps that are multiples of the smallest one, few and small.
fn step(ports: &[u16]) -> Option<i16> {
    let steps: Vec<i16> = ports.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]) as i16).collect();
    let step = *steps.iter().min_by_key(|step| step.unsigned_abs())?;
    if step == 0 || step.unsigned_abs() > STEP_MAX {
        return None;
    }
    let follows = |other: i16| {
        other.signum() == step.signum()
            && other.unsigned_abs().is_multiple_of(step.unsigned_abs())
            && other.unsigned_abs() / step.unsigned_abs() <= OTHERS_BETWEEN_MAX + 1
    };
    // At the end of the NAT's range, which need not be that of all ports, it begins anew at the other end.
    let begins_anew = |pair: &[u16]| steps.len() >= 3 && (pair[1] > pair[0]) != (step > 0);
    let mut strangers = ports.windows(2).zip(&steps).filter(|(_, other)| !follows(**other));
    let first_is_fine = strangers.next().is_none_or(|(pair, _)| begins_anew(pair));
    (first_is_fine && strangers.next().is_none()).then_some(step)
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// More servers than anybody asks.
const OBSERVATIONS_MAX: usize = 32;
/// Routers step by 1 or 2, carriers by the size of small bundles.
const STEP_MAX: u16 = 32;
/// Mappings of other hosts between two of ours that were made within a round trip.
const OTHERS_BETWEEN_MAX: u16 = 8;

#[cfg(test)]
#[path = "nat_tests.rs"]
mod tests;
