//! Whole calls between real processes on this machine: what each of them says, and what each of them hears.
#![cfg(unix)]

#[path = "../support/lossy.rs"]
mod lossy;
#[allow(dead_code, reason = "each test crate needs another part of it")]
#[path = "../support/process.rs"]
mod process;
#[path = "../support/score.rs"]
mod score;
#[path = "../support/sound.rs"]
mod sound;

mod acquaintances;
mod commands;
mod logs;
mod members;
mod speech;

use process::{Call, SOON, Seat};
use std::{
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    thread,
    time::Duration,
};

/// What is measured needs a quiet machine: such a test runs alone, the others beside each other.
static MACHINE: RwLock<()> = RwLock::new(());

fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

fn beside_others() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until two members are connected with each other.
#[track_caller]
fn connect(one: &mut Call, other: &mut Call) {
    one.wait_for("ready", |_| true, SOON);
    other.wait_for("ready", |_| true, SOON);
    one.wait_for_peer(other, SOON);
    other.wait_for_peer(one, SOON);
}

/// Ann's tone, Bob's and Carl's: none is a multiple of another, and whole periods fit in a window.
const ANN_HZ: f64 = 450.0;
const BOB_HZ: f64 = 700.0;
const CARL_HZ: f64 = 1150.0;

/// The amplitude of a simulated microphone's tone.
const TONE: f64 = 0.25;

/// A member that speaks a steady tone.
fn seat(dir: &std::path::Path, name: &str, hz: f64) -> Seat {
    Seat::new(dir, name).input(format!("tone:{hz}"))
}

/// Lets the call go on; returns the moments when this time began and ended.
fn listen(time: Duration) -> (u64, u64) {
    let from = sound::now_us();
    thread::sleep(time);
    (from, sound::now_us())
}
