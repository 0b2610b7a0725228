//! The laboratory's routers are what they are called, measured from outside by plain sockets (RFC 4787, RFC 5780).
//!
//! Needs root and nftables. Sockets of all places are held by one thread: a socket stays in the namespace in which
//! it was opened.
#![cfg(target_os = "linux")]

#[allow(dead_code, reason = "each test crate needs another part of it")]
#[path = "support/lab/mod.rs"]
mod lab;

use lab::{Lab, Namespace, Nat, SERVERS};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

/// Longer than any way there and back in the lab, on a busy machine too.
const PATIENCE: Duration = Duration::from_millis(1_000);
/// Long enough that what has not come by now never will: one way is 50 ms at most.
const SILENCE: Duration = Duration::from_millis(250);

const PORT: u16 = 5_000;

fn socket(place: &Namespace, address: impl Into<SocketAddr>) -> UdpSocket {
    let address = address.into();
    let socket = place.inside(|| UdpSocket::bind(address)).expect("the address is this place's own");
    socket.set_read_timeout(Some(PATIENCE)).expect("not zero");
    socket
}

fn address(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().expect("bound")
}

/// Sends from one to the other; returns who it seems to come from, if it comes.
fn seen(from: &UdpSocket, to: &UdpSocket, by: SocketAddr, within: Duration) -> Option<SocketAddr> {
    to.set_read_timeout(Some(within)).expect("not zero");
    from.send_to(b"hello", by).ok()?;
    let (length, source) = to.recv_from(&mut [0; 16]).ok()?;
    assert_eq!(length, 5, "nothing else is sent");
    Some(source)
}

/// The server's four sockets: two addresses with two ports each, as RFC 5780 has them.
struct Observer([[UdpSocket; 2]; 2]);

impl Observer {
    fn new(lab: &Lab) -> Self {
        Self(SERVERS.map(|ip| [3478, 3479].map(|port| socket(&lab.server, (ip, port)))))
    }

    /// How a socket at home looks from the server's address and port of these numbers.
    fn look(&self, home: &UdpSocket, ip: usize, port: usize) -> Option<SocketAddr> {
        let server = &self.0[ip][port];
        seen(home, server, address(server), SILENCE)
    }

    /// Whether something sent from there to `mapped` reaches a socket at home.
    fn reaches(&self, home: &UdpSocket, mapped: SocketAddr, ip: usize, port: usize) -> bool {
        seen(&self.0[ip][port], home, mapped, SILENCE).is_some()
    }
}

/// Ports that a home's socket had for four destinations, and who could reach it after it sent to the first of them:
/// that one, the same address from another port, another address.
type Behaviour = (Vec<SocketAddr>, [bool; 3]);

fn behaviour(lab: &Lab, observer: &Observer, home: usize) -> Option<Behaviour> {
    let host = lab.homes[home].host();
    let asking = socket(host, (Ipv4Addr::UNSPECIFIED, PORT));
    let destinations = [(0, 0), (0, 1), (1, 0), (1, 1)];
    let mapped: Option<Vec<_>> =
        destinations.iter().map(|(ip, port)| observer.look(&asking, *ip, *port)).collect();
    let waiting = socket(host, (Ipv4Addr::UNSPECIFIED, PORT + 1));
    let at = observer.look(&waiting, 0, 0)?;
    let filters = [(0, 0), (0, 1), (1, 0)].map(|(ip, port)| observer.reaches(&waiting, at, ip, port));
    Some((mapped?, filters))
}

