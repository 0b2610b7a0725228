//! What this member knows of the group, and who may come in on the strength of it.
//!
//! Shared between the session, which changes it, and the handshakes under way, which ask it. Locks are held
//! for a look-up or a signature only.

use super::command::TICKET_LIFETIME;
use crate::net::handshake::{Doorkeeper, Verdict};
use protocol::control::{Grant, Welcome};
use protocol::door::{KnockKey, Name};
use protocol::group::{
    Action, Admission, Directory, Epochs, Membership, NoRoster, NotAllowed, Operation, Removal, Roster,
    Taken, Tickets, commitment,
};
use protocol::id::{GroupId, PeerId};
use protocol::identity::Identity;
use protocol::invite::{Door, Ticket, TicketId, TicketSecret};
use protocol::limits::{CANDIDATES_MAX, DOORS_MAX};
use protocol::name::DisplayName;
use protocol::noise::{EpochSecret, Mode, Newcomer, RefuseReason, Secret, StretchedPassword};
use protocol::reach::Reach;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

/// Wrong passwords within [`GUESS_WINDOW`] that close password joining for the rest of it.
const GUESSES_MAX: usize = 5;
const GUESS_WINDOW: Duration = Duration::from_secs(600);

/// How often a member may come in anew within [`COMEBACK_WINDOW`], each time with a line in the history, of which nobody
/// may say more than so many.
const COMEBACKS_MAX: usize = 8;
const COMEBACK_WINDOW: Duration = Duration::from_secs(600);

/// People who wait at the door at once. More are refused.
const KNOCKS_MAX: usize = 8;

/// The group as this member knows it.
#[derive(Clone)]
pub struct Doors(Arc<Mutex<Inner>>);

struct Inner {
    identity: Arc<Identity>,
    roster: Roster,
    epochs: Epochs,
    tickets: Tickets,
    directory: Directory,
    password: Option<StretchedPassword>,
    guesses: VecDeque<Instant>,
    /// Who came in anew, and when.
    comebacks: VecDeque<(Instant, PeerId)>,
    knocks: Vec<Knock>,
    /// What was said at the door, for the session to pass on.
    said: Vec<Operation>,
    /// Told of every change.
    changed: watch::Sender<()>,
}

/// Somebody who waits to be let in.
pub struct Knock {
    /// Who.
    pub peer: PeerId,
    /// What they call themselves.
    pub name: DisplayName,
    answer: oneshot::Sender<bool>,
    is_told: bool,
}

/// How long a ticket is good, and for how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How many may come in by it; 0 for any number.
    pub uses: u32,
    /// For how long.
    pub lifetime: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self { uses: 0, lifetime: TICKET_LIFETIME }
    }
}

impl Doors {
    /// A new group. Nonce and secret are fresh from the system's random source.
    pub fn found(identity: Arc<Identity>, admission: Admission, nonce: [u8; 32], secret: [u8; 32]) -> Self {
        let roster = Roster::found(&identity, nonce, admission);
        Self::new(identity, roster, EpochSecret::from_bytes(secret))
    }

    /// The group that a member's operations and welcome describe.
    pub fn join(
        identity: Arc<Identity>,
        group: GroupId,
        operations: Vec<Operation>,
        welcome: &Welcome,
    ) -> Result<Self, NoRoster> {
        let roster = Roster::join(identity.peer_id(), group, operations)?;
        let doors = Self::new(identity, roster, EpochSecret::from_bytes(*welcome.epoch_secret));
        doors.learn_grants(welcome.grants.clone());
        Ok(doors)
    }

