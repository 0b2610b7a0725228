//! A call of the real stack in a world: everything but the network, the devices and the clock is the product itself.
//!
//! [`run`] builds the world that a scenario describes, starts the members' programs, moves time from one
//! event to the next, and accounts for what each heard. Between events everybody's clock moves at each millisecond,
//! the grain of tokio's timers.

mod build;
mod conduct;
pub mod device;
mod ear;
mod hearing;
pub mod machine;
mod member;
pub mod quiet;
mod stage;
mod tape;
mod timetable;
mod voices;

use crate::outcome::Outcome;
use crate::scenario::Loaded;
use conduct::Conductor;
use quiet::{Errors, ErrorsOnly};

/// What a run is asked for besides its result.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Keep what was said and heard.
    pub sound: bool,
    /// Log what each member's jitter buffers were given and asked, as `--rtlog` does in a real call.
    pub rtlog: bool,
}

/// Runs a scenario with a seed. What goes wrong in the call is part of the outcome.
///
/// # Panics
/// When the product's engine does; a panic of one of its tasks is a violation.
pub fn run(loaded: &Loaded, seed: u64, options: &Options) -> Outcome {
    let errors = Errors::default();
    quiet::count_panics();
    tracing::subscriber::with_default(ErrorsOnly(errors.clone()), || {
        Conductor::new(loaded, seed, options, errors.clone()).perform()
    })
}
