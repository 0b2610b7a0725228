//! Whose datagram is it? STUN, TURN channel data and QUIC share one UDP socket.
//!
//! RFC 7983 and RFC 9443 tell them apart by the first byte. TURN channel data (0x40-0x4f) overlaps QUIC's
//! short headers, so it counts as such only from a TURN server in use; that the caller knows by address.
//! For datagrams from unknown sources the test is stricter than the RFCs ask: the first packet of a QUIC
//! version 1 connection in its full length (RFC 9000, section 14.1), or nothing.

const STUN_MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const STUN_HEADER_BYTES: usize = 20;
const QUIC_LONG_HEADER: u8 = 0x80;
const QUIC_FIXED_BIT: u8 = 0x40;
const QUIC_LONG_TYPE: u8 = 0x30;
const QUIC_VERSION_1: [u8; 4] = [0, 0, 0, 1];
/// RFC 9000, section 14.1: a client pads its first datagram to at least this.
const QUIC_INITIAL_BYTES_MIN: usize = 1200;

/// Who a datagram came from, as far as its address tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// A peer, or an address with a handshake under way.
    Known,
    /// A TURN server on which we hold an allocation.
    TurnServer,
    /// Anyone.
    Unknown,
}

/// Where a datagram goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// A STUN message (RFC 8489); its integrity is still to be checked.
    Stun,
    /// TURN channel data (RFC 8656, section 12.4).
    ChannelData,
    /// A QUIC packet.
    Quic,
    /// Nothing we answer: drop it silently.
    Drop,
}

/// Sorts one datagram.
pub fn classify(source: Source, datagram: &[u8]) -> Class {
    let Some(&first) = datagram.first() else { return Class::Drop };
    match first {
        0..=3 if is_stun(datagram) => Class::Stun,
        0x40..=0x4f if source == Source::TurnServer => Class::ChannelData,
        0x40..=0xff => match source {
            // Quinn would answer another version by naming ours (RFC 9000, section 6.1), and anybody's address is
            // known once a first packet came from there. Our versions are settled inside, so nobody needs that answer.
            Source::Known if is_other_version(datagram) => Class::Drop,
            Source::Known => Class::Quic,
            Source::Unknown if is_first_flight(datagram) => Class::Quic,
            Source::Unknown | Source::TurnServer => Class::Drop,
        },
        _ => Class::Drop,
    }
}

/// Whether this is a QUIC Initial that could open a connection: version 1, padded, with a connection id
/// chosen by the client (RFC 9000, section 7.2: at least eight bytes).
pub fn is_first_flight(datagram: &[u8]) -> bool {
    datagram.len() >= QUIC_INITIAL_BYTES_MIN
        && datagram[0] & (QUIC_LONG_HEADER | QUIC_FIXED_BIT | QUIC_LONG_TYPE)
            == QUIC_LONG_HEADER | QUIC_FIXED_BIT
        && datagram[1..5] == QUIC_VERSION_1
        && (8..=20).contains(&datagram[5])
}

/// A long header of any version but 1, including version negotiation itself (RFC 9000, section 17.2).
fn is_other_version(datagram: &[u8]) -> bool {
    datagram[0] & QUIC_LONG_HEADER != 0 && datagram.get(1..5) != Some(&QUIC_VERSION_1)
}

/// RFC 8489, section 5: two zero bits, the magic cookie, and a length that is a multiple of four and ends
/// with the datagram.
fn is_stun(datagram: &[u8]) -> bool {
    datagram.len() >= STUN_HEADER_BYTES
        && datagram[4..8] == STUN_MAGIC_COOKIE
        && usize::from(u16::from_be_bytes([datagram[2], datagram[3]])) == datagram.len() - STUN_HEADER_BYTES
        && datagram.len().is_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use super::{Class, Source, classify};
    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert_ne, proptest};

    fn stun() -> Vec<u8> {
        let mut message = vec![0, 1, 0, 4, 0x21, 0x12, 0xa4, 0x42];
        message.extend([7; 16]);
        message
    }

    fn initial() -> Vec<u8> {
        let mut datagram = vec![0xc3, 0, 0, 0, 1, 8];
        datagram.resize(1200, 0);
        datagram
    }

    #[test]
    fn stun_is_told_by_cookie_and_length() {
        assert_eq!(classify(Source::Unknown, &stun()), Class::Stun);
        let mut longer = stun();
        longer.extend([0; 4]);
        assert_eq!(classify(Source::Unknown, &longer), Class::Drop);
        let mut other = stun();
        other[4] = 0;
        assert_eq!(classify(Source::Unknown, &other), Class::Drop);
    }

    #[test]
    fn channel_data_counts_only_from_a_turn_server() {
        let data = [0x40, 0, 0, 4, 1, 2, 3, 4];
        assert_eq!(classify(Source::TurnServer, &data), Class::ChannelData);
        assert_eq!(classify(Source::Known, &data), Class::Quic);
        assert_eq!(classify(Source::Unknown, &data), Class::Drop);
    }

    #[test]
    fn a_stranger_may_only_open_a_quic_connection() {
        assert_eq!(classify(Source::Unknown, &initial()), Class::Quic);
        let mut short = initial();
        short.truncate(1199);
        assert_eq!(classify(Source::Unknown, &short), Class::Drop);
        let mut other_version = initial();
        other_version[4] = 2;
        assert_eq!(classify(Source::Unknown, &other_version), Class::Drop);
        let mut handshake = initial();
        handshake[0] = 0xe3;
        assert_eq!(classify(Source::Unknown, &handshake), Class::Drop);
    }

    #[test]
    fn other_versions_of_quic_are_answered_to_nobody() {
        for version in [0, 2, 0xff] {
            let mut datagram = initial();
            datagram[4] = version;
            assert_eq!(classify(Source::Known, &datagram), Class::Drop);
        }
        assert_eq!(classify(Source::Known, &[0xc0, 0, 0]), Class::Drop);
        assert_eq!(classify(Source::Known, &[0xe3, 0, 0, 0, 1, 0]), Class::Quic);
    }

    proptest! {
        #[test]
        fn short_garbage_from_strangers_never_reaches_quic(bytes in vec(any::<u8>(), 0..1199)) {
            prop_assert_ne!(classify(Source::Unknown, &bytes), Class::Quic);
        }
    }
}