    fn new(identity: Arc<Identity>, roster: Roster, secret: EpochSecret) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            identity,
            roster,
            epochs: Epochs::new(secret),
            tickets: Tickets::default(),
            directory: Directory::default(),
            password: None,
            guesses: VecDeque::new(),
            comebacks: VecDeque::new(),
            knocks: Vec::new(),
            said: Vec::new(),
            changed: watch::Sender::new(()),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no holder of the group panics")
    }

    /// Looks at or changes the directory.
    pub fn directory<T>(&self, work: impl FnOnce(&mut Directory) -> T) -> T {
        work(&mut self.lock().directory)
    }

    /// Looks at who is in.
    pub fn membership<T>(&self, look: impl FnOnce(&Membership) -> T) -> T {
        look(self.lock().roster.membership())
    }

    /// Looks at what was said.
    pub fn roster<T>(&self, look: impl FnOnce(&Roster) -> T) -> T {
        look(&self.lock().roster)
    }

    /// Takes over tickets that another member tells of.
    pub fn learn_grants(&self, grants: Vec<Grant>) {
        let now = now_unix();
        let latest = now + TICKET_LIFETIME.as_secs();
        let mut inner = self.lock();
        let present = inner.present();
        for grant in grants {
            inner.tickets.learn(grant, latest, present, now);
        }
    }

    /// The tickets that other members may honour.
    pub fn shared_grants(&self) -> Vec<Grant> {
        let inner = self.lock();
        inner.tickets.shared(inner.present())
    }

    /// The tickets that are good now, and who minted them.
    pub fn valid_tickets(&self) -> Vec<(TicketId, PeerId)> {
        let inner = self.lock();
        inner.tickets.valid(inner.roster.membership(), inner.present(), now_unix())
    }

    /// Lets people in by this password from now on.
    pub fn set_password(&self, password: StretchedPassword) {
        self.lock().password = Some(password);
    }

    /// Whether a password opens the door.
    pub fn takes_passwords(&self) -> bool {
        self.lock().password.is_some()
    }

    /// What opens the gate in front of the doors to whoever knocks with the key of this name, be it void: its holder is
    /// told why it does not get in.
    pub fn knock_key(&self, name: Name) -> Option<KnockKey> {
        let inner = self.lock();
        match name {
            Name::Ticket(ticket) => {
                inner.tickets.known(ticket).map(|secret| KnockKey::of_ticket(ticket, &secret))
            }
            Name::Member(epoch) => {
                let group = inner.roster.history().group();
                inner.epochs.find(epoch).map(|secret| KnockKey::of_member(group, epoch, secret))
            }
        }
    }

    /// The secret by which members recognise each other at present.
    pub fn epoch_secret(&self) -> EpochSecret {
        let inner = self.lock();
        inner.epochs.newest(inner.roster.membership()).clone()
    }

    /// Epochs' names and secrets to knock with, the likeliest first.
    pub fn epochs_to_try(&self) -> Vec<(u64, EpochSecret)> {
        let inner = self.lock();
        inner.epochs.to_try(inner.roster.membership())
    }

    /// Takes over an epoch's secret, if it is one.
    pub fn learn_epoch(&self, secret: [u8; 32]) -> bool {
        let mut inner = self.lock();
        let Inner { epochs, roster, .. } = &mut *inner;
        epochs.learn(EpochSecret::from_bytes(secret), roster.membership())
    }

    /// Says something to the group.
    pub fn say(&self, action: Action) -> Result<Operation, NotAllowed> {
        self.lock().say(action)
    }

    /// Puts somebody out: the operation, and the new epoch's secret for those who stay.
    pub fn remove(
        &self,
        peer: PeerId,
        is_ban: bool,
        secret: [u8; 32],
    ) -> Result<(Operation, EpochSecret), NotAllowed> {
        let mut inner = self.lock();
        let operation = inner.say(Action::Remove { peer, is_ban, epoch: commitment(&secret) })?;
        let secret = EpochSecret::from_bytes(secret);
        let Inner { epochs, roster, .. } = &mut *inner;
        epochs.learn(secret.clone(), roster.membership());
        Ok((operation, secret))
    }

    /// Takes what another member knows of the group.
    pub fn take(&self, operations: Vec<Operation>) -> Taken {
        let mut inner = self.lock();
        let taken = inner.roster.take(operations);
        if !taken.new.is_empty() {
            inner.changed.send_replace(());
        }
        taken
    }

    /// What was said at the door since the last call.
    pub fn said(&self) -> Vec<Operation> {
        std::mem::take(&mut self.lock().said)
    }

    /// Whoever has begun to wait at the door since the last call.
    pub fn new_knocks(&self) -> Vec<(PeerId, DisplayName)> {
        let mut inner = self.lock();
        inner.knocks.retain(|knock| !knock.answer.is_closed());
        let tell = |knock: &mut Knock| {
            let is_new = !std::mem::replace(&mut knock.is_told, true);
            is_new.then(|| (knock.peer, knock.name.clone()))
        };
        inner.knocks.iter_mut().filter_map(tell).collect()
    }

    /// Lets somebody in who waits, or sends them away; returns who it was. By name or the beginning of the id; an
    /// empty text means the only one.
    pub fn answer_knock(&self, who: &str, is_welcome: bool) -> Option<PeerId> {
        let mut inner = self.lock();
        inner.knocks.retain(|knock| !knock.answer.is_closed());
        let wanted = who.to_lowercase();
        let fits = |knock: &Knock| {
            knock.name.as_str().to_lowercase() == wanted
                || (wanted.len() >= 4 && knock.peer.to_string().starts_with(&wanted))
                || wanted.is_empty()
        };
        let mut fitting = inner.knocks.iter().enumerate().filter(|(_, knock)| fits(knock));
        let (Some((at, _)), None) = (fitting.next(), fitting.next()) else { return None };
        let knock = inner.knocks.swap_remove(at);
        // The knocker may have gone this very moment.
        let _ = knock.answer.send(is_welcome);
        Some(knock.peer)
    }

    /// Mints a ticket and remembers it. The grant is for the other members, if it is theirs to honour: `others` are then
    /// named in the ticket.
    pub fn mint(&self, terms: Terms, reach: &Reach, mut others: Vec<Door>) -> (Ticket, Option<Grant>) {
        let (id, secret): ([u8; 8], [u8; 16]) = (crate::net::random::bytes(), crate::net::random::bytes());
        let mut inner = self.lock();
        let is_shared = terms.uses == 0;
        others.truncate(if is_shared { DOORS_MAX } else { 0 });
        let issuer = inner.identity.peer_id();
        let ticket = Ticket {
            group: inner.roster.history().group(),
            issuer,
            id: TicketId(id),
            secret: TicketSecret::from_bytes(secret),
            expires_at: now_unix() + terms.lifetime.as_secs(),
            uses: terms.uses,
            candidates: reach.addresses.iter().copied().take(CANDIDATES_MAX).collect(),
            relays: reach.relays.iter().map(ToString::to_string).collect(),
            others,
        };
        let grant = Grant {
            ticket: id.into(),
            secret: secret.into(),
            expiry: ticket.expires_at,
            issuer: issuer.0.into(),
            epoch: inner.present(),
        };
        inner.tickets.mint(grant.clone(), terms.uses, now_unix());
        (ticket, is_shared.then_some(grant))
    }
}

