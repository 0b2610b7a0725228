//! What a person, a script or the terminal can ask of a running call.

use super::doors::Terms;
use protocol::group::{Admission, Role};
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
    Invite(Terms),
    /// A ticket, or all of them, is worthless from now on.
    Revoke(String),
    /// How one comes in.
    SetAdmission(Admission),
    /// Puts somebody out.
    Kick {
        /// Whom.
        peer: String,
        /// For good.
        is_ban: bool,
    },
    /// Makes somebody a moderator, or not.
    SetRole {
        /// Whom.
        peer: String,
        /// What.
        role: Role,
    },
    /// Lets somebody in who knocks; an empty text means the only one.
    Admit(String),
    /// Sends them away.
    Deny(String),
    /// Let in somebody whose packets do not arrive, by the code it printed.
    Reply(String),
    /// Who is here, and how they are doing.
    Status,
    /// The words to compare with a peer.
    Verify(String),
    /// A peer's words were compared, or the mark is taken away.
    Mark {
        /// Whose.
        peer: String,
        /// Whether they were.
        verified: bool,
    },
    /// A line of text to everybody.
    Say(String),
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
    /// A word is missing or wrong.
    #[error("usage: {0}")]
    Usage(&'static str),
}

const KNOWN: &str = "mute, unmute, deafen, undeafen, ptt down|up|toggle, volume PEER DB, who, \
     invite [once|uses N] [hours N], revoke TICKET|all, lock, unlock, knock, admit [PEER], deny [PEER], \
     kick PEER, ban PEER, promote PEER, demote PEER, reply CODE, verify PEER, \
     verified PEER, unverified PEER, say TEXT, leave";

const INVITE_USAGE: &str = "invite [once|uses N] [hours N], with N hours from 1 to 8760";

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
            "invite" | "i" => terms(&rest).map(Self::Invite).ok_or(CommandError::Usage(INVITE_USAGE)),
            "revoke" => match rest.as_slice() {
                [] => Err(CommandError::Usage("revoke TICKET, or revoke all")),
                // A ticket that was pasted may be in pieces.
                pieces => Ok(Self::Revoke(pieces.concat())),
            },
            "lock" => Ok(Self::SetAdmission(Admission::Locked)),
            "unlock" => Ok(Self::SetAdmission(Admission::Open)),
            "knock" => Ok(Self::SetAdmission(Admission::Knock)),
            "admit" => Ok(Self::Admit(rest.join(" "))),
            "deny" => Ok(Self::Deny(rest.join(" "))),
            "kick" => whom(&rest, "kick PEER").map(|peer| Self::Kick { peer, is_ban: false }),
            "ban" => whom(&rest, "ban PEER").map(|peer| Self::Kick { peer, is_ban: true }),
            "promote" => {
                whom(&rest, "promote PEER").map(|peer| Self::SetRole { peer, role: Role::Moderator })
            }
            "demote" => whom(&rest, "demote PEER").map(|peer| Self::SetRole { peer, role: Role::Member }),
            "reply" => match rest.as_slice() {
                [code] => Ok(Self::Reply((*code).to_owned())),
                _ => Err(CommandError::Usage("reply CODE, with the code that begins with rr1")),
            },
            "verify" if !rest.is_empty() => Ok(Self::Verify(rest.join(" "))),
            "verified" if !rest.is_empty() => Ok(Self::Mark { peer: rest.join(" "), verified: true }),
            "unverified" if !rest.is_empty() => Ok(Self::Mark { peer: rest.join(" "), verified: false }),
            "verify" | "verified" | "unverified" => {
                Err(CommandError::Usage("verify PEER, then verified PEER or unverified PEER"))
            }
            "say" => match line.trim().split_once(char::is_whitespace) {
                Some((_, text)) => Ok(Self::Say(text.trim().to_owned())),
                None => Err(CommandError::Usage("say TEXT")),
            },
            "status" | "who" | "w" => Ok(Self::Status),
            "leave" | "quit" | "exit" | "q" => Ok(Self::Leave),
            _ => Err(CommandError::Unknown(name)),
        }
    }
}

/// A name may have several words.
fn whom(rest: &[&str], usage: &'static str) -> Result<String, CommandError> {
    if rest.is_empty() { Err(CommandError::Usage(usage)) } else { Ok(rest.join(" ")) }
}

/// Tickets for longer than a year are for nobody one knows.
const HOURS: std::ops::RangeInclusive<u64> = 1..=8760;

fn terms(rest: &[&str]) -> Option<Terms> {
    let mut terms = Terms::default();
    let mut words = rest.iter().map(|word| word.trim_start_matches('-'));
    while let Some(word) = words.next() {
        match word {
            "once" => terms.uses = 1,
            "uses" => terms.uses = words.next()?.parse().ok().filter(|uses| *uses > 0)?,
            "hours" => {
                let hours: u64 = words.next()?.parse().ok().filter(|hours| HOURS.contains(hours))?;
                terms.lifetime = Duration::from_secs(hours * 60 * 60);
            }
            _ => return None,
        }
    }
    Some(terms)
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
    use super::{Command, CommandError, Ptt, Terms};
    use std::time::Duration;

    #[test]
    fn lines_are_commands() {
        assert_eq!("  MUTE ".parse(), Ok(Command::Mute));
        assert_eq!("ptt toggle".parse(), Ok(Command::Ptt(Ptt::Toggle)));
        assert_eq!("who".parse(), Ok(Command::Status));
        let terms = Terms { uses: 3, lifetime: Duration::from_secs(7200) };
        assert_eq!("invite --uses 3 hours 2".parse(), Ok(Command::Invite(terms)));
        assert_eq!("invite once".parse(), Ok(Command::Invite(Terms { uses: 1, ..Terms::default() })));
        assert_eq!("kick Ada L".parse(), Ok(Command::Kick { peer: "Ada L".into(), is_ban: false }));
        assert_eq!(" say  two  words ".parse(), Ok(Command::Say("two  words".into())));
        let marked = Command::Mark { peer: "Ada Lovelace".into(), verified: true };
        assert_eq!("verified Ada Lovelace".parse(), Ok(marked));
        let volume = Command::Volume { peer: "Ada Lovelace".into(), db: -6.5 };
        assert_eq!("volume Ada Lovelace -6.5dB".parse(), Ok(volume));
    }

    #[test]
    fn wrong_lines_say_what_would_be_right() {
        for line in [
            "volume",
            "volume ada",
            "volume ada loud",
            "volume ada 90",
            "volume ada NaN",
            "ptt",
            "say",
            "verify",
        ] {
            assert!(matches!(line.parse::<Command>(), Err(CommandError::Usage(_))), "{line}");
        }
        assert!(matches!("dance".parse::<Command>(), Err(CommandError::Unknown(_))));
        assert!(matches!("".parse::<Command>(), Err(CommandError::Unknown(_))));
        for line in ["kick", "ban", "revoke", "invite never", "invite uses 0", "invite hours 9999"] {
            assert!(matches!(line.parse::<Command>(), Err(CommandError::Usage(_))), "{line}");
        }
    }
}
