//! The task that owns all paths.

use super::gather::Local;
use super::peer::{Around, Peer};
use super::punch::Puncher;
use super::relaying::Relaying;
use super::{Attach, Gathered, Notice, Request, Settings};
use crate::net::platform::Platform;
use crate::net::port_mapping::{PortMapping, State};
use crate::net::socket::{PathSocket, StunDatagram};
use protocol::ice::username_of;
use protocol::path::Via;
use protocol::reach::Reach;
use protocol::reflexive::{Discovery, Event as Found};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How often the table is asked what changed. Where datagrams go does not wait for this.
const TICK: Duration = Duration::from_millis(100);

/// Names that are not looked up by then are left out.
const LOOKUP_DEADLINE: Duration = Duration::from_secs(2);

/// When everything on the active path has been silent for this many ticks, all paths are checked anew, and the servers
/// are asked where we are: nobody tells us when a router between us and the internet gets another address.
const TICKS_BEFORE_RECHECK: u32 = 3;

/// They are asked again after so many more.
const TICKS_BETWEEN_RECHECKS: u32 = 30;

pub(super) struct Task {
    socket: Arc<PathSocket>,
    platform: Arc<dyn Platform>,
    settings: Settings,
    notices: mpsc::Sender<Notice>,
    told: watch::Sender<Gathered>,
    local: Local,
    discovery: Option<Discovery>,
    /// The STUN servers' names are being looked up.
    resolving: bool,
    relaying: Relaying,
    mapping: Option<PortMapping>,
    puncher: Puncher,
    peers: BTreeMap<SocketAddr, Peer>,
    next_spare: u16,
    /// The zero of the agents' clock.
    zero: Instant,
    silent_ticks: BTreeMap<SocketAddr, u32>,
    /// A NAT of ours gave our socket another port though it was in use.
    remapped: bool,
}

impl Task {
    pub(super) fn new(
        socket: Arc<PathSocket>,
        platform: Arc<dyn Platform>,
        settings: Settings,
        notices: mpsc::Sender<Notice>,
    ) -> (Self, watch::Receiver<Gathered>) {
        let (told, gathered) = watch::channel(Gathered::default());
        let local = Local { relay_only: settings.relay_only, no_lan: settings.no_lan, ..Local::default() };
        if settings.relay_only {
            socket.hide();
        }
        let relaying = Relaying::new(socket.clone(), platform.clone(), &settings.turn);
        let port = socket.real_addr().ok().and_then(|address| NonZeroU16::new(address.port()));
        let mapped = settings.port_mapping && !settings.relay_only;
        let mapping = port.filter(|_| mapped).map(PortMapping::start);
        let mut task = Self {
            socket,
            platform,
            settings,
            notices,
            told,
            local,
            discovery: None,
            resolving: true,
            relaying,
            mapping,
            puncher: Puncher::default(),
            peers: BTreeMap::new(),
            next_spare: 0,
            zero: Instant::now(),
            silent_ticks: BTreeMap::new(),
            remapped: false,
        };
        task.look_at_interfaces();
        task.publish();
        (task, gathered)
    }

