//! One authenticated connection: voice both ways in datagrams, control messages on its stream.

use super::node::{close, why_ended};
use bytes::Bytes;
use protocol::control::{Message, MessageReader};
use protocol::id::PeerId;
use protocol::media::packet::{self, Kind};
use protocol::media::{Arrival, Composer, Depacketizer, Frame, ReceptionReport, Redundancy};
use protocol::reach::Reach;
use quinn::{Connection, ConnectionError, RecvStream, SendStream, VarInt};
use rtrb::Producer;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, mpsc};
use tokio::task::{AbortHandle, JoinSet};

/// Control messages waiting to be written. A peer that does not read them is dropped.
const CONTROL_QUEUE: usize = 128;

/// While a peer is not heard, this is sent to it instead of voice: enough to find the path when it is back,
/// too little to fill the congestion window.
const PROBE_INTERVAL: Duration = Duration::from_millis(400);

/// Names one connection among all that a member may have had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// What a link tells its owner.
#[derive(Debug)]
pub enum LinkEvent {
    /// A control message came.
    Message(Message),
    /// The connection is over.
    Closed(Closed),
}

/// Why a link ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closed {
    /// The other side left.
    Left,
    /// The other side has a newer connection to us.
    Replaced,
    /// The other side gave us up for lost.
    Gone,
    /// Anything else, in words.
    Broken(String),
}

/// A connection whose peer has been authenticated, ready to carry a call.
#[derive(Debug)]
pub struct Authenticated {
    /// Who is there.
    pub peer: PeerId,
    /// Its display name.
    pub name: String,
    /// Where it says it may be reached.
    pub reach: Reach,
    /// The connection.
    pub connection: Connection,
    /// The handshake's stream, which carries control messages from now on.
    pub send: SendStream,
    /// Its other direction.
    pub receive: RecvStream,
    /// Control messages read together with the handshake's end, or already waited for.
    pub reader: MessageReader,
    /// Whether we opened the connection.
    pub dialled: bool,
    /// From the first packet to here.
    pub took: Duration,
    /// Equal on both sides, different for every handshake.
    pub handshake_hash: [u8; 32],
}

/// Counters of one link, readable by anyone.
#[derive(Debug, Default)]
pub struct LinkCounters {
    heard_us: AtomicU64,
    quiet: AtomicBool,
    redundancy: Mutex<Redundancy>,
    malformed: AtomicU64,
    overflowed: AtomicU64,
    flooded: AtomicU64,
}

impl LinkCounters {
    /// When the last valid datagram came, since the epoch.
    pub fn heard(&self) -> Duration {
        Duration::from_micros(self.heard_us.load(Ordering::Relaxed))
    }

    /// Sends only probes while the peer is not heard.
    pub fn set_quiet(&self, quiet: bool) {
        self.quiet.store(quiet, Ordering::Relaxed);
    }

    /// Datagrams that were no valid packets.
    pub fn malformed(&self) -> u64 {
        self.malformed.load(Ordering::Relaxed)
    }

    /// Datagrams dropped because there were more than any voice sends.
    pub fn flooded(&self) -> u64 {
        self.flooded.load(Ordering::Relaxed)
    }

    /// Frames dropped because the engine did not take them in time.
    pub fn overflowed(&self) -> u64 {
        self.overflowed.load(Ordering::Relaxed)
    }
}

/// A running link. Dropping it ends its tasks but does not close the connection.
#[derive(Debug)]
pub struct Link {
    /// Its name.
    pub id: LinkId,
    /// The connection, for its statistics and for closing.
    pub connection: Connection,
    /// Its counters.
    pub counters: Arc<LinkCounters>,
    control: mpsc::Sender<Message>,
    tasks: Vec<AbortHandle>,
}

