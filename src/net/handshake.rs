//! Drives the Noise handshake over a connection's first stream.

use super::link::Authenticated;
use super::node::{Dialled, Node, close, why_ended};
use minicbor::{Decode, Encode};
use protocol::control::MessageReader;
use protocol::id::GroupId;
use protocol::identity::Identity;
use protocol::limits::{HANDSHAKE_DEADLINE, HANDSHAKE_PAYLOAD_BYTES_MAX};
use protocol::noise::{
    Credential, EXPORTER_LABEL, Established, FRAME_HEADER_BYTES, HandshakeError, Initiator, InitiatorEvent,
    Local, Mode, Newcomer, RefuseReason, Responder, ResponderEvent, Secret, StretchedPassword, encode_frame,
    frame_bytes, stretch_password,
};
use protocol::reach::Reach;
use quinn::{
    Connection, ConnectionError, Incoming, ReadError, ReadExactError, RecvStream, SendStream, VarInt,
};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

/// How long a refusal may take to reach the other side before the connection is closed under it.
const REFUSAL_LINGER: Duration = Duration::from_millis(500);

/// How long somebody who knocks is asked about, and waits to be let in.
const KNOCK_PATIENCE: Duration = Duration::from_secs(120);

/// Whoever waits at the door is told so at this interval, and gives up when it hears nothing for three of them.
const WAIT_INTERVAL: Duration = Duration::from_secs(5);

/// A member that nobody here knows: the news that it was let in may be on its way.
const NEWS_PATIENCE: Duration = Duration::from_secs(2);

/// Sooner after a connection's first packet no other can have come: what it says, the first one said.
const AT_ONCE: Duration = Duration::from_millis(5);

/// Who we are in every handshake.
#[derive(Clone)]
pub struct Myself {
    /// Our keys.
    pub identity: Arc<Identity>,
    /// Our display name.
    pub name: String,
    /// Where we may be reached, as far as it is known at the moment.
    pub reach: ReachNow,
}

/// What says where we may be reached.
pub type ReachNow = Arc<dyn Fn() -> Reach + Send + Sync>;

/// What we enter with, when it is a password.
#[derive(Clone)]
pub enum Password {
    /// None is needed.
    None,
    /// As typed; stretched once the group is known.
    Typed(Arc<Zeroizing<String>>),
}

/// What a doorkeeper says to a newcomer with a proven identity and secret.
#[derive(Debug)]
pub enum Verdict {
    /// Come in.
    Enter,
    /// Somebody is asked. Dropping the receiver tells them that it is too late.
    Ask(oneshot::Receiver<bool>),
    /// Nobody knows such a member yet: to be asked again when something has changed.
    Unknown(watch::Receiver<()>),
    /// No.
    Refuse(RefuseReason),
}

/// Decides who comes in. Called from the handshake's task.
pub trait Doorkeeper: Send + Sync + 'static {
    /// The group that is here.
    fn group(&self) -> GroupId;
    /// The secret that a newcomer's claim is tested against.
    fn secret(&self, mode: &Mode) -> Result<Secret, RefuseReason>;
    /// Whether a newcomer with a proven identity and secret comes in. With [`Verdict::Enter`] it is in.
    fn judge(&self, newcomer: &Newcomer) -> Verdict;
    /// After a [`Verdict::Ask`] was answered with yes: now it is in.
    fn let_in(&self, newcomer: &Newcomer) -> Result<(), RefuseReason>;
}

/// Why there is no authenticated connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeFailure {
    /// One of the two sides refused.
    #[error(transparent)]
    Refused(#[from] HandshakeError),
    /// We refused somebody who was a member and is none any more.
    #[error("it was put out of the group")]
    PutOut,
    /// The other side took too long.
    #[error("the other side stopped answering")]
    Deadline,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The other side's first words were that it closes the connection. QUIC then keeps ours for the whole of its
    /// idle timeout, [`LINGER`](super::node::LINGER).
    #[error("it was closed as soon as it was opened")]
    Lingering,
}

fn ended(error: &ConnectionError) -> HandshakeFailure {
    HandshakeFailure::Broken(why_ended(error))
}

