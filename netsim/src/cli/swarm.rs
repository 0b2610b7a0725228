//! `netsim swarm`: many seeds, for the one in a thousand that goes wrong.

use super::args::SwarmArgs;
use super::play::{play, replay_command};
use super::{Exit, Shell};
use crate::call;
use crate::report::Summary;
use crate::scenario::{BUNDLED, Loaded, load};
use indicatif::{ProgressBar, ProgressStyle};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

pub(super) fn swarm(args: &SwarmArgs, shell: &mut Shell<'_>) -> anyhow::Result<Exit> {
    let all = match args.scenarios.as_slice() {
        [] => BUNDLED.iter().map(|(name, _)| load(name)).collect::<Result<Vec<_>, _>>()?,
        names => names.iter().map(|name| load(name)).collect::<Result<Vec<_>, _>>()?,
    };
    let last = args.first.saturating_add(args.seeds - 1);
    writeln!(shell.err, "seeds {} to {last} of {} scenarios", args.first, all.len())?;
    let mut summaries = all.iter().map(|loaded| Summary::new(&loaded.name)).collect::<Vec<_>>();
    let mut failures = fly(args, &all, shell, &mut summaries);
    writeln!(shell.out, "{}", Summary::table(&summaries))?;
    // Threads finish in any order; what is printed must not depend on it.
    failures.sort();
    for Failure { scenario, seed, why } in &failures {
        let name = all.get(*scenario).map_or("", |loaded| loaded.name.as_str());
        writeln!(shell.out, "\n{name}, seed {seed}: {why}\n  {}", replay_command(name, *seed, None))?;
    }
    if failures.len() >= FAILURES_MAX {
        writeln!(shell.err, "stopped after {} failures", failures.len())?;
    }
    Ok(Exit::failed_if(!failures.is_empty()))
}

/// A run that failed.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Failure {
    scenario: usize,
    seed: u64,
    why: String,
}

/// Runs everything, seed by seed over all scenarios, so that an early stop has seen something of each.
fn fly(args: &SwarmArgs, all: &[Loaded], shell: &Shell<'_>, summaries: &mut [Summary]) -> Vec<Failure> {
    let jobs =
        args.jobs.map_or_else(|| thread::available_parallelism().map_or(1, NonZeroUsize::get), usize::from);
    let count = args.seeds.saturating_mul(all.len() as u64);
    let next = AtomicU64::new(0);
    let bar = progress(count);
    let mut failures = Vec::new();
    let run = shell.run;
    thread::scope(|scope| {
        // Bounded: a slow reader holds the runs up instead of filling the memory.
        let (results, incoming) = mpsc::sync_channel(jobs);
        for _ in 0..jobs {
            let results = results.clone();
            let next = &next;
            scope.spawn(move || {
                loop {
                    let turn = next.fetch_add(1, Ordering::Relaxed);
                    if turn >= count {
                        return;
                    }
                    let at = (turn % all.len() as u64) as usize;
                    let seed = args.first.saturating_add(turn / all.len() as u64);
                    let Some(loaded) = all.get(at) else { return };
                    if results.send((at, seed, play(run, loaded, seed, call::Options::default()))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(results);
        for (at, seed, result) in incoming {
            bar.inc(1);
            let Some(summary) = summaries.get_mut(at) else { continue };
            let why = match result {
                Ok(outcome) => {
                    summary.add(&outcome);
                    outcome.failed().then(|| reasons(&outcome.violations, &outcome.unmet))
                }
                Err(panic) => {
                    summary.add_panic();
                    Some(panic)
                }
            };
            if let Some(why) = why {
                failures.push(Failure { scenario: at, seed, why });
                if failures.len() >= FAILURES_MAX {
                    next.store(count, Ordering::Relaxed);
                }
            }
        }
    });
    bar.finish_and_clear();
    failures
}

fn reasons(violations: &[String], unmet: &[String]) -> String {
    let all = violations.iter().map(|text| format!("VIOLATION {text}")).chain(unmet.iter().cloned());
    all.take(REASONS_MAX).collect::<Vec<_>>().join("; ")
}

/// Draws to stderr, and only when that is a terminal.
fn progress(count: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} runs, {eta} left")
        .expect("this template is valid");
    ProgressBar::new(count).with_style(style)
}

/// More than this many failures have a common cause more often than not, and nobody reads them all.
const FAILURES_MAX: usize = 20;
/// Of one run.
const REASONS_MAX: usize = 3;
