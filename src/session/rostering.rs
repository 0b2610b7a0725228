//! Who is in, who is put out, and how everybody comes to know.
//!
//! What one member says goes to all at once, and whoever hears something new passes it on: in a mesh with holes it
//! arrives all the same. When a connection comes about, both sides tell each other their newest operations and send what
//! the other lacks.

use super::doors::Terms;
use super::event::Event;
use super::members::Member;
use super::{Ending, Session};
use crate::net::node::close;
use protocol::control::{Epoch, Heads, Message, Operations, SignedOperation};
use protocol::group::{
    Action, Admission, NotAllowed, NotTaken, Operation, OperationError, OperationId, Role,
};
use protocol::id::PeerId;
use protocol::invite::{Door, Ticket};
use protocol::limits::{CONTROL_MESSAGE_BYTES_MAX, DOOR_ADDRESSES_MAX, DOORS_MAX};
use protocol::noise::EpochSecret;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// Operations of one message together, in bytes: some room is left for what is around them.
const MESSAGE_BYTES: usize = CONTROL_MESSAGE_BYTES_MAX / 2;

/// Around the body of an operation: the signature and CBOR.
const OPERATION_OVERHEAD: usize = 80;

/// What a member's operations lack is asked for once in this time: where a history is full, the answer lacks it as well.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// Operations of a summary that are looked at; ours have fewer.
const HEADS_MAX: usize = 128;

/// We say at most this often that we are back.
const RETURN_INTERVAL: Duration = Duration::from_secs(60);

/// By what we heard so far we are out. A removal that voids it may be on its way.
const LAST_DOUBT: Duration = Duration::from_secs(1);

/// A member who was put out hears why before the connection is closed.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// Operations as messages, each as long as may be.
pub(super) fn messages<'a>(operations: impl IntoIterator<Item = &'a Operation>) -> Vec<Message> {
    let (mut messages, mut part, mut bytes) = (Vec::new(), Vec::new(), 0);
    let message = |part: &mut Vec<SignedOperation>| {
        Message::Operations(Operations { operations: std::mem::take(part) })
    };
    for operation in operations {
        let length = operation.body().len() + OPERATION_OVERHEAD;
        if bytes + length > MESSAGE_BYTES {
            messages.push(message(&mut part));
            bytes = 0;
        }
        bytes += length;
        let signature = (*operation.signature()).into();
        part.push(SignedOperation { body: operation.body().to_vec().into(), signature });
    }
    if !part.is_empty() {
        messages.push(message(&mut part));
    }
    messages
}

/// Operations as they came.
pub(super) fn read_operations(message: &Operations) -> Result<Vec<Operation>, OperationError> {
    Operation::read_all(message.operations.iter().map(|signed| (signed.body.as_slice(), *signed.signature)))
}

impl Session {
    /// Tells a member all that was said.
    pub(super) fn tell_everything(&self, peer: PeerId) {
        let all = self.doors.roster(|roster| messages(roster.history().unknown_to(&[])));
        self.tell(peer, all);
    }

    /// Asks a member for what we do not know.
    pub(super) fn compare(&self, peer: PeerId) {
        let heads = self.doors.roster(|roster| roster.history().summary());
        let heads = heads.into_iter().map(|id| id.0.into()).collect();
        self.tell(peer, [Message::Heads(Heads { heads })]);
    }

    fn tell(&self, peer: PeerId, messages: impl IntoIterator<Item = Message>) {
        if let Some(link) = self.members.get(&peer).and_then(Member::link) {
            messages.into_iter().for_each(|message| link.send(message));
        }
    }

    /// Tells a member what it does not know, and then the present secret: before the removal that it belongs to, it
    /// would not be kept.
    pub(super) fn on_heads(&self, peer: PeerId, heads: Heads) {
        let heads: Vec<OperationId> =
            heads.heads.iter().take(HEADS_MAX).map(|id| OperationId(**id)).collect();
        self.tell(peer, self.doors.roster(|roster| messages(roster.history().unknown_to(&heads))));
        let secret = (*self.doors.epoch_secret().as_bytes()).into();
        self.tell(peer, [Message::Epoch(Epoch { secret })]);
    }

