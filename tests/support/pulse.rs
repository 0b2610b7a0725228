//! A PulseAudio daemon of the test's own, with a virtual microphone and a virtual speaker.
//!
//! cpal finds the daemon through the environment, which a test cannot safely change in its own
//! process. So [`in_own_runtime`] runs the test again in a child process whose environment points
//! to a fresh directory. What is played into the microphone's feed is what programs record; what
//! programs play is recorded from the speaker's monitor.
//!
//! A daemon that does not start fails the test: skipping would look like passing.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

const CHILD_MARK: &str = "ROUNDTABLE_TEST_RUNTIME";
const START_PATIENCE: Duration = Duration::from_secs(10);

/// Runs `body(runtime_dir)` in a child process with `XDG_RUNTIME_DIR` and `HOME` of its own.
///
/// `test` is the full name of the calling test, as the harness prints it. The child, and the
/// daemon it may leave behind, are killed by their ids after `limit`.
pub(crate) fn in_own_runtime(test: &str, limit: Duration, body: impl FnOnce(&Path)) {
    if let Some(runtime) = std::env::var_os(CHILD_MARK) {
        return body(Path::new(&runtime));
    }
    let runtime = tempfile::Builder::new().prefix("rt-pulse").tempdir().expect("a temporary directory");
    let mut command = Command::new(std::env::current_exe().expect("a test knows its own binary"));
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    command.env(CHILD_MARK, runtime.path());
    set_environment(&mut command, runtime.path());
    let mut child = Guard(command.spawn().expect("the test's own binary runs"));
    let deadline = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.0.try_wait().expect("the child can be waited for") {
            break Some(status);
        }
        if Instant::now() >= deadline {
            break None;
        }
        thread::sleep(Duration::from_millis(20));
    };
    drop(child);
    // Only a child that was killed leaves this behind.
    if let Ok(pid) = fs::read_to_string(runtime.path().join("daemon.pid")) {
        let _ = Command::new("kill").args(["-9", pid.trim()]).status();
    }
    match status {
        Some(status) => assert!(status.success(), "{test} failed in its own runtime: {status}"),
        None => panic!("{test} did not end within {limit:?}"),
    }
}

/// A running daemon: default source `mic`, default sink `speaker`.
pub(crate) struct PulseServer {
    daemon: Guard,
    runtime: PathBuf,
}

impl PulseServer {
    /// Starts a daemon whose devices run at `rate` hertz, and waits until it answers.
    pub(crate) fn start(runtime: &Path, rate: u32) -> Self {
        fs::create_dir_all(runtime.join("pulse")).expect("the runtime directory is writable");
        let log = fs::File::create(runtime.join("daemon.log")).expect("the runtime directory is writable");
        let mut command = Command::new("pulseaudio");
        command.args(["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--realtime=no"]);
        command.args(["--high-priority=no", "--disallow-exit", "--log-target=stderr"]);
        for module in [
            format!("module-native-protocol-unix auth-anonymous=1 socket={}", socket(runtime).display()),
            format!("module-null-sink sink_name=speaker rate={rate} channels=2"),
            format!("module-null-sink sink_name=mic_feed rate={rate} channels=1"),
            "module-remap-source source_name=mic master=mic_feed.monitor".to_owned(),
        ] {
            command.arg(format!("--load={module}"));
        }
        set_environment(&mut command, runtime);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let daemon = command.spawn().expect("`pulseaudio` must be installed for this test");
        fs::write(runtime.join("daemon.pid"), daemon.id().to_string()).expect("the directory is writable");
        let mut server = Self { daemon: Guard(daemon), runtime: runtime.to_owned() };
        server.wait_until_it_answers();
        server.control(&["set-default-source", "mic"]);
        server.control(&["set-default-sink", "speaker"]);
        server
    }

    /// The daemon's death, without warning.
    pub(crate) fn kill(self) {
        drop(self);
    }

    /// Plays mono samples at 48 kHz into the microphone, once, until they end or the player is
    /// dropped.
    pub(crate) fn speak(&self, samples: &[f32]) -> Guard {
        let path = self.runtime.join("spoken.raw");
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        fs::write(&path, bytes).expect("the runtime directory is writable");
        let mut command = Command::new("pacat");
        command.args(["--playback", "--raw", "--format=float32le", "--rate=48000", "--channels=1"]);
        command.args(["--device=mic_feed", "--latency-msec=50"]).arg(&path);
        set_environment(&mut command, &self.runtime);
        Guard(command.stdin(Stdio::null()).spawn().expect("`pacat` must be installed for this test"))
    }

    /// Records what the speaker plays, mono at 48 kHz, until dropped.
    pub(crate) fn listen(&self) -> Recording {
        let mut command = Command::new("parec");
        command.args(["--raw", "--format=float32le", "--rate=48000", "--channels=1"]);
        command.args(["--device=speaker.monitor", "--latency-msec=20"]);
        set_environment(&mut command, &self.runtime);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("`parec` must be installed for this test");
        let mut pipe = child.stdout.take().expect("the pipe was asked for");
        let samples: Arc<Mutex<Vec<f32>>> = Arc::default();
        let heard = samples.clone();
        thread::spawn(move || {
            let mut frame = [0; 4];
            while pipe.read_exact(&mut frame).is_ok() {
                heard.lock().expect("nobody panics with it").push(f32::from_le_bytes(frame));
            }
        });
        Recording { _player: Guard(child), samples }
    }

    fn wait_until_it_answers(&mut self) {
        let deadline = Instant::now() + START_PATIENCE;
        while !self.try_control(&["info"]) {
            let ended = self.daemon.0.try_wait().expect("the daemon can be waited for");
            let log = || fs::read_to_string(self.runtime.join("daemon.log")).unwrap_or_default();
            assert!(ended.is_none(), "pulseaudio ended at once ({ended:?}):\n{}", log());
            assert!(Instant::now() < deadline, "pulseaudio does not answer:\n{}", log());
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn control(&self, arguments: &[&str]) {
        assert!(self.try_control(arguments), "pactl {arguments:?} failed");
    }

    fn try_control(&self, arguments: &[&str]) -> bool {
        let mut command = Command::new("pactl");
        set_environment(&mut command, &self.runtime);
        let status = command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.expect("`pactl` must be installed for this test").success()
    }
}

impl Drop for PulseServer {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.runtime.join("daemon.pid"));
    }
}

/// Sound being recorded.
pub(crate) struct Recording {
    _player: Guard,
    samples: Arc<Mutex<Vec<f32>>>,
}

impl Recording {
    /// What was recorded since the last call, mono at 48 kHz.
    pub(crate) fn take(&self) -> Vec<f32> {
        std::mem::take(&mut *self.samples.lock().expect("nobody panics with it"))
    }
}

/// A process that ends with its owner.
pub(crate) struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn socket(runtime: &Path) -> PathBuf {
    runtime.join("pulse/native")
}

fn set_environment(command: &mut Command, runtime: &Path) {
    command.env("XDG_RUNTIME_DIR", runtime).env("HOME", runtime);
    for other in ["PULSE_RUNTIME_PATH", "PULSE_SERVER", "PULSE_COOKIE", "DISPLAY", "DBUS_SESSION_BUS_ADDRESS"]
    {
        command.env_remove(other);
    }
}