    pub(super) async fn run(
        mut self,
        mut requests: mpsc::Receiver<Request>,
        mut stun: mpsc::Receiver<StunDatagram>,
    ) {
        let platform = self.platform.clone();
        let names = if self.settings.relay_only { Vec::new() } else { self.settings.stun.clone() };
        let mut resolving = Box::pin(resolve(platform.clone(), names));
        let mut network_changed = platform.changed();
        let changed = self.relaying.changed.clone();
        let mut next_tick = Instant::now() + TICK;
        let closing = loop {
            let deadline = self.deadline().map_or(next_tick, |deadline| next_tick.min(self.zero + deadline));
            tokio::select! {
                biased;
                request = requests.recv() => match request {
                    Some(Request::Close(reply)) => break Some(reply),
                    Some(request) => self.on_request(request),
                    None => break None,
                },
                () = &mut network_changed => {
                    network_changed = platform.changed();
                    self.on_network_changed();
                }
                servers = &mut resolving, if self.resolving => self.start_discovery(servers),
                mapping = mapping_changed(&mut self.mapping) => {
                    tracing::debug!(?mapping, "the router was asked for a port");
                    self.local.mapped = mapping.external();
                    self.on_local_changed();
                }
                () = changed.notified() => self.on_relays_changed(),
                Some(message) = stun.recv() => self.on_stun(&message),
                () = tokio::time::sleep_until(deadline) => {}
            }
            let now = Instant::now();
            self.work();
            if now >= next_tick {
                next_tick = now + TICK;
                self.tick();
            }
        };
        for peer in self.peers.values_mut() {
            peer.end(&self.socket);
        }
        if let Some(mapping) = self.mapping {
            mapping.close().await;
        }
        // Nobody may be waiting for it any more.
        closing.map(|closing| closing.send(()));
    }

    fn now(&self) -> Duration {
        self.zero.elapsed()
    }

    fn deadline(&self) -> Option<Duration> {
        let agents = self.peers.values().filter_map(Peer::deadline);
        agents.chain(self.discovery.as_ref().and_then(Discovery::poll_timeout)).min()
    }

    fn on_request(&mut self, request: Request) {
        match request {
            Request::Attach(attach) => self.attach(&attach),
            Request::Detach(address) => {
                if let Some(mut peer) = self.peers.remove(&address) {
                    peer.end(&self.socket);
                }
                self.silent_ticks.remove(&address);
            }
            Request::Remote(address, candidates) => {
                let now = self.now();
                if let Some(peer) = self.peers.get_mut(&address) {
                    peer.on_candidates(&candidates, &self.local, now);
                }
            }
            Request::RelayRoute(to, reply) => self.relaying.route(to, reply),
            Request::Borrow(server) => self.relaying.borrow(server),
            Request::Punch(reach, how_long) => self.punch(&reach, how_long),
            // Ends the loop.
            Request::Close(_) => {}
        }
    }

    fn attach(&mut self, attach: &Attach) {
        let Attach { connection, dialled } = attach;
        let (seed, now) = (self.socket.seed(), self.now());
        let birthday = !self.settings.no_birthday;
        let Some(peer) = Peer::new(connection, *dialled, seed, &self.local, birthday, now) else { return };
        self.socket.paths().set_controlling(peer.address, *dialled);
        if let Some(mut former) = self.peers.insert(peer.address, peer) {
            former.end(&self.socket);
        }
        self.tell_candidates();
    }

    /// Tells each peer where we may be reached, when that is not what it knows.
    fn tell_candidates(&mut self) {
        for peer in self.peers.values_mut() {
            let message = peer.message(&self.local);
            if peer.told.as_ref() != Some(&message) {
                let notice = Notice::Candidates(peer.address, message.clone());
                // Without room it is told at the next tick.
                if self.notices.try_send(notice).is_ok() {
                    peer.told = Some(message);
                }
            }
        }
    }

    fn on_stun(&mut self, message: &StunDatagram) {
        let StunDatagram { route, bytes } = message;
        let now = self.now();
        if let Some((receiver, _)) = username_of(bytes) {
            if let Some(peer) = self.peers.values_mut().find(|peer| peer.ufrag == receiver) {
                peer.handle(*route, bytes, now);
            }
            return;
        }
        if route.via == Via::Socket
            && let Some(discovery) = &mut self.discovery
            && discovery.handle(now, route.to, bytes)
        {
            return;
        }
        for peer in self.peers.values_mut() {
            if peer.handle(*route, bytes, now) {
                return;
            }
        }
    }

    fn work(&mut self) {
        let now = self.now();
        self.work_discovery(now);
        let mut around =
            Around { socket: &self.socket, platform: &self.platform, next_spare: &mut self.next_spare, now };
        for peer in self.peers.values_mut() {
            peer.work(&mut around);
        }
    }

