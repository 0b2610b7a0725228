//! What fuzzing runs: one plain function for everything that reads what a stranger sent.
//!
//! Each takes bytes, feeds them to one reader or state machine, and panics when a promise is broken. The
//! same bodies run under libFuzzer (`fuzz_targets`), and over a bounded number of random and mutated inputs
//! in `cargo test` (`tests/smoke.rs`), which needs no nightly toolchain:
//!
//! ```text
//! cargo test --manifest-path fuzz/Cargo.toml
//! cargo +nightly fuzz run --features libfuzzer ticket
//! ```
//!
//! A new target is a function here, five lines in `fuzz_targets`, an entry in `Cargo.toml`, and a row with
//! valid examples in `tests/smoke.rs`. An input that once broke a promise becomes an example there.

mod door;
mod group;
mod handshake;
mod paths;
mod voice;

pub use door::{door, example_knock};
pub use group::group_operations;
pub use handshake::handshake;
pub use paths::{ice_messages, ice_operations, reply, turn_operations, turn_stream};
pub use voice::{reception_report, voice_packet, voice_stream};

use data_encoding::BASE32_NOPAD;
use protocol::control::{Message, MessageReader};
use protocol::demux::{Class, Source, classify};
use protocol::invite::Ticket;
use protocol::limits::{CANDIDATES_MAX, NAME_CHARS_MAX, TICKET_CHARS_MAX, TICKET_RELAYS_MAX};
use protocol::name::DisplayName;

/// Reads the input as the line itself, and as the body of a line whose length and checksum are right: chance
/// never gets past those.
pub fn ticket(data: &[u8]) {
    ticket_line(&String::from_utf8_lossy(data));
    if data.len() < 2048 {
        ticket_line(&line_around(data));
    }
}

/// The line whose body is `body`.
pub fn line_around(body: &[u8]) -> String {
    let mut bytes = (body.len() as u16).to_be_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes.extend_from_slice(&blake3::derive_key("roundtable 1 ticket checksum", body)[..5]);
    format!("rt1{}", BASE32_NOPAD.encode(&bytes).to_lowercase())
}

fn ticket_line(line: &str) {
    let Ok(ticket) = line.parse::<Ticket>() else { return };
    assert!(ticket.candidates.len() <= CANDIDATES_MAX && ticket.relays.len() <= TICKET_RELAYS_MAX);
    let written = ticket.to_string();
    // What a ticket skipped of a later version it does not write, so it never grows.
    assert!(written.len() <= TICKET_CHARS_MAX, "{} characters", written.len());
    assert!(written.parse::<Ticket>().as_ref() == Ok(&ticket), "{ticket:?} did not read back");
    let _ = ticket.check(u64::MAX);
}

/// Reads a stream in two ways of cutting it: the messages are the same, and each reads back as written.
pub fn control(data: &[u8]) {
    let Some((&step, stream)) = data.split_first() else { return };
    let whole = messages(stream, stream.len().max(1));
    let pieces = messages(stream, usize::from(step).max(1));
    assert_eq!(whole, pieces);
    for message in &whole.0 {
        assert_eq!(messages(&message.encode(), usize::MAX), (vec![message.clone()], true));
    }
}

/// The messages of a stream up to its end or first fault, and whether it had none.
fn messages(stream: &[u8], step: usize) -> (Vec<Message>, bool) {
    let mut reader = MessageReader::default();
    let mut found = Vec::new();
    for piece in stream.chunks(step) {
        reader.push(piece);
        loop {
            match reader.next_message() {
                Ok(Some(message)) => found.push(message),
                Ok(None) => break,
                Err(_) => return (found, false),
            }
        }
    }
    (found, true)
}

/// Strangers get nothing through but a STUN message and the first flight of a QUIC connection.
pub fn demux(data: &[u8]) {
    let known = classify(Source::Known, data);
    let relay = classify(Source::TurnServer, data);
    let stranger = classify(Source::Unknown, data);
    assert!(!matches!(known, Class::ChannelData));
    assert!(!matches!(stranger, Class::ChannelData));
    assert!(stranger == Class::Drop || stranger == known, "a stranger gets more than a member");
    assert!(stranger != Class::Quic || data.len() >= 1200, "a short first flight");
    assert_eq!(relay == Class::Stun, known == Class::Stun);
}

/// A name is short, has no control character, and is already its own safe form.
pub fn name(data: &[u8]) {
    let name = DisplayName::new(&String::from_utf8_lossy(data));
    assert!(name.as_str().chars().count() <= NAME_CHARS_MAX);
    assert!(!name.as_str().chars().any(char::is_control));
    assert_eq!(DisplayName::new(name.as_str()), name);
}
