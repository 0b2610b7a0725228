//! `netsim matrix`: every network at several distances.

use super::args::MatrixArgs;
use super::play::play;
use super::{Exit, Shell};
use crate::call;
use crate::report::{Medians, matrix_rows, matrix_table, write_wavs};
use crate::scenario::{load, networks};
use anyhow::Context;
use indicatif::ProgressBar;

pub(super) fn matrix(args: &MatrixArgs, shell: &mut Shell<'_>) -> anyhow::Result<Exit> {
    let names = match args.scenarios.as_slice() {
        [] => networks().map(str::to_owned).collect(),
        names => names.to_vec(),
    };
    let all = names.iter().map(|name| load(name)).collect::<Result<Vec<_>, _>>()?;
    writeln!(shell.err, "seeds 1 to {}", args.seeds)?;
    let bar = ProgressBar::new(args.seeds * (all.len() * args.delays.len()) as u64);
    let options = call::Options { sound: args.wav.is_some(), ..call::Options::default() };
    let mut cells = Vec::new();
    let mut rows = Vec::new();
    let mut broken = Vec::new();
    for loaded in all {
        for delay_ms in &args.delays {
            let mut loaded = loaded.clone();
            loaded.set_delay_ms(*delay_ms);
            // The expectations are for the scenario's own delay.
            loaded.scenario.expect = Default::default();
            let mut medians = Medians::default();
            for seed in 1..=args.seeds {
                let run = format!("{}, delay {delay_ms} ms, seed {seed}", loaded.name);
                match play(shell.run, &loaded, seed, options) {
                    Ok(outcome) => {
                        if let Some(folder) = &args.wav {
                            let folder = folder.join(format!("{delay_ms}ms"));
                            write_wavs(&outcome, &folder)
                                .with_context(|| format!("cannot write to {}", folder.display()))?;
                        }
                        if args.json {
                            rows.extend(matrix_rows(&outcome, *delay_ms)?);
                        }
                        medians.add(&outcome);
                        broken
                            .extend(outcome.violations.iter().map(|text| format!("{run}: VIOLATION {text}")));
                    }
                    Err(panic) => broken.push(format!("{run}: {panic}")),
                }
                bar.inc(1);
            }
            cells.push((loaded.name.clone(), *delay_ms, medians));
        }
    }
    bar.finish_and_clear();
    if args.json {
        writeln!(shell.out, "{}", serde_json::to_string_pretty(&rows)?)?;
    } else {
        writeln!(shell.out, "{}", matrix_table(&cells))?;
    }
    for violation in &broken {
        let stream: &mut dyn std::io::Write = if args.json { shell.err } else { shell.out };
        writeln!(stream, "{violation}")?;
    }
    Ok(Exit::failed_if(!broken.is_empty()))
}
