//! Hole punching between every pair of networks: two hosts learn their outside addresses from a STUN server,
//! exchange them, and send to each other, repeatedly and at the same time, 25 ms apart.
//!
//! What must come of it is the table of the connectivity measurements with real nftables routers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use netsim::nat::{Firewall, FirewallConfig, Nat, Transport, kind};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{at, ip, s};

const MS: Duration = Duration::from_millis(1);
const DELAY: Duration = Duration::from_millis(25);
const STUN: &str = "198.51.100.1:3478";

/// What two networks need for a direct path.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Needs {
    Nothing,
    /// The port-restricted side guesses the next port.
    Prediction,
    /// Many sockets on the symmetric side, many probes from the other.
    Birthday,
    /// No punching helps.
    Relay,
}

const NETWORKS: [&str; 8] = [
    "open",
    "full-cone",
    "address-restricted",
    "port-restricted",
    "cgnat",
    "symmetric-random",
    "symmetric-sequential",
    "udp-blocked",
];

/// The upper triangle over [`NETWORKS`]: joiner row, host column.
fn table() -> [Vec<Needs>; 8] {
    use Needs::{Birthday, Nothing, Prediction, Relay};
    [
        //   open     full     address  port     cgnat    random    sequential  blocked
        vec![Nothing, Nothing, Nothing, Nothing, Nothing, Nothing, Nothing, Relay],
        vec![Nothing, Nothing, Nothing, Nothing, Nothing, Nothing, Relay],
        vec![Nothing, Nothing, Nothing, Nothing, Nothing, Relay],
        vec![Nothing, Nothing, Birthday, Prediction, Relay],
        vec![Nothing, Birthday, Prediction, Relay],
        vec![Relay, Relay, Relay],
        vec![Relay, Relay],
        vec![Relay],
    ]
}

#[derive(Clone, Copy)]
enum Payload {
    WhoAmI,
    YouAre(SocketAddr),
    Probe,
    Heard,
}

struct Host {
    inside: SocketAddr,
    public: SocketAddr,
    /// From the innermost outwards.
    nats: Vec<Nat>,
    wall: Option<Firewall>,
    /// Its address as the STUN server saw it.
    reflexive: Option<SocketAddr>,
    /// Whose probes came, by where they came from.
    met: BTreeSet<SocketAddr>,
    /// The other has heard our probe.
    heard: bool,
}

impl Host {
    fn new(network: &str, n: u8, seed: u64) -> Host {
        let names: Vec<&str> = match network {
            "open" | "udp-blocked" => vec![],
            names => names.split('+').collect(),
        };
        let router = |(index, name): (usize, &&str)| {
            let config = kind(name).unwrap_or_else(|| panic!("no kind {name}"));
            let external =
                if index + 1 == names.len() { format!("203.0.113.{n}") } else { format!("100.64.{n}.2") };
            Nat::new(&config, vec![ip(&external)], seed + u64::from(n))
        };
        let nats: Vec<Nat> = names.iter().enumerate().map(router).collect();
        let public = at(&format!("203.0.113.{n}:5000"));
        // A stateful firewall would filter by address and port whatever the NAT does.
        let wall = match network {
            "udp-blocked" => Some(Firewall::new(&FirewallConfig::udp_blocked())),
            _ => None,
        };
        let inside = if !nats.is_empty() { at(&format!("10.0.{n}.2:5000")) } else { public };
        Host { inside, public, nats, wall, reflexive: None, met: BTreeSet::new(), heard: false }
    }
}

/// How the hosts go about it.
#[derive(Clone, Copy, Default)]
struct Tactics {
    /// Also probe the port after the reflexive one.
    predict: bool,
    /// How much later than the second the first host starts.
    late: Duration,
    /// For so long packets die between the routers (a low TTL).
    opening: Duration,
}

struct Net {
    hosts: [Host; 2],
    flying: BTreeMap<(Duration, u64), (SocketAddr, SocketAddr, Payload)>,
    sent: u64,
}

