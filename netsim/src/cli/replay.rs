//! `netsim replay`.

use super::args::ReplayArgs;
use super::{Exit, Shell};
use crate::replay::{self, WhatIf};
use anyhow::{Context, anyhow};

pub(super) fn replay(args: &ReplayArgs, shell: &mut Shell<'_>) -> anyhow::Result<Exit> {
    let what_ifs = match args.what_if.as_slice() {
        [] => vec![WhatIf::default()],
        texts => {
            let parse =
                |text: &String| text.parse::<WhatIf>().map_err(|error| anyhow!("--what-if {text}: {error}"));
            texts.iter().map(parse).collect::<anyhow::Result<Vec<_>>>()?
        }
    };
    let path = args.file.display();
    let bytes = std::fs::read(&args.file).with_context(|| format!("cannot read {path}"))?;
    let log = replay::read(&bytes).map_err(|error| anyhow!("{path}: {error}"))?;
    let replayed: Vec<_> = what_ifs.iter().map(|what_if| replay::replay(&log, what_if)).collect();
    if args.json {
        let text = match replayed.as_slice() {
            [one] => serde_json::to_string_pretty(one)?,
            several => serde_json::to_string_pretty(several)?,
        };
        writeln!(shell.out, "{text}")?;
    } else {
        for replayed in &replayed {
            writeln!(shell.out, "{replayed}")?;
        }
    }
    Ok(Exit::Fine)
}
