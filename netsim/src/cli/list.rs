//! `netsim list`.

use super::{Exit, Shell};
use crate::report::Layout;
use crate::scenario::{BUNDLED, load};

pub(super) fn list(shell: &mut Shell<'_>) -> anyhow::Result<Exit> {
    let mut table = Layout::new(&["scenario", "s", "people", "what it shows"]);
    for (name, _) in BUNDLED {
        let scenario = load(name)?.scenario;
        let people = scenario.members.len().to_string();
        table.row([(*name).to_owned(), scenario.duration_s.to_string(), people, scenario.description]);
    }
    writeln!(shell.out, "{}", table.text(4))?;
    Ok(Exit::Fine)
}
