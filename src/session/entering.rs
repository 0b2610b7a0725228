//! The way into a group: found one, or enter one by ticket or password.

use super::Surroundings;
use super::doors::{Doors, now_unix};
use super::rostering::read_operations;
use super::ways::{Way, ways};
use crate::net::handshake::{self, HandshakeFailure, Password};
use crate::net::link::Authenticated;
use crate::net::node::{Dialled, close};
use protocol::control::{Message, Welcome};
use protocol::door::KnockKey;
use protocol::group::{Admission, Operation};
use protocol::id::GroupId;
use protocol::invite::{Expired, Ticket};
use protocol::limits::{HANDSHAKE_DEADLINE, OPERATIONS_MAX};
use protocol::noise::Mode;
use protocol::noise::{Credential, HandshakeError, RefuseReason, stretch_password};
use protocol::reach::Reach;
use quinn::VarInt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use zeroize::Zeroizing;

/// How long all addresses together may stay silent. A lost first packet is repeated after 0.3, 0.9 and 2.1 s.
const REACH_DEADLINE: Duration = Duration::from_secs(8);

/// How long a member may take to tell what was said in the group, as long as it goes on: a megabyte over a slow line.
const INTRODUCTION_PATIENCE: Duration = Duration::from_secs(30);

/// How long after the first try another one may begin when connections break halfway.
const PATIENCE: Duration = Duration::from_secs(9);

/// What lets us in.
#[derive(Clone)]
pub enum Key {
    /// A ticket.
    Ticket(Box<Ticket>),
    /// An address and a password.
    Password {
        /// Addresses to try, all at once.
        addresses: Vec<SocketAddr>,
        /// The password as typed.
        password: Arc<Zeroizing<String>>,
    },
}

/// We are in: the first link, and what the member at its other end told us.
pub struct Entered {
    /// The link.
    pub authenticated: Authenticated,
    /// What was said in the group.
    pub operations: Vec<Operation>,
    /// Its welcome.
    pub welcome: Welcome,
}

/// Why we did not get in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnterError {
    /// The ticket says itself that it is void.
    #[error(transparent)]
    Expired(#[from] Expired),
    /// There is nowhere to go.
    #[error("the ticket names no address")]
    NoAddress,
    /// Direct ways are ruled out, and there is no other.
    #[error("the ticket names no TURN server, and --relay-only rules out everything else")]
    NoRelay,
    /// Nothing came back from any address.
    #[error("nobody answers at {tried} ({reason})")]
    Unreachable {
        /// The addresses.
        tried: String,
        /// The last failure.
        reason: String,
    },
    /// They did not let us in, or we did not trust them.
    #[error(transparent)]
    Refused(HandshakeError),
    /// The connection came about and then failed.
    #[error("the connection failed before we were in: {0}")]
    Failed(String),
    /// The same, by no fault of either side.
    #[error("the connection failed before we were in: {0}")]
    Interrupted(String),
}

/// The doors of a new group.
pub fn found(surroundings: &Surroundings, admission: Admission) -> Doors {
    let (nonce, secret) = (crate::net::random::bytes(), crate::net::random::bytes());
    Doors::found(surroundings.myself.identity.clone(), admission, nonce, secret)
}

/// Lets people in by this password too. Takes a quarter of a second.
pub async fn accept_password(doors: &Doors, password: Arc<Zeroizing<String>>) {
    let group = super::group_of(doors);
    let stretched = tokio::task::spawn_blocking(move || stretch_password(password.as_bytes(), group)).await;
    doors.set_password(stretched.expect("stretching a password does not panic"));
}