fn broken(error: impl ToString) -> HandshakeFailure {
    HandshakeFailure::Broken(error.to_string())
}

/// Enters over a connection that we opened.
pub async fn initiate(
    dialled: Dialled,
    myself: &Myself,
    credential: Credential,
    password: Password,
    waiting: &Notify,
    started: Instant,
) -> Result<(Authenticated, Mode), HandshakeFailure> {
    let connection = dialled.connection().clone();
    match initiator(&dialled, myself, credential, password, waiting).await {
        Ok((established, send, receive)) => {
            let mode = established.mode;
            Ok((authenticated(established, dialled.keep(), send, receive, true, started), mode))
        }
        Err(failure) => {
            refuse(connection, &failure).await;
            Err(failure)
        }
    }
}

/// Answers at the door. The connection is closed on failure.
pub async fn respond(
    incoming: Incoming,
    node: &Node,
    myself: &Myself,
    doors: &impl Doorkeeper,
) -> Result<(Authenticated, Mode), HandshakeFailure> {
    let started = Instant::now();
    let address = incoming.remote_address();
    // Whoever is known, and waits for somebody to open, is no stranger any more.
    let hold = || node.socket().paths().promote(address);
    let result = respond_at(incoming, myself, doors, started, &hold).await;
    if result.is_err() {
        node.socket().paths().remove(address);
    }
    result
}

async fn respond_at(
    incoming: Incoming,
    myself: &Myself,
    doors: &impl Doorkeeper,
    started: Instant,
    hold: &(impl Fn() + Sync),
) -> Result<(Authenticated, Mode), HandshakeFailure> {
    let deadline = started + HANDSHAKE_DEADLINE;
    let connecting = incoming.accept().map_err(|error| ended(&error))?;
    let connection = within(deadline, async {
        connecting.await.map_err(|error| match error {
            ConnectionError::ConnectionClosed(_) | ConnectionError::ApplicationClosed(_)
                if started.elapsed() < AT_ONCE =>
            {
                HandshakeFailure::Lingering
            }
            other => ended(&other),
        })
    })
    .await?;
    match responder(&connection, myself, doors, deadline, hold).await {
        Ok((established, send, receive)) => {
            let mode = established.mode;
            Ok((authenticated(established, connection, send, receive, false, started), mode))
        }
        Err(failure) => {
            refuse(connection, &failure).await;
            Err(failure)
        }
    }
}

async fn within<T>(
    deadline: Instant,
    work: impl Future<Output = Result<T, HandshakeFailure>>,
) -> Result<T, HandshakeFailure> {
    tokio::time::timeout_at(deadline, work).await.unwrap_or(Err(HandshakeFailure::Deadline))
}

/// Closes; when the refusal is ours, after the other side had time to read why.
async fn refuse(connection: Connection, failure: &HandshakeFailure) {
    let reason: &[u8] = match failure {
        HandshakeFailure::Deadline => b"too slow",
        HandshakeFailure::Refused(HandshakeError::Refusing(_)) | HandshakeFailure::PutOut => {
            let _ = timeout(REFUSAL_LINGER, connection.closed()).await;
            b"refused"
        }
        HandshakeFailure::Refused(_) | HandshakeFailure::Broken(_) | HandshakeFailure::Lingering => {
            b"refused"
        }
    };
    connection.close(VarInt::from_u32(close::REFUSED), reason);
}

fn authenticated(
    established: Established,
    connection: Connection,
    send: SendStream,
    receive: RecvStream,
    dialled: bool,
    started: Instant,
) -> Authenticated {
    let name =
        if established.name.is_empty() { established.peer.short() } else { established.name.to_string() };
    Authenticated {
        peer: established.peer,
        name,
        reach: Introduction::decode(&established.payload),
        connection,
        send,
        receive,
        reader: MessageReader::default(),
        dialled,
        took: started.elapsed(),
        handshake_hash: established.handshake_hash,
    }
}

