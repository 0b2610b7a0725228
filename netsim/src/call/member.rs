//! One member's program: the product's node, session and engine on a machine of their own.

use super::device::{SimMicrophone, SimSpeaker};
use super::ear::Ear;
use super::machine::Machine;
use super::stage::{Said, SharedStage};
use crate::world::{HostId, Kind, Names, SharedWorld, SimPlatform, SimUdp};
use protocol::group::Admission;
use protocol::identity::Identity;
use protocol::invite::Ticket;
use protocol::jitter::has_fec;
use protocol::media::Frame;
use protocol::name::DisplayName;
use roundtable::net::connectivity::{Connectivity, Settings};
use roundtable::net::handshake::Myself;
use roundtable::net::node::{Node, SEAT_KEPT};
use roundtable::session::command::Command;
use roundtable::session::doors::{Doors, Terms};
use roundtable::session::entering::{self, Entered, Key};
use roundtable::session::event::Event;
use roundtable::session::snapshot::{Presence, Snapshot};
use roundtable::session::{Ending, FRAMES_QUEUE, Session, Surroundings, Wiring};
use roundtable::voice::engine::{Engine, engine};
use roundtable::voice::rtlog::{self, LogDrain};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, watch};

/// Every member's port, the product's default.
const PORT: u16 = 4700;

/// Frames to start with, in ticks; the session decides anew at once.
const FRAME_TICKS: u8 = 4;

/// As in the product's own main task.
const EVENTS_QUEUE: usize = 4096;
const COMMANDS_QUEUE: usize = 64;

/// What a program is started with.
pub(super) struct Start<'a> {
    pub(super) index: usize,
    pub(super) name: &'a str,
    pub(super) seed: [u8; 32],
    pub(super) world: &'a SharedWorld,
    pub(super) host: HostId,
    pub(super) stage: &'a SharedStage,
    pub(super) names: Vec<String>,
    pub(super) way: Way,
    pub(super) microphone: SimMicrophone,
    pub(super) speaker: SimSpeaker,
    pub(super) with_log: bool,
    /// Which servers it asks, and what it does not do.
    pub(super) settings: Settings,
}

/// How a program comes into the group.
pub(super) enum Way {
    /// It founds it, and leaves the ticket here.
    Found(TicketBoard),
    /// It enters with a ticket.
    Enter(Box<Ticket>),
}

/// Where the founder's ticket hangs.
pub(super) type TicketBoard = Arc<Mutex<Option<Ticket>>>;

/// A running program. Dropping it kills it.
pub(super) struct Program {
    index: usize,
    stage: SharedStage,
    world: SharedWorld,
    /// The world's time at the machine's zero; later by each suspension.
    offset: Duration,
    engine: Option<Engine>,
    log: Option<(LogDrain, Vec<u8>)>,
    pub(super) microphone: SimMicrophone,
    pub(super) speaker: SimSpeaker,
    frames: broadcast::Sender<Frame>,
    commands: mpsc::Sender<Command>,
    events: mpsc::Receiver<Event>,
    snapshot: watch::Receiver<Snapshot>,
    ended: Arc<Mutex<Option<String>>>,
    asleep_since: Option<Duration>,
    woken: bool,
    end_told: bool,
    hung_up: bool,
    // Last: what the others hold of the runtime goes first.
    machine: Machine,
}

