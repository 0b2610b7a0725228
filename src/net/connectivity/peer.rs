//! One peer: its agent, and what the agent asks for and learns.

use super::gather::{self, Local};
use super::rotation::Rotation;
use crate::net::paths::Learnt;
use crate::net::platform::Platform;
use crate::net::socket::PathSocket;
use crate::net::udp::Udp;
use data_encoding::BASE32_NOPAD;
use protocol::control::Candidates;
use protocol::ice::{Agent, AgentConfig, Candidate, CandidateKind, Credentials, Event, NatReport, Role};
use protocol::local::is_local;
use protocol::path::{Kind, Route, Via};
use quinn::Connection;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// Both sides draw their agents' names and passwords from the connection's TLS session: nothing has to be sent, and
/// only the two of them know.
const EXPORTER_LABEL: &[u8] = b"EXPORTER-roundtable-ice-1";
const UFRAG_BYTES: usize = 5;
const PASSWORD_BYTES: usize = 16;

/// The largest STUN message that anybody sends us.
const STUN_BYTES_MAX: usize = 1500;

/// Relayed addresses of a peer that are known as such.
const RELAYED_MAX: usize = 64;

/// Datagrams read from a spare socket before others get their turn.
const SPARE_READS_MAX: usize = 64;

/// A peer whose paths are looked after.
pub(super) struct Peer {
    /// Its virtual address.
    pub(super) address: SocketAddr,
    /// Our agent's name, by which its peer's checks are told.
    pub(super) ufrag: String,
    agent: Agent,
    controlling: bool,
    /// What we have told it.
    pub(super) told: Option<Candidates>,
    locals: Vec<Candidate>,
    remote_nat: NatReport,
    relayed: BTreeSet<SocketAddr>,
    kept: Vec<Route>,
    spares: Vec<(u16, Arc<dyn Udp>)>,
    spare_reader: Option<AbortHandle>,
    rotation: Rotation,
}

/// What a peer's agent needs from around it.
pub(super) struct Around<'a> {
    pub(super) socket: &'a Arc<PathSocket>,
    pub(super) platform: &'a Arc<dyn Platform>,
    /// The number of the next spare socket.
    pub(super) next_spare: &'a mut u16,
    pub(super) now: Duration,
}

impl Peer {
    /// `None` when the connection is closed already.
    pub(super) fn new(
        connection: &Connection,
        dialled: bool,
        seed: [u8; 32],
        local: &Local,
        birthday: bool,
        now: Duration,
    ) -> Option<Self> {
        let mut secrets = [0; 2 * (UFRAG_BYTES + PASSWORD_BYTES)];
        connection.export_keying_material(&mut secrets, EXPORTER_LABEL, b"").ok()?;
        let (first, second) = secrets.split_at(UFRAG_BYTES + PASSWORD_BYTES);
        let credentials = |secret: &[u8]| Credentials {
            ufrag: BASE32_NOPAD.encode(&secret[..UFRAG_BYTES]).to_lowercase(),
            pwd: BASE32_NOPAD.encode(&secret[UFRAG_BYTES..]).to_lowercase(),
        };
        let (mine, theirs) = if dialled { (first, second) } else { (second, first) };
        let tie_breaker = u64::from_be_bytes(*seed.first_chunk().expect("a seed has 32 bytes"));
        let config = AgentConfig {
            role: if dialled { Role::Controlling } else { Role::Controlled },
            tie_breaker,
            local: credentials(mine),
            remote: credentials(theirs),
            seed,
            relay_only: local.relay_only,
            birthday: birthday && !local.relay_only,
        };
        let ufrag = config.local.ufrag.clone();
        let mut peer = Self {
            address: connection.remote_address(),
            ufrag,
            agent: Agent::new(config, now),
            controlling: dialled,
            told: None,
            locals: Vec::new(),
            remote_nat: NatReport::default(),
            relayed: BTreeSet::new(),
            kept: Vec::new(),
            spares: Vec::new(),
            spare_reader: None,
            rotation: Rotation::default(),
        };
        peer.set_local(local, now);
        Some(peer)
    }

