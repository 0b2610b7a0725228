//! p
use super::args::DemoArgs;
use super::exit::Failure;
pub(super) fn run(_args: &DemoArgs) -> Result<(), Failure> {
    Ok(())
}
