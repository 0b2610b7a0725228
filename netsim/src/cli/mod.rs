//! The command line: results go to stdout, everything else to stderr.
//!
//! Commands are functions of their arguments, of a way to run calls ([`Shell::run`]) and of two streams, so that
//! tests can hold both ends.

pub mod args;
mod compare;
mod exit;
mod list;
mod matrix;
mod play;
mod replay;
mod run;
mod swarm;

pub use exit::Exit;
pub use play::Run;

use crate::call;
use args::{Cli, Commands};
use clap::Parser;
use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

/// What a command works with.
pub struct Shell<'a> {
    /// How a call is run; several threads may do so at once.
    pub run: Run<'a>,
    /// Results.
    pub out: &'a mut dyn Write,
    /// Messages.
    pub err: &'a mut dyn Write,
    /// Whether results may be coloured.
    pub colour: bool,
}

/// Parses the program's own command line and does what it says.
pub fn main() -> ExitCode {
    // NO_COLOR counts when it is set to anything but nothing: https://no-color.org
    let colour =
        std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut shell =
        Shell { run: &call::run, out: &mut std::io::stdout(), err: &mut std::io::stderr(), colour };
    execute(std::env::args_os(), &mut shell).into()
}

/// Does what a command line says; the first argument is the program's name.
pub fn execute(args: impl IntoIterator<Item = OsString>, shell: &mut Shell<'_>) -> Exit {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let text = error.render();
            // Where nobody reads there is nobody to tell.
            let _ =
                if error.use_stderr() { write!(shell.err, "{text}") } else { write!(shell.out, "{text}") };
            return if error.use_stderr() { Exit::Usage } else { Exit::Fine };
        }
    };
    let done = match cli.command {
        Commands::Run(args) => run::run(&args, shell),
        Commands::List => list::list(shell),
        Commands::Swarm(args) => swarm::swarm(&args, shell),
        Commands::Matrix(args) => matrix::matrix(&args, shell),
        Commands::Compare(args) => compare::compare(&args, shell),
        Commands::Replay(args) => replay::replay(&args, shell),
    };
    done.unwrap_or_else(|error| {
        // A reader that has gone away, as of `netsim list | head -1`, is no mistake.
        if error
            .downcast_ref::<std::io::Error>()
            .is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
        {
            return Exit::Fine;
        }
        let _ = writeln!(shell.err, "netsim: {error:#}");
        Exit::Usage
    })
}
