//! One of the demo's two processes.

use super::listening::{self, Heard};
use super::usage::{CpuTime, peak_memory_mib};
use crate::cli::exit::{Exit, Failure};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// How long a process may take to say goodbye.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(5);

/// The latest figures of what one of them hears.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Figures {
    pub(super) kbps: f64,
    pub(super) loss_pct: f64,
    pub(super) made_up_ms: u64,
    pub(super) cpu_pct: Option<f64>,
    pub(super) memory_mib: Option<f64>,
}

impl Figures {
    /// The E-model's opinion (ITU-T G.107) from the measured delay and the share of sound made up. Opus at this
    /// rate counts as no impairment of its own; its robustness to loss (Bpl 20) is that of a codec with
    /// concealment.
    pub(super) fn mos(&self, seconds: u32, heard: &Heard) -> f64 {
        let delay = heard.delay_ms;
        let late = if delay > 177.3 { 0.11 * (delay - 177.3) } else { 0.0 };
        let made_up_pct = self.made_up_ms as f64 / (f64::from(seconds) * 10.0);
        let loss = 95.0 * made_up_pct / (made_up_pct + 20.0);
        let r = (93.2 - 0.024 * delay - late - loss).clamp(0.0, 100.0);
        1.0 + 0.035 * r + 7.0e-6 * r * (r - 60.0) * (100.0 - r)
    }
}

/// A running `roundtable host` or `roundtable join`.
pub(super) struct Speaker {
    name: &'static str,
    child: Child,
    stdin: Option<ChildStdin>,
    events: Receiver<Value>,
    recording: PathBuf,
    input_started_us: u64,
    output_started_us: u64,
    figures: Figures,
    settled: Option<CpuTime>,
}

impl Speaker {
    /// Starts this program with `arguments`, `speech` (a WAV file) as its microphone.
    pub(super) fn start(
        name: &'static str,
        dir: &Path,
        speech: &[u8],
        arguments: &[&str],
    ) -> Result<Self, Failure> {
        let lower = name.to_lowercase();
        let says = dir.join(format!("{lower}-says.wav"));
        let recording = dir.join(format!("{lower}-hears.wav"));
        let failed = |what: &str, error: std::io::Error| {
            Failure::new(Exit::Files, "files", format!("cannot {what}: {error}"), "")
        };
        std::fs::write(&says, speech).map_err(|error| failed("write the speech", error))?;
        let program = std::env::current_exe().map_err(|error| failed("find this program", error))?;
        let mut child = Command::new(program)
            .args(arguments)
            .args(["--json", "--name", name])
            .arg("--data-dir")
            .arg(dir.join(&lower))
            .arg("--input")
            .arg(format!("file:{}?loop", says.display()))
            .arg("--output")
            .arg(format!("file:{}", recording.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| failed("start a second process", error))?;
        let stdout = child.stdout.take().expect("stdout is piped");
        let stdin = child.stdin.take();
        let (sender, events) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let Ok(event) = serde_json::from_str(&line) else { continue };
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            name,
            child,
            stdin,
            events,
            recording,
            input_started_us: 0,
            output_started_us: 0,
            figures: Figures::default(),
            settled: None,
        })
    }

    /// Waits for an event of this kind.
    pub(super) fn wait_for(&mut self, kind: &str, patience: Duration) -> Result<Value, Failure> {
        let until = Instant::now() + patience;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(event) = self.events.recv_timeout(left) else {
                let message = format!("{} did not get as far as {kind:?}", self.name);
                return Err(Failure::new(
                    Exit::Unreachable,
                    "demo",
                    message,
                    "is UDP on the loopback device allowed?",
                ));
            };
            self.note(&event)?;
            if event["event"] == kind {
                return Ok(event);
            }
        }
    }

    fn note(&mut self, event: &Value) -> Result<(), Failure> {
        match event["event"].as_str() {
            Some("audio") => {
                let started = event["started_unix_us"].as_u64().unwrap_or(0);
                match event["direction"].as_str() {
                    Some("input") => self.input_started_us = started,
                    _ => self.output_started_us = started,
                }
            }
            Some("stats") => {
                let made_up = event["concealed_ms"].as_object().into_iter().flatten();
                self.figures = Figures {
                    kbps: event["kbps_down"].as_f64().unwrap_or(0.0),
                    loss_pct: event["loss_pct"].as_f64().unwrap_or(0.0).max(self.figures.loss_pct),
                    made_up_ms: made_up.filter_map(|(_, ms)| ms.as_u64()).sum(),
                    ..self.figures
                };
            }
            Some("error") => {
                let message = format!("{}: {}", self.name, event["message"].as_str().unwrap_or("failed"));
                let hint = event["hint"].as_str().unwrap_or_default();
                return Err(Failure::new(Exit::Unreachable, "demo", message, hint));
            }
            _ => {}
        }
        Ok(())
    }

    /// The latest figures.
    pub(super) fn figures(&mut self) -> Result<Figures, Failure> {
        while let Ok(event) = self.events.try_recv() {
            self.note(&event)?;
        }
        let cpu = CpuTime::of(self.child.id());
        match (&self.settled, cpu) {
            // The first reading is a second after the two have met: what starting cost is left out.
            (None, Some(_)) => self.settled = cpu,
            (Some(settled), Some(now)) => self.figures.cpu_pct = Some(now.percent_since(settled)),
            (_, None) => {}
        }
        self.figures.memory_mib = peak_memory_mib(self.child.id());
        Ok(self.figures)
    }

    /// Leaves the call and waits for the process.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        if let Some(mut stdin) = self.stdin.take() {
            // A process that is gone already is noticed below.
            let _ = writeln!(stdin, "leave");
        }
        self.wait_for("bye", GOODBYE_PATIENCE)?;
        let _ = self.child.wait();
        Ok(())
    }

    /// How well this one heard `other`, who said `speech` over and over.
    pub(super) fn heard(&self, other: &Self, speech: &[u8]) -> Result<Heard, Failure> {
        let offset_us = self.output_started_us as f64 - other.input_started_us as f64;
        listening::compare(speech, &self.recording, offset_us / 1000.0).ok_or_else(|| {
            let message = format!("{} heard nothing of {}", self.name, other.name);
            Failure::new(
                Exit::Unreachable,
                "demo",
                message,
                format!("listen to {}", self.recording.display()),
            )
        })
    }

    /// Where the recording is.
    pub(super) fn recording(&self) -> &Path {
        &self.recording
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        // After a failure the other process must not be left behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
