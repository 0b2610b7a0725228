//! A ticket's body: the CBOR map described in the parent module.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use minicbor::decode::Error as DecodeError;
use minicbor::encode::Error as EncodeError;
use minicbor::{Decoder, Encoder};
use zeroize::Zeroizing;

use super::{Door, Ticket, TicketId, TicketSecret};
use crate::id::{GroupId, PeerId};
use crate::limits::{
    CANDIDATES_MAX, DOOR_ADDRESSES_MAX, DOORS_MAX, TICKET_RELAY_BYTES_MAX, TICKET_RELAYS_MAX,
};
use crate::reach::Reach;

/// Fields of a map from outside. More are malformed: the known ones are nine.
const FIELDS_MAX: u64 = 64;

pub(super) fn encode(ticket: &Ticket) -> Zeroizing<Vec<u8>> {
    // Enough for the largest body, so that growing leaves no copy of the secret behind.
    let mut body = Encoder::new(Vec::with_capacity(2048));
    match write_fields(ticket, &mut body) {
        Ok(()) => Zeroizing::new(body.into_writer()),
        Err(_) => unreachable!("a vector takes every write"),
    }
}

/// `None` for anything but a map that holds each required field once, and nothing after it.
pub(super) fn decode(body: &[u8]) -> Option<Ticket> {
    read_fields(&mut Decoder::new(body), body.len()).ok().flatten()
}

fn write_fields(ticket: &Ticket, body: &mut Encoder<Vec<u8>>) -> Result<(), EncodeError<Infallible>> {
    let relays: Vec<&String> = ticket
        .relays
        .iter()
        .filter(|relay| relay.len() <= TICKET_RELAY_BYTES_MAX)
        .take(TICKET_RELAYS_MAX)
        .collect();
    let others = &ticket.others[..ticket.others.len().min(DOORS_MAX)];
    body.map(7 + u64::from(!relays.is_empty()) + u64::from(!others.is_empty()))?;
    body.u8(0)?.bytes(&ticket.group.0)?;
    body.u8(1)?.bytes(&ticket.issuer.0)?;
    body.u8(2)?.bytes(&ticket.id.0)?;
    body.u8(3)?.bytes(ticket.secret.as_bytes())?;
    body.u8(4)?.u64(ticket.expires_at)?;
    body.u8(5)?.u32(ticket.uses)?;
    body.u8(6)?;
    write_candidates(&ticket.candidates, CANDIDATES_MAX, body)?;
    if !relays.is_empty() {
        body.u8(7)?.array(relays.len() as u64)?;
        for relay in relays {
            body.str(relay)?;
        }
    }
    if !others.is_empty() {
        body.u8(8)?.array(others.len() as u64)?;
        for Door { member, reach } in others {
            let relays = reach.relay_texts();
            body.map(3)?.u8(0)?.bytes(&member.0)?.u8(1)?;
            write_candidates(&reach.addresses, DOOR_ADDRESSES_MAX, body)?;
            body.u8(2)?.array(relays.len() as u64)?;
            for relay in relays {
                body.str(&relay)?;
            }
        }
    }
    Ok(())
}

fn write_candidates(
    candidates: &[SocketAddr],
    most: usize,
    body: &mut Encoder<Vec<u8>>,
) -> Result<(), EncodeError<Infallible>> {
    let candidates = &candidates[..candidates.len().min(most)];
    body.array(candidates.len() as u64)?;
    for candidate in candidates {
        let port = candidate.port().to_be_bytes();
        match candidate.ip() {
            IpAddr::V4(ip) => body.bytes(&[&ip.octets()[..], &port].concat())?,
            IpAddr::V6(ip) => body.bytes(&[&ip.octets()[..], &port].concat())?,
        };
    }
    Ok(())
}

