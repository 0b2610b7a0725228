//! How a NAT chooses ports, told from what several servers see of one local port (RFC 5780, section 4.3).

use super::{Mapping, NatReport};
use std::net::{IpAddr, SocketAddr};

/// Steps up to this are taken for a rule and not for chance.
const STEP_MAX: i32 = 32;

/// What one server saw. All of one local port, in the order of asking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Observation {
    /// The server that was asked.
    pub server: SocketAddr,
    /// Where it saw us.
    pub mapped: SocketAddr,
}

/// The NAT that fits the observations; `own` are this machine's addresses.
pub fn classify(observations: &[Observation], own: &[IpAddr]) -> NatReport {
    let newest = observations.last().map(|observation| observation.mapped);
    let report = |mapping| NatReport { mapping, newest };
    if observations.iter().any(|observation| own.contains(&observation.mapped.ip())) {
        return report(Mapping::None);
    }
    let mut servers: Vec<IpAddr> = observations.iter().map(|observation| observation.server.ip()).collect();
    servers.sort_unstable();
    servers.dedup();
    // What is asked twice at one address says nothing about others.
    if servers.len() < 2 {
        return report(Mapping::Unknown);
    }
    let ports: Vec<i32> = observations.iter().map(|observation| observation.mapped.port().into()).collect();
    let same_ip = observations.windows(2).all(|pair| pair[0].mapped.ip() == pair[1].mapped.ip());
    if same_ip && ports.windows(2).all(|pair| pair[0] == pair[1]) {
        return report(Mapping::EndpointIndependent);
    }
    let steps: Vec<i32> = ports.windows(2).map(|pair| pair[1] - pair[0]).filter(|step| *step != 0).collect();
    let smallest = steps.iter().copied().min_by_key(|step| step.abs()).unwrap_or_default();
    // Other traffic may have taken ports in between.
    let regular = |step: &i32| step.abs() <= STEP_MAX && step.signum() == smallest.signum();
    match i16::try_from(smallest) {
        Ok(step) if same_ip && step != 0 && steps.iter().all(regular) => report(Mapping::Sequential { step }),
        _ => report(Mapping::Random),
    }
}
