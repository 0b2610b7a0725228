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

/// Accents that may follow one character. Vietnamese and Hebrew write two.
const COMBINING_RUN_MAX: usize = 2;

/// At most [`NAME_CHARS_MAX`] visible characters on one line; possibly empty.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct DisplayName(String);

impl DisplayName {
    /// Makes any text a name: runs of blanks become one space, unsafe characters vanish, the rest is cut.
    pub fn new(text: &str) -> Self {
        let mut name = String::new();
        let mut chars = 0;
        let mut combining = 0;
        let mut blank = false;
        for c in text.chars() {
            if c.is_whitespace() || c.is_control() {
                blank = chars > 0;
                continue;
            }
            if is_invisible(c) {
                continue;
            }
            combining = if is_combining(c) { combining + 1 } else { 0 };
            if combining > COMBINING_RUN_MAX || (combining > 0 && chars == 0) {
                continue;
            }
            if chars + usize::from(blank) >= NAME_CHARS_MAX {
                break;
            }
            if blank {
                name.push(' ');
                chars += 1;
                blank = false;
            }
            name.push(c);
            chars += 1;
        }
        Self(name)
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

/// Unicode's format, filler and private-use characters (general categories Cf and Co, and the letters
/// that are drawn as nothing).
fn is_invisible(c: char) -> bool {
    matches!(u32::from(c),
        0x00AD | 0x034F | 0x0600..=0x0605 | 0x061C | 0x06DD | 0x070F | 0x115F..=0x1160 | 0x17B4..=0x17B5
        | 0x180B..=0x180F | 0x200B..=0x200F | 0x2028..=0x202E | 0x2060..=0x206F | 0x2800 | 0x3164
        | 0xE000..=0xF8FF | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFF | 0x110BD | 0x110CD
        | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A | 0xE0000..=0x10FFFF)
}

/// The blocks of accents that fit any letter; those of single scripts cannot pile up harmfully.
fn is_combining(c: char) -> bool {
    matches!(u32::from(c),
        0x0300..=0x036F | 0x0483..=0x0489 | 0x0591..=0x05BD | 0x1AB0..=0x1AFF | 0x1DC0..=0x1DFF
        | 0x20D0..=0x20FF | 0xFE20..=0xFE2F)
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
