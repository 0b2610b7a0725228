//! The group of real processes on this machine: who comes in, who is put out, and who decides.
#![cfg(unix)]

#[allow(dead_code, reason = "each test crate needs another part of it")]
#[path = "../support/spawn.rs"]
mod spawn;

mod admission;
mod mesh;
mod removal;

use serde_json::Value;
use spawn::Running;
use std::thread;
use std::time::Duration;

/// Somebody who joins by this ticket.
fn join(ticket: &str, name: &str) -> Running {
    Running::start(&["join", ticket, "--name", name])
}

/// Waits until the two are connected with each other.
fn meet(one: &Running, other: &Running) {
    let id = |running: &Running| running.wait_for("ready", |_| true)["id"].clone();
    let (one_id, other_id) = (id(one), id(other));
    one.wait_for("connected", |event| event["peer"] == other_id);
    other.wait_for("connected", |event| event["peer"] == one_id);
}

/// A group of so many: the host, its ticket, and the others in this order of seniority, all connected with each other.
fn group(names: &[&str]) -> (Running, String, Vec<Running>) {
    let (host, ticket, _) = Running::host(&[]);
    let mut others: Vec<Running> = Vec::new();
    for name in names {
        let newcomer = join(&ticket, name);
        meet(&host, &newcomer);
        others.iter().for_each(|earlier| meet(earlier, &newcomer));
        others.push(newcomer);
    }
    (host, ticket, others)
}

/// A fresh ticket of somebody's, by this command.
fn ticket(of: &Running, command: &str) -> String {
    let count = || of.events().iter().filter(|event| event["event"] == "ticket").count();
    let before = count();
    of.say(command);
    while count() == before {
        thread::sleep(Duration::from_millis(20));
    }
    let ticket = of.events().into_iter().rfind(|event| event["event"] == "ticket");
    ticket.expect("just counted")["ticket"].as_str().expect("a text").to_owned()
}

/// How it ended for whoever did not get in, or was put out.
fn code_of(events: &[Value]) -> Option<&str> {
    events.iter().rfind(|event| event["event"] == "error").and_then(|event| event["code"].as_str())
}