    /// Our own addresses are these now.
    pub(super) fn set_local(&mut self, local: &Local, now: Duration) {
        let candidates = local.candidates();
        for gone in self.locals.iter().filter(|known| !candidates.contains(known)) {
            self.agent.remove_local(now, gone.via, gone.address);
        }
        for new in candidates.iter().filter(|candidate| !self.locals.contains(candidate)) {
            self.agent.add_local(now, *new);
        }
        self.locals = candidates;
        self.agent.set_nat(now, local.nat, self.remote_nat);
    }

    /// The peer told where it may be reached.
    pub(super) fn on_candidates(&mut self, told: &Candidates, local: &Local, now: Duration) {
        let (candidates, nat) = gather::read(told);
        self.remote_nat = nat;
        self.agent.set_nat(now, local.nat, nat);
        for (kind, address) in candidates {
            if kind == CandidateKind::Relayed {
                // Old ones are of no use to whoever tells of ever new ones.
                if self.relayed.len() >= RELAYED_MAX {
                    self.relayed.pop_first();
                }
                self.relayed.insert(address);
            }
            self.agent.add_remote(now, kind, address);
        }
    }

    /// A STUN message; whether it was this agent's.
    pub(super) fn handle(&mut self, route: Route, message: &[u8], now: Duration) -> bool {
        self.rotation.handle(route, message, now) || self.agent.handle_stun(now, route, message)
    }

    /// Our addresses may have changed: what worked has to show that it still does.
    pub(super) fn recheck(&mut self, now: Duration) {
        self.agent.recheck(now);
    }

    /// This machine is in another network.
    pub(super) fn network_changed(&mut self) {
        self.rotation.network_changed();
    }

