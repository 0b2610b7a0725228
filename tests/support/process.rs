//! Members of a call, each a real process of this build.
//!
//! A [`Seat`] describes a process and [`Call`] is it running: its events are read as they come, commands
//! go to its stdin, and it is killed by its id when the test lets go of it. Everything it keeps lies in the
//! test's own directory, and it takes any free port, so that tests do not meet.

use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
    time::{Duration, Instant},
};

/// For what takes milliseconds on a machine that is not busy.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// A process to be started.
pub(crate) struct Seat {
    dir: PathBuf,
    name: String,
    recording: String,
    input: String,
    output: Option<String>,
    environment: Vec<(String, PathBuf)>,
    arguments: Vec<String>,
}

impl Seat {
    /// A member called `name`, silent, whose speaker is recorded into `dir`.
    pub(crate) fn new(dir: &Path, name: &str) -> Self {
        Self {
            dir: dir.to_owned(),
            name: name.to_owned(),
            recording: name.to_owned(),
            input: "null".to_owned(),
            output: None,
            environment: Vec::new(),
            arguments: Vec::new(),
        }
    }

    /// Its microphone.
    pub(crate) fn input(mut self, spec: impl Into<String>) -> Self {
        self.input = spec.into();
        self
    }

    /// A microphone in which one WAV file is spoken.
    pub(crate) fn says(self, path: &Path) -> Self {
        self.input(format!("file:{}", path.display()))
    }

    /// A speaker instead of the recording.
    pub(crate) fn output(mut self, spec: impl Into<String>) -> Self {
        self.output = Some(spec.into());
        self
    }

    /// Another recording, for a member that comes back.
    pub(crate) fn recording(mut self, name: &str) -> Self {
        self.recording = name.to_owned();
        self
    }

    /// Logs what comes and when the device asks.
    pub(crate) fn rtlog(mut self, path: &Path) -> Self {
        self.arguments.extend(["--rtlog".to_owned(), path.display().to_string()]);
        self
    }

    /// Where it finds its sound system.
    pub(crate) fn environment(mut self, name: &str, path: &Path) -> Self {
        self.environment.push((name.to_owned(), path.to_owned()));
        self
    }

    /// One more option of the program.
    pub(crate) fn option(mut self, option: &str) -> Self {
        self.arguments.push(option.to_owned());
        self
    }

    /// Enters, or lets enter, by this password.
    pub(crate) fn password(mut self, words: &str) -> Self {
        let path = self.dir.join(format!("{}.psk", self.name));
        fs::write(&path, words).expect("the test's directory is writable");
        self.arguments.extend(["--psk-file".to_owned(), path.display().to_string()]);
        self
    }

    /// Founds a group and waits until it may be entered.
    pub(crate) fn host(mut self) -> Call {
        let ticket = self.dir.join(format!("{}.ticket", self.name));
        self.arguments.extend(["--ticket-file".to_owned(), ticket.display().to_string()]);
        let mut call = self.start("host", None);
        let ready = call.wait_for("ready", |_| true, SOON);
        let written = fs::read_to_string(&ticket).expect("the ticket file is written before `ready`");
        assert_eq!(ready["ticket"], written.trim(), "file and event name the same ticket");
        call.ticket = Some(written.trim().to_owned());
        call
    }

    /// Enters a group by a ticket, or by an address together with [`Seat::password`].
    pub(crate) fn join(self, target: &str) -> Call {
        self.start("join", Some(target))
    }

    fn start(self, verb: &str, target: Option<&str>) -> Call {
        let recording = self.dir.join(format!("{}.wav", self.recording));
        let output = self.output.unwrap_or_else(|| format!("file:{}", recording.display()));
        let log = fs::File::create(self.dir.join(format!("{}.log", self.recording)));
        let mut command = Command::new(env!("CARGO_BIN_EXE_roundtable"));
        command.arg(verb).args(target).args(["--json", "--no-stun", "--listen", "127.0.0.1:0"]);
        command.args(["--name", &self.name, "--input", &self.input, "--output", &output]);
        command.arg("--data-dir").arg(self.dir.join(&self.name)).args(&self.arguments);
        command.arg("--config").arg(no_configuration(&self.dir));
        command.env_remove("ROUNDTABLE_PSK").envs(self.environment);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(log.expect("the test's directory is writable"));
        let mut child = command.spawn().expect("this build's own program runs");
        let stdin = child.stdin.take().expect("the pipe was asked for");
        let stdout = child.stdout.take().expect("the pipe was asked for");
        let events = Arc::new(Events::default());
        let read = events.clone();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                read.push(&line);
            }
            read.end();
        });
        Call { child, stdin, events, seen: 0, name: self.name, recording, ticket: None }
    }
}

/// The user's own configuration must not decide a test.
fn no_configuration(dir: &Path) -> PathBuf {
    let path = dir.join("config.toml");
    fs::write(&path, "").expect("the test's directory is writable");
    path
}

