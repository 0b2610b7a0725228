//! A member of a call, a real process in a home of the lab: what it says, and what it hears.
//!
//! The host's microphone gives one tone and the joiner's another, and what each speaker played is recorded, so that
//! the moment of the first sound and each gap can be measured.

use super::lab::{Namespace, SERVERS};
use super::sound::{Heard, now_us};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// The host's tone and the joiner's: whole periods fit in a window of 20 ms, and neither is a multiple of the other.
pub(crate) const HOST_HZ: f64 = 450.0;
pub(crate) const JOINER_HZ: f64 = 700.0;

/// For what takes milliseconds on a machine that is not busy.
pub(crate) const SOON: Duration = Duration::from_secs(15);

/// A running process. Dropping it kills it.
pub(crate) struct Member {
    pub(crate) name: &'static str,
    child: Child,
    pub(crate) started_us: u64,
    events: Arc<(Mutex<Events>, Condvar)>,
    recording: PathBuf,
}

/// With the moment at which each was said: Unix time in microseconds.
#[derive(Default)]
struct Events {
    log: Vec<(u64, Value)>,
    /// Events before this one belong to the past.
    seen: usize,
    has_ended: bool,
}

impl Member {
    /// Founds a group, with the lab's TURN server, and waits for its ticket.
    pub(crate) fn host(place: &Namespace, dir: &Path, options: &[&str]) -> (Self, String) {
        let turn = format!("turn:ada:secret@{}:3478", SERVERS[0]);
        Self::host_without_relay(place, dir, &[&["--turn", &turn], options].concat())
    }

    /// The same without a TURN server.
    pub(crate) fn host_without_relay(place: &Namespace, dir: &Path, options: &[&str]) -> (Self, String) {
        let member = Self::start(place, dir, ("Host", HOST_HZ), &["host"], options);
        let (_, ready) = member.wait("ready", |_| true, SOON);
        let ticket = ready["ticket"].as_str().expect("a host's `ready` has a ticket").to_owned();
        (member, ticket)
    }

    /// Enters a group, knowing nothing but the ticket.
    pub(crate) fn join(place: &Namespace, dir: &Path, ticket: &str, options: &[&str]) -> Self {
        Self::start(place, dir, ("Joiner", JOINER_HZ), &["join", ticket], options)
    }

