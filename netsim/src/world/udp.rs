//! The socket that the product gets in place of the system's.

use super::World;
use super::packet::{Header, Packet, TTL_DEFAULT};
use super::topology::{HostId, Inbox};
use roundtable::net::udp::Udp;
use std::io;
use std::net::{Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

/// Where programs find a free port when they ask for none.
const EPHEMERAL_PORT_MIN: u16 = 49152;

/// A world that sockets and their owner share. One thread uses it; the lock is there for the types' sake.
#[derive(Debug, Clone)]
pub struct SharedWorld(Arc<Mutex<World>>);

impl SharedWorld {
    /// Makes a world shareable.
    pub fn new(world: World) -> Self {
        Self(Arc::new(Mutex::new(world)))
    }

    /// The world. After a panic too: what is dropped on the way out still closes its sockets.
    pub fn lock(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open UDP socket of a host, on all its addresses.
#[derive(Debug)]
pub struct SimUdp {
    world: SharedWorld,
    host: HostId,
    port: u16,
}

impl SimUdp {
    /// Opens a port; 0 takes a free one.
    pub fn bind(world: &SharedWorld, host: HostId, port: u16) -> io::Result<Self> {
        let mut inner = world.lock();
        let sockets = &mut inner.hosts[host.0 as usize].sockets;
        let port = match port {
            0 => (EPHEMERAL_PORT_MIN..).find(|port| !sockets.contains_key(port)),
            port => Some(port).filter(|port| !sockets.contains_key(port)),
        };
        let port = port.ok_or(io::ErrorKind::AddrInUse)?;
        sockets.insert(port, Inbox::default());
        drop(inner);
        Ok(Self { world: world.clone(), host, port })
    }
}

impl Udp for SimUdp {
    fn try_send(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        self.try_send_near(to, datagram, TTL_DEFAULT)
    }

    fn try_send_near(&self, to: SocketAddr, datagram: &[u8], hops: u8) -> io::Result<()> {
        let packet = Packet {
            header: Header::Udp,
            from: SocketAddr::from((Ipv6Addr::UNSPECIFIED, self.port)),
            to,
            ttl: hops,
            bytes: datagram.to_vec(),
            origin: self.host,
        };
        self.world.lock().send(self.host, self.port, packet)
    }

    fn poll_writable(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_recv(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        let mut world = self.world.lock();
        let Some(inbox) = world.hosts[self.host.0 as usize].sockets.get_mut(&self.port) else {
            return Poll::Pending;
        };
        let Some((from, datagram)) = inbox.datagrams.pop_front() else {
            inbox.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        inbox.bytes -= datagram.len();
        let length = datagram.len().min(buffer.len());
        buffer[..length].copy_from_slice(&datagram[..length]);
        Poll::Ready(Ok((length, from)))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(SocketAddr::from((Ipv6Addr::UNSPECIFIED, self.port)))
    }
}

impl Drop for SimUdp {
    fn drop(&mut self) {
        self.world.lock().hosts[self.host.0 as usize].sockets.remove(&self.port);
    }
}
