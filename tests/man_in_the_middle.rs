//! Somebody who ends TLS on both sides and passes everything on unchanged gets neither side to believe it.
//!
//! TLS names nobody here, so such a splice is easy to make; what gives it away is that its two sides have two
//! TLS sessions. Two controls show that nothing else does: the same two people meet through a proxy that
//! passes datagrams on, and a handshake that is told nothing of TLS succeeds through the very splice.

use protocol::group::{Action, Admission};
use protocol::identity::Identity;
use protocol::noise::{
    Credential, FRAME_HEADER_BYTES, HandshakeError, Initiator, InitiatorEvent, Local, RefuseReason,
    Responder, ResponderEvent, encode_frame, frame_bytes,
};
use protocol::reach::Reach;
use quinn::{Connection, RecvStream, SendStream};
use roundtable::net::handshake::{self, Doorkeeper, HandshakeFailure, Myself, Password, Verdict};
use roundtable::net::node::Node;
use roundtable::net::udp::SystemUdp;
use roundtable::session::doors::{Doors, Terms};
use roundtable::session::entering::accept_password;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use zeroize::Zeroizing;

const PASSWORD: &str = "correct horse battery staple";
const SECRET: [u8; 32] = [3; 32];

fn node() -> Node {
    let udp = SystemUdp::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    Node::start(Box::new(udp), None).expect("a node starts").0
}

fn address(node: &Node) -> SocketAddr {
    node.local_addr().expect("a bound socket has an address")
}

fn person(seed: u8, name: &str) -> Myself {
    Myself {
        identity: Arc::new(Identity::from_seed(&[seed; 32])),
        name: name.into(),
        reach: Arc::new(Reach::default),
    }
}

async fn pump(mut from: RecvStream, mut to: SendStream) {
    let mut chunk = [0; 2048];
    while let Ok(Some(length)) = from.read(&mut chunk).await {
        if to.write_all(&chunk[..length]).await.is_err() {
            return;
        }
    }
    let _ = to.finish();
    let _ = to.stopped().await;
}

async fn pump_datagrams(from: Connection, to: Connection) {
    while let Ok(datagram) = from.read_datagram().await {
        let _ = to.send_datagram(datagram);
    }
}

/// Listens where the joiner will dial, dials the host for each that comes, and passes on all they say.
fn splice(host: SocketAddr) -> (SocketAddr, JoinHandle<()>) {
    let attacker = node();
    let listening = address(&attacker);
    let task = tokio::spawn(async move {
        while let Some(incoming) = attacker.accept().await {
            let near = incoming.await.expect("the joiner takes anybody's certificate");
            let far = attacker.dial(host, false).await.expect("the host answers everybody").keep();
            tokio::spawn(pump_datagrams(near.clone(), far.clone()));
            tokio::spawn(pump_datagrams(far.clone(), near.clone()));
            let (near_send, near_receive) = near.accept_bi().await.expect("the joiner opens a stream");
            let (far_send, far_receive) = far.open_bi().await.expect("the host takes a stream");
            tokio::join!(pump(near_receive, far_send), pump(far_receive, near_send));
        }
    });
    (listening, task)
}

/// Passes datagrams on, as a NAT does. Needs no more than two addresses.
async fn proxy(host: SocketAddr) -> (SocketAddr, JoinHandle<()>) {
    let near = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    let far = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    far.connect(host).await.expect("a local address");
    let listening = near.local_addr().expect("it is bound");
    let task = tokio::spawn(async move {
        let (mut up, mut down) = ([0; 1500], [0; 1500]);
        let mut joiner = None;
        loop {
            tokio::select! {
                Ok((length, from)) = near.recv_from(&mut up) => {
                    joiner = Some(from);
                    let _ = far.send(&up[..length]).await;
                }
                Ok(length) = far.recv(&mut down) => {
                    if let Some(joiner) = joiner {
                        let _ = near.send_to(&down[..length], joiner).await;
                    }
                }
            }
        }
    });
    (listening, task)
}

/// What the joiner holds.
#[derive(Debug, Clone, Copy)]
enum Way {
    Ticket,
    Password,
    Member,
}

/// A real joiner enters at a real host, over whatever is at `via(host)`. How it ended on both sides.
async fn meet<T>(
    way: Way,
    via: impl AsyncFnOnce(SocketAddr) -> (SocketAddr, JoinHandle<T>),
) -> (Result<(), HandshakeFailure>, Result<(), HandshakeFailure>) {
    let (joiner, host) = (person(1, "Joiner"), person(2, "Host"));
    let (joiner_node, host_node) = (node(), node());
    let (joiner_id, host_id) = (joiner.identity.peer_id(), host.identity.peer_id());
    let doors = Doors::found(host.identity.clone(), Admission::Open, [9; 32], SECRET);
    let group = doors.group();
    let (credential, password) = match way {
        Way::Ticket => {
            let (ticket, _) = doors.mint(Terms::default(), &Reach::default(), Vec::new());
            (Credential::of_ticket(&ticket), Password::None)
        }
        Way::Password => {
            let typed = Arc::new(Zeroizing::new(PASSWORD.to_owned()));
            accept_password(&doors, typed.clone()).await;
            (Credential::Password, Password::Typed(typed))
        }
        Way::Member => {
            doors.say(Action::Add { peer: joiner_id, ticket: None }).expect("the founder may");
            let (epoch, secret) = doors.epochs_to_try()[0].clone();
            (Credential::Member { group, epoch, secret, to: host_id }, Password::None)
        }
    };
    let (there, between) = via(address(&host_node)).await;
    let answering = tokio::spawn(async move {
        let incoming = host_node.accept().await.expect("the node runs");
        handshake::respond(incoming, &host_node, &host, &doors).await
    });
    let connection = joiner_node.dial(there, false).await.expect("somebody answers");
    let entered =
        handshake::initiate(connection, &joiner, credential, password, &Notify::new(), Instant::now()).await;
    let answered = answering.await.expect("answering does not panic");
    between.abort();
    if let (Ok((host, _)), Ok((joiner, _))) = (&entered, &answered) {
        assert_eq!((host.peer, joiner.peer), (host_id, joiner_id));
    }
    (entered.map(drop), answered.map(drop))
}