    /// The same by another name, with another tone.
    pub(crate) fn join_as(place: &Namespace, dir: &Path, ticket: &str, who: (&'static str, f64)) -> Self {
        Self::start(place, dir, who, &["join", ticket], &[])
    }

    fn start(
        place: &Namespace,
        dir: &Path,
        (name, hz): (&'static str, f64),
        words: &[&str],
        options: &[&str],
    ) -> Self {
        let recording = dir.join(format!("{name}.wav"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_roundtable"));
        command.args(words).args(options).args(["--json", "--name", name, "--listen", "[::]:0"]);
        command.args([
            "--input",
            &format!("tone:{hz}"),
            "--output",
            &format!("file:{}", recording.display()),
        ]);
        command.args(["--no-port-mapping"]);
        for server in SERVERS {
            command.args(["--stun", &format!("{server}:3478")]);
        }
        // The user's own configuration must not decide a test.
        let config = dir.join("config.toml");
        fs::write(&config, "").expect("the test's directory is writable");
        command.arg("--config").arg(&config).arg("--data-dir").arg(dir.join(name));
        command.env_remove("ROUNDTABLE_PSK").stdin(Stdio::piped()).stdout(Stdio::piped());
        command
            .stderr(File::create(dir.join(format!("{name}.log"))).expect("the test's directory is writable"));
        let started_us = now_us();
        let mut child = place.inside(|| command.spawn()).expect("this build's own program runs");
        let stdout = child.stdout.take().expect("the pipe was asked for");
        let events = Arc::<(Mutex<Events>, Condvar)>::default();
        let told = events.clone();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap_or(Value::String(line));
                lock(&told.0).log.push((now_us(), event));
                told.1.notify_all();
            }
            lock(&told.0).has_ended = true;
            told.1.notify_all();
        });
        Self { name, child, started_us, events, recording }
    }

    /// The first event of this kind that fits, since the last [`Member::forget`], when it comes in time.
    pub(crate) fn look(
        &self,
        kind: &str,
        fits: impl Fn(&Value) -> bool,
        within: Duration,
    ) -> Option<(u64, Value)> {
        let deadline = Instant::now() + within;
        let mut events = lock(&self.events.0);
        loop {
            let found =
                events.log.iter().skip(events.seen).find(|(_, said)| said["event"] == kind && fits(said));
            let left = deadline.saturating_duration_since(Instant::now());
            if found.is_some() || left.is_zero() || events.has_ended {
                return found.cloned();
            }
            events = self.events.1.wait_timeout(events, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The same, when it has to come.
    #[track_caller]
    pub(crate) fn wait(&self, kind: &str, fits: impl Fn(&Value) -> bool, within: Duration) -> (u64, Value) {
        let found = self.look(kind, fits, within);
        found.unwrap_or_else(|| panic!("{}: no `{kind}` within {within:?}:\n{}", self.name, self.story()))
    }

    /// From now on only what happens after this counts.
    pub(crate) fn forget(&self) {
        let mut events = lock(&self.events.0);
        events.seen = events.log.len();
    }

    /// What kind of path its peer is on by now.
    pub(crate) fn kind(&self) -> Option<String> {
        let events = lock(&self.events.0);
        let mut kinds = events.log.iter().filter_map(|(_, said)| match said["event"].as_str()? {
            "connected" => said["path"].as_str(),
            "path" => said["kind"].as_str(),
            _ => None,
        });
        kinds.next_back().map(str::to_owned)
    }

    /// Speech that was made up because it did not come, in ms, as the last figures tell.
    pub(crate) fn concealed_ms(&self) -> u64 {
        let events = lock(&self.events.0);
        let last = events.log.iter().rev().find(|(_, said)| said["event"] == "stats");
        let causes = last.and_then(|(_, stats)| stats["concealed_ms"].as_object());
        causes.into_iter().flat_map(|causes| causes.values().filter_map(Value::as_u64)).sum()
    }

    /// The same of each other member, by its id.
    pub(crate) fn concealed_ms_by_peer(&self) -> BTreeMap<String, u64> {
        let events = lock(&self.events.0);
        let stats = events.log.iter().filter(|(_, said)| said["event"] == "stats");
        let sum = |said: &Value| {
            let causes = said["concealed_ms"].as_object();
            causes.into_iter().flat_map(|causes| causes.values().filter_map(Value::as_u64)).sum()
        };
        let peer = |said: &Value| said["peer"].as_str().unwrap_or_default().to_owned();
        stats.map(|(_, said)| (peer(said), sum(said))).collect()
    }

    /// Its id.
    #[track_caller]
    pub(crate) fn id(&self) -> String {
        self.ready("id")
    }

    /// The port it listens on.
    #[track_caller]
    pub(crate) fn port(&self) -> u16 {
        let listen = self.ready("listen");
        listen.rsplit(':').next().and_then(|port| port.parse().ok()).expect("an address with a port")
    }

    #[track_caller]
    fn ready(&self, what: &str) -> String {
        let events = lock(&self.events.0);
        let ready = events.log.iter().find(|(_, said)| said["event"] == "ready");
        ready.expect("it has started").1[what].as_str().expect("a text").to_owned()
    }

    /// Whether such an event has come since the last [`Member::forget`].
    pub(crate) fn has(&self, kind: &str, fits: impl Fn(&Value) -> bool) -> bool {
        self.look(kind, fits, Duration::ZERO).is_some()
    }

    /// Kills the process without a goodbye.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
    }

    /// Types a command.
    pub(crate) fn say(&mut self, command: &str) {
        let stdin = self.child.stdin.as_mut().expect("the pipe was asked for");
        writeln!(stdin, "{command}").expect("it reads its commands");
    }

    /// Leaves, and hands over what its speaker played.
    #[track_caller]
    pub(crate) fn leave(mut self) -> Heard {
        let (_, device) = self.wait_from_the_start("audio", |said| said["direction"] == "output");
        let started_us = device["started_unix_us"].as_u64().expect("a simulated device says when");
        self.say("leave");
        let deadline = Instant::now() + SOON;
        while self.child.try_wait().expect("a child can be waited for").is_none() {
            assert!(Instant::now() < deadline, "{} does not leave:\n{}", self.name, self.story());
            thread::sleep(Duration::from_millis(10));
        }
        Heard::read(&self.recording, started_us)
    }

    #[track_caller]
    fn wait_from_the_start(&self, kind: &str, fits: impl Fn(&Value) -> bool) -> (u64, Value) {
        lock(&self.events.0).seen = 0;
        self.wait(kind, fits, SOON)
    }

    /// What happened, but for figures, and what it complained about.
    pub(crate) fn story(&self) -> String {
        let events = lock(&self.events.0);
        let told = events
            .log
            .iter()
            .filter(|(_, said)| !["stats", "talking", "audio"].iter().any(|k| said["event"] == *k));
        let since = |at: u64| at.saturating_sub(self.started_us) as f64 / 1e6;
        let told: String = told.map(|(at, said)| format!("{:9.3} {said}\n", since(*at))).collect();
        let complaint = fs::read_to_string(self.recording.with_extension("log")).unwrap_or_default();
        format!("{}:\n{told}{complaint}", self.name)
    }
}

fn lock(events: &Mutex<Events>) -> MutexGuard<'_, Events> {
    events.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