impl Link {
    /// Starts the tasks of a link. `epoch` is the zero of the arrivals' clock.
    pub fn start(
        id: LinkId,
        authenticated: Authenticated,
        frames: broadcast::Receiver<Frame>,
        arrivals: Producer<Arrival>,
        epoch: Instant,
        events: mpsc::Sender<(LinkId, LinkEvent)>,
    ) -> Self {
        let Authenticated { connection, send, receive, reader, .. } = authenticated;
        let (control, outgoing) = mpsc::channel(CONTROL_QUEUE);
        let counters = Arc::new(LinkCounters::default());
        counters.heard_us.store(now(epoch).as_micros() as u64, Ordering::Relaxed);
        let mut tasks = JoinSet::new();
        let aborts = vec![
            tasks.spawn(send_voice(connection.clone(), frames, counters.clone(), epoch)),
            tasks.spawn(receive_datagrams(
                id,
                connection.clone(),
                arrivals,
                epoch,
                counters.clone(),
                events.clone(),
            )),
            tasks.spawn(write_control(connection.clone(), send, outgoing)),
            tasks.spawn(read_control(id, connection.clone(), receive, reader, events)),
        ];
        tasks.detach_all();
        Self { id, connection, counters, control, tasks: aborts }
    }

    /// The virtual address of the peer.
    pub fn address(&self) -> SocketAddr {
        self.connection.remote_address()
    }

    /// Queues a control message; a peer that lets them pile up is cut off.
    pub fn send(&self, message: Message) {
        if self.control.try_send(message).is_err() {
            self.connection.close(VarInt::from_u32(close::PROTOCOL), b"control messages are not read");
        }
    }

    /// Tells the peer how its voice arrives.
    pub fn report(&self, report: ReceptionReport) {
        // A report that finds no room is followed by another one in a second.
        let _ = self.connection.send_datagram(Bytes::copy_from_slice(&report.encode()));
    }

