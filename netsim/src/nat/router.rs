//! The translating router.
//!
//! A *mapping* ties an inside endpoint to an external one, for all remotes or for some ([`Scope`]). A
//! *session* is a remote that a mapping has sent to: the filter lets in whom a session names. A *leak* is a flow
//! that the router itself accepted (leaky routers only); it occupies that flow for good until it ages out.
//! No two mappings ever share an external port (no port overloading, RFC 4787 REQ-3), so a port that is
//! preserved for one remote is not at hand for another mapping of the same inside port.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::aging::Aging;
use super::mapping::{Mapping, Scope, Session, expiry, remote, scope, secs, timeout};
use super::ports::{Blocks, Ports};
use super::{Dropped, NatConfig, Pooling, Transport};

/// A NAT between one inside network and the outside; see the module's text for what it leaves out.
///
/// Times are since the simulation's start and must not go back.
#[derive(Debug)]
pub struct Nat {
    config: NatConfig,
    external: Vec<IpAddr>,
    rng: ChaCha8Rng,
    /// Decides which host gets which external address; drawn anew at each boot.
    pairing: u64,
    next_id: u64,
    mappings: Aging<u64, Mapping>,
    by_inside: BTreeMap<(Transport, SocketAddr, Scope), u64>,
    by_external: BTreeMap<(Transport, SocketAddr), u64>,
    /// By mapping and remote; the remote's port is 0 where the filter does not look at it.
    sessions: Aging<(u64, SocketAddr), Session>,
    leaks: Aging<Leak, ()>,
    ports: Ports,
    blocks: Option<Blocks>,
}

/// A flow that belongs to the router: transport, external endpoint, remote.
type Leak = (Transport, SocketAddr, SocketAddr);

impl Nat {
    /// A router that has just booted, with these external addresses (several of a family form a pool).
    pub fn new(config: &NatConfig, external: Vec<IpAddr>, seed: u64) -> Nat {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        Nat {
            external,
            pairing: rng.random(),
            next_id: 0,
            mappings: Aging::new(),
            by_inside: BTreeMap::new(),
            by_external: BTreeMap::new(),
            sessions: Aging::new(),
            leaks: Aging::new(),
            ports: Ports::new(config, &mut rng),
            blocks: Blocks::new(config),
            config: config.clone(),
            rng,
        }
    }

