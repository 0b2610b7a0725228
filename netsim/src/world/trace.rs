//! One number for everything that happened: two runs with the same trace went the same way.
//!
//! Times, ways, sizes and fates of packets go in, and the sound that was heard; the packets' contents do not, since
//! TLS draws its keys from the system and not from our seed.

use std::time::Duration;

/// What kind of thing is noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A packet left a host.
    Sent = 1,
    /// A packet reached a host.
    Delivered = 2,
    /// A packet was dropped.
    Dropped = 3,
    /// An event of a session.
    Event = 4,
    /// Sound was heard.
    Heard = 5,
}

/// The running hash.
#[derive(Debug, Default)]
pub struct Trace(blake3::Hasher);

impl Trace {
    /// Notes one happening: when, and two numbers whose meaning is the kind's.
    pub fn note(&mut self, kind: Kind, now: Duration, a: u64, b: u64) {
        let mut record = [0; 25];
        record[0] = kind as u8;
        record[1..9].copy_from_slice(&(now.as_nanos() as u64).to_le_bytes());
        record[9..17].copy_from_slice(&a.to_le_bytes());
        record[17..].copy_from_slice(&b.to_le_bytes());
        self.0.update(&record);
    }

    /// Notes words or samples.
    pub fn note_bytes(&mut self, kind: Kind, now: Duration, bytes: &[u8]) {
        self.note(kind, now, bytes.len() as u64, 0);
        self.0.update(bytes);
    }

    /// The hash so far, hex.
    pub fn hex(&self) -> String {
        self.0.finalize().to_hex()[..32].to_string()
    }
}
