//! Members coming, going, vanishing and coming back.

use super::dialling::Dial;
use super::entering::Entered;
use super::event::{Departure, Event, PathKind};
use super::{Ending, Session, gain};
use crate::net::connectivity::Attach;
use crate::net::link::{Authenticated, Closed, Link, LinkEvent, LinkId};
use crate::net::node::{FAREWELL, close};
use crate::voice::engine::{PeerVoice, VoiceKey};
use protocol::control::{Grants, Leave, Members, Message, VoiceState, Welcome};
use protocol::group::{Added, Role, describe};
use protocol::id::PeerId;
use protocol::limits::MEMBERS_MAX;
use protocol::noise::Mode;
use protocol::path::Kind;
use protocol::reach::Reach;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

/// Two connections made within this time were made by both sides dialling at once.
const SIMULTANEOUS: Duration = Duration::from_secs(5);

/// Members that one member may have introduced without our having met them: more than join at once, and few enough
/// that nobody can make us dial the world.
const UNMET_MAX: usize = 16;

/// A member that was introduced to us dials us itself; only when it did not succeed by then do we.
const DIAL_PATIENCE: Duration = Duration::from_millis(1500);

/// Others are told at most this often where a member is now.
const MOVE_INTERVAL: Duration = Duration::from_secs(3);

/// How long a newcomer's first packets are expected.
const NEWCOMER_KNOCKS: Duration = Duration::from_secs(4);

/// One other member, connected or not.
pub(super) struct Member {
    pub(super) active: Option<Active>,
    pub(super) away_since: Option<Instant>,
    pub(super) voice_state: VoiceState,
    pub(super) volume_db: f32,
    pub(super) talking: bool,
    pub(super) quiet_watches: u32,
    /// When it was asked for operations that came before its own.
    pub(super) asked_for_missing: Option<Instant>,
    /// Its seat was given up, and it is in the group nevertheless: now and then we try to reach it, unseen.
    pub(super) is_estranged: bool,
    /// Who told us of it, until it is connected for the first time.
    introduced_by: Option<PeerId>,
    /// It can be reached elsewhere than we told the others, and when we did that last.
    has_moved: bool,
    moved_at: Option<Instant>,
    /// It says that we are not in the group any more.
    pub(super) has_turned_us_away: bool,
    pub(super) dial: Option<Dial>,
}

/// A member's connection.
pub(super) struct Active {
    pub(super) link: Link,
    pub(super) key: VoiceKey,
    voice: Arc<Mutex<PeerVoice>>,
    pub(super) path: PathKind,
    pub(super) seen: super::watch::Seen,
    pub(super) hearing: super::watch::Hearing,
    since: Instant,
    dialled: bool,
    handshake_hash: [u8; 32],
}

impl Active {
    /// What the engine last said about this member's voice.
    pub(super) fn voice(&self) -> PeerVoice {
        *self.voice.lock().expect("the engine does not panic while publishing")
    }
}

impl Member {
    fn new(introduced_by: Option<PeerId>) -> Self {
        Self {
            introduced_by,
            has_moved: false,
            moved_at: None,
            has_turned_us_away: false,
            asked_for_missing: None,
            is_estranged: false,
            active: None,
            away_since: None,
            voice_state: VoiceState::default(),
            volume_db: 0.0,
            talking: false,
            quiet_watches: u32::MAX,
            dial: None,
        }
    }

    pub(super) fn link(&self) -> Option<&Link> {
        self.active.as_ref().map(|active| &active.link)
    }

    /// Whether it is connected, and heard.
    pub(super) fn is_here(&self) -> bool {
        self.active.is_some() && self.away_since.is_none()
    }

    pub(super) fn voice_key(&self) -> Option<VoiceKey> {
        self.active.as_ref().map(|active| active.key)
    }

