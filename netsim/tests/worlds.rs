//! Packets find their way through networks, routers and lines, or are dropped for a reason that is counted.

use netsim::link::LinkConfig;
use netsim::world::{
    HostId, INTERNET, NetworkId, STUN_PORT, Service, SharedWorld, SimUdp, TTL_DEFAULT, World,
};
use roundtable::net::udp::Udp;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

const DELAY: Duration = Duration::from_millis(20);

fn world() -> SharedWorld {
    SharedWorld::new(World::new(DELAY, 1))
}

fn host(world: &SharedWorld, network: NetworkId) -> HostId {
    let mut world = world.lock();
    let line = world.add_line(&LinkConfig::default(), &LinkConfig::default()).expect("a perfect line");
    world.add_host(network, line)
}

fn lan(world: &SharedWorld, outer: NetworkId, kind: Option<&str>, ipv6: bool) -> NetworkId {
    let mut world = world.lock();
    let line = world.add_line(&LinkConfig::default(), &LinkConfig::default()).expect("a perfect line");
    let nat = kind.map(|kind| netsim::nat::kind(kind).expect("a known kind"));
    world.add_lan(outer, line, nat.as_ref(), None, ipv6).0
}

fn socket(world: &SharedWorld, host: HostId) -> SimUdp {
    SimUdp::bind(world, host, 4700).expect("the port is free")
}

fn address(world: &SharedWorld, host: HostId, v6: bool) -> SocketAddr {
    let ips = world.lock().addresses(host);
    SocketAddr::new(*ips.iter().find(|ip| ip.is_ipv6() == v6).expect("it has one"), 4700)
}

fn pass(world: &SharedWorld, time: Duration) {
    let mut world = world.lock();
    let until = world.now() + time;
    world.advance(until, &mut Vec::new());
}

fn receive(socket: &SimUdp) -> Option<(Vec<u8>, SocketAddr)> {
    let mut buffer = [0; 1500];
    match socket.poll_recv(&mut Context::from_waker(Waker::noop()), &mut buffer) {
        Poll::Ready(received) => {
            let (length, from) = received.expect("sockets do not fail");
            Some((buffer[..length].to_vec(), from))
        }
        Poll::Pending => None,
    }
}

fn dropped(world: &SharedWorld, reason: &str) -> u64 {
    world.lock().dropped().get(reason).copied().unwrap_or(0)
}

#[test]
fn a_datagram_crosses_the_internet_in_its_delay_to_the_nanosecond() {
    let world = world();
    let (a, b) = (host(&world, INTERNET), host(&world, INTERNET));
    let (from, to) = (socket(&world, a), socket(&world, b));
    for v6 in [false, true] {
        from.try_send(address(&world, b, v6), b"hello").expect("it leaves");
        pass(&world, DELAY - Duration::from_nanos(1));
        assert_eq!(receive(&to), None);
        pass(&world, Duration::from_nanos(1));
        assert_eq!(receive(&to), Some((b"hello".to_vec(), address(&world, a, v6))));
    }
}

#[test]
fn what_nobody_takes_is_counted_by_its_reason() {
    let world = world();
    let (a, b) = (host(&world, INTERNET), host(&world, INTERNET));
    let from = socket(&world, a);
    from.try_send(address(&world, b, false), b"x").expect("it leaves");
    from.try_send("203.0.113.9:1".parse().expect("an address"), b"x").expect("it leaves");
    pass(&world, Duration::from_secs(1));
    assert_eq!((dropped(&world, "port closed"), dropped(&world, "no such address")), (1, 1));
}

#[test]
fn behind_a_nat_one_can_speak_first_but_not_be_spoken_to() {
    let world = world();
    let home = lan(&world, INTERNET, Some("port-restricted"), false);
    let (inside, outside) = (host(&world, home), host(&world, INTERNET));
    let (a, b) = (socket(&world, inside), socket(&world, outside));
    a.try_send(address(&world, outside, false), b"ping").expect("it leaves");
    pass(&world, Duration::from_secs(1));
    let (_, seen) = receive(&b).expect("it got out");
    assert_ne!(seen.ip(), address(&world, inside, false).ip());
    b.try_send(seen, b"pong").expect("it leaves");
    pass(&world, Duration::from_secs(1));
    assert_eq!(receive(&a), Some((b"pong".to_vec(), address(&world, outside, false))));
    let stranger = socket(&world, host(&world, INTERNET));
    stranger.try_send(seen, b"knock").expect("it leaves");
    pass(&world, Duration::from_secs(1));
    assert_eq!((receive(&a), dropped(&world, "nat: filtered")), (None, 1));
}

#[test]
fn two_nats_in_a_row_translate_twice_and_answers_find_back() {
    let world = world();
    let carrier = lan(&world, INTERNET, Some("cgnat"), false);
    let home = lan(&world, carrier, Some("port-restricted"), false);
    let (inside, outside) = (host(&world, home), host(&world, INTERNET));
    let (a, b) = (socket(&world, inside), socket(&world, outside));
    a.try_send(address(&world, outside, false), b"ping").expect("it leaves");
    pass(&world, Duration::from_secs(1));
    let (_, seen) = receive(&b).expect("it got out");
    b.try_send(seen, b"pong").expect("it leaves");
    pass(&world, Duration::from_secs(1));
    assert_eq!(receive(&a), Some((b"pong".to_vec(), address(&world, outside, false))));
}

