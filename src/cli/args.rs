//! The command line.
//!
//! What stands above each option is the help that people read, where brackets are no links.
#![allow(rustdoc::broken_intra_doc_links)]

use crate::audio::DeviceSpec;
use clap::{Args, Parser, Subcommand};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// A group voice call between friends: peer to peer, no account, no server.
#[derive(Debug, Parser)]
#[command(
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true,
    before_long_help = EXAMPLES
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Commands,
}

const EXAMPLES: &str = "\
Examples:
  roundtable host                            start a group; prints the line to send to friends
  roundtable join rt1...                     enter it
  roundtable host --psk                      let friends in by a password too
  roundtable join 203.0.113.5:4700 --psk     enter by address and password
  roundtable join                            list the calls on this local network
  roundtable doctor                          what this network allows
  roundtable devices                         which microphones and speakers there are
  roundtable demo                            hear a call between two processes on this machine";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Commands {
    /// Start a group and print the line to send to friends
    Host(HostArgs),
    /// Enter a group, by ticket or by address and password
    Join(JoinArgs),
    /// List microphones and speakers
    Devices(DevicesArgs),
    /// Tell what this network allows, and with a ticket how the call to its host would go
    Doctor(DoctorArgs),
    /// Make a call between two processes on this machine and report how it went
    Demo(DemoArgs),
    /// Run a TURN relay on a public machine, for friends behind routers that let nobody in
    Relay(RelayArgs),
}

/// `roundtable host`.
#[derive(Debug, Args)]
pub struct HostArgs {
    /// Also write the ticket to FILE, readable by you alone
    #[arg(long, value_name = "FILE")]
    pub ticket_file: Option<PathBuf>,
    /// Let people in only when you `admit` them, ticket or password or not
    #[arg(long)]
    pub knock: bool,
    /// What all calls have in common.
    #[command(flatten)]
    pub call: CallArgs,
}

/// `roundtable join`.
#[derive(Debug, Args)]
pub struct JoinArgs {
    /// A ticket (rt1...); with a password HOST[:PORT], or a host's name on this network; without it, the calls on
    /// this network are listed
    #[arg(value_name = "TICKET|ADDR|NAME")]
    pub target: Option<String>,
    /// If nobody answers, print a code that the host enters with `reply`, and go on trying for 3 minutes
    #[arg(long)]
    pub reply: bool,
    /// What all calls have in common.
    #[command(flatten)]
    pub call: CallArgs,
}

/// `roundtable devices`.
#[derive(Debug, Args)]
pub struct DevicesArgs {
    /// One JSON object per device
    #[arg(long)]
    pub json: bool,
}

/// `roundtable doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Predict the path to the host of this ticket (rt1...), without joining
    #[arg(value_name = "TICKET")]
    pub ticket: Option<String>,
    /// STUN server for finding the public address (repeatable)
    #[arg(long, value_name = "HOST:PORT")]
    pub stun: Vec<String>,
    /// Ask no STUN server, and no time server
    #[arg(long, conflicts_with = "stun")]
    pub no_stun: bool,
    /// Do not ask the router for a port mapping
    #[arg(long)]
    pub no_port_mapping: bool,
    /// Also find out how long the router keeps an unused mapping, by waiting up to SECONDS
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "180",
        value_parser = clap::value_parser!(u64).range(5..=900))]
    pub lifetime: Option<u64>,
    /// TURN server to be tested: turn:USER:PASS@HOST:PORT[?transport=udp|tcp|tls] (repeatable)
    #[arg(long, value_name = "URL")]
    pub turn: Vec<String>,
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// One JSON object per finding
    #[arg(long)]
    pub json: bool,
}

/// `roundtable demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Where recordings and logs go (default: a new folder among the temporary files)
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// How long the two talk
    #[arg(long, value_name = "SECONDS", default_value_t = 15)]
    pub seconds: u32,
    /// Print nothing but the figures, as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `roundtable relay`.
