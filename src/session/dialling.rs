//! Reaching a member: by all ways at once, again and again, until it answers or its seat is given up.

use super::doors::Doors;
use super::ways::{Way, ways};
use super::{Report, Session, Surroundings};
use crate::net::handshake::{self, HandshakeFailure, Password};
use crate::net::link::Authenticated;
use protocol::door::KnockKey;
use protocol::id::PeerId;
use protocol::noise::{Credential, Mode, RefuseReason};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

/// Pauses between tries to reach a member, in ms; the last one is repeated.
const PAUSES_MS: [u64; 6] = [0, 300, 600, 1200, 2500, 5000];

/// A member whose seat was given up is looked for at this interval, and for this long.
const ESTRANGED_PAUSE: Duration = Duration::from_secs(15);
const ESTRANGED_KEPT: Duration = Duration::from_secs(60 * 60);

/// How long an address may stay silent before it is tried anew: a lost first packet was then repeated after 0.3, 0.9
/// and 2.1 s, and QUIC would wait ever longer for the next.
const DEADLINE: Duration = Duration::from_secs(4);

/// A search under way.
pub(super) struct Dial {
    task: AbortHandle,
    stage: Arc<Stage>,
}

/// What a search and its owner tell each other.
#[derive(Default)]
struct Stage {
    /// Somebody answers: the other side may take us for connected at any moment.
    is_shaking_hands: AtomicBool,
    /// No further tries.
    is_last_try: AtomicBool,
}

impl Dial {
    pub(super) fn is_over(&self) -> bool {
        self.task.is_finished()
    }

    pub(super) fn stop(&self) {
        self.task.abort();
    }

    /// Ends after the handshake that is under way, at once if there is none.
    pub(super) fn wind_up(&self) {
        self.stage.is_last_try.store(true, Relaxed);
        if !self.stage.is_shaking_hands.load(Relaxed) {
            self.stop();
        }
    }
}

/// One member that is looked for.
#[derive(Clone)]
struct Search {
    peer: PeerId,
    stage: Arc<Stage>,
    surroundings: Surroundings,
    doors: Doors,
}

/// How often, and for how long.
struct Patience {
    pauses_ms: std::slice::Iter<'static, u64>,
    pause: Duration,
    keep_trying: Duration,
}

/// By what the member knows we are not in the group any more.
struct TurnedAway;

/// Why one way did not lead to the member.
enum Missed {
    /// It does not know us by this epoch: one of us was away for a removal.
    OtherEpoch,
    /// By what it knows we are not in the group any more.
    TurnedAway,
    /// Anything else, in words.
    Otherwise(String),
}

impl Session {
    /// Tries to reach a member until it is reached or its seat is given up; begins after `wait`.
    pub(super) fn dial(&mut self, peer: PeerId, wait: Duration) {
        let Some(member) = self.members.get_mut(&peer) else { return };
        if member.dial.as_ref().is_some_and(|dial| !dial.is_over()) {
            return;
        }
        let patience = if member.is_estranged {
            Patience { pauses_ms: [].iter(), pause: ESTRANGED_PAUSE, keep_trying: ESTRANGED_KEPT }
        } else {
            let keep_trying = self.surroundings.seat;
            Patience { pauses_ms: PAUSES_MS.iter(), pause: Duration::ZERO, keep_trying }
        };
        let stage = Arc::new(Stage::default());
        let search = Search {
            peer,
            stage: stage.clone(),
            surroundings: self.surroundings.clone(),
            doors: self.doors.clone(),
        };
        let reports = self.reports.clone();
        let task = async move {
            sleep(wait).await;
            search.run(patience, reports).await;
        };
        member.dial = Some(Dial { task: tokio::spawn(task).abort_handle(), stage });
    }
}

