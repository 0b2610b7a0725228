//! Any two networks: real processes behind real routers, with a real TURN server between them.
//!
//! Needs root (network namespaces), nftables and coturn; see `tests/support/lab`. `--nocapture` shows the table,
//! which is also written to `target/tmp/networks.json`. The figures, per pair and for each fault:
//!
//! ```text
//! cargo test --release --test networks -- --ignored figures --nocapture
//! ```
//! with `REPEATS=20` in the environment for more than the usual five rounds.
#![cfg(target_os = "linux")]

mod faults;
mod figures;
#[allow(dead_code, reason = "each test crate needs another part of it")]
#[path = "../support/lab/mod.rs"]
mod lab;
mod matrix;
mod member;
mod pair;
mod quiet;
#[allow(dead_code, reason = "each test crate needs another part of it")]
#[path = "../support/sound.rs"]
mod sound;
mod upheaval;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is measured needs the machine, so these tests run one after the other.
static MACHINE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}