/// Enters a group: reaches one member, proves to be invited, and is told about the others.
pub async fn enter(surroundings: &Surroundings, key: Key) -> Result<(Entered, Doors), EnterError> {
    let mut tries = Vec::new();
    match key.clone() {
        Key::Ticket(ticket) => {
            ticket.check(now_unix())?;
            for door in ticket.doors() {
                let credential = Credential::of_ticket_at(&ticket, door.member);
                tries.push((door.reach, Proof { credential, password: Password::None }));
            }
        }
        Key::Password { addresses, password } => {
            let reach = Reach { addresses, relays: Vec::new() };
            let password = Password::Typed(password);
            tries.push((reach, Proof { credential: Credential::Password, password }));
        }
    }
    if tries.iter().all(|(reach, _)| reach.is_empty()) {
        return Err(EnterError::NoAddress);
    }
    let all = |(reach, proof): (Reach, Proof)| {
        ways(&surroundings.connectivity, reach).into_iter().map(move |way| (way, proof.clone()))
    };
    let ways: Vec<(Way, Proof)> = tries.into_iter().flat_map(all).collect();
    // Until we are in, nobody has anything to ask here.
    surroundings.node.socket().entrance().shut();
    if ways.is_empty() {
        return Err(EnterError::NoRelay);
    }
    let started = Instant::now();
    let (entered, group) = loop {
        match first_to_let_us_in(surroundings, &ways).await {
            // Somebody answers: on a bad network the next try gets through.
            Err(EnterError::Interrupted(reason)) if started.elapsed() < PATIENCE => {
                tracing::debug!(reason, "trying again to get in");
            }
            decided => break decided?,
        }
    };
    let identity = surroundings.myself.identity.clone();
    let Entered { authenticated, welcome, operations } = &entered;
    let doors = Doors::join(identity, group, operations.clone(), welcome)
        .map_err(|error| unwelcome(authenticated, &error.to_string()))?;
    if let Key::Password { password, .. } = key {
        // Whoever came by password can let others in by it.
        accept_password(&doors, password).await;
    }
    Ok((entered, doors))
}

/// What we show at the door.
#[derive(Clone)]
struct Proof {
    credential: Credential,
    password: Password,
}

/// Opens connections by all ways and shakes hands with whoever answers, in the order of answers, until it is
/// the right one: a private address of a ticket may belong to somebody else where we are.
async fn first_to_let_us_in(
    surroundings: &Surroundings,
    ways: &[(Way, Proof)],
) -> Result<(Entered, GroupId), EnterError> {
    let started = Instant::now();
    let mut dials = JoinSet::new();
    for (way, proof) in ways.iter().cloned() {
        let (node, connectivity) = (surroundings.node.clone(), surroundings.connectivity.clone());
        let knock = KnockKey::of(&proof.credential).into_iter().collect();
        dials.spawn(async move {
            let route = way.route(&connectivity).await?;
            let dialled = node.knock(route, true, knock).await;
            dialled.map(|dialled| (dialled, proof)).map_err(|error| error.to_string())
        });
    }
    let mut reason = String::from("no reply");
    let mut refused = None;
    while let Ok(Some(dialled)) = timeout_at(started + REACH_DEADLINE, dials.join_next()).await {
        match dialled {
            Ok(Ok((dialled, proof))) => match shake_hands(surroundings, dialled, proof, started).await {
                Err(error) if error.is_of_somebody_else() => refused = Some(error),
                decided => return decided,
            },
            Ok(Err(error)) => reason = error,
            Err(_) => {}
        }
    }
    let tried = ways.iter().map(|(way, _)| way.to_string()).collect::<Vec<_>>().join(", ");
    Err(refused.unwrap_or(EnterError::Unreachable { tried, reason }))
}

