//! Loss and latency on every named network: what the call did there is within the scenario's expectations, and no
//! invariant was broken, with twenty seeds each, and three where many take part.
//!
//! `cargo run --release -p netsim -- run NAME --seeds 20` is the same for people.

use netsim::call::{Options, run};
use netsim::scenario::{BUNDLED, judge, load};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Of each network with an expectation.
const SEEDS: u64 = 20;
/// Of scenarios with more than two people, which take longer.
const SEEDS_OF_MANY: u64 = 3;

#[test]
fn every_scenario_comes_out_as_it_says_with_every_seed() {
    let scenarios: Vec<_> = BUNDLED.iter().map(|(name, _)| load(name).expect("it loads")).collect();
    let jobs: Vec<_> = scenarios
        .iter()
        .flat_map(|loaded| {
            let seeds = if loaded.scenario.members.len() > 2 { SEEDS_OF_MANY } else { SEEDS };
            (1..=seeds).map(move |seed| (loaded, seed))
        })
        .collect();
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some((loaded, seed)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = run(loaded, *seed, &Options::default());
                    let unmet = judge(&outcome, &loaded.scenario.expect);
                    let wrong: Vec<String> = outcome.violations.into_iter().chain(unmet).collect();
                    if !wrong.is_empty() {
                        let name = &loaded.name;
                        let words = format!(
                            "{}\n    cargo run --release -p netsim -- run {name} --seed {seed}",
                            wrong.join("\n    ")
                        );
                        failures
                            .lock()
                            .expect("no worker panics here")
                            .push(format!("{name}, seed {seed}: {words}"));
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().expect("no worker panics here");
    failures.sort();
    assert!(failures.is_empty(), "{} of {} runs:\n{}", failures.len(), jobs.len(), failures.join("\n"));
}

#[test]
fn an_expectation_that_does_not_hold_is_found() {
    let mut loaded = load("loss10").expect("it loads");
    loaded.set_duration_s(5.0);
    loaded.scenario.expect.lost_pct = Some([0.0, 0.1]);
    let unmet = judge(&run(&loaded, 1, &Options::default()), &loaded.scenario.expect);
    assert!(unmet.iter().any(|words| words.contains("lost")), "{unmet:?}");
}
