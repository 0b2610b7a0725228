//! Credentials, allocations and their refusals.

use netsim::nat::Transport;
use netsim::servers::{TurnConfig, TurnServer};
use stun_rs::attributes::mobility::MobilityTicket;
use stun_rs::attributes::stun::{MessageIntegrity, XorMappedAddress};
use stun_rs::attributes::turn::{
    EvenPort, LifeTime, RequestedAddressFamily, RequestedTrasport, XorPeerAddress,
};
use stun_rs::methods::{ALLOCATE, BINDING, CHANNEL_BIND, CREATE_PERMMISSION, REFRESH};
use stun_rs::{AddressFamily, MessageClass, StunMessage};

use crate::client::{Client, RELAY, SERVER, config, decode, encode, error, server};
use crate::{at, s};

fn seconds(answer: &StunMessage) -> u32 {
    answer.get::<LifeTime>().unwrap().expect_life_time().as_u32()
}

fn udp() -> stun_rs::StunAttribute {
    RequestedTrasport::new(stun_rs::protocols::UDP).into()
}

fn relayed(server: &TurnServer) -> usize {
    server.relayed_addresses().count()
}

#[test]
fn an_allocation_takes_a_challenge_and_its_answer() {
    let mut server = server(&config());
    let mut alice = Client::alice();
    assert_eq!(alice.try_once(&mut server, s(0), ALLOCATE, vec![udp()]).unwrap_err(), 401);
    assert!(alice.challenge.is_some(), "with realm and nonce");
    assert_eq!(relayed(&server), 0);
    let answer = alice.allocate(&mut server, s(0), vec![]).unwrap();
    let seen = answer.get::<XorMappedAddress>().unwrap().expect_xor_mapped_address();
    assert_eq!(*seen.socket_address(), alice.from);
    assert_eq!(seconds(&answer), 600);
    let address = alice.relayed.unwrap();
    assert_eq!(address.ip().to_string(), RELAY);
    assert!(address.port() >= 49_152);
    assert_eq!(server.relayed_addresses().collect::<Vec<_>>(), [address]);
}

#[test]
fn a_turn_server_answers_binding_requests_without_credentials() {
    let mut server = server(&config());
    let alice = Client::alice();
    let outputs = alice.send(&mut server, s(0), &encode(BINDING, MessageClass::Request, 1, vec![]));
    let [netsim::servers::Output::Send { bytes, .. }] = outputs.try_into().unwrap();
    let answer = decode(&bytes);
    assert_eq!(
        *answer.get::<XorMappedAddress>().unwrap().expect_xor_mapped_address().socket_address(),
        alice.from
    );
}

#[test]
fn a_wrong_password_or_user_is_refused_with_401() {
    let mut server = server(&config());
    for (user, password) in [("alice", "wrong"), ("mallory", "ecila"), ("bob", "ecila")] {
        let mut client = Client::new(user, password, "203.0.113.9:1");
        assert_eq!(client.allocate(&mut server, s(0), vec![]).unwrap_err(), 401);
    }
    assert_eq!(relayed(&server), 0);
}

#[test]
fn a_request_without_message_integrity_is_challenged_even_with_a_nonce() {
    let mut server = server(&config());
    let mut alice = Client::alice();
    assert_eq!(alice.try_once(&mut server, s(0), ALLOCATE, vec![udp()]).unwrap_err(), 401);
    let (realm, nonce) = alice.challenge.take().unwrap();
    let user = stun_rs::attributes::stun::UserName::new("alice").unwrap();
    let attributes = vec![udp(), user.into(), realm.into(), nonce.into()];
    assert_eq!(alice.try_once(&mut server, s(0), ALLOCATE, attributes).unwrap_err(), 401);
    assert_eq!(relayed(&server), 0);
}

#[test]
fn a_changed_request_fails_its_integrity() {
    let mut server = server(&config());
    let mut alice = Client::alice();
    assert_eq!(alice.try_once(&mut server, s(0), ALLOCATE, vec![udp()]).unwrap_err(), 401);
    let mut bytes = alice.bytes(ALLOCATE, vec![LifeTime::from(700).into(), udp()]);
    // The lifetime's last byte: header, attribute header, value.
    bytes[20 + 4 + 3] ^= 1;
    let outputs = alice.send(&mut server, s(0), &bytes);
    let [netsim::servers::Output::Send { bytes, .. }] = outputs.try_into().unwrap();
    assert_eq!(error(&decode(&bytes)), 401);
    assert!(decode(&bytes).get::<MessageIntegrity>().is_none());
}