    /// Of the handshake by which its connection was authenticated.
    pub(super) fn handshake_hash(&self) -> Option<[u8; 32]> {
        self.active.as_ref().map(|active| active.handshake_hash)
    }

    pub(super) fn stop_dialling(&mut self) {
        if let Some(dial) = self.dial.take() {
            dial.stop();
        }
    }
}

impl Session {
    /// We came in through a member; it told us about the others.
    pub(super) fn on_entered(&mut self, entered: Entered) {
        let Entered { authenticated, welcome, operations: _ } = entered;
        let peer = authenticated.peer;
        let described = welcome.members.iter().map(|member| Reach::from_texts(&[], &member.relays));
        let relays: Vec<_> = described.flat_map(|reach| reach.relays).collect();
        relays.iter().for_each(|relay| self.surroundings.connectivity.borrow_relay(relay));
        self.learn(peer, &authenticated.name, reachable(&authenticated, self), None);
        self.activate(authenticated, false);
        for member in &welcome.members {
            let (id, reach) = (PeerId(*member.id), Reach::from_texts(&member.addresses, &member.relays));
            if id != peer && self.learn(id, &member.name, reach, Some(peer)) {
                self.dial(id, Duration::ZERO);
            }
        }
    }

    /// Somebody came in by ticket or password, or a member connected.
    pub(super) fn on_authenticated(&mut self, authenticated: Authenticated, mode: Mode) {
        let peer = authenticated.peer;
        let reach = reachable(&authenticated, self);
        let newcomer = matches!(mode, Mode::Ticket { .. } | Mode::Password);
        // Before anybody hears of the newcomer's addresses they hear that it is in.
        self.on_doors();
        let new = self.learn(peer, &authenticated.name, reach, None);
        if newcomer {
            let welcome = self.welcome();
            // A newcomer has no other connection that could be the better one.
            if !self.activate(authenticated, false) {
                return;
            }
            self.tell_everything(peer);
            if let Some(link) = self.members.get(&peer).and_then(Member::link) {
                link.send(welcome);
            }
            self.introduce(peer, None);
        } else if !self.activate(authenticated, true) {
            return;
        } else if let Some(link) = self.members.get(&peer).and_then(Member::link) {
            // Each may have met people while the other was out of reach.
            link.send(Message::Members(Members { members: self.descriptions() }));
            link.send(Message::Grants(Grants { grants: self.doors.shared_grants() }));
        }
        self.compare(peer);
        self.send_own_state(peer);
        if new {
            self.announce_group();
        }
    }

    fn welcome(&self) -> Message {
        Message::Welcome(Welcome {
            epoch_secret: (*self.doors.epoch_secret().as_bytes()).into(),
            members: self.descriptions(),
            grants: self.doors.shared_grants(),
            group: super::group_of(&self.doors).0.into(),
        })
    }

    /// Tells everybody but `except` and the member itself about it.
    fn introduce(&self, peer: PeerId, except: Option<PeerId>) {
        let described = self.doors.directory(|directory| {
            directory.get(peer).map(|record| describe(peer, record.name.as_str(), &record.reach))
        });
        let Some(member) = described else {
            return;
        };
        for (id, other) in &self.members {
            if *id != peer
                && Some(*id) != except
                && let Some(link) = other.link()
            {
                link.send(Message::Members(Members { members: vec![member.clone()] }));
            }
        }
    }

    fn send_own_state(&self, peer: PeerId) {
        if self.voice_state != VoiceState::default()
            && let Some(link) = self.members.get(&peer).and_then(Member::link)
        {
            link.send(Message::VoiceState(self.voice_state));
        }
    }

    /// Puts a member on the roster; returns whether it is new there. What others tell of somebody we know counts for
    /// nothing: that is only for the member itself to say.
    fn learn(&mut self, peer: PeerId, name: &str, reach: Reach, introduced_by: Option<PeerId>) -> bool {
        let known = self.members.contains_key(&peer);
        let is_in = self.doors.membership(|membership| membership.contains(peer));
        if peer == self.me() || !is_in || (known && introduced_by.is_some()) {
            return false;
        }
        match self.doors.directory(|directory| directory.add(peer, name, reach)) {
            Added::New => {
                self.members.insert(peer, Member::new(introduced_by));
                true
            }
            Added::Known | Added::Full => false,
        }
    }

