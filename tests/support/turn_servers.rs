//! TURN servers of each kind, and members that reach them over real sockets with the client that calls use.

use crate::coturn::{Coturn, CoturnServer};
use crate::spawn::program;
use protocol::turn::{
    Client, ClientConfig, Event, Family, Framing, Input, StreamReader, Transport, TurnError, TurnServer,
};
use roundtable::relay::credentials::Secret;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConnection, RootCertStore, StreamOwned};
use serde_json::Value;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a member waits for what has to come.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it waits to be sure that nothing comes: on loopback everything takes milliseconds.
const SILENCE: Duration = Duration::from_millis(300);

/// The bundled relay: the program itself.
pub(crate) struct Relay {
    child: Child,
    /// What it printed first.
    pub(crate) event: Value,
    out: BufReader<ChildStdout>,
    folder: TempDir,
    options: Vec<String>,
}

impl Relay {
    /// Starts it on a free port of loopback.
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", options)
    }

    /// Starts it there.
    pub(crate) fn start_at(listen: &str, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        let options = options.iter().map(|&option| option.to_owned()).collect();
        Self::start_in(folder, listen, options)
    }

    fn start_in(folder: TempDir, listen: &str, options: Vec<String>) -> Self {
        let mut command = Self::command(&folder, listen);
        command.args(&options).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut out = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let event = read_line(&mut out);
        Self { child, event, out, folder, options }
    }

    fn command(folder: &TempDir, listen: &str) -> Command {
        let mut command = program(folder.path());
        command.args(["relay", "--json", "--listen", listen, "--secret-file"]);
        command.arg(folder.path().join("secret"));
        command
    }

    /// What it lets in with.
    pub(crate) fn server(&self) -> TurnServer {
        self.event["turn"].as_str().expect("it says how to use it").parse().expect("a TURN server")
    }

    /// Fresh credentials, as the command makes them.
    pub(crate) fn credentials(&self, words: &[&str]) -> TurnServer {
        let listen = self.event["listen"].as_str().expect("it says where it listens");
        let mut command = Self::command(&self.folder, listen);
        let output = command.arg("credentials").args(words).output().expect("the program runs");
        let line = String::from_utf8(output.stdout).expect("it writes UTF-8");
        let event: Value = serde_json::from_str(&line).expect("JSON");
        event["turn"].as_str().expect("it says how to use it").parse().expect("a TURN server")
    }

    /// The secret that it made for itself.
    pub(crate) fn secret(&self) -> Secret {
        Secret::load_or_make(&self.folder.path().join("secret")).expect("it is there")
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end: exit code and last words.
    pub(crate) fn end(mut self) -> (Option<i32>, Value) {
        let last = read_line(&mut self.out);
        let status = self.child.wait().expect("a child can be waited for");
        (status.code(), last)
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_line(out: &mut impl BufRead) -> Value {
    let mut line = String::new();
    out.read_line(&mut line).expect("it writes UTF-8");
    serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"))
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A server under test.
pub(crate) enum Server {
    /// coturn, and with what it lets in.
    Coturn(Box<CoturnServer>, TurnServer),
    /// Ours.
    Relay(Box<Relay>),
}

impl Server {
    /// With what it lets in.
    pub(crate) fn lets_in(&self) -> TurnServer {
        match self {
            Self::Coturn(_, server) => server.clone(),
            Self::Relay(relay) => relay.server(),
        }
    }

    /// Its death, without goodbye.
    pub(crate) fn kill(&mut self) {
        match self {
            Self::Coturn(coturn, _) => coturn.kill(),
            Self::Relay(relay) => relay.kill(),
        }
    }

    /// Killed and started anew where it was.
    pub(crate) fn restart(self) -> Self {
        match self {
            Self::Coturn(coturn, server) => Self::Coturn(Box::new(coturn.restart()), server),
            Self::Relay(mut relay) => {
                relay.kill();
                let listen = relay.event["listen"].as_str().expect("it said where").to_owned();
                let folder = tempfile::tempdir().expect("a folder for temporary files");
                std::fs::copy(relay.folder.path().join("secret"), folder.path().join("secret"))
                    .expect("the secret is there");
                Self::Relay(Box::new(Relay::start_in(folder, &listen, relay.options.clone())))
            }
        }
    }
}

/// coturn with one user.
pub(crate) fn coturn(asked: Coturn) -> Server {
    let coturn = asked.user("ada", "secret").start();
    let server = turn_server(coturn.address(), "ada", "secret");
    Server::Coturn(Box::new(coturn), server)
}

/// A server reached over UDP.
pub(crate) fn turn_server(address: SocketAddr, username: &str, password: &str) -> TurnServer {
    TurnServer {
        username: username.into(),
        password: password.into(),
        host: address.ip().to_string(),
        port: address.port(),
        transport: Transport::Udp,
    }
}

/// The server by another transport, perhaps on another port.
pub(crate) fn over(server: &TurnServer, transport: Transport, port: Option<u16>) -> TurnServer {
    TurnServer { transport, port: port.unwrap_or(server.port), ..server.clone() }
}

/// Somebody who uses a TURN server.
pub(crate) struct Member {
    /// The client under test.
    pub(crate) client: Client,
    line: Line,
    started: Instant,
    speed: u32,
    /// All events so far.
    pub(crate) events: Vec<Event>,
    /// What peers said.
    pub(crate) heard: Vec<(SocketAddr, Vec<u8>)>,
    /// Messages that were none of the client's, data without permission among them.
    pub(crate) ignored: usize,
    /// Whether the connection ended.
    pub(crate) cut_off: bool,
}

/// What a member asks for beyond the usual.
#[derive(Clone, Default)]
pub(crate) struct Wishes {
    /// RFC 8016.
    pub(crate) mobility: bool,
    /// The relayed address's family: IPv4 unless said.
    pub(crate) family: Option<Family>,
    /// How many times faster its clock goes than the server's; 0 is 1.
    pub(crate) speed: u32,
    /// The certificate that TLS trusts.
    pub(crate) trusted: Option<CertificateDer<'static>>,
}

impl Member {
    /// Connects and starts asking.
    pub(crate) fn new(server: &TurnServer, wishes: Wishes) -> Self {
        let address = SocketAddr::new(server.host.parse().expect("an IP address"), server.port);
        let line = Line::open(address, server.transport, wishes.trusted).expect("the server is there");
        let config = ClientConfig {
            username: server.username.clone(),
            password: server.password.clone(),
            transport: match server.transport {
                Transport::Udp => Framing::Datagram,
                Transport::Tcp | Transport::Tls => Framing::Stream,
            },
            family: wishes.family.unwrap_or(Family::V4),
            mobility: wishes.mobility,
            lifetime: Duration::from_secs(600),
        };
        let client = Client::new(config, line.seed(), Duration::ZERO);
        let (events, heard) = (Vec::new(), Vec::new());
        let speed = wishes.speed.max(1);
        Self { client, line, started: Instant::now(), speed, events, heard, ignored: 0, cut_off: false }
    }

    /// One that has an allocation.
    pub(crate) fn allocated(server: &TurnServer, wishes: Wishes) -> Self {
        let mut member = Self::new(server, wishes);
        member.wait_for("an allocation", |event| matches!(event, Event::Allocated { .. }));
        member
    }

    /// Where the server relays for it.
    pub(crate) fn relayed(&self) -> SocketAddr {
        self.client.relayed().expect("it has an allocation")
    }

    /// Its own address.
    pub(crate) fn local(&self) -> SocketAddr {
        self.line.local()
    }

    /// The client's time.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed() * self.speed
    }

    /// Goes on from a new local address, as after a change of network (UDP only).
    pub(crate) fn move_away(&mut self) {
        let Line::Udp(old) = &self.line else { panic!("only datagrams can move") };
        let server = old.peer_addr().expect("it is connected");
        self.line = Line::open(server, Transport::Udp, None).expect("the server is there");
        let now = self.now();
        self.client.network_changed(now);
    }

    /// Waits for an event.
    pub(crate) fn wait_for(&mut self, what: &str, fits: impl Fn(&Event) -> bool) -> Event {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = 0;
        loop {
            if let Some(event) = self.events[seen..].iter().find(|event| fits(event)) {
                return *event;
            }
            seen = self.events.len();
            assert!(Instant::now() < deadline, "no {what}; there were {:?}", self.events);
            self.step();
        }
    }

    /// Waits for the allocation's failure.
    pub(crate) fn failure(&mut self) -> TurnError {
        match self.wait_for("failure", |event| matches!(event, Event::Failed { .. })) {
            Event::Failed { error } => error,
            _ => unreachable!("it was asked for"),
        }
    }

    /// Permits and waits for the answer: an error if the server forbids it.
    pub(crate) fn permit(&mut self, peer: SocketAddr) -> Result<(), TurnError> {
        let now = self.now();
        self.events.clear();
        self.client.permit(now, peer.ip());
        let told = |event: &Event| matches!(event, Event::Permitted { .. } | Event::Forbidden { .. });
        match self.wait_for("answer about a permission", told) {
            Event::Forbidden { error, .. } => Err(error),
            _ => Ok(()),
        }
    }

    /// Binds a channel and waits for it.
    pub(crate) fn bind(&mut self, peer: SocketAddr) {
        let now = self.now();
        self.client.bind(now, peer);
        self.wait_for("channel", |event| matches!(event, Event::Bound { .. }));
    }

    /// Sends to a peer.
    pub(crate) fn say(&mut self, peer: SocketAddr, payload: &[u8]) {
        let (now, mut bytes) = (self.now(), Vec::new());
        assert!(self.client.wrap(now, peer, payload, &mut bytes), "it has an allocation");
        self.line.send(&bytes).expect("the server is there");
    }

    /// Sends what is no message of the client.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        // A server may well hang up on nonsense.
        let _ = self.line.send(bytes);
    }

    /// Waits for the next thing that a peer says.
    pub(crate) fn hear(&mut self) -> (SocketAddr, Vec<u8>) {
        let deadline = Instant::now() + PATIENCE;
        while self.heard.is_empty() {
            assert!(Instant::now() < deadline, "nothing was heard; there were {:?}", self.events);
            self.step();
        }
        self.heard.remove(0)
    }

    /// Goes on for a while, in which nothing has to happen.
    pub(crate) fn idle(&mut self, duration: Duration) {
        let end = Instant::now() + duration;
        while Instant::now() < end {
            self.step();
        }
    }

    /// Whether nothing is heard, and nothing ignored either.
    pub(crate) fn hears_nothing(&mut self) -> bool {
        let ignored = self.ignored;
        self.idle(SILENCE);
        self.heard.is_empty() && self.ignored == ignored
    }

    /// Sends what is due, and takes what came within some milliseconds.
    fn step(&mut self) {
        let now = self.now();
        if self.client.poll_timeout().is_some_and(|due| due <= now) {
            self.client.handle_timeout(now);
        }
        while let Some(bytes) = self.client.poll_transmit() {
            self.cut_off |= self.line.send(&bytes).is_err();
        }
        match self.line.receive() {
            Ok(messages) => {
                for message in messages {
                    match self.client.handle_input(now, &message) {
                        Input::Data { peer, payload } => self.heard.push((peer, payload.to_vec())),
                        Input::Consumed => {}
                        Input::Ignored => self.ignored += 1,
                    }
                }
            }
            Err(_) => {
                self.cut_off = true;
                thread::sleep(Duration::from_millis(2));
            }
        }
        self.events.extend(std::iter::from_fn(|| self.client.poll_event()));
    }
}

/// A way to a server. Reading waits for some milliseconds.
enum Line {
    Udp(UdpSocket),
    Tcp(TcpStream, StreamReader),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>, StreamReader),
}

