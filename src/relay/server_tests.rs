//! The server with the client that calls use, in virtual time.

use super::{Client as Place, Counters, External, Limits, Server};
use crate::relay::credentials::Secret;
use protocol::turn::{Client, ClientConfig, Event, Family, Framing, Input, TurnError};
use std::net::SocketAddr;
use std::time::Duration;

const LIMITS: Limits = Limits { total_quota: 10, user_quota: 4, user_kbps: 1000 };
/// The wall clock at the server's zero.
const UNIX: u64 = 1_800_000_000;
const SECOND: Duration = Duration::from_secs(1);

/// A server, some clients of it, and the time.
struct World {
    server: Server,
    members: Vec<Member>,
    now: Duration,
}

struct Member {
    place: Place,
    client: Client,
    events: Vec<Event>,
    heard: Vec<(SocketAddr, Vec<u8>)>,
    /// Messages from the server that are none of the client's.
    ignored: usize,
}

impl World {
    fn new(limits: Limits) -> Self {
        let external = External { v4: Some([192, 0, 2, 1].into()), v6: Some("2001:db8::1".parse().unwrap()) };
        let server = Server::new(Secret::new("north"), external, limits, [7; 32]);
        Self { server, members: Vec::new(), now: Duration::ZERO }
    }

    /// One more client, of a user whose credentials end an hour after the start.
    fn add(&mut self, name: &str, tcp: bool) -> usize {
        let credentials = Secret::new("north").issue(name, UNIX + 3600);
        self.add_as(&credentials.username, &credentials.password, tcp, Family::V4)
    }

    fn add_as(&mut self, username: &str, password: &str, tcp: bool, family: Family) -> usize {
        let number = self.members.len();
        let source = SocketAddr::from(([198, 51, 100, 1], 5000 + u16::try_from(number).unwrap()));
        let (place, transport) =
            if tcp { (Place::tcp(source), Framing::Stream) } else { (Place::udp(source), Framing::Datagram) };
        let (username, password) = (username.into(), password.into());
        let lifetime = Duration::from_secs(600);
        let config = ClientConfig { username, password, transport, family, mobility: true, lifetime };
        let client = Client::new(config, [u8::try_from(number).unwrap(); 32], self.now);
        self.members.push(Member { place, client, events: vec![], heard: vec![], ignored: 0 });
        self.settle();
        number
    }

    /// Carries messages until nobody has any.
    fn settle(&mut self) {
        while let Some((place, bytes)) = self
            .members
            .iter_mut()
            .find_map(|member| member.client.poll_transmit().map(|bytes| (member.place, bytes)))
        {
            self.deliver(place, &bytes);
        }
        for member in &mut self.members {
            member.events.extend(std::iter::from_fn(|| member.client.poll_event()));
        }
    }

    fn deliver(&mut self, from: Place, bytes: &[u8]) {
        let unix = UNIX + self.now.as_secs();
        let Some(outgoing) = self.server.handle(self.now, unix, from, bytes) else { return };
        let Some(member) = self.members.iter_mut().find(|member| member.place == outgoing.to) else { return };
        match member.client.handle_input(self.now, &outgoing.bytes) {
            Input::Data { peer, payload } => member.heard.push((peer, payload.to_vec())),
            Input::Consumed => {}
            Input::Ignored => member.ignored += 1,
        }
    }

    fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.now < end {
            self.now = end.min(self.now + SECOND);
            self.server.expire(self.now);
            self.members.iter_mut().for_each(|member| member.client.handle_timeout(self.now));
            self.settle();
        }
    }

    fn permit(&mut self, number: usize, ip: &str) {
        let now = self.now;
        self.members[number].client.permit(now, ip.parse().unwrap());
        self.settle();
    }

    fn bind(&mut self, number: usize, to: usize) {
        let (now, peer) = (self.now, self.relayed(to));
        self.members[number].client.bind(now, peer);
        self.settle();
    }

    fn relayed(&self, number: usize) -> SocketAddr {
        self.members[number].client.relayed().expect("it has an allocation")
    }

    fn say(&mut self, number: usize, to: usize, payload: &[u8]) {
        let (now, peer, mut bytes) = (self.now, self.relayed(to), Vec::new());
        let member = &mut self.members[number];
        assert!(member.client.wrap(now, peer, payload, &mut bytes));
        let place = member.place;
        self.deliver(place, &bytes);
    }

    /// What a member heard since the last time.
    fn heard(&mut self, number: usize) -> Vec<(SocketAddr, Vec<u8>)> {
        std::mem::take(&mut self.members[number].heard)
    }

    fn failed(&self, number: usize) -> Option<TurnError> {
        self.members[number].events.iter().find_map(|event| match event {
            Event::Failed { error } => Some(*error),
            _ => None,
        })
    }
}

