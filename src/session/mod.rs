//! A call: commands in, events and snapshots out.
//!
//! [`Session`] owns the group as this member sees it. It runs as one task; handshakes, dials and links are
//! tasks of their own that report to it. Voice does not pass through here: links feed the engine directly.

mod acquaintances;
mod bell;
mod chat;
pub mod command;
mod dialling;
pub mod doors;
pub mod entering;
pub mod event;
mod members;
mod paths;
mod places;
mod rostering;
pub mod snapshot;
mod watch;
pub mod ways;

use crate::net::connectivity::{Connectivity, Notice};
use crate::net::handshake::{self, Doorkeeper, HandshakeFailure, Myself};
use crate::net::link::{Authenticated, LinkEvent, LinkId};
use crate::net::node::{LINGER, Node};
use crate::voice::engine::EngineControl;
use acquaintances::Acquaintances;
use chat::ChatState;
use command::{Command, Ptt};
use doors::Doors;
use event::{Event, GroupMember};
use members::Member;
use places::Places;
use protocol::control::{Message, VoiceState};
use protocol::group::{Admission, FindError, Role, describe};
use protocol::id::PeerId;
use protocol::media::Frame;
use protocol::noise::{HandshakeError, Mode, RefuseReason};
use protocol::reach::Reach;
use snapshot::Snapshot;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, broadcast, mpsc};
use tokio::time::MissedTickBehavior;

/// How often members are looked after: bounds how late a silence or a talkspurt is noticed.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// Encoded frames a link may be behind before the oldest are dropped: 80 ms of the shortest frames.
pub const FRAMES_QUEUE: usize = 8;

/// Somebody who tries over and over is told of once in this time.
const REFUSAL_INTERVAL: Duration = Duration::from_secs(10);

/// Reports from tasks to the session.
const REPORTS_QUEUE: usize = 256;

/// What every part of a call shares.
#[derive(Clone)]
pub struct Surroundings {
    /// The QUIC endpoint.
    pub node: Node,
    /// Who we are.
    pub myself: Arc<Myself>,
    /// The encoder's frames, for each link to send.
    pub frames: broadcast::Sender<Frame>,
    /// The zero of the engine's clock.
    pub epoch: Instant,
    /// The ways to the others.
    pub connectivity: Connectivity,
    /// How long a member that is not heard keeps its seat.
    pub seat: Duration,
    /// Told when we wait at a door, again and again.
    pub waiting: Arc<Notify>,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By our own will.
    Left,
    /// We were put out of the group.
    Removed,
}

/// What happens elsewhere and concerns the session.
enum Report {
    /// Somebody came in, or we reached somebody.
    Authenticated(Box<Authenticated>, Mode),
    /// Somebody did not come in.
    Refused(HandshakeFailure),
    /// Nobody could be reached for as long as a seat is kept.
    Unreachable(PeerId),
    /// A member says that we were put out.
    TurnedAway(PeerId),
}

/// A running call.
pub struct Session {
    surroundings: Surroundings,
    doors: Doors,
    engine: EngineControl,
    members: BTreeMap<PeerId, Member>,
    links: BTreeMap<LinkId, PeerId>,
    next_link: u64,
    voice_state: VoiceState,
    muted_before_deafen: bool,
    reports: mpsc::Sender<Report>,
    link_events: mpsc::Sender<(LinkId, LinkEvent)>,
    events: mpsc::Sender<Event>,
    snapshots: tokio::sync::watch::Sender<Snapshot>,
    frame_ticks: u8,
    /// When people at the door were last told of, by reason.
    refusals_told: BTreeMap<u8, tokio::time::Instant>,
    /// Where the others think we may be reached.
    told_reach: Option<Reach>,
    /// Why the call is over, once it is.
    ending: Option<Ending>,
    /// Since when we are out, by what the others say.
    put_out_since: Option<tokio::time::Instant>,
    /// When we last said that we are not absent.
    returned_at: Option<tokio::time::Instant>,
    acquaintances: Acquaintances,
    chat: ChatState,
}

