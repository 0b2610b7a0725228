//! From a name or a path to a scenario that is ready to run.
//!
//! A loaded scenario needs no more files: profiles are spelled out in each `access` as `up` and `down`, traces
//! are read, recordings are in memory. Whoever runs it can rely on all that [`check`](super::check) promises.

use super::check::check;
use super::lines::spell_out_lines;
use super::mistake::{Mistakes, ScenarioError, one_of};
use super::recording::{Recording, read_recordings};
use super::syntax::parse;
use super::{BUNDLED, Scenario};
use std::collections::BTreeMap;
use std::path::Path;

/// A scenario without a mistake, and everything it refers to.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// As it was asked for: a bundled scenario's name or a file's path. Loading this again gives the same.
    pub name: String,
    /// What is to happen. Every line has its `up` and `down`, with traces read.
    pub scenario: Scenario,
    /// The WAV files that members talk from, by the path that is written in [`Talk::File`](super::Talk::File).
    pub recordings: BTreeMap<String, Recording>,
}

impl Loaded {
    /// Sets the one-way delay between any two access lines, ms.
    pub fn set_delay_ms(&mut self, delay_ms: f64) {
        self.scenario.delay_ms = delay_ms;
    }

    /// Ends the scenario after `duration_s` seconds, and forgets what would have happened later.
    pub fn set_duration_s(&mut self, duration_s: f64) {
        let scenario = &mut self.scenario;
        scenario.duration_s = duration_s;
        scenario.faults.retain(|fault| fault.at_s < duration_s);
        for member in &mut scenario.members {
            member.leave_at_s = member.leave_at_s.filter(|leave_at_s| *leave_at_s < duration_s);
        }
    }
}

/// Loads a bundled scenario by its name, or a file by its path, which has a slash or ends in `.toml`.
///
/// # Errors
/// The first mistake in it, or in what it refers to.
pub fn load(name_or_path: &str) -> Result<Loaded, ScenarioError> {
    let nowhere = |wrong: String, right: String| ScenarioError {
        file: name_or_path.into(),
        line: None,
        field: String::new(),
        wrong,
        right,
    };
    if name_or_path.contains(['/', '\\']) || name_or_path.ends_with(".toml") {
        let text = std::fs::read_to_string(name_or_path).map_err(|error| {
            nowhere(format!("cannot be read: {error}"), "the path of a scenario's file".into())
        })?;
        let folder = Path::new(name_or_path).parent().unwrap_or(Path::new(""));
        return load_text(name_or_path, &text, folder);
    }
    let bundled = BUNDLED.iter().find(|(name, _)| *name == name_or_path);
    let Some((name, text)) = bundled else {
        let known = BUNDLED.iter().map(|(name, _)| *name);
        let right = format!("{}, or the path of a file of your own", one_of(name_or_path, known));
        return Err(nowhere("no bundled scenario is called so".into(), right));
    };
    load_text(name, text, Path::new(""))
}

/// Loads a scenario from a text; `folder` is where the files it refers to are.
///
/// # Errors
/// As of [`load`].
pub fn load_text(name: &str, text: &str, folder: &Path) -> Result<Loaded, ScenarioError> {
    let (mut scenario, places) = parse::<Scenario>(name, text)?;
    let mistake = Mistakes { file: name, places: &places };
    check(&scenario, &mistake)?;
    spell_out_lines(&mut scenario, folder, &mistake)?;
    let recordings = read_recordings(&scenario, folder, &mistake)?;
    Ok(Loaded { name: name.into(), scenario, recordings })
}
