//! Where in a file's text each field is.
//!
//! A place is a path of keys and of indices into arrays, written with slashes: `member/1/clock_ppm` is the
//! second member's clock.

use std::ops::Range;
use toml::de::{DeArray, DeTable, DeValue};

/// A parsed file with the position of everything in it.
pub(super) struct Places<'i> {
    text: &'i str,
    root: DeTable<'i>,
    whole: Range<usize>,
}

impl<'i> Places<'i> {
    /// Parses a file's text.
    ///
    /// # Errors
    /// What is wrong with its syntax.
    pub(super) fn parse(text: &'i str) -> Result<Self, toml::de::Error> {
        let root = DeTable::parse(text)?;
        Ok(Self { text, whole: root.span(), root: root.into_inner() })
    }

    /// The file's outermost table.
    pub(super) fn root(&self) -> &DeTable<'i> {
        &self.root
    }

    /// The line, from 1, of the deepest part of a place that is written.
    pub(super) fn line(&self, place: &str) -> usize {
        self.line_at(self.walk(place).offset)
    }

    /// Whether all of a place is written.
    pub(super) fn has(&self, place: &str) -> bool {
        self.walk(place).whole
    }

    /// The field of the table at a place that holds this text.
    pub(super) fn with_text(&self, place: &str, text: &str) -> Option<String> {
        let table = self.walk(place).table?;
        let (key, _) = table.iter().find(|(_, value)| value.get_ref().as_str() == Some(text))?;
        Some(format!("{place}/{}", key.get_ref()))
    }

    /// Goes as far along a place as it is written.
    fn walk(&self, place: &str) -> Walked<'_, 'i> {
        let mut walked = Walked { offset: 0, whole: true, table: Some(&self.root) };
        let mut array: Option<&DeArray<'i>> = None;
        for step in place.split('/') {
            let value = if let Some(inside) = walked.table {
                inside.iter().find(|(key, _)| key.get_ref() == step).map(|(key, value)| (key.span(), value))
            } else {
                let element = array.and_then(|inside| inside.get(step.parse::<usize>().ok()?));
                element.map(|value| (value.span(), value))
            };
            let Some((span, value)) = value else {
                walked.whole = false;
                return walked;
            };
            walked.offset = span.start;
            walked.table = value.get_ref().as_table();
            array = value.get_ref().as_array();
        }
        walked
    }

    /// The line, from 1, of a byte.
    pub(super) fn line_at(&self, offset: usize) -> usize {
        line_at(self.text, offset)
    }

    /// The place of what is written in a span; empty for the whole file and where nothing is.
    pub(super) fn at(&self, span: &Range<usize>) -> String {
        let mut path = Vec::new();
        if *span != self.whole {
            in_table(&self.root, span.start, &mut path);
        }
        path.join("/")
    }
}

/// How far along a place one comes.
struct Walked<'a, 'i> {
    /// Where the last step begins.
    offset: usize,
    /// Whether it was the place's last.
    whole: bool,
    /// What is there, if that is a table.
    table: Option<&'a DeTable<'i>>,
}

/// The line, from 1, of a byte of a text.
pub(super) fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// A place as people name it: the keys alone, since the line says which of several.
pub(super) fn named(place: &str) -> String {
    let keys = place.split('/').filter(|step| step.parse::<usize>().is_err());
    keys.collect::<Vec<_>>().join(".")
}

fn in_table(table: &DeTable<'_>, offset: usize, path: &mut Vec<String>) -> bool {
    for (key, value) in table {
        path.push(key.get_ref().to_string());
        if holds(&key.span(), offset) || in_value(value.get_ref(), &value.span(), offset, path) {
            return true;
        }
        path.pop();
    }
    false
}

fn in_value(value: &DeValue<'_>, span: &Range<usize>, offset: usize, path: &mut Vec<String>) -> bool {
    if let Some(table) = value.as_table()
        && in_table(table, offset, path)
    {
        return true;
    }
    if let Some(array) = value.as_array() {
        for (at, element) in array.iter().enumerate() {
            path.push(at.to_string());
            if in_value(element.get_ref(), &element.span(), offset, path) {
                return true;
            }
            path.pop();
        }
    }
    holds(span, offset)
}

fn holds(span: &Range<usize>, offset: usize) -> bool {
    span.contains(&offset)
}

#[cfg(test)]
mod tests {
    use super::{Places, named};

    const TEXT: &str = "description = \"x\"\n\n[[member]]\nname = \"ada\"\n\n[[member]]\n# so\nname = \"ben\"\n\
                        access = { profile = \"wifi\" }\n\n[[fault]]\nmembers = [\n  \"ada\",\n  \"cid\",\n]\n";

    #[test]
    fn every_field_is_found_on_its_own_line() {
        let places = Places::parse(TEXT).unwrap();
        let line = |place| places.line(place);
        assert_eq!(line("description"), 1);
        assert_eq!(line("member/0/name"), 4);
        assert_eq!(line("member/1/name"), 8);
        assert_eq!(line("member/1/access/profile"), 9);
        assert_eq!(line("member/1/clock_ppm"), 6, "what is not written is missed where its table begins");
        assert_eq!(line("fault/0/members/1"), 14);
    }

    #[test]
    fn a_byte_knows_its_field() {
        let places = Places::parse(TEXT).unwrap();
        let at = |text| places.at(&TEXT.find(text).map(|start| start..start + 1).unwrap());
        assert_eq!(at("wifi"), "member/1/access/profile");
        assert_eq!(named("member/1/access/profile"), "member.access.profile");
        assert_eq!(at("cid"), "fault/0/members/1");
        assert_eq!(places.at(&places.whole), "", "the whole file is no field of it");
    }
}
