//! Every pair of networks, in virtual time: all connect through a TURN server, and what can be direct becomes direct.
//! From the one that lets no UDP out the server is reached by TCP.
//!
//! `cargo test --release -p netsim --test nat_matrix -- --ignored --nocapture` runs hundreds of seeds and prints how long
//! each pair took.

use netsim::call::{Options, run};
use netsim::scenario::load;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const KINDS: [&str; 9] = [
    "open",
    "full-cone",
    "address-restricted",
    "port-restricted",
    "cgnat",
    "leaky",
    "symmetric-random",
    "symmetric-sequential",
    "udp-blocked",
];

const SEEDS: u64 = 2;
/// Unless the variable MANY_SEEDS says how many.
const MANY_SEEDS: u64 = 200;

/// What two networks allow: symmetric ones find no path between each other, and without UDP there is none at all.
fn is_direct(one: &str, other: &str) -> bool {
    one != "udp-blocked"
        && other != "udp-blocked"
        && !(one.starts_with("symmetric") && other.starts_with("symmetric"))
}

/// When the joiner comes. By then the host has its ticket, also where UDP is blocked.
const JOINS_S: u32 = 2;

/// Two people, ten seconds together, each in a network of their own, 25 ms from everybody else's lines.
fn scenario(joiner: &str, host: &str) -> String {
    let lan = |name: &str, nat: &str| match nat {
        "open" => String::new(),
        "udp-blocked" => format!("[[lan]]\nname = \"{name}\"\nfirewall = {{ udp = \"blocked\" }}\n"),
        nat => format!("[[lan]]\nname = \"{name}\"\nnat = \"{nat}\"\n"),
    };
    let place =
        |name: &str, nat: &str| if nat == "open" { String::new() } else { format!("lan = \"{name}\"\n") };
    format!(
        "description = \"two networks\"\nduration_s = {}\ndelay_ms = 25\n\
         {}{}\
         [[server]]\nname = \"turn\"\nkind = \"turn\"\nturn = {{ users = {{ ada = \"secret\" }} }}\n\
         [[server]]\nname = \"stun\"\nkind = \"stun\"\n\
         [[member]]\nname = \"Host\"\n{}stun = [\"stun\", \"turn\"]\nturn = [\"turn\"]\n\
         [[member]]\nname = \"Joiner\"\n{}join_at_s = {}\nstun = [\"stun\", \"turn\"]\n",
        JOINS_S + 10,
        lan("there", host),
        lan("here", joiner),
        place("there", host),
        place("here", joiner),
        JOINS_S,
    )
}

fn matrix(seeds: u64, told: bool) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut jobs = Vec::new();
    for joiner in KINDS {
        for host in KINDS {
            let path = dir.path().join(format!("{joiner}-{host}.toml"));
            std::fs::write(&path, scenario(joiner, host)).expect("the file is written");
            let loaded = load(path.to_str().expect("a path in plain letters")).expect("it loads");
            jobs.push((joiner, host, loaded));
        }
    }
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((joiner, host, loaded)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let wanted = if is_direct(joiner, host) { "direct" } else { "relayed" };
                    let mut connect = Vec::new();
                    for seed in 1..=seeds {
                        let outcome = run(loaded, seed, &Options::default());
                        let paths: Vec<&str> = outcome.directions.iter().map(|d| d.path.as_str()).collect();
                        connect.extend(outcome.directions.iter().filter_map(|d| d.connect_ms));
                        let right = paths.len() == 2 && paths.iter().all(|path| *path == wanted);
                        if !right || outcome.failed() {
                            let story: Vec<String> = outcome
                                .timeline
                                .iter()
                                .map(|moment| format!("  {:.2} {} {}", moment.t, moment.who, moment.what))
                                .collect();
                            wrong.lock().expect("no worker panics").push(format!(
                                "{joiner} to {host}, seed {seed}: {paths:?}, wanted {wanted} {:?}\n{}",
                                outcome.violations,
                                story.join("\n")
                            ));
                        }
                    }
                    connect.sort_by(f64::total_cmp);
                    let at = |share: f64| connect.get((connect.len() as f64 * share) as usize).copied();
                    if told {
                        println!(
                            "{joiner:>20} to {host:<20} {wanted:<8} connected in {:.0?} ms, p95 {:.0?} ms",
                            at(0.5),
                            at(0.95)
                        );
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no worker panics");
    assert!(wrong.is_empty(), "{} runs are not as they should be:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_pair_of_nats_connects_and_directly_where_it_can() {
    matrix(SEEDS, false);
}

#[test]
#[ignore = "takes minutes; run it by name"]
fn every_pair_of_nats_with_hundreds_of_seeds() {
    let asked = std::env::var("MANY_SEEDS").ok();
    matrix(asked.map_or(MANY_SEEDS, |seeds| seeds.parse().expect("MANY_SEEDS is a number")), true);
}
