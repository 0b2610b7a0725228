//! What happens in a call, for every view of it: line mode, JSON, scripts.

use protocol::control::VoiceState;
use protocol::group::{Admission, Role};
use protocol::id::PeerId;
use serde::Serialize;

/// One event. With `--json` it is one line: an object with `event`, `t` (seconds since the start) and the
/// fields below. Peers are named by their full id.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The UDP port is open.
    Ready {
        /// Our own id.
        id: String,
        /// The address listened on.
        listen: String,
        /// The line to send to friends, when there is one.
        #[serde(skip_serializing_if = "Option::is_none")]
        ticket: Option<String>,
    },
    /// A call on this network, as its host says; `join` without a target lists them.
    Found {
        /// What the host calls itself; made safe to show, possibly empty, and two may have the same.
        name: String,
        /// The first characters of its id.
        id: String,
        /// Where it listens.
        addresses: Vec<String>,
        /// Whether a password lets people in; else it takes a ticket.
        takes_password: bool,
    },
    /// A sound device is in use.
    Audio {
        /// `input` or `output`.
        direction: &'static str,
        /// The device's name.
        device: String,
        /// Samples per second.
        rate: u32,
        /// Channels.
        channels: u16,
        /// Frames the device takes or gives at a time.
        buffer_frames: u32,
        /// Unix time in microseconds at which a file's or simulated device's first sample was spoken or heard.
        #[serde(skip_serializing_if = "Option::is_none")]
        started_unix_us: Option<u64>,
    },
    /// Voice can flow both ways.
    Connected {
        /// With whom.
        peer: String,
        /// Its display name.
        name: String,
        /// Kind of the path.
        path: PathKind,
        /// Time it took, in ms.
        ms: u64,
    },
    /// A peer's path changed.
    Path {
        /// Whose.
        peer: String,
        /// What it is now.
        kind: PathKind,
        /// Why.
        reason: String,
    },
    /// A peer began or ended a talkspurt.
    Talking {
        /// Who.
        peer: String,
        /// Began or ended.
        on: bool,
    },
    /// A peer muted or deafened itself.
    State {
        /// Who.
        peer: String,
        /// Its microphone is off.
        muted: bool,
        /// It hears nobody.
        deafened: bool,
    },
    /// A peer is not heard any more; its seat is kept for a minute.
    Lost {
        /// Who.
        peer: String,
        /// Why.
        reason: String,
    },
    /// A peer is out of the group, or was away for longer than its seat is kept.
    Left {
        /// Who.
        peer: String,
        /// In what way.
        reason: Departure,
    },
    /// Who is in the group, ourselves included.
    Group {
        /// The members.
        members: Vec<GroupMember>,
        /// Whether nobody new may come in.
        locked: bool,
        /// How one comes in.
        admission: WayIn,
        /// 1, and one more for each removal.
        epoch: u64,
    },
    /// Somebody is at the door and waits to be let in, with `admit` or `deny`.
    Knock {
        /// Who.
        peer: String,
        /// What they call themselves.
        name: String,
    },
    /// We are at the door, and somebody there is asked whether to let us in.
    Waiting,
    /// Tickets are worthless from now on.
    Revoked {
        /// How many.
        tickets: usize,
    },
    /// A new ticket, asked for by `invite`.
    Ticket {
        /// The line to send to friends.
        ticket: String,
    },
    /// Nobody answers: with this code the host can open the way.
    Reply {
        /// To be sent to the host, who enters it with `reply`.
        code: String,
        /// What was tried.
        reason: String,
    },
    /// A reply code was good: whoever showed it may come in.
    Opened {
        /// For how long.
        seconds: u64,
    },
    /// Who a peer is to us: told when it connects, and when its mark changes.
    Known {
        /// Who.
        peer: String,
        /// Its display name.
        name: String,
        /// Unix time in seconds at which it was met first; absent when it is new.
        #[serde(skip_serializing_if = "Option::is_none")]
        first_seen: Option<u64>,
        /// Its words were compared.
        verified: bool,
        /// Its name of the last time, when that was another one.
        #[serde(skip_serializing_if = "Option::is_none")]
        called_before: Option<String>,
    },
    /// A peer has a name that is known under another key: an impostor, or the same person with a new identity.
    KeyChanged {
        /// Who.
        peer: String,
        /// The name.
        name: String,
        /// The id under which the name is known.
        known_as: String,
    },
    /// The words to compare with a peer, asked for by `verify`.
    Words {
        /// With whom.
        peer: String,
        /// Its display name.
        name: String,
        /// Of the connection with it: both read the same, unless somebody sits between.
        words: String,
        /// Of the group: all who see the same members read the same.
        group_words: String,
        /// Whether they were compared before.
        verified: bool,
    },
    /// Somebody said a line of text.
    Message {
        /// Who.
        peer: String,
        /// Its display name.
        name: String,
        /// One line, safe to show.
        text: String,
        /// Whether it was ourselves.
        me: bool,
    },
    /// Once a second for each peer.
    Stats(Stats),
    /// Something went wrong. Fatal ones are followed by `bye`.
    Error {
        /// A stable word for programs.
        code: &'static str,
        /// What failed and why.
        message: String,
        /// What to do.
        hint: String,
    },
    /// The last event.
    Bye {
        /// Why it is over.
        reason: String,
    },
}

