//! Which peer is where: virtual addresses and the real ones behind them.
//!
//! Towards QUIC every connection has one virtual address for life. This table says where its datagrams go
//! now and whose a received datagram is. It is pure but for the moments its callers pass in.
//!
//! An entry is *opening* until its peer is authenticated. Since connection ids are empty, a real address
//! belongs to one entry at a time. Three cases need care:
//! - Both sides dial each other at once. One of them, by their ids, ignores the other's dial while its own
//!   is under way; the other one gives way.
//! - A peer's process restarts on the same address. Its first packet would go to the old connection, which
//!   cannot use it. So a first packet from the address of a peer that has been silent for a while opens a
//!   new entry. While the peer is heard such a packet is dropped: two connections behind one virtual address
//!   would end each other.
//! - We dial a peer anew that only one of us has lost. Until the dial is answered, which begins with a long header
//!   (RFC 9000, section 17.2), what comes from there is still the old connection's.
//!
//! An opening entry only borrows an address that was somebody's: when it comes to nothing, the earlier entry gets
//! it back, at the latest when the opening's lifetime is over and a datagram comes.

use protocol::demux::{Class, Source, classify, is_first_flight};
use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::time::Instant;

/// Opening entries kept; beyond it the oldest one that we did not dial is given up.
const OPENING_MAX: usize = 64;

/// A stranger that has not become a peer by then is given up: somewhat more than the handshake may take.
const OPENING_LIFETIME: Duration = Duration::from_secs(5);

/// The same for our own dials, which also wait for somebody to be there: 8 s to be answered and the handshake.
const DIAL_LIFETIME: Duration = Duration::from_secs(12);

/// A peer silent for this long may be replaced by a new connection from its address. A talking peer sends
/// every 60 ms, a silent one every 400 ms.
const SILENCE_BEFORE_REPLACEMENT: Duration = Duration::from_millis(1500);

/// The bit that tells QUIC's long headers (RFC 9000, section 17.2).
const LONG_HEADER: u8 = 0x80;

/// The table.
#[derive(Debug, Default)]
pub struct PathTable {
    entries: BTreeMap<u64, Entry>,
    by_remote: HashMap<SocketAddr, u64>,
    next: u64,
}

#[derive(Debug)]
struct Entry {
    remote: SocketAddr,
    /// Where it was before the last switch: still accepted, for what is on its way.
    former: Option<SocketAddr>,
    last_heard: Instant,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// We dialled. When the other side dials at the same time we give way, or insist and ignore it.
    Dialled { since: Instant, yielding: bool, answered: bool },
    /// A stranger's first packet came.
    Incoming { since: Instant },
    /// Authenticated.
    Peer,
}

impl State {
    /// When an entry that is still opening is given up.
    fn given_up_at(self) -> Option<Instant> {
        match self {
            Self::Dialled { since, .. } => Some(since + DIAL_LIFETIME),
            Self::Incoming { since } => Some(since + OPENING_LIFETIME),
            Self::Peer => None,
        }
    }
}

impl Entry {
    fn is_at(&self, remote: SocketAddr) -> bool {
        self.remote == remote || self.former == Some(remote)
    }

    fn is_over(&self, now: Instant) -> bool {
        self.state.given_up_at().is_some_and(|end| now > end)
    }
}

/// What a received datagram is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inbound {
    /// For QUIC, from this virtual address.
    Quic(SocketAddr),
    /// A STUN message.
    Stun,
    /// Nothing we answer.
    Drop,
}

impl PathTable {
    /// Sorts a datagram and finds its connection.
    pub fn inbound(&mut self, from: SocketAddr, datagram: &[u8], now: Instant) -> Inbound {
        let mut known = self.by_remote.get(&from).copied();
        if known.is_some_and(|index| self.is_over(index, now)) {
            self.expire(now);
            known = self.by_remote.get(&from).copied();
        }
        let source = if known.is_some() { Source::Known } else { Source::Unknown };
        match classify(source, datagram) {
            Class::Stun => Inbound::Stun,
            Class::ChannelData | Class::Drop => Inbound::Drop,
            Class::Quic => self.inbound_quic(from, known, datagram, now),
        }
    }

    fn inbound_quic(
        &mut self,
        from: SocketAddr,
        known: Option<u64>,
        datagram: &[u8],
        now: Instant,
    ) -> Inbound {
        let Some(index) = known else { return self.open_incoming(from, now) };
        let entry = self.entries.get_mut(&index).expect("by_remote names entries");
        if is_first_flight(datagram) {
            match entry.state {
                State::Dialled { yielding: false, .. } => return Inbound::Drop,
                State::Dialled { yielding: true, .. } => return self.open_incoming(from, now),
                State::Peer if now - entry.last_heard > SILENCE_BEFORE_REPLACEMENT => {
                    return self.open_incoming(from, now);
                }
                State::Peer => return Inbound::Drop,
                State::Incoming { .. } => {}
            }
        }
        let mut owner = index;
        if let State::Dialled { answered, .. } = &mut entry.state {
            *answered |= datagram.first().is_some_and(|first| first & LONG_HEADER != 0);
            if !*answered {
                owner = self.peer_at(from).unwrap_or(index);
            }
        }
        self.entries.get_mut(&owner).expect("found above").last_heard = now;
        Inbound::Quic(virtual_address(owner))
    }

