//! Lines of text to everybody, and from everybody.
//!
//! What comes is made safe and bounded here whatever its sender did: a line too many, too long, or with nothing in it
//! is dropped and counted, and nobody is answered.

use super::Session;
use super::event::Event;
use protocol::chat::{Allowance, CHAT_BURST, CHAT_BURST_RECEIVED, clean};
use protocol::control::{Chat, Message};
use protocol::id::PeerId;
use std::collections::BTreeMap;
use std::time::Duration;

/// Who said what lately. An allowance outlives its member's connection: to come again refills nothing.
pub(super) struct ChatState {
    own: Allowance,
    next_id: u32,
    others: BTreeMap<PeerId, Allowance>,
    dropped: u64,
}

impl ChatState {
    /// A member that comes back with the same key does not count from the same number again.
    pub(super) fn new() -> Self {
        let next_id = u32::from_be_bytes(crate::net::random::bytes());
        Self { own: Allowance::new(CHAT_BURST), next_id, others: BTreeMap::new(), dropped: 0 }
    }

    /// What is to be shown of a line that came.
    fn heard(&mut self, peer: PeerId, text: &str, now: Duration) -> Option<String> {
        // Bounds the table by those who said something in the last seconds.
        self.others.retain(|_, allowance| !allowance.is_full(now));
        let allowance = self.others.entry(peer).or_insert_with(|| Allowance::new(CHAT_BURST_RECEIVED));
        let line = if allowance.take(now) { clean(text).ok() } else { None };
        if line.is_none() {
            self.dropped += 1;
            tracing::debug!(%peer, dropped = self.dropped, "a line of text was dropped");
        }
        line
    }

    /// What is to be sent, or why it is not.
    fn say(&mut self, text: &str, now: Duration) -> Result<Chat, (String, &'static str)> {
        let text = clean(text).map_err(|error| (error.to_string(), "say it shorter, in several lines"))?;
        if !self.own.take(now) {
            return Err(("too many lines at once".into(), "wait a second and say it again"));
        }
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        Ok(Chat { id, text })
    }
}

impl Session {
    fn chat_clock(&self) -> Duration {
        tokio::time::Instant::now().into_std().saturating_duration_since(self.surroundings.epoch)
    }

    /// Says a line to everybody.
    pub(super) fn say(&mut self, text: &str) {
        let now = self.chat_clock();
        match self.chat.say(text, now) {
            Ok(chat) => {
                self.broadcast(&Message::Chat(chat.clone()));
                self.emit(Event::Message {
                    peer: self.me().to_string(),
                    name: self.surroundings.myself.name.clone(),
                    text: chat.text,
                    me: true,
                });
            }
            Err((why, hint)) => self.emit(Event::Error {
                code: "not_said",
                message: format!("that was not said: {why}"),
                hint: hint.into(),
            }),
        }
    }

    /// A member said a line.
    pub(super) fn on_chat(&mut self, peer: PeerId, chat: &Chat) {
        let now = self.chat_clock();
        if let Some(text) = self.chat.heard(peer, &chat.text, now) {
            let name = self.name_of(peer);
            self.emit(Event::Message { peer: peer.to_string(), name, text, me: false });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ChatState;
    use protocol::chat::{CHAT_BURST, CHAT_BURST_RECEIVED, CHAT_BYTES_MAX};
    use protocol::id::PeerId;
    use std::time::Duration;

    const NOW: Duration = Duration::from_secs(100);

    #[test]
    fn what_comes_is_neutralised_whatever_its_sender_did() {
        let mut chat = ChatState::new();
        let heard = chat.heard(PeerId([1; 32]), "hi\x1b[2J\nann: \u{202e}boo", NOW);
        assert_eq!(heard.as_deref(), Some("hi [2J ann: boo"));
        assert_eq!(chat.heard(PeerId([1; 32]), &"x".repeat(CHAT_BYTES_MAX + 1), NOW), None);
        assert_eq!(chat.dropped, 1);
    }

    #[test]
    fn a_flood_of_lines_is_dropped_and_counted_and_others_are_still_heard() {
        let mut chat = ChatState::new();
        let heard = (0..100).filter(|_| chat.heard(PeerId([1; 32]), "spam", NOW).is_some()).count();
        assert_eq!((heard, chat.dropped), (CHAT_BURST_RECEIVED as usize, 100 - heard as u64));
        assert!(chat.heard(PeerId([2; 32]), "hello", NOW).is_some());
        assert!(chat.heard(PeerId([1; 32]), "later", NOW + Duration::from_secs(60)).is_some());
        assert_eq!(chat.others.len(), 1, "who was silent for long is forgotten");
    }

    #[test]
    fn our_own_flood_is_refused_with_a_reason() {
        let mut chat = ChatState::new();
        for _ in 0..CHAT_BURST {
            assert!(chat.say("hello", NOW).is_ok());
        }
        assert!(chat.say("hello", NOW).is_err());
        assert!(chat.say("hello", NOW + Duration::from_secs(1)).is_ok());
    }
}
