//! Where the password comes from: an option, a file, the environment or the terminal.

use super::args::CallArgs;
use super::exit::{Exit, Failure};
use std::io::IsTerminal;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A password as typed.
pub(super) type Typed = Arc<Zeroizing<String>>;

const ENVIRONMENT: &str = "ROUNDTABLE_PSK";

/// The password to use, if one was asked for; command line before environment.
pub(super) fn password(args: &CallArgs) -> Result<Option<Typed>, Failure> {
    let text = match (&args.psk, &args.psk_file) {
        (Some(Some(words)), _) => {
            eprintln!(
                "roundtable: others on this machine can see a password on the command line; --psk-file hides it"
            );
            Some(words.clone())
        }
        (Some(None), _) => Some(match std::env::var(ENVIRONMENT) {
            Ok(words) => words,
            Err(_) => ask()?,
        }),
        (None, Some(path)) => {
            let text = Zeroizing::new(std::fs::read_to_string(path).map_err(|error| {
                let message = format!("cannot read the password from {}: {error}", path.display());
                Failure::new(Exit::Files, "files", message, "")
            })?);
            Some(text.lines().next().unwrap_or_default().to_owned())
        }
        // Exported but empty is how scripts unset a variable.
        (None, None) => std::env::var(ENVIRONMENT).ok().filter(|words| !words.trim().is_empty()),
    };
    match text.map(Zeroizing::new) {
        Some(text) if text.trim().is_empty() => Err(empty()),
        other => Ok(other.map(Arc::new)),
    }
}

/// The password, typed on the terminal.
pub(super) fn ask_for_it() -> Result<Typed, Failure> {
    match Zeroizing::new(ask()?) {
        text if text.trim().is_empty() => Err(empty()),
        text => Ok(Arc::new(text)),
    }
}

fn empty() -> Failure {
    let hint = "use a few words that others do not guess";
    Failure::new(Exit::Usage, "usage", "the password is empty", hint)
}

fn ask() -> Result<String, Failure> {
    if !std::io::stdin().is_terminal() {
        let hint = format!("use --psk-file FILE, or the environment variable {ENVIRONMENT}");
        return Err(Failure::new(
            Exit::Usage,
            "usage",
            "there is no terminal to ask for the password on",
            hint,
        ));
    }
    rpassword::prompt_password("Password: ")
        .map_err(|error| Failure::new(Exit::Usage, "usage", format!("cannot read the password: {error}"), ""))
}
