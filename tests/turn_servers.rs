//! One suite for every TURN server that calls go through: coturn, the reference, and the bundled relay.
//!
//! The client is the one that calls use, over real sockets. What concerns time without end (an hour of refreshes) is
//! tested in virtual time beside the relay, in `src/relay`.

#[path = "support/certificate.rs"]
mod certificate;
#[path = "support/coturn.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod coturn;
#[path = "support/process.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod process;
#[path = "support/sound.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod sound;
#[path = "support/spawn.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod spawn;
#[path = "support/turn_servers.rs"]
mod turn_servers;

use certificate::write_certificate;
use coturn::{Coturn, free_port};
use process::{SOON, Seat};
use protocol::turn::{Event, Family, Transport, TurnError, TurnServer};
use roundtable::relay::credentials::Secret;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use turn_servers::{Member, Relay, Server, Wishes, coturn, over, turn_server};

/// Both servers as they come.
fn both() -> [Server; 2] {
    [coturn(Coturn::new()), Server::Relay(Box::new(Relay::start(&[])))]
}

/// Both, letting each user have one allocation only.
fn both_with_quota_one() -> [Server; 2] {
    let relay = Relay::start(&["--user-quota", "1"]);
    [coturn(Coturn::new().option("--user-quota=1")), Server::Relay(Box::new(relay))]
}

/// Two members that talk with each other in every way that a client can.
fn talk(ada: &mut Member, bob: &mut Member) {
    ada.permit(bob.relayed()).expect("the server relays to itself");
    bob.permit(ada.relayed()).expect("the server relays to itself");
    for channels in 0..3 {
        match channels {
            0 => {}
            1 => ada.bind(bob.relayed()),
            _ => bob.bind(ada.relayed()),
        }
        // Lengths that a stream pads, and a full datagram.
        for length in [1, 2, 3, 4, 1200] {
            let payload: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            ada.say(bob.relayed(), &payload);
            assert_eq!(bob.hear(), (ada.relayed(), payload.clone()), "{channels} channels");
            bob.say(ada.relayed(), &payload);
            assert_eq!(ada.hear(), (bob.relayed(), payload), "{channels} channels");
        }
    }
}

#[test]
fn two_members_of_one_server_hear_each_other_over_udp_and_tcp() {
    for server in both() {
        let udp = server.lets_in();
        let tcp = over(&udp, Transport::Tcp, None);
        for (first, second) in [(&udp, &udp), (&udp, &tcp), (&tcp, &tcp)] {
            let mut ada = Member::allocated(first, Wishes::default());
            let mut bob = Member::allocated(second, Wishes::default());
            assert_eq!(ada.client.mapped(), Some(ada.local()));
            assert_eq!(ada.relayed().ip().to_string(), udp.host);
            assert_ne!(ada.relayed(), bob.relayed());
            talk(&mut ada, &mut bob);
        }
    }
}

#[test]
fn tls_leads_to_coturn_too() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
    let trusted = write_certificate(Ipv4Addr::LOCALHOST.into(), &certificate, &key).into();
    let port = free_port(Ipv4Addr::LOCALHOST.into());
    let server = coturn(Coturn::new().tls(&certificate, &key, port));
    let tls = over(&server.lets_in(), Transport::Tls, Some(port));
    let mut ada = Member::allocated(&tls, Wishes { trusted: Some(trusted), ..Wishes::default() });
    let mut bob = Member::allocated(&server.lets_in(), Wishes::default());
    talk(&mut ada, &mut bob);
}

#[test]
fn an_address_of_ipv6_is_given_to_those_who_ask_for_one() {
    let ipv6 = |server: TurnServer| {
        let wishes = Wishes { family: Some(Family::V6), ..Wishes::default() };
        let (mut ada, mut bob) =
            (Member::allocated(&server, wishes.clone()), Member::allocated(&server, wishes));
        assert!(ada.relayed().is_ipv6() && bob.relayed().is_ipv6());
        talk(&mut ada, &mut bob);
    };
    let localhost = IpAddr::from(Ipv6Addr::LOCALHOST);
    let server = coturn(Coturn::new().listen(localhost));
    ipv6(server.lets_in());
    let relay = Relay::start_at("[::1]:0", &["--external", "::1"]);
    ipv6(relay.server());
    // Where there is none, that is said.
    for server in both() {
        let wishes = Wishes { family: Some(Family::V6), ..Wishes::default() };
        assert_eq!(Member::new(&server.lets_in(), wishes).failure(), TurnError::Family);
    }
}

