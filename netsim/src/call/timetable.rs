//! What goes wrong when: the scenario's faults, carried out.

use super::build::{self, Built};
use super::member::Program;
use crate::scenario::fault::{Fault, FaultKind};
use crate::world::{HostId, INTERNET, SharedWorld};
use roundtable::session::command::Command;
use std::collections::BTreeSet;
use std::time::Duration;

/// The actors that faults happen to.
pub(super) struct Actors<'a> {
    pub(super) world: &'a SharedWorld,
    pub(super) built: &'a Places,
    pub(super) names: &'a [String],
    pub(super) programs: &'a mut [Option<Program>],
}

/// Where everything of the scenario is in the world.
#[derive(Debug)]
pub(super) struct Places {
    pub(super) hosts: Vec<(HostId, crate::world::LineId)>,
    lans: std::collections::BTreeMap<String, (crate::world::NetworkId, crate::world::RouterId)>,
    pub(super) servers: std::collections::BTreeMap<String, HostId>,
}

impl Places {
    pub(super) fn new(built: Built) -> (crate::world::World, Self) {
        let Built { world, hosts, lans, servers } = built;
        (world, Self { hosts, lans, servers })
    }
}

impl Actors<'_> {
    /// A fault begins; returns what is to be said about it.
    pub(super) fn begin(&mut self, now: Duration, fault: &Fault) -> String {
        match &fault.kind {
            FaultKind::Partition { members } => {
                self.world.lock().build_wall(self.hosts_of(members));
                format!("partition around {}", members.join(", "))
            }
            FaultKind::Roam { member, lan } => {
                let (host, line) = self.built.hosts[self.index(member)];
                let network =
                    build::network(&self.built.lans, lan.as_deref().filter(|name| !name.is_empty()));
                self.world.lock().roam(host, network, line);
                let place =
                    if network == INTERNET { "the internet" } else { lan.as_deref().unwrap_or_default() };
                format!("{member} moves to another address in {place}")
            }
            FaultKind::NatReboot { lan, renumber } => {
                if let Some((_, router)) = self.built.lans.get(lan) {
                    let mut world = self.world.lock();
                    world.reboot_router(*router, *renumber);
                    world.set_router_running(*router, fault.for_s.is_none());
                }
                format!(
                    "the router of {lan} restarts{}",
                    if *renumber { " with another address" } else { "" }
                )
            }
            FaultKind::ServerReboot { server } => {
                if let Some(host) = self.built.servers.get(server) {
                    let mut world = self.world.lock();
                    world.reboot_server(*host);
                    world.set_running(*host, fault.for_s.is_none());
                }
                format!("{server} restarts")
            }
            FaultKind::Kill { member } => {
                let index = self.index(member);
                self.programs[index] = None;
                self.world.lock().close_sockets(self.built.hosts[index].0);
                format!("{member} is killed")
            }
            FaultKind::Suspend { member } => {
                let index = self.index(member);
                if let Some(program) = &mut self.programs[index] {
                    program.suspend(now);
                }
                self.world.lock().set_running(self.built.hosts[index].0, false);
                format!("{member} is suspended")
            }
            FaultKind::Line { member, access } => {
                self.change_line(member, access);
                format!("the line of {member} changes")
            }
            FaultKind::ClockDrift { member, ppm } => {
                let index = self.index(member);
                if let Some(program) = &mut self.programs[index] {
                    program.drift(*ppm);
                }
                format!("the clock of {member} runs at {ppm:+} ppm")
            }
            FaultKind::Mute { member, off } => {
                let index = self.index(member);
                if let Some(program) = &self.programs[index] {
                    program.command(if *off { Command::Unmute } else { Command::Mute });
                }
                format!("{member} {}", if *off { "unmutes" } else { "mutes" })
            }
            FaultKind::Command { member, command } => {
                let index = self.index(member);
                if let Some(program) = &self.programs[index] {
                    program.command(command.parse().expect("commands are checked when a scenario is loaded"));
                }
                format!("{member}: {command}")
            }
        }
    }

    /// A fault with an end is over; `usual` are the members' lines as the scenario has them.
    pub(super) fn end(
        &mut self,
        now: Duration,
        fault: &Fault,
        usual: &[crate::scenario::AccessConfig],
    ) -> Option<String> {
        match &fault.kind {
            FaultKind::Partition { members } => {
                let around = self.hosts_of(members);
                self.world.lock().remove_wall(&around);
                Some("the partition is over".into())
            }
            FaultKind::Suspend { member } => {
                let index = self.index(member);
                self.world.lock().set_running(self.built.hosts[index].0, true);
                if let Some(program) = &mut self.programs[index] {
                    program.resume(now);
                }
                Some(format!("{member} wakes up"))
            }
            FaultKind::Line { member, .. } => {
                let access = usual[self.index(member)].clone();
                self.change_line(member, &access);
                Some(format!("the line of {member} is as before"))
            }
            FaultKind::NatReboot { lan, .. } => {
                if let Some((_, router)) = self.built.lans.get(lan) {
                    self.world.lock().set_router_running(*router, true);
                }
                Some(format!("the router of {lan} is on again"))
            }
            FaultKind::ServerReboot { server } => {
                if let Some(host) = self.built.servers.get(server) {
                    self.world.lock().set_running(*host, true);
                }
                Some(format!("{server} is on again"))
            }
            FaultKind::Roam { .. }
            | FaultKind::Kill { .. }
            | FaultKind::ClockDrift { .. }
            | FaultKind::Mute { .. }
            | FaultKind::Command { .. } => None,
        }
    }

    fn change_line(&self, member: &str, access: &crate::scenario::AccessConfig) {
        let (_, line) = self.built.hosts[self.index(member)];
        let (up, down) = build::directions(access);
        let changed = self.world.lock().change_line(line, &up, &down);
        changed.expect("lines are checked when a scenario is loaded");
    }

    fn hosts_of(&self, members: &[String]) -> BTreeSet<HostId> {
        members.iter().map(|member| self.built.hosts[self.index(member)].0).collect()
    }

    fn index(&self, member: &str) -> usize {
        self.names
            .iter()
            .position(|name| name == member)
            .expect("names are checked when a scenario is loaded")
    }
}
