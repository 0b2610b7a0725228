//! Each way of not getting in has its own message and exit code, and the host is told.

#[path = "support/spawn.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod spawn;

use protocol::group::Admission;
use protocol::identity::Identity;
use protocol::invite::Ticket;
use protocol::noise::{RefuseReason, encode_frame};
use roundtable::net::connectivity::{Connectivity, Settings};
use roundtable::net::handshake::Myself;
use roundtable::net::node::{Node, SEAT_KEPT};
use roundtable::net::platform::System;
use roundtable::net::socket::StunDatagram;
use roundtable::net::udp::SystemUdp;
use roundtable::session::doors::Terms;
use roundtable::session::event::Event;
use roundtable::session::{Session, Surroundings, Wiring, entering};
use roundtable::voice::engine::engine;
use spawn::{Ended, Running};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, mpsc, watch};

/// What a refused joiner leaves behind: the exit code, an `error` event with this code whose message has
/// these words, then `bye`; and the same message for people on stderr.
#[track_caller]
fn assert_refused(joiner: &Ended, exit: i32, code: &str, words: &str) {
    let [.., error, bye] = joiner.events.as_slice() else { panic!("too few events: {:?}", joiner.events) };
    let message = error["message"].as_str().unwrap_or_default();
    assert_eq!((error["event"].as_str(), error["code"].as_str()), (Some("error"), Some(code)), "{error}");
    assert!(message.contains(words), "{message:?} does not say {words:?}");
    assert!(error["hint"].is_string(), "{error}");
    assert_eq!((bye["event"].as_str(), bye["reason"].as_str()), (Some("bye"), Some("error")));
    assert_eq!(joiner.code, exit, "{message}");
    assert!(joiner.complaint.contains(message), "{:?}", joiner.complaint);
}

/// The host is told about it, and its call goes on.
fn assert_told(host: &Running, code: &str) {
    let error = host.wait_for("error", |event| event["code"] == code);
    assert!(
        error["message"].as_str().unwrap_or_default().starts_with("somebody at the door was turned away"),
        "{error}"
    );
    assert!(host.events().iter().all(|event| event["event"] != "bye"));
}

/// The same ticket, altered.
fn altered(ticket: &str, change: impl FnOnce(&mut Ticket)) -> String {
    let mut ticket: Ticket = ticket.parse().expect("a host prints a good ticket");
    change(&mut ticket);
    ticket.to_string()
}

#[test]
fn a_ticket_that_was_damaged_on_its_way_is_wrong_usage_and_nobody_is_bothered() {
    let (host, ticket, _) = Running::host(&[]);
    let mut mistyped = ticket.clone().into_bytes();
    let middle = mistyped.len() / 2;
    mistyped[middle] = if mistyped[middle] == b'a' { b'b' } else { b'a' };
    let mistyped = String::from_utf8(mistyped).unwrap();
    assert_refused(&Running::join(&[&mistyped]), 2, "mistyped_ticket", "typing error");
    let cut = &ticket[..ticket.len() - 7];
    assert_refused(&Running::join(&[cut]), 2, "truncated_ticket", "end is missing (7 characters)");
    assert!(host.events().iter().all(|event| event["event"] != "error"));
}

#[test]
fn a_ticket_of_another_version_says_so() {
    let (_host, ticket, _) = Running::host(&[]);
    let newer = ticket.replacen("rt1", "rt2", 1);
    assert_refused(&Running::join(&[&newer]), 4, "wrong_version", "version 2");
}

#[test]
fn an_expired_ticket_is_refused_before_anybody_is_asked() {
    let (host, ticket, _) = Running::host(&[]);
    let expired = altered(&ticket, |ticket| ticket.expires_at -= 24 * 3600 + 90 * 60);
    assert_refused(&Running::join(&[&expired]), 4, "expired_ticket", "expired 90 minutes ago");
    assert!(host.events().iter().all(|event| event["event"] != "error"));
}

#[test]
fn a_ticket_of_another_group_is_foreign_and_an_impostor_is_not_the_issuer() {
    let (_one, ticket, _) = Running::host(&[]);
    let (_other, others, _) = Running::host(&[]);
    let there: Ticket = others.parse().unwrap();
    let foreign = altered(&ticket, |ticket| ticket.candidates = there.candidates.clone());
    // Nothing is said to whoever has no key: not even that this is the wrong door.
    assert_refused(&Running::join(&[&foreign]), 3, "unreachable", "nobody answers");

    // Of this group, but never issued.
    let invented = altered(&ticket, |ticket| ticket.id.0[0] ^= 1);
    assert_refused(&Running::join(&[&invented]), 3, "unreachable", "nobody answers");

    // Issued, with another secret.
    let guessed =
        altered(&others, |ticket| ticket.secret = protocol::invite::TicketSecret::from_bytes([7; 16]));
    assert_refused(&Running::join(&[&guessed]), 3, "unreachable", "nobody answers");

    // Whoever holds the ticket poses as somebody else: here the ticket names another issuer. What is said to that one,
    // nobody else can read.
    let issuer: Ticket = others.parse().unwrap();
    let impostor = altered(&ticket, |ticket| ticket.issuer = issuer.issuer);
    assert_refused(&Running::join(&[&impostor]), 4, "wrong_secret", "password or ticket is wrong");
}