    fn work_discovery(&mut self, now: Duration) {
        let Some(discovery) = &mut self.discovery else { return };
        if discovery.poll_timeout().is_some_and(|deadline| deadline <= now) {
            discovery.handle_timeout(now);
        }
        while let Some((server, request)) = discovery.poll_transmit() {
            // What cannot be sent now is repeated.
            let _ = self.socket.send_to(server, &request);
        }
        let found: Vec<Found> = std::iter::from_fn(|| discovery.poll_event()).collect();
        for event in &found {
            match event {
                Found::Reflexive { mapped, .. } => self.on_seen(*mapped),
                Found::Nat(report) => self.local.nat = *report,
                Found::ServerFailed { server } => tracing::debug!(%server, "a STUN server does not answer"),
            }
        }
        if !found.is_empty() {
            self.on_local_changed();
        }
    }

    /// A server sees us there.
    fn on_seen(&mut self, mapped: SocketAddr) {
        let reflexive = &mut self.local.reflexive;
        let before = reflexive.iter().find(|known| known.is_ipv4() == mapped.is_ipv4());
        self.remapped |= before.is_some_and(|before| before.ip() == mapped.ip() && *before != mapped);
        reflexive.retain(|known| known.is_ipv4() != mapped.is_ipv4());
        reflexive.push(mapped);
    }

    fn tick(&mut self) {
        let now = self.now();
        let mut is_lost = false;
        for peer in self.peers.values_mut() {
            let change = self.socket.paths().tick(peer.address, Instant::now());
            peer.follow_table(&self.socket, now);
            if let Some(change) = change {
                let notice =
                    Notice::Path { peer: peer.address, kind: change.kind, reason: change.reason.to_string() };
                let _ = self.notices.try_send(notice);
            }
            let ticks = self.silent_ticks.entry(peer.address).or_default();
            *ticks = if self.socket.paths().is_suspected(peer.address) { *ticks + 1 } else { 0 };
            if *ticks % TICKS_BETWEEN_RECHECKS == TICKS_BEFORE_RECHECK {
                peer.recheck(now);
                is_lost = true;
            }
        }
        if is_lost {
            self.socket.relays().suspect();
            if let Some(discovery) = &mut self.discovery {
                discovery.doubt(now);
            }
        }
        self.rotate();
        self.tell_candidates();
    }

    /// Ports that our NAT is about to forget are given up for fresh ones.
    fn rotate(&mut self) {
        if !self.remapped || self.settings.relay_only {
            return;
        }
        let now = self.now();
        let wants = |peer: &&mut Peer| self.socket.paths().wants_rotation(peer.address, Instant::now());
        let mut around =
            Around { socket: &self.socket, platform: &self.platform, next_spare: &mut self.next_spare, now };
        for peer in self.peers.values_mut().filter(wants) {
            let stun = self.discovery.iter().flat_map(Discovery::servers);
            let servers = stun.chain(self.socket.relays().servers()).collect();
            peer.rotate(servers, &mut around);
        }
    }

    /// The addresses of this machine changed, or its routes, or a cable was pulled.
    fn on_network_changed(&mut self) {
        let before = self.local.hosts.clone();
        self.look_at_interfaces();
        tracing::debug!(?before, after = ?self.local.hosts, "the network has changed");
        let now = self.now();
        if before != self.local.hosts {
            // Where servers saw us was another network.
            self.local.reflexive.clear();
            self.remapped = false;
            self.peers.values_mut().for_each(Peer::network_changed);
            if let Some(discovery) = &mut self.discovery {
                discovery.recheck(self.platform.addresses(), now);
            }
            self.on_local_changed();
        }
        self.socket.relays().network_changed();
        if let Some(mapping) = &self.mapping {
            mapping.network_changed();
        }
        for peer in self.peers.values_mut() {
            peer.recheck(now);
        }
    }