fn read_fields(body: &mut Decoder<'_>, len: usize) -> Result<Option<Ticket>, DecodeError> {
    let Some(count) = body.map()?.filter(|&count| count <= FIELDS_MAX) else { return Ok(None) };
    let (mut group, mut issuer, mut id, mut secret) = (None, None, None, None);
    let (mut expires_at, mut uses, mut candidates, mut relays) = (None, None, None, None);
    let mut others = None;
    for _ in 0..count {
        // A field that comes twice could be read differently by two programs.
        let twice = match body.u64()? {
            0 => group.replace(GroupId(array(body)?)).is_some(),
            1 => issuer.replace(PeerId(array(body)?)).is_some(),
            2 => id.replace(TicketId(array(body)?)).is_some(),
            3 => secret.replace(TicketSecret::from_bytes(array(body)?)).is_some(),
            4 => expires_at.replace(body.u64()?).is_some(),
            5 => uses.replace(body.u32()?).is_some(),
            6 => candidates.replace(read_candidates(body)?).is_some(),
            7 => relays.replace(read_relays(body)?).is_some(),
            8 => others.replace(read_doors(body)?).is_some(),
            9.. => {
                body.skip()?;
                false
            }
        };
        if twice {
            return Ok(None);
        }
    }
    let whole = body.position() == len;
    let ticket = || {
        Some(Ticket {
            group: group?,
            issuer: issuer?,
            id: id?,
            secret: secret?,
            expires_at: expires_at?,
            uses: uses?,
            candidates: candidates?,
            relays: relays.unwrap_or_default(),
            others: others.unwrap_or_default(),
        })
    };
    Ok(if whole { ticket() } else { None })
}

fn array<const N: usize>(body: &mut Decoder<'_>) -> Result<[u8; N], DecodeError> {
    body.bytes()?.try_into().map_err(|_| DecodeError::message("a field of another length"))
}

/// Addresses of an unknown length are skipped: they belong to a kind invented later.
fn read_candidates(body: &mut Decoder<'_>) -> Result<Vec<SocketAddr>, DecodeError> {
    let count = body.array()?.ok_or_else(|| DecodeError::message("an array without a length"))?;
    let mut candidates = Vec::new();
    for _ in 0..count {
        let Some((ip, port)) = body.bytes()?.split_last_chunk::<2>() else { continue };
        let ip = match ip.len() {
            4 => <[u8; 4]>::try_from(ip).map(IpAddr::from),
            _ => <[u8; 16]>::try_from(ip).map(IpAddr::from),
        };
        if let Ok(ip) = ip
            && candidates.len() < CANDIDATES_MAX
        {
            candidates.push(SocketAddr::new(ip, u16::from_be_bytes(*port)));
        }
    }
    Ok(candidates)
}

/// Doors without a member are skipped.
fn read_doors(body: &mut Decoder<'_>) -> Result<Vec<Door>, DecodeError> {
    let count = body.array()?.ok_or_else(|| DecodeError::message("an array without a length"))?;
    let mut doors = Vec::new();
    for _ in 0..count {
        let fields = body.map()?.ok_or_else(|| DecodeError::message("a map without a length"))?;
        let (mut member, mut reach) = (None, Reach::default());
        for _ in 0..fields {
            match body.u64()? {
                0 => member = Some(PeerId(array(body)?)),
                1 => reach.addresses = read_candidates(body)?,
                2 => {
                    reach.relays = read_relays(body)?.iter().filter_map(|relay| relay.parse().ok()).collect()
                }
                3.. => body.skip()?,
            }
        }
        reach.addresses.truncate(DOOR_ADDRESSES_MAX);
        reach.relays.truncate(1);
        if let Some(member) = member
            && doors.len() < DOORS_MAX
        {
            doors.push(Door { member, reach });
        }
    }
    Ok(doors)
}

fn read_relays(body: &mut Decoder<'_>) -> Result<Vec<String>, DecodeError> {
    let count = body.array()?.ok_or_else(|| DecodeError::message("an array without a length"))?;
    let mut relays = Vec::new();
    for _ in 0..count {
        let relay = body.str()?;
        if relay.len() <= TICKET_RELAY_BYTES_MAX && relays.len() < TICKET_RELAYS_MAX {
            relays.push(relay.to_owned());
        }
    }
    Ok(relays)
}
