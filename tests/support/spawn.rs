//! The program itself, run with `--json` in a folder of its own, and what it said.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A call that runs; it ends with its owner.
pub(crate) struct Running {
    child: Child,
    events: Arc<(Mutex<Vec<Value>>, Condvar)>,
    readers: Vec<JoinHandle<()>>,
    complaint: Arc<Mutex<String>>,
    _home: TempDir,
}

/// A call that ended.
pub(crate) struct Ended {
    /// The exit code.
    pub(crate) code: i32,
    /// All events, in order.
    pub(crate) events: Vec<Value>,
    /// What was said on stderr.
    pub(crate) complaint: String,
}

/// The program with an environment of its own: no configuration, identity or password of the user's.
pub(crate) fn program(home: &std::path::Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_roundtable"));
    command.env_remove("ROUNDTABLE_PSK").env_remove("ROUNDTABLE_DATA_DIR").env_remove("RUST_LOG");
    command.env("HOME", home).env("XDG_CONFIG_HOME", home).env("XDG_DATA_HOME", home);
    command
}

impl Running {
    /// Starts `roundtable WORDS... --json`, silent and deaf unless the words say otherwise.
    pub(crate) fn start(words: &[&str]) -> Self {
        let home = tempfile::tempdir().expect("a folder for temporary files");
        let mut command = program(home.path());
        command.args(words).arg("--json");
        for (option, value) in [("--input", "null"), ("--output", "null"), ("--listen", "127.0.0.1:0")] {
            if !words.contains(&option) {
                command.args([option, value]);
            }
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let events = Arc::<(Mutex<Vec<Value>>, Condvar)>::default();
        let complaint = Arc::<Mutex<String>>::default();
        let (heard, told) = (events.clone(), complaint.clone());
        let (out, mut errors) =
            (child.stdout.take().expect("stdout is piped"), child.stderr.take().expect("stderr is piped"));
        let readers = vec![
            thread::spawn(move || {
                for line in BufReader::new(out).lines().map_while(Result::ok) {
                    let event = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"));
                    heard.0.lock().expect("nobody panics with it").push(event);
                    heard.1.notify_all();
                }
            }),
            thread::spawn(move || {
                let mut text = String::new();
                let _ = errors.read_to_string(&mut text);
                *told.lock().expect("nobody panics with it") = text;
            }),
        ];
        Self { child, events, readers, complaint, _home: home }
    }

    /// A host with these further options, once it listens: itself, its ticket and its address.
    pub(crate) fn host(words: &[&str]) -> (Self, String, String) {
        let host = Self::start(&[&["host", "--name", "Host"], words].concat());
        let ready = host.wait_for("ready", |_| true);
        let text = |key: &str| ready[key].as_str().expect("a host's ready has it").to_owned();
        (host, text("ticket"), text("listen"))
    }

    /// Gives a command.
    pub(crate) fn say(&self, command: &str) {
        let mut input = self.child.stdin.as_ref().expect("stdin is piped");
        writeln!(input, "{command}").expect("the program reads its commands");
    }

    /// Whether an event of this kind that `fits` has come.
    pub(crate) fn has(&self, kind: &str, fits: impl Fn(&Value) -> bool) -> bool {
        self.events().iter().any(|event| event["event"] == kind && fits(event))
    }

    /// Runs a joiner to its end.
    pub(crate) fn join(words: &[&str]) -> Ended {
        Self::start(&[&["join"], words].concat()).end()
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// All events so far.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.events.0.lock().expect("nobody panics with it").clone()
    }

    /// Waits for the first event of this kind that `fits`.
    pub(crate) fn wait_for(&self, kind: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut events = self.events.0.lock().expect("nobody panics with it");
        loop {
            if let Some(event) = events.iter().find(|event| event["event"] == kind && fits(event)) {
                return event.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no {kind} came that fits; there were {events:#?}");
            events = self.events.1.wait_timeout(events, left).expect("nobody panics with it").0;
        }
    }

    /// Waits for the first event of one of these kinds.
    pub(crate) fn wait_for_any(&self, kinds: &[&str]) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.events().iter().any(|event| kinds.iter().any(|kind| event["event"] == *kind)) {
            assert!(Instant::now() < deadline, "none of {kinds:?} came; there were {:#?}", self.events());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for the process to end by itself.
    pub(crate) fn end(mut self) -> Ended {
        let deadline = Instant::now() + Duration::from_secs(30);
        let status: ExitStatus = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end; it said {:#?}", self.events());
            thread::sleep(Duration::from_millis(10));
        };
        for reader in self.readers.drain(..) {
            reader.join().expect("what it says is JSON");
        }
        let complaint = self.complaint.lock().expect("nobody panics with it").clone();
        Ended { code: status.code().expect("no signal ended it"), events: self.events(), complaint }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
