//! Floods at the host's port: of garbage and forgeries, which change nothing in the call and are not answered, and of
//! first packets where a password opens the door, which cost little and keep nobody out.

#[path = "support/spawn.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod spawn;

use protocol::door::KnockKey;
use protocol::invite::{Ticket, TicketSecret};
use protocol::stun::{TransactionId, binding_request};
use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use roundtable::net::node::Node;
use roundtable::net::udp::{SystemUdp, Udp};
use serde_json::Value;
use spawn::Running;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const DATAGRAMS: u32 = 1_000_000;

/// Half a gigabit a second of these. At more than twice that, one core is not enough to read them, and the system
/// drops what it has no room for: voice as well as garbage, up to 3 % of both.
const DATAGRAMS_PER_MS: u32 = 100;

/// One of these is sent at a time; a million different ones would cost the sender more than sending.
const KINDS: usize = 4096;

/// Resident memory of a process, KiB.
fn memory_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the process runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("it has memory");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number of KiB")
}

/// A random datagram, most of them with a beginning that some part of the program might take for its own.
fn garbage(random: &mut ChaCha8Rng) -> Vec<u8> {
    let mut datagram = vec![0; random.random_range(1..=1400)];
    random.fill_bytes(&mut datagram);
    let beginning: &[u8] = match random.random_range(0..7) {
        // The first packet of a QUIC connection, in its full length.
        0 => {
            datagram.resize(1200, 0x5a);
            &[0xc3, 0, 0, 0, 1, 8]
        }
        // Of a later version of QUIC, and negotiating versions.
        1 => {
            datagram.resize(1300, 0x5a);
            &[0xc3, 0x5a, 0x5a, 0, 9, 8]
        }
        2 => &[0x80, 0, 0, 0, 0, 8],
        // QUIC in the midst of a connection: handshake, and short header.
        3 => &[0xe3, 0, 0, 0, 1, 0],
        4 => &[0x41],
        // A STUN request.
        5 => &[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42],
        _ => &[],
    };
    let length = beginning.len().min(datagram.len());
    datagram[..length].copy_from_slice(&beginning[..length]);
    datagram
}

/// First packets of `count` connections, as QUIC makes them.
fn first_packets(count: usize) -> Vec<Vec<u8>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut packets = Vec::new();
        let mut packet = [0; 2048];
        while packets.len() < count {
            // One each: the goodbye of a dial that is given up is no first packet.
            let trap = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a port");
            let to = trap.local_addr().expect("it is bound");
            let udp = SystemUdp::bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
            let (node, _) = Node::start(Box::new(udp), None).expect("a node");
            let dial = tokio::time::timeout(Duration::from_secs(5), node.dial(to, false));
            let length = tokio::select! {
                received = trap.recv(&mut packet) => received.expect("a packet"),
                _ = dial => panic!("nobody answers there"),
            };
            packets.push(packet[..length].to_vec());
        }
        packets
    })
}

fn knock_with(key: &KnockKey, number: u64) -> Vec<u8> {
    let mut id = [0; 12];
    id[..8].copy_from_slice(&number.to_be_bytes());
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
    key.knock(TransactionId(id), unix)
}

fn key_of(ticket: &Ticket) -> KnockKey {
    KnockKey::of_ticket(ticket.id, &ticket.secret)
}

/// A key that goes by the ticket's name.
fn wrong_key(ticket: &Ticket) -> KnockKey {
    KnockKey::of_ticket(ticket.id, &TicketSecret::from_bytes([7; 16]))
}

/// What a stranger may send who knows how we speak, and of this ticket, but not its secret.
fn forgeries(random: &mut ChaCha8Rng, ticket: &Ticket, packets: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut forged = packets.to_vec();
    for number in 0..packets.len() as u64 {
        forged.push(knock_with(&wrong_key(ticket), number));
        let mut id = [0; 12];
        random.fill_bytes(&mut id);
        forged.push(binding_request(TransactionId(id)));
        forged.push(protocol::door::cookie::answer(id, b"0123456789abcdef").to_vec());
        forged.push(protocol::door::cookie::challenge(id, b"0123456789abcdef").to_vec());
    }
    forged
}

/// Bytes that came in within half a second.
fn replies(socket: &UdpSocket) -> usize {
    thread::sleep(Duration::from_millis(500));
    socket.set_nonblocking(true).expect("a socket");
    let mut packet = [0; 2048];
    let mut bytes = 0;
    while let Ok(length) = socket.recv(&mut packet) {
        bytes += length;
    }
    bytes
}

/// All voice made up so far, in ms, by the latest `stats`.
fn concealed_ms(events: &[Value]) -> u64 {
    let stats = events.iter().rev().find(|event| event["event"] == "stats").expect("stats come every second");
    let causes = stats["concealed_ms"].as_object().expect("concealed_ms is by cause");
    causes.values().map(|ms| ms.as_u64().expect("a number of ms")).sum()
}