#[test]
fn each_router_maps_and_filters_as_its_name_says() {
    let nats = [
        (Nat::Open, [true, true, true]),
        (Nat::FullCone, [true, true, true]),
        (Nat::AddressRestricted, [true, true, false]),
        (Nat::PortRestricted, [true, false, false]),
        (Nat::Leaky, [true, false, false]),
        (Nat::Cgnat, [true, false, false]),
        (Nat::SymmetricRandom, [true, false, false]),
        (Nat::SymmetricSequential, [true, false, false]),
    ];
    let started = Instant::now();
    let lab = Lab::new("each", &nats.map(|(nat, _)| nat));
    println!("{} homes built in {:?}", nats.len(), started.elapsed());
    let observer = Observer::new(&lab);
    for (home, (nat, filters)) in nats.into_iter().enumerate() {
        let outside = lab.homes[home].outside();
        let (mapped, measured) =
            behaviour(&lab, &observer, home).unwrap_or_else(|| panic!("{nat:?}: no UDP"));
        println!("{nat:?}: {mapped:?}, reached by {measured:?}");
        assert!(mapped.iter().all(|mapped| mapped.ip() == outside), "{nat:?} has one address");
        assert_eq!(measured, filters, "{nat:?} lets in the sent-to, another port of it, another address");
        let ports: Vec<_> = mapped.iter().map(SocketAddr::port).collect();
        let steps: Vec<_> = ports.windows(2).map(|pair| i32::from(pair[1]) - i32::from(pair[0])).collect();
        match nat {
            Nat::SymmetricRandom => {
                assert!(
                    steps.iter().all(|step| *step != 0),
                    "each destination has a port of its own: {ports:?}"
                );
                assert!(steps.iter().any(|step| step.abs() > 64), "and none can be foreseen: {ports:?}");
            }
            Nat::SymmetricSequential => {
                assert_eq!(steps, [1, 1, 1], "each destination has the next: {ports:?}")
            }
            Nat::Open
            | Nat::FullCone
            | Nat::AddressRestricted
            | Nat::PortRestricted
            | Nat::Cgnat
            | Nat::Leaky
            | Nat::UdpBlocked
            | Nat::OnlyTls => assert_eq!(ports, [PORT; 4], "{nat:?} keeps the port, whoever is sent to"),
        }
    }
}

#[test]
fn a_full_cone_and_no_other_lets_strangers_in_from_another_home() {
    let nats = [Nat::FullCone, Nat::AddressRestricted, Nat::PortRestricted, Nat::SymmetricRandom];
    let lab = Lab::new("cone", &[&nats[..], &[Nat::Open]].concat());
    let observer = Observer::new(&lab);
    let stranger = socket(lab.homes[4].host(), (lab.homes[4].outside(), PORT));
    for (home, nat) in nats.into_iter().enumerate() {
        let inside = socket(lab.homes[home].host(), (Ipv4Addr::UNSPECIFIED, PORT));
        let mapped = observer.look(&inside, 0, 0).expect("UDP passes");
        let reached = seen(&stranger, &inside, mapped, SILENCE).is_some();
        assert_eq!(reached, nat == Nat::FullCone, "{nat:?}");
        // What came in is answered from the port that it came to.
        if reached {
            let answered = seen(&inside, &stranger, address(&stranger), PATIENCE);
            assert_eq!(answered, Some(mapped), "{nat:?} answers from where it was reached");
        }
    }
}

#[test]
fn only_a_leaky_router_gives_another_port_after_a_strangers_early_packet() {
    let lab = Lab::new("leak", &[Nat::PortRestricted, Nat::Leaky]);
    let observer = Observer::new(&lab);
    for home in &lab.homes {
        let inside = socket(home.host(), (Ipv4Addr::UNSPECIFIED, PORT));
        let mapped = observer.look(&inside, 0, 0).expect("UDP passes");
        assert!(!observer.reaches(&inside, mapped, 1, 0), "the stranger is too early");
        let afterwards = observer.look(&inside, 1, 0).expect("UDP passes");
        assert_eq!(afterwards != mapped, home.nat == Nat::Leaky, "{:?}: {mapped}, {afterwards}", home.nat);
    }
}

