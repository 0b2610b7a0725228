//! A fresh port before a NAT forgets the old one.
//!
//! Some carriers forget a mapping 50 to 75 s after it was made, whatever passes through it. When that has been seen
//! ([`protocol::path::PathSet::rotation_advice`]), a spare socket is opened in good time. STUN tells where it is seen, the
//! peer is told that address, checks open the way on both sides, and the path moves there with an overlap.

use crate::net::socket::PathSocket;
use protocol::path::{Route, Via};
use protocol::reflexive::{Discovery, Event};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// By then the fresh port works, or is given up.
const PATIENCE: Duration = Duration::from_secs(8);

/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(20);

/// Sockets kept: the one in use, and the one before, on which something may still come.
const KEPT: usize = 2;

/// One peer's ports.
#[derive(Debug, Default)]
pub(super) struct Rotation {
    attempt: Option<Attempt>,
    not_before: Duration,
    /// Spare sockets that carry or carried the path, the newest last.
    used: VecDeque<u16>,
    /// Where the newest is seen.
    seen: Option<SocketAddr>,
}

#[derive(Debug)]
struct Attempt {
    number: u16,
    discovery: Discovery,
    began: Duration,
}

impl Rotation {
    /// Whether another attempt may begin.
    pub(super) fn may_begin(&self, now: Duration) -> bool {
        self.attempt.is_none() && now >= self.not_before
    }

    /// Begins with an open socket.
    pub(super) fn begin(
        &mut self,
        number: u16,
        servers: Vec<SocketAddr>,
        own: Vec<IpAddr>,
        seed: [u8; 32],
        now: Duration,
    ) {
        let discovery = Discovery::new(servers, own, seed, now);
        self.attempt = Some(Attempt { number, discovery, began: now });
    }

    /// Where the peer can send to: the fresh port.
    pub(super) fn seen(&self) -> Option<SocketAddr> {
        self.seen
    }

    /// When it wants to be looked after.
    pub(super) fn deadline(&self) -> Option<Duration> {
        let attempt = self.attempt.as_ref()?;
        let end = attempt.began + PATIENCE;
        Some(attempt.discovery.poll_timeout().map_or(end, |next| next.min(end)))
    }

    /// A STUN message; whether it was a server's answer to the fresh socket.
    pub(super) fn handle(&mut self, route: Route, message: &[u8], now: Duration) -> bool {
        let Some(attempt) = &mut self.attempt else { return false };
        route.via == Via::Spare(attempt.number) && attempt.discovery.handle(now, route.to, message)
    }

    /// Asks what is to be asked. Returns the socket and where it is seen, once that is known.
    pub(super) fn work(&mut self, socket: &PathSocket, now: Duration) -> Option<(u16, SocketAddr)> {
        let Attempt { number, discovery, .. } = self.attempt.as_mut()?;
        if discovery.poll_timeout().is_some_and(|deadline| deadline <= now) {
            discovery.handle_timeout(now);
        }
        while let Some((server, request)) = discovery.poll_transmit() {
            // What cannot be sent now is repeated.
            let _ = socket.send(Route { via: Via::Spare(*number), to: server }, &request, None);
        }
        let mut seen = None;
        while let Some(event) = discovery.poll_event() {
            if let Event::Reflexive { mapped, .. } = event {
                seen = Some(mapped);
            }
        }
        self.seen = seen.or(self.seen);
        seen.map(|seen| (*number, seen))
    }

    /// Whether this socket carries the path, did lately, or is to.
    pub(super) fn holds(&self, number: u16) -> bool {
        self.used.contains(&number) || self.attempt.as_ref().is_some_and(|attempt| attempt.number == number)
    }

    /// The network is another one: what was seen in the former one is not there.
    pub(super) fn network_changed(&mut self) {
        self.seen = None;
    }

    /// A check on this route was answered: whether the path is to move there. Returns the socket to close.
    pub(super) fn on_valid(&mut self, route: Route, now: Duration) -> Option<Option<u16>> {
        let attempt = self.attempt.take_if(|attempt| route.via == Via::Spare(attempt.number))?;
        self.used.push_back(attempt.number);
        self.not_before = now + PAUSE;
        Some(if self.used.len() > KEPT { self.used.pop_front() } else { None })
    }

    /// Gives up an attempt that takes too long: the socket to close.
    pub(super) fn give_up(&mut self, now: Duration) -> Option<u16> {
        let attempt = self.attempt.take_if(|attempt| now >= attempt.began + PATIENCE)?;
        self.not_before = now + PAUSE;
        self.seen = None;
        Some(attempt.number)
    }
}