#[test]
fn an_old_or_foreign_nonce_is_stale() {
    let mut server = server(&config());
    let mut alice = Client::alice().allocated(&mut server, s(0));
    let mut elsewhere = Client { from: at("203.0.113.1:5001"), ..alice.clone() };
    assert_eq!(alice.try_once(&mut server, s(599), REFRESH, vec![]).map(|m| seconds(&m)), Ok(600));
    assert_eq!(alice.try_once(&mut server, s(600), REFRESH, vec![]).unwrap_err(), 438);
    assert!(alice.try_once(&mut server, s(600), REFRESH, vec![]).is_ok(), "with the new nonce");
    assert_eq!(elsewhere.try_once(&mut server, s(1), ALLOCATE, vec![udp()]).unwrap_err(), 438);
}

#[test]
fn a_second_allocation_is_a_mismatch_and_a_retransmission_is_not() {
    let mut server = server(&config());
    let mut alice = Client::alice();
    assert_eq!(alice.try_once(&mut server, s(0), ALLOCATE, vec![udp()]).unwrap_err(), 401);
    let bytes = alice.bytes(ALLOCATE, vec![udp()]);
    let first = alice.send(&mut server, s(0), &bytes);
    assert_eq!(alice.send(&mut server, s(1), &bytes), first);
    assert_eq!(alice.allocate(&mut server, s(1), vec![]).unwrap_err(), 437);
    assert_eq!(relayed(&server), 1);
}

#[test]
fn requests_without_an_allocation_are_a_mismatch() {
    let mut server = server(&config());
    let mut alice = Client::alice();
    assert_eq!(alice.refresh(&mut server, s(0), 600), Err(437));
    assert_eq!(alice.permit(&mut server, s(0), at("192.0.2.1:1")), Err(437));
    assert_eq!(alice.bind(&mut server, s(0), 0x4000, at("192.0.2.1:1")), Err(437));
}

#[test]
fn another_users_credentials_do_not_open_an_allocation() {
    let mut server = server(&config());
    let alice = Client::alice().allocated(&mut server, s(0));
    let mut thief = Client { user: "bob", password: "bob", ..alice };
    assert_eq!(thief.refresh(&mut server, s(0), 0), Err(441));
    assert_eq!(thief.permit(&mut server, s(0), at("192.0.2.1:1")), Err(441));
    assert_eq!(relayed(&server), 1);
}

#[test]
fn transports_families_and_port_pairs_it_lacks_are_refused() {
    let mut server = server(&config());
    let mut alice = Client::alice();
    assert_eq!(alice.request(&mut server, s(0), ALLOCATE, vec![]).unwrap_err(), 400);
    let not_udp = RequestedTrasport::new(stun_rs::protocols::ProtocolNumber::default());
    assert_eq!(alice.request(&mut server, s(0), ALLOCATE, vec![not_udp.into()]).unwrap_err(), 442);
    let six = RequestedAddressFamily::new(AddressFamily::IPv6);
    assert_eq!(alice.allocate(&mut server, s(0), vec![six.into()]).unwrap_err(), 440);
    assert_eq!(alice.allocate(&mut server, s(0), vec![EvenPort::new(false).into()]).unwrap_err(), 508);
    assert_eq!(alice.allocate(&mut server, s(0), vec![MobilityTicket::new([]).into()]).unwrap_err(), 405);
    assert_eq!(relayed(&server), 0);
}

#[test]
fn a_family_it_has_is_relayed() {
    let both = TurnConfig { relay: vec![RELAY.parse().unwrap(), "2001:db8::1".parse().unwrap()], ..config() };
    let mut server = server(&both);
    let mut alice = Client::alice();
    let six = RequestedAddressFamily::new(AddressFamily::IPv6);
    alice.allocate(&mut server, s(0), vec![six.into()]).unwrap();
    assert!(alice.relayed.unwrap().is_ipv6());
    assert_eq!(alice.permit(&mut server, s(0), at("192.0.2.1:1")), Err(443));
    assert_eq!(alice.permit(&mut server, s(0), at("[2001:db8::9]:1")), Ok(()));
    assert!(Client::bob().allocated(&mut server, s(0)).relayed.unwrap().is_ipv4());
}

#[test]
fn of_several_relay_addresses_any_is_given() {
    let pool = (1..=4).map(|n| format!("198.51.100.{n}").parse().unwrap()).collect();
    let mut server = server(&TurnConfig { relay: pool, ..config() });
    let given: std::collections::BTreeSet<_> = (0..40)
        .map(|n| {
            let client = Client::new("alice", "ecila", &format!("203.0.113.1:{}", 5000 + n));
            client.allocated(&mut server, s(0)).relayed.unwrap().ip()
        })
        .collect();
    assert_eq!(given.len(), 4);
}