impl Inner {
    /// The name of the present epoch.
    fn present(&self) -> u64 {
        self.epochs.present(self.roster.membership())
    }

    fn say(&mut self, action: Action) -> Result<Operation, NotAllowed> {
        let operation = self.roster.say(&self.identity, action)?;
        self.changed.send_replace(());
        Ok(operation)
    }

    fn guesses_left(&mut self) -> bool {
        let now = Instant::now();
        while self.guesses.front().is_some_and(|guess| now - *guess > GUESS_WINDOW) {
            self.guesses.pop_front();
        }
        self.guesses.len() < GUESSES_MAX
    }

    fn may_come_back(&self, peer: PeerId) -> bool {
        let now = Instant::now();
        let recent = self.comebacks.iter().filter(|(at, who)| *who == peer && now - *at < COMEBACK_WINDOW);
        recent.count() < COMEBACKS_MAX
    }

    /// Whether whoever has this ticket or the password may come in, and if so who decides.
    fn judge(&self, newcomer: &Newcomer) -> Result<Admission, RefuseReason> {
        let membership = self.roster.membership();
        let was_in = membership.contains(newcomer.peer);
        if let Some(Removal::Banned | Removal::TwoTongues) = membership.removed.get(&newcomer.peer) {
            return Err(RefuseReason::Removed);
        }
        if let Mode::Ticket { ticket, .. } = newcomer.mode
            && self.tickets.is_used_up(ticket, membership, newcomer.peer)
        {
            return Err(RefuseReason::UsedUpTicket);
        }
        if was_in {
            return if self.may_come_back(newcomer.peer) {
                Ok(Admission::Open)
            } else {
                Err(RefuseReason::TooManyAttempts)
            };
        }
        if self.directory.is_full() {
            return Err(RefuseReason::GroupFull);
        }
        match membership.admission {
            Admission::Locked => Err(RefuseReason::Locked),
            // Whoever was put out still knows the password.
            Admission::Open if newcomer.mode == Mode::Password && membership.epoch > 1 => {
                Ok(Admission::Knock)
            }
            admission @ (Admission::Open | Admission::Knock) => Ok(admission),
        }
    }

