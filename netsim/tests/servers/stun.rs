//! RFC 8489's Binding and RFC 5780's discovery of NAT behaviour, also through a NAT.

use std::net::SocketAddr;

use netsim::nat::Behaviour::{AddressAndPortDependent, AddressDependent, EndpointIndependent};
use netsim::nat::{Nat, NatConfig, PortAssignment, Transport};
use netsim::servers::StunServer;
use stun_rs::attributes::discovery::{ChangeRequest, ChangeRequestFlags, OtherAddress, ResponseOrigin};
use stun_rs::attributes::stun::{UnknownAttributes, XorMappedAddress};
use stun_rs::methods::BINDING;
use stun_rs::{MessageClass, StunAttribute, StunMessage};

use crate::client::{decode, encode, error};
use crate::{at, s};

const PRIMARY: &str = "198.51.100.1:3478";
const ALTERNATE: &str = "198.51.100.2:3479";

fn ask(attributes: Vec<StunAttribute>) -> Vec<u8> {
    encode(BINDING, MessageClass::Request, 9, attributes)
}

fn change(ip: bool, port: bool) -> Vec<u8> {
    let flags = match (ip, port) {
        (false, false) => None,
        (true, false) => Some(ChangeRequestFlags::ChangeIp.into()),
        (false, true) => Some(ChangeRequestFlags::ChangePort.into()),
        (true, true) => Some(ChangeRequestFlags::ChangeIp | ChangeRequestFlags::ChangePort),
    };
    ask(vec![ChangeRequest::new(flags).into()])
}

fn mapped(message: &StunMessage) -> SocketAddr {
    *message.get::<XorMappedAddress>().unwrap().expect_xor_mapped_address().socket_address()
}

fn full() -> StunServer {
    StunServer::with_alternate(at(PRIMARY), at(ALTERNATE)).unwrap()
}

#[test]
fn binding_tells_who_is_asking() {
    for (server, client) in
        [("198.51.100.1:3478", "203.0.113.1:5000"), ("[2001:db8::1]:3478", "[2001:db8::7]:5000")]
    {
        let server = StunServer::new(at(server));
        let on = server.addresses()[0];
        let (from, to, bytes) = server.handle(s(0), on, at(client), &ask(vec![])).unwrap();
        assert_eq!((from, to), (on, at(client)));
        let answer = decode(&bytes);
        assert_eq!(answer.class(), MessageClass::SuccessResponse);
        assert_eq!(answer.transaction_id().as_bytes(), &[9; 12]);
        assert_eq!(mapped(&answer), at(client));
        assert!(answer.get::<OtherAddress>().is_none());
    }
}

#[test]
fn whatever_is_no_binding_request_is_ignored() {
    let server = StunServer::new(at(PRIMARY));
    let client = at("203.0.113.1:5000");
    assert_eq!(server.handle(s(0), at(PRIMARY), client, b"hello"), None);
    assert_eq!(server.handle(s(0), at(PRIMARY), client, &[]), None);
    let indication = encode(BINDING, MessageClass::Indication, 1, vec![]);
    assert_eq!(server.handle(s(0), at(PRIMARY), client, &indication), None);
    let allocate = encode(stun_rs::methods::ALLOCATE, MessageClass::Request, 1, vec![]);
    assert_eq!(server.handle(s(0), at(PRIMARY), client, &allocate), None);
    assert_eq!(server.handle(s(0), at(ALTERNATE), client, &ask(vec![])), None, "not its address");
}

/// RFC 5780 section 7.2, table 1.
#[test]
fn the_answer_comes_from_where_the_client_asked_for() {
    let server = full();
    assert_eq!(server.addresses().len(), 4);
    for (on, other) in [
        ("198.51.100.1:3478", "198.51.100.2:3479"),
        ("198.51.100.1:3479", "198.51.100.2:3478"),
        ("198.51.100.2:3478", "198.51.100.1:3479"),
        ("198.51.100.2:3479", "198.51.100.1:3478"),
    ] {
        let (on, other) = (at(on), at(other));
        for (ip, port) in [(false, false), (true, false), (false, true), (true, true)] {
            let (from, _, bytes) =
                server.handle(s(0), on, at("203.0.113.1:5000"), &change(ip, port)).unwrap();
            assert_eq!(from.ip(), if ip { other.ip() } else { on.ip() });
            assert_eq!(from.port(), if port { other.port() } else { on.port() });
            let answer = decode(&bytes);
            let origin = answer.get::<ResponseOrigin>().unwrap().expect_response_origin();
            assert_eq!(*origin.socket_address(), from);
            assert_eq!(*answer.get::<OtherAddress>().unwrap().expect_other_address().socket_address(), other);
        }
    }
}