impl Program {
    /// Switches the machine on and starts the program.
    pub(super) fn start(start: Start<'_>) -> std::io::Result<Self> {
        let Start {
            index,
            name,
            seed,
            world,
            host,
            stage,
            names,
            way,
            microphone,
            speaker,
            with_log,
            settings,
        } = start;
        let machine = Machine::start()?;
        let offset = world.lock().now();
        let (mut engine, mut control) = engine(FRAME_TICKS, None).map_err(std::io::Error::other)?;
        let log = with_log.then(|| {
            let mut bytes = Vec::new();
            let (sink, drain) = rtlog::by_hand(&mut bytes);
            engine.log_to(sink);
            (drain, bytes)
        });
        let ears = stage.clone();
        let written = speaker.written();
        control.observe(Box::new(move |name, voice| {
            let mut stage = ears.lock();
            let Some(from) = names.iter().position(|known| known == name) else {
                stage.violate(format!("{} hears {name}, who is not in the scenario", names[index]));
                return None;
            };
            stage.hearings.get_mut(&(from, index))?.voices.push(voice.clone());
            drop(stage);
            Some(Box::new(Ear::new(ears.clone(), from, index, written.clone())))
        }));
        let (frames, _) = broadcast::channel(FRAMES_QUEUE);
        let (commands, commanded) = mpsc::channel(COMMANDS_QUEUE);
        let (sender, events) = mpsc::channel(EVENTS_QUEUE);
        let (snapshots, snapshot) = watch::channel(Snapshot::default());
        let ended = Arc::<Mutex<Option<String>>>::default();
        let ending = ended.clone();
        let udp = SimUdp::bind(world, host, PORT)?;
        let platform = Arc::new(SimPlatform::new(world, host, Names::new()));
        let identity = Arc::new(Identity::from_seed(&seed));
        let name = DisplayName::new(name).to_string();
        let sent = frames.clone();
        machine.now(async move {
            let epoch = tokio::time::Instant::now().into_std();
            let (node, stun) = Node::start(Box::new(udp), Some(seed))?;
            let (connectivity, notices) = Connectivity::start(&node, stun, platform, settings);
            let reachable = connectivity.clone();
            let myself = Arc::new(Myself { identity, name, reach: Arc::new(move || reachable.reach()) });
            let surroundings = Surroundings {
                node,
                myself,
                frames: sent,
                epoch,
                connectivity,
                seat: SEAT_KEPT,
                waiting: Arc::default(),
            };
            let wiring =
                Wiring { commands: commanded, events: sender, snapshots, notices, known_peers: None };
            tokio::spawn(async move {
                let reason = match enter(&surroundings, way).await {
                    Ok((doors, introducer)) => {
                        let ending = Session::run(surroundings, doors, control, introducer, wiring).await;
                        match ending {
                            Ending::Left => "left".into(),
                            Ending::Removed => "removed".into(),
                        }
                    }
                    Err(error) => error.to_string(),
                };
                *ending.lock().expect("nobody panics while telling the end") = Some(reason);
            });
            std::io::Result::Ok(())
        })?;
        let mut inner = stage.lock();
        inner.roles[index].clock_offset = offset;
        inner.roles[index].speaker = speaker.heard();
        drop(inner);
        Ok(Self {
            index,
            stage: stage.clone(),
            world: world.clone(),
            offset,
            engine: Some(engine),
            log,
            microphone,
            speaker,
            frames,
            commands,
            events,
            snapshot,
            ended,
            asleep_since: None,
            woken: false,
            end_told: false,
            hung_up: false,
            machine,
        })
    }

    /// Lets the machine run until `now` of the world.
    pub(super) fn run_to(&mut self, now: Duration) {
        if !self.suspended() {
            self.machine.run_to(now.saturating_sub(self.offset));
        }
    }

    /// What happened in its session since the last time.
    pub(super) fn take_event(&mut self) -> Option<Event> {
        self.events.try_recv().ok()
    }

    /// The microphone has completed a block, or the speaker wants one.
    pub(super) fn tick(&mut self, now: Duration) {
        self.stage.lock().now = now;
        let (spoken, read) = (self.microphone.spoken(), self.microphone.read_position());
        let mut said = Vec::new();
        let clock = now.saturating_sub(self.offset);
        let Some(engine) = &mut self.engine else { return };
        engine.tick(clock, &mut self.microphone, &mut self.speaker, |frame| {
            // A frame is full when its last sample has just been read.
            said.push((frame, spoken.at(read.load(Ordering::Relaxed))));
        });
        for (frame, ended) in said {
            let length = Duration::from_micros(u64::from(frame.ticks) * 2500);
            let payload = frame.payload.as_slice();
            let mut stage = self.stage.lock();
            stage.on_said(
                self.index,
                Said {
                    sequence: frame.sequence,
                    began: ended.saturating_sub(length),
                    ended,
                    encoded: now,
                    speech: !payload.is_empty(),
                    carries_fec: has_fec(payload),
                },
            );
            drop(stage);
            // Nobody is there yet: nothing to do.
            let _ = self.frames.send(frame);
        }
    }

