//! The socket QUIC talks to: virtual addresses above, real paths below.
//!
//! A datagram comes in on the call's own UDP socket, on a spare one, or inside a TURN server's wrapping; whichever it
//! was, it is then the same datagram on a [`Route`].

use super::entrance::{Entrance, now_unix};
use super::paths::{Inbound, PathTable};
use super::relays::{RelayTable, Unwrapped};
use super::udp::Udp;
use protocol::door::cookie::read_challenge;
use protocol::entropy::Entropy;
use protocol::path::{RelayId, Route, Via};
use protocol::stun::TransactionId;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IoSliceMut};
use std::net::{Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Datagrams looked at in one turn before other tasks get theirs; a flood of garbage must not starve them.
const DATAGRAMS_PER_TURN: usize = 64;

/// STUN messages waiting to be read; more are dropped, and their senders repeat them.
const STUN_QUEUE: usize = 256;

/// Datagrams from TCP relays and spare sockets that wait to be read; beyond it the oldest is dropped.
const INBOX_MAX: usize = 256;

/// A STUN message as it came in.
#[derive(Debug)]
pub struct StunDatagram {
    /// Where it came in, and from whom.
    pub route: Route,
    /// The message.
    pub bytes: Vec<u8>,
}

/// One UDP socket shared by QUIC, STUN and TURN, with paths for each peer.
#[derive(Debug)]
pub struct PathSocket {
    udp: Box<dyn Udp>,
    paths: Mutex<PathTable>,
    relays: Mutex<RelayTable>,
    spares: Mutex<BTreeMap<u16, Arc<dyn Udp>>>,
    inbox: Mutex<Inbox>,
    entrance: Entrance,
    entropy: Mutex<Entropy>,
    stun: mpsc::Sender<StunDatagram>,
    dropped: AtomicU64,
    relay_only: AtomicBool,
}

/// The largest datagram read: QUIC's own buffers hold its packets, but not what a TURN server wraps around one.
const DATAGRAM_BYTES_MAX: usize = 2048;

/// What came in and is not QUIC's yet.
#[derive(Debug)]
struct Inbox {
    /// What came in elsewhere than on the UDP socket.
    datagrams: VecDeque<(Route, Vec<u8>)>,
    /// The last datagram was one of them: it is the UDP socket's turn, so that neither starves the other.
    was_first: bool,
    reader: Option<Waker>,
    scratch: Box<[u8; DATAGRAM_BYTES_MAX]>,
}

impl Default for Inbox {
    fn default() -> Self {
        Self {
            datagrams: VecDeque::new(),
            was_first: false,
            reader: None,
            scratch: Box::new([0; DATAGRAM_BYTES_MAX]),
        }
    }
}

impl PathSocket {
    /// Wraps a socket. The receiver gets the STUN messages.
    pub fn new(udp: Box<dyn Udp>, seed: [u8; 32]) -> (Arc<Self>, mpsc::Receiver<StunDatagram>) {
        let (stun, messages) = mpsc::channel(STUN_QUEUE);
        let mut entropy = Entropy::new(seed);
        let socket = Self {
            entrance: Entrance::new(entropy.bytes()),
            udp,
            paths: Mutex::default(),
            relays: Mutex::default(),
            spares: Mutex::default(),
            inbox: Mutex::default(),
            entropy: Mutex::new(entropy),
            stun,
            dropped: AtomicU64::new(0),
            relay_only: AtomicBool::new(false),
        };
        (Arc::new(socket), messages)
    }

    /// From now on nothing is said to anybody but TURN servers, nor heard from others: even a stranger who has found our
    /// address learns nothing there.
    pub fn hide(&self) {
        self.relay_only.store(true, Ordering::Relaxed);
    }

    fn hides(&self, route: Route) -> bool {
        !route.is_relayed() && self.relay_only.load(Ordering::Relaxed)
    }

    /// What strangers come to first.
    pub fn entrance(&self) -> &Entrance {
        &self.entrance
    }

    /// The table of paths.
    pub fn paths(&self) -> MutexGuard<'_, PathTable> {
        self.paths.lock().expect("no holder of the path table panics")
    }

    /// The TURN servers in use.
    pub fn relays(&self) -> MutexGuard<'_, RelayTable> {
        self.relays.lock().expect("no holder of the relay table panics")
    }

    fn spares(&self) -> MutexGuard<'_, BTreeMap<u16, Arc<dyn Udp>>> {
        self.spares.lock().expect("no holder of the spare sockets panics")
    }

    /// Sends a datagram on a route. `hops` limits how many routers pass it on.
    pub fn send(&self, route: Route, datagram: &[u8], hops: Option<u8>) -> io::Result<()> {
        let send = |udp: &dyn Udp| match hops {
            None => udp.try_send(route.to, datagram),
            Some(hops) => udp.try_send_near(route.to, datagram, hops),
        };
        match route.via {
            Via::Socket | Via::Spare(_) if self.hides(route) => Ok(()),
            Via::Socket => send(&*self.udp),
            Via::Spare(number) => match self.spares().get(&number).cloned() {
                Some(spare) => send(&*spare),
                None => Ok(()),
            },
            Via::Relay(relay) => {
                self.relays().send(relay, route.to, datagram, &*self.udp, Instant::now());
                Ok(())
            }
        }
    }

    /// Sends what is not on any route, such as a request to a server.
    pub fn send_to(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        self.udp.try_send(to, datagram)
    }

    /// Lets the relay's client send what it has to say.
    pub fn flush_relay(&self, relay: RelayId) {
        self.relays().flush(relay, &*self.udp);
    }

    /// Gives an allocation back.
    pub fn remove_relay(&self, relay: RelayId) {
        self.relays().remove(relay, &*self.udp);
    }

    /// A seed for what wants unpredictable numbers, drawn from the node's own.
    pub fn seed(&self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.entropy.lock().expect("nobody panics while drawing a seed").fill(&mut seed);
        seed
    }

    /// Uses one more socket from now on, whose reader hands over with [`Self::deliver`].
    pub fn add_spare(&self, number: u16, udp: Arc<dyn Udp>) {
        self.spares().insert(number, udp);
    }

    /// Lets go of a spare socket.
    pub fn remove_spare(&self, number: u16) {
        self.spares().remove(&number);
    }

    /// Takes a datagram that came in elsewhere.
    pub fn deliver(&self, route: Route, datagram: Vec<u8>) {
        let mut inbox = self.inbox.lock().expect("no holder of the inbox panics");
        if inbox.datagrams.len() >= INBOX_MAX {
            inbox.datagrams.pop_front();
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        inbox.datagrams.push_back((route, datagram));
        if let Some(reader) = inbox.reader.take() {
            reader.wake();
        }
    }

    /// Takes one frame that came from a TURN server over a stream.
    pub fn deliver_frame(&self, relay: RelayId, frame: &[u8]) {
        let unwrapped = self.relays().unwrap_frame(relay, frame, Instant::now());
        if let Some((route, payload)) = unwrapped {
            self.deliver(route, payload.to_vec());
        }
    }

    /// The real local address.
    pub fn real_addr(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }

    /// Datagrams dropped because they were nobody's.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Takes what is said at doors: knocks, challenges and their answers. Returns whether it was any of these.
    fn handle_at_door(&self, route: Route, datagram: &[u8]) -> bool {
        if self.entrance.handle(route, datagram) {
            return true;
        }
        let Some((token, cookie)) = read_challenge(datagram) else { return false };
        let answer = self.paths().answer(route, token, &cookie);
        if let Some((answer, packet)) = answer {
            // What cannot be sent now is sent with QUIC's next try.
            let _ = self.send(route, &answer, None);
            let _ = self.send(route, &packet, None);
        }
        true
    }

    /// A dial's first packets are preceded by a knock each, so that they find the door open. Twice: a lost one would
    /// cost 0.3 s until QUIC tries again, and a second one is a fifteenth of the packet that it opens the door for.
    fn knock(&self, address: SocketAddr, route: Route, packet: &[u8]) {
        let keys = self.paths().knocks(address, packet);
        let copies = if keys.len() == 1 { 2 } else { 1 };
        for key in keys {
            let id = self.entropy.lock().expect("nobody panics while drawing a number").bytes();
            let knock = key.knock(TransactionId(id), now_unix());
            for _ in 0..copies {
                let _ = self.send(route, &knock, None);
            }
        }
    }

    /// One datagram from wherever there is one: its length in `buffer` and the route, or `None` for one that was the
    /// socket's own business.
    fn poll_datagram(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Option<(usize, Route)>> {
        let mut inbox = self.inbox.lock().expect("no holder of the inbox panics");
        let mut fill = |datagram: &[u8]| {
            let length = datagram.len().min(buffer.len());
            buffer[..length].copy_from_slice(&datagram[..length]);
            length
        };
        inbox.was_first = !inbox.was_first;
        if inbox.was_first
            && let Some((route, datagram)) = inbox.datagrams.pop_front()
        {
            return Poll::Ready(Some((fill(&datagram), route)));
        }
        let inbox = &mut *inbox;
        let (length, from) = match self.udp.poll_recv(cx, &mut inbox.scratch[..]) {
            Poll::Ready(Ok(received)) => received,
            // An ICMP error for an earlier datagram surfaces here; it says nothing about the next one.
            Poll::Ready(Err(error)) => {
                tracing::trace!(%error, "receive");
                return Poll::Ready(None);
            }
            Poll::Pending => {
                if let Some((route, datagram)) = inbox.datagrams.pop_front() {
                    return Poll::Ready(Some((fill(&datagram), route)));
                }
                inbox.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
        };
        let datagram = &inbox.scratch[..length];
        Poll::Ready(match self.relays().unwrap(from, datagram, Instant::now()) {
            Unwrapped::NotWrapped => Some((fill(datagram), Route::direct(from))),
            Unwrapped::Consumed => None,
            Unwrapped::Payload(route, payload) => Some((fill(payload), route)),
        })
    }
}

impl AsyncUdpSocket for PathSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable(self))
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let outbound = self.paths().outbound(transmit.destination, Instant::now());
        let Some((route, second)) = outbound else {
            // No path: to QUIC this is a lost packet, not an error that would end the connection.
            return Ok(());
        };
        if let Some(second) = second {
            // The same on both ways; whichever comes later the other side's QUIC drops.
            let _ = self.send(second, transmit.contents, None);
        }
        self.knock(transmit.destination, route, transmit.contents);
        if self.paths().is_sent_twice(transmit.destination) {
            // QUIC drops what it has had.
            let _ = self.send(route, transmit.contents, None);
        }
        match self.send(route, transmit.contents, None) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                // "Network unreachable" and the like pass when the network returns.
                tracing::trace!(%error, "datagram not sent");
                Ok(())
            }
            other => other,
        }
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut filled = 0;
        for _ in 0..DATAGRAMS_PER_TURN {
            let Some(buffer) = bufs.get_mut(filled) else { return Poll::Ready(Ok(filled)) };
            let (len, route) = match self.poll_datagram(cx, buffer) {
                Poll::Ready(Some(received)) => received,
                Poll::Ready(None) => continue,
                Poll::Pending if filled == 0 => return Poll::Pending,
                Poll::Pending => return Poll::Ready(Ok(filled)),
            };
            if self.hides(route) {
                self.dropped.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let datagram = &buffer[..len];
            if self.handle_at_door(route, datagram) {
                continue;
            }
            let judge = || self.entrance.judge(route, datagram);
            let inbound = self.paths().inbound(route, datagram, Instant::now(), judge);
            match inbound {
                Inbound::Quic(addr) => {
                    meta[filled] = RecvMeta { addr, len, stride: len, ecn: None, dst_ip: None };
                    filled += 1;
                }
                Inbound::Stun => {
                    let _ = self.stun.try_send(StunDatagram { route, bytes: datagram.to_vec() });
                }
                Inbound::Challenge(challenge) => {
                    // One that cannot be sent now is made anew for the next packet.
                    let _ = self.send(route, &challenge, None);
                }
                Inbound::Drop => {
                    self.dropped.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        if filled > 0 {
            return Poll::Ready(Ok(filled));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        let port = self.udp.local_addr()?.port();
        Ok(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct Writable(Arc<PathSocket>);

impl UdpPoller for Writable {
    fn poll_writable(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.udp.poll_writable(cx)
    }
}
