//! `roundtable relay`: what it prints, and how it begins and ends. The relay itself is `crate::relay`, which is
//! compiled only with the Cargo feature `relay`.

use super::args::RelayArgs;
use super::exit::{Exit, Failure};

#[cfg(feature = "relay")]
pub(super) use with_relay::run;

/// Without the relay there is only a way to get it.
#[cfg(not(feature = "relay"))]
pub(super) fn run(_args: &RelayArgs) -> Result<(), Failure> {
    let message = "this roundtable was built without the relay; \
                   build it with: cargo install --locked --path . --features relay";
    Err(Failure::new(Exit::Usage, "not_available", message, ""))
}

#[cfg(feature = "relay")]
mod with_relay {
    use super::super::args::RelayCommands;
    use super::super::call::interrupted;
    use super::{Exit, Failure, RelayArgs};
    use crate::config;
    use crate::relay::address::{self, AddressError};
    use crate::relay::credentials::{Credentials, Secret};
    use crate::relay::{self, External, Limits, Server, Sockets};
    use protocol::turn::{Transport, TurnServer};
    use serde_json::json;
    use std::io::Write;
    use std::net::{IpAddr, SocketAddr};
    use std::time::{SystemTime, UNIX_EPOCH};

    const SECRET_FILE: &str = "relay-secret";
    const SECONDS_PER_HOUR: u64 = 3600;

    pub(in super::super) fn run(args: &RelayArgs) -> Result<(), Failure> {
        let secret = secret(args)?;
        match args.command {
            Some(RelayCommands::Credentials) => {
                let credentials = issue(&secret, args);
                let external = external(args, args.listen)?;
                print(args, "credentials", &credentials, external, args.listen)
            }
            None => serve(args, secret),
        }
    }

    fn serve(args: &RelayArgs, secret: Secret) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(Exit::Bug, "runtime", error.to_string(), ""))?;
        runtime.block_on(async {
            let sockets = Sockets::bind(args.listen).await.map_err(|error| {
                let message = format!("cannot listen on {}: {error}", args.listen);
                Failure::new(Exit::Usage, "listen", message, "choose another with --listen ADDR:PORT")
            })?;
            let local = sockets.local_addr();
            let external = external(args, local)?;
            let credentials = issue(&secret, args);
            let limits = Limits {
                total_quota: args.total_quota,
                user_quota: args.user_quota,
                user_kbps: args.user_kbps,
            };
            let server = Server::new(secret, external, limits, crate::net::random::bytes());
            print(args, "relay", &credentials, external, local)?;
            tokio::select! {
                () = relay::run(sockets, server) => {}
                () = interrupted() => {}
            }
            if args.json {
                say(&json!({ "event": "bye", "reason": "interrupted" }).to_string())?;
            }
            Ok(())
        })
    }

    fn secret(args: &RelayArgs) -> Result<Secret, Failure> {
        let path = match &args.secret_file {
            Some(path) => path.clone(),
            None => config::default_data_dir()?.join(SECRET_FILE),
        };
        Ok(Secret::load_or_make(&path)?)
    }

    fn external(args: &RelayArgs, listen: SocketAddr) -> Result<External, Failure> {
        address::external(&args.external, listen, &address::interfaces()).map_err(|error| {
            let hint = match error {
                AddressError::NonePublic | AddressError::SeveralPublic(_) => "as in --external 203.0.113.5",
                AddressError::TwoOfAFamily(..) | AddressError::NoAddress(_) => "",
            };
            Failure::new(Exit::Usage, "external", error.to_string(), hint)
        })
    }

    fn issue(secret: &Secret, args: &RelayArgs) -> Credentials {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        secret.issue(&args.name, now + u64::from(args.lifetime) * SECONDS_PER_HOUR)
    }

    /// The one line on stdout is what goes behind `roundtable host`; the rest is for people, on stderr.
    fn print(
        args: &RelayArgs,
        event: &str,
        credentials: &Credentials,
        external: External,
        listen: SocketAddr,
    ) -> Result<(), Failure> {
        let reached = external.v4.map(IpAddr::from).or(external.v6.map(IpAddr::from));
        let host = reached.expect("a relay is reached at one address at least").to_string();
        let server = TurnServer {
            username: credentials.username.clone(),
            password: credentials.password.clone(),
            host,
            port: listen.port(),
            transport: Transport::Udp,
        };
        if args.json {
            let addresses: Vec<String> = [external.v4.map(IpAddr::from), external.v6.map(IpAddr::from)]
                .into_iter()
                .flatten()
                .map(|ip| ip.to_string())
                .collect();
            let line = json!({
                "event": event,
                "turn": server.to_string(),
                "listen": listen.to_string(),
                "external": addresses,
                "expires": credentials.expires,
            });
            return say(&line.to_string());
        }
        say(&format!("--turn {server}"))?;
        let hours = args.lifetime;
        eprintln!("these credentials let in for {hours} hours; `roundtable relay credentials` makes others");
        if event == "relay" {
            eprintln!("relaying on {listen}, UDP and TCP; Ctrl-C ends it");
        }
        Ok(())
    }

    fn say(line: &str) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        let said = writeln!(out, "{line}").and_then(|()| out.flush());
        said.map_err(|error| Failure::new(Exit::Files, "stdout", format!("cannot write: {error}"), ""))
    }
}

#[cfg(all(test, not(feature = "relay")))]
mod tests {
    use super::super::args::{Cli, Commands};
    use super::{Exit, run};
    use clap::Parser;

    #[test]
    fn a_build_without_the_relay_says_how_to_get_it() {
        let Commands::Relay(args) = Cli::parse_from(["roundtable", "relay"]).command else { panic!("relay") };
        let failure = run(&args).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.message.contains("--features relay") && failure.hint.is_empty());
    }
}
