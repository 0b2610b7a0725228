//! An allocation on one TURN server, kept for as long as somebody wants it.
//!
//! Where UDP is blocked the server may still be reached over TCP, or over TLS on port 443. Trying one after the other
//! takes seconds, so they race with small head starts, as in Happy Eyeballs (RFC 8305): UDP first, TCP and TLS when
//! it has not answered soon. The first allocation stays, the others are given back. When it is lost, all begins anew.

use super::carrier::{self, QUEUE};
use super::table::Carrier;
use crate::net::platform::Platform;
use crate::net::socket::PathSocket;
use protocol::path::RelayId;
use protocol::turn::{Client, ClientConfig, Event, Family, Framing, Transport, TurnError, TurnServer};
use std::future::pending;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::Instant;

/// TCP begins this much later than UDP: an answer over UDP takes a round trip or two of up to 100 ms.
const TCP_HEAD_START: Duration = Duration::from_millis(250);

/// TLS begins this much later than UDP.
const TLS_HEAD_START: Duration = Duration::from_millis(500);

/// The port that firewalls let pass when they let nothing else pass.
const TLS_PORT: u16 = 443;

/// How long all transports together may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Pauses before a lost allocation is tried again; the last one is repeated.
const PAUSES: [Duration; 4] =
    [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(20)];

/// Servers that one sends us on to (ALTERNATE-SERVER, RFC 8489 section 10).
const REDIRECTS_MAX: usize = 2;

/// How an allocation is doing.
#[derive(Debug, Clone, PartialEq)]
pub enum MeetingState {
    /// Asked for.
    Opening,
    /// There.
    Up(Allocation),
    /// Not there, and why. It is tried again from time to time.
    Down(TurnError),
}

/// An allocation that is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Allocation {
    /// Its number in the table.
    pub id: RelayId,
    /// Where it relays.
    pub relayed: SocketAddr,
    /// Where the server sees us, when it is seen over our own UDP socket.
    pub reflexive: Option<SocketAddr>,
    /// Whether others with an allocation on this server may come in by it, once that is known.
    pub meets: Option<Result<(), TurnError>>,
}

/// Somebody's wish for an allocation. Dropping it gives the allocation back.
#[derive(Debug)]
pub struct Meeting {
    /// How it is doing.
    pub state: watch::Receiver<MeetingState>,
    /// The server.
    pub server: TurnServer,
    task: AbortHandle,
}

impl Drop for Meeting {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Asks for an allocation of a family. Each change of its state is told by `changed` as well.
pub fn meet(
    socket: Arc<PathSocket>,
    platform: Arc<dyn Platform>,
    server: TurnServer,
    family: Family,
    changed: Arc<Notify>,
) -> Meeting {
    let (told, state) = watch::channel(MeetingState::Opening);
    let name = server.clone();
    let task = tokio::spawn(async move {
        let mut pauses = PAUSES.into_iter();
        let mut pause = Duration::ZERO;
        loop {
            pause = pauses.next().unwrap_or(pause);
            tokio::time::sleep(pause).await;
            let began = Instant::now();
            let tell = |state| {
                let _ = told.send(state);
                changed.notify_one();
            };
            match race(&socket, &platform, &server, family).await {
                Ok(mut attempt) => {
                    tell(MeetingState::Up(attempt.allocation()));
                    let error = attempt.serve(&tell).await;
                    tell(MeetingState::Down(error));
                }
                Err(error) => tell(MeetingState::Down(error)),
            }
            if began.elapsed() > DEADLINE {
                pauses = PAUSES.into_iter();
            }
        }
    });
    Meeting { state, server: name, task: task.abort_handle() }
}

/// Tries all transports; the first allocation wins.
async fn race(
    socket: &Arc<PathSocket>,
    platform: &Arc<dyn Platform>,
    server: &TurnServer,
    family: Family,
) -> Result<Attempt, TurnError> {
    let over = |transport, port| TurnServer { transport, port, ..server.clone() };
    let ways = match server.transport {
        Transport::Udp => vec![
            (Duration::ZERO, server.clone()),
            (TCP_HEAD_START, over(Transport::Tcp, server.port)),
            (TLS_HEAD_START, over(Transport::Tls, TLS_PORT)),
        ],
        Transport::Tcp => {
            vec![(Duration::ZERO, server.clone()), (TCP_HEAD_START, over(Transport::Tls, TLS_PORT))]
        }
        Transport::Tls => vec![(Duration::ZERO, server.clone())],
    };
    let mut tries = JoinSet::new();
    for (head_start, way) in ways {
        let (socket, platform) = (socket.clone(), platform.clone());
        tries.spawn(async move {
            tokio::time::sleep(head_start).await;
            let first = head_start.is_zero();
            (first, try_server(&socket, &platform, way, family).await)
        });
    }
    let mut reason = TurnError::NoAnswer;
    let deadline = Instant::now() + DEADLINE;
    while let Ok(Some(tried)) = tokio::time::timeout_at(deadline, tries.join_next()).await {
        match tried {
            Ok((_, Ok(attempt))) => return Ok(attempt),
            // A server that answers "no" says more than a port where nobody listens.
            Ok((first, Err(error))) if first || reason == TurnError::NoAnswer => reason = error,
            Ok((_, Err(_))) | Err(_) => {}
        }
    }
    Err(reason)
}

async fn try_server(
    socket: &Arc<PathSocket>,
    platform: &Arc<dyn Platform>,
    server: TurnServer,
    family: Family,
) -> Result<Attempt, TurnError> {
    let resolved = platform.resolve(&server.host, server.port).await.unwrap_or_default();
    let has_v4 = resolved.iter().any(SocketAddr::is_ipv4);
    // Relaying over IPv4 reaches everybody else who relays.
    let mut address =
        resolved.into_iter().find(|address| address.is_ipv4() == has_v4).ok_or(TurnError::NoAddress)?;
    for _ in 0..=REDIRECTS_MAX {
        let mut attempt = Attempt::start(socket, platform, &server, address, family).await?;
        match attempt.until_allocated().await {
            Ok(()) => return Ok(attempt),
            Err(Refused::Elsewhere(next)) => address = next,
            Err(Refused::For(error)) => return Err(error),
        }
    }
    Err(TurnError::NoAnswer)
}

enum Refused {
    Elsewhere(SocketAddr),
    For(TurnError),
}

/// One client at work. Dropping it gives its allocation back.
struct Attempt {
    socket: Arc<PathSocket>,
    id: RelayId,
    wake: Arc<Notify>,
    ended: Arc<Notify>,
    stream: Option<JoinHandle<()>>,
    allocation: Option<Allocation>,
}

impl Attempt {
    async fn start(
        socket: &Arc<PathSocket>,
        platform: &Arc<dyn Platform>,
        server: &TurnServer,
        address: SocketAddr,
        family: Family,
    ) -> Result<Self, TurnError> {
        let framing = if server.transport == Transport::Udp { Framing::Datagram } else { Framing::Stream };
        let (queue, queued) = mpsc::channel(QUEUE);
        let (carrier, stream) = match framing {
            Framing::Datagram => (Carrier::Datagrams, None),
            Framing::Stream => {
                let secure = server.transport == Transport::Tls;
                let opened = carrier::connect(&**platform, address, &server.host, secure).await;
                (Carrier::Stream(queue), Some(opened.map_err(|_| TurnError::NoAnswer)?))
            }
        };
        let config = ClientConfig {
            username: server.username.clone(),
            password: server.password.clone(),
            transport: framing,
            family,
            mobility: true,
            lifetime: Duration::from_secs(600),
        };
        let (wake, ended) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let id = {
            let mut relays = socket.relays();
            let now = relays.clock(Instant::now());
            let client = Client::new(config, socket.seed(), now);
            relays.insert(client, address, carrier, wake.clone())
        };
        let id = id.ok_or(TurnError::NoAnswer)?;
        let stream = stream.map(|stream| carrier::carry(stream, queued, socket.clone(), id, ended.clone()));
        Ok(Self { socket: socket.clone(), id, wake, ended, stream, allocation: None })
    }

