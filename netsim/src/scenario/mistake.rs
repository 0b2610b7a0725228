//! What is wrong in a scenario's file, said so that it can be put right without reading this program.

use super::places::{Places, named};
use std::fmt;

/// One mistake: where it is, what is wrong, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub struct ScenarioError {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1; nothing when the file itself is the mistake.
    pub line: Option<usize>,
    /// The field, with the tables it is in: `member.clock_ppm`; empty when there is none.
    pub field: String,
    /// What is wrong.
    pub wrong: String,
    /// What would be right; empty when that is plain.
    pub right: String,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, field, wrong, right } = self;
        write!(f, "{file}:")?;
        if let Some(line) = line {
            write!(f, "{line}:")?;
        }
        if !field.is_empty() {
            write!(f, " {field}:")?;
        }
        write!(f, " {wrong}")?;
        if !right.is_empty() {
            write!(f, "\n  right would be: {right}")?;
        }
        Ok(())
    }
}

/// Makes errors about one file.
pub(super) struct Mistakes<'a> {
    pub(super) file: &'a str,
    pub(super) places: &'a Places<'a>,
}

impl Mistakes<'_> {
    /// An error of a place, what is wrong there, and what would be right.
    pub(super) fn at(&self, place: &str, wrong: String, right: String) -> ScenarioError {
        ScenarioError {
            file: self.file.into(),
            line: Some(self.places.line(place)),
            field: named(place),
            wrong,
            right,
        }
    }

    /// An error of the field within a place that a message names; of the place itself when it names none.
    pub(super) fn named_in(&self, place: &str, message: String) -> ScenarioError {
        // Fields are spelled `changes[1].delay_ms` there.
        let words = message.split(|c: char| !c.is_ascii_alphanumeric() && !"_.[]".contains(c));
        let fields = words.map(|word| format!("{place}/{}", word.replace(['.', '['], "/").replace(']', "")));
        let field = fields.into_iter().find(|field| self.places.has(field));
        self.at(&field.unwrap_or_else(|| place.to_owned()), message, String::new())
    }
}

/// The known name that `name` was probably meant to be.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, known)| *likeness > LIKENESS_MIN || strsim::osa_distance(name, known) == 1)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// What to say of a name that is none of the known: the probable one first, then all.
pub(super) fn one_of<'a>(name: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    let all = known.clone().into_iter().map(|name| format!("`{name}`")).collect::<Vec<_>>();
    let all = if all.is_empty() { "there is none to name".to_owned() } else { all.join(", ") };
    match nearest(name, known) {
        Some(meant) => format!("`{meant}`? Known are {all}"),
        None => all,
    }
}

/// Below this two names have little more in common than letters: `delay` and `duration` are at 0.66, a
/// transposition or a forgotten letter above 0.85, if the name isn't as short as a person's: there one slip counts.
const LIKENESS_MIN: f64 = 0.75;

#[cfg(test)]
mod tests {
    use super::{Mistakes, nearest};
    use crate::scenario::places::Places;

    #[test]
    fn a_field_that_a_message_names_is_found_in_its_place() {
        let text =
            "[up]\ndelay_ms = 1\n\n[[up.changes]]\nat_s = 1\n[[up.changes]]\nat_s = 2\ndelay_ms = -1\n";
        let places = Places::parse(text).unwrap();
        let mistakes = Mistakes { file: "x.toml", places: &places };
        let said = |message: &str| mistakes.named_in("up", message.into()).to_string();
        assert_eq!(
            said("`changes[1].delay_ms` is -1"),
            "x.toml:8: up.changes.delay_ms: `changes[1].delay_ms` is -1"
        );
        assert_eq!(said("`delay_ms`: too long"), "x.toml:2: up.delay_ms: `delay_ms`: too long");
        assert_eq!(said("not like this"), "x.toml:1: up: not like this");
    }

    #[test]
    fn a_slip_finds_the_name_that_was_meant_and_a_stranger_finds_none() {
        let known = ["duration_s", "delay_ms", "description"];
        assert_eq!(nearest("duration", known), Some("duration_s"));
        assert_eq!(nearest("dealy_ms", known), Some("delay_ms"));
        assert_eq!(nearest("quux", known), None);
    }
}