#[test]
fn quotas_hold_for_a_user_and_for_all() {
    let limits = TurnConfig { user_quota: Some(1), allocations_max: 2, ..config() };
    let limits = TurnConfig {
        users: [("carol".to_owned(), "c".to_owned())].into_iter().chain(limits.users).collect(),
        ..limits
    };
    let mut server = server(&limits);
    Client::alice().allocated(&mut server, s(0));
    let mut again = Client { from: at("203.0.113.1:5001"), ..Client::alice() };
    assert_eq!(again.allocate(&mut server, s(0), vec![]).unwrap_err(), 486);
    Client::bob().allocated(&mut server, s(0));
    let mut carol = Client::new("carol", "c", "203.0.113.3:7000");
    assert_eq!(carol.allocate(&mut server, s(0), vec![]).unwrap_err(), 508);
    assert!(again.allocate(&mut server, s(600), vec![]).is_ok(), "expired allocations do not count");
}

#[test]
fn lifetimes_are_kept_within_the_servers_limits() {
    let mut server = server(&config());
    let mut alice = Client::alice();
    let answer = alice.allocate(&mut server, s(0), vec![LifeTime::from(1_000_000).into()]).unwrap();
    assert_eq!(seconds(&answer), 3600);
    assert_eq!(alice.refresh(&mut server, s(0), 1), Ok(600));
    assert_eq!(alice.refresh(&mut server, s(0), 1234), Ok(1234));
}

#[test]
fn an_allocation_ends_with_its_lifetime_or_a_refresh_of_zero() {
    let mut server = server(&config());
    let mut alice = Client::alice().allocated(&mut server, s(0));
    assert_eq!(alice.refresh(&mut server, s(599), 600), Ok(600));
    server.tick(s(1198));
    assert_eq!(relayed(&server), 1);
    server.tick(s(1199));
    assert_eq!(relayed(&server), 0);
    assert_eq!(alice.refresh(&mut server, s(1199), 600), Err(437));

    let mut bob = Client::bob().allocated(&mut server, s(1199));
    assert_eq!(bob.refresh(&mut server, s(1200), 0), Ok(0));
    assert_eq!(relayed(&server), 0);
    assert!(bob.allocate(&mut server, s(1200), vec![]).is_ok());
}

#[test]
fn denied_peers_get_403() {
    let rules = TurnConfig { denied_peers: vec!["198.51.100.0/24".parse().unwrap()], ..config() };
    let own_relay = at("198.51.100.1:50000");
    let mut server = server(&rules);
    let mut alice = Client::alice().allocated(&mut server, s(0));
    assert_eq!(alice.permit(&mut server, s(0), own_relay), Err(403));
    assert_eq!(alice.bind(&mut server, s(0), 0x4000, own_relay), Err(403));
    assert_eq!(alice.permit(&mut server, s(0), at("127.0.0.1:1")), Err(403));
    assert_eq!(alice.permit(&mut server, s(0), at("192.0.2.1:1")), Ok(()));

    let mended = TurnConfig { allowed_peers: vec!["198.51.100.1".parse().unwrap()], ..rules };
    let mut server = crate::client::server(&mended);
    let mut alice = Client::alice().allocated(&mut server, s(0));
    assert_eq!(alice.permit(&mut server, s(0), own_relay), Ok(()));
}

#[test]
fn malformed_permissions_and_channels_get_400() {
    let mut server = server(&config());
    let mut alice = Client::alice().allocated(&mut server, s(0));
    let (one, two) = (at("192.0.2.1:1"), at("192.0.2.1:2"));
    assert_eq!(alice.request(&mut server, s(0), CREATE_PERMMISSION, vec![]).unwrap_err(), 400);
    let only_peer = vec![XorPeerAddress::from(one).into()];
    assert_eq!(alice.request(&mut server, s(0), CHANNEL_BIND, only_peer).unwrap_err(), 400);
    for number in [0x3FFF, 0x5000] {
        assert_eq!(alice.bind(&mut server, s(0), number, one), Err(400));
    }
    assert_eq!(alice.bind(&mut server, s(0), 0x4000, one), Ok(()));
    assert_eq!(alice.bind(&mut server, s(0), 0x4000, one), Ok(()), "a refresh");
    assert_eq!(alice.bind(&mut server, s(0), 0x4000, two), Err(400), "the number is bound");
    assert_eq!(alice.bind(&mut server, s(0), 0x4001, one), Err(400), "the peer is bound");
}

