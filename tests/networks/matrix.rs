//! Every pair of networks connects, and directly where it can.

use super::{
    alone,
    lab::{Lab, Nat},
    pair::{Outcome, call},
};
use serde_json::Value;
use std::{fs, path::Path, thread, time::Instant};

/// Those of which every pair is tried, in the order of the table in `docs/connecting.md`.
pub(crate) const KINDS: [Nat; 8] = [
    Nat::Open,
    Nat::FullCone,
    Nat::AddressRestricted,
    Nat::PortRestricted,
    Nat::Cgnat,
    Nat::SymmetricRandom,
    Nat::SymmetricSequential,
    Nat::UdpBlocked,
];

/// A lab with two homes of each kind: the joiners' and, behind them, the hosts'.
pub(crate) fn lab(name: &str, dir: &Path) -> Lab {
    Lab::new(name, &[KINDS, KINDS].concat()).with_coturn(dir)
}

/// All pairs once. Each round has every home once, so that no pair takes another's ports.
pub(crate) fn all_pairs(lab: &Lab) -> Vec<Outcome> {
    let count = KINDS.len();
    let round = |round: usize| {
        thread::scope(|scope| {
            let start = |joiner| scope.spawn(move || call(lab, joiner, count + (joiner + round) % count));
            let calls: Vec<_> = (0..count).map(start).collect();
            calls
                .into_iter()
                .map(|call| call.join().expect("a pair's test does not panic"))
                .collect::<Vec<_>>()
        })
    };
    (0..count).flat_map(round).collect()
}

/// Keeps what was measured where a script finds it.
pub(crate) fn write(name: &str, what: &Value) {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, format!("{what:#}\n")).expect("the directory for tests is writable");
    println!("written to {}", path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(&path).display());
}

#[test]
fn every_pair_of_networks_connects_and_directly_where_it_can() {
    let _machine = alone();
    let dir = tempfile::tempdir().expect("a directory");
    let started = Instant::now();
    let lab = lab("m", dir.path());
    println!("{} homes and coturn in {:.2} s", lab.homes.len(), started.elapsed().as_secs_f32());
    let mut outcomes = all_pairs(&lab);
    outcomes.sort_by_key(|outcome| (outcome.joiner, outcome.host));
    outcomes.iter().for_each(|outcome| println!("{outcome}"));
    println!("{} pairs in {:.0} s", outcomes.len(), started.elapsed().as_secs_f32());
    write("networks.json", &outcomes.iter().map(Outcome::to_json).collect());
    assert_eq!(outcomes.len(), KINDS.len() * KINDS.len());
    let wrong: Vec<_> = outcomes.iter().filter(|outcome| outcome.wrong().is_some()).collect();
    let stories: String = wrong.iter().map(|wrong| format!("\n{wrong}\n{}", wrong.story)).collect();
    assert!(wrong.is_empty(), "{} pairs are not as they should be:{stories}", wrong.len());
}
