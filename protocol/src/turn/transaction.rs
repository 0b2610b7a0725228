//! Requests that wait for their answers (RFC 8489, section 6.2).

use super::Framing;
use crate::stun::TransactionId;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// A request is repeated after this, then after twice as long, and so on. Shorter than the RFC's 500 ms: a call waits.
const FIRST_TIMEOUT: Duration = Duration::from_millis(250);

/// How often it is sent in all: after 7.75 s it has failed.
const TRIES_MAX: u32 = 5;

/// For one that somebody suspects will not be answered: after 1.2 s it has failed.
const SHORT_TIMEOUT: Duration = Duration::from_millis(150);
const SHORT_TRIES_MAX: u32 = 3;

/// Over a stream nothing is repeated, only waited for.
const STREAM_TIMEOUT: Duration = Duration::from_secs(8);
const SHORT_STREAM_TIMEOUT: Duration = Duration::from_millis(1200);

/// What was asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Purpose {
    Allocate,
    Refresh,
    /// The allocation is to be moved to another address of ours.
    Move,
    Close,
    Permit(IpAddr),
    Bind(SocketAddr, u16),
    /// Whether the server still answers; keeps our NAT's mapping as well.
    Probe,
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) id: TransactionId,
    pub(super) purpose: Purpose,
    pub(super) bytes: Vec<u8>,
    pub(super) next: Duration,
    /// Challenges that the same question has met already.
    pub(super) challenges: u32,
    timeout: Duration,
    left: u32,
}

impl Transaction {
    pub(super) fn new(
        id: TransactionId,
        purpose: Purpose,
        bytes: Vec<u8>,
        framing: Framing,
        suspicious: bool,
        now: Duration,
    ) -> Self {
        let (timeout, tries) = match (framing, suspicious) {
            (Framing::Datagram, false) => (FIRST_TIMEOUT, TRIES_MAX),
            (Framing::Datagram, true) => (SHORT_TIMEOUT, SHORT_TRIES_MAX),
            (Framing::Stream, false) => (STREAM_TIMEOUT, 1),
            (Framing::Stream, true) => (SHORT_STREAM_TIMEOUT, 1),
        };
        Self { id, purpose, bytes, next: now + timeout, challenges: 0, timeout, left: tries - 1 }
    }

    /// Its time is up: whether it is to be sent again.
    pub(super) fn repeat(&mut self, now: Duration) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        self.timeout *= 2;
        self.next = now + self.timeout;
        true
    }
}
