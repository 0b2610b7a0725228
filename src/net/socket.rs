//! The socket QUIC talks to: virtual addresses above, real paths below.

use super::paths::{Inbound, PathTable};
use super::udp::Udp;
use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use std::io::{self, IoSliceMut};
use std::net::{Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Datagrams looked at in one turn before other tasks get theirs; a flood of garbage must not starve them.
const DATAGRAMS_PER_TURN: usize = 64;

/// STUN messages waiting to be read; more are dropped, and their senders repeat them.
const STUN_QUEUE: usize = 64;

/// A STUN message as it came in.
#[derive(Debug)]
pub struct StunDatagram {
    /// Where it came from.
    pub from: SocketAddr,
    /// The message.
    pub bytes: Vec<u8>,
}

/// One UDP socket shared by QUIC and STUN, with a path for each peer.
#[derive(Debug)]
pub struct PathSocket {
    udp: Box<dyn Udp>,
    paths: Mutex<PathTable>,
    stun: mpsc::Sender<StunDatagram>,
    dropped: AtomicU64,
}

impl PathSocket {
    /// Wraps a socket. The receiver gets the STUN messages.
    pub fn new(udp: Box<dyn Udp>) -> (Arc<Self>, mpsc::Receiver<StunDatagram>) {
        let (stun, messages) = mpsc::channel(STUN_QUEUE);
        let socket = Self { udp, paths: Mutex::default(), stun, dropped: AtomicU64::new(0) };
        (Arc::new(socket), messages)
    }

    /// The table of paths.
    pub fn paths(&self) -> MutexGuard<'_, PathTable> {
        self.paths.lock().expect("no holder of the path table panics")
    }

    /// Sends a datagram that is not QUIC's, such as a STUN request.
    pub fn send_to(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        self.udp.try_send(to, datagram)
    }

    /// The real local address.
    pub fn real_addr(&self) -> io::Result<SocketAddr> {
        self.udp.local_addr()
    }

    /// Datagrams dropped because they were nobody's.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl AsyncUdpSocket for PathSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Writable(self))
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let Some(remote) = self.paths().outbound(transmit.destination) else {
            // No path: to QUIC this is a lost packet, not an error that would end the connection.
            return Ok(());
        };
        match self.udp.try_send(remote, transmit.contents) {
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
            let (len, from) = match self.udp.poll_recv(cx, buffer) {
                Poll::Ready(Ok(received)) => received,
                // An ICMP error for an earlier datagram surfaces here; it says nothing about the next one.
                Poll::Ready(Err(error)) => {
                    tracing::trace!(%error, "receive");
                    continue;
                }
                Poll::Pending if filled == 0 => return Poll::Pending,
                Poll::Pending => return Poll::Ready(Ok(filled)),
            };
            let datagram = &buffer[..len];
            match self.paths().inbound(from, datagram, Instant::now()) {
                Inbound::Quic(addr) => {
                    meta[filled] = RecvMeta { addr, len, stride: len, ecn: None, dst_ip: None };
                    filled += 1;
                }
                Inbound::Stun => {
                    let _ = self.stun.try_send(StunDatagram { from, bytes: datagram.to_vec() });
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