    /// A packet from the inside endpoint `from` to `to`: as whom it leaves.
    pub fn outbound(
        &mut self,
        now: Duration,
        transport: Transport,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Result<SocketAddr, Dropped> {
        self.expire(now);
        let id = match self.find(transport, from, to) {
            Some(id) => id,
            None => self.map(now, transport, from, to)?,
        };
        self.touch_session(now, id, to)?;
        // REQ-6: an outbound packet always refreshes.
        Ok(self.refresh(now, id).external)
    }

    /// A packet from outside to one of our external addresses: to whom inside it goes.
    pub fn inbound(
        &mut self,
        now: Duration,
        transport: Transport,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Result<SocketAddr, Dropped> {
        self.expire(now);
        let leak = (transport, to, from);
        if self.leaks.contains(&leak) {
            self.leak(now, leak);
            return Err(Dropped::IntoRouter);
        }
        match self.admit(now, transport, from, to) {
            Ok(inside) => Ok(inside),
            Err(_) if self.config.leaky && self.leak(now, leak) => Err(Dropped::IntoRouter),
            Err(dropped) => Err(dropped),
        }
    }

    /// A packet from inside to one of our own external addresses (section 6): the source that the receiver
    /// sees, and the receiver inside. Filters apply as to any inbound packet.
    pub fn hairpin(
        &mut self,
        now: Duration,
        transport: Transport,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Result<(SocketAddr, SocketAddr), Dropped> {
        if !self.config.hairpin {
            return Err(Dropped::NoHairpin);
        }
        // REQ-9a: "External source IP address and port".
        let source = self.outbound(now, transport, from, to)?;
        let receiver = self.inbound(now, transport, source, to)?;
        Ok((source, receiver))
    }

    /// Power cycle: everything is forgotten, and ports that are not preserved come out different.
    pub fn reboot(&mut self, now: Duration) {
        self.expire(now);
        self.mappings.clear();
        self.by_inside.clear();
        self.by_external.clear();
        self.sessions.clear();
        self.leaks.clear();
        if let Some(blocks) = &mut self.blocks {
            blocks.clear();
        }
        self.pairing = self.rng.random();
        self.ports = Ports::new(&self.config, &mut self.rng);
    }

    /// Other external addresses; mappings on addresses that are gone are forgotten, the rest stay.
    pub fn renumber(&mut self, now: Duration, external: Vec<IpAddr>) {
        self.expire(now);
        self.external = external;
        let gone = |address: SocketAddr| !self.external.contains(&address.ip());
        let lost: Vec<u64> =
            self.mappings.iter().filter(|(_, m)| gone(m.external)).map(|(id, _)| *id).collect();
        let leaks: Vec<Leak> =
            self.leaks.iter().filter(|(leak, ())| gone(leak.1)).map(|(leak, ())| *leak).collect();
        for id in lost {
            let mapping = self.mappings.remove(&id).expect("listed above");
            self.forget(id, &mapping);
        }
        for leak in leaks {
            self.leaks.remove(&leak);
        }
    }

    /// Mappings at the time of the last call, never above `mappings_max`.
    pub fn mappings(&self) -> usize {
        self.mappings.len()
    }

    /// Remotes remembered at the time of the last call, the router's own flows included; never above
    /// `sessions_max`.
    pub fn sessions(&self) -> usize {
        self.sessions.len() + self.leaks.len()
    }

    /// The external addresses.
    pub fn external(&self) -> &[IpAddr] {
        &self.external
    }

    fn sessions_full(&self) -> bool {
        self.sessions() >= self.config.sessions_max
    }

    fn expire(&mut self, now: Duration) {
        while self.sessions.pop_expired(now).is_some() {}
        while self.leaks.pop_expired(now).is_some() {}
        while let Some((id, mapping)) = self.mappings.pop_expired(now) {
            self.forget(id, &mapping);
        }
    }

    /// Takes a removed mapping out of the indexes.
    fn forget(&mut self, id: u64, mapping: &Mapping) {
        self.by_inside.remove(&(mapping.transport, mapping.inside, mapping.scope));
        self.by_external.remove(&(mapping.transport, mapping.external));
        for key in self.sessions.keys_in((id, LEAST)..=(id, GREATEST)) {
            self.sessions.remove(&key);
        }
        if let Some(blocks) = &mut self.blocks {
            blocks.on_unmapped(mapping.external.ip(), mapping.inside.ip());
        }
    }

    /// REQ-1: the mapping that a packet uses, if there is one.
    fn find(&self, transport: Transport, from: SocketAddr, to: SocketAddr) -> Option<u64> {
        let scope = scope(self.config.mapping, to);
        if self.config.leaky
            && let Some(id) = self.by_inside.get(&(transport, from, Scope::Endpoint(to)))
        {
            return Some(*id);
        }
        let id = *self.by_inside.get(&(transport, from, scope))?;
        let mapping = self.mappings.get(&id).expect("indexes name live mappings");
        // The flow is the router's own: this packet has to become another one.
        let taken = self.leaks.contains(&(transport, mapping.external, to));
        (!taken).then_some(id)
    }

    fn map(
        &mut self,
        now: Duration,
        transport: Transport,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Result<u64, Dropped> {
        let no_session = remote(self.config.filtering, to).is_some() && self.sessions_full();
        if self.mappings.len() >= self.config.mappings_max || no_session {
            return Err(Dropped::TableFull);
        }
        let ip = self.external_for(from.ip())?;
        let range = match &self.blocks {
            Some(blocks) => blocks.range(ip, from.ip(), &mut self.rng).ok_or(Dropped::PortsExhausted)?,
            None => self.config.port_range,
        };
        let leaked = |port| self.leaks.contains(&(transport, SocketAddr::new(ip, port), to));
        let free =
            |port| !self.by_external.contains_key(&(transport, SocketAddr::new(ip, port))) && !leaked(port);
        let ordinary = scope(self.config.mapping, to);
        // Only this remote's packets have to avoid the leaked port: they get a mapping of their own.
        let moved = self.by_inside.contains_key(&(transport, from, ordinary))
            || self.ports.preferred(from.port()).is_some_and(leaked);
        let port = self.ports.pick(range, from.port(), &mut self.rng, free).ok_or(Dropped::PortsExhausted)?;

        let id = self.next_id;
        self.next_id += 1;
        let external = SocketAddr::new(ip, port);
        let scope = if moved { Scope::Endpoint(to) } else { ordinary };
        let end = self.config.mapping_lifetime_s.map(|seconds| now + secs(seconds));
        let mapping = Mapping { transport, inside: from, external, scope, replied: false, end };
        let expires = expiry(&self.config, now, &mapping);
        self.mappings.insert(id, mapping, expires);
        self.by_inside.insert((transport, from, scope), id);
        self.by_external.insert((transport, external), id);
        if let Some(blocks) = &mut self.blocks {
            blocks.on_mapped(ip, from.ip(), port);
        }
        Ok(id)
    }

    /// REQ-2: which external address an inside host gets.
    fn external_for(&mut self, inside: IpAddr) -> Result<IpAddr, Dropped> {
        let pool = || self.external.iter().filter(|ip| ip.is_ipv4() == inside.is_ipv4());
        let count = pool().count();
        let index = match (count, self.config.pooling) {
            (0, _) => return Err(Dropped::NoExternalAddress),
            (1, _) => 0,
            (_, Pooling::Arbitrary) => self.rng.random_range(0..count),
            // A draw that depends on nothing but the boot and the host needs no table of pairs.
            (_, Pooling::Paired) => {
                ChaCha8Rng::seed_from_u64(self.pairing ^ digest(inside)).random_range(0..count)
            }
        };
        Ok(*pool().nth(index).expect("the index is below the count"))
    }

    /// Remembers that the mapping sends to `to`, where the filter wants to know.
    fn touch_session(&mut self, now: Duration, id: u64, to: SocketAddr) -> Result<(), Dropped> {
        let Some(remote) = remote(self.config.filtering, to) else { return Ok(()) };
        let full = self.sessions_full();
        let transport = self.mappings.get(&id).expect("just found or made").transport;
        match self.sessions.get_mut(&(id, remote)) {
            Some((session, expires)) => {
                *expires = (now + timeout(&self.config, transport, session.replied)).max(*expires);
            }
            None if full => return Err(Dropped::TableFull),
            None => {
                let expires = now + timeout(&self.config, transport, false);
                self.sessions.insert((id, remote), Session { replied: false }, expires);
            }
        }
        Ok(())
    }

    fn refresh(&mut self, now: Duration, id: u64) -> &Mapping {
        let (mapping, expires) = self.mappings.get_mut(&id).expect("just found or made");
        *expires = expiry(&self.config, now, mapping).max(*expires);
        mapping
    }

    /// REQ-8: whether a mapping takes an inbound packet, and for whom.
    fn admit(
        &mut self,
        now: Duration,
        transport: Transport,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Result<SocketAddr, Dropped> {
        let id = *self.by_external.get(&(transport, to)).ok_or(Dropped::NoMapping)?;
        if let Some(remote) = remote(self.config.filtering, from) {
            let (session, expires) = self.sessions.get_mut(&(id, remote)).ok_or(Dropped::Filtered)?;
            session.replied = true;
            if self.config.inbound_refresh {
                *expires = (now + timeout(&self.config, transport, true)).max(*expires);
            }
        }
        let (mapping, expires) = self.mappings.get_mut(&id).expect("indexes name live mappings");
        mapping.replied = true;
        if self.config.inbound_refresh {
            *expires = expiry(&self.config, now, mapping).max(*expires);
        }
        Ok(mapping.inside)
    }

    /// The router accepts the packet for itself; false if it has no room to remember it.
    fn leak(&mut self, now: Duration, leak: Leak) -> bool {
        // Nobody answers on the router's side, so the flow ages as one without a reply.
        let until = now + timeout(&self.config, leak.0, false);
        if let Some(((), expires)) = self.leaks.get_mut(&leak) {
            *expires = until;
            return true;
        }
        let room = !self.sessions_full();
        if room {
            self.leaks.insert(leak, (), until);
        }
        room
    }
}

const LEAST: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);
/// Above every address in `SocketAddr`'s order, which puts IPv6 after IPv4.
const GREATEST: SocketAddr = SocketAddr::V6(std::net::SocketAddrV6::new(
    std::net::Ipv6Addr::from_bits(u128::MAX),
    u16::MAX,
    u32::MAX,
    u32::MAX,
));

/// A number for an address, spread over all 64 bits (FNV-1a).
fn digest(ip: IpAddr) -> u64 {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let basis = 0xcbf2_9ce4_8422_2325;
    match ip {
        IpAddr::V4(ip) => ip.octets().iter().fold(basis, mix),
        IpAddr::V6(ip) => ip.octets().iter().fold(basis, mix),
    }
}
