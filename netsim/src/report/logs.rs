//! What the members' jitter buffers were given, as files for `netsim replay`.

use crate::outcome::Outcome;
use std::path::Path;

/// Writes the log of each member that has one: `SCENARIO-SEED-MEMBER.rtlog`.
///
/// # Errors
/// The folder or a file that cannot be written.
pub fn write_rtlogs(outcome: &Outcome, folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let scenario = Path::new(&outcome.scenario).file_stem().unwrap_or_default().to_string_lossy();
    for member in &outcome.members {
        let Some(log) = &member.rtlog else { continue };
        let name = format!("{scenario}-{}-{}.rtlog", outcome.seed, member.name);
        std::fs::write(folder.join(name), log)?;
    }
    Ok(())
}