/// What a call is run with.
pub struct Wiring {
    /// Commands from whoever is in control. When it closes, the call goes on without commands.
    pub commands: mpsc::Receiver<Command>,
    /// Where events go. An event that finds no room is dropped: a slow reader never holds up the call.
    pub events: mpsc::Sender<Event>,
    /// Where the latest snapshot goes.
    pub snapshots: tokio::sync::watch::Sender<Snapshot>,
    /// What there is to know of paths.
    pub notices: mpsc::Receiver<Notice>,
    /// Where it is kept who was met before, if it is.
    pub known_peers: Option<PathBuf>,
}

impl Session {
    /// Runs a call until it is over. `introducer` is the member through which we came in.
    pub async fn run(
        surroundings: Surroundings,
        doors: Doors,
        engine: EngineControl,
        introducer: Option<entering::Entered>,
        wiring: Wiring,
    ) -> Ending {
        let (reports, mut reported) = mpsc::channel(REPORTS_QUEUE);
        let (link_events, mut link_reported) = mpsc::channel(REPORTS_QUEUE);
        let Wiring { mut commands, events, snapshots, mut notices, known_peers } = wiring;
        let acquaintances = Acquaintances::open(known_peers, &events);
        let mut session = Self {
            surroundings,
            doors,
            engine,
            members: BTreeMap::new(),
            links: BTreeMap::new(),
            next_link: 0,
            voice_state: VoiceState::default(),
            muted_before_deafen: false,
            reports,
            link_events,
            events,
            snapshots,
            frame_ticks: 0,
            refusals_told: BTreeMap::new(),
            told_reach: None,
            ending: None,
            put_out_since: None,
            returned_at: None,
            acquaintances,
            chat: ChatState::new(),
        };
        if let Some(entered) = introducer {
            session.on_entered(entered);
        }
        session.announce_group();
        let doors = tokio::spawn(answer_doors(
            session.surroundings.clone(),
            session.doors.clone(),
            session.reports.clone(),
        ));
        let mut watch = tokio::time::interval(WATCH_INTERVAL);
        watch.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut commanded = true;
        let ending = loop {
            if let Some(ending) = session.ending {
                break ending;
            }
            tokio::select! {
                biased;
                command = commands.recv(), if commanded => match command {
                    Some(Command::Leave) => break Ending::Left,
                    Some(command) => {
                        session.on_command(command);
                        session.publish(tokio::time::Instant::now());
                    }
                    None => commanded = false,
                },
                // Before what members say, so that no member can keep us from looking after the others.
                _ = watch.tick() => session.on_watch(),
                Some(report) = reported.recv() => session.on_report(report),
                Some(notice) = notices.recv() => session.on_notice(notice),
                Some((link, event)) = link_reported.recv() => session.on_link_event(link, event),
            }
        };
        doors.abort();
        session.leave().await;
        session.acquaintances.settle().await;
        ending
    }

    fn emit(&self, event: Event) {
        if self.events.try_send(event).is_err() {
            tracing::debug!("an event found no room and was dropped");
        }
    }

    fn on_report(&mut self, report: Report) {
        match report {
            Report::Authenticated(authenticated, mode) => self.on_authenticated(*authenticated, mode),
            Report::Refused(failure) => self.on_refused(&failure),
            Report::Unreachable(peer) => self.on_unreachable(peer),
            Report::TurnedAway(peer) => self.on_turned_away(peer),
        }
    }

