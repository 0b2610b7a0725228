//! How fast a whole call runs in virtual time, and whether a long one costs more memory than a short one.
//!
//! `cargo bench -p netsim --bench calls` prints both; with `-- hour` the longer call lasts a full hour. All figures are
//! for one core: a run uses one thread.

use netsim::call::{Options, run};
use netsim::scenario::{Loaded, load_text};
use std::path::Path;
use std::time::Instant;

/// Long enough that setting up does not count.
const SECONDS: f64 = 60.0;

fn main() {
    let hour = std::env::args().any(|argument| argument == "hour");
    let (short, long) = if hour { (600.0, 3600.0) } else { (60.0, 600.0) };
    // First, as the peak of a process never comes down.
    seconds(&scenario(2, "conversation", short));
    let before = peak_kib();
    seconds(&scenario(2, "conversation", long));
    let after = peak_kib();
    let ratio = after as f64 / before as f64;
    println!(
        "peak memory: {before} KiB after a call of {short} s, {after} KiB after one of {long} s: {ratio:.2} x"
    );
    for (people, talk) in [(2, "speech"), (2, "conversation"), (8, "conversation")] {
        let took = seconds(&scenario(people, talk, SECONDS));
        println!("{people} people, {talk:<12} {:>5.0} x real time", SECONDS / took);
    }
}

fn scenario(people: usize, talk: &str, duration_s: f64) -> Loaded {
    let mut text = format!("description = \"bench\"\nduration_s = {duration_s}\n");
    for person in 0..people {
        text += &format!("[[member]]\nname = \"p{person}\"\ntalk = \"{talk}\"\n");
    }
    load_text("bench", &text, Path::new("")).expect("the scenario is right")
}

fn seconds(loaded: &Loaded) -> f64 {
    let started = Instant::now();
    let outcome = run(loaded, 1, &Options::default());
    assert!(outcome.violations.is_empty(), "{:?}", outcome.violations);
    started.elapsed().as_secs_f64()
}

/// The most memory this process has had, in KiB; 0 where the system does not tell.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
