//! Ways to the other members: finding out how we can be reached, and for each peer the best path there is.
//!
//! One task owns all of it ([`task`]): the agents that check paths (`protocol::ice`), the questions to STUN servers
//! (`protocol::reflexive`), the allocations on TURN servers ([`super::relays`]). What it learns about a path goes into
//! the socket's table ([`super::paths`]), which alone decides where a datagram goes. [`Connectivity`] is the handle
//! that the rest of the program holds.

mod gather;
mod peer;
mod punch;
mod relaying;
mod rotation;
mod task;

use super::node::Node;
use super::platform::Platform;
use super::port_mapping::State;
use super::socket::StunDatagram;
use protocol::control::Candidates;
use protocol::ice::NatReport;
use protocol::local::is_local;
use protocol::path::{Kind, Route};
use protocol::reach::{Reach, RelayedReach};
use protocol::turn::{TurnError, TurnServer};
use quinn::Connection;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

/// Requests waiting to be taken up.
const REQUESTS_QUEUE: usize = 256;

/// Notices waiting to be read.
const NOTICES_QUEUE: usize = 256;

/// How long a ticket waits for the answers of STUN servers alone.
const STUN_PATIENCE: Duration = Duration::from_millis(800);

/// How long it waits when there are TURN servers, without which it may be worth nothing.
const TURN_PATIENCE: Duration = Duration::from_secs(4);

/// How much longer it waits for the router when nobody outside could come by it otherwise. A router answers within
/// a few milliseconds, and no start should feel delayed.
const MAPPING_PATIENCE: Duration = Duration::from_millis(300);

/// How long leaving may be held up by a router that does not answer.
const CLOSE_PATIENCE: Duration = Duration::from_millis(1200);

/// What is to be used to find paths.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// STUN servers, by name or address, with their ports.
    pub stun: Vec<(String, u16)>,
    /// TURN servers on which we want to be reached.
    pub turn: Vec<TurnServer>,
    /// Never send a packet to a member's address, only to TURN servers.
    pub relay_only: bool,
    /// Local addresses are neither told nor used.
    pub no_lan: bool,
    /// No port is searched by trying many.
    pub no_birthday: bool,
    /// The router is asked to let others in.
    pub port_mapping: bool,
}

/// What is known of the ways to us.
#[derive(Debug, Clone, Default)]
pub struct Gathered {
    /// What others may be told.
    pub reach: Reach,
    /// Nothing more is expected soon.
    pub settled: bool,
    /// Our own addresses.
    pub hosts: Vec<SocketAddr>,
    /// Where STUN servers see us.
    pub reflexive: Vec<SocketAddr>,
    /// What the router said when it was asked for a port; nothing when it is not.
    pub mapping: Option<State>,
    /// How our NAT behaves, as far as it is known.
    pub nat: NatReport,
    /// Our own TURN servers, as `host:port`: where each relays for us, or why it does not; nothing while it is asked.
    pub relays: Vec<(String, Option<Result<SocketAddr, TurnError>>)>,
}

impl Gathered {
    /// Whether somebody outside of our network knows a way in from a ticket.
    fn can_be_reached(&self) -> bool {
        let Reach { addresses, relays } = &self.reach;
        !relays.is_empty() || addresses.iter().any(|address| !is_local(address.ip()))
    }

    /// Whether each of our TURN servers has answered, and one of them is a meeting place.
    fn has_all_relays(&self) -> bool {
        let answers = || self.relays.iter().map(|(_, state)| state.as_ref());
        answers().all(|answer| answer.is_some()) && answers().flatten().any(Result::is_ok)
    }

    fn is_router_silent(&self) -> bool {
        self.mapping == Some(State::Asking)
    }
}

/// Something the session has to know or to pass on.
#[derive(Debug)]
pub enum Notice {
    /// To be sent to the peer behind this virtual address.
    Candidates(SocketAddr, Candidates),
    /// The peer's datagrams go another way now.
    Path {
        /// The peer's virtual address.
        peer: SocketAddr,
        /// What kind of way it is.
        kind: Kind,
        /// Why, in the user's words.
        reason: String,
    },
    /// A TURN server that we wanted cannot be used.
    Relay {
        /// `host:port`.
        server: String,
        /// Why.
        error: TurnError,
    },
}

/// A peer whose paths are to be looked after.
#[derive(Debug)]
pub struct Attach {
    /// Its connection, authenticated.
    pub connection: Connection,
    /// Whether we opened it.
    pub dialled: bool,
}