#[test]
fn a_million_datagrams_of_garbage_and_forgeries_change_nothing_in_a_call() {
    let seed = 20_240_607;
    println!("seed {seed}");
    let folder = tempfile::tempdir().unwrap();
    let sound = |name: &str| format!("file:{}", folder.path().join(name).display());
    let tone = ["--input", "tone:440", "--output"];
    let (host, ticket, listen) = Running::host(&[&tone[..], &[&sound("host.wav")]].concat());
    let joiner = Running::start(&[&["join", &ticket][..], &tone, &[&sound("joiner.wav")]].concat());
    let both = [&host, &joiner];
    for one in both {
        one.wait_for("connected", |_| true);
        one.wait_for("stats", |event| event["t"].as_f64() > Some(3.0));
    }
    let before = both.map(|one| (one.events().len(), concealed_ms(&one.events()), memory_kib(one.id())));

    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let ticket: Ticket = ticket.parse().expect("a ticket");
    let mut datagrams: Vec<_> = (0..KINDS / 2).map(|_| garbage(&mut random)).collect();
    let forged = forgeries(&mut random, &ticket, &first_packets(64));
    datagrams.extend(forged.iter().cycle().take(KINDS / 2).cloned());
    let attacker = UdpSocket::bind("127.0.0.1:0").unwrap();
    attacker.connect(&listen).unwrap();
    let started = Instant::now();
    for sent in 0..DATAGRAMS {
        let _ = attacker.send(&datagrams[random.random_range(0..KINDS)]);
        let due = Duration::from_millis(u64::from((sent + 1) / DATAGRAMS_PER_MS));
        thread::sleep(due.saturating_sub(started.elapsed()));
    }
    let lasted = started.elapsed();
    thread::sleep(Duration::from_millis(2200));

    attacker.set_nonblocking(true).unwrap();
    let reply = attacker.recv(&mut [0; 2048]);
    assert!(reply.is_err(), "the host answered garbage with {reply:?}");

    let rate = f64::from(DATAGRAMS) / lasted.as_secs_f64();
    println!("{rate:.0} datagrams/s for {:.1} s", lasted.as_secs_f32());
    for (name, one, (events, concealed, memory)) in
        [("host", &host, before[0]), ("joiner", &joiner, before[1])]
    {
        let now = one.events();
        let made_up = concealed_ms(&now) - concealed;
        let grown = memory_kib(one.id()).saturating_sub(memory);
        let stats = now.iter().rev().find(|event| event["event"] == "stats").unwrap();
        println!("{name}: {made_up} ms made up, {grown} KiB more memory; {}", stats["concealed_ms"]);
        let told: Vec<_> = now[events..].iter().filter(|event| event["event"] != "stats").collect();
        assert!(told.is_empty(), "{name} noticed: {told:#?}");
        let allowed = lasted.as_millis() as u64 / 100;
        assert!(made_up <= allowed, "{name} made up {made_up} ms, more than {allowed}");
        assert!(grown < 8 * 1024, "{name} grew by {grown} KiB");
    }
}

#[test]
fn only_whoever_knocks_with_the_ticket_is_answered_and_only_there_and_once() {
    let (_host, ticket, listen) = Running::host(&[]);
    let ticket: Ticket = ticket.parse().expect("a ticket");
    let packets = first_packets(8);
    let port = listen.parse::<SocketAddr>().expect("an address").port();
    let socket = || {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.connect(("127.0.0.1", port)).expect("an address");
        socket
    };
    let said = |socket: &UdpSocket, datagrams: &[&[u8]]| {
        for datagram in datagrams {
            socket.send(datagram).expect("it is sent");
        }
        replies(socket)
    };
    let scanner = socket();
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let forged = forgeries(&mut random, &ticket, &packets);
    assert_eq!(said(&scanner, &forged.iter().map(Vec::as_slice).collect::<Vec<_>>()), 0, "forgeries");
    let wrong = knock_with(&wrong_key(&ticket), 1);
    assert_eq!(said(&socket(), &[&wrong, &packets[0]]), 0, "another key");
    let knock = knock_with(&key_of(&ticket), 2);
    let friend = socket();
    assert!(said(&friend, &[&knock, &packets[1]]) > 0, "the holder of the ticket is not answered");
    assert_eq!(said(&socket(), &[&knock, &packets[2]]), 0, "a recorded knock");
    let old = key_of(&ticket).knock(TransactionId([9; 12]), 1_700_000_000);
    assert_eq!(said(&socket(), &[&old, &packets[3]]), 0, "an old knock");
}

/// Where the flood comes from: one loopback address each, as many as a forger could name.
const SOURCES: usize = 512;

/// Of first packets.
const FLOOD_PER_MS: u64 = 20;

