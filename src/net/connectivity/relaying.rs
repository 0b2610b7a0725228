//! The TURN servers that are used: our own, and those on which others can be met.

use super::Notice;
use crate::net::platform::Platform;
use crate::net::relays::{Allocation, Meeting, MeetingState, meet};
use crate::net::socket::PathSocket;
use protocol::path::{Route, Via};
use protocol::reach::RelayedReach;
use protocol::turn::{Family, TurnError, TurnServer};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::{Notify, oneshot};

/// Servers used at once. Others tell us of theirs, so there has to be a bound.
const MEETINGS_MAX: usize = 6;

/// Servers of others on which we hold an allocation only to be met there, if we have none of our own.
const BORROWED_MAX: usize = 1;

/// A provider may relay from several addresses, and only from the right one a peer is met: tries to be given it. Each
/// takes three round trips; of two addresses the right one is missed once in 128 times.
const REALLOCATIONS_MAX: u32 = 6;

/// All of them.
pub(super) struct Relaying {
    socket: Arc<PathSocket>,
    platform: Arc<dyn Platform>,
    /// Some meeting's state has changed.
    pub(super) changed: Arc<Notify>,
    used: Vec<Used>,
}

struct Used {
    /// As it is told to others.
    text: String,
    meeting: Meeting,
    /// Whether the user named it.
    own: bool,
    complained: bool,
    waiting: Vec<Waiting>,
    reallocations: u32,
}

impl Used {
    /// `host:port`, without the password.
    fn name(&self) -> String {
        format!("{}:{}", self.meeting.server.host, self.meeting.server.port)
    }

    /// The allocation on which others can be met, or why there is none; nothing while that is not decided.
    fn outcome(&self) -> Option<Result<Allocation, TurnError>> {
        match &*self.meeting.state.borrow() {
            MeetingState::Opening => None,
            MeetingState::Down(error) => Some(Err(*error)),
            MeetingState::Up(allocation) => allocation.meets.map(|meets| meets.map(|()| allocation.clone())),
        }
    }
}

struct Waiting {
    to: SocketAddr,
    reply: oneshot::Sender<Result<Route, TurnError>>,
}

impl Relaying {
    pub(super) fn new(socket: Arc<PathSocket>, platform: Arc<dyn Platform>, own: &[TurnServer]) -> Self {
        let mut relaying = Self { socket, platform, changed: Arc::default(), used: Vec::new() };
        for server in own.iter().take(MEETINGS_MAX) {
            relaying.start(server.to_string(), server.clone(), Family::V4, true);
        }
        relaying
    }

    fn start(&mut self, text: String, server: TurnServer, family: Family, own: bool) -> usize {
        let meeting = meet(self.socket.clone(), self.platform.clone(), server, family, self.changed.clone());
        self.used.push(Used { text, meeting, own, complained: false, waiting: Vec::new(), reallocations: 0 });
        self.used.len() - 1
    }

    /// Has an allocation on a server that another member uses, to be met there by all who know it.
    pub(super) fn borrow(&mut self, text: String) {
        let is_used = self.used.iter().any(|used| used.text == text);
        if let Ok(server) = text.parse::<TurnServer>()
            && !is_used
            && self.used.len() < BORROWED_MAX
        {
            self.start(text, server, Family::V4, false);
        }
    }

    /// The way to a relayed address from an allocation of ours on the same server; answered when that is there.
    pub(super) fn route(&mut self, to: RelayedReach, reply: oneshot::Sender<Result<Route, TurnError>>) {
        let index = match self.used.iter().position(|used| used.text == to.server) {
            Some(index) => index,
            None if self.used.len() >= MEETINGS_MAX => {
                let _ = reply.send(Err(TurnError::Quota));
                return;
            }
            None => {
                let server = match to.server.parse::<TurnServer>() {
                    Ok(server) => server,
                    Err(_) => {
                        let _ = reply.send(Err(TurnError::NoAddress));
                        return;
                    }
                };
                let family = if to.address.is_ipv6() { Family::V6 } else { Family::V4 };
                self.start(to.server, server, family, false)
            }
        };
        self.used[index].waiting.push(Waiting { to: to.address, reply });
        self.answer();
    }

    /// Answers those who wait for an allocation that is there now, or is not to be had.
    pub(super) fn answer(&mut self) {
        for used in &mut self.used {
            let Some(outcome) = used.outcome() else { continue };
            let mut again = false;
            for Waiting { to, reply } in std::mem::take(&mut used.waiting) {
                let answer = match &outcome {
                    Ok(allocation) if allocation.relayed.ip() == to.ip() => {
                        Ok(Route { via: Via::Relay(allocation.id), to })
                    }
                    Ok(_) if !used.own && used.reallocations < REALLOCATIONS_MAX => {
                        used.waiting.push(Waiting { to, reply });
                        again = true;
                        continue;
                    }
                    Ok(_) => Err(TurnError::OtherAddress),
                    Err(error) => Err(*error),
                };
                // Whoever asked may have found another way meanwhile.
                let _ = reply.send(answer);
            }
            if again {
                used.reallocations += 1;
                let family = if used.waiting[0].to.is_ipv6() { Family::V6 } else { Family::V4 };
                let server = used.meeting.server.clone();
                used.meeting =
                    meet(self.socket.clone(), self.platform.clone(), server, family, self.changed.clone());
            }
        }
    }

    /// The allocations that are there.
    pub(super) fn allocations(&self) -> Vec<(String, Allocation)> {
        let up = |used: &Used| match &*used.meeting.state.borrow() {
            MeetingState::Up(allocation) => Some((used.text.clone(), allocation.clone())),
            MeetingState::Opening | MeetingState::Down(_) => None,
        };
        self.used.iter().filter_map(up).collect()
    }

    /// Whether each of our own servers has given an allocation or failed.
    pub(super) fn settled(&self) -> bool {
        self.used.iter().filter(|used| used.own).all(|used| used.outcome().is_some())
    }

    /// How our own servers are doing.
    pub(super) fn states(&self) -> Vec<(String, Option<Result<SocketAddr, TurnError>>)> {
        let own = self.used.iter().filter(|used| used.own);
        let state = |used: &Used| Some(used.outcome()?.map(|allocation| allocation.relayed));
        own.map(|used| (used.name(), state(used))).collect()
    }

    /// What the user has to know of its own servers, once for each failure.
    pub(super) fn complaints(&mut self) -> Vec<Notice> {
        let mut notices = Vec::new();
        for used in self.used.iter_mut().filter(|used| used.own) {
            let failed = match (used.outcome(), &*used.meeting.state.borrow()) {
                (Some(Err(error)), _) => Some(error),
                (None, MeetingState::Opening) => continue,
                (Some(Ok(_)) | None, _) => None,
            };
            if let Some(error) = failed.filter(|_| !used.complained) {
                notices.push(Notice::Relay { server: used.name(), error });
            }
            used.complained = failed.is_some();
        }
        notices
    }
}