impl Line {
    fn open(
        server: SocketAddr,
        transport: Transport,
        trusted: Option<CertificateDer<'static>>,
    ) -> io::Result<Self> {
        let wait = Some(Duration::from_millis(2));
        if transport == Transport::Udp {
            let socket = UdpSocket::bind((server.ip(), 0))?;
            socket.connect(server)?;
            socket.set_read_timeout(wait)?;
            return Ok(Self::Udp(socket));
        }
        let mut stream = TcpStream::connect(server)?;
        stream.set_nodelay(true)?;
        if transport == Transport::Tcp {
            stream.set_read_timeout(wait)?;
            return Ok(Self::Tcp(stream, StreamReader::default()));
        }
        let mut roots = RootCertStore::empty();
        roots.add(trusted.expect("TLS needs a certificate")).expect("a certificate");
        let config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let mut tls =
            ClientConnection::new(Arc::new(config), ServerName::from(server.ip())).expect("a client");
        stream.set_read_timeout(Some(PATIENCE))?;
        while tls.is_handshaking() {
            tls.complete_io(&mut stream)?;
        }
        stream.set_read_timeout(wait)?;
        Ok(Self::Tls(Box::new(StreamOwned::new(tls, stream)), StreamReader::default()))
    }

    fn local(&self) -> SocketAddr {
        match self {
            Self::Udp(socket) => socket.local_addr(),
            Self::Tcp(stream, _) => stream.local_addr(),
            Self::Tls(stream, _) => stream.sock.local_addr(),
        }
        .expect("it is open")
    }

