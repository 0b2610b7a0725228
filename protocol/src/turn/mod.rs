//! A client of TURN servers (RFC 8656), without sockets and clocks.
//!
//! [`Client`] is one allocation: it asks for it, answers the server's challenge (RFC 8489, section 9.2), refreshes it
//! with its permissions and channels, and wraps and unwraps what peers send. Bytes in, bytes out; over a stream
//! [`StreamReader`] cuts what comes in into frames.
//!
//! Left out: EVEN-PORT and reservations, TCP peers (RFC 6062), DONT-FRAGMENT, ICMP, and the SHA-256 credentials of
//! RFC 8489, which no server that is in use insists on.

mod client;
mod error;
mod peers;
mod stream;
mod transaction;
mod uri;
mod wrapping;

pub use client::{Client, ClientConfig, Event, Family, Framing, Input};
pub use error::TurnError;
pub use stream::{StreamError, StreamReader};
pub use uri::{Transport, TurnServer, UriError};

#[cfg(test)]
mod tests;
