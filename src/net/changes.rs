//! Noticing that this machine's addresses or routes have changed.
//!
//! Linux tells it as it happens (rtnetlink(7)), but tells much more: every router advertisement refreshes addresses and
//! routes, every scan for wireless networks is news of a link. What certainly is a change is passed on: an address that
//! came or went, a cable. For the rest the state before and after is compared. Elsewhere the state is looked at once a
//! second.

use super::routes::{DefaultRoute, default_routes};
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::sleep;

/// Where the system does not tell, its state is looked at this often.
const POLL: Duration = Duration::from_secs(1);

/// A change comes as a burst of messages: it is told once the burst is over, far below what anybody would hear.
const SETTLED: Duration = Duration::from_millis(20);

/// Watches for changes from when it is made.
#[derive(Debug)]
pub(super) struct Watcher {
    #[cfg(target_os = "linux")]
    kernel: Option<kernel::Listener>,
    before: State,
    /// A change was seen and is not told yet.
    changed: bool,
}

/// What a change shows in.
#[derive(Debug, PartialEq, Eq)]
struct State {
    addresses: Vec<(String, IpAddr)>,
    routes: Vec<DefaultRoute>,
}

impl State {
    fn now() -> Self {
        let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
        let mut addresses: Vec<_> = interfaces.into_iter().map(|one| (one.name.clone(), one.ip())).collect();
        addresses.sort_unstable();
        Self { addresses, routes: default_routes() }
    }
}

impl Watcher {
    pub(super) fn new() -> Self {
        Self {
            #[cfg(target_os = "linux")]
            kernel: kernel::Listener::open().ok(),
            before: State::now(),
            changed: false,
        }
    }

    /// Resolves after a change, some of which may have happened since it resolved the last time. May be dropped and
    /// called again: no change is lost.
    pub(super) async fn changed(&mut self) {
        while !self.changed {
            self.changed = self.next_news().await;
            let state = State::now();
            self.changed |= state != self.before;
            self.before = state;
        }
        self.settle().await;
        self.before = State::now();
        self.changed = false;
    }

    /// Waits until something may have changed; whether it certainly has.
    async fn next_news(&mut self) -> bool {
        #[cfg(target_os = "linux")]
        if let Some(kernel) = &mut self.kernel {
            match kernel.news().await {
                Ok(certain) => return certain,
                Err(error) => {
                    tracing::debug!(%error, "the kernel tells no changes any more");
                    self.kernel = None;
                }
            }
        }
        sleep(POLL).await;
        false
    }

    async fn settle(&mut self) {
        sleep(SETTLED).await;
        #[cfg(target_os = "linux")]
        if let Some(kernel) = &mut self.kernel {
            kernel.drain();
        }
    }
}

#[cfg(target_os = "linux")]
mod kernel {
    use rustix::net::netlink::SocketAddrNetlink;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};
    use std::collections::BTreeMap;
    use std::io;
    use std::os::unix::net::UnixDatagram as StdDatagram;
    use tokio::net::UnixDatagram;

    /// Multicast groups (rtnetlink(7)): links, IPv4 and IPv6 addresses, IPv4 and IPv6 routes.
    const GROUPS: u32 = 0x1 | 0x10 | 0x100 | 0x40 | 0x400;

    /// Kinds of messages.
    const NEW_LINK: u16 = 16;
    const DELETED_LINK: u16 = 17;
    const DELETED_ADDRESS: u16 = 21;

    /// Of a link's flags: there is a carrier (netdevice(7)).
    const RUNNING: u32 = 0x40;

    /// Links whose carrier is remembered. On a machine with more, a cable shows only in addresses and routes.
    const LINKS_MAX: usize = 256;

    /// The kernel fills a datagram with up to this much.
    const DATAGRAM_BYTES_MAX: usize = 32 * 1024;

    /// What the kernel tells.
    #[derive(Debug)]
    pub(super) struct Listener {
        socket: Socket,
        running: BTreeMap<u32, bool>,
    }

    #[derive(Debug)]
    enum Socket {
        /// Opened outside of the runtime, so that nothing is missed until somebody waits.
        Opened(StdDatagram),
        /// To the runtime all datagram sockets are alike.
        Waiting(UnixDatagram),
        Lost,
    }

    impl Listener {
        pub(super) fn open() -> io::Result<Self> {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            // Without a protocol it is NETLINK_ROUTE, whose number is 0.
            let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
            bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
            Ok(Self { socket: Socket::Opened(StdDatagram::from(socket)), running: BTreeMap::new() })
        }

        /// Waits for messages and reads them all; whether they certainly tell of a change.
        pub(super) async fn news(&mut self) -> io::Result<bool> {
            if let Socket::Opened(_) = &self.socket
                && let Socket::Opened(socket) = std::mem::replace(&mut self.socket, Socket::Lost)
            {
                self.socket = Socket::Waiting(UnixDatagram::from_std(socket)?);
            }
            match &self.socket {
                Socket::Waiting(socket) => socket.readable().await?,
                Socket::Opened(_) | Socket::Lost => return Err(io::ErrorKind::NotConnected.into()),
            }
            Ok(self.drain())
        }

        /// Reads what has come; whether it certainly tells of a change.
        pub(super) fn drain(&mut self) -> bool {
            let Socket::Waiting(socket) = &self.socket else { return false };
            let mut certain = false;
            let mut datagram = vec![0; DATAGRAM_BYTES_MAX];
            loop {
                match socket.try_recv(&mut datagram) {
                    Ok(length) => certain |= read(&datagram[..length], &mut self.running),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return certain,
                    // More was told than there was room for; what it was is lost.
                    Err(_) => return true,
                }
            }
        }
    }

    /// Whether the messages of a datagram certainly tell of a change. `running` are the links with a carrier.
    pub(super) fn read(mut messages: &[u8], running: &mut BTreeMap<u32, bool>) -> bool {
        let word = |bytes: &[u8], at: usize| bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
        let mut certain = false;
        while let (Some(length), Some(kind)) = (word(messages, 0), messages.get(4..6)) {
            let length = usize::try_from(u32::from_ne_bytes(length)).unwrap_or(usize::MAX);
            if length < 16 || length > messages.len() {
                break;
            }
            let (message, rest) = messages.split_at(length);
            certain |= match u16::from_ne_bytes([kind[0], kind[1]]) {
                DELETED_ADDRESS | DELETED_LINK => true,
                // After the header of 16 bytes: family and type of the link in 4, its index, its flags.
                NEW_LINK => match (word(message, 20), word(message, 24)) {
                    (Some(index), Some(flags)) => {
                        let is_running = u32::from_ne_bytes(flags) & RUNNING != 0;
                        let index = u32::from_ne_bytes(index);
                        let known = running.get(&index).copied();
                        if known.is_some() || running.len() < LINKS_MAX {
                            running.insert(index, is_running);
                        }
                        // Of a link not heard of before it is news only that it has no carrier.
                        known.map_or(!is_running, |was_running| was_running != is_running)
                    }
                    (_, _) => false,
                },
                _ => false,
            };
            messages = rest.get(length.next_multiple_of(4) - length..).unwrap_or_default();
        }
        certain
    }
}

#[cfg(all(test, target_os = "linux"))]
#[path = "changes_tests.rs"]
mod tests;
