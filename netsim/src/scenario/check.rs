//! What a scenario has to keep to beyond its form: ranges, names, times.
//!
//! After this a runner may rely on: 2 to 32 members, unique names, every name that is referred to exists, no
//! local network is behind itself, every number is finite and in its range, every fault begins before the end.

use super::mistake::{Mistakes, ScenarioError, one_of};
use super::names::Names;
use super::network::NatChoice;
use super::{Entry, Expect, Fault, FaultKind, LanConfig, MemberConfig, Scenario};
use crate::nat;
use crate::servers::TurnServer;
use std::collections::BTreeMap;

/// Makes errors of what is wrong in a file.
pub(super) type Mistake<'a> = &'a Mistakes<'a>;

/// A check's outcome.
pub(super) type Checked = Result<(), ScenarioError>;

/// Checks everything that can be seen without other files.
pub(super) fn check(scenario: &Scenario, mistake: Mistake<'_>) -> Checked {
    in_range("duration_s", scenario.duration_s, [f64::MIN_POSITIVE, DURATION_S_MAX], mistake)?;
    in_range("delay_ms", scenario.delay_ms, [0.0, DELAY_MS_MAX], mistake)?;
    count("member", scenario.members.len(), 2, MEMBERS_MAX, mistake)?;
    count("lan", scenario.lans.len(), 0, PLACES_MAX, mistake)?;
    count("server", scenario.servers.len(), 0, PLACES_MAX, mistake)?;
    count("fault", scenario.faults.len(), 0, FAULTS_MAX, mistake)?;
    let names = Names::of(scenario, mistake)?;
    for (at, member) in scenario.members.iter().enumerate() {
        self::member(at, member, scenario.duration_s, &names, mistake)?;
    }
    for (at, lan) in scenario.lans.iter().enumerate() {
        self::lan(at, lan, &names, mistake)?;
    }
    no_lan_is_behind_itself(&scenario.lans, mistake)?;
    for (at, server) in scenario.servers.iter().enumerate() {
        if let Err(wrong) = TurnServer::new(&server.turn, 0) {
            let right = "names and passwords as RFC 8265 allows them".into();
            return Err(mistake.at(&format!("server/{at}/turn/users"), wrong.to_string(), right));
        }
    }
    for (at, fault) in scenario.faults.iter().enumerate() {
        self::fault(at, fault, scenario.duration_s, &names, mistake)?;
    }
    expect(&scenario.expect, mistake)
}

/// Checks a number that does not come from a file, such as an option's.
///
/// # Errors
/// What would be right.
pub fn duration_is_right(duration_s: f64) -> Result<(), String> {
    range_holds(duration_s, [f64::MIN_POSITIVE, DURATION_S_MAX])
}

/// Checks a one-way delay that does not come from a file.
///
/// # Errors
/// What would be right.
pub fn delay_is_right(delay_ms: f64) -> Result<(), String> {
    range_holds(delay_ms, [0.0, DELAY_MS_MAX])
}

fn member(
    at: usize,
    member: &MemberConfig,
    duration_s: f64,
    names: &Names<'_>,
    mistake: Mistake<'_>,
) -> Checked {
    let field = |field: &str| format!("member/{at}/{field}");
    if let Some(lan) = &member.lan {
        names.lan(lan, &field("lan"), mistake)?;
    }
    for (which, servers) in [("stun", &member.stun), ("turn", &member.turn)] {
        for name in servers {
            names.server(name, &field(which), mistake)?;
        }
    }
    count(&field("also"), member.also.len(), 0, INTERFACES_MAX, mistake)?;
    for (also_at, also) in member.also.iter().enumerate() {
        if let Some(lan) = &also.lan {
            names.lan(lan, &field(&format!("also/{also_at}/lan")), mistake)?;
        }
    }
    in_range(&field("join_at_s"), member.join_at_s, [0.0, duration_s], mistake)?;
    if let Some(leave_at_s) = member.leave_at_s {
        in_range(&field("leave_at_s"), leave_at_s, [member.join_at_s, duration_s], mistake)?;
    }
    in_range(&field("clock_ppm"), member.clock_ppm, PPM, mistake)?;
    in_range(&field("block_ms"), member.block_ms, BLOCK_MS, mistake)?;
    if at == 0 && member.entry != Entry::Invited {
        let wrong = "the first member founds the group and has no door to come to".to_owned();
        return Err(mistake.at(
            &field("entry"),
            wrong,
            "no `entry` here; let a later member be the stranger".into(),
        ));
    }
    Ok(())
}

fn lan(at: usize, lan: &LanConfig, names: &Names<'_>, mistake: Mistake<'_>) -> Checked {
    if let Some(behind) = &lan.behind {
        names.lan(behind, &format!("lan/{at}/behind"), mistake)?;
    }
    match &lan.nat {
        NatChoice::Kind(kind) if kind != NO_NAT && nat::kind(kind).is_none() => {
            let wrong = format!("no NAT is called `{kind}`");
            let known = nat::KINDS.into_iter().chain([NO_NAT]);
            Err(mistake.at(&format!("lan/{at}/nat"), wrong, format!("{}, or a table", one_of(kind, known))))
        }
        NatChoice::Kind(_) | NatChoice::Config(_) => Ok(()),
    }
}