    /// Closes the connection with one of the codes in [`close`].
    pub fn close(&self, code: u32, reason: &str) {
        self.connection.close(VarInt::from_u32(code), reason.as_bytes());
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn now(epoch: Instant) -> Duration {
    // Tokio's clock, so that simulated time is obeyed.
    tokio::time::Instant::now().into_std().saturating_duration_since(epoch)
}

async fn send_voice(
    connection: Connection,
    mut frames: broadcast::Receiver<Frame>,
    counters: Arc<LinkCounters>,
    epoch: Instant,
) {
    let mut last_probe = tokio::time::Instant::now();
    let mut buffer = Vec::with_capacity(protocol::limits::MEDIA_PACKET_BYTES_MAX);
    let mut composer = Composer::default();
    loop {
        let frame = match frames.recv().await {
            Ok(frame) => frame,
            // The oldest frames were dropped, as they should be.
            Err(broadcast::error::RecvError::Lagged(_)) => continue,
            Err(broadcast::error::RecvError::Closed) => return,
        };
        if counters.quiet.load(Ordering::Relaxed) {
            if last_probe.elapsed() < PROBE_INTERVAL {
                continue;
            }
            last_probe = tokio::time::Instant::now();
        }
        buffer.clear();
        let length = Duration::from_micros(u64::from(frame.ticks) * 2500);
        let copies =
            counters.redundancy.lock().expect("nobody panics while choosing").choose(now(epoch), length);
        composer.compose(&frame, copies, &mut buffer);
        if connection.send_datagram(Bytes::copy_from_slice(&buffer)).is_err() {
            return;
        }
    }
}

async fn receive_datagrams(
    id: LinkId,
    connection: Connection,
    mut arrivals: Producer<Arrival>,
    epoch: Instant,
    counters: Arc<LinkCounters>,
    events: mpsc::Sender<(LinkId, LinkEvent)>,
) {
    let mut depacketizer = Depacketizer::default();
    let (mut voice, mut excess) = (Budget::VOICE.full(), Budget::EXCESS.full());
    while let Ok(datagram) = connection.read_datagram().await {
        if !voice.take() {
            counters.flooded.fetch_add(1, Ordering::Relaxed);
            if excess.take() {
                continue;
            }
            let broken = Closed::Broken("it flooded us with datagrams".into());
            let _ = events.send((id, LinkEvent::Closed(broken))).await;
            connection.close(VarInt::from_u32(close::PROTOCOL), b"too many datagrams");
            return;
        }
        let at = now(epoch);
        let valid = match packet::kind(&datagram) {
            Some(Kind::Voice) => match depacketizer.read(&datagram) {
                Ok(frames) => {
                    for frame in frames.iter() {
                        if arrivals.push(Arrival { at, frame: *frame }).is_err() {
                            counters.overflowed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    true
                }
                Err(_) => false,
            },
            Some(Kind::Report) => match ReceptionReport::decode(&datagram) {
                Ok(report) => {
                    let mut redundancy = counters.redundancy.lock().expect("nobody panics while choosing");
                    redundancy.on_report(at, &report);
                    true
                }
                Err(_) => false,
            },
            // From a later version.
            None => true,
        };
        if valid {
            counters.heard_us.store(at.as_micros() as u64, Ordering::Relaxed);
        } else {
            counters.malformed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

async fn write_control(connection: Connection, mut send: SendStream, mut outgoing: mpsc::Receiver<Message>) {
    while let Some(message) = outgoing.recv().await {
        if send.write_all(&message.encode()).await.is_err() {
            return;
        }
    }
    // The link was dropped; the stream stays open so that closing the connection says why.
    connection.closed().await;
}

/// How much of something a member may send: a token bucket.
#[derive(Clone, Copy)]
struct Budget {
    burst: f64,
    per_second: f64,
    tokens: f64,
    at: Option<tokio::time::Instant>,
}

impl Budget {
    /// Control messages: a person's commands and the introductions of a full group fit with room to spare.
    const CONTROL: Self = Self::new(512.0, 64.0);
    /// Datagrams: voice is 50 to 100 a second, and after a stall of 3 s it may come all at once.
    const VOICE: Self = Self::new(400.0, 200.0);
    /// Datagrams beyond that, which are dropped: what a path may do to honest ones is over by then.
    const EXCESS: Self = Self::new(2000.0, 20.0);

    const fn new(burst: f64, per_second: f64) -> Self {
        Self { burst, per_second, tokens: burst, at: None }
    }

    /// One that counts from now.
    fn full(self) -> Self {
        Self { at: Some(tokio::time::Instant::now()), ..self }
    }

    fn take(&mut self) -> bool {
        let now = tokio::time::Instant::now();
        let since = self.at.replace(now).unwrap_or(now);
        let earned = (now - since).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + earned).min(self.burst);
        let has = self.tokens >= 1.0;
        if has {
            self.tokens -= 1.0;
        }
        has
    }
}

async fn read_control(
    id: LinkId,
    connection: Connection,
    mut receive: RecvStream,
    mut reader: MessageReader,
    events: mpsc::Sender<(LinkId, LinkEvent)>,
) {
    let mut chunk = [0; 4096];
    let mut budget = Budget::CONTROL.full();
    loop {
        match reader.next_message() {
            Ok(Some(_)) if !budget.take() => {
                connection.close(VarInt::from_u32(close::PROTOCOL), b"too many control messages");
                let broken = Closed::Broken("it sent too many control messages".into());
                let _ = events.send((id, LinkEvent::Closed(broken))).await;
                return;
            }
            Ok(Some(message)) => {
                if events.send((id, LinkEvent::Message(message))).await.is_err() {
                    return;
                }
                continue;
            }
            Ok(None) => {}
            Err(error) => {
                connection.close(VarInt::from_u32(close::PROTOCOL), error.to_string().as_bytes());
                let broken = Closed::Broken(format!("it sent {error}"));
                let _ = events.send((id, LinkEvent::Closed(broken))).await;
                return;
            }
        }
        match receive.read(&mut chunk).await {
            Ok(Some(length)) => reader.push(&chunk[..length]),
            // The stream ends with the connection.
            Ok(None) | Err(_) => break,
        }
    }
    let closed = closed(&connection.closed().await);
    let _ = events.send((id, LinkEvent::Closed(closed))).await;
}

fn closed(error: &ConnectionError) -> Closed {
    let code = match error {
        ConnectionError::ApplicationClosed(close) => u32::try_from(close.error_code.into_inner()).ok(),
        _ => None,
    };
    match code {
        Some(close::LEFT) => Closed::Left,
        Some(close::REPLACED) => Closed::Replaced,
        Some(close::GONE) => Closed::Gone,
        Some(_) | None => Closed::Broken(why_ended(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Authenticated, Closed, Link, LinkEvent, LinkId, closed};
    use crate::net::node::{Node, close};
    use crate::net::udp::SystemUdp;
    use protocol::control::{Chat, Leave, Message, MessageReader};
    use protocol::id::PeerId;
    use protocol::reach::Reach;
    use quinn::{ApplicationClose, Connection, ConnectionError, SendStream, VarInt};
    use std::time::{Duration, Instant};
    use tokio::sync::{broadcast, mpsc};

    #[test]
    fn a_connection_dropped_without_a_word_is_not_a_farewell() {
        let ended = |code| {
            let reason = bytes::Bytes::from_static(b"\x1b[2Jlies");
            closed(&ConnectionError::ApplicationClosed(ApplicationClose {
                error_code: VarInt::from_u32(code),
                reason,
            }))
        };
        assert_eq!(ended(close::LEFT), Closed::Left);
        let Closed::Broken(words) = ended(0) else { panic!("not broken") };
        assert!(!words.contains("lies"), "the other side's words are not for our screen");
    }

    /// What the network has of a member who does as it likes.
    struct Rogue {
        connection: Connection,
        control: SendStream,
        _node: Node,
    }

    /// A member that does as it likes, our link to it, and what that tells.
    async fn rogue() -> (Rogue, Link, mpsc::Receiver<(LinkId, LinkEvent)>) {
        let node = || {
            let udp = SystemUdp::bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
            Node::start(Box::new(udp), None).expect("a node").0
        };
        let (here, there) = (node(), node());
        let address = here.local_addr().expect("it is bound");
        let answer = async {
            let connection = here.accept().await.expect("a dial").accept().expect("a dial");
            connection.await.expect("it is answered")
        };
        let (dialled, connection) = tokio::join!(there.dial(address, false), answer);
        let theirs = dialled.expect("it is answered").keep();
        let (mut control, _receive) = theirs.open_bi().await.expect("a stream");
        // The stream is there for the other side once something came over it.
        control.write_all(&Message::Leave(Leave {}).encode()).await.expect("it is sent");
        let (send, receive) = connection.accept_bi().await.expect("a stream");
        let authenticated = Authenticated {
            handshake_hash: [0; 32],
            peer: PeerId([1; 32]),
            name: String::new(),
            reach: Reach::default(),
            connection,
            send,
            receive,
            reader: MessageReader::default(),
            dialled: false,
            took: Duration::ZERO,
        };
        let (_frames, frames) = broadcast::channel(1);
        let (arrivals, _taken) = rtrb::RingBuffer::new(64);
        let (events, told) = mpsc::channel(16);
        let link = Link::start(LinkId(1), authenticated, frames, arrivals, Instant::now(), events);
        (Rogue { connection: theirs, control, _node: there }, link, told)
    }

    /// How many messages came, and how the link ended.
    async fn end(told: &mut mpsc::Receiver<(LinkId, LinkEvent)>) -> (usize, Closed) {
        let mut messages = 0;
        loop {
            match told.recv().await.expect("a report").1 {
                LinkEvent::Message(_) => messages += 1,
                LinkEvent::Closed(closed) => return (messages, closed),
            }
        }
    }

    #[tokio::test]
    async fn a_member_that_floods_with_datagrams_is_dropped_and_told_why() {
        let (rogue, link, mut told) = rogue().await;
        for n in 0..20_000 {
            if rogue.connection.send_datagram_wait(vec![0; 40].into()).await.is_err() {
                break;
            }
            // A flood that is lost is none.
            if n % 20 == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        let ended = tokio::time::timeout(Duration::from_secs(5), rogue.connection.closed()).await;
        let ConnectionError::ApplicationClosed(ended) = ended.expect("it is dropped") else {
            panic!("not told why")
        };
        assert_eq!(ended.error_code, VarInt::from_u32(close::PROTOCOL));
        let (messages, end) = end(&mut told).await;
        assert!(matches!(&end, Closed::Broken(words) if words.contains("flood")), "{end:?}");
        assert_eq!(messages, 1, "the one that opened the stream");
        assert!(link.counters.flooded() > 1000);
    }

    #[tokio::test]
    async fn a_member_that_floods_with_control_messages_is_dropped_and_told_why() {
        let (mut rogue, _link, mut told) = rogue().await;
        let chat = Message::Chat(Chat { id: 1, text: "hello".into() }).encode();
        let sender = async {
            for _ in 0..5000 {
                if rogue.control.write_all(&chat).await.is_err() {
                    break;
                }
            }
        };
        let both =
            tokio::time::timeout(Duration::from_secs(5), async { tokio::join!(sender, end(&mut told)) });
        let ((), (messages, end)) = both.await.expect("it ends");
        assert!(matches!(&end, Closed::Broken(words) if words.contains("control")), "{end:?}");
        assert!(messages < 700, "{messages} were taken");
    }
}
