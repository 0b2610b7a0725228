//! The command line: what a person or a script sees of roundtable.
//!
//! [`args`] is what can be asked, [`call`] runs a call, and the views print it: [`lines`] for people and
//! [`json`] for programs. Data goes to stdout, messages to stderr; [`exit`] decides on exit codes.

pub mod args;
mod call;
mod demo;
mod devices;
mod doctor;
pub mod exit;
mod input;
mod json;
mod lines;
mod nearby;
mod network;
mod readership;
mod relay;
mod secret;
mod sound;
mod target;

use args::{Cli, Commands};
use clap::Parser;
use exit::{Exit, Failure};
use std::io::Write;
use std::process::ExitCode;

/// Parses the command line and does what it says.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    start_logging();
    let result = std::panic::catch_unwind(|| match cli.command {
        Commands::Host(args) => call::host(args),
        Commands::Join(args) => call::join(args),
        Commands::Devices(args) => devices::run(&args),
        Commands::Doctor(args) => doctor::run(&args),
        Commands::Demo(args) => demo::run(&args),
        Commands::Relay(args) => relay::run(&args),
    });
    match result {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => {
            complain(&failure);
            failure.exit.into()
        }
        Err(_) => {
            eprintln!("roundtable: this is a bug; please report it with the lines above");
            Exit::Bug.into()
        }
    }
}

fn complain(failure: &Failure) {
    let mut stderr = std::io::stderr().lock();
    // Nobody may read it; the exit code still tells.
    let _ = writeln!(stderr, "roundtable: {}", failure.message);
    if !failure.hint.is_empty() {
        let _ = writeln!(stderr, "  {}", failure.hint);
    }
}

/// Logs go to stderr and only when asked for, as in `RUST_LOG=roundtable=debug`.
fn start_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("off"));
    // Tests in one process start it more than once.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}
