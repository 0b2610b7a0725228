//! Which peer is where: virtual addresses and the real ones behind them.
//!
//! Towards QUIC every connection has one virtual address for life. This table says where its datagrams go
//! now and whose a received datagram is. It is pure but for the moments its callers pass in.
//!
//! An entry is *opening* until its peer is authenticated. Since connection ids are empty, a real address
//! belongs to one entry at a time. Two cases need care:
//! - Both sides dial each other at once. One of them, by their ids, ignores the other's dial while its own
//!   is under way; the other one gives way.
//! - A peer's process restarts on the same address. Its first packet would go to the old connection, which
//!   cannot use it. So a first packet from the address of a peer that has been silent for a while opens a
//!   new entry; if that comes to nothing, the old one gets its address back.

use protocol::demux::{Class, Source, classify, is_first_flight};
use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::time::Instant;

/// Opening entries kept; beyond it the oldest one that we did not dial is given up.
const OPENING_MAX: usize = 64;

/// An opening entry that has not become a peer by then is given up: somewhat more than the handshake may take.
const OPENING_LIFETIME: Duration = Duration::from_secs(5);

/// A peer silent for this long may be replaced by a new connection from its address. A talking peer sends
/// every 60 ms, a silent one every 400 ms.
const SILENCE_BEFORE_REPLACEMENT: Duration = Duration::from_millis(1500);

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
    last_heard: Instant,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// We dialled and insist on it when the other side dials at the same time.
    Dialled { since: Instant },
    /// We dialled and give way to a dial from the other side.
    DialledYielding { since: Instant },
    /// A stranger's first packet came; when its address was taken from a silent peer, that peer's entry.
    Incoming { since: Instant, instead_of: Option<u64> },
    /// Authenticated.
    Peer,
}

impl State {
    fn opening_since(self) -> Option<Instant> {
        match self {
            Self::Dialled { since } | Self::DialledYielding { since } | Self::Incoming { since, .. } => {
                Some(since)
            }
            Self::Peer => None,
        }
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
        let known = self.by_remote.get(&from).copied();
        let source = if known.is_some() { Source::Known } else { Source::Unknown };
        match classify(source, datagram) {
            Class::Stun => Inbound::Stun,
            Class::ChannelData | Class::Drop => Inbound::Drop,
            Class::Quic => self.inbound_quic(from, known, is_first_flight(datagram), now),
        }
    }

    fn inbound_quic(
        &mut self,
        from: SocketAddr,
        known: Option<u64>,
        first_flight: bool,
        now: Instant,
    ) -> Inbound {
        let Some(index) = known else { return self.open_incoming(from, None, now) };
        let entry = self.entries.get_mut(&index).expect("by_remote names entries");
        if first_flight {
            match entry.state {
                State::Dialled { .. } => return Inbound::Drop,
                State::DialledYielding { .. } => return self.open_incoming(from, None, now),
                State::Peer if now - entry.last_heard > SILENCE_BEFORE_REPLACEMENT => {
                    return self.open_incoming(from, Some(index), now);
                }
                State::Incoming { .. } | State::Peer => {}
            }
        }
        entry.last_heard = now;
        Inbound::Quic(virtual_address(index))
    }

    fn open_incoming(&mut self, remote: SocketAddr, instead_of: Option<u64>, now: Instant) -> Inbound {
        self.expire(now);
        let incoming = |(index, entry): (&u64, &Entry)| match entry.state {
            State::Incoming { since, .. } => Some((since, *index)),
            State::Dialled { .. } | State::DialledYielding { .. } | State::Peer => None,
        };
        let opening: Vec<_> = self.entries.iter().filter_map(incoming).collect();
        if opening.len() >= OPENING_MAX {
            let (_, oldest) = opening.iter().min().expect("a full table has an oldest entry");
            self.remove_index(*oldest);
        }
        Inbound::Quic(self.insert(remote, State::Incoming { since: now, instead_of }, now))
    }

    /// A new virtual address for a connection we open to `remote`. `yielding` says whether to give way when
    /// the other side dials us at the same moment.
    pub fn dial(&mut self, remote: SocketAddr, yielding: bool, now: Instant) -> SocketAddr {
        self.expire(now);
        let state =
            if yielding { State::DialledYielding { since: now } } else { State::Dialled { since: now } };
        self.insert(remote, state, now)
    }

