//! What a member calls themselves, made safe to show beside other people's names.
//!
//! A name comes from a stranger and ends on a terminal, in a log and in a screen reader. Control
//! characters could drive the terminal, bidirectional controls could reorder the line around the name,
//! invisible characters could make two names look alike, and piled-up accents could paint over other
//! lines. They are taken out rather than refused: a strange name is no reason to lose a call.
//!
//! Left out: telling apart names that merely look alike (a Cyrillic "а"). Members are known by their
//! [`PeerId`](crate::id::PeerId), never by their name.

use std::fmt;

use crate::limits::NAME_CHARS_MAX;
use crate::visible::{Joiners, one_line};

/// At most [`NAME_CHARS_MAX`] visible characters on one line; possibly empty.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DisplayName(String);

impl DisplayName {
    /// Makes any text a name: runs of blanks become one space, unsafe characters vanish, the rest is cut.
    pub fn new(text: &str) -> Self {
        Self(one_line(text, NAME_CHARS_MAX, Joiners::Dropped))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Nothing visible was left; the peer id has to serve as a name.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for DisplayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for DisplayName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, proptest};

    fn shown(text: &str) -> String {
        DisplayName::new(text).to_string()
    }

    #[test]
    fn ordinary_names_of_any_script_are_left_alone() {
        for name in ["Ada", "Zoë van der Berg", "Жанна", "美咲", "שרה", "🦊 fox", "Nguyễn"] {
            assert_eq!(shown(name), name);
        }
    }

    #[test]
    fn a_name_cannot_drive_the_terminal_or_reorder_the_line() {
        assert_eq!(shown("a\x1b[2Jb"), "a [2Jb");
        assert_eq!(shown("line\r\nline"), "line line");
        assert_eq!(shown("\u{202e}evil\u{2066}"), "evil");
        assert_eq!(shown("A\u{200b}d\u{feff}a"), "Ada");
    }

    #[test]
    fn accents_do_not_pile_up() {
        let zalgo = format!("o{}k", "\u{0301}".repeat(20));
        assert_eq!(shown(&zalgo), "o\u{0301}\u{0301}k");
        assert_eq!(shown("\u{0301}x"), "x");
    }

    #[test]
    fn a_long_name_is_cut_at_characters_not_bytes() {
        assert_eq!(shown(&"美".repeat(100)), "美".repeat(NAME_CHARS_MAX));
    }

    proptest! {
        #[test]
        fn any_text_becomes_a_bounded_name_that_stays_itself(text in any::<String>()) {
            let name = DisplayName::new(&text);
            assert!(name.as_str().chars().count() <= NAME_CHARS_MAX);
            assert!(!name.as_str().contains(|c: char| c.is_control()));
            assert_eq!(DisplayName::new(name.as_str()), name);
        }
    }
}
