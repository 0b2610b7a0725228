//! What this machine's network allows, before any call: each finding with what it means and what to do about it.
//!
//! It looks with the very code that a call uses ([`crate::net::connectivity`]), so what it finds is what a call would
//! have. [`network`] judges what was gathered, and [`ticket`] how the way to a ticket's host would be; both are pure.
//! What a call never asks, [`probe`] does, and [`around`] judges it; [`lifetime`] takes its time and is done on request.

pub mod around;
pub mod lifetime;
pub mod network;
pub mod probe;
pub mod ticket;

use serde::Serialize;

/// How good something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// As it should be.
    Ok,
    /// It works, with a limit.
    Warn,
    /// It does not work.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// A stable word for programs.
    pub check: &'static str,
    /// How good it is.
    pub mark: Mark,
    /// What was found.
    pub found: String,
    /// What it means for calls.
    pub meaning: String,
    /// What to do; empty when nothing is to be done.
    pub fix: String,
}

impl Finding {
    fn new(check: &'static str, mark: Mark, found: impl Into<String>, meaning: &str, fix: &str) -> Self {
        Self { check, mark, found: found.into(), meaning: meaning.into(), fix: fix.into() }
    }
}

/// Whether a call is possible at all with these findings: there is a way out that is direct or relayed.
pub fn call_is_possible(findings: &[Finding]) -> bool {
    let works = |check: &str| findings.iter().any(|f| f.check == check && f.mark != Mark::Fail);
    works("udp") || works("turn") || works("path")
}
