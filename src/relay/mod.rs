//! `roundtable relay`: a TURN and STUN server for people who have a public machine and no TURN server yet.
//!
//! Two members behind NATs that let nobody in meet here, and stay here when no direct path comes up. It relays
//! between its own clients only, which is all that a call asks of a TURN server, and nothing that an abuser of an
//! open relay could want: it never sends a datagram to an address that did not write to it first, and opens no
//! port but the one that it listens on. Relayed addresses are numbers in its tables.
//!
//! - [`credentials`]: who is let in: passwords that follow from a shared secret and end by themselves
//! - [`framing`]: what is a whole message; everything else is dropped before it is read
//! - [`server`]: what is done with a message; no sockets and no clock
//! - [`allocation`]: what one client holds: its relayed address, permissions and channels
//! - [`allowance`]: how much one user and one stranger may have
//! - [`address`]: at which address others reach this machine
//! - [`run`](mod@run): the sockets
//!
//! # What the crate `turn-server` does here, and what not
//!
//! Its messages, digests and port table are used; its sockets, sessions and routing are not. As of 4.1.5 those
//! panic on a truncated attribute, add the padding of a TCP frame to what they relay, want a permission to name
//! the port of a client that is there already (RFC 8656 section 9: ports are ignored), need no permission of the
//! receiver, drop what comes over a channel unless both ends bound one, never find a nonce stale, let credentials
//! in that ended, and limit neither users nor strangers.
//!
//! # What is left out
//!
//! Peers that are no clients (403), TCP allocations (RFC 6062), TLS (a call is encrypted anyway; where only port
//! 443 is open, use coturn), mobility (RFC 8016: a client that moved allocates anew), EVEN-PORT and reservations
//! (508), DONT-FRAGMENT and ICMP (there is no datagram to a peer), alternate servers, SHA-256 credentials.

pub mod address;
pub mod allocation;
pub mod allowance;
pub mod credentials;
pub mod framing;
mod messages;
mod nonce;
pub mod run;
pub mod server;

pub use run::{Sockets, run};
pub use server::{Client, External, Limits, Server};