async fn shake_hands(
    surroundings: &Surroundings,
    dialled: Dialled,
    proof: Proof,
    started: Instant,
) -> Result<(Entered, GroupId), EnterError> {
    let Proof { credential, password } = proof;
    let Surroundings { myself, waiting, .. } = surroundings;
    let shaken = handshake::initiate(dialled, myself, credential, password, waiting, started).await;
    let (mut authenticated, mode) = shaken.map_err(|failure| match failure {
        HandshakeFailure::Refused(error) => EnterError::Refused(error),
        HandshakeFailure::Deadline
        | HandshakeFailure::Broken(_)
        | HandshakeFailure::Lingering
        | HandshakeFailure::PutOut => EnterError::Interrupted(failure.to_string()),
    })?;
    let (operations, welcome) = match timeout(INTRODUCTION_PATIENCE, introduction(&mut authenticated)).await {
        Ok(Ok(introduction)) => introduction,
        Ok(Err(reason)) => return Err(unwelcome(&authenticated, &reason)),
        Err(_) => return Err(unwelcome(&authenticated, "it did not say who else is there in time")),
    };
    let group = match mode {
        Mode::Ticket { group, .. } | Mode::Member { group, .. } => group,
        Mode::Password => GroupId(*welcome.group),
    };
    Ok((Entered { authenticated, welcome, operations }, group))
}

/// What was said in the group, and the welcome that comes after it.
async fn introduction(authenticated: &mut Authenticated) -> Result<(Vec<Operation>, Welcome), String> {
    let mut chunk = [0; 2048];
    let mut said = Vec::new();
    loop {
        match authenticated.reader.next_message().map_err(|error| error.to_string())? {
            Some(Message::Operations(operations)) if said.len() <= OPERATIONS_MAX => {
                said.extend(read_operations(&operations).map_err(|error| error.to_string())?);
                continue;
            }
            Some(Message::Welcome(welcome)) => return Ok((said, welcome)),
            Some(_) => return Err("it did not say who else is there".into()),
            None => {}
        }
        match timeout(HANDSHAKE_DEADLINE, authenticated.receive.read(&mut chunk)).await {
            Ok(Ok(Some(length))) => authenticated.reader.push(&chunk[..length]),
            Ok(Ok(None) | Err(_)) => return Err("it ended the conversation".into()),
            Err(_) => return Err("it fell silent before it had said who else is there".into()),
        }
    }
}

fn unwelcome(authenticated: &Authenticated, reason: &str) -> EnterError {
    authenticated.connection.close(VarInt::from_u32(close::PROTOCOL), reason.as_bytes());
    EnterError::Failed(reason.into())
}

impl EnterError {
    /// Whether it may only mean that this address is somebody else's.
    fn is_of_somebody_else(&self) -> bool {
        let Self::Refused(error) = self else { return false };
        matches!(
            error.reason(),
            RefuseReason::UnknownTicket | RefuseReason::UnexpectedPeer | RefuseReason::SameIdentity
        )
    }

    /// The stable word for `error` events.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Expired(_) => "expired_ticket",
            Self::NoAddress | Self::NoRelay | Self::Unreachable { .. } => "unreachable",
            Self::Refused(error) => super::reason_code(error.reason()),
            Self::Failed(_) | Self::Interrupted(_) => "connection_failed",
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Expired(_) => "ask for a new ticket: `invite` in the running call prints one",
            Self::NoAddress => "ask for a new ticket",
            Self::NoRelay => "ask for a ticket from a host with --turn, or leave out --relay-only",
            Self::Unreachable { .. } => {
                "check that the host is running, that you came with the ticket of this call (or with a password where one is taken), and that UDP to this address is not blocked by a firewall or NAT"
            }
            Self::Refused(error) => match error.reason() {
                RefuseReason::WrongVersion => "bring the older of the two programs up to date",
                RefuseReason::WrongSecret => "check the password or ask for a new ticket",
                RefuseReason::TooManyAttempts => "wait ten minutes, or ask for a ticket",
                RefuseReason::PasswordNotAccepted => "ask for a ticket",
                RefuseReason::Locked => "ask a member to unlock it",
                RefuseReason::Removed => "only a member can let you in again",
                RefuseReason::Denied => "ask a member whether they are there",
                _ => "ask a member for a new ticket",
            },
            Self::Failed(_) | Self::Interrupted(_) => "try again",
        }
    }
}
