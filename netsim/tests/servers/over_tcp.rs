//! A server in a world, over a connection from a network that lets no UDP out.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use netsim::link::LinkConfig;
use netsim::nat::{FirewallConfig, Transport, kind};
use netsim::servers::TurnConfig;
use netsim::world::{INTERNET, Names, STUN_PORT, Service, SharedWorld, SimPlatform, SimUdp, World};
use roundtable::net::platform::{Platform, Stream};
use roundtable::net::udp::Udp;
use stun_rs::attributes::stun::{Nonce, Realm};
use stun_rs::attributes::turn::{Data, RequestedTrasport, XorPeerAddress, XorRelayedAddress};
use stun_rs::methods::{ALLOCATE, CREATE_PERMMISSION, SEND};
use stun_rs::{MessageClass, MessageMethod, StunAttribute, StunMessage, protocols};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::client::{Client, decode, encode, outcome};

const DELAY: Duration = Duration::from_millis(25);

/// Lets a second pass at most, until the work is done.
fn wait<T>(world: &SharedWorld, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let end = world.lock().now() + Duration::from_secs(1);
    loop {
        if let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return Some(done);
        }
        let mut world = world.lock();
        if world.now() >= end {
            return None;
        }
        let next = world.next_due().unwrap_or(end).min(end);
        world.advance(next, &mut Vec::new());
    }
}

async fn write(stream: &mut Box<dyn Stream>, bytes: &[u8]) {
    let count = poll_fn(|cx| Pin::new(&mut *stream).poll_write(cx, bytes)).await.unwrap();
    assert_eq!(count, bytes.len());
}

async fn message(stream: &mut Box<dyn Stream>) -> StunMessage {
    let mut frame = Vec::new();
    let mut wanted = 20;
    while frame.len() < wanted {
        let mut space = vec![0; wanted - frame.len()];
        let mut buffer = ReadBuf::new(&mut space);
        poll_fn(|cx| Pin::new(&mut *stream).poll_read(cx, &mut buffer)).await.unwrap();
        frame.extend(buffer.filled());
        if frame.len() == 20 {
            wanted += usize::from(u16::from_be_bytes([frame[2], frame[3]]));
        }
    }
    decode(&frame)
}

async fn request(
    client: &mut Client,
    stream: &mut Box<dyn Stream>,
    method: MessageMethod,
    attributes: Vec<StunAttribute>,
) -> Result<StunMessage, u16> {
    write(stream, &client.bytes(method, attributes)).await;
    let answer = message(stream).await;
    if let (Some(realm), Some(nonce)) = (answer.get::<Realm>(), answer.get::<Nonce>()) {
        client.challenge = Some((realm.expect_realm().clone(), nonce.expect_nonce().clone()));
    }
    outcome(answer)
}

fn receive(socket: &SimUdp) -> Option<(Vec<u8>, SocketAddr)> {
    let mut buffer = [0; 1500];
    match socket.poll_recv(&mut Context::from_waker(Waker::noop()), &mut buffer) {
        Poll::Ready(received) => {
            let (length, from) = received.unwrap();
            Some((buffer[..length].to_vec(), from))
        }
        Poll::Pending => None,
    }
}

#[test]
fn a_client_without_udp_is_relayed_over_its_connection_and_only_while_it_has_it() {
    let mut world = World::new(DELAY, 1);
    let perfect = LinkConfig::default();
    let mut line = || world.add_line(&perfect, &perfect).unwrap();
    let (a, b, c, d) = (line(), line(), line(), line());
    let users = [("alice".to_owned(), "ecila".to_owned())].into();
    let config = TurnConfig { users, ..TurnConfig::default() };
    let server = world.add_server(a, |ips, seed| Service::turn(ips, &config, seed).unwrap());
    let nat = kind("symmetric-random");
    let (home, _) = world.add_lan(INTERNET, b, nat.as_ref(), Some(&FirewallConfig::udp_blocked()), false);
    let (inside, outside) = (world.add_host(home, c), world.add_host(INTERNET, d));
    let (meet, peer) = (world.addresses(server)[0], world.addresses(outside)[0]);
    let world = SharedWorld::new(world);
    let socket = SimUdp::bind(&world, outside, 4700).unwrap();
    let peer = SocketAddr::new(peer, 4700);
    let platform = SimPlatform::new(&world, inside, Names::new());

    let connecting = platform.connect(SocketAddr::new(meet, STUN_PORT));
    let mut stream = wait(&world, connecting).expect("it is reached").unwrap();
    let mut client = Client { transport: Transport::Tcp, ..Client::alice() };
    let allocating = async {
        let udp = || vec![RequestedTrasport::new(protocols::UDP).into()];
        assert_eq!(request(&mut client, &mut stream, ALLOCATE, udp()).await.unwrap_err(), 401);
        let allocated = request(&mut client, &mut stream, ALLOCATE, udp()).await.unwrap();
        let permit = vec![XorPeerAddress::from(peer).into()];
        request(&mut client, &mut stream, CREATE_PERMMISSION, permit).await.unwrap();
        let attributes = vec![XorPeerAddress::from(peer).into(), Data::new(b"out").into()];
        write(&mut stream, &encode(SEND, MessageClass::Indication, 9, attributes)).await;
        *allocated.get::<XorRelayedAddress>().unwrap().expect_xor_relayed_address().socket_address()
    };
    let relayed = wait(&world, allocating).expect("all is answered");
    assert_eq!(relayed.ip(), meet, "of its two addresses the server relays from its first");
    wait(&world, std::future::pending::<()>());
    assert_eq!(receive(&socket), Some((b"out".to_vec(), relayed)));

    socket.try_send(relayed, b"back").unwrap();
    let back = wait(&world, message(&mut stream)).expect("it comes");
    assert_eq!(back.get::<Data>().unwrap().expect_data().as_bytes(), b"back");

    drop(stream);
    wait(&world, std::future::pending::<()>());
    assert_eq!(world.lock().stream_ends(), 0);
    let before = world.lock().packets_sent(server);
    socket.try_send(relayed, b"anybody?").unwrap();
    wait(&world, std::future::pending::<()>());
    assert_eq!(world.lock().packets_sent(server), before, "the allocation ended with its connection");
}
