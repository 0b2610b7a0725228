//! What is to happen, in order of time and then of cause.

use super::packet::Packet;
use super::streams::StreamId;
use super::topology::{HostId, NetworkId, RouterId};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// A time somebody asked for, and what for; the meaning is the asker's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alarm {
    /// Whose.
    pub owner: u32,
    /// Which of its alarms.
    pub what: u32,
}

/// Where a packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In a network, looking for who has its address.
    Network(NetworkId),
    /// Across a network, before the line of a host in it.
    HostLine(NetworkId, HostId),
    /// Across a network, before the line of a router.
    RouterLine(RouterId),
    /// At the outer side of a router.
    Router(RouterId),
    /// At a host.
    Host(HostId),
}

#[derive(Debug)]
pub(super) enum Event {
    Packet(Place, Packet),
    Alarm(Alarm),
    /// A connection's timer may be due.
    Stream(StreamId),
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Events {
    heap: BinaryHeap<Reverse<Entry>>,
    caused: u64,
}

#[derive(Debug)]
struct Entry {
    at: Duration,
    cause: u64,
    event: Event,
}

impl Events {
    pub(super) fn push(&mut self, at: Duration, event: Event) {
        let cause = self.caused;
        self.caused += 1;
        self.heap.push(Reverse(Entry { at, cause, event }));
    }

    pub(super) fn next_due(&self) -> Option<Duration> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    pub(super) fn pop_due(&mut self, now: Duration) -> Option<(Duration, Event)> {
        if self.next_due()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| (entry.at, entry.event))
    }

    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.cause).cmp(&(other.at, other.cause))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}