fn local<'a>(connection: &Connection, myself: &'a Myself) -> Result<Local<'a>, HandshakeFailure> {
    let mut exporter = [0; 32];
    let exported = connection.export_keying_material(&mut exporter, EXPORTER_LABEL, b"");
    exported.map_err(|_| broken("TLS exports no key"))?;
    Ok(Local { identity: &myself.identity, name: &myself.name, exporter, seed: super::random::bytes() })
}

/// A handshake that succeeded, and its stream.
type Shaken = (Established, SendStream, RecvStream);

async fn initiator(
    dialled: &Dialled,
    myself: &Myself,
    credential: Credential,
    password: Password,
    waiting: &Notify,
) -> Result<Shaken, HandshakeFailure> {
    let connection = dialled.connection();
    let started = Instant::now();
    let mut deadline = started + HANDSHAKE_DEADLINE;
    let is_member = matches!(credential, Credential::Member { .. });
    let opening = async { connection.open_bi().await.map_err(|error| ended(&error)) };
    let (mut send, mut receive) = within(deadline, opening).await?;
    let payload = Introduction::encode(&(myself.reach)());
    let mut machine = Initiator::new(&local(connection, myself)?, credential, &payload);
    loop {
        let frames: Vec<u8> = std::iter::from_fn(|| machine.poll_transmit())
            .flat_map(|message| encode_frame(&message))
            .collect();
        within(deadline, write(&mut send, &frames)).await?;
        match machine.poll_event() {
            Some(InitiatorEvent::NeedPassword { group }) => {
                let stretched = within(deadline, stretch(&password, group)).await?;
                machine.provide_password(&stretched);
                continue;
            }
            // A member is in; only a newcomer waits while somebody is asked.
            Some(InitiatorEvent::Waiting) if is_member => return Err(HandshakeFailure::Deadline),
            Some(InitiatorEvent::Waiting) => {
                waiting.notify_one();
                dialled.hold();
                let patience = started + KNOCK_PATIENCE + HANDSHAKE_DEADLINE;
                deadline = patience.min(Instant::now() + 3 * WAIT_INTERVAL);
            }
            Some(InitiatorEvent::Established(established)) => return Ok((established, send, receive)),
            Some(InitiatorEvent::Failed(error)) => return Err(error.into()),
            None => {}
        }
        machine.handle_message(&within(deadline, read_message(&mut receive)).await?);
    }
}

async fn responder(
    connection: &Connection,
    myself: &Myself,
    doors: &impl Doorkeeper,
    deadline: Instant,
    hold: &(impl Fn() + Sync),
) -> Result<Shaken, HandshakeFailure> {
    let accepting = async { connection.accept_bi().await.map_err(|error| ended(&error)) };
    let (mut send, mut receive) = within(deadline, accepting).await?;
    let payload = Introduction::encode(&(myself.reach)());
    let mut machine = Responder::new(&local(connection, myself)?, doors.group());
    let mut is_member = false;
    loop {
        while let Some(message) = machine.poll_transmit() {
            // After a knock there is a new one: nobody who reads is late with a few bytes.
            let deadline = deadline.max(Instant::now() + WAIT_INTERVAL);
            within(deadline, write(&mut send, &encode_frame(&message))).await?;
        }
        match machine.poll_event() {
            Some(ResponderEvent::NeedSecret(mode)) => {
                is_member = matches!(mode, Mode::Member { .. });
                match doors.secret(&mode) {
                    Ok(secret) => machine.provide(secret),
                    Err(reason) => machine.refuse(reason),
                }
                continue;
            }
            Some(ResponderEvent::NeedAdmission(newcomer)) => {
                match decide(doors, &newcomer, &mut machine, (&mut send, connection), hold).await? {
                    Ok(()) => machine.admit(&payload),
                    Err(reason) => machine.refuse(reason),
                }
                continue;
            }
            Some(ResponderEvent::Established(established)) => return Ok((established, send, receive)),
            Some(ResponderEvent::Failed(HandshakeError::Refusing(RefuseReason::Removed))) if is_member => {
                return Err(HandshakeFailure::PutOut);
            }
            Some(ResponderEvent::Failed(error)) => return Err(error.into()),
            None => {}
        }
        machine.handle_message(&within(deadline, read_message(&mut receive)).await?);
    }
}

