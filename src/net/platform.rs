//! What a machine gives the network code beside its main socket, real or simulated.

use super::changes::Watcher;
use super::interfaces;
use super::udp::{SystemUdp, Udp};
use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Mutex;

/// A stream of bytes both ways.
pub trait Stream: AsyncRead + AsyncWrite + Debug + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Debug + Send + Unpin> Stream for T {}

/// Something that is waited for.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A machine.
pub trait Platform: Debug + Send + Sync + 'static {
    /// The addresses of its interfaces, those first that others should be told first; loopback and link-local ones
    /// included.
    fn addresses(&self) -> Vec<IpAddr>;
    /// Resolves when addresses or routes may have changed since the last time it resolved.
    fn changed(&self) -> Later<'_, ()>;
    /// One more UDP socket, on any free port. Call within a tokio runtime.
    fn spare_socket(&self) -> io::Result<Box<dyn Udp>>;
    /// Opens a TCP connection.
    fn connect(&self, to: SocketAddr) -> Later<'_, io::Result<Box<dyn Stream>>>;
    /// The addresses of a server that is given by name or address.
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Later<'a, io::Result<Vec<SocketAddr>>>;
}

/// This machine.
#[derive(Debug)]
pub struct System {
    watcher: Mutex<Watcher>,
}

impl System {
    /// Changes are noticed from now on.
    pub fn new() -> Self {
        Self { watcher: Mutex::new(Watcher::new()) }
    }
}

impl Default for System {
    fn default() -> Self {
        Self::new()
    }
}

impl Platform for System {
    fn addresses(&self) -> Vec<IpAddr> {
        interfaces::of_this_machine()
    }

    fn changed(&self) -> Later<'_, ()> {
        Box::pin(async { self.watcher.lock().await.changed().await })
    }

    fn spare_socket(&self) -> io::Result<Box<dyn Udp>> {
        Ok(Box::new(SystemUdp::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)))?))
    }

    fn connect(&self, to: SocketAddr) -> Later<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let stream = tokio::net::TcpStream::connect(to).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }

    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Later<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}