    fn let_in(&mut self, newcomer: &Newcomer) -> Result<(), RefuseReason> {
        let ticket = match newcomer.mode {
            Mode::Ticket { ticket, .. } => Some(ticket),
            Mode::Password | Mode::Member { .. } => None,
        };
        if self.roster.membership().contains(newcomer.peer) {
            let now = Instant::now();
            self.comebacks.retain(|(at, _)| now - *at < COMEBACK_WINDOW);
            self.comebacks.push_back((now, newcomer.peer));
        }
        let said = self.say(Action::Add { peer: newcomer.peer, ticket });
        self.said.push(said.map_err(|error| match error {
            NotAllowed::Rules => RefuseReason::Locked,
            NotAllowed::NotTaken(_) => RefuseReason::GroupFull,
        })?);
        Ok(())
    }
}

impl Doorkeeper for Doors {
    fn group(&self) -> GroupId {
        self.lock().roster.history().group()
    }

    fn secret(&self, mode: &Mode) -> Result<Secret, RefuseReason> {
        let mut inner = self.lock();
        match *mode {
            Mode::Ticket { ticket, .. } => {
                let (membership, present) = (inner.roster.membership(), inner.present());
                inner.tickets.secret(ticket, membership, present, now_unix()).map(Secret::Ticket)
            }
            Mode::Password => {
                let password = inner.password.clone().ok_or(RefuseReason::PasswordNotAccepted)?;
                if !inner.guesses_left() {
                    return Err(RefuseReason::TooManyAttempts);
                }
                // Counted before it is known to be wrong, so that guesses made at once count as well.
                inner.guesses.push_back(Instant::now());
                Ok(Secret::Password(password))
            }
            Mode::Member { epoch, .. } => {
                inner.epochs.find(epoch).cloned().map(Secret::Member).ok_or(RefuseReason::NotAMember)
            }
        }
    }

    fn judge(&self, newcomer: &Newcomer) -> Verdict {
        let mut inner = self.lock();
        if newcomer.peer == inner.identity.peer_id() {
            return Verdict::Refuse(RefuseReason::SameIdentity);
        }
        if let Mode::Member { .. } = newcomer.mode {
            let membership = inner.roster.membership();
            return match membership.removed.get(&newcomer.peer) {
                _ if membership.contains(newcomer.peer) => Verdict::Enter,
                Some(_) => Verdict::Refuse(RefuseReason::Removed),
                // It may have been let in a moment ago, and come before the news.
                None => Verdict::Unknown(inner.changed.subscribe()),
            };
        }
        if newcomer.mode == Mode::Password {
            inner.guesses.pop_back();
        }
        match inner.judge(newcomer) {
            Err(reason) => Verdict::Refuse(reason),
            Ok(Admission::Knock) if inner.knocks.len() >= KNOCKS_MAX => {
                Verdict::Refuse(RefuseReason::TooManyAttempts)
            }
            Ok(Admission::Knock) => {
                let (answer, answered) = oneshot::channel();
                let (peer, name) = (newcomer.peer, newcomer.name.clone());
                inner.knocks.retain(|knock| knock.peer != peer && !knock.answer.is_closed());
                inner.knocks.push(Knock { peer, name, answer, is_told: false });
                inner.changed.send_replace(());
                Verdict::Ask(answered)
            }
            Ok(Admission::Open | Admission::Locked) => match inner.let_in(newcomer) {
                Ok(()) => Verdict::Enter,
                Err(reason) => Verdict::Refuse(reason),
            },
        }
    }

    fn let_in(&self, newcomer: &Newcomer) -> Result<(), RefuseReason> {
        let mut inner = self.lock();
        // Things may have changed while somebody was asked.
        inner.judge(newcomer)?;
        inner.let_in(newcomer)
    }
}

/// Unix time in seconds.
pub fn now_unix() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
#[path = "doors_tests.rs"]
mod tests;