/// Sends first packets from everywhere; what was sent and what came back, in bytes.
fn flood(port: u16, packets: &[Vec<u8>], stop: &AtomicBool) -> (usize, usize) {
    let socket = |n: usize| {
        let socket = UdpSocket::bind(SocketAddr::from(([127, 1, (n / 250) as u8, (n % 250) as u8 + 1], 0)))
            .expect("a port");
        socket.connect(("127.0.0.1", port)).expect("an address");
        socket.set_nonblocking(true).expect("a socket");
        socket
    };
    let sockets: Vec<UdpSocket> = (0..SOURCES).map(socket).collect();
    let (mut sent, mut received, mut count) = (0, 0, 0);
    let mut packet = [0; 2048];
    let started = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let socket = &sockets[count as usize % SOURCES];
        sent += socket.send(&packets[count as usize % packets.len()]).unwrap_or(0);
        while let Ok(length) = socket.recv(&mut packet) {
            received += length;
        }
        count += 1;
        let due = Duration::from_millis(count / FLOOD_PER_MS);
        thread::sleep(due.saturating_sub(started.elapsed()));
    }
    println!("{:.0} first packets/s", count as f64 / started.elapsed().as_secs_f64());
    thread::sleep(Duration::from_millis(500));
    for socket in &sockets {
        while let Ok(length) = socket.recv(&mut packet) {
            received += length;
        }
    }
    (sent, received)
}

#[test]
fn a_flood_at_a_door_with_a_password_is_cheap_and_keeps_neither_tickets_nor_passwords_out() {
    let (host, ticket, listen) = Running::host(&["--psk", "swordfish"]);
    let port = listen.parse::<SocketAddr>().expect("an address").port();
    // Not a multiple of the number of sources, so that each sends them all.
    let packets = first_packets(257);
    let before = memory_kib(host.id());
    let stop = Arc::new(AtomicBool::new(false));
    let flooding = stop.clone();
    let flooder = thread::spawn(move || flood(port, &packets, &flooding));
    thread::sleep(Duration::from_secs(1));
    let started = Instant::now();
    let friend = Running::start(&["join", &ticket, "--name", "Friend", "--listen", "127.0.0.2:0"]);
    friend.wait_for("connected", |_| true);
    println!("by ticket: {:?}", started.elapsed());
    let started = Instant::now();
    let words = ["join", &listen, "--psk", "swordfish", "--name", "Guest", "--listen", "127.0.0.3:0"];
    let guest = Running::start(&words);
    host.wait_for("connected", |event| event["name"] == "Guest");
    println!("by password: {:?}", started.elapsed());
    thread::sleep(Duration::from_secs(3));
    let grown = memory_kib(host.id()).saturating_sub(before);
    stop.store(true, Ordering::Relaxed);
    let (sent, received) = flooder.join().expect("the flooder does not panic");
    println!("{sent} bytes sent, {received} came back, {grown} KiB more memory");
    drop(guest);
    assert!(sent > 10_000_000, "that was no flood");
    assert!(received * 10 <= sent, "{received} bytes of replies to {sent}");
    assert!(grown <= 16 * 1024, "it grew by {grown} KiB");
}

/// A socket that swallows what is sent until it is opened.
#[derive(Debug)]
struct Late {
    inner: SystemUdp,
    open: Arc<AtomicBool>,
}

impl Udp for Late {
    fn try_send(&self, to: SocketAddr, datagram: &[u8]) -> std::io::Result<()> {
        if self.open.load(Ordering::Relaxed) { self.inner.try_send(to, datagram) } else { Ok(()) }
    }

    fn try_send_near(&self, to: SocketAddr, datagram: &[u8], _hops: u8) -> std::io::Result<()> {
        self.try_send(to, datagram)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.inner.poll_writable(cx)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<std::io::Result<(usize, SocketAddr)>> {
        self.inner.poll_recv(cx, buffer)
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

/// Opens a connection whose first packet to arrive is the one that closes it.
async fn goodbye_first(to: SocketAddr) {
    let open = Arc::new(AtomicBool::new(false));
    let inner = SystemUdp::bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let late = Late { inner, open: open.clone() };
    let (node, _) = Node::start(Box::new(late), None).expect("a node");
    let dial = tokio::time::timeout(Duration::from_millis(5), node.dial(to, false));
    assert!(dial.await.is_err(), "nothing was sent");
    // The dial was given up just now, and its goodbye is on its way.
    open.store(true, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(20)).await;
}

#[test]
fn strangers_who_say_goodbye_first_cost_a_bounded_amount_of_memory() {
    // Without a password none of them would get as far.
    let (host, ticket, listen) = Running::host(&["--psk", "swordfish"]);
    let to = SocketAddr::from(([127, 0, 0, 1], listen.parse::<SocketAddr>().expect("an address").port()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let visit = |times: usize| {
        runtime.block_on(async {
            let visits: Vec<_> = (0..times).map(|_| tokio::spawn(goodbye_first(to))).collect();
            for visit in visits {
                visit.await.expect("no visit panics");
            }
        });
    };
    // What the first ones need once does not count.
    visit(10);
    let before = memory_kib(host.id());
    for _ in 0..150 {
        visit(10);
    }
    let grown = memory_kib(host.id()).saturating_sub(before);
    println!("{grown} KiB more memory after 1500 goodbyes");
    assert!(grown < 8 * 1024, "it grew by {grown} KiB");
    let friend = Running::start(&["join", &ticket, "--name", "Friend", "--listen", "127.0.0.2:0"]);
    friend.wait_for("connected", |_| true);
}
