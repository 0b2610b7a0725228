//! What one client holds on the server: a relayed address, and with whom it may speak through it.
//!
//! All times are since the server's zero. Nothing is removed when its time has come: what is looked up is checked
//! then, and the whole allocation goes when its own time is over.

use super::server::Client;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// RFC 8656 section 9.
pub const PERMISSION_LIFETIME: Duration = Duration::from_secs(300);
/// RFC 8656 section 12.
pub const CHANNEL_LIFETIME: Duration = Duration::from_secs(600);
/// RFC 8656 section 3.2, when the client asks for none, or for less.
pub const LIFETIME_DEFAULT: Duration = Duration::from_secs(600);
/// RFC 8656 section 7.2 recommends an hour.
pub const LIFETIME_MAX: Duration = Duration::from_secs(3600);
/// Twice as many as a group can have members; one more is refused with 508.
pub const CHANNELS_MAX: usize = 128;

/// An allocation (RFC 8656 section 3.2).
#[derive(Debug)]
pub struct Allocation {
    /// The address that peers see; no socket stands behind it.
    pub relayed: SocketAddr,
    /// With which credentials it was made: nobody else's change it.
    pub username: String,
    /// Whom its traffic counts for.
    pub user: String,
    /// The transaction that made it: the same request again gets the same answer.
    pub transaction: [u8; 12],
    /// When it ends.
    pub expires: Duration,
    /// At most as many as the server has addresses: others are refused.
    permissions: BTreeMap<IpAddr, Duration>,
    channels: BTreeMap<u16, (SocketAddr, Duration)>,
}

/// A channel that cannot be bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unbound {
    /// The number belongs to another peer, or the peer has another number (RFC 8656 section 12.2).
    Taken,
    /// There are [`CHANNELS_MAX`].
    Full,
}

impl Allocation {
    /// A new one, for `username` of `user`, until `expires`.
    pub fn new(
        relayed: SocketAddr,
        (username, user): (&str, &str),
        transaction: [u8; 12],
        expires: Duration,
    ) -> Self {
        let (permissions, channels) = (BTreeMap::new(), BTreeMap::new());
        let (username, user) = (username.into(), user.into());
        Self { relayed, username, user, transaction, expires, permissions, channels }
    }

    /// Lets `ip` send to it, whatever the port, for five minutes from now.
    pub fn permit(&mut self, now: Duration, ip: IpAddr) {
        self.permissions.insert(ip, now + PERMISSION_LIFETIME);
    }

    /// Whether `ip` may send to it and be sent to.
    pub fn permits(&self, now: Duration, ip: IpAddr) -> bool {
        self.permissions.get(&ip).is_some_and(|&expires| now < expires)
    }

    /// Binds a channel to a peer, or keeps it for ten more minutes.
    ///
    /// # Errors
    /// If either is bound otherwise, or there is no room.
    pub fn bind(&mut self, now: Duration, number: u16, peer: SocketAddr) -> Result<(), Unbound> {
        self.channels.retain(|_, (_, expires)| now < *expires);
        let taken =
            self.channels.iter().any(|(&other, (address, _))| (other == number) != (*address == peer));
        if taken {
            return Err(Unbound::Taken);
        }
        if self.channels.len() >= CHANNELS_MAX && !self.channels.contains_key(&number) {
            return Err(Unbound::Full);
        }
        self.channels.insert(number, (peer, now + CHANNEL_LIFETIME));
        self.permit(now, peer.ip());
        Ok(())
    }

    /// The peer behind a channel.
    pub fn peer_of(&self, now: Duration, number: u16) -> Option<SocketAddr> {
        self.channels.get(&number).filter(|(_, expires)| now < *expires).map(|(peer, _)| *peer)
    }

    /// The channel to a peer.
    pub fn channel_to(&self, now: Duration, peer: SocketAddr) -> Option<u16> {
        let mut all = self.channels.iter();
        all.find(|(_, (address, expires))| *address == peer && now < *expires).map(|(&number, _)| number)
    }

    /// Whether it is over.
    pub fn is_over(&self, now: Duration) -> bool {
        now >= self.expires
    }
}

/// How long an allocation is given that was asked for with this LIFETIME (RFC 8656 sections 7.2 and 8.2).
pub fn granted(asked: Option<u32>) -> Duration {
    let asked = asked.map_or(LIFETIME_DEFAULT, |seconds| Duration::from_secs(seconds.into()));
    asked.clamp(LIFETIME_DEFAULT, LIFETIME_MAX)
}

/// All allocations, found by client and by port.
#[derive(Debug, Default)]
pub struct Allocations {
    by_client: BTreeMap<Client, Allocation>,
    by_port: BTreeMap<u16, Client>,
}

