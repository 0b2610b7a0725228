//! Data through the server.

use netsim::nat::Transport;
use netsim::servers::{Output, TurnServer, next_frame};

use crate::client::{Client, Received, config, server};
use crate::{at, s};

const PEER: &str = "192.0.2.1:7000";

fn pair(server: &mut TurnServer) -> (Client, Client) {
    (Client::alice().allocated(server, s(0)), Client::bob().allocated(server, s(0)))
}

#[test]
fn a_peer_is_reached_from_the_relayed_address_once_permitted() {
    let mut server = server(&config());
    let mut alice = Client::alice().allocated(&mut server, s(0));
    assert_eq!(alice.indicate(&mut server, s(0), at(PEER), b"hello"), []);
    alice.permit(&mut server, s(0), at(PEER)).unwrap();
    let expected = Output::Send {
        transport: Transport::Udp,
        from: alice.relayed.unwrap(),
        to: at(PEER),
        bytes: b"hello".to_vec(),
    };
    assert_eq!(alice.indicate(&mut server, s(0), at(PEER), b"hello"), [expected]);
}

#[test]
fn only_permitted_addresses_reach_the_client_and_ports_do_not_matter() {
    let mut server = server(&config());
    let mut alice = Client::alice().allocated(&mut server, s(0));
    let relayed = alice.relayed.unwrap();
    assert_eq!(server.relayed(s(0), relayed, at(PEER), b"x"), []);
    alice.permit(&mut server, s(0), at(PEER)).unwrap();
    let other_port = at("192.0.2.1:9");
    let outputs = server.relayed(s(0), relayed, other_port, b"x");
    assert_eq!(alice.received(&outputs), [Received::Data(other_port, b"x".to_vec())]);
    assert_eq!(server.relayed(s(0), relayed, at("192.0.2.2:7000"), b"x"), []);
    assert_eq!(server.relayed(s(0), at("198.51.100.1:1"), at(PEER), b"x"), [], "no such allocation");
}

#[test]
fn two_clients_of_one_server_meet_by_indications() {
    let mut server = server(&config());
    let (mut alice, mut bob) = pair(&mut server);
    let (to_alice, to_bob) = (alice.relayed.unwrap(), bob.relayed.unwrap());
    // Both permit the server's own relay address: permissions know no ports.
    alice.permit(&mut server, s(0), to_bob).unwrap();
    let outputs = alice.indicate(&mut server, s(0), to_bob, b"early");
    assert_eq!(outputs, [], "the receiver needs a permission too");
    bob.permit(&mut server, s(0), at(&format!("{}:1", to_alice.ip()))).unwrap();
    let outputs = alice.indicate(&mut server, s(0), to_bob, b"hello");
    assert_eq!(bob.received(&outputs), [Received::Data(to_alice, b"hello".to_vec())]);
    let outputs = bob.indicate(&mut server, s(0), to_alice, b"hello too");
    assert_eq!(alice.received(&outputs), [Received::Data(to_bob, b"hello too".to_vec())]);
}

#[test]
fn a_channel_abbreviates_for_the_side_that_bound_it() {
    let mut server = server(&config());
    let (mut alice, mut bob) = pair(&mut server);
    let (to_alice, to_bob) = (alice.relayed.unwrap(), bob.relayed.unwrap());
    alice.bind(&mut server, s(0), 0x4000, to_bob).unwrap();
    bob.permit(&mut server, s(0), to_alice).unwrap();
    let outputs = alice.on_channel(&mut server, s(0), 0x4000, b"voice");
    assert_eq!(bob.received(&outputs), [Received::Data(to_alice, b"voice".to_vec())], "bob bound none");
    bob.bind(&mut server, s(0), 0x4FFF, to_alice).unwrap();
    let outputs = alice.on_channel(&mut server, s(0), 0x4000, b"voice");
    assert_eq!(bob.received(&outputs), [Received::Channel(0x4FFF, b"voice".to_vec())]);
    let outputs = bob.on_channel(&mut server, s(0), 0x4FFF, b"");
    assert_eq!(alice.received(&outputs), [Received::Channel(0x4000, vec![])], "also nothing at all");
    assert_eq!(alice.on_channel(&mut server, s(0), 0x4001, b"voice"), [], "not bound");
}