    /// Tells the user about people at the door; what breaks on the way is nobody's business.
    fn on_refused(&mut self, failure: &HandshakeFailure) {
        match failure {
            // A member that knows only an older secret tries another one.
            HandshakeFailure::Refused(HandshakeError::Refusing(RefuseReason::NotAMember)) => {}
            HandshakeFailure::Refused(error @ HandshakeError::Refusing(reason)) => {
                let now = tokio::time::Instant::now();
                let told = self.refusals_told.get(&reason.code());
                if told.is_some_and(|told| now - *told < REFUSAL_INTERVAL) {
                    return;
                }
                self.refusals_told.insert(reason.code(), now);
                self.emit(Event::Error {
                    code: reason_code(*reason),
                    message: format!("somebody at the door was turned away: {error}"),
                    hint: "nothing to do if you expected nobody".into(),
                });
            }
            // Whoever was put out while out of reach comes as it always did, and hears it now.
            HandshakeFailure::PutOut
            | HandshakeFailure::Refused(_)
            | HandshakeFailure::Deadline
            | HandshakeFailure::Broken(_)
            | HandshakeFailure::Lingering => {
                tracing::debug!(%failure, "a handshake failed");
            }
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Mute => {
                self.muted_before_deafen = true;
                self.set_voice(VoiceState { muted: true, ..self.voice_state });
            }
            Command::Unmute => self.set_voice(VoiceState { muted: false, deafened: false }),
            Command::Deafen if self.voice_state.deafened => {}
            Command::Deafen => {
                self.muted_before_deafen = self.voice_state.muted;
                self.set_voice(VoiceState { muted: true, deafened: true });
            }
            Command::Undeafen if !self.voice_state.deafened => {}
            Command::Undeafen => {
                self.set_voice(VoiceState { muted: self.muted_before_deafen, deafened: false });
            }
            Command::Ptt(ptt) => {
                let muted = match ptt {
                    Ptt::Down => false,
                    Ptt::Up => true,
                    Ptt::Toggle => !self.voice_state.muted,
                };
                self.set_voice(VoiceState { muted, ..self.voice_state });
            }
            Command::Volume { peer, db } => self.set_volume(&peer, db),
            Command::Invite(terms) => {
                let ticket = self.invite(terms);
                self.emit(Event::Ticket { ticket });
            }
            Command::Revoke(which) => self.revoke(&which),
            Command::SetAdmission(admission) => self.set_admission(admission),
            Command::Kick { peer, is_ban } => self.kick(&peer, is_ban),
            Command::SetRole { peer, role } => self.set_role(&peer, role),
            Command::Admit(peer) => self.answer_knock(&peer, true),
            Command::Deny(peer) => self.answer_knock(&peer, false),
            Command::Reply(reply) => self.on_reply(&reply),
            Command::Status => self.tell_status(),
            Command::Verify(peer) => self.tell_words(&peer),
            Command::Mark { peer, verified } => self.mark(&peer, verified),
            Command::Say(text) => self.say(&text),
            // Handled where the call is run.
            Command::Leave => {}
        }
    }

    fn set_voice(&mut self, state: VoiceState) {
        if state == self.voice_state {
            return;
        }
        self.voice_state = state;
        self.engine.set_muted(state.muted);
        self.engine.set_deafened(state.deafened);
        self.broadcast(&Message::VoiceState(state));
        self.emit(Event::state(self.me(), state));
    }

    fn set_volume(&mut self, who: &str, db: f32) {
        let Some(peer) = self.find(who) else { return };
        if let Some(member) = self.members.get_mut(&peer) {
            member.volume_db = db;
            if let Some(key) = member.voice_key() {
                self.engine.set_gain(key, gain(db));
            }
        }
    }

    /// Whom a person means; an `error` event when that is nobody, or several. Who is in and was never met goes by its id.
    fn find(&self, who: &str) -> Option<PeerId> {
        let found = self.doors.directory(|directory| directory.find(who));
        let found = match found {
            Err(FindError::Nobody) => self.doors.membership(|membership| membership.find(who)),
            found => found,
        };
        if let Err(error) = &found {
            self.emit(Event::Error {
                code: "no_such_peer",
                message: format!("{who}: {error}"),
                hint: "`who` lists everybody".into(),
            });
        }
        found.ok()
    }

    fn me(&self) -> PeerId {
        self.surroundings.myself.identity.peer_id()
    }

    fn announce_group(&self) {
        let myself = &self.surroundings.myself;
        let (admission, epoch, roles) = self.doors.membership(|membership| {
            let roles: BTreeMap<PeerId, Role> =
                membership.members.iter().map(|(peer, state)| (*peer, state.role)).collect();
            (membership.admission, membership.epoch, roles)
        });
        let role = |peer: PeerId| roles.get(&peer).copied().unwrap_or(Role::Member).into();
        let me = self.me();
        let ours = GroupMember { peer: me.to_string(), name: myself.name.clone(), me: true, role: role(me) };
        let mut members = vec![ours];
        self.doors.directory(|directory| {
            let seen = directory.iter().filter(|(id, _)| self.present().any(|(present, _)| present == id));
            members.extend(seen.map(|(id, record)| GroupMember {
                peer: id.to_string(),
                name: record.name.to_string(),
                me: false,
                role: role(id),
            }));
        });
        let locked = admission == Admission::Locked;
        self.emit(Event::Group { members, locked, admission: admission.into(), epoch });
    }

