//! Getting in while others stand in the door, and finding each other at several addresses.

#[path = "support/spawn.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod spawn;

use roundtable::net::node::Node;
use roundtable::net::udp::SystemUdp;
use spawn::Running;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

/// Connections that are opened and then say nothing: more than all the places at the door.
const IDLERS: usize = 24;

#[test]
fn idlers_at_the_door_do_not_keep_a_friend_out() {
    friend_gets_in_within(Duration::from_secs(2), "127.0.0.2:0");
}

#[test]
fn idlers_behind_a_friends_own_address_only_delay_the_friend() {
    friend_gets_in_within(Duration::from_secs(7), "127.0.0.1:0");
}

/// Somebody at `idlers` opens connections and says nothing; then a friend joins.
fn friend_gets_in_within(limit: Duration, idlers: &str) {
    // Where a password opens the door, strangers get as far as that.
    let (host, ticket, listen) = Running::host(&["--psk", "swordfish"]);
    let port = listen.parse::<SocketAddr>().expect("an address").port();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _standing = runtime.block_on(async {
        let mut standing = Vec::new();
        for _ in 0..IDLERS {
            let udp = SystemUdp::bind(idlers.parse().expect("an address")).expect("a port");
            let (node, _) = Node::start(Box::new(udp), None).expect("a node");
            let dial = async move { node.dial(SocketAddr::from(([127, 0, 0, 1], port)), false).await };
            standing.push(tokio::spawn(dial));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        standing
    });
    // With their runtime standing still, none of them gives its place back before its time is up.
    let started = Instant::now();
    let friend = Running::start(&["join", &ticket, "--name", "Friend"]);
    friend.wait_for("connected", |_| true);
    host.wait_for("connected", |event| event["name"] == "Friend");
    assert!(started.elapsed() < limit, "it took {:?}", started.elapsed());
}

#[test]
fn members_with_several_addresses_find_each_other_once_and_stay() {
    let (host, ticket, _) = Running::host(&["--listen", "[::]:0"]);
    let join = |name| Running::start(&["join", &ticket, "--name", name, "--listen", "[::]:0"]);
    let (ann, bob) = (join("Ann"), join("Bob"));
    let all = [(&host, ["Ann", "Bob"]), (&ann, ["Host", "Bob"]), (&bob, ["Host", "Ann"])];
    for (member, others) in &all {
        for other in others {
            member.wait_for("connected", |event| event["name"] == *other);
        }
    }
    // What a second connection could break, it breaks within moments.
    thread::sleep(Duration::from_secs(3));
    for (member, _) in &all {
        let events = member.events();
        let count = |kind: &str| events.iter().filter(|event| event["event"] == kind).count();
        assert_eq!((count("connected"), count("lost"), count("left")), (2, 0, 0), "{events:#?}");
    }
}

#[test]
fn without_lan_no_address_of_the_local_network_is_told() {
    let (host, ticket, _) = Running::host(&["--listen", "[::]:0", "--no-lan"]);
    let ticket: protocol::invite::Ticket = ticket.parse().expect("a ticket");
    let told: Vec<_> = ticket.candidates.iter().map(|address| address.ip()).collect();
    assert!(!told.iter().any(|ip| protocol::local::is_local(*ip)), "{told:?}");
    drop(host);
}
