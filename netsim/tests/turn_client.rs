//! The product's TURN client against the simulated server, in virtual time.

use netsim::nat::Transport as Carrier;
use netsim::servers::{Output, TurnConfig, TurnServer};
use protocol::turn::{Client, ClientConfig, Event, Family, Framing, Input, TurnError};
use std::net::SocketAddr;
use std::time::Duration;
use stun_rs::attributes::stun::XorMappedAddress;
use stun_rs::attributes::turn::{Data, LifeTime, XorPeerAddress, XorRelayedAddress};
use stun_rs::methods::{ALLOCATE, DATA};
use stun_rs::{
    MessageClass, MessageEncoder, MessageMethod, StunAttribute, StunMessageBuilder, TransactionId,
};

const SERVER: &str = "198.51.100.1:3478";

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn config() -> TurnConfig {
    TurnConfig {
        relay: vec!["198.51.100.1".parse().expect("an address")],
        users: [("ada".to_owned(), "secret".to_owned())].into(),
        ..TurnConfig::default()
    }
}

/// A client behind one address, and all it was told.
struct End {
    client: Client,
    from: SocketAddr,
    events: Vec<Event>,
    heard: Vec<(SocketAddr, Vec<u8>)>,
}

/// A server, clients, and the clock. Packets take no time.
struct Bench {
    server: TurnServer,
    ends: Vec<End>,
    now: Duration,
    /// Every how manyth packet is lost.
    lossy: Option<u32>,
    packets: u32,
}

impl Bench {
    fn new(config: &TurnConfig, passwords: &[&str]) -> Self {
        let end = |(number, password): (usize, &&str)| End {
            client: client(password, number as u8),
            from: SocketAddr::from(([203, 0, 113, number as u8 + 1], 5000)),
            events: Vec::new(),
            heard: Vec::new(),
        };
        let ends = passwords.iter().enumerate().map(end).collect();
        let server = TurnServer::new(config, 1).expect("good credentials");
        Self { server, ends, now: Duration::ZERO, lossy: None, packets: 0 }
    }

    fn is_lost(&mut self) -> bool {
        self.packets += 1;
        self.lossy.is_some_and(|every| self.packets.is_multiple_of(every))
    }

    /// Lets everything happen that is due now.
    fn settle(&mut self) {
        loop {
            let mut sent = Vec::new();
            for end in &mut self.ends {
                while let Some(message) = end.client.poll_transmit() {
                    sent.push((end.from, message));
                }
                end.events.extend(std::iter::from_fn(|| end.client.poll_event()));
            }
            if sent.is_empty() {
                return;
            }
            for (from, message) in sent {
                self.send(from, &message);
            }
        }
    }

    fn send(&mut self, from: SocketAddr, message: &[u8]) {
        if self.is_lost() {
            return;
        }
        let outputs = self.server.handle(self.now, Carrier::Udp, at(SERVER), from, message);
        self.deliver(outputs);
    }

    fn deliver(&mut self, outputs: Vec<Output>) {
        for Output::Send { from, to, bytes, .. } in outputs {
            if to.ip() == at(SERVER).ip() {
                // From one relayed address to another one.
                let outputs = self.server.relayed(self.now, to, from, &bytes);
                self.deliver(outputs);
            } else if !self.is_lost()
                && let Some(end) = self.ends.iter_mut().find(|end| end.from == to)
                && let Input::Data { peer, payload } = end.client.handle_input(self.now, &bytes)
            {
                end.heard.push((peer, payload.to_vec()));
            }
        }
    }

    /// Lets time pass, with all that is due in it.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        self.settle();
        while let Some(next) =
            self.ends.iter().filter_map(|end| end.client.poll_timeout()).min().filter(|next| *next <= end)
        {
            self.now = self.now.max(next);
            for end in &mut self.ends {
                if end.client.poll_timeout().is_some_and(|next| next <= self.now) {
                    end.client.handle_timeout(self.now);
                }
            }
            self.settle();
        }
        self.now = end;
    }

    fn say(&mut self, from: usize, to: SocketAddr, payload: &[u8]) -> usize {
        let mut wrapped = Vec::new();
        let end = &mut self.ends[from];
        assert!(end.client.wrap(self.now, to, payload, &mut wrapped), "there is an allocation");
        let from = end.from;
        self.send(from, &wrapped);
        wrapped.len()
    }

    fn relayed(&self, number: usize) -> SocketAddr {
        self.ends[number].client.relayed().expect("there is an allocation")
    }

    fn failure(&self, number: usize) -> Option<TurnError> {
        self.ends[number].events.iter().find_map(|event| match event {
            Event::Failed { error } => Some(*error),
            _ => None,
        })
    }
}