const WAYS: [Way; 3] = [Way::Ticket, Way::Password, Way::Member];

#[tokio::test]
async fn a_splice_fails_the_handshake_on_both_sides_whatever_the_secret() {
    for way in WAYS {
        let (entered, answered) = meet(way, async |host| splice(host)).await;
        assert!(
            matches!(
                entered,
                Err(HandshakeFailure::Refused(HandshakeError::Refused(RefuseReason::WrongSecret)))
            ),
            "{way:?}: the joiner ended with {entered:?}"
        );
        assert!(
            matches!(
                answered,
                Err(HandshakeFailure::Refused(HandshakeError::Refusing(RefuseReason::WrongSecret)))
            ),
            "{way:?}: the host ended with {answered:?}"
        );
    }
}

#[tokio::test]
async fn the_same_two_meet_through_a_proxy_that_passes_datagrams_on() {
    for way in WAYS {
        let (entered, answered) = meet(way, proxy).await;
        assert!(entered.is_ok() && answered.is_ok(), "{way:?}: {entered:?}, {answered:?}");
    }
}

async fn read_message(receive: &mut RecvStream) -> Vec<u8> {
    let mut header = [0; FRAME_HEADER_BYTES];
    receive.read_exact(&mut header).await.expect("a header comes");
    let mut message = vec![0; frame_bytes(header).expect("our own messages are bounded")];
    receive.read_exact(&mut message).await.expect("a message comes");
    message
}

/// The splice is faithful: with nothing of TLS in it, the handshake does not notice.
#[tokio::test]
async fn without_the_exporter_the_splice_would_go_unnoticed() {
    let (joiner, host) = (Identity::from_seed(&[1; 32]), Identity::from_seed(&[2; 32]));
    let (joiner_node, host_node) = (node(), node());
    let doors = Doors::found(Arc::new(Identity::from_seed(&[2; 32])), Admission::Open, [9; 32], SECRET);
    let (ticket, _) = doors.mint(Terms::default(), &Reach::default(), Vec::new());
    let (there, _between) = splice(address(&host_node));
    let host_id = host.peer_id();

    let answering = tokio::spawn(async move {
        let connection = host_node.accept().await.expect("the node runs").await.expect("QUIC is set up");
        let (mut send, mut receive) = connection.accept_bi().await.expect("a stream is opened");
        let local = Local { identity: &host, name: "Host", exporter: [0; 32], seed: [5; 32] };
        let mut machine = Responder::new(&local, doors.group());
        loop {
            if let Some(message) = machine.poll_transmit() {
                send.write_all(&encode_frame(&message)).await.expect("it is read");
            }
            match machine.poll_event() {
                Some(ResponderEvent::NeedSecret(mode)) => {
                    machine.provide(doors.secret(&mode).expect("known"))
                }
                Some(ResponderEvent::NeedAdmission(newcomer)) => {
                    assert!(matches!(doors.judge(&newcomer), Verdict::Enter));
                    machine.admit(&[]);
                }
                Some(ResponderEvent::Established(_)) => break,
                Some(ResponderEvent::Failed(error)) => panic!("the host refused: {error}"),
                None => machine.handle_message(&read_message(&mut receive).await),
            }
        }
        // What follows goes through the attacker's hands as well.
        let voice = connection.read_datagram().await.expect("a datagram comes");
        assert_eq!(&voice[..], b"voice");
    });

    let connection = joiner_node.dial(there, false).await.expect("the attacker answers").keep();
    let (mut send, mut receive) = connection.open_bi().await.expect("a stream is taken");
    let local = Local { identity: &joiner, name: "Joiner", exporter: [0; 32], seed: [6; 32] };
    let mut machine = Initiator::new(&local, Credential::of_ticket(&ticket), &[]);
    let established = loop {
        while let Some(message) = machine.poll_transmit() {
            send.write_all(&encode_frame(&message)).await.expect("it is read");
        }
        match machine.poll_event() {
            Some(InitiatorEvent::Established(established)) => break established,
            Some(InitiatorEvent::Failed(error)) => panic!("the joiner was refused: {error}"),
            Some(InitiatorEvent::NeedPassword { .. } | InitiatorEvent::Waiting) => {
                panic!("a ticket needs neither")
            }
            None => machine.handle_message(&read_message(&mut receive).await),
        }
    };
    assert_eq!(established.peer, host_id);
    connection.send_datagram(b"voice".as_slice().into()).expect("there is room");
    answering.await.expect("the host ends well");
}