    /// Members of one server differ in their port.
    fn seed(&self) -> [u8; 32] {
        let mut seed = [0; 32];
        seed[..2].copy_from_slice(&self.local().port().to_be_bytes());
        seed
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            // A dead server's port says so with ICMP; that is noticed by its silence.
            Self::Udp(socket) => match socket.send(bytes) {
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
                sent => sent.map(drop),
            },
            Self::Tcp(stream, _) => stream.write_all(bytes),
            Self::Tls(stream, _) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }

    fn receive(&mut self) -> io::Result<Vec<Vec<u8>>> {
        let mut buffer = [0; 4096];
        let (read, frames) = match self {
            Self::Udp(socket) => {
                return match socket.recv(&mut buffer) {
                    Ok(length) => Ok(vec![buffer[..length].to_vec()]),
                    Err(error) if is_patience(&error) || error.kind() == ErrorKind::ConnectionRefused => {
                        Ok(vec![])
                    }
                    Err(error) => Err(error),
                };
            }
            Self::Tcp(stream, frames) => (stream.read(&mut buffer), frames),
            Self::Tls(stream, frames) => (stream.read(&mut buffer), frames),
        };
        match read {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(length) => frames.push(&buffer[..length]),
            Err(error) if is_patience(&error) => {}
            Err(error) => return Err(error),
        }
        let next = || frames.next_frame().expect("the server keeps to its framing");
        Ok(std::iter::from_fn(next).collect())
    }
}

fn is_patience(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