impl Net {
    fn send(&mut self, now: Duration, host: usize, to: SocketAddr, payload: Payload, dies: bool) {
        let sender = &mut self.hosts[host];
        if let Some(wall) = &mut sender.wall
            && !wall.outbound(now, Transport::Udp, sender.inside, to)
        {
            return;
        }
        let leave = |from, nat: &mut Nat| nat.outbound(now, Transport::Udp, from, to);
        let Ok(from) = sender.nats.iter_mut().try_fold(sender.inside, leave) else { return };
        if !dies {
            self.fly(now, from, to, payload);
        }
    }

    fn fly(&mut self, now: Duration, from: SocketAddr, to: SocketAddr, payload: Payload) {
        self.sent += 1;
        self.flying.insert((now + DELAY, self.sent), (from, to, payload));
    }

    /// Delivers everything up to `until`.
    fn run(&mut self, until: Duration) {
        while let Some(entry) = self.flying.first_entry().filter(|entry| entry.key().0 <= until) {
            let ((now, _), (from, to, payload)) = entry.remove_entry();
            self.deliver(now, from, to, payload);
        }
    }

    fn deliver(&mut self, now: Duration, from: SocketAddr, to: SocketAddr, payload: Payload) {
        if to == at(STUN) {
            return self.fly(now, to, from, Payload::YouAre(from));
        }
        let Some(host) = self.hosts.iter().position(|host| host.public.ip() == to.ip()) else { return };
        let receiver = &mut self.hosts[host];
        let enter = |to, nat: &mut Nat| nat.inbound(now, Transport::Udp, from, to);
        let Ok(inside) = receiver.nats.iter_mut().rev().try_fold(to, enter) else { return };
        let passes = match &mut receiver.wall {
            Some(wall) => wall.inbound(now, Transport::Udp, from, inside),
            None => true,
        };
        if inside != receiver.inside || !passes {
            return;
        }
        match payload {
            Payload::WhoAmI => {}
            Payload::YouAre(address) => receiver.reflexive = Some(address),
            Payload::Heard => receiver.heard = true,
            Payload::Probe => {
                receiver.met.insert(from);
                self.send(now, host, from, Payload::Heard, false);
            }
        }
    }
}

/// Whether the two ends hear each other in the end.
fn direct(networks: [&str; 2], tactics: Tactics, seed: u64) -> bool {
    let hosts = [Host::new(networks[0], 1, seed), Host::new(networks[1], 2, seed)];
    let mut net = Net { hosts, flying: BTreeMap::new(), sent: 0 };
    for host in 0..2 {
        net.send(Duration::ZERO, host, at(STUN), Payload::WhoAmI, false);
    }
    let start = 100 * MS;
    net.run(start);
    for tick in 0..60 {
        let now = start + tick * 50 * MS;
        net.run(now);
        for host in 0..2 {
            let since = if host == 0 { tactics.late } else { Duration::ZERO };
            let dies = now < start + tactics.opening;
            // Without a reflexive address there is nothing to tell the other.
            let Some(address) = net.hosts[1 - host].reflexive.filter(|_| now >= start + since) else {
                continue;
            };
            let mut targets = BTreeSet::from([address]);
            if tactics.predict {
                targets.insert(SocketAddr::new(address.ip(), address.port().wrapping_add(1)));
            }
            targets.extend(&net.hosts[host].met);
            for target in targets {
                net.send(now, host, target, Payload::Probe, dies);
            }
        }
    }
    net.run(s(10));
    net.hosts.iter().all(|host| host.heard)
}

fn each_pair(mut check: impl FnMut([&str; 2], Needs)) {
    for (row, needs) in table().iter().enumerate() {
        assert_eq!(needs.len(), NETWORKS.len() - row);
        for (offset, needs) in needs.iter().enumerate() {
            check([NETWORKS[row], NETWORKS[row + offset]], *needs);
            check([NETWORKS[row + offset], NETWORKS[row]], *needs);
        }
    }
}

