//! How many packets a second the models of the network take, on one core: `cargo bench -p netsim --bench packets`.
//!
//! The aim is a million a second: a simulated call then costs what its codec costs. Each model is one line of `main`,
//! and one function that says how many packets it was given; the clock is `measure`'s.

use std::hint::black_box;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use netsim::link::{Link, LinkConfig, PROFILES, Profile};
use netsim::nat::{Nat, Transport, kind};

/// What no line may fall below.
const AIM_PER_S: f64 = 1e6;

/// Everything a link can do at once. A packet is offered every 2 ms, as to a server of ten people.
const EVERYTHING: &str = "
    delay_ms = 20
    jitter = { shape = 'log-normal', median_ms = 2, p95_ms = 15 }
    reorder = { shape = 'exponential', mean_ms = 1 }
    stalls = { per_minute = 20, length = { shape = 'log-normal', median_ms = 60, p95_ms = 200 } }
    loss_percent = 1
    burst_loss = { loss_percent = 5, burst_packets = 3 }
    duplicate_percent = 1
    rate_kbps = 5000
    queue_bytes = 100_000
    cross_traffic = { flow = 'greedy', round_trip_ms = 40, on_s = 5, off_s = 5 }
    grants = { period_ms = 10, request_ms = 8, retransmit_percent = 10 }
    mtu_bytes = 1400
    outages = [{ at_s = 10, for_s = 1, every_s = 60 }]
    spikes = [{ at_s = 20, height_ms = 200, drain_s = 1, every_s = 30 }]
    delay_trace = { file = 'delays' }
    opportunity_trace = { file = 'opportunities' }
    changes = [{ at_s = 100, delay_ms = 60 }, { at_s = 200, delay_ms = 20 }]
";

fn main() {
    measure("NAT, 64 flows both ways", || pass_through_nat(3_000_000));
    measure("link, everything on", || offer_to_link(&everything(), Duration::from_millis(2), 3_000_000));
    for (name, text) in PROFILES {
        let profile = Profile::parse(text).expect("the tests read every bundled profile");
        measure(&format!("link, {name} up"), || {
            offer_to_link(&profile.up, Duration::from_millis(20), 3_000_000)
        });
    }
}

/// Runs one model and prints its speed; `run` returns how many packets it was given.
fn measure(name: &str, run: impl FnOnce() -> u64) {
    let start = Instant::now();
    let packets = run();
    let per_s = packets as f64 / start.elapsed().as_secs_f64();
    let verdict = if per_s >= AIM_PER_S { "" } else { "  below the aim of 1 million" };
    println!("{name:<28} {:>8.2} million packets/s{verdict}", per_s / 1e6);
}

fn offer_to_link(config: &LinkConfig, every: Duration, packets: u64) -> u64 {
    let mut link = Link::new(config, 1).expect("the bench's config is valid");
    let mut now = Duration::ZERO;
    let mut arrived = Duration::ZERO;
    for _ in 0..packets {
        now += every;
        arrived = link.offer(now, 130).arrivals().fold(arrived, Duration::max);
    }
    black_box(arrived);
    packets
}

/// The packets of 64 conversations through the strictest of NATs, out and back in.
fn pass_through_nat(packets: u64) -> u64 {
    let config = kind("symmetric-random").expect("a known kind");
    let outside = IpAddr::from([198, 18, 0, 1]);
    let mut nat = Nat::new(&config, vec![outside], 1);
    let mut passed = 0;
    for number in 0..packets / 2 {
        let now = Duration::from_micros(number * 10);
        let inside = SocketAddr::from(([192, 168, 1, 2], 4700 + (number % 64) as u16));
        let remote = SocketAddr::from(([198, 18, 0, 9], 4700));
        if let Ok(seen) = nat.outbound(now, Transport::Udp, inside, remote) {
            passed += u64::from(nat.inbound(now, Transport::Udp, remote, seen) == Ok(inside));
        }
    }
    assert_eq!(passed, packets / 2, "the NAT drops what it should pass");
    packets
}

fn everything() -> LinkConfig {
    let mut config: LinkConfig = toml::from_str(EVERYTHING).expect("the bench's config reads");
    config
        .resolve(|file| {
            Ok(match file {
                "delays" => "12\n15\n-1\n90\n".to_owned(),
                _ => (1..=1000).map(|ms| format!("{ms}\n")).collect(),
            })
        })
        .expect("the bench's traces read");
    config
}
