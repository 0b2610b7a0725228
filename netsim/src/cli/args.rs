//! What can be asked.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Whole calls in virtual time, over simulated networks. The same seed gives the same run.
///
/// Exit codes: 0 all went as expected; 1 a run broke an invariant or missed an expectation; 2 wrong usage or files.
#[derive(Debug, Parser)]
#[command(name = "netsim", max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Commands,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Commands {
    /// Run scenarios and say what came of them
    Run(RunArgs),
    /// Name the bundled scenarios
    List,
    /// Run scenarios with many seeds and say which failed
    Swarm(SwarmArgs),
    /// Run every network at several distances and compare with a model of NetEQ
    Matrix(MatrixArgs),
    /// Put two runs side by side
    Compare(CompareArgs),
    /// Play the arrivals of a real call (`--rtlog`) to the same jitter buffer, and explain what was heard
    Replay(ReplayArgs),
}

/// What a run can be asked for.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Names of bundled scenarios (see `list`), or paths of files of your own
    #[arg(required = true, value_name = "SCENARIO")]
    pub scenarios: Vec<String>,
    /// What all chance comes from
    #[arg(long, default_value_t = 1, conflicts_with = "seeds")]
    pub seed: u64,
    /// Run each scenario with the seeds 1 to N, and summarise
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub seeds: Option<u64>,
    /// One-way delay across the internet in ms, instead of the scenario's; its expectations stay as they are
    #[arg(long, value_name = "D", allow_negative_numbers = true, value_parser = delay_ms)]
    pub delay_ms: Option<f64>,
    /// Simulated seconds, instead of the scenario's
    #[arg(long, value_name = "S", allow_negative_numbers = true, value_parser = duration_s)]
    pub duration_s: Option<f64>,
    /// Print JSON: an object for one run, an array for several
    #[arg(long)]
    pub json: bool,
    /// Write a page with plots over time and the sound that was heard (one run only)
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write what was heard, one WAV for each voice and listener, and what each said; all from the same zero
    #[arg(long, value_name = "DIR")]
    pub wav: Option<PathBuf>,
    /// Write what each member's jitter buffers were given, one log for each, to be explained by `replay`
    #[arg(long, value_name = "DIR")]
    pub rtlog: Option<PathBuf>,
    /// Do not judge by the scenario's expectations
    #[arg(long)]
    pub no_expect: bool,
}

/// What a swarm can be asked for.
#[derive(Debug, Args)]
pub struct SwarmArgs {
    /// How many seeds for each scenario
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub seeds: u64,
    /// The first seed
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub first: u64,
    /// How many runs at the same time (default: one for each processor)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: Option<u16>,
    /// Which scenarios (default: all that are bundled)
    #[arg(value_name = "SCENARIO")]
    pub scenarios: Vec<String>,
}

/// What a matrix can be asked for.
#[derive(Debug, Args)]
pub struct MatrixArgs {
    /// The seeds 1 to N are run, and their medians shown
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub seeds: u64,
    /// One-way delays, ms
    #[arg(long, value_name = "MS,…", value_delimiter = ',', default_value = "5,60,150", value_parser = delay_ms)]
    pub delays: Vec<f64>,
    /// Print JSON: an array with a row for each voice, listener and seed
    #[arg(long)]
    pub json: bool,
    /// Write what was said and heard, as `run` does, in a folder for each delay: `DIR/60ms`
    #[arg(long, value_name = "DIR")]
    pub wav: Option<PathBuf>,
    /// Which scenarios (default: the bundled ones of two people on one kind of network)
    #[arg(value_name = "SCENARIO")]
    pub scenarios: Vec<String>,
}

/// What a comparison can be asked for.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// A scenario, or a file that `run --json` wrote (ending in `.json`)
    pub a: String,
    /// The other one
    pub b: String,
    /// What all chance comes from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// What a replay can be asked for.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// What `roundtable host` or `join` wrote with `--rtlog`
    pub file: PathBuf,
    /// What to change, for instance `target+20ms`; several are played one after the other
    #[arg(long, value_name = "TEXT")]
    pub what_if: Vec<String>,
    /// Print JSON: an object for one replay, an array for several
    #[arg(long)]
    pub json: bool,
}

fn delay_ms(text: &str) -> Result<f64, String> {
    let delay_ms = text.trim().parse::<f64>().map_err(|error| error.to_string())?;
    crate::scenario::delay_is_right(delay_ms).map(|()| delay_ms)
}

fn duration_s(text: &str) -> Result<f64, String> {
    let duration_s = text.trim().parse::<f64>().map_err(|error| error.to_string())?;
    crate::scenario::duration_is_right(duration_s).map(|()| duration_s)
}
