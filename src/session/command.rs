//! What a person, a script or the terminal can ask of a running call.

use std::time::Duration;

/// One command. `PEER` is a name or the beginning of an id.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Microphone off.
    Mute,
    /// Microphone on.
    Unmute,
    /// Hear nobody, and microphone off.
    Deafen,
    /// Hear again; the microphone returns to what it was.
    Undeafen,
    /// Push to talk.
    Ptt(Ptt),
    /// A peer's volume in dB, -60 to +20.
    Volume {
        /// Whose.
        peer: String,
        /// How loud.
        db: f32,
    },
    /// A fresh ticket.
    Invite,
    /// Let in somebody whose packets do not arrive, by the code it printed.
    Reply(String),
    /// Who is here, and how they are doing.
    Status,
    /// Leave the group.
    Leave,
}

/// Push-to-talk actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ptt {
    /// The key is down: microphone on.
    Down,
    /// The key is up: microphone off.
    Up,
    /// One or the other.
    Toggle,
}

/// Tickets are valid for a day.
pub const TICKET_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// A line that is no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// Not a word we know.
    #[error("unknown command {0:?}; known are: {KNOWN}")]
    Unknown(String),
    /// A command of the interface that this version does not have.
    #[error("{0:?} is not available in this version")]
    NotYet(String),
    /// A word is missing or wrong.
    #[error("usage: {0}")]
    Usage(&'static str),
}

const KNOWN: &str =
    "mute, unmute, deafen, undeafen, ptt down|up|toggle, volume PEER DB, who, invite, reply CODE, leave";

impl std::str::FromStr for Command {
    type Err = CommandError;

    fn from_str(line: &str) -> Result<Self, CommandError> {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap_or_default().to_lowercase();
        let rest: Vec<&str> = words.collect();
        match name.as_str() {
            "mute" | "m" => Ok(Self::Mute),
            "unmute" | "u" => Ok(Self::Unmute),
            "deafen" | "d" => Ok(Self::Deafen),
            "undeafen" => Ok(Self::Undeafen),
            "ptt" => match rest.as_slice() {
                ["down"] => Ok(Self::Ptt(Ptt::Down)),
                ["up"] => Ok(Self::Ptt(Ptt::Up)),
                ["toggle"] => Ok(Self::Ptt(Ptt::Toggle)),
                _ => Err(CommandError::Usage("ptt down|up|toggle")),
            },
            "volume" | "vol" => volume(&rest),
            "invite" | "i" => Ok(Self::Invite),
            "reply" => match rest.as_slice() {
                [code] => Ok(Self::Reply((*code).to_owned())),
                _ => Err(CommandError::Usage("reply CODE, with the code that begins with rr1")),
            },
            "status" | "who" | "w" => Ok(Self::Status),
            "leave" | "quit" | "exit" | "q" => Ok(Self::Leave),
            "lock" | "unlock" | "kick" | "admit" | "deny" | "say" => Err(CommandError::NotYet(name)),
            _ => Err(CommandError::Unknown(name)),
        }
    }
}

/// Quieter than -60 dB is silence, louder than +20 dB only distorts.
const VOLUME_DB: std::ops::RangeInclusive<f32> = -60.0..=20.0;

/// A name may have several words; the volume is the last one.
fn volume(rest: &[&str]) -> Result<Command, CommandError> {
    const USAGE: CommandError = CommandError::Usage("volume PEER DB, with DB from -60 to 20");
    let Some((db, peer)) = rest.split_last() else { return Err(USAGE) };
    let number = db.strip_suffix("dB").or_else(|| db.strip_suffix("db")).unwrap_or(db);
    match number.parse::<f32>() {
        Ok(db) if VOLUME_DB.contains(&db) && !peer.is_empty() => {
            Ok(Command::Volume { peer: peer.join(" "), db })
        }
        Ok(_) | Err(_) => Err(USAGE),
    }
}

#[cfg(test)]
mod tests {
    use super::{Command, CommandError, Ptt};

    #[test]
    fn lines_are_commands() {
        assert_eq!("  MUTE ".parse(), Ok(Command::Mute));
        assert_eq!("ptt toggle".parse(), Ok(Command::Ptt(Ptt::Toggle)));
        assert_eq!("who".parse(), Ok(Command::Status));
        let volume = Command::Volume { peer: "Ada Lovelace".into(), db: -6.5 };
        assert_eq!("volume Ada Lovelace -6.5dB".parse(), Ok(volume));
    }

    #[test]
    fn wrong_lines_say_what_would_be_right() {
        for line in ["volume", "volume ada", "volume ada loud", "volume ada 90", "volume ada NaN", "ptt"] {
            assert!(matches!(line.parse::<Command>(), Err(CommandError::Usage(_))), "{line}");
        }
        assert!(matches!("dance".parse::<Command>(), Err(CommandError::Unknown(_))));
        assert!(matches!("".parse::<Command>(), Err(CommandError::Unknown(_))));
        assert!(matches!("kick ada".parse::<Command>(), Err(CommandError::NotYet(_))));
    }
}
