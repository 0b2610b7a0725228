//! A member of a call, a real process in a namespace.

use super::lab::{Home, SERVER, in_namespace};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A running process. Dropping it kills it.
pub(crate) struct Member {
    child: Child,
    pub(crate) started: Instant,
    events: Arc<Mutex<Vec<(Instant, Value)>>>,
}

impl Member {
    /// Founds a group and waits for its ticket.
    pub(crate) fn host(home: &Home, dir: &Path, name: &str, options: &[&str]) -> (Self, String) {
        let turn = format!("turn:ada:secret@{SERVER}:3478");
        let mut all = vec!["--turn", &turn];
        all.extend(options);
        let member = Self::start(home, dir, name, &["host"], &all);
        let ready = member.wait("ready", |_| true, Duration::from_secs(10));
        (member, ready.1["ticket"].as_str().expect("a ticket").to_owned())
    }

    /// The same without a TURN server.
    pub(crate) fn host_without_relay(home: &Home, dir: &Path, name: &str) -> (Self, String) {
        let member = Self::start(home, dir, name, &["host"], &[]);
        let ready = member.wait("ready", |_| true, Duration::from_secs(10));
        (member, ready.1["ticket"].as_str().expect("a ticket").to_owned())
    }

    /// Types a command.
    pub(crate) fn say(&mut self, command: &str) {
        let stdin = self.child.stdin.as_mut().expect("the pipe was asked for");
        writeln!(stdin, "{command}").expect("the process reads");
    }

    /// Enters a group.
    pub(crate) fn join(home: &Home, dir: &Path, name: &str, ticket: &str, options: &[&str]) -> Self {
        Self::start(home, dir, name, &["join", ticket], options)
    }

    fn start(home: &Home, dir: &Path, name: &str, verb: &[&str], options: &[&str]) -> Self {
        let mut command = in_namespace(&home.host, Path::new(env!("CARGO_BIN_EXE_roundtable")));
        command.args(verb).args(options).args(["--json", "--name", name, "--listen", "[::]:0"]);
        command.args(["--input", "tone", "--output", "null", "--no-port-mapping"]);
        for server in ["198.51.100.2:3478", "198.51.100.3:3478"] {
            command.args(["--stun", server]);
        }
        let config = dir.join("config.toml");
        std::fs::write(&config, "").expect("the test's directory is writable");
        command.arg("--config").arg(&config).arg("--data-dir").arg(dir.join(name));
        let log = std::fs::File::create(dir.join(format!("{name}.log"))).expect("a log");
        let started = Instant::now();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("this build's own program runs");
        let stdout = child.stdout.take().expect("the pipe was asked for");
        let events = Arc::<Mutex<Vec<(Instant, Value)>>>::default();
        let written = events.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Ok(value) = serde_json::from_str(&line) {
                    written.lock().expect("no reader panics").push((Instant::now(), value));
                }
            }
        });
        Self { child, started, events }
    }

    /// The first event of this kind that fits, when it comes in time.
    pub(crate) fn look(
        &self,
        kind: &str,
        fits: impl Fn(&Value) -> bool,
        within: Duration,
    ) -> Option<(Instant, Value)> {
        let deadline = Instant::now() + within;
        loop {
            let events = self.events.lock().expect("no writer panics");
            let found = events.iter().find(|(_, event)| event["event"] == kind && fits(event)).cloned();
            drop(events);
            if found.is_some() || Instant::now() > deadline {
                return found;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The same, when it has to come.
    pub(crate) fn wait(
        &self,
        kind: &str,
        fits: impl Fn(&Value) -> bool,
        within: Duration,
    ) -> (Instant, Value) {
        let found = self.look(kind, fits, within);
        found.unwrap_or_else(|| panic!("no {kind} within {within:?}:\n{}", self.story()))
    }

    /// Forgets what has happened so far.
    pub(crate) fn forget(&self) {
        self.events.lock().expect("no writer panics").clear();
    }

    /// What was made up so far, in ms, as the last figures tell.
    pub(crate) fn concealed(&self) -> u64 {
        let events = self.events.lock().expect("no writer panics");
        let last = events.iter().rev().find(|(_, event)| event["event"] == "stats");
        let causes =
            last.and_then(|(_, event)| event["concealed_ms"].as_object().cloned()).unwrap_or_default();
        causes.values().filter_map(Value::as_u64).sum()
    }

    /// What happened, but for figures.
    pub(crate) fn story(&self) -> String {
        let events = self.events.lock().expect("no writer panics");
        let told = events
            .iter()
            .filter(|(_, event)| !["stats", "talking", "audio"].iter().any(|k| event["event"] == *k));
        told.map(|(at, event)| format!("{:.2} {event}\n", (*at - self.started).as_secs_f32())).collect()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