#[test]
fn a_permission_lasts_five_minutes() {
    let mut server = server(&config());
    let mut alice = Client::alice().allocated(&mut server, s(0));
    let relayed = alice.relayed.unwrap();
    alice.permit(&mut server, s(0), at(PEER)).unwrap();
    assert_eq!(server.relayed(s(299), relayed, at(PEER), b"x").len(), 1);
    assert_eq!(alice.indicate(&mut server, s(299), at(PEER), b"x").len(), 1);
    assert_eq!(server.relayed(s(300), relayed, at(PEER), b"x"), []);
    assert_eq!(alice.indicate(&mut server, s(300), at(PEER), b"x"), [], "data does not refresh it");
    alice.permit(&mut server, s(301), at(PEER)).unwrap();
    assert_eq!(alice.indicate(&mut server, s(600 - 1), at(PEER), b"x").len(), 1);
}

#[test]
fn a_channel_lasts_ten_minutes_and_its_permission_five() {
    let mut server = server(&config());
    let mut alice = Client::alice().allocated(&mut server, s(0));
    let relayed = alice.relayed.unwrap();
    alice.refresh(&mut server, s(0), 3600).unwrap();
    alice.bind(&mut server, s(0), 0x4000, at(PEER)).unwrap();
    assert_eq!(server.relayed(s(299), relayed, at(PEER), b"x").len(), 1);
    assert_eq!(server.relayed(s(300), relayed, at(PEER), b"x"), []);
    assert_eq!(alice.on_channel(&mut server, s(599), 0x4000, b"x").len(), 1);
    assert_eq!(alice.on_channel(&mut server, s(600), 0x4000, b"x"), []);
    assert_eq!(alice.bind(&mut server, s(601), 0x4001, at(PEER)), Ok(()), "the peer is free again");
}

#[test]
fn nothing_goes_through_an_allocation_that_has_ended() {
    let mut server = server(&config());
    let mut alice = Client::alice().allocated(&mut server, s(0));
    alice.bind(&mut server, s(500), 0x4000, at(PEER)).unwrap();
    let relayed = alice.relayed.unwrap();
    for (now, passing) in [(599, 1), (600, 0)] {
        assert_eq!(server.relayed(s(now), relayed, at(PEER), b"x").len(), passing);
        assert_eq!(alice.on_channel(&mut server, s(now), 0x4000, b"x").len(), passing);
        assert_eq!(alice.indicate(&mut server, s(now), at(PEER), b"x").len(), passing);
    }
}

#[test]
fn payloads_arrive_whole_up_to_the_largest_relayed() {
    let mut server = server(&config());
    let mut alice = Client::alice().allocated(&mut server, s(0));
    alice.permit(&mut server, s(0), at(PEER)).unwrap();
    for (size, passing) in [(0, 1), (1200, 1), (65_000, 1), (65_001, 0), (65_507, 0)] {
        let payload = vec![7; size];
        let outputs = server.relayed(s(0), alice.relayed.unwrap(), at(PEER), &payload);
        assert_eq!(outputs.len(), passing, "{size} bytes");
        if passing == 1 {
            assert_eq!(alice.received(&outputs), [Received::Data(at(PEER), payload)]);
        }
    }
}

#[test]
fn over_tcp_channel_data_is_padded_and_relayed_as_udp() {
    let mut server = server(&config());
    let mut alice = Client { transport: Transport::Tcp, ..Client::alice() }.allocated(&mut server, s(0));
    alice.bind(&mut server, s(0), 0x4000, at(PEER)).unwrap();
    let outputs = server.relayed(s(0), alice.relayed.unwrap(), at(PEER), b"voice");
    assert_eq!(alice.received(&outputs), [Received::Channel(0x4000, b"voice".to_vec())]);
    let [Output::Send { bytes, .. }] = outputs.try_into().unwrap();
    assert_eq!((bytes.len(), next_frame(&bytes)), (12, Ok(Some(12))));
    let [Output::Send { transport, bytes, .. }] =
        alice.on_channel(&mut server, s(0), 0x4000, b"voice").try_into().unwrap();
    assert_eq!((transport, bytes), (Transport::Udp, b"voice".to_vec()));
    // The same address over UDP is another client.
    let udp = Client { transport: Transport::Udp, ..alice };
    assert_eq!(udp.on_channel(&mut server, s(0), 0x4000, b"voice"), []);
}