fn client(password: &str, seed: u8) -> Client {
    let config = ClientConfig {
        username: "ada".into(),
        password: password.into(),
        transport: Framing::Datagram,
        family: Family::V4,
        mobility: true,
        lifetime: Duration::from_secs(600),
    };
    Client::new(config, [seed; 32], Duration::ZERO)
}

/// Two clients that let the server's own address in.
fn two(config: &TurnConfig) -> Bench {
    let mut bench = Bench::new(config, &["secret", "secret"]);
    bench.pass(Duration::from_millis(1));
    for number in 0..2 {
        let relay = bench.relayed(number).ip();
        let now = bench.now;
        bench.ends[number].client.permit(now, relay);
    }
    bench.pass(Duration::from_millis(1));
    bench
}

fn meet(bench: &mut Bench) {
    for (one, other) in [(0, 1), (1, 0)] {
        let (to, back) = (bench.relayed(other), bench.relayed(one));
        bench.ends[other].heard.clear();
        bench.say(one, to, b"hello");
        assert_eq!(bench.ends[other].heard, [(back, b"hello".to_vec())], "from {one} to {other}");
    }
}

#[test]
fn two_clients_of_one_server_meet_and_still_do_after_an_hour() {
    let mut bench = two(&config());
    meet(&mut bench);
    bench.pass(Duration::from_secs(3600));
    meet(&mut bench);
    assert_eq!((bench.failure(0), bench.failure(1)), (None, None));
}

#[test]
fn a_channel_saves_the_bytes_of_an_indication_and_is_kept() {
    let mut bench = two(&config());
    let (a, b) = (bench.relayed(0), bench.relayed(1));
    let plain = bench.say(0, b, &[7; 80]);
    let now = bench.now;
    bench.ends[0].client.bind(now, b);
    bench.ends[1].client.bind(now, a);
    bench.pass(Duration::from_secs(3));
    assert_eq!((plain, bench.say(0, b, &[7; 80])), (116, 84));
    meet(&mut bench);
    bench.pass(Duration::from_secs(1800));
    assert_eq!(bench.say(0, b, &[7; 80]), 84);
    meet(&mut bench);
}

#[test]
fn a_lossy_line_costs_repetitions_only() {
    let mut bench = Bench::new(&config(), &["secret"]);
    bench.lossy = Some(3);
    bench.pass(Duration::from_secs(1800));
    assert_eq!(bench.failure(0), None);
    assert!(bench.ends[0].client.relayed().is_some());
}

#[test]
fn wrong_credentials_and_a_full_server_say_so() {
    let mut bench = Bench::new(&config(), &["wrong"]);
    bench.pass(Duration::from_secs(10));
    assert_eq!(bench.failure(0), Some(TurnError::Unauthorized));
    let full = TurnConfig { user_quota: Some(1), ..config() };
    let mut bench = Bench::new(&full, &["secret", "secret"]);
    bench.pass(Duration::from_secs(10));
    assert_eq!((bench.failure(0), bench.failure(1)), (None, Some(TurnError::Quota)));
}

#[test]
fn a_server_that_forgot_everything_is_noticed_and_one_that_is_suspected_sooner() {
    let mut bench = two(&config());
    bench.server.restart();
    bench.pass(Duration::from_secs(600));
    assert_eq!(bench.failure(0), Some(TurnError::Mismatch));
    let mut bench = two(&config());
    bench.lossy = Some(1);
    let now = bench.now;
    bench.ends[0].client.suspect(now);
    bench.pass(Duration::from_millis(1500));
    assert_eq!((bench.failure(0), bench.failure(1)), (Some(TurnError::Dead), None));
}

