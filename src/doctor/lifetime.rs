//! How long a router keeps a mapping that nobody uses.
//!
//! The only way to find out is to wait (RFC 5780, section 4.6): a socket asks a STUN server once, falls silent, and later
//! another socket asks the server to answer to the first one's port (RESPONSE-PORT). What arrives found the mapping still
//! there. RFC 5780 searches with one socket after another; here a row of sockets waits at the same time, each longer than
//! the one before, so that it all takes no longer than the longest.
//!
//! Few public servers know RESPONSE-PORT; coturn with two addresses does.

use super::{Finding, Mark};
use crate::net::platform::Platform;
use crate::net::random;
use protocol::stun::{TransactionId, binding_request, binding_request_to_port, decode_binding_response};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

/// Sockets that wait. The answer is as exact as this is high, and routers have room for a few thousand mappings.
const STEPS: u32 = 12;

/// Requests to a server, and how long each is waited for.
const TRIES: u32 = 4;
const PATIENCE: Duration = Duration::from_millis(400);

/// Silent paths are asked about once in 25 s, so a router that forgets sooner is a nuisance.
const ENOUGH: Duration = Duration::from_secs(30);

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// No server answers to another port.
    NotTold,
    /// A mapping was there after `alive` and gone after `gone`, if that was waited for.
    Found {
        /// The longest silence that it outlived.
        alive: Duration,
        /// The shortest that it did not.
        gone: Option<Duration>,
    },
}

/// Waits up to `longest`.
pub async fn measure(servers: &[(String, u16)], platform: &dyn Platform, longest: Duration) -> Lifetime {
    for (host, port) in servers {
        let addresses = platform.resolve(host, *port).await.unwrap_or_default();
        for server in addresses.into_iter().filter(SocketAddr::is_ipv4) {
            if let Ok(true) = outlives(server, Duration::ZERO).await {
                return climb(server, longest).await;
            }
        }
    }
    Lifetime::NotTold
}

async fn climb(server: SocketAddr, longest: Duration) -> Lifetime {
    let mut waiting = JoinSet::new();
    for step in 1..=STEPS {
        let silence = longest * step / STEPS;
        waiting.spawn(async move { (silence, outlives(server, silence).await) });
    }
    let (mut alive, mut gone): (Vec<Duration>, Vec<Duration>) = (Vec::new(), Vec::new());
    while let Some(Ok((silence, outlived))) = waiting.join_next().await {
        match outlived {
            Ok(true) => alive.push(silence),
            Ok(false) => gone.push(silence),
            // It tells nothing about the router.
            Err(_) => {}
        }
    }
    let alive = alive.into_iter().max().unwrap_or_default();
    // A lost packet looks like a short life; a longer one that was seen is the better witness.
    Lifetime::Found { alive, gone: gone.into_iter().filter(|gone| *gone > alive).min() }
}

/// Whether a fresh mapping is still there after a silence. Fails when the server does not answer at all.
async fn outlives(server: SocketAddr, silence: Duration) -> io::Result<bool> {
    let bind = || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0));
    let (first, second) = (bind().await?, bind().await?);
    let mut mapped = None;
    for _ in 0..TRIES {
        let id = TransactionId(random::bytes());
        first.send_to(&binding_request(id), server).await?;
        if let Some(seen) = answer(&first, server, id).await {
            mapped = Some(seen);
            break;
        }
    }
    let mapped = mapped.ok_or(io::ErrorKind::TimedOut)?;
    sleep_until(Instant::now() + silence).await;
    for _ in 0..TRIES {
        let id = TransactionId(random::bytes());
        second.send_to(&binding_request_to_port(id, mapped.port()), server).await?;
        if answer(&first, server, id).await.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Where the server sees whoever asked with this id, when its answer comes here in time.
async fn answer(socket: &UdpSocket, server: SocketAddr, id: TransactionId) -> Option<SocketAddr> {
    let mut buffer = [0; 1500];
    let arrives = async {
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.ok()?;
            let response = decode_binding_response(&buffer[..length]);
            if let Some(response) = response.filter(|response| from == server && response.id == id) {
                return Some(response.mapped);
            }
        }
    };
    timeout(PATIENCE, arrives).await.ok().flatten()
}

/// The judgement.
pub fn finding(lifetime: Lifetime, longest: Duration) -> Finding {
    let seconds = |duration: Duration| format!("{:.0} s", duration.as_secs_f64());
    match lifetime {
        Lifetime::NotTold => Finding::new(
            "lifetime",
            Mark::Warn,
            "not checked: no STUN server answers to another port",
            "how long the router keeps an unused mapping cannot be told",
            "name a server that knows RFC 5780 with --stun, as coturn with two addresses does",
        ),
        Lifetime::Found { gone: None, .. } => Finding::new(
            "lifetime",
            Mark::Ok,
            format!("an unused mapping is kept for {} and more", seconds(longest)),
            "paths that are silent stay open with few packets",
            "",
        ),
        Lifetime::Found { alive, gone: Some(gone) } => {
            let found = format!("an unused mapping is kept for {} to {}", seconds(alive), seconds(gone));
            if alive >= ENOUGH {
                let meaning = "paths that are silent stay open with few packets";
                return Finding::new("lifetime", Mark::Ok, found, meaning, "");
            }
            let meaning = "a path that is not used may be gone when it is needed";
            Finding::new(
                "lifetime",
                Mark::Warn,
                found,
                meaning,
                "raise the router's UDP timeout, if it can be set",
            )
        }
    }
}