/// What becomes of a newcomer, when that is decided.
async fn decide(
    doors: &impl Doorkeeper,
    newcomer: &Newcomer,
    machine: &mut Responder,
    (send, connection): (&mut SendStream, &Connection),
    hold: &(impl Fn() + Sync),
) -> Result<Result<(), RefuseReason>, HandshakeFailure> {
    let news_until = Instant::now() + NEWS_PATIENCE;
    let mut answer = loop {
        match doors.judge(newcomer) {
            Verdict::Enter => return Ok(Ok(())),
            Verdict::Refuse(reason) => return Ok(Err(reason)),
            Verdict::Ask(answer) => break answer,
            Verdict::Unknown(mut news) => {
                let changed = tokio::time::timeout_at(news_until, news.changed()).await;
                if !matches!(changed, Ok(Ok(()))) {
                    return Ok(Err(RefuseReason::NotAMember));
                }
            }
        }
    };
    hold();
    let patience = Instant::now() + KNOCK_PATIENCE;
    while Instant::now() < patience {
        machine.wait();
        while let Some(message) = machine.poll_transmit() {
            within(Instant::now() + WAIT_INTERVAL, write(send, &encode_frame(&message))).await?;
        }
        tokio::select! {
            answer = &mut answer => {
                let is_welcome = answer.unwrap_or(false);
                return Ok(if is_welcome { doors.let_in(newcomer) } else { Err(RefuseReason::Denied) });
            }
            error = connection.closed() => return Err(ended(&error)),
            () = tokio::time::sleep(WAIT_INTERVAL) => {}
        }
    }
    Ok(Err(RefuseReason::Denied))
}

async fn write(send: &mut SendStream, bytes: &[u8]) -> Result<(), HandshakeFailure> {
    send.write_all(bytes).await.map_err(|_| broken("the other side hung up"))
}

/// Argon2id takes a quarter of a second: off the runtime's thread.
async fn stretch(password: &Password, group: GroupId) -> Result<StretchedPassword, HandshakeFailure> {
    let Password::Typed(typed) = password.clone() else {
        return Err(broken("a password is asked for and there is none"));
    };
    tokio::task::spawn_blocking(move || stretch_password(typed.as_bytes(), group)).await.map_err(broken)
}

async fn read_message(receive: &mut RecvStream) -> Result<Vec<u8>, HandshakeFailure> {
    let mut header = [0; FRAME_HEADER_BYTES];
    receive.read_exact(&mut header).await.map_err(stream_ended)?;
    let length = frame_bytes(header).map_err(broken)?;
    let mut message = vec![0; length];
    receive.read_exact(&mut message).await.map_err(stream_ended)?;
    Ok(message)
}

/// What the other side wrote about the end is not fit to be shown.
fn stream_ended(error: ReadExactError) -> HandshakeFailure {
    match error {
        ReadExactError::ReadError(ReadError::ConnectionLost(error)) => ended(&error),
        ReadExactError::ReadError(_) | ReadExactError::FinishedEarly(_) => {
            broken("the other side ended the stream")
        }
    }
}

/// What the application adds to the handshake: where we may be reached, as a CBOR map.
#[derive(Encode, Decode)]
#[cbor(map)]
struct Introduction {
    #[n(0)]
    addresses: Vec<String>,
    #[n(1)]
    #[cbor(default)]
    relays: Vec<String>,
}

impl Introduction {
    fn encode(reach: &Reach) -> Vec<u8> {
        let (mut addresses, relays) = (reach.address_texts(), reach.relay_texts());
        loop {
            let introduction = Self { addresses: addresses.clone(), relays: relays.clone() };
            let bytes = minicbor::to_vec(introduction).expect("a vector takes all bytes");
            if bytes.len() <= HANDSHAKE_PAYLOAD_BYTES_MAX {
                return bytes;
            }
            addresses.pop();
        }
    }

    /// What cannot be read is no reason to refuse anybody.
    fn decode(bytes: &[u8]) -> Reach {
        let introduction = minicbor::decode::<Self>(bytes);
        introduction.map(|told| Reach::from_texts(&told.addresses, &told.relays)).unwrap_or_default()
    }
}
