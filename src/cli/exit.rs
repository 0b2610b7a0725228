//! How a run ends: one place decides on exit codes.

use crate::audio::AudioError;
use crate::config::ConfigError;
use crate::session::entering::EnterError;
use protocol::invite::TicketError;
use std::process::ExitCode;

/// Exit codes, as scripts rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Wrong usage: an option, a mistyped ticket, an address that does not resolve.
    Usage = 2,
    /// The group could not be reached.
    Unreachable = 3,
    /// We were refused: secret, expired, locked, removed.
    Refused = 4,
    /// The sound device.
    Sound = 5,
    /// Configuration or files.
    Files = 6,
    /// A bug in roundtable.
    Bug = 70,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a run failed, for people and for programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// A stable word for `error` events.
    pub code: &'static str,
    /// What failed and why.
    pub message: String,
    /// What to do; empty when the message says it.
    pub hint: String,
}

impl Failure {
    /// A failure in words.
    pub fn new(exit: Exit, code: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { exit, code, message: message.into(), hint: hint.into() }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(Exit::Files, "files", error.to_string(), "")
    }
}

impl From<AudioError> for Failure {
    fn from(error: AudioError) -> Self {
        match error {
            AudioError::NotAnOutput { .. } => Self::new(Exit::Usage, "usage", error.to_string(), ""),
            AudioError::FileUnreadable { .. } | AudioError::FileUnwritable { .. } => {
                Self::new(Exit::Files, "files", error.to_string(), "")
            }
            _ => Self::new(
                Exit::Sound,
                "sound_device",
                error.to_string(),
                "`roundtable devices` lists what there is",
            ),
        }
    }
}

impl From<TicketError> for Failure {
    fn from(error: TicketError) -> Self {
        let code = match error {
            TicketError::NotATicket => "not_a_ticket",
            TicketError::OtherVersion(_) => "wrong_version",
            TicketError::Truncated { .. } => "truncated_ticket",
            _ => "mistyped_ticket",
        };
        let exit = match error {
            TicketError::OtherVersion(_) => Exit::Refused,
            _ => Exit::Usage,
        };
        Self::new(exit, code, error.to_string(), "")
    }
}

impl From<EnterError> for Failure {
    fn from(error: EnterError) -> Self {
        let exit = match error {
            EnterError::Expired(_) | EnterError::Refused(_) => Exit::Refused,
            _ => Exit::Unreachable,
        };
        Self::new(exit, error.code(), error.to_string(), error.hint())
    }
}
