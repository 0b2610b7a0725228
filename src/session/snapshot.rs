//! The call at one moment, for whoever draws it.

use super::event::PathKind;
use protocol::control::VoiceState;
use protocol::id::PeerId;

/// Everything a view needs. Only the latest one counts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Snapshot {
    /// Whether our own microphone is in a talkspurt.
    pub talking: bool,
    /// Muted, deafened.
    pub voice: VoiceState,
    /// The others, ordered by id.
    pub members: Vec<MemberView>,
}

/// One other member.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberView {
    /// Its id.
    pub id: PeerId,
    /// Its display name, or its short id when it has none.
    pub name: String,
    /// Its connection.
    pub presence: Presence,
    /// Muted, deafened.
    pub voice: VoiceState,
    /// In a talkspurt.
    pub talking: bool,
    /// Whether it may put people out and lock.
    pub moderates: bool,
    /// How loud we hear it, dB.
    pub volume_db: f32,
    /// Its words were compared.
    pub verified: bool,
}

/// Whether a member can be heard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Presence {
    /// No connection yet.
    Connecting,
    /// Heard.
    Here {
        /// Kind of the path.
        path: PathKind,
        /// Round trip, ms.
        rtt_ms: f32,
        /// What the jitter buffer adds, ms.
        buffer_ms: f32,
        /// Voice made up since it connected, ms.
        concealed_ms: u64,
    },
    /// Not heard for this long, in seconds.
    Lost {
        /// Seconds.
        seconds: u64,
    },
}
