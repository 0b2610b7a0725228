//! Names in a scenario: each used once, and none referred to that is not there.

use super::Scenario;
use super::check::{Checked, Mistake};
use super::mistake::{ScenarioError, one_of};
use protocol::name::DisplayName;

/// The names that may be referred to.
pub(super) struct Names<'a> {
    members: Vec<&'a str>,
    lans: Vec<&'a str>,
    servers: Vec<&'a str>,
}

impl<'a> Names<'a> {
    /// Collects them.
    ///
    /// # Errors
    /// One that is empty, too long or used twice.
    pub(super) fn of(scenario: &'a Scenario, mistake: Mistake<'_>) -> Result<Self, ScenarioError> {
        let names = Self {
            members: scenario.members.iter().map(|member| member.name.as_str()).collect(),
            lans: scenario.lans.iter().map(|lan| lan.name.as_str()).collect(),
            servers: scenario.servers.iter().map(|server| server.name.as_str()).collect(),
        };
        for (kind, names) in [("member", &names.members), ("lan", &names.lans), ("server", &names.servers)] {
            for (at, name) in names.iter().enumerate() {
                let place = format!("{kind}/{at}/name");
                if names.iter().take(at).any(|earlier| earlier == name) {
                    let wrong = format!("another {kind} is called `{name}` already");
                    return Err(mistake.at(&place, wrong, "a name for each".into()));
                }
                let plain = name.chars().all(|c| c.is_alphanumeric() || "-_ ".contains(c));
                // As others would see it: names are tidied on their way.
                let tidy = DisplayName::new(name).as_str() == *name;
                if name.trim().is_empty() || name.chars().count() > NAME_MAX || !plain || !tidy {
                    let right = format!("1 to {NAME_MAX} letters, digits, single spaces, `-` and `_`");
                    return Err(mistake.at(&place, format!("{name:?} is no name"), right));
                }
            }
        }
        Ok(names)
    }

    pub(super) fn member(&self, name: &str, place: &str, mistake: Mistake<'_>) -> Checked {
        known(name, "member", &self.members, place, mistake)
    }

    pub(super) fn lan(&self, name: &str, place: &str, mistake: Mistake<'_>) -> Checked {
        known(name, "lan", &self.lans, place, mistake)
    }

    pub(super) fn server(&self, name: &str, place: &str, mistake: Mistake<'_>) -> Checked {
        known(name, "server", &self.servers, place, mistake)
    }
}

fn known(name: &str, kind: &str, names: &[&str], place: &str, mistake: Mistake<'_>) -> Checked {
    if names.contains(&name) {
        return Ok(());
    }
    Err(mistake.at(place, format!("no {kind} is called `{name}`"), one_of(name, names.iter().copied())))
}

/// Names stand in tables and in names of files.
const NAME_MAX: usize = 32;
