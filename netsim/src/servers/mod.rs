//! STUN and TURN servers of the simulated internet.
//!
//! Pure machines: a datagram and the time go in, datagrams come out; the world owns the sockets. Messages are
//! encoded and decoded by `stun-rs`, so a client under test talks to an implementation of the formats that
//! is not its own.

mod channel_data;
mod message;
mod stun;
mod turn;

use std::net::SocketAddr;

use crate::nat::Transport;

pub use channel_data::{ChannelData, FramingError, next_frame};
pub use stun::{BadAlternate, StunServer};
pub use turn::{BadCredentials, PeerRule, PeerRuleError, TurnConfig, TurnServer};

/// What a server wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send `bytes` from one of the server's addresses: a whole datagram, or over TCP the next bytes of the
    /// connection that `from` and `to` name. What a TURN server relays is always UDP.
    Send {
        /// Over which transport.
        transport: Transport,
        /// The server's address: one it listens on, or a relayed one.
        from: SocketAddr,
        /// The receiver.
        to: SocketAddr,
        /// The payload.
        bytes: Vec<u8>,
    },
}