#[test]
fn plain_punching_connects_exactly_the_pairs_that_need_nothing_more() {
    each_pair(|pair, needs| {
        for seed in 0..5 {
            let came_up = direct(pair, Tactics::default(), seed);
            assert_eq!(came_up, needs == Needs::Nothing, "{pair:?}, seed {seed}: needs {needs:?}");
        }
    });
}

#[test]
fn guessing_the_next_port_connects_sequential_nats_and_no_random_ones() {
    each_pair(|pair, needs| {
        // Of two sequential NATs both can be guessed; the table asks for no such luck.
        if pair == ["symmetric-sequential"; 2] {
            return;
        }
        for seed in 0..5 {
            let came_up = direct(pair, Tactics { predict: true, ..Tactics::default() }, seed);
            let expected = matches!(needs, Needs::Nothing | Needs::Prediction);
            assert_eq!(came_up, expected, "{pair:?}, seed {seed}: needs {needs:?}");
        }
    });
}

/// The more closed of a home router and the carrier's decides.
#[test]
fn behind_two_nats_punching_goes_as_with_the_more_closed_one() {
    for (network, with, came_up) in [
        ("full-cone+cgnat", "port-restricted", true),
        ("full-cone+cgnat", "port-restricted+cgnat", true),
        ("full-cone+cgnat", "symmetric-random", false),
        ("symmetric-random+full-cone", "port-restricted", false),
        ("symmetric-random+full-cone", "address-restricted", true),
        ("full-cone+full-cone", "symmetric-random", true),
    ] {
        for seed in 0..5 {
            assert_eq!(direct([network, with], Tactics::default(), seed), came_up, "{network}, {with}");
            assert_eq!(direct([with, network], Tactics::default(), seed), came_up, "{with}, {network}");
        }
    }
}

#[test]
fn a_late_start_costs_nothing_where_routers_do_not_leak() {
    let tactics = Tactics { late: 200 * MS, ..Tactics::default() };
    assert!(direct(["port-restricted", "port-restricted"], tactics, 1));
}

#[test]
fn a_punch_into_a_leaky_router_spoils_the_path_and_a_low_ttl_saves_it() {
    let late = Tactics { late: 200 * MS, ..Tactics::default() };
    assert!(!direct(["leaky", "leaky"], late, 1));
    let low_ttl = Tactics { opening: 400 * MS, ..late };
    assert!(direct(["leaky", "leaky"], low_ttl, 1));
}

/// 256 mappings of 64,512 ports: one probe in 252 hits, half of all searches end within 174.
#[test]
fn birthday_punching_finds_one_of_256_random_ports() {
    let mut probes: Vec<u32> = (0..99).map(birthday).collect();
    probes.sort_unstable();
    // The standard error of a median of 99 geometric draws is about 10 %: 25 here.
    assert!((100..250).contains(&probes[49]), "median {}", probes[49]);
    // A search beyond 3,000 has a chance of 7 in a million.
    assert!(probes[98] < 3000, "worst {}", probes[98]);
}

fn birthday(seed: u64) -> u32 {
    let restricted = at("203.0.113.1:5000");
    let mut nat = Nat::new(&kind("symmetric-random").unwrap(), vec![ip("203.0.113.2")], seed);
    for socket in 0..256 {
        let inside = at(&format!("10.0.2.2:{}", 6000 + socket));
        nat.outbound(Duration::ZERO, Transport::Udp, inside, restricted).unwrap();
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0xbeef);
    let hit = |n: &u32| {
        let guess = SocketAddr::new(ip("203.0.113.2"), rng.random_range(1024..=u16::MAX));
        // 800 probes a second.
        nat.inbound(*n * Duration::from_micros(1250), Transport::Udp, restricted, guess).is_ok()
    };
    (1..20_000).find(hit).expect("the mappings live long enough for 20,000 probes")
}