#[test]
fn a_server_that_was_restarted_is_noticed_at_once_when_somebody_suspects_it() {
    let mut bench = two(&config());
    bench.server.restart();
    let now = bench.now;
    bench.ends[0].client.suspect(now);
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.failure(0), Some(TurnError::Mismatch));
}

#[test]
fn a_client_behind_a_router_with_another_address_learns_that_from_the_server() {
    // Suspected or not: the answers that keep the mapping open tell it as well.
    for (mobility, suspected) in [(false, true), (true, true), (false, false), (true, false)] {
        let mut bench = two(&TurnConfig { mobility, ..config() });
        let relayed = bench.relayed(0);
        bench.ends[0].from = at("203.0.113.99:6000");
        let now = bench.now;
        if suspected {
            bench.ends[0].client.suspect(now);
        }
        bench.pass(Duration::from_secs(if suspected { 1 } else { 25 }));
        assert_eq!(bench.failure(0), None);
        assert_eq!(bench.relayed(0) == relayed, mobility, "without mobility it is another allocation");
        assert_eq!(bench.ends[0].client.mapped(), Some(at("203.0.113.99:6000")));
        meet(&mut bench);
    }
}

#[test]
fn an_allocation_moves_with_its_client() {
    let mut bench = two(&TurnConfig { mobility: true, ..config() });
    let relayed = bench.relayed(0);
    bench.ends[0].from = at("203.0.113.99:6000");
    let now = bench.now;
    bench.ends[0].client.network_changed(now);
    bench.pass(Duration::from_millis(1));
    assert_eq!(bench.relayed(0), relayed);
    assert!(bench.ends[0].events.iter().any(|event| matches!(event, Event::Moved { .. })));
    meet(&mut bench);
}

fn encode(
    method: MessageMethod,
    class: MessageClass,
    id: [u8; 12],
    attributes: Vec<StunAttribute>,
) -> Vec<u8> {
    let builder = StunMessageBuilder::new(method, class).with_transaction_id(TransactionId::from(id));
    let message = attributes.into_iter().fold(builder, StunMessageBuilder::with_attribute).build();
    let mut bytes = vec![0; 1024];
    let size = MessageEncoder::default().encode(&mut bytes, &message).expect("it fits");
    bytes.truncate(size);
    bytes
}

#[test]
fn an_allocation_that_nobody_with_the_password_granted_is_none() {
    let mut bench = Bench::new(&TurnConfig { mobility: true, ..config() }, &["secret"]);
    // The first request meets the challenge; the second one is answered by a stranger.
    let from = bench.ends[0].from;
    let first = bench.ends[0].client.poll_transmit().expect("it asks");
    bench.send(from, &first);
    let second = bench.ends[0].client.poll_transmit().expect("it answers the challenge");
    let id: [u8; 12] = second[8..20].try_into().expect("a header");
    let attributes = || -> Vec<StunAttribute> {
        vec![
            XorRelayedAddress::from(at("192.0.2.66:6666")).into(),
            XorMappedAddress::from(from).into(),
            LifeTime::from(600).into(),
        ]
    };
    let forged = encode(ALLOCATE, MessageClass::SuccessResponse, id, attributes());
    assert_eq!(bench.ends[0].client.handle_input(bench.now, &forged), Input::Ignored);
    assert_eq!(bench.ends[0].client.relayed(), None);
    bench.send(from, &second);
    assert_eq!(bench.relayed(0).ip(), at(SERVER).ip(), "the true answer still counts");
}

#[test]
fn data_of_those_who_were_not_let_in_is_ignored() {
    let mut bench = two(&config());
    let data = |peer: &str| {
        let attributes = vec![XorPeerAddress::from(at(peer)).into(), Data::new(b"hello").into()];
        encode(DATA, MessageClass::Indication, [5; 12], attributes)
    };
    let now = bench.now;
    let client = &mut bench.ends[0].client;
    assert_eq!(client.handle_input(now, &data("192.0.2.66:6666")), Input::Ignored);
    assert_eq!(client.handle_input(now, &[0x40, 0, 0, 2, 1, 1]), Input::Ignored, "no such channel");
    let known = data("198.51.100.1:50000");
    assert!(matches!(client.handle_input(now, &known), Input::Data { .. }));
}