    /// Publishes the engine's reports, as the voice thread does.
    pub(super) fn publish(&mut self) {
        if let Some(engine) = &self.engine {
            engine.publish();
        }
        if let Some((drain, bytes)) = &mut self.log {
            drain.drain(bytes);
        }
    }

    /// The whole log, when there is one; the voice is at its end.
    pub(super) fn take_log(&mut self) -> Option<Vec<u8>> {
        // It writes its last words when it goes.
        drop(self.engine.take());
        let (mut drain, mut bytes) = self.log.take()?;
        drain.drain(&mut bytes);
        Some(bytes)
    }

    /// Gives a command.
    pub(super) fn command(&self, command: Command) {
        // A program that has ended takes none.
        let _ = self.commands.try_send(command);
    }

    /// Leaves the call; its devices stop at once.
    pub(super) fn hang_up(&mut self) {
        self.command(Command::Leave);
        self.hung_up = true;
    }

    /// Whether it has.
    pub(super) fn hung_up(&self) -> bool {
        self.hung_up
    }

    /// Why its session ended, once it has.
    pub(super) fn ended(&self) -> Option<String> {
        self.ended.lock().expect("nobody panics while telling the end").clone()
    }

    /// The same, told once.
    pub(super) fn take_end(&mut self) -> Option<String> {
        if self.end_told {
            return None;
        }
        let ended = self.ended();
        self.end_told = ended.is_some();
        ended
    }

    /// Names of the members that it hears.
    pub(super) fn connected(&self) -> Vec<String> {
        let snapshot = self.snapshot.borrow();
        let here = snapshot.members.iter().filter(|m| matches!(m.presence, Presence::Here { .. }));
        here.map(|member| member.name.clone()).collect()
    }

    /// Tasks on its machine.
    pub(super) fn tasks(&self) -> usize {
        self.machine.tasks()
    }

    /// Suspends the machine.
    pub(super) fn suspend(&mut self, now: Duration) {
        self.asleep_since.get_or_insert(now);
    }

    /// Whether it is suspended.
    pub(super) fn suspended(&self) -> bool {
        self.asleep_since.is_some()
    }

    /// Wakes the machine if it sleeps: its clocks go on where they stood.
    pub(super) fn resume(&mut self, now: Duration) {
        let Some(since) = self.asleep_since.take() else { return };
        let pause = now.saturating_sub(since);
        self.woken = true;
        self.offset += pause;
        self.microphone.pause(pause);
        self.speaker.pause(pause);
        let mut stage = self.stage.lock();
        stage.roles[self.index].clock_offset = self.offset;
        stage.roles[self.index].speaker = self.speaker.heard();
    }

    /// Whether it has just woken up, so that its devices need new alarms; told once.
    pub(super) fn take_woken(&mut self) -> bool {
        std::mem::take(&mut self.woken)
    }

    /// The sound devices' clock runs otherwise from now on.
    pub(super) fn drift(&mut self, ppm: f64) {
        self.microphone.drift(ppm);
        self.speaker.drift(ppm);
        self.stage.lock().roles[self.index].speaker = self.speaker.heard();
    }

    /// Notes all the sound it heard in the world's trace.
    pub(super) fn note_sound(&self) {
        let mut world = self.world.lock();
        let now = world.now();
        let hash = self.speaker.sound_hash();
        world.trace().note_bytes(Kind::Heard, now, &hash);
    }
}

async fn enter(
    surroundings: &Surroundings,
    way: Way,
) -> Result<(Doors, Option<Entered>), entering::EnterError> {
    match way {
        Way::Found(board) => {
            let doors = entering::found(surroundings, Admission::Open);
            let reach = surroundings.connectivity.settled_reach().await;
            let (ticket, _) = doors.mint(Terms::default(), &reach, Vec::new());
            *board.lock().expect("nobody panics at the board") = Some(ticket);
            Ok((doors, None))
        }
        Way::Enter(ticket) => {
            let (entered, doors) = entering::enter(surroundings, Key::Ticket(ticket)).await?;
            Ok((doors, Some(entered)))
        }
    }
}
