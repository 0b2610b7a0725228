//! The relay's sockets: one for UDP and one listener for TCP, on the same port.
//!
//! One lock is around the server; a message takes some microseconds, of which most are spent on signatures. A client
//! on TCP that reads too slowly loses what does not fit its queue, as it would on a full line.

use super::framing::{MESSAGE_BYTES_MAX, stream_frame_bytes};
use super::server::{Client, Outgoing, Server, Transport};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Connections at once; further ones are closed at once.
const CONNECTIONS_MAX: usize = 1024;
/// Of these, from one address: a group behind one router, each with a few attempts under way.
const CONNECTIONS_PER_ADDRESS_MAX: usize = 64;
/// Messages that wait for a slow TCP client: about a second of voice of a large group.
const STREAM_QUEUE: usize = 256;
/// How long a connection may stay that allocated nothing, and how long one may be silent: clients say something
/// every half minute, to keep the mapping of their router.
const PATIENCE_STRANGER: Duration = Duration::from_secs(30);
const PATIENCE_CLIENT: Duration = Duration::from_secs(300);
/// After an error that concerns the whole machine, as when there are no more file handles.
const PAUSE: Duration = Duration::from_millis(100);
/// Asked of the system for the one socket that everything goes through.
const SOCKET_BUFFER_BYTES: usize = 1 << 20;

/// Sockets that are bound and not served yet.
#[derive(Debug)]
pub struct Sockets {
    udp: UdpSocket,
    tcp: TcpListener,
    local: SocketAddr,
}

impl Sockets {
    /// Binds both sockets; port 0 takes one that is free for both.
    ///
    /// # Errors
    /// What the system says.
    pub async fn bind(listen: SocketAddr) -> io::Result<Self> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let udp = udp_socket(listen)?;
            let local = udp.local_addr()?;
            match TcpListener::bind(local).await {
                Ok(tcp) => return Ok(Self { udp, tcp, local }),
                // Another program has this port for TCP.
                Err(error)
                    if listen.port() == 0 && error.kind() == io::ErrorKind::AddrInUse && attempts < 20 => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

/// Serves until the future is dropped.
pub async fn run(sockets: Sockets, server: Server) {
    let shared = Arc::new(Shared {
        server: Mutex::new(server),
        udp: sockets.udp,
        streams: Mutex::default(),
        started: Instant::now(),
    });
    tokio::join!(serve_udp(&shared), serve_tcp(&shared, &sockets.tcp), expire(&shared));
}

struct Shared {
    server: Mutex<Server>,
    udp: UdpSocket,
    streams: Mutex<BTreeMap<Client, mpsc::Sender<Vec<u8>>>>,
    started: Instant,
}

impl Shared {
    fn handle(&self, from: Client, message: &[u8]) {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let outgoing = self.server().handle(self.now(), unix, from, message);
        if let Some(outgoing) = outgoing {
            self.send(outgoing);
        }
    }

    /// What the system or a queue has no room for is lost, as on any full line.
    fn send(&self, Outgoing { to, bytes }: Outgoing) {
        match to.transport {
            Transport::Udp => {
                let _ = self.udp.try_send_to(&bytes, self.on_the_wire(to.source));
            }
            Transport::Tcp => {
                if let Some(stream) = lock(&self.streams).get(&to) {
                    let _ = stream.try_send(bytes);
                }
            }
        }
    }

    /// A socket for both families wants IPv4 addresses as IPv6 ones.
    fn on_the_wire(&self, address: SocketAddr) -> SocketAddr {
        let both = self.udp.local_addr().is_ok_and(|local| local.is_ipv6());
        match address {
            SocketAddr::V4(v4) if both => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
            SocketAddr::V4(_) | SocketAddr::V6(_) => address,
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn server(&self) -> MutexGuard<'_, Server> {
        lock(&self.server)
    }
}

/// A panic in one message's handling ends that task, and nothing is left half done that others could trip over.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

async fn serve_udp(shared: &Shared) {
    // One byte more than is taken, so that what was cut off is seen to be too long.
    let mut buffer = [0; MESSAGE_BYTES_MAX + 1];
    loop {
        match shared.udp.recv_from(&mut buffer).await {
            Ok((length, source)) => shared.handle(Client::udp(source), &buffer[..length]),
            // Somebody's port is closed, or the system has no memory; the next datagram may be better.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn serve_tcp(shared: &Arc<Shared>, listener: &TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, source)) => {
                    if has_room(shared, connections.len(), source) {
                        connections.spawn(connection(shared.clone(), stream, Client::tcp(source)));
                    }
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

fn has_room(shared: &Shared, connections: usize, source: SocketAddr) -> bool {
    let ip = source.ip().to_canonical();
    let same = lock(&shared.streams).keys().filter(|client| client.source.ip() == ip).count();
    connections < CONNECTIONS_MAX && same < CONNECTIONS_PER_ADDRESS_MAX
}

async fn connection(shared: Arc<Shared>, stream: TcpStream, client: Client) {
    // Voice must not wait for more voice to share a segment with.
    let _ = stream.set_nodelay(true);
    let (read, mut write) = stream.into_split();
    let (sender, mut queue) = mpsc::channel::<Vec<u8>>(STREAM_QUEUE);
    // Gone with this future, however it ends.
    let _registered = Registered::new(&shared, client, sender);
    let writing = async {
        while let Some(bytes) = queue.recv().await {
            if write.write_all(&bytes).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = writing => {}
        () = read_frames(&shared, read, client) => {}
    }
}

/// Until the stream ends, makes no sense, or is silent for too long.
async fn read_frames(shared: &Shared, mut read: OwnedReadHalf, client: Client) {
    let mut frame = Vec::new();
    loop {
        let known = shared.server().has_allocation(client);
        let patience = if known { PATIENCE_CLIENT } else { PATIENCE_STRANGER };
        match tokio::time::timeout(patience, read_frame(&mut read, &mut frame)).await {
            Ok(Some(())) => shared.handle(client, &frame),
            Ok(None) | Err(_) => return,
        }
    }
}

async fn read_frame(read: &mut OwnedReadHalf, frame: &mut Vec<u8>) -> Option<()> {
    let mut head = [0; 4];
    read.read_exact(&mut head).await.ok()?;
    frame.clear();
    frame.extend(head);
    frame.resize(stream_frame_bytes(head)?, 0);
    read.read_exact(&mut frame[4..]).await.ok()?;
    Some(())
}

/// A connection that messages can be sent to.
struct Registered<'a> {
    shared: &'a Shared,
    client: Client,
}

impl<'a> Registered<'a> {
    fn new(shared: &'a Shared, client: Client, sender: mpsc::Sender<Vec<u8>>) -> Self {
        lock(&shared.streams).insert(client, sender);
        Self { shared, client }
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        lock(&self.shared.streams).remove(&self.client);
        self.shared.server().on_closed(self.client);
    }
}

async fn expire(shared: &Shared) {
    let mut every = tokio::time::interval(Duration::from_secs(1));
    loop {
        every.tick().await;
        shared.server().expire(shared.now());
    }
}

fn udp_socket(listen: SocketAddr) -> io::Result<UdpSocket> {
    let domain = socket2::Domain::for_address(listen);
    let socket = socket2::Socket::new(domain, socket2::Type::DGRAM, Some(socket2::Protocol::UDP))?;
    if listen.is_ipv6() && listen.ip().is_unspecified() {
        // Both families; not everywhere the default.
        socket.set_only_v6(false)?;
    }
    // Only asked: less does as well.
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER_BYTES);
    socket.bind(&listen.into())?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket.into())
}