#[derive(Debug, Args)]
pub struct RelayArgs {
    /// Something else than running it.
    #[command(subcommand)]
    pub command: Option<RelayCommands>,
    /// Address to listen on, UDP and TCP; [::]:3478 for IPv6 too
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:3478", global = true)]
    pub listen: SocketAddr,
    /// Public address of this machine, when it is behind a NAT or has several (once each for IPv4 and IPv6)
    #[arg(long, value_name = "IP", global = true)]
    pub external: Vec<IpAddr>,
    /// Hours until the credentials end
    #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=8760), global = true)]
    pub lifetime: u32,
    /// Whom the credentials are for: what the limits per user go by
    #[arg(long, value_name = "NAME", default_value = "roundtable", value_parser = relay_user, global = true)]
    pub name: String,
    /// Secret that credentials follow from; made if it is not there
    #[arg(long, value_name = "FILE", global = true)]
    pub secret_file: Option<PathBuf>,
    /// One JSON object per line on stdout
    #[arg(long, global = true)]
    pub json: bool,
    /// Allocations that one user may have at once
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub user_quota: usize,
    /// Allocations that all users together may have at once
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub total_quota: usize,
    /// What one user may send through the relay, in kbit/s
    #[arg(long, value_name = "KBIT", default_value_t = 16_000)]
    pub user_kbps: u32,
}

/// What `roundtable relay` does besides relaying.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum RelayCommands {
    /// Print fresh credentials for a relay with this secret, and end
    Credentials,
}

/// Options of `host` and `join`.
#[derive(Debug, Args)]
pub struct CallArgs {
    /// How others see me (default: the login name)
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// UDP address to listen on (default: [::]:4700, or the next free port)
    #[arg(long, value_name = "ADDR:PORT", help_heading = "Network")]
    pub listen: Option<SocketAddr>,

    /// Join, or let join, by password; without a value it is asked for
    #[arg(long, value_name = "WORDS", num_args = 0..=1, help_heading = "Security")]
    pub psk: Option<Option<String>>,
    /// The password is the first line of FILE (also: environment ROUNDTABLE_PSK)
    #[arg(long, value_name = "FILE", conflicts_with = "psk", help_heading = "Security")]
    pub psk_file: Option<PathBuf>,

    /// Microphone: default, a device's name, null, tone[:HZ] or file:PATH.wav[?loop]
    #[arg(long, value_name = "DEV", help_heading = "Sound")]
    pub input: Option<DeviceSpec>,
    /// Speaker: default, a device's name, null or file:PATH.wav
    #[arg(long, value_name = "DEV", help_heading = "Sound")]
    pub output: Option<DeviceSpec>,
    /// Record one WAV per voice plus the mix into DIR
    #[arg(long, value_name = "DIR", help_heading = "Sound")]
    pub record: Option<PathBuf>,

    /// STUN server for finding the public address (repeatable)
    #[arg(long, value_name = "HOST:PORT", help_heading = "Network")]
    pub stun: Vec<String>,
    /// Ask no STUN server
    #[arg(long, conflicts_with = "stun", help_heading = "Network")]
    pub no_stun: bool,
    /// TURN relay: turn:USER:PASS@HOST:PORT[?transport=udp|tcp|tls] (repeatable)
    #[arg(long, value_name = "URL", help_heading = "Network")]
    pub turn: Vec<String>,
    /// Send everything through the relay, so that nobody learns my address
    #[arg(long, help_heading = "Network")]
    pub relay_only: bool,
    /// No addresses of the local network; do not show the call there
    #[arg(long, help_heading = "Network")]
    pub no_lan: bool,
    /// Do not search for a way through strict NATs by trying many ports
    #[arg(long, help_heading = "Network")]
    pub no_port_search: bool,
    /// Do not ask the router for a port mapping
    #[arg(long, help_heading = "Network")]
    pub no_port_mapping: bool,

    /// No terminal UI
    #[arg(long)]
    pub headless: bool,
    /// One JSON event per line on stdout, commands on stdin; implies --headless
    #[arg(long)]
    pub json: bool,
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder of the identity and of known peers
    #[arg(long, value_name = "DIR", env = "ROUNDTABLE_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Log arrivals and pulls into FILE, without sound, names or addresses, for `netsim replay`
    #[arg(long, value_name = "FILE")]
    pub rtlog: Option<PathBuf>,
    /// Leave after this many seconds
    #[arg(long, value_name = "SECONDS", value_parser = duration, allow_negative_numbers = true)]
    pub duration: Option<Duration>,
}

/// A part of a TURN user name, which is short (RFC 8489 section 14.3).
fn relay_user(text: &str) -> Result<String, &'static str> {
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let fits = plain && (1..=64).contains(&text.len());
    if fits { Ok(text.to_owned()) } else { Err("write up to 64 letters, digits, dots and dashes") }
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    let seconds = text.parse::<f64>().ok().map(Duration::try_from_secs_f64);
    seconds.and_then(Result::ok).ok_or("write a number of seconds, as in 90 or 0.5")
}