#[test]
fn nobody_there_is_told_with_the_addresses_tried() {
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap().to_string();
    let joiner = Running::join(&[&address, "--psk", "swordfish"]);
    assert_refused(&joiner, 3, "unreachable", &format!("nobody answers at {address}"));
}

#[test]
fn five_wrong_passwords_close_the_door_for_passwords_but_not_for_tickets() {
    let (host, ticket, address) = Running::host(&["--psk", "swordfish"]);
    let right = Running::start(&["join", &address, "--psk", "swordfish", "--duration", "1"]).end();
    assert_eq!((right.code, right.events.last().unwrap()["reason"].as_str()), (0, Some("time is up")));
    for _ in 0..5 {
        let joiner = Running::join(&[&address, "--psk", "sordfish"]);
        assert_refused(&joiner, 4, "wrong_secret", "password or ticket is wrong");
    }
    assert_told(&host, "wrong_secret");
    let joiner = Running::join(&[&address, "--psk", "swordfish"]);
    assert_refused(&joiner, 4, "too_many_attempts", "wait ten minutes");
    assert_told(&host, "too_many_attempts");
    assert_eq!(Running::join(&[&ticket, "--duration", "0.5"]).code, 0);
}

#[test]
fn a_group_without_a_password_takes_none() {
    let (_host, _, address) = Running::host(&[]);
    let joiner = Running::join(&[&address, "--psk", "swordfish"]);
    assert_refused(&joiner, 3, "unreachable", "nobody answers");
}

fn open_node() -> (Node, mpsc::Receiver<StunDatagram>) {
    let udp = SystemUdp::bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    Node::start(Box::new(udp), None).expect("a node starts")
}

/// A ticket says itself until when it is valid, but the group's memory of it decides.
#[test]
fn a_ticket_whose_expiry_was_forged_is_refused_by_the_host() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (node, stun) = open_node();
        let (connectivity, notices) =
            Connectivity::start(&node, stun, Arc::new(System::new()), Settings::default());
        let reachable = connectivity.clone();
        let myself = Myself {
            identity: Arc::new(Identity::from_seed(&[1; 32])),
            name: "Host".into(),
            reach: Arc::new(move || reachable.reach()),
        };
        let (frames, _) = broadcast::channel(8);
        let epoch = Instant::now();
        let surroundings = Surroundings {
            node,
            myself: Arc::new(myself),
            frames,
            epoch,
            connectivity,
            seat: SEAT_KEPT,
            waiting: Arc::default(),
        };
        let doors = entering::found(&surroundings, Admission::Open);
        let terms = Terms { uses: 0, lifetime: Duration::ZERO };
        let (mut ticket, _) = doors.mint(terms, &surroundings.connectivity.reach(), Vec::new());
        let (_engine, control) = engine(4, None).unwrap();
        let (_commands, commands) = mpsc::channel(1);
        let (events, mut told) = mpsc::channel(64);
        let snapshots = watch::channel(Default::default()).0;
        let wiring = Wiring { commands, events, snapshots, notices, known_peers: None };
        let session = tokio::spawn(Session::run(surroundings, doors, control, None, wiring));

        ticket.expires_at += 3600;
        let line = ticket.to_string();
        let joiner = tokio::task::spawn_blocking(move || Running::join(&[&line])).await.unwrap();
        assert_refused(&joiner, 4, "expired_ticket", "the other side refused: this ticket has expired");
        let code = async {
            loop {
                match told.recv().await {
                    Some(Event::Error { code, .. }) => return code,
                    Some(_) => {}
                    None => panic!("the session ended and told nothing"),
                }
            }
        };
        let code = tokio::time::timeout(Duration::from_secs(5), code).await.expect("the host is told");
        assert_eq!(code, "expired_ticket");
        session.abort();
    });
}

/// A program of a later version that speaks ours no more.
#[test]
fn a_hello_of_another_version_is_answered_with_the_reason() {
    let (host, _, address) = Running::host(&["--psk", "swordfish"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let reply = runtime.block_on(async {
        let (node, _) = open_node();
        let address: SocketAddr = address.parse().unwrap();
        let connection = node.dial(address, false).await.unwrap().keep();
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        // Hello: versions 2 to 9, mode "password".
        send.write_all(&encode_frame(&[0x01, 2, 9, 1])).await.unwrap();
        let mut reply = [0; 4];
        tokio::time::timeout(Duration::from_secs(5), receive.read_exact(&mut reply)).await.unwrap().unwrap();
        reply
    });
    assert_eq!(reply, [0, 2, 0x7f, RefuseReason::WrongVersion.code()]);
    assert_told(&host, "wrong_version");
}
