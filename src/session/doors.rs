//! What this member knows of the group, and who may come in on the strength of it.
//!
//! Shared between the session, which changes it, and the handshakes under way, which ask it. Locks are held
//! for a look-up only.

use super::command::TICKET_LIFETIME;
use crate::net::handshake::Doorkeeper;
use protocol::control::{Grant, Welcome};
use protocol::group::{Directory, GrantState};
use protocol::id::GroupId;
use protocol::id::PeerId;
use protocol::invite::{Ticket, TicketId, TicketSecret};
use protocol::limits::CANDIDATES_MAX;
use protocol::noise::{EpochSecret, Mode, Newcomer, RefuseReason, Secret, StretchedPassword};
use protocol::reach::Reach;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Wrong passwords within [`GUESS_WINDOW`] that close password joining for the rest of it.
const GUESSES_MAX: usize = 5;
const GUESS_WINDOW: Duration = Duration::from_secs(600);

/// The group as this member knows it.
#[derive(Clone)]
pub struct Doors(Arc<Mutex<Inner>>);

struct Inner {
    group: GroupId,
    me: PeerId,
    epoch: u64,
    epoch_secret: EpochSecret,
    directory: Directory,
    password: Option<StretchedPassword>,
    guesses: VecDeque<Instant>,
}

impl Doors {
    /// A new group.
    pub fn found(group: GroupId, me: PeerId, epoch_secret: [u8; 32]) -> Self {
        Self::new(group, me, 1, epoch_secret)
    }

    /// The group that a welcome describes, its sender included in the roster.
    pub fn join(group: GroupId, me: PeerId, welcome: &Welcome) -> Self {
        let doors = Self::new(group, me, welcome.epoch, *welcome.epoch_secret);
        doors.learn_grants(welcome.grants.clone());
        doors
    }

    fn new(group: GroupId, me: PeerId, epoch: u64, epoch_secret: [u8; 32]) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            group,
            me,
            epoch,
            epoch_secret: EpochSecret::from_bytes(epoch_secret),
            directory: Directory::default(),
            password: None,
            guesses: VecDeque::new(),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no holder of the group panics")
    }

    /// Looks at or changes the directory.
    pub fn directory<T>(&self, work: impl FnOnce(&mut Directory) -> T) -> T {
        work(&mut self.lock().directory)
    }

    /// Takes over tickets that another member tells of.
    pub fn learn_grants(&self, grants: Vec<Grant>) {
        let latest = now_unix() + TICKET_LIFETIME.as_secs();
        let mut inner = self.lock();
        for grant in grants {
            inner.directory.learn_grant(grant, latest);
        }
    }

    /// Lets people in by password from now on.
    pub fn set_password(&self, password: StretchedPassword) {
        self.lock().password = Some(password);
    }

    /// The epoch and its secret.
    pub fn epoch(&self) -> (u64, EpochSecret) {
        let inner = self.lock();
        (inner.epoch, inner.epoch_secret.clone())
    }

    /// Mints a ticket and remembers it. The grant is for the other members.
    pub fn mint(&self, lifetime: Duration, reach: &Reach) -> (Ticket, Grant) {
        let (id, secret): ([u8; 8], [u8; 16]) = (crate::net::random::bytes(), crate::net::random::bytes());
        let mut inner = self.lock();
        let ticket = Ticket {
            group: inner.group,
            issuer: inner.me,
            id: TicketId(id),
            secret: TicketSecret::from_bytes(secret),
            expires_at: now_unix() + lifetime.as_secs(),
            uses: 0,
            candidates: reach.addresses.iter().copied().take(CANDIDATES_MAX).collect(),
            relays: reach.relays.iter().map(ToString::to_string).collect(),
        };
        let grant = Grant { ticket: id.into(), secret: secret.into(), expiry: ticket.expires_at };
        inner.directory.grant(grant.clone());
        (ticket, grant)
    }
}

