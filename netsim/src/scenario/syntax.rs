//! From a file's text to a [`Scenario`](super::Scenario), or to the first mistake in its form: syntax, unknown and missing
//! fields, wrong types.

use super::fault::KINDS;
use super::mistake::{ScenarioError, one_of};
use super::places::{Places, line_at, named};
use serde::de::DeserializeOwned;

/// Parses one file, `file` being its name in messages.
pub(super) fn parse<'i, T: DeserializeOwned>(
    file: &str,
    text: &'i str,
) -> Result<(T, Places<'i>), ScenarioError> {
    let places = Places::parse(text).map_err(|error| ScenarioError {
        file: file.into(),
        line: error.span().map(|span| line_at(text, span.start.min(text.len().saturating_sub(1)))),
        field: String::new(),
        wrong: format!("this is not TOML: {}", error.message().replace('\n', "; ")),
        right: String::new(),
    })?;
    faults_have_their_fields(file, &places)?;
    match toml::from_str(text) {
        Ok(value) => Ok((value, places)),
        Err(error) => Err(explain(file, &places, &error)),
    }
}

/// Checks the fields of faults against their kinds, which serde, seeing all kinds as one, cannot.
fn faults_have_their_fields(file: &str, places: &Places<'_>) -> Result<(), ScenarioError> {
    let faults =
        places.root().iter().find(|(key, _)| key.get_ref() == "fault").map(|(_, value)| value.get_ref());
    let Some(faults) = faults.and_then(|faults| faults.as_array()) else { return Ok(()) };
    for (at, fault) in faults.iter().enumerate() {
        let Some(fields) = fault.get_ref().as_table() else { continue };
        let mistake = |field: &str, wrong: String, right: String| ScenarioError {
            file: file.into(),
            line: Some(places.line(&format!("fault/{at}/{field}"))),
            field: format!("fault.{field}"),
            wrong,
            right,
        };
        let kind = fields
            .iter()
            .find(|(key, _)| key.get_ref() == "kind")
            .and_then(|(_, kind)| kind.get_ref().as_str());
        // Serde says of a kind that is missing or no text.
        let Some(name) = kind else { continue };
        let Some(kind) = KINDS.iter().find(|kind| kind.name == name) else {
            let known = KINDS.iter().map(|kind| kind.name);
            return Err(mistake("kind", format!("no fault is called `{name}`"), one_of(name, known)));
        };
        let known = ["at_s", "kind"].iter().chain(kind.needs).chain(kind.may_have).copied();
        for (key, _) in fields {
            let key: &str = key.get_ref();
            if !known.clone().any(|known| known == key) {
                let wrong = format!("a fault of kind `{name}` has no field `{key}`");
                return Err(mistake(key, wrong, one_of(key, known)));
            }
        }
        for needed in kind.needs {
            if !fields.iter().any(|(key, _)| key.get_ref() == needed) {
                let wrong = format!("a fault of kind `{name}` needs the field `{needed}`");
                return Err(mistake(needed, wrong, String::new()));
            }
        }
    }
    Ok(())
}

/// Serde's message, taken apart and said in the words of this file's format.
fn explain(file: &str, places: &Places<'_>, error: &toml::de::Error) -> ScenarioError {
    let message = error.message();
    let (mut line, mut place) = match error.span() {
        Some(span) => (Some(places.line_at(span.start)), places.at(&span)),
        None => (None, String::new()),
    };
    let quoted = message.split('`').skip(1).step_by(2).collect::<Vec<_>>();
    let (name, known) = (quoted.first().copied().unwrap_or_default(), quoted.get(1..).unwrap_or_default());
    let (wrong, right);
    if message.starts_with("unknown field") {
        // Where an enum stood between, the span is that of the table the field is in.
        if !place.ends_with(name) {
            let inside = format!("{place}/{name}");
            (line, place) = (Some(places.line(&inside)), inside);
        }
        (wrong, right) = (format!("there is no field `{name}` here"), one_of(name, known.iter().copied()));
    } else if message.starts_with("unknown variant") {
        (wrong, right) = (format!("`{name}` is not known"), one_of(name, known.iter().copied()));
    } else if message.starts_with("missing field") {
        place = if place.is_empty() { name.to_owned() } else { format!("{place}/{name}") };
        // A file in which something is missing altogether has that mistake in no line but the first.
        line = Some(line.unwrap_or(1));
        (wrong, right) = ("this field is missing".to_owned(), String::new());
    } else if let Some((got, expected)) =
        message.strip_prefix("invalid type: ").and_then(|rest| rest.split_once(", expected "))
    {
        // The same: the table's only field with this text must be the one.
        let text = got.strip_prefix("string \"").and_then(|text| text.strip_suffix('"'));
        if let Some(inside) = text.and_then(|text| places.with_text(&place, text)) {
            (line, place) = (Some(places.line(&inside)), inside);
        }
        (wrong, right) = (format!("{got} is of the wrong type"), in_words(expected));
    } else if let Some((got, expected)) =
        message.strip_prefix("invalid value: ").and_then(|rest| rest.split_once(", expected "))
    {
        (wrong, right) = (format!("{got} does not fit"), in_words(expected));
    } else {
        (wrong, right) = (message.replace('\n', "; "), String::new());
    }
    ScenarioError { file: file.into(), line, field: named(&place), wrong, right }
}

/// A type of Rust's for people who write TOML.
fn in_words(expected: &str) -> String {
    let words = match expected {
        "f64" | "f32" => "a number",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, not negative",
        "i8" | "i16" | "i32" | "i64" => "a whole number",
        "a boolean" => "true or false",
        "a sequence" => "a list: [[…]] for tables, […] for values",
        "an array of length 2" => "a range of two numbers: [least, most]",
        "a string" => "text in quotes",
        other if other.starts_with("struct ") => "a table",
        other => other,
    };
    words.to_owned()
}
