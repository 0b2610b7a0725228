//! What `join` is given: a ticket, or with a password an address or the name of a host on this network.

use super::args::CallArgs;
use super::exit::{Exit, Failure};
use super::nearby;
use super::secret::Typed;
use crate::session::entering::Key;
use protocol::invite::Ticket;
use std::net::{SocketAddr, ToSocketAddrs};

const PORT_DEFAULT: u16 = 4700;

/// The key that `target` and a password make.
pub(super) fn key(target: &str, password: Option<Typed>, call: &CallArgs) -> Result<Key, Failure> {
    if is_ticket(target) {
        return Ok(Key::Ticket(Box::new(target.parse::<Ticket>()?)));
    }
    // Whoever has no password is not made to wait for an answer from the network.
    let found = if password.is_some() && may_be_name(target) { nearby::by_name(target, call)? } else { None };
    let addresses = match found {
        Some(found) => found.addresses,
        None => resolve(target)?,
    };
    match password {
        Some(password) => Ok(Key::Password { addresses, password }),
        None => Err(Failure::new(
            Exit::Usage,
            "usage",
            format!("joining {target} takes a password"),
            "add --psk, or join with a ticket (rt1...)",
        )),
    }
}

/// Whether a text is meant as a ticket: `rt` and a digit, as no host name of a friend is likely to begin; a colon or dot makes it an address after all.
pub(super) fn is_ticket(target: &str) -> bool {
    let text = target.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    let bytes = text.as_bytes();
    let begins = bytes.len() > 2 && bytes[..2].eq_ignore_ascii_case(b"rt") && bytes[2].is_ascii_digit();
    begins && !text.contains([':', '.'])
}

/// Whether a text can be what a host on this network calls itself: what has a dot or a colon is an address.
fn may_be_name(target: &str) -> bool {
    !target.contains(['.', ':']) && target != "localhost"
}

fn resolve(target: &str) -> Result<Vec<SocketAddr>, Failure> {
    if let Ok(address) = target.parse::<SocketAddr>() {
        return Ok(vec![address]);
    }
    let bare = target.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = bare.parse::<std::net::IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, PORT_DEFAULT)]);
    }
    let with_port = if target.contains(':') { target.to_owned() } else { format!("{target}:{PORT_DEFAULT}") };
    let resolved = with_port.to_socket_addrs().map(Iterator::collect::<Vec<_>>);
    match resolved {
        Ok(addresses) if !addresses.is_empty() => Ok(addresses),
        Ok(_) | Err(_) => Err(Failure::new(
            Exit::Usage,
            "no_such_host",
            format!("{target:?} is neither a ticket nor an address that can be found"),
            "a ticket begins with rt1; an address is HOST:PORT, as in 203.0.113.5:4700; `roundtable join` lists the calls on this network",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::{is_ticket, key, resolve};
    use crate::cli::args::{Cli, Commands, JoinArgs};
    use crate::cli::exit::Exit;
    use clap::Parser;

    #[test]
    fn tickets_and_addresses_are_told_apart() {
        assert!(is_ticket("rt1abc") && is_ticket(" \"RT2abc"));
        assert!(!is_ticket("rt1.example.org") && !is_ticket("router:4700"));
        assert_eq!(resolve("127.0.0.1").unwrap()[0].port(), 4700);
        assert_eq!(resolve("[::1]:5").unwrap()[0].port(), 5);
        assert_eq!(resolve("::1").unwrap()[0].port(), 4700);
    }

    #[test]
    fn a_mistyped_ticket_is_wrong_usage() {
        let cli = Cli::try_parse_from(["roundtable", "join", "rt1a"]).expect("the options are right");
        let Commands::Join(JoinArgs { call, .. }) = cli.command else { panic!("it is `join`") };
        let failure = key("rt1aaaaaaaaaaaaaaaaaaaaaaaa", None, &call).err().unwrap();
        assert_eq!(failure.exit, Exit::Usage);
        let failure = key("127.0.0.1:4700", None, &call).err().unwrap();
        assert!(failure.message.contains("password"));
    }
}