impl Search {
    async fn run(self, mut patience: Patience, reports: mpsc::Sender<Report>) {
        let started = Instant::now();
        let mut refused = 0;
        while started.elapsed() < patience.keep_trying {
            if let Some(ms) = patience.pauses_ms.next() {
                patience.pause = Duration::from_millis(*ms);
            }
            sleep(patience.pause).await;
            match self.try_all(&mut refused).await {
                Some(Ok((authenticated, mode))) => {
                    let _ = reports.send(Report::Authenticated(Box::new(authenticated), mode)).await;
                    return;
                }
                Some(Err(TurnedAway)) => {
                    let _ = reports.send(Report::TurnedAway(self.peer)).await;
                    (patience.pauses_ms, patience.pause) = ([].iter(), ESTRANGED_PAUSE);
                }
                None => {}
            }
            if self.stage.is_last_try.load(Relaxed) {
                return;
            }
        }
        let _ = reports.send(Report::Unreachable(self.peer)).await;
    }

    /// Tries all ways once. `refused` counts how often our epoch was not known.
    async fn try_all(&self, refused: &mut usize) -> Option<Result<(Authenticated, Mode), TurnedAway>> {
        // Whoever was away for a removal knows only older secrets.
        let epochs = self.doors.epochs_to_try();
        let group = super::group_of(&self.doors);
        let (epoch, secret) = epochs[*refused % epochs.len()].clone();
        let credential = Credential::Member { group, epoch, secret, to: self.peer };
        // Any of them gets us heard, so that we are told when the handshake's is the wrong one.
        let knocks: Vec<KnockKey> =
            epochs.iter().map(|(epoch, secret)| KnockKey::of_member(group, *epoch, secret)).collect();
        let known = |directory: &mut protocol::group::Directory| {
            directory.get(self.peer).map(|member| member.reach.clone()).unwrap_or_default()
        };
        let reach = self.doors.directory(known);
        let mut tries = JoinSet::new();
        // Only one at a time shakes hands, and none after one that succeeded: the other side takes the newest, and we
        // would hang up on it.
        let turn = Arc::new(Mutex::new(()));
        for way in ways(&self.surroundings.connectivity, reach) {
            tries.spawn(self.clone().try_way(way, credential.clone(), knocks.clone(), turn.clone()));
        }
        let mut is_refused = false;
        while let Some(tried) = tries.join_next().await {
            match tried {
                Ok(Ok((found, _turn))) => {
                    drop(tries);
                    return Some(Ok(found));
                }
                Ok(Err(Missed::OtherEpoch)) => is_refused = true,
                Ok(Err(Missed::TurnedAway)) => return Some(Err(TurnedAway)),
                Ok(Err(Missed::Otherwise(error))) => tracing::debug!(peer = %self.peer, error, "dial"),
                Err(_) => {}
            }
        }
        // Once a round, however many ways led there: else two ways would skip over the right one of two epochs.
        *refused += usize::from(is_refused);
        None
    }

    async fn try_way(
        self,
        way: Way,
        credential: Credential,
        knocks: Vec<KnockKey>,
        turn: Arc<Mutex<()>>,
    ) -> Result<((Authenticated, Mode), OwnedMutexGuard<()>), Missed> {
        let Surroundings { node, myself, connectivity, waiting, .. } = &self.surroundings;
        let started = Instant::now();
        let route = way.route(connectivity).await.map_err(Missed::Otherwise)?;
        let yielding = myself.identity.peer_id() > self.peer;
        let dialled = timeout(DEADLINE, node.knock(route, yielding, knocks)).await;
        let dialled = dialled.map_err(|_| Missed::Otherwise("no answer".into()))?;
        let dialled = dialled.map_err(|error| Missed::Otherwise(error.to_string()))?;
        let turn = turn.lock_owned().await;
        self.stage.is_shaking_hands.store(true, Relaxed);
        let shaken = handshake::initiate(dialled, myself, credential, Password::None, waiting, started).await;
        self.stage.is_shaking_hands.store(shaken.is_ok(), Relaxed);
        match shaken {
            Ok(found) => Ok((found, turn)),
            Err(HandshakeFailure::Refused(error)) if error.reason() == RefuseReason::NotAMember => {
                Err(Missed::OtherEpoch)
            }
            Err(HandshakeFailure::Refused(error)) if error.reason() == RefuseReason::Removed => {
                Err(Missed::TurnedAway)
            }
            Err(error) => Err(Missed::Otherwise(error.to_string())),
        }
    }
}