impl Inner {
    fn guesses_left(&mut self) -> bool {
        let now = Instant::now();
        while self.guesses.front().is_some_and(|guess| now - *guess > GUESS_WINDOW) {
            self.guesses.pop_front();
        }
        self.guesses.len() < GUESSES_MAX
    }
}

impl Doorkeeper for Doors {
    fn group(&self) -> GroupId {
        self.lock().group
    }

    fn secret(&self, mode: &Mode) -> Result<Secret, RefuseReason> {
        let mut inner = self.lock();
        match *mode {
            Mode::Ticket { ticket, .. } => match inner.directory.grant_state(ticket, now_unix()) {
                GrantState::Valid(secret) => Ok(Secret::Ticket(secret)),
                GrantState::Expired => Err(RefuseReason::ExpiredTicket),
                GrantState::Unknown => Err(RefuseReason::UnknownTicket),
            },
            Mode::Password => {
                let password = inner.password.clone().ok_or(RefuseReason::PasswordNotAccepted)?;
                if !inner.guesses_left() {
                    return Err(RefuseReason::TooManyAttempts);
                }
                // Counted before it is known to be wrong, so that guesses made at once count as well.
                inner.guesses.push_back(Instant::now());
                Ok(Secret::Password(password))
            }
            Mode::Member { epoch, .. } if epoch == inner.epoch => {
                Ok(Secret::Member(inner.epoch_secret.clone()))
            }
            Mode::Member { .. } => Err(RefuseReason::NotAMember),
        }
    }

    fn admit(&self, newcomer: &Newcomer) -> Result<(), RefuseReason> {
        let mut inner = self.lock();
        if newcomer.peer == inner.me {
            return Err(RefuseReason::SameIdentity);
        }
        let known = inner.directory.get(newcomer.peer).is_some();
        match newcomer.mode {
            Mode::Member { .. } if known => Ok(()),
            Mode::Member { .. } => Err(RefuseReason::NotAMember),
            Mode::Ticket { .. } | Mode::Password if inner.directory.is_full() && !known => {
                Err(RefuseReason::GroupFull)
            }
            Mode::Password => {
                inner.guesses.pop_back();
                Ok(())
            }
            Mode::Ticket { .. } => Ok(()),
        }
    }
}

/// Unix time in seconds.
pub fn now_unix() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::{Doors, GUESSES_MAX};
    use crate::net::handshake::Doorkeeper;
    use protocol::id::{GroupId, PeerId};
    use protocol::invite::TicketId;
    use protocol::noise::{Mode, RefuseReason, stretch_password};
    use protocol::reach::Reach;
    use std::time::Duration;

    fn doors() -> Doors {
        Doors::found(GroupId([1; 16]), PeerId([2; 32]), [3; 32])
    }

    #[test]
    fn wrong_passwords_close_the_door_for_passwords_only() {
        let doors = doors();
        assert_eq!(doors.secret(&Mode::Password).err(), Some(RefuseReason::PasswordNotAccepted));
        doors.set_password(stretch_password(b"swordfish", doors.group()));
        for _ in 0..GUESSES_MAX {
            assert!(doors.secret(&Mode::Password).is_ok());
        }
        assert_eq!(doors.secret(&Mode::Password).err(), Some(RefuseReason::TooManyAttempts));
        let (ticket, _) = doors.mint(Duration::from_secs(60), &Reach::default());
        assert!(doors.secret(&Mode::Ticket { group: ticket.group, ticket: ticket.id }).is_ok());
    }

    #[test]
    fn tickets_of_others_and_of_yesterday_open_nothing() {
        let doors = doors();
        let foreign = Mode::Ticket { group: doors.group(), ticket: TicketId([9; 8]) };
        assert_eq!(doors.secret(&foreign).err(), Some(RefuseReason::UnknownTicket));
        let (ticket, mut grant) = doors.mint(Duration::from_secs(60), &Reach::default());
        grant.expiry = 1;
        doors.directory(|directory| directory.grant(grant));
        let expired = Mode::Ticket { group: ticket.group, ticket: ticket.id };
        assert_eq!(doors.secret(&expired).err(), Some(RefuseReason::ExpiredTicket));
    }
}