#[test]
fn a_network_without_udp_lets_tcp_out_and_the_strictest_only_to_port_443() {
    let lab = Lab::new("tcp", &[Nat::UdpBlocked, Nat::OnlyTls]);
    let observer = Observer::new(&lab);
    let doors = [3478, 443];
    let _listeners = doors.map(|port| {
        lab.server
            .inside(|| std::net::TcpListener::bind((SERVERS[0], port)))
            .expect("the address is the server's")
    });
    for (home, open) in lab.homes.iter().zip([[true, true], [false, true]]) {
        let inside = socket(home.host(), (Ipv4Addr::UNSPECIFIED, PORT));
        assert_eq!(observer.look(&inside, 0, 0), None, "{:?} lets no UDP out", home.nat);
        let connects = doors.map(|port| {
            let address = SocketAddr::from((SERVERS[0], port));
            home.host().inside(|| TcpStream::connect_timeout(&address, PATIENCE)).is_ok()
        });
        assert_eq!(connects, open, "{:?}: TCP to {doors:?}", home.nat);
    }
}

/// How long a packet takes from one to the other.
fn one_way(from: &UdpSocket, to: &UdpSocket, by: SocketAddr) -> Duration {
    let started = Instant::now();
    seen(from, to, by, PATIENCE).expect("it comes");
    started.elapsed()
}

#[test]
fn the_way_between_homes_takes_50_ms_and_to_the_server_25() {
    let lab = Lab::new("far", &[Nat::Open, Nat::Open]);
    let [one, other] = [0, 1].map(|home| socket(lab.homes[home].host(), (lab.homes[home].outside(), PORT)));
    let server = socket(&lab.server, (SERVERS[0], PORT));
    for (to, least_ms) in [(&server, 25), (&other, 50)] {
        let mut taken: Vec<_> = (0..15).map(|_| one_way(&one, to, address(to))).collect();
        taken.sort();
        let least = Duration::from_millis(least_ms);
        assert!(taken[0] >= least, "{taken:?}");
        // The median forgives the moments when the machine does something else.
        assert!(taken[7] < least + Duration::from_millis(5), "{taken:?}");
    }
}

#[test]
fn a_packet_with_a_short_life_dies_on_the_way() {
    let lab = Lab::new("ttl", &[Nat::PortRestricted, Nat::Open]);
    let there = socket(lab.homes[1].host(), (lab.homes[1].outside(), PORT));
    let here = socket(lab.homes[0].host(), (Ipv4Addr::UNSPECIFIED, PORT));
    let before = lab.bytes_sent(&lab.homes[0]);
    here.set_ttl(2).expect("a life of two routers");
    assert_eq!(seen(&here, &there, address(&there), SILENCE), None);
    assert!(lab.bytes_sent(&lab.homes[0]) > before, "it left the home and so opened its router");
    here.set_ttl(64).expect("a long life");
    assert!(seen(&here, &there, address(&there), PATIENCE).is_some());
}

#[test]
fn two_hosts_of_one_home_meet_in_the_lan_and_not_by_their_routers_outside() {
    let lab = Lab::with_hosts("lan", &[(Nat::PortRestricted, 2)]);
    let observer = Observer::new(&lab);
    let hosts = &lab.homes[0].hosts;
    let [one, other] = [0, 1].map(|host| socket(&hosts[host], (Ipv4Addr::UNSPECIFIED, PORT + host as u16)));
    let [a, b] = [&one, &other].map(|socket| observer.look(socket, 0, 0).expect("UDP passes"));
    assert_eq!(a.ip(), b.ip(), "they share the router's address");
    for _ in 0..2 {
        assert_eq!(seen(&one, &other, b, SILENCE), None, "no hairpin");
        assert_eq!(seen(&other, &one, a, SILENCE), None, "no hairpin");
    }
    let inside = hosts[1].inside(|| {
        let probe = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        probe.connect((SERVERS[0], 9))?;
        io::Result::Ok(probe.local_addr()?.ip())
    });
    let inside = SocketAddr::from((inside.expect("it has an address"), PORT + 1));
    assert!(one_way(&one, &other, inside) < Duration::from_millis(20), "the LAN is near");
}

