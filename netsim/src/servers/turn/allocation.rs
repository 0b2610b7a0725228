//! One allocation: a client's relayed address, whom it talks to, and for how long.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use stun_rs::TransactionId;

use super::Client;
use crate::servers::message::Refusal;

/// RFC 8656 section 9: a permission's lifetime, always.
pub(super) const PERMISSION_LIFETIME: Duration = Duration::from_secs(300);
/// RFC 8656 section 12: a channel's.
pub(super) const CHANNEL_LIFETIME: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) client: Client,
    pub(super) user: String,
    /// Of the request that made it; the same again is a retransmission.
    pub(super) transaction: TransactionId,
    pub(super) lifetime_s: u32,
    pub(super) expires: Duration,
    pub(super) ticket: Option<Vec<u8>>,
    permissions: BTreeMap<IpAddr, Duration>,
    channels: BTreeMap<u16, Channel>,
}

#[derive(Debug)]
struct Channel {
    peer: SocketAddr,
    expires: Duration,
}

impl Allocation {
    pub(super) fn new(
        now: Duration,
        client: Client,
        user: &str,
        transaction: TransactionId,
        lifetime_s: u32,
    ) -> Self {
        Allocation {
            client,
            user: user.to_owned(),
            transaction,
            lifetime_s,
            expires: now + Duration::from_secs(u64::from(lifetime_s)),
            ticket: None,
            permissions: BTreeMap::new(),
            channels: BTreeMap::new(),
        }
    }

    pub(super) fn permits(&self, now: Duration, peer: IpAddr) -> bool {
        self.permissions.get(&peer).is_some_and(|expires| now < *expires)
    }

    /// Installs or refreshes permissions: all of them, or none and 508.
    pub(super) fn permit(&mut self, now: Duration, peers: &[IpAddr], max: usize) -> Result<(), Refusal> {
        self.permissions.retain(|_, expires| now < *expires);
        let mut all = self.permissions.clone();
        all.extend(peers.iter().map(|peer| (*peer, now + PERMISSION_LIFETIME)));
        if all.len() > max {
            return Err(Refusal::new(508));
        }
        self.permissions = all;
        Ok(())
    }

    /// RFC 8656 section 12.2: 400 if the number or the peer is bound otherwise, 508 if there are too many.
    pub(super) fn check_binding(
        &mut self,
        now: Duration,
        number: u16,
        peer: SocketAddr,
        max: usize,
    ) -> Result<(), Refusal> {
        self.channels.retain(|_, channel| now < channel.expires);
        let mut others = self.channels.iter();
        if others.any(|(bound, channel)| (*bound == number) != (channel.peer == peer)) {
            return Err(Refusal::new(400));
        }
        if self.channels.len() >= max && !self.channels.contains_key(&number) {
            return Err(Refusal::new(508));
        }
        Ok(())
    }

    /// Binds a channel, or refreshes it.
    pub(super) fn bind(&mut self, now: Duration, number: u16, peer: SocketAddr) {
        self.channels.insert(number, Channel { peer, expires: now + CHANNEL_LIFETIME });
    }

    pub(super) fn peer_of(&self, now: Duration, number: u16) -> Option<SocketAddr> {
        self.channels.get(&number).filter(|channel| now < channel.expires).map(|channel| channel.peer)
    }

    pub(super) fn channel_of(&self, now: Duration, peer: SocketAddr) -> Option<u16> {
        let live = |channel: &Channel| channel.peer == peer && now < channel.expires;
        self.channels.iter().find(|(_, channel)| live(channel)).map(|(number, _)| *number)
    }
}