    pub(super) fn on_operations(&mut self, peer: PeerId, operations: &Operations) {
        let Ok(operations) = read_operations(operations) else {
            self.close_link(peer, close::PROTOCOL, "forged or malformed group operations");
            return;
        };
        let taken = self.doors.take(operations);
        if let Some((count, reason)) = taken.refused {
            tracing::debug!(%peer, count, %reason, "group operations were not taken");
            let again = self.members.get_mut(&peer).is_some_and(|member| {
                let is_due = member.asked_for_missing.is_none_or(|asked| asked.elapsed() > ASK_AGAIN);
                if is_due {
                    member.asked_for_missing = Some(Instant::now());
                }
                is_due
            });
            if reason == NotTaken::Missing && again {
                self.compare(peer);
            }
        }
        if !taken.new.is_empty() {
            let news = messages(&taken.new);
            for other in self.members.keys().copied().filter(|other| *other != peer) {
                self.tell(other, news.clone());
            }
            self.on_membership();
        }
    }

    /// A new secret goes on to all: whoever made it may not be connected to them.
    pub(super) fn on_epoch(&self, peer: PeerId, epoch: Epoch) {
        if self.doors.learn_epoch(*epoch.secret) {
            for other in self.members.keys().copied().filter(|other| *other != peer) {
                self.tell(other, [Message::Epoch(epoch.clone())]);
            }
        }
    }

    /// Passes on what was said at the door, and tells of who waits there.
    pub(super) fn on_doors(&mut self) {
        let said = self.doors.said();
        if !said.is_empty() {
            messages(&said).iter().for_each(|message| self.broadcast(message));
            self.on_membership();
        }
        for (peer, name) in self.doors.new_knocks() {
            let name = if name.is_empty() { peer.short() } else { name.to_string() };
            self.emit(Event::Knock { peer: peer.to_string(), name });
        }
    }

    /// Declares something to all; an `error` event when the rules do not allow it.
    fn declare(&mut self, action: Action) -> bool {
        let said = self.doors.say(action);
        self.announce_said(said.map(|operation| (operation, None)))
    }

    fn announce_said(&mut self, said: Result<(Operation, Option<EpochSecret>), NotAllowed>) -> bool {
        match said {
            Ok((operation, secret)) => {
                messages([&operation]).iter().for_each(|message| self.broadcast(message));
                if let Some(secret) = secret {
                    let secret = (*secret.as_bytes()).into();
                    let stay = self
                        .doors
                        .membership(|membership| membership.members.keys().copied().collect::<Vec<_>>());
                    stay.into_iter().for_each(|peer| self.tell(peer, [Message::Epoch(Epoch { secret })]));
                }
                self.on_membership();
                true
            }
            Err(error) => {
                self.refuse(error);
                false
            }
        }
    }

    fn refuse(&self, error: NotAllowed) {
        let (message, hint) = match error {
            NotAllowed::Rules => {
                ("you may not do that in this group".into(), "ask a moderator; `who` shows who moderates")
            }
            NotAllowed::NotTaken(reason) => (reason.to_string(), "start a new group"),
        };
        self.emit(Event::Error { code: "not_allowed", message, hint: hint.into() });
    }

    /// Puts somebody out of the group.
    pub(super) fn kick(&mut self, who: &str, is_ban: bool) {
        let Some(peer) = self.find(who) else { return };
        let removed = self.doors.remove(peer, is_ban, crate::net::random::bytes());
        self.announce_said(removed.map(|(operation, secret)| (operation, Some(secret))));
    }

    /// Makes somebody a moderator, or a member like any other.
    pub(super) fn set_role(&mut self, who: &str, role: Role) {
        if let Some(peer) = self.find(who) {
            self.declare(Action::SetRole { peer, role });
        }
    }

    /// Changes how one comes in.
    pub(super) fn set_admission(&mut self, admission: Admission) {
        if self.doors.membership(|membership| membership.admission) != admission {
            self.declare(Action::SetAdmission(admission));
        }
    }

    /// Makes one ticket worthless, or all of them.
    pub(super) fn revoke(&mut self, which: &str) {
        let me = self.me();
        let may_revoke_all = self.doors.membership(|membership| membership.moderates(me));
        let is_ours = |issuer: PeerId| may_revoke_all || issuer == me;
        let tickets = match which.parse::<Ticket>() {
            Ok(ticket) if is_ours(ticket.issuer) => vec![ticket.id],
            Ok(_) => return self.refuse(NotAllowed::Rules),
            Err(_) if which == "all" => {
                let valid = self.doors.valid_tickets().into_iter();
                valid.filter(|(_, issuer)| is_ours(*issuer)).map(|(ticket, _)| ticket).collect()
            }
            Err(error) => {
                return self.emit(Event::Error {
                    code: "no_such_ticket",
                    message: format!("that is no ticket: {error}"),
                    hint: "`revoke all` makes every ticket worthless".into(),
                });
            }
        };
        let count = tickets.len();
        if tickets.into_iter().all(|ticket| self.declare(Action::Revoke(ticket))) {
            self.emit(Event::Revoked { tickets: count });
        }
    }

