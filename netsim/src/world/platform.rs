//! The machine that the product gets in place of the system's.

use super::topology::HostId;
use super::udp::{SharedWorld, SimUdp};
use roundtable::net::platform::{Later, Platform, Stream};
use roundtable::net::udp::Udp;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How soon a machine notices that its addresses have changed.
const NOTICED: Duration = Duration::from_millis(50);

/// A host's interfaces and sockets. TCP is not simulated: connections are refused.
pub struct SimPlatform {
    world: SharedWorld,
    host: HostId,
}

impl SimPlatform {
    /// The platform of a host.
    pub fn new(world: &SharedWorld, host: HostId) -> Self {
        Self { world: world.clone(), host }
    }
}

impl fmt::Debug for SimPlatform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimPlatform").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Platform for SimPlatform {
    fn addresses(&self) -> Vec<IpAddr> {
        self.world.lock().addresses(self.host)
    }

    fn changed(&self) -> Later<'_, ()> {
        Box::pin(async move {
            let before = self.addresses();
            while self.addresses() == before {
                tokio::time::sleep(NOTICED).await;
            }
        })
    }

    fn spare_socket(&self) -> io::Result<Box<dyn Udp>> {
        Ok(Box::new(SimUdp::bind(&self.world, self.host, 0)?))
    }

    fn connect(&self, _to: SocketAddr) -> Later<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) })
    }

    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Later<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move {
            let ip = host.parse::<IpAddr>().map_err(|_| io::ErrorKind::NotFound)?;
            Ok(vec![SocketAddr::new(ip, port)])
        })
    }
}
