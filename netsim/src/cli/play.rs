//! One run: loaded, played, judged.

use super::args::RunArgs;
use crate::call;
use crate::outcome::Outcome;
use crate::scenario::{Loaded, judge, load};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How a call is run; several threads may do so at once.
pub type Run<'a> = &'a (dyn Fn(&Loaded, u64, &call::Options) -> Outcome + Sync);

/// Plays a scenario and judges it.
///
/// # Errors
/// The message of a panic: one broken run must not hide what came of the others, nor how to play it again.
pub(super) fn play(
    run: Run<'_>,
    loaded: &Loaded,
    seed: u64,
    options: call::Options,
) -> Result<Outcome, String> {
    // Nothing of a run outlives it, so nothing half-changed can be seen afterwards.
    match catch_unwind(AssertUnwindSafe(|| run(loaded, seed, &options))) {
        Ok(mut outcome) => {
            outcome.unmet = judge(&outcome, &loaded.scenario.expect);
            Ok(outcome)
        }
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(format!("it panicked: {}", text.unwrap_or("without a word")))
        }
    }
}

/// Loads a scenario and changes what the options say.
pub(super) fn load_for(name: &str, args: &RunArgs) -> anyhow::Result<Loaded> {
    let mut loaded = load(name)?;
    if let Some(delay_ms) = args.delay_ms {
        loaded.set_delay_ms(delay_ms);
    }
    if let Some(duration_s) = args.duration_s {
        loaded.set_duration_s(duration_s);
    }
    if args.no_expect {
        loaded.scenario.expect = Default::default();
    }
    Ok(loaded)
}

/// The command that plays a run again, with the options that change it.
pub(super) fn replay_command(scenario: &str, seed: u64, args: Option<&RunArgs>) -> String {
    let quoted = if scenario.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c)) {
        scenario.to_owned()
    } else {
        format!("'{}'", scenario.replace('\'', "'\\''"))
    };
    let mut command = format!("cargo run --release -p netsim -- run {quoted} --seed {seed}");
    if let Some(delay_ms) = args.and_then(|args| args.delay_ms) {
        command += &format!(" --delay-ms {delay_ms}");
    }
    if let Some(duration_s) = args.and_then(|args| args.duration_s) {
        command += &format!(" --duration-s {duration_s}");
    }
    if args.is_some_and(|args| args.no_expect) {
        command += " --no-expect";
    }
    command
}
