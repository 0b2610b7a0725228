//! What the session hears of paths, and does about them.

use super::event::{Event, PathKind};
use super::{Session, members::Member};
use crate::net::connectivity::Notice;
use protocol::control::Message;
use protocol::id::PeerId;
use protocol::path::Kind;
use protocol::reply::Reply;
use std::net::SocketAddr;
use std::time::Duration;

/// How long the way is held open for somebody whose reply code was entered.
const REPLY_HOLDS: Duration = Duration::from_secs(60);

impl From<Kind> for PathKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Lan => Self::Lan,
            Kind::Direct => Self::Direct,
            Kind::Relayed => Self::Relayed,
        }
    }
}

impl Session {
    pub(super) fn on_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Candidates(address, candidates) => {
                let at = |member: &&Member| member.link().is_some_and(|link| link.address() == address);
                if let Some(link) = self.members.values().find(at).and_then(Member::link) {
                    link.send(Message::Candidates(candidates));
                }
            }
            Notice::Path { peer, kind, reason } => self.on_path(peer, kind.into(), reason),
            Notice::Relay { server, error } => self.emit(Event::Error {
                code: error.code(),
                message: format!("{server}: {error}"),
                hint: error.hint().into(),
            }),
        }
    }

    fn on_path(&mut self, address: SocketAddr, kind: PathKind, reason: String) {
        let peer = self.member_at(address);
        let Some(active) = peer.and_then(|peer| self.members.get_mut(&peer)?.active.as_mut()) else { return };
        active.path = kind;
        let Some(peer) = peer else { return };
        self.emit(Event::Path { peer: peer.to_string(), kind, reason });
    }

    fn member_at(&self, address: SocketAddr) -> Option<PeerId> {
        let at =
            |(_, member): &(&PeerId, &Member)| member.link().is_some_and(|link| link.address() == address);
        self.members.iter().find(at).map(|(peer, _)| *peer)
    }

    /// Somebody whose packets do not arrive told us where it is.
    pub(super) fn on_reply(&mut self, text: &str) {
        match text.parse::<Reply>() {
            Ok(reply) => {
                self.surroundings.connectivity.punch(reply.reach, REPLY_HOLDS);
                self.emit(Event::Opened { seconds: REPLY_HOLDS.as_secs() });
            }
            Err(error) => self.emit(Event::Error {
                code: "bad_reply",
                message: format!("this reply code cannot be used: {error}"),
                hint: "ask for it again".into(),
            }),
        }
    }
}