    /// Makes a connection the member's only one; returns false when another one is kept instead, which can be when
    /// both `may_be_second` to one that the other side dialled.
    fn activate(&mut self, authenticated: Authenticated, may_be_second: bool) -> bool {
        let (peer, dialled, took) = (authenticated.peer, authenticated.dialled, authenticated.took);
        let Some(member) = self.members.get_mut(&peer) else {
            // The group was full, or it was put out this moment.
            authenticated.connection.close(quinn::VarInt::from_u32(close::GONE), b"no seat");
            return false;
        };
        // Of two connections made at once both sides keep the one that the smaller id dialled.
        let smaller_dialled = dialled == (self.surroundings.myself.identity.peer_id() < peer);
        if let Some(active) = &member.active
            && may_be_second
            && member.away_since.is_none()
            && active.since.elapsed() < SIMULTANEOUS
            && active.dialled != dialled
            && !smaller_dialled
        {
            authenticated.connection.close(quinn::VarInt::from_u32(close::REPLACED), b"another one is kept");
            self.surroundings.node.socket().paths().remove(authenticated.connection.remote_address());
            return false;
        }
        if dialled || smaller_dialled {
            member.stop_dialling();
        } else if let Some(dial) = &member.dial {
            // Where both dialled at once it is ours that is kept, and the other side may know it by now.
            dial.wind_up();
        }
        member.introduced_by = None;
        member.has_turned_us_away = false;
        let was_estranged = std::mem::take(&mut member.is_estranged);
        let away = member.away_since.take();
        self.drop_link(peer, close::REPLACED, "a newer one is used");
        let port = match self.engine.add_peer(&authenticated.name) {
            Ok(port) => port,
            Err(error) => {
                tracing::error!(%error, "no decoder for a new peer");
                return false;
            }
        };
        let id = LinkId(self.next_link);
        self.next_link += 1;
        let address = authenticated.connection.remote_address();
        let kind = {
            let mut paths = self.surroundings.node.socket().paths();
            paths.promote(address);
            paths.kind(address)
        };
        let path = PathKind::from(kind.unwrap_or(Kind::Direct));
        let attach = Attach { connection: authenticated.connection.clone(), dialled };
        let (name, handshake_hash) = (authenticated.name.clone(), authenticated.handshake_hash);
        let link = Link::start(
            id,
            authenticated,
            self.surroundings.frames.subscribe(),
            port.arrivals,
            self.surroundings.epoch,
            self.link_events.clone(),
        );
        let member = self.members.get_mut(&peer).expect("looked up above");
        self.engine.set_gain(port.key, gain(member.volume_db));
        member.active = Some(Active {
            link,
            key: port.key,
            voice: port.voice,
            path,
            seen: super::watch::Seen::default(),
            hearing: super::watch::Hearing::default(),
            since: Instant::now(),
            dialled,
            handshake_hash,
        });
        self.links.insert(id, peer);
        self.surroundings.connectivity.attach(attach);
        tracing::debug!(%peer, returning = away.is_some(), "connected");
        let took = away.map_or(took, |since| since.elapsed());
        let ms = took.as_millis() as u64;
        self.emit(Event::Connected { peer: peer.to_string(), name: name.clone(), path, ms });
        self.on_met(peer, &name);
        let reason = match path {
            PathKind::Lan => "same machine or local network",
            PathKind::Direct => "its address answers directly",
            PathKind::Relayed => "through a relay while a direct path is looked for",
        };
        self.emit(Event::Path { peer: peer.to_string(), kind: path, reason: reason.into() });
        if was_estranged {
            self.announce_group();
        }
        true
    }