    /// The newest authenticated peer that is or was at this address.
    fn peer_at(&self, remote: SocketAddr) -> Option<u64> {
        let peers =
            self.entries.iter().filter(|(_, entry)| entry.state == State::Peer && entry.is_at(remote));
        peers.map(|(index, _)| *index).max()
    }

    fn open_incoming(&mut self, remote: SocketAddr, now: Instant) -> Inbound {
        self.expire(now);
        let incoming = |(index, entry): (&u64, &Entry)| match entry.state {
            State::Incoming { since } => Some((since, *index)),
            State::Dialled { .. } | State::Peer => None,
        };
        let opening: Vec<_> = self.entries.iter().filter_map(incoming).collect();
        if opening.len() >= OPENING_MAX {
            let (_, oldest) = opening.iter().min().expect("a full table has an oldest entry");
            self.remove_index(*oldest);
        }
        Inbound::Quic(self.insert(remote, State::Incoming { since: now }, now))
    }

    /// A new virtual address for a connection we open to `remote`. `yielding` says whether to give way when
    /// the other side dials us at the same moment.
    pub fn dial(&mut self, remote: SocketAddr, yielding: bool, now: Instant) -> SocketAddr {
        self.expire(now);
        self.insert(remote, State::Dialled { since: now, yielding, answered: false }, now)
    }

    fn insert(&mut self, remote: SocketAddr, state: State, now: Instant) -> SocketAddr {
        let index = self.next;
        self.next += 1;
        self.entries.insert(index, Entry { remote, former: None, last_heard: now, state });
        self.by_remote.insert(remote, index);
        virtual_address(index)
    }

    /// Where datagrams to a virtual address go now.
    pub fn outbound(&self, address: SocketAddr) -> Option<SocketAddr> {
        Some(self.entries.get(&index_of(address)?)?.remote)
    }

    /// The peer behind this address is authenticated.
    pub fn promote(&mut self, address: SocketAddr) {
        if let Some(entry) = index_of(address).and_then(|index| self.entries.get_mut(&index)) {
            entry.state = State::Peer;
        }
    }

    /// Sends the peer's datagrams to another place from now on, and takes them from there. The old address
    /// is still accepted until another peer claims it, for what is on its way.
    pub fn switch(&mut self, address: SocketAddr, remote: SocketAddr) {
        let Some(index) = index_of(address) else { return };
        let Some(entry) = self.entries.get_mut(&index) else { return };
        if entry.remote == remote {
            return;
        }
        let left = entry.former.replace(std::mem::replace(&mut entry.remote, remote));
        self.by_remote.insert(remote, index);
        if let Some(left) = left.filter(|left| *left != remote)
            && self.by_remote.get(&left) == Some(&index)
        {
            self.hand_back(left);
        }
    }

    /// Forgets a connection.
    pub fn remove(&mut self, address: SocketAddr) {
        if let Some(index) = index_of(address) {
            self.remove_index(index);
        }
    }

    fn remove_index(&mut self, index: u64) {
        let Some(entry) = self.entries.remove(&index) else { return };
        for remote in [entry.former, Some(entry.remote)].into_iter().flatten() {
            if self.by_remote.get(&remote) == Some(&index) {
                self.hand_back(remote);
            }
        }
    }

    /// An address whose owner has left it goes to the entry that had it before: the newest of those that are there.
    fn hand_back(&mut self, remote: SocketAddr) {
        let others = self.entries.iter().filter(|(_, entry)| entry.is_at(remote));
        match others.max_by_key(|(index, entry)| (entry.remote == remote, **index)) {
            Some((index, _)) => self.by_remote.insert(remote, *index),
            None => self.by_remote.remove(&remote),
        };
    }

    fn is_over(&self, index: u64, now: Instant) -> bool {
        self.entries.get(&index).is_some_and(|entry| entry.is_over(now))
    }

    fn expire(&mut self, now: Instant) {
        let old: Vec<u64> =
            self.entries.iter().filter(|(_, entry)| entry.is_over(now)).map(|(index, _)| *index).collect();
        for index in old {
            self.remove_index(index);
        }
    }
}

/// Virtual addresses are unique local IPv6 addresses (RFC 4193) that never reach a wire. `local_addr` of the
/// socket has to be IPv6 too, or quinn refuses to connect.
fn virtual_address(index: u64) -> SocketAddr {
    let low = u128::from(index);
    let prefix = 0xfd72_7462_u128 << 96;
    SocketAddr::from((Ipv6Addr::from(prefix | low), 1))
}

fn index_of(address: SocketAddr) -> Option<u64> {
    match address {
        SocketAddr::V6(v6) => Some(u128::from(*v6.ip()) as u64),
        SocketAddr::V4(_) => None,
    }
}

#[cfg(test)]
#[path = "paths_tests.rs"]
mod tests;
