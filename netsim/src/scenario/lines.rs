//! Profiles and traces spelled out, so that a running scenario needs no files.
//!
//! This is the one place that knows which profiles there are.

use super::check::Mistake;
use super::mistake::{Mistakes, ScenarioError, one_of};
use super::{AccessConfig, FaultKind, Scenario, syntax};
use crate::link::{self, LinkConfig, Profile};
use std::path::{Path, PathBuf};

/// Gives every line its `up` and `down`, from its profile where they are not written, and reads the traces.
pub(super) fn spell_out_lines(
    scenario: &mut Scenario,
    folder: &Path,
    mistake: Mistake<'_>,
) -> Result<(), ScenarioError> {
    let mut members = Vec::new();
    for (at, member) in scenario.members.iter_mut().enumerate() {
        members.push((format!("member/{at}/access"), &mut member.access));
        for (also_at, also) in member.also.iter_mut().enumerate() {
            members.push((format!("member/{at}/also/{also_at}/access"), &mut also.access));
        }
    }
    let lans = scenario.lans.iter_mut().map(|lan| &mut lan.access);
    let servers = scenario.servers.iter_mut().map(|server| &mut server.access);
    let places = |kind: &'static str| (0..).map(move |at: usize| format!("{kind}/{at}/access"));
    let faults = scenario.faults.iter_mut().enumerate().filter_map(|(at, fault)| match &mut fault.kind {
        FaultKind::Line { access, .. } => Some((format!("fault/{at}/access"), &mut **access)),
        FaultKind::Partition { .. }
        | FaultKind::Roam { .. }
        | FaultKind::NatReboot { .. }
        | FaultKind::ServerReboot { .. }
        | FaultKind::Kill { .. }
        | FaultKind::Suspend { .. }
        | FaultKind::ClockDrift { .. }
        | FaultKind::Mute { .. }
        | FaultKind::Command { .. } => None,
    });
    let all = members.into_iter().chain(places("lan").zip(lans)).chain(places("server").zip(servers));
    for (place, access) in all.chain(faults) {
        spell_out(access, &place, folder, mistake)?;
    }
    Ok(())
}

fn spell_out(
    access: &mut AccessConfig,
    place: &str,
    folder: &Path,
    mistake: Mistake<'_>,
) -> Result<(), ScenarioError> {
    for (direction, link) in [("up", &mut access.up), ("down", &mut access.down)] {
        if let Some(link) = link {
            make_ready(link, folder, &format!("{place}/{direction}"), mistake)?;
        }
    }
    let (up, down) = match &access.profile {
        None => (LinkConfig::default(), LinkConfig::default()),
        Some(name) => profile(name, folder).map_err(|why| match why {
            NoProfile::Unknown { right } => {
                mistake.at(&format!("{place}/profile"), format!("no profile is called `{name}`"), right)
            }
            NoProfile::Unusable(why) => mistake.at(&format!("{place}/profile"), why, String::new()),
            NoProfile::Wrong(error) => error,
        })?,
    };
    access.up.get_or_insert(up);
    access.down.get_or_insert(down);
    Ok(())
}

enum NoProfile {
    Unknown { right: String },
    Unusable(String),
    Wrong(ScenarioError),
}

fn profile(name: &str, folder: &Path) -> Result<(LinkConfig, LinkConfig), NoProfile> {
    if !name.contains('/') && !name.ends_with(".toml") {
        let Some(known) = link::profile(name) else {
            let right = format!(
                "{}, or the path of a profile's file",
                one_of(name, link::PROFILES.iter().map(|(name, _)| *name))
            );
            return Err(NoProfile::Unknown { right });
        };
        let (mut up, mut down) = (known.up, known.down);
        for link in [&mut up, &mut down] {
            link.resolve(bundled).map_err(|error| NoProfile::Unusable(error.to_string()))?;
        }
        return Ok((up, down));
    }
    let path = folder.join(name);
    let text = std::fs::read_to_string(&path)
        .map_err(|error| NoProfile::Unusable(format!("the profile `{name}` cannot be read: {error}")))?;
    let (Profile { mut up, mut down, .. }, places) = syntax::parse(name, &text).map_err(NoProfile::Wrong)?;
    let beside = path.parent().map(PathBuf::from).unwrap_or_default();
    let mistake = Mistakes { file: name, places: &places };
    for (direction, link) in [("up", &mut up), ("down", &mut down)] {
        make_ready(link, &beside, direction, &mistake).map_err(NoProfile::Wrong)?;
    }
    Ok((up, down))
}

/// Checks a link that is written at a place and reads its traces; what is wrong in a trace is said with its line.
fn make_ready(
    link: &mut LinkConfig,
    folder: &Path,
    place: &str,
    mistake: Mistake<'_>,
) -> Result<(), ScenarioError> {
    let mut last = String::new();
    let read = |file: &str| {
        file.clone_into(&mut last);
        bundled(file)
            .or_else(|_| std::fs::read_to_string(folder.join(file)))
            .map_err(|error| format!("cannot be read: {error}"))
    };
    link.resolve(read).map_err(|error| {
        let is_last = link.opportunity_trace.as_ref().is_some_and(|used| used.file == last);
        let field = if is_last { "opportunity_trace/file" } else { "delay_trace/file" };
        mistake.at(&format!("{place}/{field}"), error.to_string(), String::new())
    })?;
    link.check().map_err(|error| mistake.named_in(place, error.to_string()))
}

/// A trace that comes with the program; with a slash in its name (`./stalls.delays`) it is a file of the user's.
fn bundled(file: &str) -> Result<String, String> {
    link::bundled_trace(file).map(str::to_owned).ok_or_else(|| "no trace of that name is bundled".to_owned())
}