#[test]
fn two_clients_hear_each_other_however_each_sends_and_is_reached() {
    for (tcp, channels) in [(false, 0), (false, 1), (false, 2), (true, 0), (true, 1), (true, 2)] {
        let mut world = World::new(LIMITS);
        let (ada, bob) = (world.add("ada", false), world.add("bob", tcp));
        world.permit(ada, "192.0.2.1");
        world.permit(bob, "192.0.2.1");
        for (from, to) in [(ada, bob), (bob, ada)].into_iter().take(channels) {
            world.bind(from, to);
        }
        for length in [1, 2, 3, 4, 5, 1200] {
            let payload: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            world.say(ada, bob, &payload);
            world.say(bob, ada, &payload);
            let (from_ada, from_bob) = (world.relayed(ada), world.relayed(bob));
            assert_eq!(world.heard(bob), [(from_ada, payload.clone())], "tcp {tcp}, {channels} channels");
            assert_eq!(world.heard(ada), [(from_bob, payload)], "tcp {tcp}, {channels} channels");
        }
    }
}

#[test]
fn a_call_lasts_longer_than_every_lifetime_and_than_its_credentials() {
    let mut world = World::new(LIMITS);
    let (ada, bob) = (world.add("ada", false), world.add("bob", false));
    world.bind(ada, bob);
    world.bind(bob, ada);
    // Two and a half hours: nonces, permissions, channels, allocations and credentials end on the way.
    for minute in 0..150u8 {
        world.pass(60 * SECOND);
        world.say(ada, bob, &[minute]);
        assert_eq!(world.heard(bob).len(), 1, "minute {minute}");
    }
    assert_eq!((world.failed(ada), world.failed(bob)), (None, None));
    // Who comes anew with them now stays outside.
    let late = world.add("ada", false);
    assert_eq!(world.failed(late), Some(TurnError::Unauthorized));
}

#[test]
fn a_client_that_says_no_more_is_forgotten() {
    let mut world = World::new(LIMITS);
    let ada = world.add("ada", false);
    assert_eq!(world.server.allocations(), 1);
    let gone = world.members.remove(ada);
    world.pass(601 * SECOND);
    assert_eq!(world.server.allocations(), 0);
    assert!(world.server.rates.is_empty());
    drop(gone);
}

#[test]
fn nobody_hears_whom_they_did_not_permit() {
    let mut world = World::new(LIMITS);
    let (ada, bob) = (world.add("ada", false), world.add("bob", false));
    world.permit(ada, "192.0.2.1");
    world.say(ada, bob, b"hello");
    assert_eq!((world.heard(bob).len(), world.members[bob].ignored), (0, 0));
    world.permit(bob, "192.0.2.1");
    world.say(ada, bob, b"hello");
    assert_eq!(world.heard(bob).len(), 1);
    // The other way round the sender needs one, too.
    let mut world = World::new(LIMITS);
    let (ada, bob) = (world.add("ada", false), world.add("bob", false));
    world.permit(bob, "192.0.2.1");
    world.say(ada, bob, b"hello");
    assert_eq!((world.heard(bob).len(), world.members[bob].ignored), (0, 0));
    assert_eq!(world.server.counters().unwanted, 1);
}

#[test]
fn addresses_elsewhere_are_not_relayed_to() {
    let mut world = World::new(LIMITS);
    let ada = world.add("ada", false);
    for (ip, error) in [
        ("192.0.2.2", TurnError::Forbidden),
        ("127.0.0.1", TurnError::Forbidden),
        ("2001:db8::1", TurnError::Family),
    ] {
        world.permit(ada, ip);
        let told = Event::Forbidden { ip: ip.parse().unwrap(), error };
        assert_eq!(world.members[ada].events.last(), Some(&told));
    }
}