    fn allocation(&self) -> Allocation {
        self.allocation.clone().expect("only asked for once it is there")
    }

    /// Looks after the client until something happens to it.
    async fn next_event(&mut self) -> Event {
        loop {
            self.socket.flush_relay(self.id);
            let (event, deadline) = self.socket.relays().poll(self.id);
            if let Some(event) = event {
                return event;
            }
            let timeout = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.ended.notified() => return Event::Failed { error: TurnError::Dead },
                () = self.wake.notified() => {}
                () = timeout => self.socket.relays().on_timeout(self.id, Instant::now()),
            }
        }
    }

    async fn until_allocated(&mut self) -> Result<(), Refused> {
        loop {
            match self.next_event().await {
                Event::Allocated { relayed, mapped, .. } => {
                    self.allocated(relayed, mapped);
                    return Ok(());
                }
                Event::Redirected { to } => return Err(Refused::Elsewhere(to)),
                Event::Failed { error } => return Err(Refused::For(error)),
                _ => {}
            }
        }
    }

    fn allocated(&mut self, relayed: SocketAddr, mapped: SocketAddr) {
        let reflexive = self.stream.is_none().then_some(mapped);
        let meets = self.allocation.as_ref().and_then(|allocation| allocation.meets);
        self.allocation = Some(Allocation { id: self.id, relayed, reflexive, meets });
        // Whoever comes by this server comes from its own address.
        self.socket.relays().permit(self.id, relayed.ip());
    }

    /// Keeps the allocation until it is lost.
    async fn serve(&mut self, tell: &impl Fn(MeetingState)) -> TurnError {
        loop {
            let event = self.next_event().await;
            let Some(allocation) = &mut self.allocation else { return TurnError::Dead };
            let own = |ip: IpAddr| ip == allocation.relayed.ip();
            match event {
                Event::Failed { error } => return error,
                Event::Redirected { .. } => return TurnError::Dead,
                Event::Permitted { ip } if own(ip) && allocation.meets != Some(Ok(())) => {
                    allocation.meets = Some(Ok(()));
                }
                Event::Forbidden { ip, error } if own(ip) => allocation.meets = Some(Err(error)),
                Event::Forbidden { ip, error } => {
                    tracing::debug!(%ip, %error, "a relay refuses a peer");
                    continue;
                }
                Event::Allocated { relayed, mapped, .. } => self.allocated(relayed, mapped),
                Event::Moved { mapped } => {
                    let relayed = allocation.relayed;
                    self.allocated(relayed, mapped);
                }
                _ => continue,
            }
            tell(MeetingState::Up(self.allocation()));
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.socket.remove_relay(self.id);
        // With that a stream's queue is closed: what is in it is still written, and then the stream ends.
    }
}
