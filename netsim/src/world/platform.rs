//! The machine that the product's network code runs on, in place of the system.
//!
//! Names are those of the scenario's servers and are resolved in no time; each stands for the server's first address of
//! each family.

use super::streams::StreamId;
use super::topology::HostId;
use super::{SharedWorld, SimUdp};
use roundtable::net::platform::{Later, Platform, Stream};
use roundtable::net::udp::Udp;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Servers by name.
pub type Names = BTreeMap<String, HostId>;

/// One host, as a program on it sees it.
#[derive(Debug)]
pub struct SimPlatform {
    world: SharedWorld,
    host: HostId,
    names: Names,
    /// Of the host's changes of address, the last one that was told.
    told: AtomicU64,
}

impl SimPlatform {
    /// A program on `host` that knows these names.
    pub fn new(world: &SharedWorld, host: HostId, names: Names) -> Self {
        let told = world.lock().hosts[host.0 as usize].moves.into();
        Self { world: world.clone(), host, names, told }
    }

    fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if let Ok(ip) = literal.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let server = self
            .names
            .get(host)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no server is called {host}")))?;
        let ips = self.world.lock().addresses(*server);
        let first = |v6: bool| ips.iter().find(move |ip| ip.is_ipv6() == v6);
        let both = [true, false].into_iter().filter_map(first);
        Ok(both.map(|ip| SocketAddr::new(*ip, port)).collect())
    }
}

impl Platform for SimPlatform {
    fn addresses(&self) -> Vec<IpAddr> {
        self.world.lock().addresses(self.host)
    }

    fn changed(&self) -> Later<'_, ()> {
        Box::pin(poll_fn(|cx| {
            let mut world = self.world.lock();
            let host = &mut world.hosts[self.host.0 as usize];
            if self.told.swap(host.moves, Ordering::Relaxed) != host.moves {
                return Poll::Ready(());
            }
            if !host.watchers.iter().any(|waker| waker.will_wake(cx.waker())) {
                host.watchers.push(cx.waker().clone());
            }
            Poll::Pending
        }))
    }

    fn spare_socket(&self) -> io::Result<Box<dyn Udp>> {
        Ok(Box::new(SimUdp::bind(&self.world, self.host, 0)?))
    }

    fn connect(&self, to: SocketAddr) -> Later<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let id = self.world.lock().open_stream(self.host, to)?;
            // Made before it is open, so that whoever stops waiting lets go of it.
            let stream = SimStream { world: self.world.clone(), id };
            poll_fn(|cx| stream.world.lock().poll_open(id, cx)).await?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }

    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Later<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { self.lookup(host, port) })
    }
}

/// An open TCP connection of a host.
#[derive(Debug)]
struct SimStream {
    world: SharedWorld,
    id: StreamId,
}

impl AsyncRead for SimStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if into.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let count = ready!(self.world.lock().poll_read_stream(self.id, cx, into.initialize_unfilled()))?;
        into.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for SimStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.world.lock().poll_write_stream(self.id, cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.world.lock().close_stream(self.id);
        Poll::Ready(Ok(()))
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        self.world.lock().release_stream(self.id);
    }
}
