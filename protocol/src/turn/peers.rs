//! Whom an allocation lets in (RFC 8656, section 9), and channels with them (section 12).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Addresses let in at once. Beyond it no more are.
const PERMISSIONS_MAX: usize = 256;

/// Channels at once.
const CHANNELS_MAX: usize = 128;

/// A permission lasts five minutes.
pub(super) const PERMISSION_REFRESH: Duration = Duration::from_secs(240);

/// A channel lasts ten minutes.
pub(super) const CHANNEL_REFRESH: Duration = Duration::from_secs(540);

/// A channel is used only this much after it was bound: a server that relays between its own clients drops what comes
/// for one that has not bound its end yet, and both bind at about the same time.
const CHANNEL_PAUSE: Duration = Duration::from_secs(2);

const FIRST_CHANNEL: u16 = 0x4000;
const CHANNEL_NUMBERS: u16 = 0x1000;

/// One channel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Channel {
    pub(super) number: u16,
    /// From when on it is used, once it is bound.
    usable: Option<Duration>,
    refresh: Option<Duration>,
}

/// The peers of an allocation.
#[derive(Debug, Default)]
pub(super) struct Peers {
    /// When each is to be asked for again; `None` while it is being asked for.
    permissions: BTreeMap<IpAddr, Option<Duration>>,
    channels: BTreeMap<SocketAddr, Channel>,
    next: u16,
}

impl Peers {
    /// Whether the address has to be asked for now.
    pub(super) fn permit(&mut self, ip: IpAddr) -> bool {
        if self.permissions.contains_key(&ip) || self.permissions.len() >= PERMISSIONS_MAX {
            return false;
        }
        self.permissions.insert(ip, None);
        true
    }

    pub(super) fn permitted(&mut self, ip: IpAddr, now: Duration) {
        if let Some(refresh) = self.permissions.get_mut(&ip) {
            *refresh = Some(now + PERMISSION_REFRESH);
        }
    }

    pub(super) fn forget(&mut self, ip: IpAddr) {
        self.permissions.remove(&ip);
        self.channels.retain(|peer, _| peer.ip() != ip);
    }

    /// Whether somebody may send to us from there.
    pub(super) fn lets_in(&self, ip: IpAddr) -> bool {
        self.permissions.contains_key(&ip)
    }

    /// The number of a channel that has to be asked for now.
    pub(super) fn bind(&mut self, peer: SocketAddr) -> Option<u16> {
        if self.channels.contains_key(&peer) || self.channels.len() >= CHANNELS_MAX {
            return None;
        }
        // Numbers go round: one is not bound to another peer before 4,000 others were.
        let number = FIRST_CHANNEL + self.next % CHANNEL_NUMBERS;
        self.next = self.next.wrapping_add(1) % CHANNEL_NUMBERS;
        self.channels.insert(peer, Channel { number, usable: None, refresh: None });
        Some(number)
    }

    pub(super) fn bound(&mut self, peer: SocketAddr, now: Duration) {
        if let Some(channel) = self.channels.get_mut(&peer) {
            channel.usable.get_or_insert(now + CHANNEL_PAUSE);
            channel.refresh = Some(now + CHANNEL_REFRESH);
        }
        self.permitted(peer.ip(), now);
    }

    pub(super) fn unbind(&mut self, peer: SocketAddr) {
        self.channels.remove(&peer);
    }

    /// The channel to send by.
    pub(super) fn channel_to(&self, peer: SocketAddr, now: Duration) -> Option<u16> {
        let channel = self.channels.get(&peer)?;
        channel.usable.filter(|usable| now >= *usable).map(|_| channel.number)
    }

    /// Whose channel this is.
    pub(super) fn peer_of(&self, number: u16) -> Option<SocketAddr> {
        self.channels.iter().find(|(_, channel)| channel.number == number).map(|(peer, _)| *peer)
    }

    /// When the next refresh is due.
    pub(super) fn due(&self) -> Option<Duration> {
        let permissions = self.permissions.values().flatten();
        permissions.chain(self.channels.values().filter_map(|c| c.refresh.as_ref())).min().copied()
    }

    /// Those that are due now, which are being asked for from here on.
    pub(super) fn take_due(&mut self, now: Duration) -> (Vec<IpAddr>, Vec<(SocketAddr, u16)>) {
        let due = |refresh: &mut Option<Duration>| refresh.take_if(|refresh| *refresh <= now).is_some();
        let permissions = self.permissions.iter_mut().filter_map(|(ip, refresh)| due(refresh).then_some(*ip));
        let ips = permissions.collect();
        let channels = self.channels.iter_mut();
        let channels = channels.filter_map(|(peer, c)| due(&mut c.refresh).then_some((*peer, c.number)));
        (ips, channels.collect())
    }

    /// A new allocation knows nobody: whom to ask for again.
    pub(super) fn start_anew(&mut self) -> (Vec<IpAddr>, Vec<(SocketAddr, u16)>) {
        self.permissions.values_mut().for_each(|refresh| *refresh = None);
        self.channels.values_mut().for_each(|channel| {
            channel.usable = None;
            channel.refresh = None;
        });
        let channels = self.channels.iter().map(|(peer, channel)| (*peer, channel.number));
        (self.permissions.keys().copied().collect(), channels.collect())
    }
}
