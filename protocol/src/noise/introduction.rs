//! What each side says about itself inside Noise.

use std::convert::Infallible;

use minicbor::decode::Error as DecodeError;
use minicbor::encode::Error as EncodeError;
use minicbor::{Decoder, Encoder};

use super::reason::RefuseReason;
use crate::id::PeerId;
use crate::identity;
use crate::limits::HANDSHAKE_PAYLOAD_BYTES_MAX;
use crate::name::DisplayName;

/// Fields of a map from outside. More are malformed: the known ones are three.
const FIELDS_MAX: u64 = 16;

/// A peer whose key is its own.
#[derive(Debug, Clone)]
pub(super) struct Introduction {
    pub(super) peer: PeerId,
    pub(super) name: DisplayName,
    pub(super) payload: Vec<u8>,
}

struct Fields<'a> {
    peer: PeerId,
    name: &'a str,
    payload: &'a [u8],
}

pub(super) fn encode(peer: PeerId, name: &DisplayName, payload: &[u8]) -> Vec<u8> {
    let mut map = Encoder::new(Vec::with_capacity(64 + payload.len()));
    match write_fields(&mut map, peer, name, payload) {
        Ok(()) => map.into_writer(),
        Err(_) => unreachable!("a vector takes every write"),
    }
}

/// Reads what `noise_key`'s owner said, and checks that the peer id is of that key.
pub(super) fn decode(
    plaintext: &[u8],
    noise_key: &[u8],
    ourselves: PeerId,
) -> Result<Introduction, RefuseReason> {
    let fields = read_fields(plaintext).ok().flatten().ok_or(RefuseReason::Malformed)?;
    if fields.payload.len() > HANDSHAKE_PAYLOAD_BYTES_MAX {
        return Err(RefuseReason::Malformed);
    }
    if identity::noise_key(&fields.peer).map_err(|_| RefuseReason::UnexpectedPeer)? != noise_key {
        return Err(RefuseReason::UnexpectedPeer);
    }
    if fields.peer == ourselves {
        return Err(RefuseReason::SameIdentity);
    }
    Ok(Introduction {
        peer: fields.peer,
        name: DisplayName::new(fields.name),
        payload: fields.payload.to_vec(),
    })
}

fn write_fields(
    map: &mut Encoder<Vec<u8>>,
    peer: PeerId,
    name: &DisplayName,
    payload: &[u8],
) -> Result<(), EncodeError<Infallible>> {
    map.map(2 + u64::from(!payload.is_empty()))?;
    map.u8(0)?.bytes(&peer.0)?;
    map.u8(1)?.str(name.as_str())?;
    if !payload.is_empty() {
        map.u8(2)?.bytes(payload)?;
    }
    Ok(())
}

/// `None` if a field is missing or comes twice.
fn read_fields(plaintext: &[u8]) -> Result<Option<Fields<'_>>, DecodeError> {
    let mut map = Decoder::new(plaintext);
    let Some(count) = map.map()?.filter(|&count| count <= FIELDS_MAX) else { return Ok(None) };
    let (mut peer, mut name, mut payload) = (None, None, None);
    for _ in 0..count {
        let twice = match map.u64()? {
            0 => peer.replace(map.bytes()?).is_some(),
            1 => name.replace(map.str()?).is_some(),
            2 => payload.replace(map.bytes()?).is_some(),
            3.. => {
                map.skip()?;
                false
            }
        };
        if twice {
            return Ok(None);
        }
    }
    let peer = peer.and_then(|bytes| bytes.try_into().ok()).map(PeerId);
    Ok(peer.zip(name).map(|(peer, name)| Fields { peer, name, payload: payload.unwrap_or_default() }))
}
