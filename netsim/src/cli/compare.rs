//! `netsim compare`.

use super::args::CompareArgs;
use super::play::play;
use super::{Exit, Shell};
use crate::call;
use crate::outcome::Outcome;
use crate::report::comparison;
use crate::scenario::load;
use anyhow::{Context, anyhow, bail};

pub(super) fn compare(args: &CompareArgs, shell: &mut Shell<'_>) -> anyhow::Result<Exit> {
    let a = outcome(&args.a, args.seed, shell)?;
    let b = outcome(&args.b, args.seed, shell)?;
    writeln!(shell.out, "{}", comparison(&a, &b))?;
    Ok(Exit::Fine)
}

fn outcome(name: &str, seed: u64, shell: &mut Shell<'_>) -> anyhow::Result<Outcome> {
    if !name.ends_with(".json") {
        let loaded = load(name)?;
        writeln!(shell.err, "{name}: seed {seed}")?;
        return play(shell.run, &loaded, seed, call::Options::default())
            .map_err(|panic| anyhow!("{name}, seed {seed}: {panic}"));
    }
    let text = std::fs::read_to_string(name).with_context(|| format!("cannot read {name}"))?;
    let value: serde_json::Value =
        serde_json::from_str(&text).with_context(|| format!("{name} is not JSON"))?;
    let one = match value {
        serde_json::Value::Array(several) => match <[_; 1]>::try_from(several) {
            Ok([one]) => one,
            Err(several) => bail!("{name} holds {} runs; a comparison takes one", several.len()),
        },
        one => one,
    };
    serde_json::from_value(one).with_context(|| format!("{name} is not what `netsim run --json` writes"))
}
