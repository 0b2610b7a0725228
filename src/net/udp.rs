//! A UDP socket, real or simulated.

use std::fmt::Debug;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket as StdSocket};
use std::task::{Context, Poll};
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

/// Datagrams in and out. Addresses are canonical: an IPv4 peer is an IPv4 address even on a dual-stack
/// socket.
pub trait Udp: Debug + Send + Sync + 'static {
    /// Sends one datagram now, or fails with `WouldBlock`.
    fn try_send(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<()>;
    /// Sends one datagram that at most `hops` routers pass on: it opens the NATs and firewalls on our side and reaches
    /// nobody. Where that cannot be had nothing is sent.
    fn try_send_near(&self, to: SocketAddr, datagram: &[u8], hops: u8) -> io::Result<()>;
    /// Waits until sending may succeed again.
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    /// Receives one datagram into `buffer`: its length and where it came from.
    fn poll_recv(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>>;
    /// The local address.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}

/// The operating system's socket.
#[derive(Debug)]
pub struct SystemUdp {
    socket: UdpSocket,
    dual_stack: bool,
}

/// Ports tried after the default one is found taken.
const PORTS_TRIED: u16 = 64;

/// Two seconds of eight voices for a runtime that was held up. In a flood of garbage, the milliseconds between two turns
/// of the runtime: the larger it is, the less voice is pushed out (of 250,000 datagrams/s, half as many as with 256 KiB).
const RECEIVE_BUFFER_BYTES: usize = 1024 * 1024;

impl SystemUdp {
    /// Binds `address`; the unspecified IPv6 address serves IPv4 as well, and falls back to IPv4 where
    /// there is no IPv6. Call within a tokio runtime.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        match Self::bind_exactly(address) {
            Err(error) if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && !is_taken(&error) => {
                Self::bind_exactly(SocketAddr::from(([0, 0, 0, 0], address.port())))
            }
            other => other,
        }
    }

    /// Like [`Self::bind`], but goes on to the next free port when this one is taken.
    pub fn bind_near(address: SocketAddr) -> io::Result<Self> {
        let mut result = Self::bind(address);
        for step in 1..PORTS_TRIED {
            match &result {
                Err(error) if is_taken(error) => {
                    let port = address.port().saturating_add(step);
                    result = Self::bind(SocketAddr::new(address.ip(), port));
                }
                Ok(_) | Err(_) => return result,
            }
        }
        result
    }

    fn bind_exactly(address: SocketAddr) -> io::Result<Self> {
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, Some(socket2::Protocol::UDP))?;
        let dual_stack = address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        if address.is_ipv6() {
            socket.set_only_v6(!dual_stack)?;
        }
        // A smaller buffer than asked for still works; it only drops sooner under load.
        let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES);
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        let socket = UdpSocket::from_std(StdSocket::from(socket))?;
        Ok(Self { socket, dual_stack })
    }
}

fn is_taken(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrInUse
}

impl Udp for SystemUdp {
    fn try_send(&self, to: SocketAddr, datagram: &[u8]) -> io::Result<()> {
        let to = match to {
            SocketAddr::V4(v4) if self.dual_stack => {
                SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port())
            }
            SocketAddr::V4(_) | SocketAddr::V6(_) => to,
        };
        self.socket.try_send_to(datagram, to).map(drop)
    }

    fn try_send_near(&self, to: SocketAddr, datagram: &[u8], hops: u8) -> io::Result<()> {
        let socket = socket2::SockRef::from(&self.socket);
        // The option is the socket's; nobody else sends meanwhile, since one thread does all the sending.
        if to.is_ipv4() {
            let usual = socket.ttl_v4()?;
            socket.set_ttl_v4(hops.into())?;
            let sent = self.try_send(to, datagram);
            socket.set_ttl_v4(usual)?;
            sent
        } else {
            let usual = socket.unicast_hops_v6()?;
            socket.set_unicast_hops_v6(hops.into())?;
            let sent = self.try_send(to, datagram);
            socket.set_unicast_hops_v6(usual)?;
            sent
        }
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_send_ready(cx)
    }

    fn poll_recv(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        let mut buffer = ReadBuf::new(buffer);
        let from = std::task::ready!(self.socket.poll_recv_from(cx, &mut buffer))?;
        Poll::Ready(Ok((buffer.filled().len(), canonical(from))))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// An IPv4 address in IPv6 clothes becomes an IPv4 address.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::{SystemUdp, Udp};
    use std::future::poll_fn;
    use std::net::SocketAddr;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    async fn send(socket: &SystemUdp, to: SocketAddr, datagram: &[u8]) {
        poll_fn(|cx| socket.poll_writable(cx)).await.expect("a bound socket can be written to");
        socket.try_send(to, datagram).expect("it is sent");
    }

    async fn receive(socket: &SystemUdp) -> (Vec<u8>, SocketAddr) {
        let mut buffer = [0; 64];
        let (length, from) = poll_fn(|cx| socket.poll_recv(cx, &mut buffer)).await.expect("a datagram");
        (buffer[..length].to_vec(), from)
    }

    #[tokio::test]
    async fn a_taken_port_is_refused_when_it_was_asked_for_and_else_the_next_free_one_is_used() {
        let first = SystemUdp::bind(address("127.0.0.1:0")).expect("a free port");
        let taken = first.local_addr().expect("it is bound");
        assert_eq!(SystemUdp::bind(taken).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
        let near = SystemUdp::bind_near(taken).expect("one of the next ports is free");
        let port = near.local_addr().expect("it is bound").port();
        assert!(port > taken.port() && port - taken.port() < super::PORTS_TRIED, "{port} near {taken}");
    }

    #[tokio::test]
    async fn the_search_for_a_free_port_ends_at_the_last_one() {
        let last = address("127.0.0.1:65535");
        // Whether this one gets the port or another program has it: now it is taken.
        let _holder = SystemUdp::bind(last);
        assert_eq!(SystemUdp::bind_near(last).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
    }

    #[tokio::test]
    async fn an_open_socket_talks_to_both_families_and_names_ipv4_peers_as_such() {
        let open = SystemUdp::bind(address("[::]:0")).expect("a free port");
        let port = open.local_addr().expect("it is bound").port();
        let mut families = vec!["127.0.0.1"];
        if open.local_addr().expect("it is bound").is_ipv6() {
            families.push("[::1]");
        }
        for family in families {
            let peer = SystemUdp::bind(address(&format!("{family}:0"))).expect("a free port");
            let here = peer.local_addr().expect("it is bound");
            send(&peer, address(&format!("{family}:{port}")), b"there").await;
            assert_eq!(receive(&open).await, (b"there".to_vec(), here));
            send(&open, here, b"back").await;
            assert_eq!(receive(&peer).await, (b"back".to_vec(), address(&format!("{family}:{port}"))));
        }
    }

    #[tokio::test]
    async fn one_ipv6_address_does_not_take_the_ipv4_port() {
        let Ok(six) = SystemUdp::bind(address("[::1]:0")) else { return };
        let port = six.local_addr().expect("it is bound").port();
        assert!(SystemUdp::bind(address(&format!("127.0.0.1:{port}"))).is_ok());
    }
}