    fn insert(&mut self, remote: SocketAddr, state: State, now: Instant) -> SocketAddr {
        let index = self.next;
        self.next += 1;
        self.entries.insert(index, Entry { remote, last_heard: now, state });
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
        if let Some(entry) = self.entries.get_mut(&index) {
            entry.remote = remote;
            self.by_remote.insert(remote, index);
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
        self.by_remote.retain(|_, owner| *owner != index);
        if let State::Incoming { instead_of: Some(previous), .. } = entry.state
            && self.entries.contains_key(&previous)
        {
            self.by_remote.insert(entry.remote, previous);
        }
    }

    fn expire(&mut self, now: Instant) {
        let expired =
            |entry: &Entry| entry.state.opening_since().is_some_and(|since| now - since > OPENING_LIFETIME);
        let old: Vec<u64> =
            self.entries.iter().filter(|(_, e)| expired(e)).map(|(index, _)| *index).collect();
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
mod tests {
    use super::{Inbound, OPENING_MAX, PathTable};
    use std::net::SocketAddr;
    use std::time::Duration;
    use tokio::time::Instant;

    fn remote(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    fn first_flight() -> Vec<u8> {
        let mut datagram = vec![0xc3, 0, 0, 0, 1, 8];
        datagram.resize(1200, 0);
        datagram
    }

    fn quic(inbound: Inbound) -> SocketAddr {
        match inbound {
            Inbound::Quic(address) => address,
            Inbound::Stun | Inbound::Drop => panic!("not for QUIC: {inbound:?}"),
        }
    }

    #[test]
    fn strangers_only_open_connections() {
        let (mut table, now) = (PathTable::default(), Instant::now());
        assert_eq!(table.inbound(remote(1), &[0x41; 60], now), Inbound::Drop);
        let address = quic(table.inbound(remote(1), &first_flight(), now));
        assert_eq!(table.inbound(remote(1), &[0x41; 60], now), Inbound::Quic(address));
        assert_eq!(table.outbound(address), Some(remote(1)));
    }

    #[test]
    fn a_switch_moves_both_directions_and_keeps_the_virtual_address() {
        let (mut table, now) = (PathTable::default(), Instant::now());
        let address = table.dial(remote(1), false, now);
        table.promote(address);
        table.switch(address, remote(2));
        assert_eq!(table.outbound(address), Some(remote(2)));
        assert_eq!(table.inbound(remote(2), &[0x41; 60], now), Inbound::Quic(address));
        assert_eq!(table.inbound(remote(1), &[0x41; 60], now), Inbound::Quic(address));
    }

    #[test]
    fn of_two_simultaneous_dials_exactly_one_wins() {
        let now = Instant::now();
        let mut insisting = PathTable::default();
        let mine = insisting.dial(remote(1), false, now);
        assert_eq!(insisting.inbound(remote(1), &first_flight(), now), Inbound::Drop);
        assert_eq!(insisting.inbound(remote(1), &[0xe0; 60], now), Inbound::Quic(mine));

        let mut yielding = PathTable::default();
        let mine = yielding.dial(remote(1), true, now);
        let theirs = quic(yielding.inbound(remote(1), &first_flight(), now));
        assert_ne!(mine, theirs);
        assert_eq!(yielding.inbound(remote(1), &[0x41; 60], now), Inbound::Quic(theirs));
    }

    #[test]
    fn a_restarted_peer_gets_in_and_an_impostor_only_borrows_the_address() {
        let (mut table, start) = (PathTable::default(), Instant::now());
        let old = quic(table.inbound(remote(1), &first_flight(), start));
        table.promote(old);
        let soon = start + Duration::from_secs(1);
        assert_eq!(table.inbound(remote(1), &first_flight(), soon), Inbound::Quic(old));
        let later = soon + Duration::from_secs(2);
        let new = quic(table.inbound(remote(1), &first_flight(), later));
        assert_ne!(new, old);
        assert_eq!(table.inbound(remote(1), &[0x41; 60], later), Inbound::Quic(new));
        table.remove(new);
        assert_eq!(table.inbound(remote(1), &[0x41; 60], later), Inbound::Quic(old));
    }

    #[test]
    fn a_flood_of_openings_is_bounded_and_spares_peers() {
        let (mut table, now) = (PathTable::default(), Instant::now());
        let peer = table.dial(remote(1), false, now);
        table.promote(peer);
        for port in 2..5000 {
            table.inbound(remote(port), &first_flight(), now);
        }
        assert!(table.entries.len() <= OPENING_MAX + 1);
        assert_eq!(table.by_remote.len(), table.entries.len());
        assert_eq!(table.inbound(remote(1), &[0x41; 60], now), Inbound::Quic(peer));
    }
}