fn no_lan_is_behind_itself(lans: &[LanConfig], mistake: Mistake<'_>) -> Checked {
    let behind: BTreeMap<&str, &str> =
        lans.iter().filter_map(|lan| Some((lan.name.as_str(), lan.behind.as_deref()?))).collect();
    for (at, lan) in lans.iter().enumerate() {
        let mut outward = behind.get(lan.name.as_str());
        // As many steps as there are networks lead either to the internet or around.
        for _ in 0..lans.len() {
            let Some(next) = outward else { break };
            if *next == lan.name {
                let wrong = format!("`{}` is behind itself", lan.name);
                let right = "a way from every local network to the internet".into();
                return Err(mistake.at(&format!("lan/{at}/behind"), wrong, right));
            }
            outward = behind.get(next);
        }
    }
    Ok(())
}

fn fault(at: usize, fault: &Fault, duration_s: f64, names: &Names<'_>, mistake: Mistake<'_>) -> Checked {
    let field = |field: &str| format!("fault/{at}/{field}");
    in_range(&field("at_s"), fault.at_s, [0.0, DURATION_S_MAX], mistake)?;
    if fault.at_s >= duration_s {
        let wrong = format!("{} s is after the end", fault.at_s);
        return Err(mistake.at(
            &field("at_s"),
            wrong,
            format!("less than the scenario's duration_s, {duration_s}"),
        ));
    }
    if let Some(for_s) = fault.for_s {
        in_range(&field("for_s"), for_s, [f64::MIN_POSITIVE, DURATION_S_MAX], mistake)?;
    }
    match &fault.kind {
        FaultKind::Partition { members } => {
            for (member_at, member) in members.iter().enumerate() {
                names.member(member, &field(&format!("members/{member_at}")), mistake)?;
            }
            if members.is_empty() {
                let right = "those on one side of the wall".into();
                return Err(mistake.at(&field("members"), "nobody is on this side".into(), right));
            }
            Ok(())
        }
        FaultKind::Roam { member, lan } => {
            names.member(member, &field("member"), mistake)?;
            match lan.as_deref() {
                None | Some("") => Ok(()),
                Some(lan) => names.lan(lan, &field("lan"), mistake),
            }
        }
        FaultKind::NatReboot { lan, .. } => names.lan(lan, &field("lan"), mistake),
        FaultKind::ServerReboot { server } => names.server(server, &field("server"), mistake),
        FaultKind::ClockDrift { member, ppm } => {
            names.member(member, &field("member"), mistake)?;
            in_range(&field("ppm"), *ppm, PPM, mistake)
        }
        FaultKind::Command { member, command } => {
            names.member(member, &field("member"), mistake)?;
            let parsed = command.parse::<roundtable::session::command::Command>();
            parsed.map(drop).map_err(|error| {
                mistake.at(&field("command"), error.to_string(), "a command of the program".into())
            })
        }
        FaultKind::Kill { member }
        | FaultKind::Suspend { member }
        | FaultKind::Line { member, .. }
        | FaultKind::Mute { member, .. } => names.member(member, &field("member"), mistake),
    }
}

fn expect(expect: &Expect, mistake: Mistake<'_>) -> Checked {
    for (name, range) in expect.ranges() {
        let Some([least, most]) = range else { continue };
        if least.is_nan() || most.is_nan() || least > most {
            let wrong = format!("no value is from {least} to {most}");
            return Err(mistake.at(&format!("expect/{name}"), wrong, "[least, most]".into()));
        }
    }
    Ok(())
}

fn in_range(place: &str, value: f64, range: [f64; 2], mistake: Mistake<'_>) -> Checked {
    range_holds(value, range).map_err(|right| mistake.at(place, format!("{value} is out of range"), right))
}

fn range_holds(value: f64, [least, most]: [f64; 2]) -> Result<(), String> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    // The least number above zero stands for "above zero".
    Err(if least == f64::MIN_POSITIVE {
        format!("above 0, at most {most}")
    } else {
        format!("{least} to {most}")
    })
}

fn count(kind: &str, count: usize, least: usize, most: usize, mistake: Mistake<'_>) -> Checked {
    if (least..=most).contains(&count) {
        return Ok(());
    }
    let place = if count > most { format!("{kind}/{most}") } else { kind.to_owned() };
    Err(mistake.at(&place, format!("{count} of them are out of range"), format!("{least} to {most}")))
}

/// A router that only routes.
const NO_NAT: &str = "none";

/// Two hours: longer than any fault needs to show, and short enough for every series to stay in memory.
const DURATION_S_MAX: f64 = 7200.0;
/// Twenty times the way to a geostationary satellite's far side; anything more is a slip of units.
const DELAY_MS_MAX: f64 = 10_000.0;
/// Every member listens to every other: 32 make 992 directions.
const MEMBERS_MAX: usize = 32;
/// Cable, Wi-Fi, mobile network and a tunnel.
const INTERFACES_MAX: usize = 3;
/// One for each member and one more in front of each.
const PLACES_MAX: usize = 64;
/// A fault every 7 s for two hours.
const FAULTS_MAX: usize = 1000;
/// Ten times what the worst sound cards deviate by.
const PPM: [f64; 2] = [-1000.0, 1000.0];
/// From one Opus frame of the shortest kind to the periods of badly configured sound servers.
const BLOCK_MS: [f64; 2] = [2.5, 100.0];
