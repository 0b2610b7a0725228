//! Floods at the host's port: of garbage, which changes nothing in the call, and of goodbyes, which cost little.

#[path = "support/spawn.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod spawn;

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
use std::time::{Duration, Instant};

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

/// All voice made up so far, in ms, by the latest `stats`.
fn concealed_ms(events: &[Value]) -> u64 {
    let stats = events.iter().rev().find(|event| event["event"] == "stats").expect("stats come every second");
    let causes = stats["concealed_ms"].as_object().expect("concealed_ms is by cause");
    causes.values().map(|ms| ms.as_u64().expect("a number of ms")).sum()
}

#[test]
fn a_million_datagrams_of_garbage_change_nothing_in_a_call() {
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
    let datagrams: Vec<_> = (0..KINDS).map(|_| garbage(&mut random)).collect();
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
    let (host, ticket, listen) = Running::host(&[]);
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
