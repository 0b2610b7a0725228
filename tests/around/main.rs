//! What is around a member: the router that maps a port, hosts on the same network, and what `doctor` says of it all.
//!
//! Real processes behind real routers; needs root (network namespaces), nftables, coturn and miniupnpd, see
//! `tests/support/lab`.
#![cfg(target_os = "linux")]

mod doctor;
#[allow(dead_code, reason = "each test crate needs another part of it")]
#[path = "../support/lab/mod.rs"]
mod lab;
mod lan;
mod mapping;
mod miniupnpd;
#[allow(dead_code, reason = "each test crate needs another part of it")]
#[path = "../support/spawn.rs"]
mod spawn;

use lab::Namespace;
use spawn::Running;
use std::process::Command;

/// Starts `roundtable WORDS... --json` in a place of the lab, on any port.
fn start(place: &Namespace, words: &[&str]) -> Running {
    place.inside(|| Running::start(&[words, &["--listen", "[::]:0"]].concat()))
}

/// Asks a call to end as a user at the terminal does, and waits until it has.
fn leave(call: Running) {
    let sent = Command::new("kill").args(["-INT", &call.id().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()), "a process that runs can be asked to end");
    call.end();
}

/// The program's answer in a place of the lab: its exit code and its lines.
fn answer(place: &Namespace, words: &[&str]) -> (i32, Vec<String>) {
    let home = tempfile::tempdir().expect("a folder for temporary files");
    let output = place.inside(|| spawn::program(home.path()).args(words).output()).expect("the program runs");
    let lines =
        String::from_utf8(output.stdout).expect("it writes UTF-8").lines().map(str::to_owned).collect();
    (output.status.code().expect("no signal ended it"), lines)
}
