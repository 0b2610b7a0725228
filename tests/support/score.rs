//! How well speech arrived: PESQ and STOI, computed by `tests/speech/score.py`.
//!
//! A machine without its Python packages fails the test: skipping would look like passing.

use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// A folder of recorded speech.
pub(crate) fn speech(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/speech").join(name)
}

/// How `received` compares with `reference`.
#[derive(Debug)]
pub(crate) struct Score {
    /// Wideband PESQ (ITU-T P.862.2): 1 to 4.64.
    pub(crate) pesq_wb: f64,
    /// Intelligibility, 0 to 1.
    pub(crate) stoi: f64,
    /// How much later `received` is, in ms.
    pub(crate) lag_ms: f64,
}

/// Scores two mono files.
#[track_caller]
pub(crate) fn score(reference: &Path, received: &Path) -> Score {
    let python = python();
    let mut command = Command::new(&python);
    command.arg(speech("score.py")).arg("--reference").arg(reference).arg("--received").arg(received);
    let output = command.output().unwrap_or_else(|e| panic!("cannot run {}: {e}", python.display()));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "score.py failed, {}: {told}{complaint}", output.status);
    let last = told.lines().last().unwrap_or_default();
    let figures: Value = serde_json::from_str(last).unwrap_or_else(|e| panic!("{e} in {told:?}"));
    let figure = |name: &str| figures[name].as_f64().unwrap_or_else(|| panic!("no {name} in {last}"));
    Score { pesq_wb: figure("pesq_wb"), stoi: figure("stoi"), lag_ms: figure("lag_ms") }
}

/// The interpreter that has the packages of `tests/speech/requirements.txt`; `make test` prepares it.
fn python() -> PathBuf {
    if let Some(python) = std::env::var_os("SPEECH_PYTHON") {
        return python.into();
    }
    let prepared = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/speech-venv/bin/python");
    assert!(prepared.exists(), "no Python to score speech with: run `make test`, or set SPEECH_PYTHON");
    prepared
}
