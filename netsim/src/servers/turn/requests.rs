//! The four authenticated requests.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rand::Rng;
use stun_rs::attributes::mobility::MobilityTicket;
use stun_rs::attributes::stun::XorMappedAddress;
use stun_rs::attributes::turn::{
    ChannelNumber, EvenPort, LifeTime, RequestedAddressFamily, RequestedTrasport, ReservationToken,
    XorPeerAddress, XorRelayedAddress,
};
use stun_rs::methods::{ALLOCATE, CHANNEL_BIND, CREATE_PERMMISSION};
use stun_rs::{AddressFamily, StunAttribute, StunMessage, protocols};

use super::allocation::Allocation;
use super::peers::is_allowed;
use super::{Client, TurnServer};
use crate::servers::message::{self, Refusal};

/// Random draws for a port before the search goes on port by port.
const DRAWS_MAX: u32 = 32;

type Outcome = Result<Vec<StunAttribute>, Refusal>;

impl TurnServer {
    pub(super) fn request(
        &mut self,
        now: Duration,
        client: Client,
        request: &StunMessage,
        datagram: &[u8],
    ) -> Vec<u8> {
        let (user, key) = match self.auth.authenticate(now, client.from, request, datagram) {
            Ok((user, key)) => (user.to_owned(), key.clone()),
            Err(refusal) => return message::response(request, Err(refusal), None),
        };
        self.tick(now);
        let unknown = message::unknown(request, &[]);
        let outcome = if !unknown.is_empty() {
            Err(Refusal::unknown(&unknown))
        } else {
            match request.method() {
                ALLOCATE => self.allocate(now, client, &user, request),
                CREATE_PERMMISSION => self.create_permission(now, client, &user, request),
                CHANNEL_BIND => self.channel_bind(now, client, &user, request),
                _ => self.refresh(now, client, &user, request),
            }
        };
        message::response(request, outcome, Some(&key))
    }

    /// RFC 8656 section 7.2, in the order of its list.
    fn allocate(&mut self, now: Duration, client: Client, user: &str, request: &StunMessage) -> Outcome {
        if let Some((relayed, allocation)) = self.allocation(now, client) {
            // A retransmission gets the same answer again.
            let again = allocation.transaction == *request.transaction_id();
            return if again { Ok(allocated(relayed, allocation)) } else { Err(Refusal::new(437)) };
        }
        let transport = request.get::<RequestedTrasport>().and_then(|a| a.as_requested_trasport().ok());
        match transport.map(RequestedTrasport::protocol) {
            None => return Err(Refusal::new(400)),
            Some(protocols::UDP) => {}
            Some(_) => return Err(Refusal::new(442)),
        }
        if request.get::<EvenPort>().is_some() || request.get::<ReservationToken>().is_some() {
            return Err(Refusal::new(508));
        }
        let family = requested_family(request).unwrap_or(AddressFamily::IPv4);
        let wants_ticket = request.get::<MobilityTicket>().is_some();
        if wants_ticket && !self.config.mobility {
            return Err(Refusal::new(405));
        }
        let used = self.allocations.values().filter(|allocation| allocation.user == user).count();
        if self.config.user_quota.is_some_and(|quota| used >= quota) {
            return Err(Refusal::new(486));
        }
        if self.allocations.len() >= self.config.allocations_max {
            return Err(Refusal::new(508));
        }
        let relayed = self.free_address(family)?;
        let lifetime_s = self.lifetime_s(request);
        let mut allocation = Allocation::new(now, client, user, *request.transaction_id(), lifetime_s);
        allocation.ticket = wants_ticket.then(|| self.ticket());
        let attributes = allocated(relayed, &allocation);
        self.allocations.insert(relayed, allocation);
        self.by_client.insert(client, relayed);
        Ok(attributes)
    }

    /// RFC 8656 section 8.2; with a ticket from another address RFC 8016 section 3.2.2.
    fn refresh(&mut self, now: Duration, client: Client, user: &str, request: &StunMessage) -> Outcome {
        let ticket = request.get::<MobilityTicket>().and_then(|a| a.as_mobility_ticket().ok());
        if let Some(ticket) = ticket {
            self.move_to(client, user, ticket.value())?;
        }
        let lifetime_s = self.lifetime_s(request);
        let next_ticket = ticket.map(|_| self.ticket());
        let (relayed, allocation) = self.owned(now, client, user)?;
        if requested_family(request).is_some_and(|family| family != family_of(relayed.ip())) {
            return Err(Refusal::new(443));
        }
        allocation.lifetime_s = lifetime_s;
        allocation.expires = now + Duration::from_secs(u64::from(lifetime_s));
        allocation.ticket = next_ticket.or(allocation.ticket.take());
        let mut attributes = vec![LifeTime::from(lifetime_s).into()];
        if ticket.is_some() {
            attributes.extend(allocation.ticket.as_ref().map(|ticket| MobilityTicket::new(ticket).into()));
        }
        if lifetime_s == 0 {
            self.release(relayed);
        }
        Ok(attributes)
    }

    /// The allocation with that ticket now belongs to `client`.
    fn move_to(&mut self, client: Client, user: &str, ticket: &[u8]) -> Result<(), Refusal> {
        if !self.config.mobility {
            return Err(Refusal::new(405));
        }
        let holder = self.allocations.iter_mut().find(|(_, a)| a.ticket.as_deref() == Some(ticket));
        let Some((relayed, allocation)) = holder else { return Err(Refusal::new(400)) };
        if allocation.user != user {
            return Err(Refusal::new(441));
        }
        if self.by_client.get(&client).is_some_and(|other| other != relayed) {
            return Err(Refusal::new(437));
        }
        self.by_client.remove(&allocation.client);
        self.by_client.insert(client, *relayed);
        allocation.client = client;
        Ok(())
    }