#[test]
fn cuts_separate_two_homes_and_leave_the_server() {
    let lab = Lab::new("cut", &[Nat::Open, Nat::Open]);
    let [one, other] = [0, 1].map(|home| socket(lab.homes[home].host(), (lab.homes[home].outside(), PORT)));
    let server = socket(&lab.server, (SERVERS[0], PORT));
    lab.cut(&lab.homes[0], &lab.homes[1]);
    assert_eq!(seen(&one, &other, address(&other), SILENCE), None);
    assert_eq!(seen(&other, &one, address(&one), SILENCE), None);
    assert!(seen(&one, &server, address(&server), PATIENCE).is_some());
    assert_eq!(lab.strays(&lab.homes[0]), [(lab.homes[1].outside(), 1)], "what is cut is still counted");
    lab.restore(&lab.homes[0], &lab.homes[1]);
    assert!(seen(&one, &other, address(&other), PATIENCE).is_some());
}

#[test]
fn a_renumbered_home_is_seen_with_its_new_address_by_the_same_socket() {
    let lab = Lab::new("new", &[Nat::Open, Nat::PortRestricted, Nat::SymmetricSequential]);
    let observer = Observer::new(&lab);
    for home in &lab.homes {
        let inside = socket(home.host(), (Ipv4Addr::UNSPECIFIED, PORT));
        let before = observer.look(&inside, 0, 0).expect("UDP passes");
        lab.renumber(home);
        assert!(!observer.reaches(&inside, before, 0, 0), "the old address is nobody's");
        let after = observer.look(&inside, 0, 0).expect("UDP still passes");
        assert_ne!(before.ip(), after.ip(), "{:?}", home.nat);
        assert_eq!(after.ip(), home.outside());
    }
    let home = &lab.homes[1];
    home.renumber_host();
    let inside = socket(home.host(), (Ipv4Addr::UNSPECIFIED, PORT));
    assert!(observer.look(&inside, 0, 0).is_some(), "with another address in its LAN it still gets out");
}

/// The namespaces of a process's labs.
fn left(process: u32) -> Vec<String> {
    let entries = std::fs::read_dir("/run/netns").into_iter().flatten();
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter(|name| name.starts_with(&format!("rt{process}-"))).collect()
}

#[test]
fn a_lab_leaves_nothing_behind_and_removes_what_a_killed_one_left() {
    let mut gone = Command::new("true").spawn().expect("`true` is part of every system");
    gone.wait().expect("it ends");
    let name = format!("rt{}-dead-host0", gone.id());
    let ip = |arguments: &[&str]| Command::new("ip").args(arguments).status().expect("`ip` runs").success();
    assert!(ip(&["netns", "add", &name]));
    let mut abandoned = Command::new("ip");
    let mut abandoned = abandoned.args(["netns", "exec", &name, "sleep", "60"]).spawn().expect("`ip` runs");
    // `ip` becomes `sleep` when it has entered the namespace.
    let deadline = Instant::now() + PATIENCE;
    let entered = || {
        let pids = Command::new("ip").args(["netns", "pids", &name]).output().expect("`ip` runs");
        !pids.stdout.is_empty()
    };
    while !entered() {
        assert!(Instant::now() < deadline, "it enters the namespace");
    }
    let lab = Lab::new("tidy", &[Nat::Cgnat]);
    assert_eq!(left(gone.id()), [""; 0], "what nobody owns any more is gone");
    assert!(!abandoned.wait().expect("it was killed").success());
    let mine = |names: Vec<String>| names.iter().filter(|name| name.contains("-tidy-")).count();
    assert_eq!(mine(left(std::process::id())), 4, "server, host, router and carrier");
    drop(lab);
    assert_eq!(mine(left(std::process::id())), 0);
    assert!(Path::new("/run/netns").exists());
}
