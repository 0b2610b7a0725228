//! Noticing that this machine's addresses or routes have changed.

use std::time::Duration;

/// Where the system does not tell, the addresses are looked at this often.
const POLL: Duration = Duration::from_secs(1);

/// A change comes as several messages: it is told once they are over.
const SETTLED: Duration = Duration::from_millis(20);

/// Resolves after the next change.
pub(super) async fn changed() {
    #[cfg(target_os = "linux")]
    if let Ok(told) = netlink::Listener::open()
        && told.wait().await.is_ok()
    {
        tokio::time::sleep(SETTLED).await;
        return;
    }
    let addresses = || {
        if_addrs::get_if_addrs().map(|all| all.iter().map(if_addrs::Interface::ip).collect::<Vec<_>>()).ok()
    };
    let before = addresses();
    while addresses() == before {
        tokio::time::sleep(POLL).await;
    }
}

#[cfg(target_os = "linux")]
mod netlink {
    use rustix::net::netlink::SocketAddrNetlink;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};
    use std::io;
    use std::os::unix::net::UnixDatagram as StdDatagram;
    use tokio::net::UnixDatagram;

    /// Multicast groups (rtnetlink(7)): links, IPv4 and IPv6 addresses, IPv4 and IPv6 routes.
    const GROUPS: u32 = 0x1 | 0x10 | 0x100 | 0x40 | 0x400;

    /// Told by the kernel.
    pub(super) struct Listener(UnixDatagram);

    impl Listener {
        pub(super) fn open() -> io::Result<Self> {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
            bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
            // To the runtime all datagram sockets are alike, and only whether there is something to read is asked.
            Ok(Self(UnixDatagram::from_std(StdDatagram::from(socket))?))
        }

        pub(super) async fn wait(&self) -> io::Result<()> {
            self.0.readable().await
        }
    }
}