#[test]
fn both_families_are_relayed_each_with_its_own() {
    let mut world = World::new(LIMITS);
    let credentials = Secret::new("north").issue("ada", UNIX + 60);
    let six =
        |world: &mut World| world.add_as(&credentials.username, &credentials.password, false, Family::V6);
    let (ada, bob) = (six(&mut world), six(&mut world));
    assert!(world.relayed(ada).is_ipv6());
    world.permit(ada, "2001:db8::1");
    world.permit(bob, "2001:db8::1");
    world.say(ada, bob, b"six");
    let from = world.relayed(ada);
    assert_eq!(world.heard(bob), [(from, b"six".to_vec())]);
    let mut four = World::new(LIMITS);
    four.server.external.v6 = None;
    let ada = six(&mut four);
    assert_eq!(four.failed(ada), Some(TurnError::Family));
}

#[test]
fn wrong_and_ended_credentials_stay_outside() {
    let mut world = World::new(LIMITS);
    let ended = Secret::new("north").issue("ada", UNIX);
    let other = Secret::new("south").issue("ada", UNIX + 3600);
    // What somebody makes up who knows the secret but not the form.
    let endless = Secret::new("north").password("ada");
    for (username, password) in
        [(&ended.username, &ended.password), (&other.username, &other.password), (&"ada".into(), &endless)]
    {
        let member = world.add_as(username, password, false, Family::V4);
        assert_eq!(world.failed(member), Some(TurnError::Unauthorized), "{username}");
    }
    assert_eq!((world.server.allocations(), world.server.counters().refused), (0, 3));
}

#[test]
fn each_user_and_all_together_have_so_many_allocations() {
    let mut world = World::new(LIMITS);
    let ada: Vec<usize> = (0..5).map(|_| world.add("ada", false)).collect();
    assert_eq!(world.failed(ada[3]), None);
    assert_eq!(world.failed(ada[4]), Some(TurnError::Quota));
    // Fresh credentials are no way around.
    let fresh = Secret::new("north").issue("ada", UNIX + 7200);
    let again = world.add_as(&fresh.username, &fresh.password, false, Family::V4);
    assert_eq!(world.failed(again), Some(TurnError::Quota));
    (0..6).for_each(|number| assert_eq!(world.add(&format!("user{number}"), false), number + 6));
    assert_eq!(world.server.allocations(), 10);
    let eleventh = world.add("bob", false);
    assert_eq!(world.failed(eleventh), Some(TurnError::Capacity));
    // What is given back can be had again.
    let now = world.now;
    world.members[ada[0]].client.close(now);
    world.settle();
    let next = world.add("ada", false);
    assert_eq!(world.failed(next), None);
}

#[test]
fn a_user_sends_no_more_than_its_rate_and_others_are_none_the_worse() {
    let mut world = World::new(LIMITS);
    let (ada, bob) = (world.add("ada", false), world.add("bob", false));
    world.permit(ada, "192.0.2.1");
    world.permit(bob, "192.0.2.1");
    let mut sent = [0; 2];
    // Ada sends 4 Mbit/s for ten seconds, Bob 80 kbit/s.
    for step in 0..1000 {
        world.now += Duration::from_millis(10);
        for _ in 0..5 {
            world.say(ada, bob, &[0; 1000]);
        }
        if step % 10 == 0 {
            world.say(bob, ada, &[0; 1000]);
        }
        sent[0] += world.heard(bob).len();
        sent[1] += world.heard(ada).len();
    }
    // 125 kB/s, and half a second's worth saved up before.
    assert!((1300..=1320).contains(&sent[0]), "{sent:?}");
    assert_eq!(sent[1], 100);
    assert!(world.server.counters().over_rate > 3000);
}

#[test]
fn a_lost_answer_is_given_again_and_a_second_allocation_is_not() {
    let mut world = World::new(LIMITS);
    let ada = world.add("ada", false);
    let place = world.members[ada].place;
    // The same place, by a client that does not know that it has one.
    let credentials = Secret::new("north").issue("ada", UNIX + 3600);
    let config = ClientConfig {
        username: credentials.username,
        password: credentials.password,
        transport: Framing::Datagram,
        family: Family::V4,
        mobility: false,
        lifetime: Duration::from_secs(600),
    };
    let mut other = Client::new(config, [99; 32], world.now);
    let mut answer =
        |bytes: &[u8]| world.server.handle(world.now, UNIX, place, bytes).expect("an answer").bytes;
    let first = other.poll_transmit().unwrap();
    let challenge = answer(&first);
    assert_eq!(other.handle_input(Duration::ZERO, &challenge), Input::Consumed);
    let request = other.poll_transmit().unwrap();
    let refusal = answer(&request);
    other.handle_input(Duration::ZERO, &refusal);
    assert!(matches!(other.poll_event(), Some(Event::Failed { error: TurnError::Mismatch })));
    world.server.on_closed(place);
    let mut answer =
        |bytes: &[u8]| world.server.handle(world.now, UNIX, place, bytes).expect("an answer").bytes;
    let allocated = answer(&request);
    assert_eq!(answer(&request), allocated);
    assert_eq!(world.server.allocations(), 1);
}