#[test]
fn a_server_that_sends_us_on_says_where_to() {
    let other = coturn(Coturn::new());
    let there = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), other.lets_in().port);
    let server = coturn(Coturn::new().option(&format!("--alternate-server={there}")));
    let mut ada = Member::new(&server.lets_in(), Wishes::default());
    let told = ada.wait_for("another server", |event| matches!(event, Event::Redirected { .. }));
    assert_eq!(told, Event::Redirected { to: there });
    Member::allocated(&other.lets_in(), Wishes::default());
}

#[test]
fn time_limited_credentials_let_in_until_they_end() {
    let secret = Secret::new("a secret that both know");
    let coturn = Coturn::new().secret("a secret that both know").start();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
    for (expires, expected) in [(now + 60, None), (now - 60, Some(TurnError::Unauthorized))] {
        let credentials = secret.issue("ada", expires);
        let server = turn_server(coturn.address(), &credentials.username, &credentials.password);
        let mut member = Member::new(&server, Wishes::default());
        match expected {
            None => drop(member.wait_for("an allocation", |event| matches!(event, Event::Allocated { .. }))),
            Some(error) => assert_eq!(member.failure(), error),
        }
    }
}

#[test]
fn the_relay_takes_fresh_credentials_and_no_ended_ones() {
    let relay = Relay::start(&["--name", "ada"]);
    assert!(relay.server().username.ends_with(":ada"));
    let fresh = relay.credentials(&["--name", "bob", "--lifetime", "1"]);
    assert!(fresh.username.ends_with(":bob"), "{}", fresh.username);
    Member::allocated(&fresh, Wishes::default());
    // Credentials of another secret are no good, ended ones neither.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
    let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), relay.server().port);
    let (other, ended) =
        (Secret::new("another").issue("ada", now + 60), relay.secret().issue("ada", now - 60));
    for credentials in [other, ended] {
        let server = turn_server(address, &credentials.username, &credentials.password);
        assert_eq!(Member::new(&server, Wishes::default()).failure(), TurnError::Unauthorized);
    }
}

#[test]
fn a_wrong_password_is_refused() {
    for server in both() {
        let mut wrong = server.lets_in();
        wrong.password = "wrong".into();
        assert_eq!(Member::new(&wrong, Wishes::default()).failure(), TurnError::Unauthorized);
    }
}

#[test]
fn nothing_comes_from_whom_one_did_not_permit() {
    for server in both() {
        let mut ada = Member::allocated(&server.lets_in(), Wishes::default());
        let mut bob = Member::allocated(&server.lets_in(), Wishes::default());
        ada.permit(bob.relayed()).expect("the server relays to itself");
        ada.say(bob.relayed(), b"hello");
        assert!(bob.hears_nothing());
        bob.permit(ada.relayed()).expect("the server relays to itself");
        ada.say(bob.relayed(), b"hello");
        assert_eq!(bob.hear().1, b"hello");
    }
}

