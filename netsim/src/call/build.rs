//! The world that a scenario describes.

use crate::link::LinkConfig;
use crate::nat::{self, NatConfig};
use crate::scenario::{AccessConfig, Ip, LanConfig, NatChoice, Scenario, ServerKind};
use crate::world::{Family, HostId, INTERNET, LineId, NetworkId, RouterId, Service, World};
use std::collections::BTreeMap;
use std::time::Duration;

/// A world, and where in it everything of the scenario is.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) world: World,
    /// In the members' order.
    pub(super) hosts: Vec<(HostId, LineId)>,
    pub(super) lans: BTreeMap<String, (NetworkId, RouterId)>,
    pub(super) servers: BTreeMap<String, HostId>,
}

pub(super) fn build(scenario: &Scenario, seed: u64) -> Built {
    let mut world = World::new(Duration::from_secs_f64(scenario.delay_ms / 1e3), seed);
    let mut lans = BTreeMap::new();
    for lan in outermost_first(&scenario.lans) {
        let outer = network(&lans, lan.behind.as_deref());
        let line = line(&mut world, &lan.access);
        let nat = nat_of(&lan.nat);
        let added = world.add_lan(outer, line, nat.as_ref(), lan.firewall.as_ref(), lan.ipv6);
        lans.insert(lan.name.clone(), added);
    }
    let mut servers = BTreeMap::new();
    for server in &scenario.servers {
        let line = line(&mut world, &server.access);
        let host = world.add_server(line, |addresses, seed| match server.kind {
            ServerKind::Stun => Service::stun(addresses),
            ServerKind::Turn => Service::turn(addresses, &server.turn, seed)
                .expect("users are checked when a scenario is loaded"),
        });
        servers.insert(server.name.clone(), host);
    }
    let mut hosts = Vec::new();
    for member in &scenario.members {
        let line = line(&mut world, &member.access);
        let host = world.add_host(network(&lans, member.lan.as_deref()), line);
        for also in &member.also {
            let line = self::line(&mut world, &also.access);
            world.attach(host, network(&lans, also.lan.as_deref()), line);
        }
        match member.ip {
            Ip::Both => {}
            Ip::V4 => world.speak_only(host, Family::V4),
            Ip::V6 => world.speak_only(host, Family::V6),
        }
        hosts.push((host, line));
    }
    Built { world, hosts, lans, servers }
}

/// The network of a name; without one it is the internet.
pub(super) fn network(lans: &BTreeMap<String, (NetworkId, RouterId)>, name: Option<&str>) -> NetworkId {
    name.and_then(|name| lans.get(name)).map_or(INTERNET, |(network, _)| *network)
}

/// Both directions of a line.
pub(super) fn directions(access: &AccessConfig) -> (LinkConfig, LinkConfig) {
    (access.up.clone().unwrap_or_default(), access.down.clone().unwrap_or_default())
}

fn line(world: &mut World, access: &AccessConfig) -> LineId {
    let (up, down) = directions(access);
    world.add_line(&up, &down).expect("lines are checked when a scenario is loaded")
}

fn nat_of(choice: &NatChoice) -> Option<NatConfig> {
    match choice {
        NatChoice::Kind(name) => nat::kind(name),
        NatChoice::Config(config) => Some((**config).clone()),
    }
}

/// A local network comes after the one that it is behind; names were checked when the scenario was loaded.
fn outermost_first(lans: &[LanConfig]) -> Vec<&LanConfig> {
    let depth = |lan: &LanConfig| {
        let mut depth = 0;
        let mut at = lan;
        while let Some(next) = at.behind.as_ref().and_then(|name| lans.iter().find(|lan| lan.name == *name)) {
            depth += 1;
            at = next;
            if depth > lans.len() {
                break;
            }
        }
        depth
    };
    let mut ordered: Vec<&LanConfig> = lans.iter().collect();
    ordered.sort_by_key(|lan| depth(lan));
    ordered
}