    /// When it wants to be looked after.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.agent.poll_timeout().into_iter().chain(self.rotation.deadline()).min()
    }

    /// Sends what the agent wants sent, and tells the table what it learnt.
    pub(super) fn work(&mut self, around: &mut Around<'_>) {
        if self.agent.poll_timeout().is_some_and(|deadline| deadline <= around.now) {
            self.agent.handle_timeout(around.now);
        }
        self.work_rotation(around);
        while let Some(event) = self.agent.poll_event() {
            self.on_event(event, around);
        }
        while let Some(transmit) = self.agent.poll_transmit() {
            if let Via::Relay(relay) = transmit.route.via {
                around.socket.relays().permit(relay, transmit.route.to.ip());
            }
            // What cannot be sent now is repeated.
            let _ = around.socket.send(transmit.route, &transmit.bytes, transmit.hops);
        }
    }

    fn on_event(&mut self, event: Event, around: &mut Around<'_>) {
        let (route, learnt) = match event {
            Event::Valid { route, round_trip, .. } => (route, Learnt::Valid(round_trip)),
            Event::HeardFrom { route } => (route, Learnt::Heard),
            Event::Nominated { route } if !self.controlling => (route, Learnt::Nominated),
            Event::Nominated { .. } => return,
            Event::Expired { route } => (route, Learnt::Expired),
            Event::WantSpares { count } => return self.open_spares(count, around),
            Event::DropSpares { except } => return self.drop_spares(except, around.socket),
        };
        let kind = self.kind(route);
        around.socket.paths().learn(self.address, route, kind, learnt, Instant::now());
        if matches!(learnt, Learnt::Valid(_))
            && kind == Kind::Direct
            && let Some(closed) = self.rotation.on_valid(route, around.now)
        {
            around.socket.paths().rotate_to(self.address, route, Instant::now());
            self.drop_spare(closed, around);
        }
    }

    /// What it is told of the ways to us.
    pub(super) fn message(&self, local: &Local) -> Candidates {
        let mut message = local.message();
        if let Some(seen) = self.rotation.seen() {
            gather::add_reflexive(&mut message, seen);
        }
        message
    }

    /// A fresh port, if the one in use will be forgotten.
    pub(super) fn rotate(&mut self, servers: Vec<SocketAddr>, around: &mut Around<'_>) {
        if !self.rotation.may_begin(around.now) {
            return;
        }
        let own = around.platform.addresses();
        if let Some(number) = self.open_spare(around) {
            tracing::debug!(number, "a fresh port, before the old one is forgotten");
            self.rotation.begin(number, servers, own, around.socket.seed(), around.now);
            self.read_spares(around.socket);
        }
    }

    fn work_rotation(&mut self, around: &Around<'_>) {
        if let Some((number, address)) = self.rotation.work(around.socket, around.now) {
            let (kind, via) = (CandidateKind::ServerReflexive, Via::Spare(number));
            self.agent.add_local(around.now, Candidate { kind, address, via });
        }
        let given_up = self.rotation.give_up(around.now);
        self.drop_spare(given_up, around);
    }

    fn drop_spare(&mut self, number: Option<u16>, around: &Around<'_>) {
        let Some(number) = number else { return };
        self.agent.remove_spare(around.now, number);
        self.spares.retain(|(spare, _)| *spare != number);
        around.socket.remove_spare(number);
        self.read_spares(around.socket);
    }

    fn kind(&self, route: Route) -> Kind {
        if route.is_relayed() || self.relayed.contains(&route.to) {
            Kind::Relayed
        } else if is_local(route.to.ip()) {
            Kind::Lan
        } else {
            Kind::Direct
        }
    }

    /// Follows what the table made of it: routes in use are kept alive, bound, and told to the other side.
    pub(super) fn follow_table(&mut self, socket: &PathSocket, now: Duration) {
        let kept = socket.paths().kept(self.address);
        if kept == self.kept {
            return;
        }
        for route in &kept {
            if let Via::Relay(relay) = route.via {
                socket.relays().bind(relay, route.to);
            }
        }
        self.agent.keep(now, &kept);
        if self.controlling && kept.first() != self.kept.first() {
            self.agent.nominate(now, kept[0]);
        }
        self.kept = kept;
    }

    fn open_spares(&mut self, count: u16, around: &mut Around<'_>) {
        for _ in 0..count {
            let Some(number) = self.open_spare(around) else { break };
            self.agent.add_spare(around.now, number);
        }
        self.read_spares(around.socket);
    }

    fn open_spare(&mut self, around: &mut Around<'_>) -> Option<u16> {
        let udp: Arc<dyn Udp> = Arc::from(around.platform.spare_socket().ok()?);
        let number = *around.next_spare;
        *around.next_spare = number.wrapping_add(1);
        around.socket.add_spare(number, udp.clone());
        self.spares.push((number, udp));
        Some(number)
    }

    fn drop_spares(&mut self, except: Option<u16>, socket: &Arc<PathSocket>) {
        self.spares.retain(|(number, _)| {
            let keep = Some(*number) == except || self.rotation.holds(*number);
            if !keep {
                socket.remove_spare(*number);
            }
            keep
        });
        self.read_spares(socket);
    }

    /// One task reads all of them.
    fn read_spares(&mut self, socket: &Arc<PathSocket>) {
        if let Some(reader) = self.spare_reader.take() {
            reader.abort();
        }
        if self.spares.is_empty() {
            return;
        }
        let (socket, spares) = (socket.clone(), self.spares.clone());
        let mut buffer = vec![0; STUN_BYTES_MAX];
        let reading = poll_fn(move |cx| {
            for (number, udp) in &spares {
                let mut read = 0;
                while let Poll::Ready(received) = udp.poll_recv(cx, &mut buffer) {
                    // An error is an earlier packet's.
                    if let Ok((length, from)) = received {
                        let route = Route { via: Via::Spare(*number), to: from };
                        socket.deliver(route, buffer[..length].to_vec());
                    }
                    read += 1;
                    if read == SPARE_READS_MAX {
                        cx.waker().wake_by_ref();
                        break;
                    }
                }
            }
            Poll::<()>::Pending
        });
        self.spare_reader = Some(tokio::spawn(reading).abort_handle());
    }

    /// Lets go of its spare sockets.
    pub(super) fn end(&mut self, socket: &Arc<PathSocket>) {
        self.rotation = Rotation::default();
        self.drop_spares(None, socket);
    }
}
