//! The challenge to a stranger: are you really where your packet says you are?
//!
//! Stateless: the cookie is a MAC of the address and the time (as in RFC 9000, section 8.1.4), so a flood from forged
//! addresses leaves nothing behind. All messages are STUN in form (RFC 8489), so that they pass wherever checks pass:
//!
//! | message | bytes | content |
//! |---|---|---|
//! | challenge | 48 | Binding error response 401 with a NONCE: the cookie. Its transaction id is taken from the first packet |
//! | answer | 40 | Binding request with that NONCE, followed by the first packet once more |
//!
//! The transaction id is the beginning of the connection id that the client chose, at random: nobody who did not see
//! the first packet can make its sender repeat it.

use crate::path::{Route, Via};
use std::net::IpAddr;

/// Bytes of a challenge: 4 % of the first packet that it answers (RFC 9000, section 14.1).
pub const CHALLENGE_BYTES: usize = 48;

/// Bytes of an answer.
pub const ANSWER_BYTES: usize = 40;

/// 64 bits against guessing, where a guess costs a packet and is worth one handshake at most.
pub type Cookie = [u8; 16];

/// A cookie is good in the slot of time it was made in, and in the next: longer than any round trip, and too short for
/// collecting many.
const SLOT_SECONDS: u64 = 8;

const HEADER_BYTES: usize = 20;
const MAGIC: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const NONCE: [u8; 4] = [0, 0x15, 0, 16];
/// ERROR-CODE: 401, without a phrase.
const UNAUTHENTICATED: [u8; 8] = [0, 9, 0, 4, 0, 0, 4, 1];

/// Makes and knows cookies.
pub struct CookieJar([u8; 32]);

impl CookieJar {
    /// With a key from a source of randomness.
    pub fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The cookie of an address, `seconds` after some zero.
    pub fn cookie(&self, from: Route, seconds: u64) -> Cookie {
        self.of_slot(from, seconds / SLOT_SECONDS)
    }

    /// Whether this is a cookie of this address, not older than two slots.
    pub fn knows(&self, cookie: &Cookie, from: Route, seconds: u64) -> bool {
        use subtle::ConstantTimeEq;
        let slot = seconds / SLOT_SECONDS;
        let is = |slot| bool::from(self.of_slot(from, slot).ct_eq(cookie));
        is(slot) || slot.checked_sub(1).is_some_and(is)
    }

    fn of_slot(&self, from: Route, slot: u64) -> Cookie {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&slot.to_be_bytes());
        match from.via {
            Via::Socket => hasher.update(&[0]),
            Via::Spare(number) => hasher.update(&[1]).update(&number.to_be_bytes()),
            Via::Relay(relay) => hasher.update(&[2, relay.0]),
        };
        match from.to.ip() {
            IpAddr::V4(v4) => hasher.update(&v4.octets()),
            IpAddr::V6(v6) => hasher.update(&v6.octets()),
        };
        hasher.update(&from.to.port().to_be_bytes());
        let hash = hasher.finalize();
        let mut cookie = [0; 16];
        // A NONCE is text (RFC 8489, section 14.10).
        data_encoding::HEXLOWER.encode_mut(&hash.as_bytes()[..8], &mut cookie);
        cookie
    }
}

/// What a challenge to this first packet is to be recognised by; `None` when it is too short to be one.
pub fn token_of(first_packet: &[u8]) -> Option<[u8; 12]> {
    // Behind flags, version and the id's length (RFC 9000, section 17.2).
    first_packet.get(6..18)?.try_into().ok()
}

/// A challenge.
pub fn challenge(token: [u8; 12], cookie: &Cookie) -> [u8; CHALLENGE_BYTES] {
    let mut message = [0; CHALLENGE_BYTES];
    message[..4].copy_from_slice(&[1, 0x11, 0, (CHALLENGE_BYTES - HEADER_BYTES) as u8]);
    message[4..8].copy_from_slice(&MAGIC);
    message[8..20].copy_from_slice(&token);
    message[20..28].copy_from_slice(&UNAUTHENTICATED);
    message[28..32].copy_from_slice(&NONCE);
    message[32..].copy_from_slice(cookie);
    message
}

/// The token and the cookie of a challenge, if it is one.
pub fn read_challenge(datagram: &[u8]) -> Option<([u8; 12], Cookie)> {
    let message: &[u8; CHALLENGE_BYTES] = datagram.try_into().ok()?;
    let (token, cookie) = (message[8..20].try_into().ok()?, message[32..].try_into().ok()?);
    (*message == challenge(token, &cookie)).then_some((token, cookie))
}

/// The answer to a challenge.
pub fn answer(token: [u8; 12], cookie: &Cookie) -> [u8; ANSWER_BYTES] {
    let mut message = [0; ANSWER_BYTES];
    message[..4].copy_from_slice(&[0, 1, 0, (ANSWER_BYTES - HEADER_BYTES) as u8]);
    message[4..8].copy_from_slice(&MAGIC);
    message[8..20].copy_from_slice(&token);
    message[20..24].copy_from_slice(&NONCE);
    message[24..].copy_from_slice(cookie);
    message
}

/// The cookie of an answer, if it is one.
pub fn read_answer(datagram: &[u8]) -> Option<Cookie> {
    let message: &[u8; ANSWER_BYTES] = datagram.try_into().ok()?;
    let (token, cookie) = (message[8..20].try_into().ok()?, message[24..].try_into().ok()?);
    (*message == answer(token, &cookie)).then_some(cookie)
}
