//! Any two networks: real processes behind real NATs, with a real TURN server between them.
//!
//! Needs root (network namespaces), nftables and coturn. `--nocapture` shows what each pair took.

mod faults;
mod lab;
mod member;

use lab::{ALL, Lab, Nat};
use member::Member;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Pairs that talk at the same time.
const AT_ONCE: usize = 6;

/// By then a direct path was found, if there is one.
const TO_DIRECT: Duration = Duration::from_secs(12);

/// What two networks allow.
fn is_direct(joiner: Nat, host: Nat) -> bool {
    let pair = [joiner, host];
    !pair.contains(&Nat::UdpBlocked) && pair != [Nat::Symmetric, Nat::Symmetric]
}

fn seconds(since: Instant, at: Option<Instant>) -> String {
    at.map_or("-".into(), |at| format!("{:.2}", (at - since).as_secs_f32()))
}

/// What one pair did: its line of the table, and what was wrong.
fn try_pair(lab: &Lab, joiner: usize, host: usize) -> (String, Option<String>) {
    let dir = tempfile::tempdir().expect("a directory");
    let (there, here) = (&lab.homes[host], &lab.homes[joiner]);
    let (hosting, ticket) = Member::host(there, dir.path(), "Host", &[]);
    let joining = Member::join(here, dir.path(), "Joiner", &ticket, &[]);
    let connected = joining.look("connected", |_| true, Duration::from_secs(12)).map(|(at, _)| at);
    let voice =
        joining.look("talking", |event| event["on"] == true, Duration::from_secs(5)).map(|(at, _)| at);
    let wanted = is_direct(here.nat, there.nat);
    let is_direct = |event: &serde_json::Value| event["kind"] != "relayed";
    let patience = if wanted { TO_DIRECT } else { Duration::from_secs(4) };
    let direct = joining.look("path", is_direct, patience).map(|(at, _)| at);
    // The other side follows, and stays there.
    let both = direct.is_none() || hosting.look("path", is_direct, Duration::from_secs(3)).is_some();
    let since = joining.started;
    let line = format!(
        "{:>18} to {:<18} connected {:>5} voice {:>5} direct {:>5}",
        format!("{:?}", here.nat),
        format!("{:?}", there.nat),
        seconds(since, connected),
        seconds(since, voice),
        seconds(since, direct)
    );
    let right = connected.is_some() && voice.is_some() && direct.is_some() == wanted && both;
    let story = || format!("{line}\njoiner:\n{}host:\n{}", joining.story(), hosting.story());
    (line.clone(), (!right).then(story))
}

#[test]
fn every_pair_of_networks_connects_and_directly_where_it_can() {
    let twice: Vec<Nat> = ALL.iter().chain(&ALL).copied().collect();
    let lab = Lab::new("m", &twice);
    let pairs = (0..ALL.len()).flat_map(|joiner| (0..ALL.len()).map(move |host| (joiner, host + ALL.len())));
    let pairs = Mutex::new(pairs.collect::<Vec<_>>());
    let told = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = pairs.lock().expect("nobody panics").pop();
                    let Some((joiner, host)) = next else { return };
                    let outcome = try_pair(&lab, joiner, host);
                    println!("{}", outcome.0);
                    told.lock().expect("nobody panics").push(outcome);
                }
            });
        }
    });
    let told = told.into_inner().expect("nobody panics");
    assert_eq!(told.len(), ALL.len() * ALL.len());
    let wrong: Vec<String> = told.into_iter().filter_map(|(_, wrong)| wrong).collect();
    assert!(wrong.is_empty(), "{} pairs are not as they should be:\n{}", wrong.len(), wrong.join("\n"));
}
