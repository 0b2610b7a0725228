//! `netsim matrix`: every network at several distances.

use super::args::MatrixArgs;
use super::play::play;
use super::{Exit, Shell};
use crate::call;
use crate::report::{Medians, matrix_table};
use crate::scenario::{load, networks};
use indicatif::ProgressBar;

pub(super) fn matrix(args: &MatrixArgs, shell: &mut Shell<'_>) -> anyhow::Result<Exit> {
    let names = match args.scenarios.as_slice() {
        [] => networks().map(str::to_owned).collect(),
        names => names.to_vec(),
    };
    let all = names.iter().map(|name| load(name)).collect::<Result<Vec<_>, _>>()?;
    writeln!(shell.err, "seeds 1 to {}", args.seeds)?;
    let bar = ProgressBar::new(args.seeds * (all.len() * args.delays.len()) as u64);
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
                match play(shell.run, &loaded, seed, call::Options::default()) {
                    Ok(outcome) => {
                        medians.add(&outcome);
                        broken
                            .extend(outcome.violations.iter().map(|text| format!("{run}: VIOLATION {text}")));
                    }
                    Err(panic) => broken.push(format!("{run}: {panic}")),
                }
                bar.inc(1);
            }
            rows.push((loaded.name.clone(), *delay_ms, medians));
        }
    }
    bar.finish_and_clear();
    writeln!(shell.out, "{}", matrix_table(&rows))?;
    for violation in &broken {
        writeln!(shell.out, "{violation}")?;
    }
    Ok(Exit::failed_if(!broken.is_empty()))
}
