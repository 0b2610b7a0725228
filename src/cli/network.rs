//! What a call uses to find its paths, from options and the configuration file.

use super::args::{CallArgs, DoctorArgs};
use super::exit::{Exit, Failure};
use crate::config::ConfigFile;
use crate::net::connectivity::Settings;
use protocol::turn::TurnServer;

/// Public STUN servers of several operators, asked unless others are named or `--no-stun` is given. They learn our address
/// and that it asked, nothing of any call; without them a host behind a NAT needs a TURN server or a port mapping.
pub(super) const STUN_SERVERS: [&str; 4] = [
    "stun.cloudflare.com:3478",
    "stun.nextcloud.com:3478",
    "stun.l.google.com:19302",
    "stun.sipgate.net:3478",
];

const STUN_PORT: u16 = 3478;

/// The settings of a call.
pub(super) fn settings(args: &CallArgs, file: &ConfigFile) -> Result<Settings, Failure> {
    // Whoever listens on one address of this machine only does not want to be reached from elsewhere.
    let loopback = args.listen.or(file.listen).is_some_and(|listen| listen.ip().is_loopback());
    let usual = if loopback { &[][..] } else { &STUN_SERVERS };
    let mut settings = servers(&args.stun, &args.turn, file, usual)?;
    if args.no_stun {
        settings.stun.clear();
    }
    Ok(Settings {
        relay_only: args.relay_only || file.relay_only,
        no_lan: args.no_lan,
        no_birthday: args.no_port_search,
        // Nobody is led to a call that hides, or that listens on this machine only.
        port_mapping: !args.no_port_mapping && !args.relay_only && !file.relay_only && !loopback,
        ..settings
    })
}

/// What a look at the network uses.
pub(super) fn doctor_settings(args: &DoctorArgs, file: &ConfigFile) -> Result<Settings, Failure> {
    let mut settings = servers(&args.stun, &args.turn, file, &STUN_SERVERS)?;
    if args.no_stun {
        settings.stun.clear();
    }
    Ok(settings)
}

/// The servers named on the command line, else those of the file, else the usual ones.
fn servers(stun: &[String], turn: &[String], file: &ConfigFile, usual: &[&str]) -> Result<Settings, Failure> {
    let stun: Vec<&str> = match &file.stun {
        _ if !stun.is_empty() => stun.iter().map(String::as_str).collect(),
        Some(listed) => listed.iter().map(String::as_str).collect(),
        None => usual.to_vec(),
    };
    let turn = if turn.is_empty() { &file.turn } else { turn };
    Ok(Settings {
        stun: stun.into_iter().map(stun_server).collect::<Result<_, _>>()?,
        turn: turn.iter().map(|text| turn_server(text)).collect::<Result<_, _>>()?,
        ..Settings::default()
    })
}

fn stun_server(text: &str) -> Result<(String, u16), Failure> {
    let bare = text.strip_prefix("stun:").unwrap_or(text);
    let parsed = match bare.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, "")) => Some((host, STUN_PORT)),
        Some((host, port)) => port.strip_prefix(':').and_then(|port| Some((host, port.parse().ok()?))),
        None => match bare.split_once(':') {
            Some((host, port)) => port.parse().ok().map(|port| (host, port)),
            None => Some((bare, STUN_PORT)),
        },
    };
    match parsed {
        Some((host, port @ 1..)) if !host.is_empty() => Ok((host.to_owned(), port)),
        Some(_) | None => Err(Failure::new(
            Exit::Usage,
            "usage",
            format!("{text:?} is no STUN server"),
            "write HOST:PORT, as in stun.example.org:3478",
        )),
    }
}

fn turn_server(text: &str) -> Result<TurnServer, Failure> {
    text.parse().map_err(|error: protocol::turn::UriError| {
        // The text holds a password, so it is not repeated.
        let message = format!("the TURN server cannot be used: {error}");
        Failure::new(
            Exit::Usage,
            "usage",
            message,
            "as in turn:ada:secret@turn.example.org:3478?transport=udp",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{stun_server, turn_server};

    #[test]
    fn servers_are_read_with_and_without_port() {
        assert_eq!(stun_server("stun.example.org").unwrap(), ("stun.example.org".into(), 3478));
        assert_eq!(stun_server("stun:[2001:db8::1]:5").unwrap(), ("2001:db8::1".into(), 5));
        for wrong in ["", ":3478", "host:0", "host:port", "[::1"] {
            assert!(stun_server(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_password_in_a_wrong_server_is_not_repeated() {
        let failure = turn_server("turn:ada:swordfish@host:no").err().unwrap();
        assert!(
            !failure.message.contains("swordfish") && failure.message.contains("port"),
            "{}",
            failure.message
        );
    }
}
