//! What a call costs: `cargo bench --bench call`.
//!
//! Two real processes talk for a while over the loopback device with simulated sound devices of 10 ms blocks
//! (`roundtable demo`), and their own figures are printed beside what was asked of them. Then one
//! connection carries packets of a known size, to tell what each costs beyond its Opus payload.

use protocol::media::packet::{HEADER_BYTES, Marks, VoicePacket};
use roundtable::net::node::Node;
use roundtable::net::udp::{SystemUdp, Udp};
use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

/// IPv4 and UDP.
const BELOW_QUIC_BYTES: f64 = 28.0;

const OPUS_BYTES: usize = 80;
const PACKETS: u32 = 500;

fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    call();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (one_way, two_way) = runtime.block_on(async { (packet_cost(false).await, packet_cost(true).await) });
    row("bytes beyond Opus, one way", one_way, "B", 56.0);
    row("bytes beyond Opus, with acknowledgements", two_way, "B", 68.0);
}

fn row(what: &str, figure: f64, unit: &str, asked: f64) {
    println!("{what:<44}{figure:>8.1} {unit:<4} (at most {asked})");
}

fn call() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_roundtable")).args(["demo", "--json", "--seconds", "30"]).output();
    let output = output.expect("the demo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).expect("the demo prints JSON");
    for who in ["ada", "bob"] {
        let figure = |key: &str| figures[who][key].as_f64().unwrap_or(f64::NAN);
        row(&format!("{who}: mouth to ear, median"), figure("mouth_to_ear_ms"), "ms", 60.0);
        row(&format!("{who}: processor, of one core"), figure("cpu_pct"), "%", 3.0);
        row(&format!("{who}: memory at most"), figure("memory_mib"), "MiB", 40.0);
        row(&format!("{who}: sound made up"), figure("concealed_ms"), "ms", 0.0);
    }
}

/// Bytes on an IPv4 wire per voice packet, less its Opus payload: median of all packets sent.
async fn packet_cost(both_ways: bool) -> f64 {
    let udp = || SystemUdp::bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
    let sizes = Arc::<Mutex<Vec<usize>>>::default();
    let (a, _) = Node::start(Box::new(Watched(udp(), sizes.clone())), None).expect("a node");
    let (b, _) = Node::start(Box::new(udp()), None).expect("a node");
    let to = b.local_addr().expect("an address");
    let accepting = async { b.accept().await.expect("a call").accept().expect("a handshake").await };
    let (out, back) = tokio::join!(a.dial(to, false), accepting);
    let (out, back) = (out.expect("dialled").keep(), back.expect("accepted"));
    let marks = Marks { ticks: 8, talkspurt_start: false, talkspurt_end: false };
    let mut packet = Vec::new();
    VoicePacket::new(1, 2, marks, &[0; OPUS_BYTES]).encode(&mut packet);
    assert_eq!(packet.len(), OPUS_BYTES + HEADER_BYTES);
    tokio::time::sleep(Duration::from_millis(300)).await;
    sizes.lock().expect("nobody panics").clear();
    for _ in 0..PACKETS {
        out.send_datagram(packet.clone().into()).expect("datagrams are on");
        if both_ways {
            back.send_datagram(packet.clone().into()).expect("datagrams are on");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut sizes = sizes.lock().expect("nobody panics").clone();
    // Lone acknowledgements are no voice packets.
    sizes.retain(|size| *size > OPUS_BYTES);
    sizes.sort_unstable();
    sizes[sizes.len() / 2] as f64 + BELOW_QUIC_BYTES - OPUS_BYTES as f64
}

/// A socket that notes the size of all it sends.
#[derive(Debug)]
struct Watched(SystemUdp, Arc<Mutex<Vec<usize>>>);

impl Udp for Watched {
    fn try_send(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        self.1.lock().expect("nobody panics").push(datagram.len());
        self.0.try_send(to, datagram)
    }

    fn try_send_near(&self, to: SocketAddr, datagram: &[u8], _hops: u8) -> io::Result<()> {
        self.try_send(to, datagram)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_writable(cx)
    }

    fn poll_recv(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        self.0.poll_recv(cx, buffer)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}
