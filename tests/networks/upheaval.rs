//! A group of eight behind all sorts of routers, in which nearly everything happens at once.

use super::{
    alone,
    lab::{Lab, Nat},
    member::{Member, SOON},
};
use std::{
    net::UdpSocket,
    thread,
    time::{Duration, Instant},
};

const PEOPLE: [(&str, f64); 7] = [
    ("Ada", 500.0),
    ("Ben", 550.0),
    ("Cid", 600.0),
    ("Dora", 650.0),
    ("Eve", 700.0),
    ("Fay", 750.0),
    ("Gus", 800.0),
];

/// Of each other's voices those who stay may miss so much while the others go: 0.1 %.
const MISSED_MAX: f64 = 0.001;

/// Datagrams in a millisecond from a stranger.
const FLOOD_PER_MS: u32 = 20;

#[test]
fn one_is_kicked_one_crashes_the_founder_leaves_a_stranger_floods_and_the_others_talk_on() {
    let _machine = alone();
    let dir = tempfile::tempdir().expect("a directory");
    let nats = [
        Nat::Open,
        Nat::FullCone,
        Nat::PortRestricted,
        Nat::Open,
        Nat::AddressRestricted,
        Nat::PortRestricted,
        Nat::FullCone,
        Nat::SymmetricRandom,
        Nat::Open,
    ];
    let lab = Lab::new("eight", &nats).with_coturn(dir.path());
    let (mut host, ticket) = Member::host(lab.homes[0].host(), dir.path(), &[]);
    let enter = |(index, who): (usize, &(&'static str, f64))| {
        Member::join_as(lab.homes[index + 1].host(), dir.path(), &ticket, *who)
    };
    let joined = Instant::now();
    let mut people: Vec<Member> = PEOPLE.iter().enumerate().map(enter).collect();
    for member in people.iter().chain([&host]) {
        for (name, _) in PEOPLE.iter().filter(|(name, _)| *name != member.name) {
            member.wait("connected", |said| said["name"] == *name, SOON);
        }
    }
    println!("a mesh of eight, {} ms after the first of seven joined", joined.elapsed().as_millis());
    // Paths settle, and figures come once a second.
    thread::sleep(Duration::from_secs(12));

    let id = |member: &Member| member.id();
    let staying: Vec<String> = [0, 1, 2, 5].map(|index| id(&people[index])).into();
    let made_up = |people: &[Member]| -> u64 {
        let stay = [0, 1, 2, 5].into_iter().map(|index| &people[index]);
        stay.map(|member| {
            let by_peer = member.concealed_ms_by_peer();
            let others = staying.iter().filter(|peer| **peer != member.id());
            others.map(|peer| by_peer[peer]).sum::<u64>()
        })
        .sum()
    };
    let before = made_up(&people);
    people.iter().for_each(Member::forget);
    let started = Instant::now();
    let flooded = format!("{}:{}", lab.homes[3 + 1].outside(), 4700);
    let open = format!("{}:{}", lab.homes[3].outside(), people[2].port());
    thread::scope(|scope| {
        let stranger = lab.homes[8].host();
        scope.spawn(move || stranger.inside(|| flood(&[&open, &flooded], Duration::from_secs(8))));
        host.say("kick eve");
        thread::sleep(Duration::from_secs(2));
        people[6].kill();
        thread::sleep(Duration::from_secs(1));
        host.say("leave");
        thread::sleep(Duration::from_secs(6));
    });
    let (made_up, lasted) = (made_up(&people) - before, started.elapsed());
    let voices = (staying.len() * (staying.len() - 1)) as f64;
    let share = made_up as f64 / (voices * lasted.as_millis() as f64);
    println!("missed of the voices of those who stay: {:.3} % ({made_up} ms)", share * 100.0);
    for index in [0, 1, 2, 5] {
        let member = &people[index];
        assert!(
            !member.has("lost", |said| staying.iter().any(|peer| said["peer"] == peer.as_str())),
            "{}",
            member.story()
        );
        assert!(member.has("group", |said| said["epoch"] == 2), "{}", member.story());
    }
    assert!(people[4].has("bye", |_| true), "Eve is out: {}", people[4].story());
    assert!(share <= MISSED_MAX, "{:.2} %: {}", share * 100.0, people[0].story());
    // The founder is gone, and those who stay let people in.
    people[0].say("invite");
    let (_, line) = people[0].wait("ticket", |_| true, SOON);
    let ticket = line["ticket"].as_str().expect("a text");
    let hal = Member::join_as(lab.homes[0].host(), dir.path(), ticket, ("Hal", 850.0));
    for name in ["Ada", "Ben", "Cid", "Fay"] {
        hal.wait("connected", |said| said["name"] == name, SOON);
    }
}

/// Sends what is no packet of anybody's, and what looks like the first of a connection.
fn flood(to: &[&str], how_long: Duration) {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a port");
    let mut initial = [0x5a; 1200];
    initial[..6].copy_from_slice(&[0xc3, 0, 0, 0, 1, 8]);
    let garbage = [0x17; 300];
    let started = Instant::now();
    while started.elapsed() < how_long {
        for count in 0..FLOOD_PER_MS {
            let datagram: &[u8] = if count % 2 == 0 { &initial } else { &garbage };
            // Where the network has no room for it, it is lost.
            to.iter().for_each(|to| drop(socket.send_to(datagram, to)));
        }
        thread::sleep(Duration::from_millis(1));
    }
}