    fn look_at_interfaces(&mut self) {
        if let Ok(socket) = self.socket.real_addr() {
            self.local.set_interfaces(socket, self.platform.addresses());
        }
    }

    fn on_relays_changed(&mut self) {
        self.relaying.answer();
        for notice in self.relaying.complaints() {
            let _ = self.notices.try_send(notice);
        }
        let allocations = self.relaying.allocations();
        // A TURN server is a STUN server, too.
        let seen = allocations.iter().find_map(|(_, allocation)| allocation.reflexive);
        let asks = |mapped: &SocketAddr| {
            let known = self.local.reflexive.iter().any(|known| known.is_ipv4() == mapped.is_ipv4());
            !known || self.discovery.as_ref().is_none_or(|discovery| discovery.servers().next().is_none())
        };
        if let Some(mapped) = seen.filter(|mapped| !self.local.relay_only && asks(mapped)) {
            self.on_seen(mapped);
        }
        self.local.relayed = allocations;
        self.on_local_changed();
    }

    fn on_local_changed(&mut self) {
        let now = self.now();
        for peer in self.peers.values_mut() {
            peer.set_local(&self.local, now);
        }
        self.tell_candidates();
        self.publish();
    }

    fn publish(&self) {
        let asked =
            self.discovery.as_ref().is_none_or(|d| !self.local.reflexive.is_empty() || d.is_settled());
        let gathered = Gathered {
            reach: self.local.reach(),
            settled: asked && !self.resolving && self.relaying.settled(),
            hosts: self.local.hosts.clone(),
            reflexive: self.local.reflexive.clone(),
            mapping: self.mapping.as_ref().map(|mapping| mapping.state.borrow().clone()),
            nat: self.local.nat,
            relays: self.relaying.states(),
        };
        let _ = self.told.send(gathered);
    }

    fn start_discovery(&mut self, servers: Vec<SocketAddr>) {
        self.resolving = false;
        let (own, seed, now) = (self.platform.addresses(), self.socket.seed(), self.now());
        self.discovery = (!servers.is_empty()).then(|| Discovery::new(servers, own, seed, now));
        self.publish();
    }

    fn punch(&mut self, reach: &Reach, how_long: Duration) {
        let relayed = reach.relays.iter().map(|relay| relay.address.ip());
        let ips: Vec<_> = reach.addresses.iter().map(SocketAddr::ip).chain(relayed).collect();
        for (_, allocation) in self.relaying.allocations() {
            for ip in &ips {
                self.socket.relays().permit(allocation.id, *ip);
            }
        }
        if !self.settings.relay_only {
            self.puncher.punch(&self.socket, reach.addresses.clone(), how_long);
        }
    }
}

/// Never, where no port is mapped.
async fn mapping_changed(mapping: &mut Option<PortMapping>) -> State {
    match mapping {
        Some(mapping) => mapping.changed().await,
        None => std::future::pending().await,
    }
}

/// The addresses of the STUN servers. A name that cannot be looked up is left out.
async fn resolve(platform: Arc<dyn Platform>, names: Vec<(String, u16)>) -> Vec<SocketAddr> {
    let mut lookups = JoinSet::new();
    for (order, (host, port)) in names.into_iter().enumerate() {
        let platform = platform.clone();
        lookups.spawn(async move { (order, platform.resolve(&host, port).await.unwrap_or_default()) });
    }
    let mut found = Vec::new();
    let deadline = Instant::now() + LOOKUP_DEADLINE;
    // A resolver that does not answer must not hold up those that did.
    while let Ok(Some(lookup)) = tokio::time::timeout_at(deadline, lookups.join_next()).await {
        found.extend(lookup);
    }
    found.sort_by_key(|(order, _)| *order);
    found.into_iter().flat_map(|(_, addresses)| addresses).collect()
}