    fn drop_link(&mut self, peer: PeerId, code: u32, reason: &str) {
        if let Some(link) = self.silence(peer, FAREWELL) {
            link.close(code, reason);
        }
    }

    /// Closes a connection whose other side breaks the rules; it may come back.
    pub(super) fn close_link(&self, peer: PeerId, code: u32, reason: &str) {
        if let Some(link) = self.members.get(&peer).and_then(Member::link) {
            link.close(code, reason);
        }
    }

    /// Neither hears nor talks to a member any more; its link is still to be closed, `within` that time.
    pub(super) fn silence(&mut self, peer: PeerId, within: Duration) -> Option<Link> {
        let active = self.members.get_mut(&peer).and_then(|member| member.active.take())?;
        active.link.counters.set_quiet(true);
        self.links.remove(&active.link.id);
        self.engine.remove_peer(active.key);
        // The farewell has to leave before its address is forgotten.
        let (node, address) = (self.surroundings.node.clone(), active.link.address());
        self.surroundings.connectivity.detach(address);
        tokio::spawn(async move {
            tokio::time::sleep(within.max(FAREWELL)).await;
            node.socket().paths().remove(address);
        });
        Some(active.link)
    }

    pub(super) fn on_link_event(&mut self, id: LinkId, event: LinkEvent) {
        // A link that was replaced may still have had something to say.
        let Some(&peer) = self.links.get(&id) else { return };
        match event {
            LinkEvent::Message(message) => self.on_message(peer, message),
            LinkEvent::Closed(Closed::Left) => self.on_left(peer),
            // By what was said we are out, and they act on it.
            LinkEvent::Closed(Closed::Gone) if self.put_out_since.is_some() => {
                self.ending = Some(Ending::Removed);
            }
            LinkEvent::Closed(Closed::Gone) => self.on_seat_expired(peer),
            LinkEvent::Closed(Closed::Replaced) => self.on_vanished(peer, "a newer connection is on its way"),
            LinkEvent::Closed(Closed::Broken(reason)) => self.on_vanished(peer, &reason),
        }
    }

    fn on_message(&mut self, peer: PeerId, message: Message) {
        match message {
            // Only the first message of the member we came in by counts.
            Message::Welcome(_) => {}
            Message::Members(Members { members }) => {
                // There are no more in a group.
                for member in members.into_iter().take(MEMBERS_MAX) {
                    self.on_description(peer, &member);
                }
            }
            Message::Grants(grants) => self.doors.learn_grants(grants.grants),
            Message::VoiceState(state) => {
                if let Some(member) = self.members.get_mut(&peer)
                    && member.voice_state != state
                {
                    member.voice_state = state;
                    self.emit(Event::state(peer, state));
                }
            }
            Message::Leave(Leave {}) => self.on_left(peer),
            Message::Heads(heads) => self.on_heads(peer, heads),
            Message::Operations(operations) => self.on_operations(peer, &operations),
            Message::Epoch(epoch) => self.on_epoch(peer, epoch),
            Message::Chat(chat) => self.on_chat(peer, &chat),
            Message::Candidates(candidates) => {
                if let Some(link) = self.members.get(&peer).and_then(Member::link) {
                    self.surroundings.connectivity.on_candidates(link.address(), candidates);
                }
            }
        }
    }

    /// A member tells of somebody, or of itself.
    fn on_description(&mut self, from: PeerId, described: &protocol::control::Member) {
        if self.unmet_through(from) >= UNMET_MAX {
            return;
        }
        let id = PeerId(*described.id);
        let reach = self.believable(from, Reach::from_texts(&described.addresses, &described.relays));
        self.hear_of(from, id, &reach);
        if self.learn(id, &described.name, reach.clone(), Some(from)) {
            // It dials us already: our NAT has to let it in.
            self.surroundings.connectivity.punch(reach, NEWCOMER_KNOCKS);
            self.introduce(id, Some(from));
            self.announce_group();
            self.dial(id, DIAL_PATIENCE);
        }
    }

