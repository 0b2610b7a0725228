//! Data with a peer: ChannelData (RFC 8656, section 12.4), Send and Data indications (sections 11.1 and 11.4). Written
//! by hand, since each voice packet goes through here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const SEND_INDICATION: [u8; 2] = [0x00, 0x16];
const DATA_INDICATION: [u8; 2] = [0x00, 0x17];
const XOR_PEER_ADDRESS: u16 = 0x0012;
const DATA: u16 = 0x0013;

/// ChannelData; padded on a stream.
pub(super) fn channel_data(number: u16, payload: &[u8], padded: bool, out: &mut Vec<u8>) -> bool {
    let Ok(length) = u16::try_from(payload.len()) else { return false };
    out.extend(number.to_be_bytes());
    out.extend(length.to_be_bytes());
    out.extend_from_slice(payload);
    if padded {
        out.resize(out.len().next_multiple_of(4), 0);
    }
    true
}

/// The channel and payload of ChannelData.
pub(super) fn read_channel_data(message: &[u8]) -> Option<(u16, &[u8])> {
    let (&[a, b, high, low], rest) = message.split_first_chunk::<4>()?;
    let number = u16::from_be_bytes([a, b]);
    let length = usize::from(u16::from_be_bytes([high, low]));
    Some((number, rest.get(..length)?)).filter(|_| (0x4000..0x5000).contains(&number))
}

/// A Send indication.
pub(super) fn send_indication(id: [u8; 12], peer: SocketAddr, payload: &[u8], out: &mut Vec<u8>) -> bool {
    let address = if peer.is_ipv4() { 8 } else { 20 };
    let padded = payload.len().next_multiple_of(4);
    let Ok(length) = u16::try_from(4 + address + 4 + padded) else { return false };
    out.extend(SEND_INDICATION);
    out.extend(length.to_be_bytes());
    out.extend(COOKIE);
    out.extend(id);
    out.extend(XOR_PEER_ADDRESS.to_be_bytes());
    out.extend((address as u16).to_be_bytes());
    out.extend([0, if peer.is_ipv4() { 1 } else { 2 }]);
    out.extend((peer.port() ^ 0x2112).to_be_bytes());
    let mask: Vec<u8> = COOKIE.into_iter().chain(id).collect();
    match peer.ip() {
        IpAddr::V4(ip) => out.extend(ip.octets().iter().zip(&mask).map(|(a, b)| a ^ b)),
        IpAddr::V6(ip) => out.extend(ip.octets().iter().zip(&mask).map(|(a, b)| a ^ b)),
    }
    out.extend(DATA.to_be_bytes());
    out.extend((payload.len() as u16).to_be_bytes());
    out.extend_from_slice(payload);
    out.resize(out.len() + padded - payload.len(), 0);
    true
}

/// The peer and payload of a Data indication.
pub(super) fn read_data_indication(message: &[u8]) -> Option<(SocketAddr, &[u8])> {
    if message.get(..2)? != DATA_INDICATION || message.get(4..8)? != COOKIE {
        return None;
    }
    let mask = message.get(4..20)?;
    let (mut peer, mut data) = (None, None);
    let mut rest = message.get(20..)?;
    while let Some((&[a, b, high, low], after)) = rest.split_first_chunk::<4>() {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let value = after.get(..length)?;
        match u16::from_be_bytes([a, b]) {
            XOR_PEER_ADDRESS => peer = Some(read_address(value, mask)?),
            DATA => data = Some(value),
            _ => {}
        }
        rest = after.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some((peer?, data?))
}

fn read_address(value: &[u8], mask: &[u8]) -> Option<SocketAddr> {
    let (&[_, family, high, low], ip) = value.split_first_chunk::<4>()?;
    let port = u16::from_be_bytes([high, low]) ^ 0x2112;
    let plain: Vec<u8> = ip.iter().zip(mask).map(|(a, b)| a ^ b).collect();
    let ip = match family {
        1 => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(plain).ok()?)),
        2 => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(plain).ok()?)),
        _ => return None,
    };
    Some(SocketAddr::new(ip.to_canonical(), port))
}
