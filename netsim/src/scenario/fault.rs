//! What goes wrong when.

use super::network::AccessConfig;
use serde::Deserialize;

/// One entry of a scenario's timetable.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Fault {
    /// When it begins, in seconds.
    pub at_s: f64,
    /// How long it lasts, in seconds, for what has an end; without, for good. A router or server is off for
    /// this long, at once on again without.
    pub for_s: Option<f64>,
    /// What happens.
    pub kind: FaultKind,
}

/// What can happen. Members, local networks and servers are meant by their names.
#[derive(Debug, Clone, PartialEq)]
pub enum FaultKind {
    /// Nothing passes between these members and all others.
    Partition {
        /// One side of the wall.
        members: Vec<String>,
    },
    /// A member's machine gets another address; with `lan` it moves to that local network, with an empty
    /// `lan` to the internet itself.
    Roam {
        /// Who.
        member: String,
        /// Where to.
        lan: Option<String>,
    },
    /// A router is switched off and on: it forgets its mappings, and with `renumber` its address changes.
    NatReboot {
        /// Whose router.
        lan: String,
        /// Whether it gets another public address.
        renumber: bool,
    },
    /// A server is switched off and on, and forgets everything.
    ServerReboot {
        /// Which.
        server: String,
    },
    /// A member's program is killed without a goodbye.
    Kill {
        /// Whose.
        member: String,
    },
    /// A member's machine is suspended: its clocks stand still and nothing runs.
    Suspend {
        /// Whose.
        member: String,
    },
    /// A line becomes another one, for `for_s` or for good.
    Line {
        /// Whose line.
        member: String,
        /// What it is now.
        access: Box<AccessConfig>,
    },
    /// The sound devices' clock of a member changes its rate.
    ClockDrift {
        /// Whose.
        member: String,
        /// Parts per million from now on.
        ppm: f64,
    },
    /// A member mutes, or with `off` unmutes.
    Mute {
        /// Who.
        member: String,
        /// Unmutes instead.
        off: bool,
    },
    /// A member gives a command, as on its terminal: `kick ben`.
    Command {
        /// Who.
        member: String,
        /// What.
        command: String,
    },
}

/// A kind of fault as it is written: its name and the fields it needs and may have beside `at_s` and `kind`.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) needs: &'static [&'static str],
    pub(super) may_have: &'static [&'static str],
}

/// All kinds.
pub(super) const KINDS: [Kind; 10] = [
    Kind { name: "partition", needs: &["members"], may_have: &["for_s"] },
    Kind { name: "roam", needs: &["member"], may_have: &["lan"] },
    Kind { name: "nat-reboot", needs: &["lan"], may_have: &["renumber", "for_s"] },
    Kind { name: "server-reboot", needs: &["server"], may_have: &["for_s"] },
    Kind { name: "kill", needs: &["member"], may_have: &[] },
    Kind { name: "suspend", needs: &["member"], may_have: &["for_s"] },
    Kind { name: "line", needs: &["member", "access"], may_have: &["for_s"] },
    Kind { name: "clock-drift", needs: &["member", "ppm"], may_have: &[] },
    Kind { name: "mute", needs: &["member"], may_have: &["off"] },
    Kind { name: "command", needs: &["member", "command"], may_have: &[] },
];

/// All fields of all kinds in one table: serde can refuse unknown fields in a table, but not in an enum that is
/// flattened into one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    at_s: f64,
    kind: String,
    for_s: Option<f64>,
    members: Option<Vec<String>>,
    member: Option<String>,
    lan: Option<String>,
    server: Option<String>,
    access: Option<Box<AccessConfig>>,
    ppm: Option<f64>,
    renumber: Option<bool>,
    off: Option<bool>,
    command: Option<String>,
}

impl TryFrom<Written> for Fault {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { at_s, kind, for_s, members, member, lan, server, access, ppm, renumber, off, command } =
            written;
        let needs = |field: &str| format!("a fault of kind `{kind}` needs the field `{field}`");
        let member = member.ok_or_else(|| needs("member"));
        let what = match kind.as_str() {
            "partition" => FaultKind::Partition { members: members.ok_or_else(|| needs("members"))? },
            "roam" => FaultKind::Roam { member: member?, lan },
            "nat-reboot" => FaultKind::NatReboot {
                lan: lan.ok_or_else(|| needs("lan"))?,
                renumber: renumber.unwrap_or_default(),
            },
            "server-reboot" => FaultKind::ServerReboot { server: server.ok_or_else(|| needs("server"))? },
            "kill" => FaultKind::Kill { member: member? },
            "suspend" => FaultKind::Suspend { member: member? },
            "line" => FaultKind::Line { member: member?, access: access.ok_or_else(|| needs("access"))? },
            "clock-drift" => FaultKind::ClockDrift { member: member?, ppm: ppm.ok_or_else(|| needs("ppm"))? },
            "mute" => FaultKind::Mute { member: member?, off: off.unwrap_or_default() },
            "command" => {
                FaultKind::Command { member: member?, command: command.ok_or_else(|| needs("command"))? }
            }
            unknown => return Err(format!("no fault is called `{unknown}`")),
        };
        Ok(Self { at_s, for_s, kind: what })
    }
}