    /// Takes over where a member may be reached now, from itself or, while we have not met it, from others.
    fn hear_of(&mut self, from: PeerId, id: PeerId, reach: &Reach) {
        let Some(member) = self.members.get_mut(&id).filter(|_| !reach.is_empty()) else { return };
        if from == id {
            member.has_moved |= self.doors.directory(|directory| directory.move_to(id, reach));
        } else if member.active.is_none() {
            self.doors.directory(|directory| directory.extend(id, reach));
        }
    }

    /// Tells those who have not met a member either where it is now: at once, and then no more often than this however
    /// often it moves.
    pub(super) fn introduce_moved(&mut self) {
        let is_due = |member: &Member| {
            let was = member.moved_at;
            member.has_moved && was.is_none_or(|moved_at| moved_at.elapsed() > MOVE_INTERVAL)
        };
        let moved: Vec<PeerId> =
            self.members.iter().filter(|(_, member)| is_due(member)).map(|(peer, _)| *peer).collect();
        for peer in moved {
            if let Some(member) = self.members.get_mut(&peer) {
                (member.has_moved, member.moved_at) = (false, Some(Instant::now()));
            }
            self.introduce(peer, None);
        }
    }

    /// Tells all where we may be reached, when that has changed: those whom we have not met hear it from the others.
    pub(super) fn tell_reach(&mut self) {
        let reach = self.surroundings.connectivity.reach();
        if self.told_reach.as_ref() == Some(&reach) || self.members.is_empty() {
            return;
        }
        if self.told_reach.replace(reach.clone()).is_some() {
            let described = describe(self.me(), &self.surroundings.myself.name, &reach);
            self.broadcast(&Message::Members(Members { members: vec![described] }));
        }
    }

    /// Members that `introducer` told us of and that we have not met.
    fn unmet_through(&self, introducer: PeerId) -> usize {
        self.members.values().filter(|member| member.introduced_by == Some(introducer)).count()
    }

    /// A reach without addresses of the loopback device, unless the introducer is on this machine itself.
    fn believable(&self, introducer: PeerId, mut reach: Reach) -> Reach {
        let here = self.members.get(&introducer).and_then(Member::link).is_some_and(|link| {
            let route = self.surroundings.node.socket().paths().route(link.address());
            route.is_some_and(|route| route.to.ip().is_loopback())
        });
        reach.addresses.retain(|address| here || !address.ip().is_loopback());
        reach
    }

    /// A member's connection broke, though it did not say goodbye.
    fn on_vanished(&mut self, peer: PeerId, reason: &str) {
        self.drop_link(peer, close::GONE, "lost");
        self.mark_lost(peer, reason);
        self.dial(peer, Duration::ZERO);
    }

    /// A member is not heard: its seat is kept, and it is told about once.
    pub(super) fn mark_lost(&mut self, peer: PeerId, reason: &str) {
        let Some(member) = self.members.get_mut(&peer) else { return };
        if member.away_since.is_none() {
            member.away_since = Some(Instant::now());
            let talked = std::mem::take(&mut member.talking);
            if let Some(active) = &member.active {
                active.link.counters.set_quiet(true);
            }
            if talked {
                self.emit(Event::Talking { peer: peer.to_string(), on: false });
            }
            self.emit(Event::Lost { peer: peer.to_string(), reason: reason.into() });
        }
    }

    /// A member says that we are not in the group any more. That all say so is as good as having heard it: who was put
    /// out while out of reach is told nothing else. A founder nobody can put out.
    pub(super) fn on_turned_away(&mut self, peer: PeerId) {
        let Some(member) = self.members.get_mut(&peer) else { return };
        member.has_turned_us_away = true;
        let me = self.me();
        let is_founder = self
            .doors
            .membership(|membership| membership.members.get(&me).is_some_and(|we| we.role == Role::Founder));
        if !is_founder && self.present().all(|(_, member)| member.has_turned_us_away) {
            self.ending = Some(Ending::Removed);
        }
    }

