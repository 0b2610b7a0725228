//! What each side says about itself inside Noise.

use std::convert::Infallible;

use minicbor::decode::Error as DecodeError;
use minicbor::encode::Error as EncodeError;
use minicbor::{Decoder, Encoder};

use super::reason::RefuseReason;
use crate::id::PeerId;
use crate::identity::{SIGNED_NOISE_KEY_BYTES, SignedNoiseKey};
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
    signed_key: [u8; SIGNED_NOISE_KEY_BYTES],
    name: &'a str,
    payload: &'a [u8],
}

pub(super) fn encode(signed_key: &SignedNoiseKey, name: &DisplayName, payload: &[u8]) -> Vec<u8> {
    let mut map = Encoder::new(Vec::with_capacity(160 + payload.len()));
    match write_fields(&mut map, signed_key, name, payload) {
        Ok(()) => map.into_writer(),
        Err(_) => unreachable!("a vector takes every write"),
    }
}

/// Reads what `noise_key`'s owner said, and checks that it speaks of that key.
pub(super) fn decode(
    plaintext: &[u8],
    noise_key: &[u8],
    ourselves: PeerId,
) -> Result<Introduction, RefuseReason> {
    let fields = read_fields(plaintext).ok().flatten().ok_or(RefuseReason::Malformed)?;
    if fields.payload.len() > HANDSHAKE_PAYLOAD_BYTES_MAX {
        return Err(RefuseReason::Malformed);
    }
    let signed_key = SignedNoiseKey::verify(&fields.signed_key).map_err(|_| RefuseReason::UnexpectedPeer)?;
    if signed_key.noise_key() != noise_key {
        return Err(RefuseReason::UnexpectedPeer);
    }
    if signed_key.peer() == ourselves {
        return Err(RefuseReason::SameIdentity);
    }
    Ok(Introduction {
        peer: signed_key.peer(),
        name: DisplayName::new(fields.name),
        payload: fields.payload.to_vec(),
    })
}

fn write_fields(
    map: &mut Encoder<Vec<u8>>,
    signed_key: &SignedNoiseKey,
    name: &DisplayName,
    payload: &[u8],
) -> Result<(), EncodeError<Infallible>> {
    map.map(2 + u64::from(!payload.is_empty()))?;
    map.u8(0)?.bytes(&signed_key.encode())?;
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
    let (mut signed_key, mut name, mut payload) = (None, None, None);
    for _ in 0..count {
        let twice = match map.u64()? {
            0 => signed_key.replace(map.bytes()?).is_some(),
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
    let signed_key = signed_key.and_then(|bytes| bytes.try_into().ok());
    Ok(signed_key.zip(name).map(|(signed_key, name)| Fields {
        signed_key,
        name,
        payload: payload.unwrap_or_default(),
    }))
}