    /// RFC 8656 section 10.2: all peers or none.
    fn create_permission(
        &mut self,
        now: Duration,
        client: Client,
        user: &str,
        request: &StunMessage,
    ) -> Outcome {
        let (relayed, _) = self.owned(now, client, user)?;
        let named = request.attributes().iter().filter_map(|a| a.as_xor_peer_address().ok());
        let peers: Vec<IpAddr> = named.map(|peer| peer.socket_address().ip()).collect();
        if peers.is_empty() {
            return Err(Refusal::new(400));
        }
        for peer in &peers {
            self.check_peer(relayed, *peer)?;
        }
        let permissions_max = self.config.permissions_max;
        self.owned(now, client, user)?.1.permit(now, &peers, permissions_max)?;
        Ok(Vec::new())
    }

    /// RFC 8656 section 12.2.
    fn channel_bind(&mut self, now: Duration, client: Client, user: &str, request: &StunMessage) -> Outcome {
        let (relayed, _) = self.owned(now, client, user)?;
        let number = request.get::<ChannelNumber>().and_then(|a| a.as_channel_number().ok());
        let peer = request.get::<XorPeerAddress>().and_then(|a| a.as_xor_peer_address().ok());
        let (Some(number), Some(peer)) = (number, peer) else { return Err(Refusal::new(400)) };
        let (number, peer) = (number.number(), *peer.socket_address());
        // Section 12: 0x5000 and above are reserved.
        if !(0x4000..=0x4FFF).contains(&number) {
            return Err(Refusal::new(400));
        }
        self.check_peer(relayed, peer.ip())?;
        let (channels_max, permissions_max) = (self.config.channels_max, self.config.permissions_max);
        let (_, allocation) = self.owned(now, client, user)?;
        allocation.check_binding(now, number, peer, channels_max)?;
        // The permission comes with the channel.
        allocation.permit(now, &[peer.ip()], permissions_max)?;
        allocation.bind(now, number, peer);
        Ok(Vec::new())
    }

    /// The client's allocation; 437 if it has none, 441 if another user made it.
    fn owned(
        &mut self,
        now: Duration,
        client: Client,
        user: &str,
    ) -> Result<(SocketAddr, &mut Allocation), Refusal> {
        let (relayed, allocation) = self.allocation(now, client).ok_or(Refusal::new(437))?;
        if allocation.user != user {
            return Err(Refusal::new(441));
        }
        Ok((relayed, allocation))
    }

    fn check_peer(&self, relayed: SocketAddr, peer: IpAddr) -> Result<(), Refusal> {
        if peer.is_ipv4() != relayed.is_ipv4() {
            Err(Refusal::new(443))
        } else if !is_allowed(&self.config, peer) {
            Err(Refusal::new(403))
        } else {
            Ok(())
        }
    }

    /// Section 7.2: at least the default, at most the maximum; 0 only means something in a Refresh.
    fn lifetime_s(&self, request: &StunMessage) -> u32 {
        let asked = request.get::<LifeTime>().and_then(|a| a.as_life_time().ok()).map(LifeTime::as_u32);
        match asked {
            Some(0) if request.method() != ALLOCATE => 0,
            asked => asked.unwrap_or(0).max(self.config.lifetime_default_s).min(self.config.lifetime_max_s),
        }
    }

    /// A relayed address that nobody has: 440 if there is none of that family at all, 508 if all are taken.
    fn free_address(&mut self, family: AddressFamily) -> Result<SocketAddr, Refusal> {
        let of_family: Vec<IpAddr> =
            self.config.relay.iter().copied().filter(|ip| family_of(*ip) == family).collect();
        if of_family.is_empty() {
            return Err(Refusal::new(440));
        }
        let ip = of_family[self.rng.random_range(0..of_family.len())];
        let range = self.config.port_range;
        let start = self.rng.random_range(0..range.size());
        let draws: Vec<u32> = (0..DRAWS_MAX).map(|_| self.rng.random_range(0..range.size())).collect();
        draws
            .into_iter()
            .chain((0..range.size()).map(|offset| start + offset))
            .map(|index| SocketAddr::new(ip, range.at(index)))
            .find(|address| !self.allocations.contains_key(address))
            .ok_or(Refusal::new(508))
    }

    fn ticket(&mut self) -> Vec<u8> {
        self.rng.random::<[u8; 16]>().to_vec()
    }
}

/// The attributes of a success response to Allocate (section 7.3).
fn allocated(relayed: SocketAddr, allocation: &Allocation) -> Vec<StunAttribute> {
    let mut attributes = vec![
        XorRelayedAddress::from(relayed).into(),
        LifeTime::from(allocation.lifetime_s).into(),
        XorMappedAddress::from(allocation.client.from).into(),
    ];
    attributes.extend(allocation.ticket.as_ref().map(|ticket| MobilityTicket::new(ticket).into()));
    attributes
}

fn requested_family(request: &StunMessage) -> Option<AddressFamily> {
    let attribute = request.get::<RequestedAddressFamily>()?;
    attribute.as_requested_address_family().ok().map(RequestedAddressFamily::family)
}

fn family_of(ip: IpAddr) -> AddressFamily {
    if ip.is_ipv4() { AddressFamily::IPv4 } else { AddressFamily::IPv6 }
}