    /// Nobody answered for as long as a seat is kept.
    pub(super) fn on_unreachable(&mut self, peer: PeerId) {
        let Some(member) = self.members.get(&peer) else { return };
        match (&member.active, member.introduced_by) {
            // It came back in the meantime, or is given up where its absence is watched.
            (Some(_), _) => {}
            (None, None) if member.is_estranged => self.on_gone(peer),
            (None, None) => self.on_seat_expired(peer),
            (None, Some(_)) => {
                let name = self.name_of(peer);
                self.emit(Event::Error {
                    code: "member_unreachable",
                    message: format!("{name} is in the group, but cannot be reached from here"),
                    hint: "you do not hear each other; ask them to join again".into(),
                });
                self.doors.directory(|directory| directory.remove(peer));
                self.members.remove(&peer);
                self.announce_group();
            }
        }
    }

    /// A member said goodbye. If it did not say so to all, that is for us to do.
    fn on_left(&mut self, peer: PeerId) {
        self.drop_link(peer, close::GONE, "you left");
        self.mark_absent(peer);
        self.on_gone(peer);
    }

    /// A member was away for as long as a seat is kept. Those on its side of a broken network may say the same of us: so
    /// we go on looking for it, for an hour.
    pub(super) fn on_seat_expired(&mut self, peer: PeerId) {
        self.drop_link(peer, close::GONE, "away too long");
        let Some(member) = self.members.get_mut(&peer).filter(|member| !member.is_estranged) else { return };
        member.is_estranged = true;
        member.away_since = None;
        member.stop_dialling();
        self.emit(Event::Left { peer: peer.to_string(), reason: Departure::Away });
        self.mark_absent(peer);
        self.announce_group();
        self.dial(peer, Duration::ZERO);
    }

    /// A member is out of the group.
    pub(super) fn on_gone(&mut self, peer: PeerId) {
        self.drop_link(peer, close::GONE, "away too long");
        let known = self.doors.directory(|directory| directory.remove(peer));
        let member = self.members.remove(&peer);
        let was_seen = known && !member.as_ref().is_some_and(|member| member.is_estranged);
        if let Some(mut member) = member {
            member.stop_dialling();
        }
        if was_seen {
            let is_removed = self.doors.membership(|membership| membership.removed.contains_key(&peer));
            let reason = if is_removed { Departure::Removed } else { Departure::Left };
            self.emit(Event::Left { peer: peer.to_string(), reason });
            self.announce_group();
        }
    }

    /// Says goodbye to everybody.
    pub(super) async fn leave(&mut self) {
        self.say_leave();
        self.broadcast(&Message::Leave(Leave {}));
        for member in self.members.values_mut() {
            member.stop_dialling();
        }
        // The message and the close travel in order on most paths; whichever arrives says the same.
        tokio::time::sleep(Duration::from_millis(20)).await;
        for member in self.members.values() {
            if let Some(link) = member.link() {
                link.close(close::LEFT, "left");
            }
        }
        self.surroundings.node.close().await;
    }
}

/// Where a member that just connected may be reached by others: where we see it, then where it says.
fn reachable(authenticated: &Authenticated, session: &Session) -> Reach {
    let route = session.surroundings.node.socket().paths().route(authenticated.connection.remote_address());
    let mut reach = authenticated.reach.clone();
    // Who can be met on a relay has told all there is to tell; others are met where we see them.
    if let Some(route) = route.filter(|route| !route.is_relayed() && reach.relays.is_empty()) {
        reach.addresses.retain(|address| *address != route.to);
        reach.addresses.insert(0, route.to);
    }
    reach
}
