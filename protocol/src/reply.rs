//! The reply code: the last way to meet, when no packet of a newcomer arrives.
//!
//! A newcomer whose packets the host's NAT or relay refuses prints a code with its own addresses. It travels by the
//! same chat as the ticket did, the other way; entered at the host it makes the host open its NAT and its relays for
//! packets from there, for a minute. It grants nothing: the newcomer still needs the ticket.
//!
//! The text is `rr1` and base32 (RFC 4648, lower case, no padding) of a CBOR array of addresses (4 or 16 bytes ‖ port)
//! and a checksum: the first 5 bytes of `BLAKE3.derive_key("roundtable 1 reply checksum", body)`.

use crate::limits::CANDIDATES_MAX;
use crate::reach::Reach;
use data_encoding::BASE32_NOPAD;
use minicbor::bytes::ByteVec;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

const PREFIX: &str = "rr1";
const CHECKSUM_BYTES: usize = 5;
const CHECKSUM_CONTEXT: &str = "roundtable 1 reply checksum";

/// Characters of a code; a longer text is none.
const CHARS_MAX: usize = 640;

/// Where a newcomer sends from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reply {
    /// Its addresses, relayed ones among them. Relays in it are not used.
    pub reach: Reach,
}

/// Why a text is no reply code.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReplyError {
    /// It begins with something else.
    #[error("it does not begin with rr1")]
    NotAReply,
    /// A letter is wrong or missing.
    #[error("a letter is wrong or missing")]
    Mistyped,
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = |address: &SocketAddr| {
            let port = address.port().to_be_bytes();
            let bytes = match address.ip() {
                IpAddr::V4(ip) => [&ip.octets()[..], &port].concat(),
                IpAddr::V6(ip) => [&ip.octets()[..], &port].concat(),
            };
            ByteVec::from(bytes)
        };
        let relayed = self.reach.relays.iter().map(|relay| &relay.address);
        let all = relayed.chain(&self.reach.addresses).take(CANDIDATES_MAX);
        let addresses: Vec<ByteVec> = all.map(bytes).collect();
        let mut code = minicbor::to_vec(addresses).expect("a vector takes all bytes");
        let sum = checksum(&code);
        code.extend(sum);
        write!(f, "{PREFIX}{}", BASE32_NOPAD.encode(&code).to_lowercase())
    }
}

impl FromStr for Reply {
    type Err = ReplyError;

    fn from_str(text: &str) -> Result<Self, ReplyError> {
        let text = text.trim().to_lowercase();
        let code = text.strip_prefix(PREFIX).ok_or(ReplyError::NotAReply)?;
        if code.len() > CHARS_MAX {
            return Err(ReplyError::Mistyped);
        }
        let bytes = BASE32_NOPAD.decode(code.to_uppercase().as_bytes()).map_err(|_| ReplyError::Mistyped)?;
        let (body, sum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(ReplyError::Mistyped)?;
        if checksum(body) != *sum {
            return Err(ReplyError::Mistyped);
        }
        let addresses: Vec<ByteVec> = minicbor::decode(body).map_err(|_| ReplyError::Mistyped)?;
        let texts: Vec<String> =
            addresses.iter().filter_map(|bytes| address(bytes)).map(|a| a.to_string()).collect();
        Ok(Self { reach: Reach::from_texts(&texts, &[]) })
    }
}

fn address(bytes: &[u8]) -> Option<SocketAddr> {
    let (ip, port) = bytes.split_last_chunk::<2>()?;
    let ip = match ip.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(ip).ok()?),
        16 => IpAddr::from(<[u8; 16]>::try_from(ip).ok()?),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes(*port)))
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let hash = blake3::derive_key(CHECKSUM_CONTEXT, body);
    *hash.first_chunk().expect("a hash has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::{Reply, ReplyError};
    use crate::reach::Reach;
    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert_eq, proptest};
    use std::net::{IpAddr, SocketAddr};

    #[test]
    fn a_code_survives_upper_case_and_a_wrong_letter_is_noticed() {
        let addresses = vec!["192.0.2.1:4700".parse().unwrap(), "[2001:db8::1]:5".parse().unwrap()];
        let reply = Reply { reach: Reach { addresses, relays: Vec::new() } };
        let code = reply.to_string();
        assert_eq!(code.to_uppercase().parse(), Ok(reply));
        assert_eq!(code[..code.len() - 1].parse::<Reply>(), Err(ReplyError::Mistyped));
        for at in 3..code.len() {
            let other = if &code[at..=at] == "b" { "c" } else { "b" };
            let wrong = format!("{}{other}{}", &code[..at], &code[at + 1..]);
            assert_eq!(wrong.parse::<Reply>(), Err(ReplyError::Mistyped), "{wrong}");
        }
        assert_eq!("rt1abc".parse::<Reply>(), Err(ReplyError::NotAReply));
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read(parts in vec((any::<IpAddr>(), 1u16..), 0..16)) {
            let texts: Vec<String> = parts.iter().map(|part| SocketAddr::from(*part).to_string()).collect();
            let reply = Reply { reach: Reach::from_texts(&texts, &[]) };
            prop_assert_eq!(reply.to_string().parse(), Ok(reply));
        }

        #[test]
        fn no_text_breaks_it(text: String) {
            let _ = text.parse::<Reply>();
            let _ = format!("rr1{text}").parse::<Reply>();
        }
    }
}