#[test]
fn hosts_of_two_homes_have_the_same_private_addresses_and_meet_by_them_only_in_one_home() {
    let world = world();
    let kind = Some("port-restricted");
    let (one, other) = (lan(&world, INTERNET, kind, false), lan(&world, INTERNET, kind, false));
    let (a, neighbour, b) = (host(&world, one), host(&world, one), host(&world, other));
    assert_eq!(address(&world, a, false), address(&world, b, false));
    let (from, near, far) = (socket(&world, a), socket(&world, neighbour), socket(&world, b));
    from.try_send(address(&world, neighbour, false), b"hi").expect("it leaves");
    far.try_send(address(&world, neighbour, false), b"hi").expect("it leaves");
    pass(&world, Duration::from_secs(1));
    assert_eq!(receive(&near), Some((b"hi".to_vec(), address(&world, a, false))));
    assert_eq!(receive(&near), None);
}

#[test]
fn ipv6_is_routed_to_hosts_behind_a_router_untranslated() {
    let world = world();
    let home = lan(&world, INTERNET, Some("symmetric-random"), true);
    let (inside, outside) = (host(&world, home), host(&world, INTERNET));
    let (a, b) = (socket(&world, inside), socket(&world, outside));
    b.try_send(address(&world, inside, true), b"hello").expect("it leaves");
    pass(&world, Duration::from_secs(1));
    assert_eq!(receive(&a), Some((b"hello".to_vec(), address(&world, outside, true))));
}

#[test]
fn a_wall_keeps_its_sides_apart_until_it_is_taken_away() {
    let world = world();
    let (a, b) = (host(&world, INTERNET), host(&world, INTERNET));
    let (from, to) = (socket(&world, a), socket(&world, b));
    let wall = BTreeSet::from([a]);
    world.lock().build_wall(wall.clone());
    from.try_send(address(&world, b, false), b"x").expect("it leaves");
    pass(&world, Duration::from_secs(1));
    assert_eq!((receive(&to), dropped(&world, "partition")), (None, 1));
    world.lock().remove_wall(&wall);
    from.try_send(address(&world, b, false), b"y").expect("it leaves");
    pass(&world, Duration::from_secs(1));
    assert!(receive(&to).is_some());
}

#[test]
fn who_roams_is_somewhere_else_and_keeps_its_sockets() {
    let world = world();
    let (a, b) = (host(&world, INTERNET), host(&world, INTERNET));
    let (from, to) = (socket(&world, a), socket(&world, b));
    let before = address(&world, b, false);
    let line = world.lock().add_line(&LinkConfig::default(), &LinkConfig::default()).expect("a line");
    world.lock().roam(b, INTERNET, line);
    from.try_send(before, b"lost").expect("it leaves");
    from.try_send(address(&world, b, false), b"found").expect("it leaves");
    pass(&world, Duration::from_secs(1));
    assert_eq!(receive(&to).map(|(bytes, _)| bytes), Some(b"found".to_vec()));
    assert_eq!((receive(&to), dropped(&world, "no such address")), (None, 1));
}

#[test]
fn several_interfaces_are_used_by_where_a_packet_goes() {
    let world = world();
    let home = lan(&world, INTERNET, Some("port-restricted"), false);
    let (both, local, outside) = (host(&world, INTERNET), host(&world, home), host(&world, INTERNET));
    let line = world.lock().add_line(&LinkConfig::default(), &LinkConfig::default()).expect("a line");
    world.lock().attach(both, home, line);
    let (from, near, far) = (socket(&world, both), socket(&world, local), socket(&world, outside));
    from.try_send(address(&world, local, false), b"x").expect("it leaves");
    from.try_send(address(&world, outside, false), b"x").expect("it leaves");
    pass(&world, Duration::from_secs(1));
    let ips = world.lock().addresses(both);
    let private = |ip: IpAddr| matches!(ip, IpAddr::V4(ip) if ip.is_private());
    let seen = |socket| receive(socket).expect("it arrived").1.ip();
    let (at_home, outside) = (seen(&near), seen(&far));
    assert!(private(at_home) && !private(outside) && ips.contains(&at_home) && ips.contains(&outside));
}

#[test]
fn a_program_that_does_not_read_loses_what_exceeds_its_socket() {
    let world = world();
    let (a, b) = (host(&world, INTERNET), host(&world, INTERNET));
    let (from, to) = (socket(&world, a), socket(&world, b));
    for _ in 0..1000 {
        from.try_send(address(&world, b, false), &[0; 1200]).expect("it leaves");
    }
    pass(&world, Duration::from_secs(1));
    assert_eq!(world.lock().overgrown(), Vec::<String>::new());
    let taken = std::iter::from_fn(|| receive(&to)).count() as u64;
    assert_eq!(taken, 1024 * 1024 / 1200);
    assert_eq!(taken + dropped(&world, "receive buffer full"), 1000);
}