#[test]
fn without_an_alternate_address_a_change_request_is_an_unknown_attribute() {
    let server = StunServer::new(at(PRIMARY));
    let (_, _, bytes) =
        server.handle(s(0), at(PRIMARY), at("203.0.113.1:5000"), &change(true, true)).unwrap();
    let answer = decode(&bytes);
    assert_eq!(error(&answer), 420);
    let named = answer.get::<UnknownAttributes>().unwrap().expect_unknown_attributes();
    assert_eq!(named.attributes(), [0x0003]);
}

#[test]
fn unknown_attributes_are_refused_if_they_must_be_understood() {
    let server = StunServer::new(at(PRIMARY));
    // One known to the codec, whose type is changed afterwards: it encodes no others.
    let mut bytes = ask(vec![stun_rs::attributes::turn::LifeTime::from(1).into()]);
    for (kind, class) in [(0x7F01_u16, MessageClass::ErrorResponse), (0xFF01, MessageClass::SuccessResponse)]
    {
        bytes[20..22].copy_from_slice(&kind.to_be_bytes());
        let (_, _, answer) = server.handle(s(0), at(PRIMARY), at("203.0.113.1:5000"), &bytes).unwrap();
        let answer = decode(&answer);
        assert_eq!(answer.class(), class, "{kind:#x}");
        let named =
            answer.get::<UnknownAttributes>().map(|a| a.expect_unknown_attributes().attributes().to_vec());
        assert_eq!(named, (class == MessageClass::ErrorResponse).then(|| vec![kind]));
    }
}

#[test]
fn an_alternate_that_shares_the_address_or_port_is_refused() {
    for alternate in ["198.51.100.1:3479", "198.51.100.2:3478", "[2001:db8::1]:3479"] {
        assert!(StunServer::with_alternate(at(PRIMARY), at(alternate)).is_err());
    }
}

/// RFC 5780 sections 4.3 and 4.4 find out what a simulated NAT was told to be.
#[test]
fn discovery_finds_the_simulated_nats_behaviour() {
    let kinds = [EndpointIndependent, AddressDependent, AddressAndPortDependent];
    for mapping in kinds {
        for filtering in kinds {
            let config =
                NatConfig { mapping, filtering, ports: PortAssignment::Random, ..NatConfig::default() };
            assert_eq!((found_mapping(&config), found_filtering(&config)), (mapping, filtering));
        }
    }
}

fn through(nat: &mut Nat, to: SocketAddr, request: &[u8]) -> Option<StunMessage> {
    let inside = at("10.0.0.2:5000");
    let outside = nat.outbound(s(0), Transport::Udp, inside, to).unwrap();
    let (from, to, bytes) = full().handle(s(0), to, outside, request).unwrap();
    nat.inbound(s(0), Transport::Udp, from, to).ok().map(|receiver| {
        assert_eq!(receiver, inside);
        decode(&bytes)
    })
}

fn found_mapping(config: &NatConfig) -> netsim::nat::Behaviour {
    let mut nat = Nat::new(config, vec!["203.0.113.1".parse().unwrap()], 5);
    let [first, second, third] = ["198.51.100.1:3478", "198.51.100.2:3478", "198.51.100.2:3479"]
        .map(|to| mapped(&through(&mut nat, at(to), &ask(vec![])).unwrap()));
    match (first == second, second == third) {
        (true, _) => EndpointIndependent,
        (false, true) => AddressDependent,
        (false, false) => AddressAndPortDependent,
    }
}

fn found_filtering(config: &NatConfig) -> netsim::nat::Behaviour {
    let mut nat = Nat::new(config, vec!["203.0.113.1".parse().unwrap()], 5);
    let mut passes = |ip, port| through(&mut nat, at(PRIMARY), &change(ip, port)).is_some();
    match (passes(true, true), passes(false, true)) {
        (true, _) => EndpointIndependent,
        (false, true) => AddressDependent,
        (false, false) => AddressAndPortDependent,
    }
}