/// A running member.
pub(crate) struct Call {
    child: Child,
    stdin: ChildStdin,
    events: Arc<Events>,
    /// Events before this one belong to the past.
    seen: usize,
    pub(crate) name: String,
    recording: PathBuf,
    ticket: Option<String>,
}

impl Call {
    /// The ticket of a group it founded.
    pub(crate) fn ticket(&self) -> &str {
        self.ticket.as_deref().expect("only who founds a group has a ticket at once")
    }

    /// Its id.
    pub(crate) fn id(&self) -> String {
        let events = self.events.lock();
        let ready = events.log.iter().find(|event| event["event"] == "ready");
        ready.and_then(|ready| ready["id"].as_str()).expect("`ready` was waited for").to_owned()
    }

    /// The UDP port it listens on.
    pub(crate) fn port(&mut self) -> u16 {
        let ready = self.wait_for("ready", |_| true, SOON);
        let port = ready["listen"].as_str().and_then(|address| address.rsplit(':').next()?.parse().ok());
        port.expect("`ready` names the address listened on")
    }

    /// When its microphone's or its recording's first sample sounded: Unix time in microseconds.
    pub(crate) fn sound_started(&self, direction: &str) -> u64 {
        let events = self.events.lock();
        let device =
            events.log.iter().find(|event| event["event"] == "audio" && event["direction"] == direction);
        device.and_then(|device| device["started_unix_us"].as_u64()).expect("a simulated device says when")
    }

    /// Waits for an event since the last [`Call::forget`].
    #[track_caller]
    pub(crate) fn wait_for(&mut self, event: &str, fits: impl Fn(&Value) -> bool, limit: Duration) -> Value {
        let deadline = Instant::now() + limit;
        let mut events = self.events.lock();
        loop {
            let found = events.log.iter().skip(self.seen).find(|e| e["event"] == event && fits(e));
            if let Some(found) = found {
                return found.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let told = || events.log.iter().map(|e| format!("\n  {e}")).collect::<String>();
            assert!(!left.is_zero(), "{}: no `{event}` within {limit:?}; it said:{}", self.name, told());
            assert!(!events.ended, "{} ended before `{event}`; it said:{}", self.name, told());
            events = self.events.more.wait_timeout(events, left).expect("no reader panics").0;
        }
    }

    /// Waits until it hears and is heard by `other`.
    #[track_caller]
    pub(crate) fn wait_for_peer(&mut self, other: &Call, limit: Duration) -> Value {
        let id = other.id();
        self.wait_for("connected", |event| event["peer"] == id.as_str(), limit)
    }

    /// From now on only what happens after this counts.
    pub(crate) fn forget(&mut self) {
        self.seen = self.events.lock().log.len();
    }

    /// All events of a kind, since the last [`Call::forget`].
    pub(crate) fn all(&self, event: &str) -> Vec<Value> {
        let events = self.events.lock();
        events.log.iter().skip(self.seen).filter(|e| e["event"] == event).cloned().collect()
    }

    /// Types a command.
    #[track_caller]
    pub(crate) fn say(&mut self, command: &str) {
        writeln!(self.stdin, "{command}").expect("it reads its commands");
    }

    /// Sends a signal, by its name without `SIG`.
    pub(crate) fn signal(&self, name: &str) {
        let kill = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status();
        assert!(kill.expect("`kill` is part of every system").success(), "no SIG{name} for {}", self.name);
    }

    /// Leaves the group and hands over what its speaker played.
    #[track_caller]
    pub(crate) fn leave(mut self) -> super::sound::Heard {
        self.say("leave");
        self.end()
    }

    /// Waits for its end by itself and hands over what its speaker played.
    #[track_caller]
    pub(crate) fn end(mut self) -> super::sound::Heard {
        self.wait_for("bye", |_| true, SOON);
        let deadline = Instant::now() + SOON;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status;
            }
            assert!(Instant::now() < deadline, "{} said goodbye and did not end", self.name);
            thread::sleep(Duration::from_millis(10));
        };
        assert!(status.success(), "{} ended with {status}", self.name);
        super::sound::Heard::read(&self.recording, self.sound_started("output"))
    }

    /// Ends at once, as in a power cut.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // Also ends a process that was stopped by SIGSTOP.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Default)]
struct Events {
    inner: Mutex<Log>,
    more: Condvar,
}

#[derive(Default)]
struct Log {
    log: Vec<Value>,
    ended: bool,
}

impl Events {
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn push(&self, line: &str) {
        let event = serde_json::from_str(line).unwrap_or_else(
            |error| serde_json::json!({ "event": "not_json", "line": line, "why": error.to_string() }),
        );
        self.lock().log.push(event);
        self.more.notify_all();
    }

    fn end(&self) {
        self.lock().ended = true;
        self.more.notify_all();
    }
}
