//! The QUIC endpoint over our own socket.

use super::congestion::VoiceRate;
use super::socket::{PathSocket, StunDatagram};
use super::tls::{self, SERVER_NAME};
use super::udp::Udp;
use protocol::door::KnockKey;
use protocol::path::Route;
use quinn::{
    ClientConfig, ConnectError, Connection, ConnectionError, ConnectionId, ConnectionIdGenerator, Endpoint,
    EndpointConfig, IdleTimeout, Incoming, ServerConfig, TokioRuntime, TransportConfig, VarInt,
};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How long a silent connection is kept: a member that lost its network keeps its seat for a minute.
pub const SEAT_KEPT: Duration = Duration::from_secs(60);

/// QUIC's idle timeout: a little longer than the seat, so that it is us who give it up.
pub const LINGER: Duration = SEAT_KEPT.saturating_add(Duration::from_secs(5));

/// QUIC packets never exceed this, whatever path they take later.
const MTU_BYTES: u16 = 1200;

/// What a path is assumed to take until it is measured: a lost first packet is repeated after three of them.
const INITIAL_ROUND_TRIP: Duration = Duration::from_millis(100);

/// Datagrams wait at most this long (in bytes, with quinn's bookkeeping of each) before the oldest is
/// dropped: stale voice is worth nothing. Eight frames of 10 ms with three copies each, which a device with large blocks
/// gives away at once.
const DATAGRAM_SEND_BUFFER_BYTES: usize = 2400;

/// A second of the busiest voice, for a runtime that was held up.
const DATAGRAM_RECEIVE_BUFFER_BYTES: usize = 64 * 1024;

/// Control messages are small; this is four of the largest.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;

/// Connections that may wait to be accepted, and the bytes they may hold meanwhile.
const INCOMING_MAX: usize = 32;
const INCOMING_BUFFER_BYTES: u64 = 16 * 1024;

/// A connection that ends keeps its path for this long.
pub const FAREWELL: Duration = Duration::from_millis(200);

/// Application error codes of QUIC's CONNECTION_CLOSE. 0 is left out: QUIC sends it for a connection that was
/// dropped without a word, and that must mean nothing.
pub mod close {
    /// The member left the group.
    pub const LEFT: u32 = 1;
    /// A newer connection to the same member took over.
    pub const REPLACED: u32 = 2;
    /// The handshake failed; the reason went over the stream.
    pub const REFUSED: u32 = 3;
    /// The peer broke the protocol.
    pub const PROTOCOL: u32 = 4;
    /// The member stayed away too long.
    pub const GONE: u32 = 5;
    /// The member is not in the group any more.
    pub const REMOVED: u32 = 6;
}

/// Why a connection ended, in our own words: what the other side wrote about it is not fit to be shown.
pub fn why_ended(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            format!("the other side closed it (code {})", close.error_code)
        }
        ConnectionError::ConnectionClosed(close) => {
            format!("the other side closed it ({})", close.error_code)
        }
        ConnectionError::LocallyClosed => "it was closed here".into(),
        ConnectionError::TimedOut => "no answer".into(),
        ConnectionError::Reset
        | ConnectionError::VersionMismatch
        | ConnectionError::TransportError(_)
        | ConnectionError::CidsExhausted => error.to_string(),
    }
}

/// An endpoint that dials and accepts.
#[derive(Debug, Clone)]
pub struct Node {
    endpoint: Endpoint,
    socket: Arc<PathSocket>,
}

impl Node {
    /// Starts an endpoint on `udp` inside the current tokio runtime. `seed` makes connection-level
    /// randomness repeat in simulations. The receiver gets STUN messages that arrive on the socket.
    pub fn start(
        udp: Box<dyn Udp>,
        seed: Option<[u8; 32]>,
    ) -> io::Result<(Self, mpsc::Receiver<StunDatagram>)> {
        let (socket, stun) = PathSocket::new(udp, seed.unwrap_or_else(super::random::bytes));
        let tls = tls::fresh();
        let transport = Arc::new(transport());
        let mut server = ServerConfig::with_crypto(tls.server);
        server
            .transport_config(transport.clone())
            .migration(false)
            .max_incoming(INCOMING_MAX)
            .incoming_buffer_size(INCOMING_BUFFER_BYTES)
            .incoming_buffer_size_total(INCOMING_BUFFER_BYTES * INCOMING_MAX as u64);
        let mut client = ClientConfig::new(tls.client);
        client.transport_config(transport);
        let mut config = EndpointConfig::default();
        config
            .cid_generator(|| Box::new(NoIds))
            // The socket tells QUIC from STUN by this bit (RFC 9443).
            .grease_quic_bit(false)
            .supported_versions(vec![1])
            .rng_seed(seed);
        config.max_udp_payload_size(MTU_BYTES).expect("1200 is a size QUIC allows");
        let mut endpoint =
            Endpoint::new_with_abstract_socket(config, Some(server), socket.clone(), Arc::new(TokioRuntime))?;
        endpoint.set_default_client_config(client);
        Ok((Self { endpoint, socket }, stun))
    }

