//! A connection that changes its path in mid-stream does not notice, and of two dials at once one remains.

use protocol::path::Kind;
use quinn::Connection;
use roundtable::net::node::Node;
use roundtable::net::paths::Learnt;
use roundtable::net::udp::SystemUdp;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::{sleep, timeout};

const DATAGRAMS: u32 = 800;

fn node() -> Node {
    let udp = SystemUdp::bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    Node::start(Box::new(udp), None).expect("a node starts").0
}

fn address(node: &Node) -> SocketAddr {
    node.local_addr().expect("a bound socket has an address")
}

/// A way between two nodes, each of which sees only its end: the addresses for the one, and for the other.
async fn path(one: SocketAddr, other: SocketAddr) -> (SocketAddr, SocketAddr) {
    let for_one = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    let for_other = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    let ends = (for_one.local_addr().expect("bound"), for_other.local_addr().expect("bound"));
    tokio::spawn(async move {
        let (mut there, mut back) = ([0; 1500], [0; 1500]);
        loop {
            tokio::select! {
                Ok((length, _)) = for_one.recv_from(&mut there) => {
                    let _ = for_other.send_to(&there[..length], other).await;
                }
                Ok((length, _)) = for_other.recv_from(&mut back) => {
                    let _ = for_one.send_to(&back[..length], one).await;
                }
            }
        }
    });
    ends
}

/// Takes numbered datagrams until nothing came for a while: how often each number came.
async fn count(connection: Connection) -> Vec<u32> {
    let mut seen = vec![0; DATAGRAMS as usize];
    while let Ok(Ok(datagram)) = timeout(Duration::from_secs(1), connection.read_datagram()).await {
        let number = u32::from_be_bytes(*datagram.first_chunk().expect("each has a number"));
        seen[number as usize] += 1;
    }
    seen
}

/// Another path is checked and chosen.
fn switch(node: &Node, peer: SocketAddr, to: SocketAddr) {
    let mut paths = node.socket().paths();
    let now = tokio::time::Instant::now();
    for learnt in [Learnt::Valid(Duration::from_millis(1)), Learnt::Nominated] {
        paths.learn(peer, to.into(), Kind::Lan, learnt, now);
    }
}

#[tokio::test]
async fn a_switch_of_paths_in_mid_stream_loses_no_datagram() {
    let (caller, callee) = (node(), node());
    let (first_there, first_back) = path(address(&caller), address(&callee)).await;
    let (second_there, second_back) = path(address(&caller), address(&callee)).await;
    let accepting = tokio::spawn({
        let callee = callee.clone();
        async move { callee.accept().await.expect("the node runs").await.expect("QUIC is set up") }
    });
    let outgoing = caller.dial(first_there, false).await.expect("the other answers").keep();
    let incoming = accepting.await.expect("accepting does not panic");
    let (caller_peer, callee_peer) = (outgoing.remote_address(), incoming.remote_address());
    let remote = |node: &Node, peer| node.socket().paths().route(peer).expect("the peer has a path").to;
    assert_eq!((remote(&caller, caller_peer), remote(&callee, callee_peer)), (first_there, first_back));
    caller.socket().paths().promote(caller_peer);
    callee.socket().paths().promote(callee_peer);

    let counting = [tokio::spawn(count(incoming.clone())), tokio::spawn(count(outgoing.clone()))];
    for number in 0..DATAGRAMS {
        if number == DATAGRAMS / 2 {
            // What is on its way on the first path still arrives there.
            switch(&caller, caller_peer, second_there);
            switch(&callee, callee_peer, second_back);
        }
        let mut datagram = vec![0; 80];
        datagram[..4].copy_from_slice(&number.to_be_bytes());
        outgoing.send_datagram(datagram.clone().into()).expect("the connection stands");
        incoming.send_datagram(datagram.into()).expect("the connection stands");
        sleep(Duration::from_millis(2)).await;
    }
    for counting in counting {
        let seen = counting.await.expect("counting does not panic");
        let missing: Vec<_> = (0..seen.len()).filter(|number| seen[*number] != 1).collect();
        assert!(missing.is_empty(), "not exactly once: {missing:?}");
    }
    assert_eq!((remote(&caller, caller_peer), remote(&callee, callee_peer)), (second_there, second_back));
    assert_eq!((outgoing.remote_address(), incoming.remote_address()), (caller_peer, callee_peer));
    assert!(outgoing.close_reason().is_none() && incoming.close_reason().is_none());
    assert_eq!((outgoing.stats().path.lost_packets, incoming.stats().path.lost_packets), (0, 0));
}

/// A connection can be used when what is said on one end is heard on the other.
async fn talk(one: &Connection, other: &Connection) {
    for (from, to) in [(one, other), (other, one)] {
        from.send_datagram(b"hello".as_slice().into()).expect("the connection stands");
        let heard = timeout(Duration::from_secs(2), to.read_datagram()).await.expect("it arrives");
        assert_eq!(&heard.expect("the connection stands")[..], b"hello");
    }
}

#[tokio::test]
async fn of_two_dials_at_once_exactly_one_connection_remains_on_each_side() {
    for round in 0..5 {
        let (insisting, yielding) = (node(), node());
        let accept = |node: &Node| {
            let node = node.clone();
            tokio::spawn(async move { node.accept().await.expect("the node runs").await })
        };
        let (at_insisting, at_yielding) = (accept(&insisting), accept(&yielding));
        let patience = Duration::from_secs(5);
        let giving_way = tokio::spawn({
            let (node, there) = (yielding.clone(), address(&insisting));
            async move { node.dial(there, true).await }
        });
        let dialled = timeout(patience, insisting.dial(address(&yielding), false)).await;
        let dialled = dialled.expect("the one that insists is answered").expect("and connected").keep();
        let accepted = timeout(patience, at_yielding).await.expect("the dial arrived");
        let accepted = accepted.expect("accepting does not panic").expect("QUIC is set up");
        talk(&dialled, &accepted).await;
        // Long enough for a lost first packet to be repeated.
        sleep(Duration::from_millis(400)).await;
        talk(&dialled, &accepted).await;
        assert!(!at_insisting.is_finished(), "round {round}: the other dial arrived as well");
        assert!(!giving_way.is_finished(), "round {round}: the other dial was answered");
        giving_way.abort();
        at_insisting.abort();
    }
}
