//! The allocations in use, as the socket sees them.

use crate::net::udp::Udp;
use protocol::path::{RelayId, Route, Via};
use protocol::turn::{Client, Event, Input};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

/// What carries the messages to a server.
#[derive(Debug)]
pub(super) enum Carrier {
    /// Datagrams on the call's own socket.
    Datagrams,
    /// A TCP or TLS connection: its writer's queue.
    Stream(mpsc::Sender<Vec<u8>>),
}

/// The table.
#[derive(Debug)]
pub struct RelayTable {
    slots: BTreeMap<RelayId, Slot>,
    next: u8,
    /// The zero of the clients' clock.
    zero: Instant,
    wrapped: Vec<u8>,
}

#[derive(Debug)]
struct Slot {
    client: Client,
    server: SocketAddr,
    carrier: Carrier,
    /// There is something to do for whoever drives this one.
    wake: Arc<Notify>,
}

/// What a datagram on the socket is, with regard to TURN.
#[derive(Debug, PartialEq, Eq)]
pub enum Unwrapped<'a> {
    /// Nothing that a TURN server wrapped.
    NotWrapped,
    /// The business of an allocation.
    Consumed,
    /// A peer's datagram, and the route it came on.
    Payload(Route, &'a [u8]),
}

impl Default for RelayTable {
    fn default() -> Self {
        Self { slots: BTreeMap::new(), next: 0, zero: Instant::now(), wrapped: Vec::new() }
    }
}

impl RelayTable {
    /// The time of the clients' clock.
    pub fn clock(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.zero)
    }

    /// Starts using an allocation under a number that is free; `None` when there are too many.
    pub(super) fn insert(
        &mut self,
        client: Client,
        server: SocketAddr,
        carrier: Carrier,
        wake: Arc<Notify>,
    ) -> Option<RelayId> {
        let mut free = (0..=u8::MAX).map(|step| RelayId(self.next.wrapping_add(step)));
        let id = free.find(|id| !self.slots.contains_key(id))?;
        self.next = id.0.wrapping_add(1);
        self.slots.insert(id, Slot { client, server, carrier, wake });
        Some(id)
    }

    /// Gives an allocation back and forgets it.
    pub fn remove(&mut self, id: RelayId, udp: &dyn Udp) {
        let now = self.clock(Instant::now());
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.client.close(now);
        }
        self.flush(id, udp);
        self.slots.remove(&id);
    }

    /// Sorts a datagram from the socket.
    pub fn unwrap<'a>(&mut self, from: SocketAddr, datagram: &'a [u8], now: Instant) -> Unwrapped<'a> {
        let at = self.clock(now);
        let on_socket = |slot: &Slot| matches!(slot.carrier, Carrier::Datagrams) && slot.server == from;
        for (id, slot) in self.slots.iter_mut().filter(|(_, slot)| on_socket(slot)) {
            match slot.client.handle_input(at, datagram) {
                Input::Data { peer, payload } => {
                    return Unwrapped::Payload(Route { via: Via::Relay(*id), to: peer }, payload);
                }
                Input::Consumed => {
                    slot.wake.notify_one();
                    return Unwrapped::Consumed;
                }
                // The answer to a plain STUN question, or for another allocation on this server.
                Input::Ignored => {}
            }
        }
        Unwrapped::NotWrapped
    }

    /// Sorts a frame from the stream of one allocation.
    pub fn unwrap_frame<'a>(
        &mut self,
        id: RelayId,
        frame: &'a [u8],
        now: Instant,
    ) -> Option<(Route, &'a [u8])> {
        let at = self.clock(now);
        let slot = self.slots.get_mut(&id)?;
        match slot.client.handle_input(at, frame) {
            Input::Data { peer, payload } => Some((Route { via: Via::Relay(id), to: peer }, payload)),
            Input::Consumed | Input::Ignored => {
                slot.wake.notify_one();
                None
            }
        }
    }

    /// Sends a peer's datagram through an allocation; without one it is lost.
    pub fn send(&mut self, id: RelayId, peer: SocketAddr, datagram: &[u8], udp: &dyn Udp, now: Instant) {
        let at = self.clock(now);
        let Some(slot) = self.slots.get_mut(&id) else { return };
        self.wrapped.clear();
        if slot.client.wrap(at, peer, datagram, &mut self.wrapped) {
            slot.transmit(&self.wrapped, udp);
        }
    }

    /// Sends what the client itself has to say.
    pub fn flush(&mut self, id: RelayId, udp: &dyn Udp) {
        let Some(slot) = self.slots.get_mut(&id) else { return };
        while let Some(message) = slot.client.poll_transmit() {
            slot.transmit(&message, udp);
        }
    }

    /// Lets a peer's address send to us.
    pub fn permit(&mut self, id: RelayId, ip: IpAddr) {
        self.with(id, |client, now| client.permit(now, ip));
    }

    /// Makes datagrams with a peer as short as they can be.
    pub fn bind(&mut self, id: RelayId, peer: SocketAddr) {
        self.with(id, |client, now| client.bind(now, peer));
    }

    /// The addresses of this machine have changed.
    pub fn network_changed(&mut self) {
        let ids: Vec<RelayId> = self.slots.keys().copied().collect();
        for id in ids {
            self.with(id, |client, now| client.network_changed(now));
        }
    }

    /// Somebody does not hear anything: do the servers still know us?
    pub fn suspect(&mut self) {
        let ids: Vec<RelayId> = self.slots.keys().copied().collect();
        for id in ids {
            self.with(id, |client, now| client.suspect(now));
        }
    }

    fn with(&mut self, id: RelayId, work: impl FnOnce(&mut Client, Duration)) {
        let now = self.clock(Instant::now());
        if let Some(slot) = self.slots.get_mut(&id) {
            work(&mut slot.client, now);
            slot.wake.notify_one();
        }
    }

    /// The servers that are reached by datagrams: they answer STUN as well.
    pub fn servers(&self) -> Vec<SocketAddr> {
        let by_datagrams = |slot: &&Slot| matches!(slot.carrier, Carrier::Datagrams);
        self.slots.values().filter(by_datagrams).map(|slot| slot.server).collect()
    }

    /// What happened to an allocation, and when it wants to be looked after.
    pub(super) fn poll(&mut self, id: RelayId) -> (Option<Event>, Option<Instant>) {
        let zero = self.zero;
        let Some(slot) = self.slots.get_mut(&id) else { return (None, None) };
        (slot.client.poll_event(), slot.client.poll_timeout().map(|at| zero + at))
    }

    /// It is time.
    pub(super) fn on_timeout(&mut self, id: RelayId, now: Instant) {
        let at = self.clock(now);
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.client.handle_timeout(at);
        }
    }
}

impl Slot {
    fn transmit(&self, message: &[u8], udp: &dyn Udp) {
        match &self.carrier {
            // What cannot be sent now is lost like any datagram; requests are repeated.
            Carrier::Datagrams => drop(udp.try_send(self.server, message)),
            Carrier::Stream(queue) => drop(queue.try_send(message.to_vec())),
        }
    }
}