#[test]
fn permissions_and_channels_are_bounded() {
    let mut server = server(&TurnConfig { permissions_max: 2, channels_max: 1, ..config() });
    let mut alice = Client::alice().allocated(&mut server, s(0));
    for (peer, expected) in
        [("192.0.2.1:1", Ok(())), ("192.0.2.2:1", Ok(())), ("192.0.2.3:1", Err(508)), ("192.0.2.1:9", Ok(()))]
    {
        assert_eq!(alice.permit(&mut server, s(0), at(peer)), expected);
    }
    assert_eq!(alice.bind(&mut server, s(0), 0x4000, at("192.0.2.1:1")), Ok(()));
    assert_eq!(alice.bind(&mut server, s(0), 0x4001, at("192.0.2.2:1")), Err(508));
}

#[test]
fn a_restart_forgets_allocations_and_nonces() {
    let mut server = server(&config());
    let mut alice = Client::alice().allocated(&mut server, s(0));
    server.restart();
    assert_eq!(relayed(&server), 0);
    assert_eq!(alice.try_once(&mut server, s(1), REFRESH, vec![]).unwrap_err(), 438);
    assert_eq!(alice.try_once(&mut server, s(1), REFRESH, vec![]).unwrap_err(), 437);
    assert!(alice.allocate(&mut server, s(1), vec![]).is_ok());
}

/// RFC 8016: the relayed address, its permissions and channels stay when the client's address changes.
#[test]
fn an_allocation_moves_with_its_ticket() {
    let mut server = server(&TurnConfig { mobility: true, ..config() });
    let mut alice = Client::alice();
    let answer = alice.allocate(&mut server, s(0), vec![MobilityTicket::new([]).into()]).unwrap();
    let ticket = answer.get::<MobilityTicket>().unwrap().expect_mobility_ticket().clone();
    let peer = at("192.0.2.1:1");
    alice.bind(&mut server, s(0), 0x4000, peer).unwrap();

    let mut roamed = Client { from: at("203.0.113.77:9999"), ..alice.clone() };
    let mut thief = Client { from: at("203.0.113.66:1"), ..Client::bob() };
    assert_eq!(thief.request(&mut server, s(1), REFRESH, vec![ticket.clone().into()]).unwrap_err(), 441);
    let answer = roamed.request(&mut server, s(1), REFRESH, vec![ticket.clone().into()]).unwrap();
    let next = answer.get::<MobilityTicket>().unwrap().expect_mobility_ticket().clone();
    assert_ne!(next.value(), ticket.value());
    assert_eq!(server.relayed_addresses().collect::<Vec<_>>(), [alice.relayed.unwrap()]);
    assert_eq!(roamed.on_channel(&mut server, s(1), 0x4000, b"hi").len(), 1);
    assert!(alice.on_channel(&mut server, s(1), 0x4000, b"hi").is_empty(), "the old address is out");
    let arrived = server.relayed(s(1), alice.relayed.unwrap(), peer, b"back");
    assert_eq!(roamed.received(&arrived).len(), 1);
    assert_eq!(alice.refresh(&mut server, s(1), 600), Err(437));
    assert_eq!(roamed.request(&mut server, s(1), REFRESH, vec![ticket.into()]).unwrap_err(), 400, "used up");
}

#[test]
fn a_closed_connection_takes_its_allocation_along_unless_there_is_a_ticket() {
    let mut server = server(&TurnConfig { mobility: true, ..config() });
    let mut alice = Client { transport: Transport::Tcp, ..Client::alice() }.allocated(&mut server, s(0));
    let mut bob = Client { transport: Transport::Tcp, ..Client::bob() };
    bob.allocate(&mut server, s(0), vec![MobilityTicket::new([]).into()]).unwrap();
    let udp = Client { from: at("203.0.113.3:7000"), ..Client::alice() }.allocated(&mut server, s(0));
    for client in [&alice, &bob, &udp] {
        server.on_closed(at(SERVER), client.from);
    }
    assert_eq!(relayed(&server), 2);
    assert_eq!(alice.refresh(&mut server, s(0), 600), Err(437));
    assert_eq!(bob.refresh(&mut server, s(0), 600), Ok(600));
}

#[test]
fn credentials_that_no_message_can_carry_are_refused() {
    let users = |user: &str, password: &str| TurnConfig {
        users: [(user.to_owned(), password.to_owned())].into(),
        ..config()
    };
    assert!(TurnServer::new(&users("alice", ""), 1).is_err());
    assert!(TurnServer::new(&users(&"a".repeat(600), "x"), 1).is_err());
    assert!(TurnServer::new(&TurnConfig { realm: "r".repeat(800), ..config() }, 1).is_err());
}