#[test]
fn a_quota_of_one_refuses_the_second_until_the_first_is_given_back() {
    for server in both_with_quota_one() {
        let mut ada = Member::allocated(&server.lets_in(), Wishes::default());
        let mut bob = Member::new(&server.lets_in(), Wishes::default());
        assert_eq!(bob.failure(), TurnError::Quota);
        let now = ada.now();
        ada.client.close(now);
        ada.idle(Duration::from_millis(100));
        // coturn counts an allocation for some moments after it was given back.
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let mut again = Member::new(&server.lets_in(), Wishes::default());
            let told = again
                .wait_for("answer", |event| matches!(event, Event::Allocated { .. } | Event::Failed { .. }));
            match told {
                Event::Allocated { .. } => break,
                _ => assert!(Instant::now() < deadline, "it is never given back"),
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

#[test]
fn an_address_that_is_denied_is_forbidden_and_the_own_one_can_be_allowed() {
    let denied = Coturn::new().option("--denied-peer-ip=127.0.0.0-127.255.255.255");
    let server = coturn(denied.clone());
    let mut ada = Member::allocated(&server.lets_in(), Wishes::default());
    assert_eq!(ada.permit(ada.relayed()), Err(TurnError::Forbidden));
    let server = coturn(denied.option("--allowed-peer-ip=127.0.0.1"));
    let mut ada = Member::allocated(&server.lets_in(), Wishes::default());
    assert_eq!(ada.permit(ada.relayed()), Ok(()));
    // The relay denies everything but itself.
    let relay = Relay::start(&[]);
    let mut ada = Member::allocated(&relay.server(), Wishes::default());
    assert_eq!(ada.permit("192.0.2.1:1".parse().expect("an address")), Err(TurnError::Forbidden));
    assert_eq!(ada.permit(ada.relayed()), Ok(()));
}

#[test]
fn an_old_nonce_is_answered_and_not_the_end() {
    let server = coturn(Coturn::new().option("--stale-nonce=1"));
    let mut ada = Member::allocated(&server.lets_in(), Wishes::default());
    let mut bob = Member::allocated(&server.lets_in(), Wishes::default());
    std::thread::sleep(Duration::from_millis(2500));
    talk(&mut ada, &mut bob);
}

#[test]
fn refreshes_keep_what_would_end() {
    let server = coturn(
        Coturn::new()
            .option("--max-allocate-lifetime=8")
            .option("--permission-lifetime=8")
            .option("--channel-lifetime=8"),
    );
    // Forty seconds pass in one for the clients: what they refresh every few minutes is refreshed in time.
    let quick = Wishes { speed: 40, ..Wishes::default() };
    let mut ada = Member::allocated(&server.lets_in(), quick.clone());
    let mut bob = Member::allocated(&server.lets_in(), quick);
    ada.permit(bob.relayed()).expect("the server relays to itself");
    bob.bind(ada.relayed());
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end {
        ada.idle(Duration::from_millis(5));
        bob.idle(Duration::from_millis(5));
    }
    ada.say(bob.relayed(), b"still here");
    assert_eq!(bob.hear().1, b"still here");
    bob.say(ada.relayed(), b"me too");
    assert_eq!(ada.hear().1, b"me too");
}

#[test]
fn a_dead_server_is_noticed_soon_after_silence() {
    for mut server in both() {
        let mut udp = Member::allocated(&server.lets_in(), Wishes::default());
        let mut tcp = Member::allocated(&over(&server.lets_in(), Transport::Tcp, None), Wishes::default());
        server.kill();
        let now = udp.now();
        udp.client.suspect(now);
        let since = Instant::now();
        assert_eq!(udp.failure(), TurnError::Dead);
        assert!(since.elapsed() < Duration::from_millis(2500), "{:?}", since.elapsed());
        tcp.idle(Duration::from_millis(100));
        assert!(tcp.cut_off);
    }
}

#[test]
fn a_server_that_was_restarted_is_used_anew() {
    for server in both() {
        let mut ada = Member::allocated(&server.lets_in(), Wishes::default());
        let server = server.restart();
        // It answers, but has forgotten everybody; who asks for anything learns that.
        assert!(ada.permit(ada.relayed()).is_err());
        let mut again = Member::allocated(&server.lets_in(), Wishes::default());
        let mut bob = Member::allocated(&server.lets_in(), Wishes::default());
        talk(&mut again, &mut bob);
    }
}

#[test]
fn with_mobility_a_relayed_address_survives_a_change_of_network() {
    let server = coturn(Coturn::new().option("--mobility"));
    let wishes = Wishes { mobility: true, ..Wishes::default() };
    let mut ada = Member::allocated(&server.lets_in(), wishes.clone());
    let mut bob = Member::allocated(&server.lets_in(), wishes);
    talk(&mut ada, &mut bob);
    let relayed = ada.relayed();
    ada.move_away();
    ada.wait_for("move", |event| matches!(event, Event::Moved { .. }));
    assert_eq!(ada.relayed(), relayed);
    bob.say(relayed, b"where are you");
    assert_eq!(ada.hear().1, b"where are you");
    ada.say(bob.relayed(), b"elsewhere");
    assert_eq!(bob.hear(), (relayed, b"elsewhere".to_vec()));
}

#[test]
fn without_mobility_a_change_of_network_brings_another_relayed_address() {
    let relay = Server::Relay(Box::new(Relay::start(&[])));
    for server in [coturn(Coturn::new()), relay] {
        let mut ada = Member::allocated(&server.lets_in(), Wishes::default());
        let relayed = ada.relayed();
        ada.events.clear();
        ada.move_away();
        ada.wait_for("allocation", |event| matches!(event, Event::Allocated { .. }));
        assert_ne!(ada.relayed(), relayed);
    }
}

#[test]
fn nonsense_does_the_relay_no_harm() {
    let relay = Relay::start(&[]);
    let udp = relay.server();
    let mut ada = Member::allocated(&udp, Wishes::default());
    let mut bob = Member::allocated(&udp, Wishes::default());
    let mut vandal = Member::new(&udp, Wishes::default());
    let request = protocol::stun::binding_request(protocol::stun::TransactionId([1; 12]));
    for at in 0..request.len() {
        for change in [1, 0x40, 0xff] {
            let mut changed = request.clone();
            changed[at] ^= change;
            vandal.send_raw(&changed);
            vandal.send_raw(&changed[..at]);
        }
    }
    for nonsense in [&[0xff; 64][..], &[0x40; 3000], &[0, 1, 0xff, 0xfc, 0, 0]] {
        Member::new(&over(&udp, Transport::Tcp, None), Wishes::default()).send_raw(nonsense);
    }
    talk(&mut ada, &mut bob);
}

#[test]
fn a_call_goes_through_the_relay_with_the_line_that_it_printed() {
    let relay = Relay::start(&[]);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let line = relay.event["turn"].as_str().expect("it printed a server");
    let seat = |name, hz| Seat::new(dir.path(), name).input(format!("tone:{hz}")).option("--relay-only");
    let mut ada = seat("Ada", 500).option("--turn").option(line).host();
    let mut bob = seat("Bob", 800).join(ada.ticket());
    for member in [&mut ada, &mut bob] {
        member.wait_for("connected", |said| said["path"] == "relayed", SOON);
    }
    std::thread::sleep(Duration::from_secs(3));
    let now = sound::now_us();
    for (member, hz) in [(bob, 500.0), (ada, 800.0)] {
        let heard = member.leave();
        let level = sound::level(heard.between(now - 1_500_000, now - 500_000), hz);
        assert!(level > 0.1, "{hz} Hz is heard at {level}");
    }
}

#[test]
fn who_wants_relays_only_answers_nobody_at_its_own_address() {
    const WORDS: &str = "fifteen quiet llamas";
    let relay = Relay::start(&[]);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let line = relay.event["turn"].as_str().expect("it printed a server");
    let host = |name| Seat::new(dir.path(), name).password(WORDS).option("--turn").option(line);
    let stranger =
        |name, port| Seat::new(dir.path(), name).password(WORDS).join(&format!("127.0.0.1:{port}"));
    let mut open = host("Open").host();
    stranger("Ann", open.port()).wait_for("connected", |_| true, SOON);
    let mut hidden = host("Hidden").option("--relay-only").host();
    let mut lost = stranger("Bob", hidden.port());
    lost.wait_for("error", |said| said["code"] == "unreachable", SOON + SOON);
}

#[test]
fn the_relay_ends_in_good_order_by_signal() {
    let relay = Relay::start(&[]);
    let id = relay.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().expect("`kill` is there").success());
    let (code, last) = relay.end();
    assert_eq!((code, last["event"].as_str()), (Some(0), Some("bye")));
}
