//! The `netsim` program.

fn main() -> std::process::ExitCode {
    netsim::cli::main()
}