    /// Everybody whom one sees.
    fn present(&self) -> impl Iterator<Item = (&PeerId, &Member)> {
        self.members.iter().filter(|(_, member)| !member.is_estranged)
    }

    fn broadcast(&self, message: &Message) {
        for member in self.members.values() {
            if let Some(link) = member.link() {
                link.send(message.clone());
            }
        }
    }

    /// Everybody as the roster describes them, ourselves included.
    fn descriptions(&self) -> Vec<protocol::control::Member> {
        let mut all = self.doors.directory(|directory| {
            let described =
                directory.iter().map(|(id, member)| describe(id, member.name.as_str(), &member.reach));
            described.collect::<Vec<_>>()
        });
        all.push(describe(
            self.me(),
            &self.surroundings.myself.name,
            &self.surroundings.connectivity.reach(),
        ));
        all
    }
}

/// The linear gain of a volume in dB; the lowest one is silence.
fn gain(db: f32) -> f32 {
    if db <= -60.0 { 0.0 } else { 10f32.powf(db / 20.0) }
}

/// The stable word for a refusal in `error` events.
pub fn reason_code(reason: RefuseReason) -> &'static str {
    match reason {
        RefuseReason::WrongVersion => "wrong_version",
        RefuseReason::UnknownTicket => "foreign_ticket",
        RefuseReason::ExpiredTicket => "expired_ticket",
        RefuseReason::RevokedTicket => "revoked_ticket",
        RefuseReason::UsedUpTicket => "used_up_ticket",
        RefuseReason::WrongSecret => "wrong_secret",
        RefuseReason::NotAMember => "not_a_member",
        RefuseReason::GroupFull => "group_full",
        RefuseReason::Locked => "locked",
        RefuseReason::Removed => "removed",
        RefuseReason::PasswordNotAccepted => "password_not_accepted",
        RefuseReason::TooManyAttempts => "too_many_attempts",
        RefuseReason::UnexpectedPeer => "unexpected_peer",
        RefuseReason::SameIdentity => "same_identity",
        RefuseReason::Denied => "denied",
        _ => "handshake_failed",
    }
}

/// Accepts connections and runs their handshakes, a bounded number at a time, in all and from each address.
async fn answer_doors(surroundings: Surroundings, doors: Doors, reports: mpsc::Sender<Report>) {
    let places = Places::default();
    surroundings.node.socket().entrance().listen(Arc::new(doors.clone()));
    while let Some(incoming) = surroundings.node.accept().await {
        let (remote, invited) = {
            let paths = surroundings.node.socket().paths();
            let address = incoming.remote_address();
            (paths.route(address).map(|route| route.to.ip()), paths.is_invited(address))
        };
        let Some(place) = remote.and_then(|remote| places.enter(remote, invited)) else {
            // Nothing is said: an answer would be of use only to a flood, and a friend's packet is repeated.
            surroundings.node.socket().paths().remove(incoming.remote_address());
            incoming.ignore();
            continue;
        };
        let (surroundings, doors, reports) = (surroundings.clone(), doors.clone(), reports.clone());
        tokio::spawn(async move {
            let outcome =
                handshake::respond(incoming, &surroundings.node, &surroundings.myself, &doors).await;
            drop((place.handshake, surroundings));
            let lingers = matches!(outcome, Err(HandshakeFailure::Lingering));
            let report = match outcome {
                Ok((authenticated, mode)) => Report::Authenticated(Box::new(authenticated), mode),
                Err(failure) => Report::Refused(failure),
            };
            // The session is over: nobody is interested any more.
            let _ = reports.send(report).await;
            if lingers {
                tokio::time::sleep(LINGER).await;
            }
            drop(place.remains);
        });
    }
}

/// The group a set of doors leads to, for whoever needs only that.
pub fn group_of(doors: &Doors) -> protocol::id::GroupId {
    doors.group()
}
