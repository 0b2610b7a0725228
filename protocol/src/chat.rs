//! Lines of text beside the voices.
//!
//! A line is made safe to show twice: by the sender, so that it sees what the others will, and by each receiver, who
//! trusts nobody. How many lines come is bounded by an [`Allowance`] on both sides.
//!
//! Left out: history, delivery to who joins later, and telling apart letters that look alike.

use crate::visible::{Joiners, one_line};
use std::time::Duration;

/// Bytes of a line of text, without blanks around it. A longer one is refused as a whole: half a sentence may say the
/// opposite.
pub const CHAT_BYTES_MAX: usize = 1000;

/// Lines a sender may say at once.
pub const CHAT_BURST: u32 = 5;

/// After that, one more in this time.
pub const CHAT_INTERVAL: Duration = Duration::from_secs(1);

/// Lines a receiver takes at once: a few more than are sent, since a network in trouble delivers late ones together.
pub const CHAT_BURST_RECEIVED: u32 = 8;

/// Text that is not shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ChatError {
    /// Longer than [`CHAT_BYTES_MAX`].
    #[error("the text has {0} bytes, {CHAT_BYTES_MAX} are allowed")]
    TooLong(usize),
    /// Nothing visible is left.
    #[error("the text has nothing to show in it")]
    Empty,
}

/// Makes a text one line that is safe on a terminal, in a log and beside other people's lines: no control
/// characters, escape sequences, separators of lines or overrides of direction. Joined emoji and text from
/// right to left stay as they are.
pub fn clean(text: &str) -> Result<String, ChatError> {
    let text = text.trim();
    if text.len() > CHAT_BYTES_MAX {
        return Err(ChatError::TooLong(text.len()));
    }
    let line = one_line(text, CHAT_BYTES_MAX, Joiners::Kept);
    if line.is_empty() { Err(ChatError::Empty) } else { Ok(line) }
}

/// How many lines somebody may still say: a bucket of `burst` that one drop enters each [`CHAT_INTERVAL`].
#[derive(Clone, Debug)]
pub struct Allowance {
    burst: u32,
    /// When the bucket is or was full again.
    full_at: Duration,
}

impl Allowance {
    /// A full one.
    pub fn new(burst: u32) -> Self {
        Self { burst, full_at: Duration::ZERO }
    }

    /// Takes one, if there is one.
    pub fn take(&mut self, now: Duration) -> bool {
        let full_at = self.full_at.max(now) + CHAT_INTERVAL;
        let allowed = full_at <= now + CHAT_INTERVAL * self.burst;
        if allowed {
            self.full_at = full_at;
        }
        allowed
    }

    /// Nothing was taken lately: it is the same as a new one.
    pub fn is_full(&self, now: Duration) -> bool {
        self.full_at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::{Allowance, CHAT_BURST, CHAT_BYTES_MAX, ChatError, clean};
    use proptest::collection::vec;
    use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
    use std::time::Duration;

    /// Text in which what is dangerous is frequent.
    fn hostile() -> impl Strategy<Value = String> {
        let dangerous = "\x1b\x07\x00\x7f\r\n\t\u{85}\u{9b}\u{9d}\u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}\u{200d}\
             \u{fe0f}\u{200f}\u{feff}\u{301}\u{e0041}[]2J;: ";
        let dangerous: Vec<char> = dangerous.chars().collect();
        let one = (0..dangerous.len()).prop_map(move |n| dangerous[n]);
        vec(prop_oneof![one, any::<char>(), Just('a')], 0..300).prop_map(|chars| chars.into_iter().collect())
    }

    /// All that could move the cursor, end the line or turn it around.
    fn is_dangerous(c: char) -> bool {
        c.is_control()
            || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
    }

    proptest! {
        #[test]
        fn no_text_gets_an_escape_or_a_line_through(text in hostile()) {
            if let Ok(line) = clean(&text) {
                prop_assert!(!line.chars().any(is_dangerous), "{line:?}");
                prop_assert!(line.lines().count() == 1 && !line.is_empty() && line.len() <= CHAT_BYTES_MAX);
                prop_assert_eq!(clean(&line), Ok(line));
            }
        }

        #[test]
        fn nobody_says_more_than_the_allowance(waits in vec(0u64..3000, 1..100)) {
            let (mut allowance, mut now, mut said) = (Allowance::new(CHAT_BURST), Duration::from_secs(9), 0);
            let start = now;
            for wait in waits {
                now += Duration::from_millis(wait);
                said += u64::from(allowance.take(now));
                prop_assert!(said <= u64::from(CHAT_BURST) + (now - start).as_secs());
            }
        }
    }

    #[test]
    fn ordinary_text_of_any_script_is_left_alone() {
        for text in [
            "Hello, how are you?",
            "שלום, מה שלומך?",
            "مرحبا بالعالم",
            "می\u{200c}خواهم",
            "👩\u{200d}👩\u{200d}👧 and ❤\u{fe0f}\u{200d}🔥, 👍🏽",
            "日本語のテキスト",
            "Xin chào Việt Nam",
        ] {
            assert_eq!(clean(text).as_deref(), Ok(text));
        }
    }

    #[test]
    fn text_cannot_drive_the_terminal_or_begin_a_line() {
        let cleaned = |text| clean(text).expect("something is left");
        assert_eq!(cleaned("\x1b]0;title\x07hi\x1b[2J"), "]0;title hi [2J");
        assert_eq!(cleaned("\u{9b}31mred"), "31mred");
        assert_eq!(cleaned("hi\r\nann: me too"), "hi ann: me too");
        assert_eq!(cleaned("hi\u{2028}ann: me\u{2029}too"), "hi ann: me too");
        assert_eq!(cleaned("\u{202e}evil\u{2066} \u{200f}x"), "evil x");
        assert_eq!(cleaned("\u{200d}a\u{200d}\u{200d}\u{200d}b"), "a\u{200d}\u{200d}b");
        assert_eq!(clean(" \u{202e}\x1b "), Err(ChatError::Empty));
    }

    #[test]
    fn the_longest_text_is_taken_and_a_longer_one_refused() {
        let longest = "é".repeat(CHAT_BYTES_MAX / 2);
        assert_eq!(clean(&format!("  {longest}\n")), Ok(longest.clone()));
        assert_eq!(clean(&format!("{longest}x")), Err(ChatError::TooLong(CHAT_BYTES_MAX + 1)));
    }

    #[test]
    fn after_a_burst_one_more_line_a_second_is_allowed() {
        let mut allowance = Allowance::new(CHAT_BURST);
        let at = |ms| Duration::from_secs(100) + Duration::from_millis(ms);
        let burst = (0..10).filter(|_| allowance.take(at(0))).count();
        assert_eq!(burst, CHAT_BURST as usize);
        assert!(!allowance.take(at(999)) && allowance.take(at(1000)) && !allowance.take(at(1000)));
        assert!(!allowance.is_full(at(5000)) && allowance.is_full(at(6000)));
    }
}