#[test]
fn a_recorded_request_is_worth_nothing_elsewhere_or_later() {
    let mut world = World::new(LIMITS);
    let credentials = Secret::new("north").issue("ada", UNIX + 3600);
    let config = ClientConfig {
        username: credentials.username,
        password: credentials.password,
        transport: Framing::Datagram,
        family: Family::V4,
        mobility: false,
        lifetime: Duration::from_secs(600),
    };
    let place = Place::udp("198.51.100.7:7".parse().unwrap());
    let mut client = Client::new(config, [1; 32], Duration::ZERO);
    let first = client.poll_transmit().unwrap();
    let challenge = world.server.handle(Duration::ZERO, UNIX, place, &first).unwrap();
    client.handle_input(Duration::ZERO, &challenge.bytes);
    let recorded = client.poll_transmit().unwrap();
    let thief = Place::udp("203.0.113.9:7".parse().unwrap());
    for (now, from) in [(Duration::ZERO, thief), (601 * SECOND, place)] {
        assert!(world.server.handle(now, UNIX, from, &recorded).is_some(), "it is told to try again");
        assert_eq!(world.server.allocations(), 0);
    }
    world.server.handle(SECOND, UNIX, place, &recorded);
    assert_eq!(world.server.allocations(), 1);
}

#[test]
fn what_is_no_message_of_a_client_gets_no_answer_and_does_no_harm() {
    let mut world = World::new(LIMITS);
    let (ada, bob) = (world.add("ada", false), world.add("bob", false));
    world.permit(ada, "192.0.2.1");
    world.bind(bob, ada);
    let stranger = Place::udp("203.0.113.9:7".parse().unwrap());
    // Every request that the clients send, once with each byte changed, and cut off at each length.
    let mut samples = Vec::new();
    let now = world.now;
    for number in [ada, bob] {
        let peer = world.relayed(bob);
        let client = &mut world.members[number].client;
        client.network_changed(now);
        client.permit(now, "192.0.2.1".parse().unwrap());
        let mut wrapped = Vec::new();
        client.wrap(now, peer, b"some words", &mut wrapped);
        samples.push(wrapped);
        samples.extend(std::iter::from_fn(|| client.poll_transmit()));
    }
    let before = world.server.allocations();
    for sample in &samples {
        for at in 0..sample.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut changed = sample.clone();
                changed[at] ^= change;
                world.server.handle(now, UNIX, stranger, &changed);
                world.server.handle(now, UNIX, stranger, &changed[..at]);
            }
        }
    }
    assert_eq!(world.server.allocations(), before);
    let Counters { malformed, unanswered, .. } = world.server.counters();
    assert!(malformed > 1000, "{malformed}");
    // And it was not answered without end.
    assert!(unanswered > 100, "{unanswered}");
    world.say(bob, ada, b"still here");
    assert_eq!(world.heard(ada).len(), 1);
}

#[test]
fn what_a_server_must_understand_and_does_not_is_named() {
    let mut world = World::new(LIMITS);
    let from = Place::udp("203.0.113.9:7".parse().unwrap());
    // RFC 5780's CHANGE-REQUEST: a plain answer would tell a client that its router lets strangers in.
    let change = [&[0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42][..], &[9; 12], &[0, 3, 0, 4, 0, 0, 0, 6]].concat();
    let answer = world.server.handle(Duration::ZERO, UNIX, from, &change).unwrap().bytes;
    assert_eq!(answer[..2], [0x01, 0x11]);
    assert!(answer.ends_with(&[0, 10, 0, 2, 0, 3, 0, 0]), "{answer:?}");
    assert_eq!(usize::from(u16::from_be_bytes([answer[2], answer[3]])) + 20, answer.len());
    let plain = protocol::stun::binding_request(protocol::stun::TransactionId([9; 12]));
    let answer = world.server.handle(Duration::ZERO, UNIX, from, &plain).unwrap().bytes;
    let response = protocol::stun::decode_binding_response(&answer).unwrap();
    assert_eq!(response.mapped, from.source);
}