impl Allocations {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_client.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_client.is_empty()
    }

    /// How many a user has.
    pub fn of_user(&self, user: &str) -> usize {
        self.by_client.values().filter(|allocation| allocation.user == user).count()
    }

    /// A client's own.
    pub fn get(&self, client: Client) -> Option<&Allocation> {
        self.by_client.get(&client)
    }

    /// A client's own.
    pub fn get_mut(&mut self, client: Client) -> Option<&mut Allocation> {
        self.by_client.get_mut(&client)
    }

    /// The one behind a relayed address.
    pub fn at(&self, relayed: SocketAddr) -> Option<(Client, &Allocation)> {
        let client = *self.by_port.get(&relayed.port())?;
        let allocation = self.by_client.get(&client)?;
        (allocation.relayed == relayed).then_some((client, allocation))
    }

    /// Adds one; its client must have none and its port be free.
    pub fn insert(&mut self, client: Client, allocation: Allocation) {
        self.by_port.insert(allocation.relayed.port(), client);
        self.by_client.insert(client, allocation);
    }

    /// Ends one.
    pub fn remove(&mut self, client: Client) -> Option<Allocation> {
        let allocation = self.by_client.remove(&client)?;
        self.by_port.remove(&allocation.relayed.port());
        Some(allocation)
    }

    /// Those whose time is over.
    pub fn over(&self, now: Duration) -> Vec<Client> {
        let over = self.by_client.iter().filter(|(_, allocation)| allocation.is_over(now));
        over.map(|(client, _)| *client).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Allocation, CHANNEL_LIFETIME, CHANNELS_MAX, PERMISSION_LIFETIME, Unbound, granted};
    use std::net::SocketAddr;
    use std::time::Duration;

    fn peer(port: u16) -> SocketAddr {
        ([192, 0, 2, 1], port).into()
    }

    fn allocation() -> Allocation {
        Allocation::new(peer(49152), ("1:ada", "ada"), [0; 12], Duration::from_secs(600))
    }

    #[test]
    fn a_permission_and_a_channel_last_as_long_as_the_rfc_says() {
        let (mut allocation, now) = (allocation(), Duration::from_secs(7));
        assert!(!allocation.permits(now, peer(1).ip()));
        allocation.bind(now, 0x4000, peer(50000)).unwrap();
        let second = Duration::from_secs(1);
        assert!(allocation.permits(now + PERMISSION_LIFETIME - second, peer(1).ip()));
        assert!(!allocation.permits(now + PERMISSION_LIFETIME, peer(1).ip()));
        assert_eq!(allocation.peer_of(now + CHANNEL_LIFETIME - second, 0x4000), Some(peer(50000)));
        assert_eq!(allocation.channel_to(now + CHANNEL_LIFETIME - second, peer(50000)), Some(0x4000));
        assert_eq!(allocation.peer_of(now + CHANNEL_LIFETIME, 0x4000), None);
        assert_eq!(allocation.channel_to(now + CHANNEL_LIFETIME, peer(50000)), None);
    }

    #[test]
    fn a_channel_and_a_peer_belong_together_until_they_expire() {
        let mut allocation = allocation();
        allocation.bind(Duration::ZERO, 0x4000, peer(50000)).unwrap();
        allocation.bind(Duration::ZERO, 0x4000, peer(50000)).unwrap();
        assert_eq!(allocation.bind(Duration::ZERO, 0x4000, peer(50001)), Err(Unbound::Taken));
        assert_eq!(allocation.bind(Duration::ZERO, 0x4001, peer(50000)), Err(Unbound::Taken));
        allocation.bind(CHANNEL_LIFETIME, 0x4001, peer(50000)).unwrap();
    }

    #[test]
    fn channels_are_no_more_than_there_is_room_for() {
        let mut allocation = allocation();
        for number in 0..CHANNELS_MAX {
            let number = u16::try_from(number).unwrap();
            allocation.bind(Duration::ZERO, 0x4000 + number, peer(50000 + number)).unwrap();
        }
        assert_eq!(allocation.bind(Duration::ZERO, 0x4fff, peer(49999)), Err(Unbound::Full));
    }

    #[test]
    fn a_lifetime_is_between_ten_minutes_and_an_hour() {
        assert_eq!(granted(None).as_secs(), 600);
        assert_eq!(granted(Some(1)).as_secs(), 600);
        assert_eq!(granted(Some(1200)).as_secs(), 1200);
        assert_eq!(granted(Some(u32::MAX)).as_secs(), 3600);
    }
}