#[derive(Debug)]
enum Request {
    Attach(Attach),
    Detach(SocketAddr),
    Remote(SocketAddr, Candidates),
    RelayRoute(RelayedReach, oneshot::Sender<Result<Route, TurnError>>),
    Borrow(String),
    Punch(Reach, Duration),
    Close(oneshot::Sender<()>),
}

/// The handle.
#[derive(Debug, Clone)]
pub struct Connectivity {
    requests: mpsc::Sender<Request>,
    gathered: watch::Receiver<Gathered>,
    relay_only: bool,
    patience: Duration,
}

impl Connectivity {
    /// Starts the task inside the current runtime. It ends when all handles are dropped.
    pub fn start(
        node: &Node,
        stun: mpsc::Receiver<StunDatagram>,
        platform: Arc<dyn Platform>,
        settings: Settings,
    ) -> (Self, mpsc::Receiver<Notice>) {
        let (requests, requested) = mpsc::channel(REQUESTS_QUEUE);
        let (notices, noticed) = mpsc::channel(NOTICES_QUEUE);
        let patience = match (&settings.turn[..], &settings.stun[..]) {
            ([], []) => Duration::ZERO,
            ([], _) => STUN_PATIENCE,
            (_, _) => TURN_PATIENCE,
        };
        let relay_only = settings.relay_only;
        let (task, gathered) = task::Task::new(node.socket_handle(), platform, settings, notices);
        tokio::spawn(task.run(requested, stun));
        (Self { requests, gathered, relay_only, patience }, noticed)
    }

    /// How we can be reached, as far as it is known now.
    pub fn reach(&self) -> Reach {
        self.gathered.borrow().reach.clone()
    }

    /// The same once it is enough for a ticket, or the servers have had their time.
    pub async fn settled_reach(&self) -> Reach {
        let mut gathered = self.gathered.clone();
        tokio::select! {
            biased;
            settled = self.settled() => settled.reach,
            // With a relay to meet on, nothing else that is asked for outside gets into tickets.
            Ok(enough) = gathered.wait_for(Gathered::has_all_relays) => enough.reach.clone(),
        }
    }

    /// Everything that is known, once the servers have answered or have had their time.
    pub async fn settled(&self) -> Gathered {
        let mut gathered = self.gathered.clone();
        let settled = gathered.wait_for(|gathered| gathered.settled);
        let _ = tokio::time::timeout(self.patience, settled).await;
        let decided = gathered.wait_for(|gathered| gathered.can_be_reached() || !gathered.is_router_silent());
        let _ = tokio::time::timeout(MAPPING_PATIENCE, decided).await;
        self.gathered.borrow().clone()
    }

    /// Whether packets may go to members directly.
    pub fn is_relay_only(&self) -> bool {
        self.relay_only
    }

    /// Looks for better paths to a peer from now on.
    pub fn attach(&self, attach: Attach) {
        self.request(Request::Attach(attach));
    }

    /// Lets go of a peer.
    pub fn detach(&self, peer: SocketAddr) {
        self.request(Request::Detach(peer));
    }

    /// What a peer told of the ways to it.
    pub fn on_candidates(&self, peer: SocketAddr, candidates: Candidates) {
        self.request(Request::Remote(peer, candidates));
    }

    /// The way to a relayed address, from an allocation of ours on the same server.
    pub async fn relay_route(&self, to: RelayedReach) -> Result<Route, TurnError> {
        let (reply, replied) = oneshot::channel();
        self.request(Request::RelayRoute(to, reply));
        replied.await.unwrap_or(Err(TurnError::NoAnswer))
    }

    /// Uses a TURN server that another member uses: whom our NAT keeps out can meet us there.
    pub fn borrow_relay(&self, to: &RelayedReach) {
        self.request(Request::Borrow(to.server.clone()));
    }

    /// Opens our NATs and relays for whoever is about to come from there.
    pub fn punch(&self, reach: Reach, how_long: Duration) {
        self.request(Request::Punch(reach, how_long));
    }

    /// Gives back what was borrowed: the router's port. Paths are not looked after any more.
    pub async fn close(&self) {
        let (reply, closed) = oneshot::channel();
        self.request(Request::Close(reply));
        let _ = tokio::time::timeout(CLOSE_PATIENCE, closed).await;
    }

    fn request(&self, request: Request) {
        if self.requests.try_send(request).is_err() {
            tracing::debug!("a request about paths found no room");
        }
    }
}
