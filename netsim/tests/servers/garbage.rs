//! Whatever comes in, the servers neither panic nor answer what they should not, nor grow beyond their limits.

use std::net::{IpAddr, SocketAddr};

use netsim::nat::Transport;
use netsim::servers::{ChannelData, StunServer, TurnConfig, TurnServer, next_frame};
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::{collection, proptest};
use stun_rs::attributes::mobility::MobilityTicket;
use stun_rs::attributes::turn::{
    ChannelNumber, Data, EvenPort, LifeTime, RequestedAddressFamily, RequestedTrasport, XorPeerAddress,
};
use stun_rs::methods::{ALLOCATE, BINDING, CHANNEL_BIND, CREATE_PERMMISSION, REFRESH, SEND};
use stun_rs::{AddressFamily, MessageClass, StunAttribute};

use crate::client::{Client, SERVER, config, encode, server};
use crate::{at, s};

/// Every kind of message that a server knows, with valid credentials of `client`.
fn valid(client: &mut Client) -> Vec<Vec<u8>> {
    let peer: StunAttribute = XorPeerAddress::from(at("192.0.2.1:1")).into();
    vec![
        encode(BINDING, MessageClass::Request, 1, vec![]),
        client.bytes(ALLOCATE, vec![RequestedTrasport::new(stun_rs::protocols::UDP).into()]),
        client.bytes(REFRESH, vec![LifeTime::from(600).into()]),
        client.bytes(CREATE_PERMMISSION, vec![peer.clone()]),
        client.bytes(CHANNEL_BIND, vec![ChannelNumber::new(0x4000).into(), peer.clone()]),
        encode(SEND, MessageClass::Indication, 1, vec![peer, Data::new(b"hello").into()]),
        ChannelData { channel: 0x4000, payload: b"hello" }.encode(true).unwrap(),
    ]
}

/// A change of a valid message: which one, where, to what, and where it is cut off.
fn mutation() -> impl Strategy<Value = (usize, Vec<(usize, u8)>, usize)> {
    let changes = collection::vec((0..220_usize, any::<u8>()), 0..6);
    // Mostly whole, as the head of a message alone is soon refused.
    let cut = prop_oneof![3 => Just(usize::MAX), 1 => 0..220_usize];
    (0..7_usize, changes, cut)
}

/// Any attribute that a client could think of, with any value.
fn attribute() -> impl Strategy<Value = StunAttribute> {
    prop_oneof![
        any::<u16>().prop_map(|number| ChannelNumber::new(number).into()),
        (0x4000..0x4004_u16).prop_map(|number| ChannelNumber::new(number).into()),
        prop_oneof![any::<u32>(), 0..2_u32].prop_map(|seconds| LifeTime::from(seconds).into()),
        any::<(IpAddr, u16)>().prop_map(|peer| XorPeerAddress::from(SocketAddr::from(peer)).into()),
        (1..5_u8).prop_map(|n| XorPeerAddress::from(SocketAddr::from(([192, 0, 2, n], 1))).into()),
        any::<bool>().prop_map(|six| {
            let family = if six { AddressFamily::IPv6 } else { AddressFamily::IPv4 };
            RequestedAddressFamily::new(family).into()
        }),
        any::<bool>().prop_map(|reserve| EvenPort::new(reserve).into()),
        any::<Vec<u8>>().prop_map(|ticket| MobilityTicket::new(ticket).into()),
        Just(RequestedTrasport::new(stun_rs::protocols::UDP).into()),
        any::<Vec<u8>>().prop_map(|data| Data::new(data).into()),
    ]
}

fn feed(server: &mut TurnServer, stun: &StunServer, client: &Client, bytes: &[u8]) {
    let outputs = client.send(server, s(1), bytes);
    assert!(outputs.len() <= 1);
    let _ = stun.handle(s(1), at(SERVER), client.from, bytes);
    for relayed in server.relayed_addresses().collect::<Vec<_>>() {
        assert!(server.relayed(s(1), relayed, at("192.0.2.1:1"), bytes).len() <= 1);
    }
    let _ = next_frame(bytes);
    assert!(server.relayed_addresses().count() <= 2);
}

proptest! {
    #[test]
    fn mutated_messages_never_panic(mutations in collection::vec(mutation(), 1..40)) {
        let limits = TurnConfig { allocations_max: 2, permissions_max: 2, channels_max: 2, ..config() };
        let mut server = server(&limits);
        let stun = StunServer::with_alternate(at(SERVER), at("198.51.100.2:3479")).unwrap();
        let mut client = Client::alice().allocated(&mut server, s(0));
        let messages = valid(&mut client);
        for (index, changes, cut) in mutations {
            let mut bytes = messages[index].clone();
            for (at, byte) in changes {
                if let Some(place) = bytes.get_mut(at) {
                    *place = byte;
                }
            }
            bytes.truncate(cut);
            feed(&mut server, &stun, &client, &bytes);
        }
    }

    #[test]
    fn a_member_that_asks_for_anything_gets_one_answer(
        requests in collection::vec((0..4_usize, collection::vec(attribute(), 0..6), 0..200_u64), 1..60),
    ) {
        let limits =
            TurnConfig { allocations_max: 2, permissions_max: 2, channels_max: 2, mobility: true, ..config() };
        let mut server = server(&limits);
        let mut client = Client::alice().allocated(&mut server, s(0));
        let mut now = s(0);
        for (method, attributes, wait) in requests {
            now += s(wait);
            let method = [ALLOCATE, REFRESH, CREATE_PERMMISSION, CHANNEL_BIND][method];
            // The client checks the answer's form; which one it is, other tests say.
            let _ = client.request(&mut server, now, method, attributes);
            assert!(server.relayed_addresses().count() <= 1);
        }
    }

    #[test]
    fn random_bytes_are_ignored(bytes in collection::vec(any::<u8>(), 0..1500)) {
        let mut server = server(&config());
        let outputs = server.handle(s(0), Transport::Udp, at(SERVER), at("203.0.113.1:5000"), &bytes);
        // Without the magic cookie it is no STUN message (RFC 8489 section 5).
        if bytes.get(4..8) != Some(&[0x21, 0x12, 0xA4, 0x42]) {
            assert_eq!(outputs, []);
        }
    }
}