/// Whether a packet from `a` to `b` opens the way back for `b`, and whether it arrives itself.
fn opens_the_way_back(world: &SharedWorld, a: &SimUdp, b: (&SimUdp, SocketAddr), hops: u8) -> (bool, bool) {
    a.try_send_near(b.1, b"knock", hops).expect("it leaves");
    pass(world, Duration::from_secs(1));
    let arrived = receive(b.0).is_some();
    // Ports are preserved, and every router has one address: the way back can be known.
    let router = SocketAddr::from(([198, 18, 0, 2], 4700));
    b.0.try_send(router, b"back").expect("it leaves");
    pass(world, Duration::from_secs(1));
    (receive(a).is_some(), arrived)
}

#[test]
fn a_packet_that_dies_early_opens_only_the_routers_that_passed_it_on() {
    let kind = Some("port-restricted");
    for (nats, hops, opened) in [(1, 1, false), (1, 2, true), (2, 2, false), (2, 3, true)] {
        let world = world();
        let mut network = INTERNET;
        for _ in 0..nats {
            network = lan(&world, network, kind, false);
        }
        let (inside, outside) = (host(&world, network), host(&world, INTERNET));
        let (a, b) = (socket(&world, inside), socket(&world, outside));
        let there = address(&world, outside, false);
        assert_eq!(opens_the_way_back(&world, &a, (&b, there), hops), (opened, false), "{nats}, {hops}");
        assert_eq!(dropped(&world, "ttl"), 1);
        assert!(opens_the_way_back(&world, &a, (&b, there), TTL_DEFAULT).1, "the usual one arrives");
    }
}

#[test]
fn a_packet_that_dies_early_does_not_spoil_a_leaky_router() {
    for (hops, spoilt) in [(2, false), (TTL_DEFAULT, true)] {
        let world = world();
        let (one, other) =
            (lan(&world, INTERNET, Some("leaky"), false), lan(&world, INTERNET, Some("leaky"), false));
        let (a, b) = (socket(&world, host(&world, one)), socket(&world, host(&world, other)));
        let outside = |last: u8| SocketAddr::from(([198, 18, 0, last], 4700));
        a.try_send_near(outside(3), b"early", hops).expect("it leaves");
        pass(&world, Duration::from_secs(1));
        for _ in 0..3 {
            b.try_send(outside(2), b"b").expect("it leaves");
            a.try_send(outside(3), b"a").expect("it leaves");
            pass(&world, Duration::from_secs(1));
        }
        assert_eq!((receive(&a).is_none(), receive(&b).is_none()), (spoilt, spoilt), "{hops} hops");
    }
}

#[test]
fn on_one_link_a_packet_needs_no_router() {
    let world = world();
    let home = lan(&world, INTERNET, Some("port-restricted"), false);
    let (a, b) = (host(&world, home), host(&world, home));
    let (from, to) = (socket(&world, a), socket(&world, b));
    from.try_send_near(address(&world, b, false), b"hi", 1).expect("it leaves");
    pass(&world, Duration::from_secs(1));
    assert!(receive(&to).is_some());
}

#[test]
fn a_stun_server_in_the_world_tells_a_host_behind_a_nat_how_it_is_seen() {
    let world = world();
    let home = lan(&world, INTERNET, Some("port-restricted"), false);
    let inside = host(&world, home);
    let line = world.lock().add_line(&LinkConfig::default(), &LinkConfig::default()).expect("a line");
    let server = world.lock().add_server(line, |addresses, _| Service::stun(addresses));
    let to = SocketAddr::new(address(&world, server, false).ip(), STUN_PORT);
    let (a, b) = (socket(&world, inside), socket(&world, host(&world, INTERNET)));
    // A Binding request without attributes (RFC 8489, section 5).
    let mut request = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    request.extend([7; 12]);
    a.try_send(to, &request).expect("it leaves");
    pass(&world, Duration::from_secs(1));
    let (answer, from) = receive(&a).expect("it answers");
    assert_eq!((from, &answer[..2], &answer[8..20]), (to, &[1, 1][..], &[7; 12][..]));
    let other = address(&world, HostId(2), false);
    a.try_send(other, b"x").expect("it leaves");
    pass(&world, Duration::from_secs(1));
    let (_, seen) = receive(&b).expect("it arrived");
    let IpAddr::V4(ip) = seen.ip() else { panic!("not IPv4") };
    // XOR-MAPPED-ADDRESS (section 14.2): port and address, xored with the magic cookie.
    let port = seen.port() ^ 0x2112;
    let mapped: Vec<u8> =
        ip.octets().iter().zip([0x21, 0x12, 0xa4, 0x42]).map(|(octet, cookie)| octet ^ cookie).collect();
    let expected = [&[0, 0x20, 0, 8, 0, 1][..], &port.to_be_bytes(), &mapped].concat();
    assert!(
        answer.windows(expected.len()).any(|part| part == expected),
        "{answer:02x?} lacks {expected:02x?}"
    );
}
