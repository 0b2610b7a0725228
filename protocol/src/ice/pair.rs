//! One route that is checked.

use super::{CandidateKind, Role};
use crate::path::Route;
use crate::stun::TransactionId;
use std::time::Duration;

/// The first check is repeated after this, later ones after one and a half times as long, up to a second.
const FIRST_TIMEOUT: Duration = Duration::from_millis(100);
const TIMEOUT_MAX: Duration = Duration::from_secs(1);

/// How often a pair that never answers is checked: for about ten seconds.
pub(super) const TRIES: u32 = 15;

/// The answers to this many checks are waited for: a round trip of 2 s at the beginning of a round.
const OUTSTANDING_MAX: usize = 8;

/// When a check of a working pair is not answered, the next ones follow sooner.
const RETRY: Duration = Duration::from_millis(400);

/// Consent is lost when a check and all after it were not answered for this long. With the 5 s between two checks of
/// the pair in use that is 15 s of silence (RFC 7675 allows 30 s).
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two checks of a pair that does not answer any more: a cable that was cut is plugged in again, and nobody tells
/// us.
const REVIVAL: Duration = Duration::from_secs(15);

/// Of these checks there are so many, for ten minutes.
const REVIVALS: u32 = 40;

/// A check that may be answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    id: TransactionId,
    pub(super) at: Duration,
    /// Ours when it was sent.
    pub(super) role: Role,
}

/// A pair.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) route: Route,
    pub(super) local: CandidateKind,
    pub(super) remote: CandidateKind,
    /// Higher ones are checked first.
    pub(super) priority: u64,
    /// When the next check is due; `None` for never.
    pub(super) due: Option<Duration>,
    pub(super) tries_left: u32,
    timeout: Duration,
    outstanding: Vec<Sent>,
    /// When it last answered; `None` while it is not valid.
    pub(super) answered: Option<Duration>,
    /// The first check since then that was not answered (yet).
    unanswered: Option<Duration>,
    /// Checks left for a pair that was valid once.
    revivals: u32,
    /// The next packet is one that dies on the way, to open our NAT.
    pub(super) opens: bool,
    /// Each check nominates: an earlier nomination of another pair, come late, is put right by the next one.
    pub(super) nominates: bool,
}

impl Pair {
    pub(super) fn new(
        route: Route,
        local: CandidateKind,
        remote: CandidateKind,
        priority: u64,
        opens: bool,
        now: Duration,
    ) -> Self {
        Self {
            route,
            local,
            remote,
            priority,
            due: Some(now),
            tries_left: TRIES,
            timeout: FIRST_TIMEOUT,
            outstanding: Vec::new(),
            answered: None,
            unanswered: None,
            revivals: 0,
            opens,
            nominates: false,
        }
    }

    /// A check goes out.
    pub(super) fn sent(&mut self, id: TransactionId, role: Role, now: Duration) {
        if self.outstanding.len() >= OUTSTANDING_MAX {
            self.outstanding.remove(0);
        }
        self.outstanding.push(Sent { id, at: now, role });
        self.unanswered.get_or_insert(now);
        self.tries_left = self.tries_left.saturating_sub(1);
        self.due = match self.answered {
            Some(_) => Some(now + RETRY),
            None if self.tries_left == 0 => self.revival(now),
            None => Some(now + self.timeout),
        };
        self.timeout = (self.timeout * 3 / 2).min(TIMEOUT_MAX);
    }

    /// When it is tried again though it does not answer.
    fn revival(&mut self, now: Duration) -> Option<Duration> {
        self.revivals = self.revivals.checked_sub(1)?;
        Some(now + REVIVAL)
    }

    /// Whether an answer to this check is waited for.
    pub(super) fn waits_for(&self, id: TransactionId) -> bool {
        self.outstanding.iter().any(|sent| sent.id == id)
    }

    /// An authentic answer came: to which check, if it was waited for.
    pub(super) fn take(&mut self, id: TransactionId) -> Option<Sent> {
        let position = self.outstanding.iter().position(|sent| sent.id == id)?;
        Some(self.outstanding.swap_remove(position))
    }

    /// Whether it worked, and does no more.
    pub(super) fn is_lost(&self, now: Duration) -> bool {
        self.answered.is_some() && self.unanswered.is_some_and(|since| now.saturating_sub(since) > PATIENCE)
    }

    /// It does not work any more.
    pub(super) fn lose(&mut self, now: Duration) {
        self.answered = None;
        self.unanswered = None;
        self.tries_left = 0;
        self.due = self.revival(now);
    }

    /// Whether it neither works nor is being tried.
    pub(super) fn is_dead(&self) -> bool {
        self.answered.is_none() && self.due.is_none()
    }

    /// It works: the next check is to come then, or never.
    pub(super) fn works(&mut self, now: Duration, next: Option<Duration>) {
        self.answered = Some(now);
        self.unanswered = None;
        self.revivals = REVIVALS;
        self.due = next;
        self.timeout = FIRST_TIMEOUT;
        self.tries_left = TRIES;
        self.outstanding.clear();
    }

    /// Checks begin anew, at once.
    pub(super) fn again(&mut self, now: Duration) {
        self.due = Some(now);
        self.tries_left = TRIES;
        self.timeout = FIRST_TIMEOUT;
    }
}