/// A member in [`Event::Group`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupMember {
    /// Its id.
    pub peer: String,
    /// Its display name.
    pub name: String,
    /// Whether it is ourselves.
    pub me: bool,
    /// What it may do.
    pub role: Rank,
}

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rank {
    /// Talk, invite, let in.
    Member,
    /// Remove, lock, make others moderators as well.
    Moderator,
    /// The same; nobody can remove it.
    Founder,
}

impl From<Role> for Rank {
    fn from(role: Role) -> Self {
        match role {
            Role::Member => Self::Member,
            Role::Moderator => Self::Moderator,
            Role::Founder => Self::Founder,
        }
    }
}

/// How somebody went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Departure {
    /// It said goodbye.
    Left,
    /// It was not heard for as long as a seat is kept; it may come back.
    Away,
    /// It was put out.
    Removed,
}

/// How one comes into the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WayIn {
    /// With a ticket or the password.
    Open,
    /// When somebody there agrees as well.
    Knock,
    /// Not at all.
    Locked,
}

impl From<Admission> for WayIn {
    fn from(admission: Admission) -> Self {
        match admission {
            Admission::Open => Self::Open,
            Admission::Knock => Self::Knock,
            Admission::Locked => Self::Locked,
        }
    }
}

/// What kind of way packets take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PathKind {
    /// Across the internet, without a relay.
    Direct,
    /// Through a TURN server.
    Relayed,
    /// Inside one local network or one machine.
    Lan,
}

/// Figures of one peer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stats {
    /// Whose.
    pub peer: String,
    /// Round trip, ms.
    pub rtt_ms: f32,
    /// Estimated delay from the network in one direction, ms: half a round trip.
    pub one_way_ms: f32,
    /// Packets of the last second that did not arrive, percent.
    pub loss_pct: f32,
    /// Delay above the fastest that 95 % of recent packets stayed within, ms.
    pub jitter_ms: f32,
    /// What the jitter buffer adds to the fastest packet's delay, ms.
    pub buffer_ms: f32,
    /// Voice made up since the peer connected, in ms, by cause.
    pub concealed_ms: ConcealedMs,
    /// UDP payload sent to the peer, kbit/s over the last second.
    pub kbps_up: f32,
    /// UDP payload received from the peer, kbit/s over the last second.
    pub kbps_down: f32,
}

/// Made-up voice in ms; each millisecond has one cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ConcealedMs {
    /// Lost on the path.
    pub lost: u64,
    /// Too late.
    pub late: u64,
    /// The sender stalled.
    pub stalled: u64,
    /// Our own device asked too early.
    pub underrun: u64,
    /// The path was changing.
    pub path: u64,
}

impl Event {
    /// The state a peer announced.
    pub fn state(peer: PeerId, state: VoiceState) -> Self {
        Self::State { peer: peer.to_string(), muted: state.muted, deafened: state.deafened }
    }

    /// The event as one line of JSON (without its newline), `t` seconds after the start.
    pub fn to_json(&self, t: f64) -> String {
        #[derive(Serialize)]
        struct Timed<'a> {
            t: f64,
            #[serde(flatten)]
            event: &'a Event,
        }
        let t = (t * 1000.0).round() / 1000.0;
        serde_json::to_string(&Timed { t, event: self }).expect("events are plain data")
    }
}

#[cfg(test)]
mod tests {
    use super::{Event, PathKind};

    #[test]
    fn an_event_is_one_line_of_json() {
        let event =
            Event::Connected { peer: "abc".into(), name: "A\n\"b\"".into(), path: PathKind::Lan, ms: 12 };
        let line = event.to_json(1.23456);
        assert_eq!(
            line,
            r#"{"t":1.235,"event":"connected","peer":"abc","name":"A\n\"b\"","path":"lan","ms":12}"#
        );
    }
}