    /// Lets somebody in who knocks, or sends them away.
    pub(super) fn answer_knock(&mut self, who: &str, is_welcome: bool) {
        if self.doors.answer_knock(who, is_welcome).is_none() {
            self.emit(Event::Error {
                code: "no_such_peer",
                message: format!("nobody who goes by {who:?} is at the door"),
                hint: "name them as the knock did, or by the first letters of the id".into(),
            });
        }
    }

    /// A fresh ticket. One for any number of people names others who honour it, in case we are gone by then.
    pub(super) fn invite(&mut self, terms: Terms) -> String {
        let mut here: Vec<PeerId> =
            self.members.iter().filter(|(_, member)| member.is_here()).map(|(peer, _)| *peer).collect();
        self.doors.membership(|membership| {
            here.sort_by_key(|peer| membership.members.get(peer).map_or(usize::MAX, |state| state.rank));
        });
        let door = |member: PeerId| {
            let reach =
                self.doors.directory(|directory| directory.get(member).map(|known| known.reach.clone()));
            let mut reach = reach.filter(|reach| !reach.is_empty())?;
            reach.addresses.truncate(DOOR_ADDRESSES_MAX);
            Some(Door { member, reach })
        };
        let others = here.into_iter().filter_map(door).take(DOORS_MAX).collect();
        let (ticket, grant) = self.doors.mint(terms, &self.surroundings.connectivity.reach(), others);
        if let Some(grant) = grant {
            self.broadcast(&Message::Grants(protocol::control::Grants { grants: vec![grant] }));
        }
        ticket.to_string()
    }

    /// After anything was said: whoever is out goes, we among them.
    pub(super) fn on_membership(&mut self) {
        let me = self.me();
        let (is_in, is_absent, members) = self.doors.membership(|membership| {
            let ours = membership.members.get(&me).copied();
            let members: BTreeSet<PeerId> = membership.members.keys().copied().collect();
            (ours.is_some(), ours.is_some_and(|state| state.is_absent), members)
        });
        if !is_in {
            self.put_out_since.get_or_insert_with(Instant::now);
            return;
        }
        self.put_out_since = None;
        let gone: Vec<PeerId> = self.members.keys().copied().filter(|peer| !members.contains(peer)).collect();
        for peer in gone {
            self.put_out(peer);
        }
        if is_absent {
            self.say_that_we_are_back();
        }
        self.announce_group();
    }

    /// Somebody called us absent. Each time it is for us to contradict, but no faster than this: what one member may say
    /// in a group is bounded.
    pub(super) fn say_that_we_are_back(&mut self) {
        if self.returned_at.is_none_or(|returned| returned.elapsed() > RETURN_INTERVAL) {
            self.returned_at = Some(Instant::now());
            self.declare(Action::Return);
        }
    }

    /// What time alone brings about.
    pub(super) fn watch_membership(&mut self) {
        if self.put_out_since.is_some_and(|since| since.elapsed() > LAST_DOUBT) {
            self.ending = Some(Ending::Removed);
        }
        let me = self.me();
        if self.doors.membership(|membership| membership.members.get(&me).is_some_and(|we| we.is_absent)) {
            self.say_that_we_are_back();
        }
    }

    /// Cuts a member off that is not in the group any more.
    fn put_out(&mut self, peer: PeerId) {
        if let Some(link) = self.silence(peer, LAST_WORDS * 2) {
            tokio::spawn(async move {
                tokio::time::sleep(LAST_WORDS).await;
                link.close(close::REMOVED, "not in the group");
            });
        }
        self.on_gone(peer);
    }

    /// Somebody has not been seen for as long as a seat is kept: the most senior of those who are there says so.
    pub(super) fn mark_absent(&mut self, peer: PeerId) {
        let me = self.me();
        let is_ours_to_say = self.doors.membership(|membership| {
            let is_known = membership.members.get(&peer).is_some_and(|state| !state.is_absent);
            let rank = |peer: &PeerId| membership.members.get(peer).map_or(usize::MAX, |state| state.rank);
            let here = self.members.iter().filter(|(_, member)| member.is_here());
            is_known && here.map(|(peer, _)| rank(peer)).all(|other| rank(&me) < other)
        });
        if is_ours_to_say {
            self.declare(Action::MarkAbsent(peer));
        }
    }

    /// Says goodbye in a way that lasts.
    pub(super) fn say_leave(&mut self) {
        if let Ok(operation) = self.doors.say(Action::Leave) {
            messages([&operation]).iter().for_each(|message| self.broadcast(message));
        }
    }
}
