//! Meeting by chance: one side's NAT uses another random port for each destination, the other's keeps its port.
//!
//! The side with random ports opens many sockets, each with a port of its own at its NAT, and sends from all of them to
//! the other side's address. The other side sends to random ports. As soon as one of its packets goes to one of the
//! opened ports, both NATs let it in: with 256 open of 64,512 ports, half of all tries take 175 packets (the *birthday
//! paradox* is what made the name, though the odds here are those of a lottery). It fills the routers' tables, so it is
//! bounded, paced, and only ever tried between members who know each other.

use crate::stun::TransactionId;
use std::net::SocketAddr;
use std::time::Duration;

/// Sockets that are opened on the side with random ports.
pub(super) const SPARES: u16 = 256;

/// Between two packets to random ports: 800 in a second.
const PACE: Duration = Duration::from_micros(1250);

/// Packets to random ports, in all.
const PROBES_MAX: u32 = 8000;

const PORTS: u32 = 65536 - 1024;

/// Packets to random ports of one address, no port twice.
#[derive(Debug)]
pub(super) struct Probing {
    to: SocketAddr,
    key: [u8; 32],
    /// Ports are taken in the order `start + step * n`, with a step that has no factor in common with their number.
    start: u32,
    step: u32,
    sent: u32,
    pub(super) next: Duration,
}

impl Probing {
    pub(super) fn new(to: SocketAddr, key: [u8; 32], now: Duration) -> Self {
        let word = |at: usize| u32::from_le_bytes([key[at], key[at + 1], key[at + 2], key[at + 3]]);
        let coprime =
            |step: &u32| !step.is_multiple_of(2) && !step.is_multiple_of(3) && !step.is_multiple_of(7);
        // 64512 = 2^10 * 3^2 * 7
        let step = (word(0) % PORTS..).find(coprime).unwrap_or(1);
        Self { to, key, start: word(4) % PORTS, step, sent: 0, next: now }
    }

    /// The next address to send to, and by which transaction; `None` when it was enough.
    pub(super) fn next(&mut self, now: Duration) -> Option<(SocketAddr, TransactionId)> {
        if self.sent >= PROBES_MAX {
            return None;
        }
        let offset = u64::from(self.start) + u64::from(self.step) * u64::from(self.sent);
        let port = 1024 + (offset % u64::from(PORTS)) as u16;
        self.sent += 1;
        self.next = now + PACE;
        Some((SocketAddr::new(self.to.ip(), port), self.transaction(port)))
    }

    /// Whether an answer from there is to one of the packets: no list of thousands is kept.
    pub(super) fn is_answer(&self, from: SocketAddr, id: TransactionId) -> bool {
        from.ip() == self.to.ip() && id == self.transaction(from.port())
    }

    fn transaction(&self, port: u16) -> TransactionId {
        let hash = blake3::keyed_hash(&self.key, &port.to_be_bytes());
        TransactionId(*hash.as_bytes().first_chunk().expect("a hash has 32 bytes"))
    }
}
