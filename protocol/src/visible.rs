//! What a stranger's text may put on a screen: one line of visible characters.
//!
//! Control characters could drive the terminal, bidirectional controls could reorder the line around the text,
//! line separators could begin a line that looks like the program's own, and piled-up accents could paint over
//! other lines. They are taken out rather than refused. Names ([`DisplayName`](crate::name::DisplayName)) and chat
//! ([`chat`](crate::chat)) differ in length, and in the joiners that emoji and some scripts are written with: in a name
//! they would make two look alike.

/// Accents that may follow one character. Vietnamese and Hebrew write two.
const COMBINING_RUN_MAX: usize = 2;

/// Joiners and variation selectors that may follow one character: a heart in colour that is joined has both.
const JOINER_RUN_MAX: usize = 2;

/// What becomes of characters that are not drawn and only shape their neighbours.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joiners {
    /// They are kept after something visible.
    Kept,
    /// They vanish.
    Dropped,
}

/// One line of at most `chars_max` characters: runs of blanks and controls become one space, unsafe characters vanish.
pub(crate) fn one_line(text: &str, chars_max: usize, joiners: Joiners) -> String {
    let mut line = String::new();
    let (mut chars, mut combining, mut joined) = (0, 0, 0);
    let mut blank = false;
    for c in text.chars() {
        if c.is_whitespace() || c.is_control() {
            blank = chars > 0;
            continue;
        }
        let is_joiner = joiners == Joiners::Kept && is_joiner(c);
        if is_invisible(c) && !is_joiner {
            continue;
        }
        joined = if is_joiner { joined + 1 } else { 0 };
        if joined > JOINER_RUN_MAX || (joined > 0 && (chars == 0 || blank)) {
            continue;
        }
        // A joiner does not make room for more accents.
        combining = if is_combining(c) {
            combining + 1
        } else if is_joiner {
            combining
        } else {
            0
        };
        if combining > COMBINING_RUN_MAX || (combining > 0 && chars == 0) {
            continue;
        }
        if chars + usize::from(blank) >= chars_max {
            break;
        }
        if blank {
            line.push(' ');
            chars += 1;
            blank = false;
        }
        line.push(c);
        chars += 1;
    }
    line
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

/// The zero width non-joiner of Persian, the joiner of emoji, and the choice between a drawing in black or in colour.
fn is_joiner(c: char) -> bool {
    matches!(u32::from(c), 0x200C | 0x200D | 0xFE0E | 0xFE0F)
}

/// The blocks of accents that fit any letter; those of single scripts cannot pile up harmfully.
fn is_combining(c: char) -> bool {
    matches!(u32::from(c),
        0x0300..=0x036F | 0x0483..=0x0489 | 0x0591..=0x05BD | 0x1AB0..=0x1AFF | 0x1DC0..=0x1DFF
        | 0x20D0..=0x20FF | 0xFE20..=0xFE2F)
}
