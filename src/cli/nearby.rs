//! The calls on this local network, for `join` without a target and for `join NAME`.
//!
//! What hosts say of themselves is shown with the care of [`crate::net::lan`], and what is proposed to be typed never
//! contains what a shell could take for more than a name.

use super::args::CallArgs;
use super::exit::{Exit, Failure};
use super::json::JsonView;
use super::secret;
use crate::net::lan::{self, Found};
use crate::session::entering::Key;
use crate::session::event::Event;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// Hosts answer within half a second, or after the second question, a second later.
const PATIENCE: Duration = Duration::from_millis(1800);

/// Lists the calls on this network. On a terminal one of them can be chosen.
pub(super) fn choose(call: &CallArgs) -> Result<Option<Key>, Failure> {
    let started = Instant::now();
    if call.no_lan || call.relay_only {
        let message = "joining takes a ticket (rt1...) or an address";
        let hint = "without --no-lan and --relay-only, the calls on this network are listed";
        return Err(Failure::new(Exit::Usage, "usage", message, hint));
    }
    let all = browse()?;
    if all.is_empty() {
        let hint = "ask for a ticket (rt1...), or join by HOST:PORT --psk; hosts with --no-lan do not show";
        return Err(Failure::new(
            Exit::Unreachable,
            "nobody_found",
            "no call was found on this network",
            hint,
        ));
    }
    // Nobody may be reading any more; there is nothing to stop then.
    if call.json {
        let view = JsonView::new(started);
        for event in all.iter().map(event).chain([Event::Bye { reason: "listed".into() }]) {
            let _ = view.show(&event);
        }
        return Ok(None);
    }
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "Calls on this network, as their hosts say:\n\n{}\n", list(&all).join("\n"));
    drop(out);
    let is_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if call.headless || !is_terminal || !all.iter().any(|one| one.takes_password) {
        return Ok(None);
    }
    let Some(chosen) = ask(&all) else { return Ok(None) };
    let password = match secret::password(call)? {
        Some(password) => password,
        None => secret::ask_for_it()?,
    };
    Ok(Some(Key::Password { addresses: chosen.addresses.clone(), password }))
}

/// The host of this name or id on this network, when there is one.
pub(super) fn by_name(name: &str, call: &CallArgs) -> Result<Option<Found>, Failure> {
    if call.no_lan || call.relay_only {
        return Ok(None);
    }
    let wanted = name.to_lowercase();
    let mut fitting = browse()?;
    fitting.retain(|one| one.name.as_str().to_lowercase() == wanted || one.id == name);
    if fitting.len() > 1 {
        let addresses: Vec<String> = fitting.iter().map(|one| one.addresses[0].to_string()).collect();
        let message =
            format!("{} hosts on this network are called that: {}", fitting.len(), addresses.join(", "));
        return Err(Failure::new(Exit::Usage, "ambiguous", message, "join by address"));
    }
    Ok(fitting.pop())
}

fn browse() -> Result<Vec<Found>, Failure> {
    let failed = |error: std::io::Error| {
        let message = format!("cannot look for calls on this network: {error}");
        Failure::new(Exit::Unreachable, "lan", message, "join with a ticket, or by HOST:PORT --psk")
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(lan::browse(PATIENCE)).map_err(failed)
}

fn event(found: &Found) -> Event {
    Event::Found {
        name: found.name.to_string(),
        id: found.id.clone(),
        addresses: found.addresses.iter().map(ToString::to_string).collect(),
        takes_password: found.takes_password,
    }
}

/// A line for each, with how to join it.
fn list(all: &[Found]) -> Vec<String> {
    let line = |(index, one): (usize, &Found)| {
        let shown = if one.name.is_empty() { one.id.as_str() } else { one.name.as_str() };
        let alone = all.iter().filter(|other| other.name == one.name).count() == 1;
        let how = if !one.takes_password {
            "by a ticket".to_owned()
        } else if alone && is_plain(shown) {
            format!("roundtable join {shown} --psk")
        } else {
            format!("roundtable join {} --psk", one.addresses[0])
        };
        format!("{:>3}  {shown:<20} {:<22} {how}", index + 1, one.addresses[0])
    };
    all.iter().enumerate().map(line).collect()
}

/// Whether a shell takes it for one word, and we for a name.
fn is_plain(name: &str) -> bool {
    let letters = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    let is_ticket = super::target::is_ticket(name);
    !name.is_empty()
        && !name.starts_with('-')
        && !is_ticket
        && name != "localhost"
        && name.chars().all(letters)
}

fn ask(all: &[Found]) -> Option<&Found> {
    print!("Which one (number; nothing for none)? ");
    let _ = std::io::stdout().flush();
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).ok()?;
    let number: usize = line.trim().parse().ok()?;
    let chosen = all.get(number.checked_sub(1)?)?;
    if !chosen.takes_password {
        println!("That one takes a ticket: ask its host for one.");
        return None;
    }
    Some(chosen)
}

#[cfg(test)]
mod tests {
    use super::list;
    use crate::net::lan::Found;
    use protocol::name::DisplayName;

    fn found(name: &str, port: u16, takes_password: bool) -> Found {
        let addresses = vec![format!("192.168.1.2:{port}").parse().unwrap()];
        Found { name: DisplayName::new(name), id: "abcdefgh".into(), takes_password, addresses }
    }

    #[test]
    fn what_is_proposed_to_be_typed_holds_nothing_that_a_shell_would_run() {
        let names = ["Ada", "Zoë", "$(reboot)", "x;reboot", "--help", "", "rt1abc", "a b"];
        let all: Vec<Found> = names.iter().zip(4700..).map(|(name, port)| found(name, port, true)).collect();
        let lines = list(&all);
        assert!(lines[0].ends_with("roundtable join Ada --psk") && lines[1].ends_with("join Zoë --psk"));
        for (line, port) in lines[2..].iter().zip(4702..).filter(|(_, port)| *port != 4705) {
            assert!(line.ends_with(&format!("roundtable join 192.168.1.2:{port} --psk")), "{line}");
        }
        assert!(lines[5].ends_with("roundtable join abcdefgh --psk"));
    }

    #[test]
    fn two_of_one_name_are_joined_by_address_and_a_host_without_password_by_ticket() {
        let lines = list(&[found("Ada", 1, true), found("Ada", 2, true), found("Eve", 3, false)]);
        assert!(lines[0].ends_with("192.168.1.2:1 --psk") && lines[1].ends_with("192.168.1.2:2 --psk"));
        assert!(lines[2].ends_with("by a ticket"));
    }
}
