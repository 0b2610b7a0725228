//! Who may open a connection: cheap proofs that are looked at before QUIC sees a packet.
//!
//! QUIC answers whoever sends it a first packet, with a certificate and a key exchange. A member's address therefore
//! answers nobody who has not shown first that this is worth it:
//!
//! - Whoever holds a ticket or is a member *knocks* ([`knock`]): a STUN Binding request with MESSAGE-INTEGRITY
//!   (RFC 8489, section 14.5), in front of each first packet. It costs no round trip, and it is never answered.
//! - Where a password opens the door as well, there is no key that a stranger could knock with: a MAC keyed by a
//!   password could be tried against a dictionary. A few strangers come in as they are; beyond these, a first packet is
//!   answered by a *challenge* ([`cookie`]), which only whoever is really at that address can return.
//!
//! The challenge does what QUIC's Retry would (RFC 9000, section 8.1.2), which our endpoints cannot use: without
//! connection ids, the packets that are repeated after a Retry look like connections of their own. With 48 bytes it
//! is also shorter than a Retry.
//!
//! [`Gate`] decides; it has no clock. What is beyond the first packet is left to whoever counts handshakes.

mod buckets;
pub mod cookie;
mod gate;
pub mod knock;
#[cfg(test)]
mod tests;

pub use buckets::Buckets;
pub use gate::{Gate, Keys, Strangers, Verdict};
pub use knock::{KnockKey, Name};
