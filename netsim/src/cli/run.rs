//! `netsim run`.

use super::args::RunArgs;
use super::play::{load_for, play, replay_command};
use super::{Exit, Shell};
use crate::call;
use crate::outcome::Outcome;
use crate::report::{Summary, outcome_table, page, write_rtlogs, write_wavs};
use anyhow::{Context, bail};

pub(super) fn run(args: &RunArgs, shell: &mut Shell<'_>) -> anyhow::Result<Exit> {
    let seeds = match args.seeds {
        Some(count) => 1..=count,
        None => args.seed..=args.seed,
    };
    let several = args.scenarios.len() > 1 || args.seeds.is_some_and(|count| count > 1);
    if several && args.html.is_some() {
        bail!("--html shows one run; name one scenario and one --seed");
    }
    // All mistakes in files come before the first run.
    let all = args.scenarios.iter().map(|name| load_for(name, args)).collect::<anyhow::Result<Vec<_>>>()?;
    let options =
        call::Options { sound: args.html.is_some() || args.wav.is_some(), rtlog: args.rtlog.is_some() };
    let mut outcomes = Vec::new();
    let mut summaries = Vec::new();
    let mut any_failed = false;
    for loaded in &all {
        let mut summary = Summary::new(&loaded.name);
        for seed in seeds.clone() {
            // Printed first: whatever happens to the run, it can be played again.
            writeln!(shell.err, "{}: seed {seed}", loaded.name)?;
            let failed;
            match play(shell.run, loaded, seed, options) {
                Ok(outcome) => {
                    write_files(args, &outcome)?;
                    if !args.json && args.seeds.is_none() {
                        write!(shell.out, "{}", outcome_table(&outcome, shell.colour))?;
                    }
                    summary.add(&outcome);
                    failed = outcome.failed();
                    if args.json {
                        outcomes.push(outcome);
                    }
                }
                Err(panic) => {
                    writeln!(shell.err, "{}, seed {seed}: {panic}", loaded.name)?;
                    summary.add_panic();
                    failed = true;
                }
            }
            if failed {
                any_failed = true;
                writeln!(shell.err, "to play it again: {}", replay_command(&loaded.name, seed, Some(args)))?;
            }
        }
        summaries.push(summary);
    }
    if args.json {
        let text = match outcomes.as_slice() {
            [one] if !several => serde_json::to_string_pretty(one)?,
            all => serde_json::to_string_pretty(all)?,
        };
        writeln!(shell.out, "{text}")?;
    } else if args.seeds.is_some() {
        writeln!(shell.out, "{}", Summary::table(&summaries))?;
    }
    Ok(Exit::failed_if(any_failed))
}

fn write_files(args: &RunArgs, outcome: &Outcome) -> anyhow::Result<()> {
    if let Some(path) = &args.html {
        std::fs::write(path, page(outcome)).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(folder) = &args.wav {
        write_wavs(outcome, folder).with_context(|| format!("cannot write to {}", folder.display()))?;
    }
    if let Some(folder) = &args.rtlog {
        write_rtlogs(outcome, folder).with_context(|| format!("cannot write to {}", folder.display()))?;
    }
    Ok(())
}