    /// Opens a connection over a route. `yielding`: give way when the other end dials us at the same moment.
    pub async fn dial(&self, route: impl Into<Route>, yielding: bool) -> Result<Dialled, DialError> {
        self.knock(route, yielding, Vec::new()).await
    }

    /// The same at a door that opens to whoever holds one of these keys.
    pub async fn knock(
        &self,
        route: impl Into<Route>,
        yielding: bool,
        knocks: Vec<KnockKey>,
    ) -> Result<Dialled, DialError> {
        let address = self.socket.paths().dial(route.into(), yielding, Instant::now());
        self.socket.paths().set_knocks(address, knocks);
        let path = Opening { socket: self.socket.clone(), address, kept: false };
        let connection = self.endpoint.connect(address, SERVER_NAME)?.await?;
        Ok(Dialled { connection, path })
    }

    /// The next connection somebody opens to us; `None` when the endpoint is closed.
    pub async fn accept(&self) -> Option<Incoming> {
        self.endpoint.accept().await
    }

    /// The socket, for its paths and for STUN.
    pub fn socket(&self) -> &PathSocket {
        &self.socket
    }

    /// The same, to be kept.
    pub fn socket_handle(&self) -> Arc<PathSocket> {
        self.socket.clone()
    }

    /// The UDP address in use.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.real_addr()
    }

    /// Says goodbye on all connections and waits until the others were told, a quarter of a second at most.
    pub async fn close(&self) {
        self.endpoint.close(VarInt::from_u32(close::LEFT), b"left");
        let _ = tokio::time::timeout(Duration::from_millis(250), self.endpoint.wait_idle()).await;
    }
}

/// A connection we opened. Dropping it gives it up, and its path with it.
#[derive(Debug)]
pub struct Dialled {
    connection: Connection,
    path: Opening,
}

impl Dialled {
    /// Is not given up while somebody at the other side is asked whether to let us in.
    pub fn hold(&self) {
        self.path.socket.paths().promote(self.path.address);
    }

    /// The connection, for as long as it is not decided what becomes of it.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The connection, to stay.
    pub fn keep(mut self) -> Connection {
        self.path.kept = true;
        self.connection.clone()
    }
}

/// A dial's path, forgotten unless it is kept; also when the dial is given up halfway.
#[derive(Debug)]
struct Opening {
    socket: Arc<PathSocket>,
    address: SocketAddr,
    kept: bool,
}

impl Drop for Opening {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let (socket, address) = (self.socket.clone(), self.address);
        match tokio::runtime::Handle::try_current() {
            // The farewell has to leave before its address is forgotten.
            Ok(runtime) => drop(runtime.spawn(async move {
                tokio::time::sleep(FAREWELL).await;
                socket.paths().remove(address);
            })),
            Err(_) => socket.paths().remove(address),
        }
    }
}

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// The endpoint is closed or the address unusable.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The other side did not answer, or not as QUIC.
    #[error("{}", why_ended(.0))]
    Connection(#[from] ConnectionError),
}

fn transport() -> TransportConfig {
    let mut transport = TransportConfig::default();
    let idle = IdleTimeout::try_from(LINGER).expect("65 s fit QUIC's timeout");
    transport
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(None)
        .initial_rtt(INITIAL_ROUND_TRIP)
        .initial_mtu(MTU_BYTES)
        .min_mtu(MTU_BYTES)
        // A size discovered on one path would outlive a switch to another.
        .mtu_discovery_config(None)
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .send_window(u64::from(STREAM_WINDOW_BYTES))
        .datagram_send_buffer_size(DATAGRAM_SEND_BUFFER_BYTES)
        .datagram_receive_buffer_size(Some(DATAGRAM_RECEIVE_BUFFER_BYTES))
        .congestion_controller_factory(Arc::new(VoiceRate))
        .enable_segmentation_offload(false);
    transport
}

/// The virtual address names the connection, so its packets need no id: eight bytes saved on each.
#[derive(Debug)]
struct NoIds;

impl ConnectionIdGenerator for NoIds {
    fn generate_cid(&mut self) -> ConnectionId {
        ConnectionId::new(&[])
    }

    fn cid_len(&self) -> usize {
        0
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
