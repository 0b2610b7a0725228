//! Moves time, and lets everybody do at each moment what is theirs to do.

use super::Options;
use super::build::build;
use super::device::{SimMicrophone, SimSpeaker};
use super::member::{Program, Start, TicketBoard, Way};
use super::quiet::Errors;
use super::stage::{SharedStage, Stage};
use super::timetable::{Actors, Places};
use super::voices::Voice;
use crate::outcome::{GroupOutcome, Happening, MemberOutcome, Outcome};
use crate::scenario::{AccessConfig, Entry, FaultKind, Loaded, MemberConfig, Scenario, Talk};
use crate::world::{Alarm, Kind, STUN_PORT, SharedWorld};
use protocol::identity::Identity;
use protocol::invite::TicketSecret;
use protocol::turn::{Transport, TurnServer};
use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use roundtable::net::connectivity::Settings;
use roundtable::session::event::{Event, PathKind};
use std::collections::BTreeMap;
use std::time::Duration;

/// The grain of tokio's timers.
const MILLISECOND: Duration = Duration::from_millis(1);
/// What is under way when a run ends may still arrive, and be heard.
const EPILOGUE: Duration = Duration::from_secs(1);
/// After everybody has left: QUIC drains connections for three probe timeouts.
const FAREWELL: Duration = Duration::from_secs(4);
/// A connection that somebody began with a goodbye is forgotten only after QUIC's idle timeout.
const LAST_FAREWELL: Duration = Duration::from_secs(66);
/// How often the NetEQ model is asked for sound.
const TICK: Duration = Duration::from_millis(10);
const TICKS_PER_SAMPLE: u64 = 10;
/// Tasks of a program in a call: its own, and those of each other member's connection, dial and handshake.
const TASKS_MAX: usize = 24;
const TASKS_MAX_PER_MEMBER: usize = 16;
/// Packets and alarms under way; seconds of everybody's voice in a bloated queue are far below.
const EVENTS_MAX: usize = 200_000;

/// Who an alarm is for when it is for no member.
const DIRECTOR: u32 = u32::MAX;

/// What a member's alarm is for.
const BOOT: u32 = 0;
const CAPTURE: u32 = 1;
const RENDER: u32 = 2;
const LEAVE: u32 = 3;
/// What the director's are for: the next tick, or the begin and end of a fault.
const NEXT_TICK: u32 = 0;
const FIRST_FAULT: u32 = 1;

/// One run.
pub(super) struct Conductor<'a> {
    loaded: &'a Loaded,
    scenario: &'a Scenario,
    seed: u64,
    options: Options,
    errors: Errors,
    world: SharedWorld,
    places: Places,
    stage: SharedStage,
    names: Vec<String>,
    identities: Vec<[u8; 32]>,
    peers: BTreeMap<String, usize>,
    programs: Vec<Option<Program>>,
    random: ChaCha8Rng,
    board: TicketBoard,
    alarms: Vec<Alarm>,
    ticks: u64,
    connected: BTreeMap<(usize, usize), Duration>,
    times_lost: Vec<u64>,
    groups: Vec<Option<GroupOutcome>>,
    timeline: Vec<Happening>,
}

impl<'a> Conductor<'a> {
    pub(super) fn new(loaded: &'a Loaded, seed: u64, options: &Options, errors: Errors) -> Self {
        let scenario = &loaded.scenario;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (world, places) = Places::new(build(scenario, random.next_u64()));
        let names: Vec<String> = scenario.members.iter().map(|member| member.name.clone()).collect();
        let stage = Stage::share(&names.iter().map(String::as_str).collect::<Vec<_>>(), options.sound);
        let identities: Vec<[u8; 32]> = names.iter().map(|_| random.random()).collect();
        let id = |seed: &[u8; 32]| Identity::from_seed(seed).peer_id().to_string();
        let peers = identities.iter().map(id).zip(0..).collect();
        let times_lost = vec![0; names.len()];
        let groups = vec![None; names.len()];
        Self {
            loaded,
            scenario,
            seed,
            options: *options,
            errors,
            world: SharedWorld::new(world),
            places,
            stage,
            programs: names.iter().map(|_| None).collect(),
            names,
            identities,
            peers,
            random,
            board: TicketBoard::default(),
            alarms: Vec::new(),
            ticks: 0,
            connected: BTreeMap::new(),
            times_lost,
            groups,
            timeline: Vec::new(),
        }
    }

    /// Plays it all, and tells what came of it.
    pub(super) fn perform(mut self) -> Outcome {
        self.set_the_scene();
        let end = Duration::from_secs_f64(self.scenario.duration_s);
        self.play_until(end);
        let connected_at_end = self.connected_at_end();
        for program in self.programs.iter_mut().flatten() {
            program.publish();
        }
        let mut stage = self.stage.lock();
        stage.counting = false;
        stage.hearings.values_mut().for_each(super::hearing::Hearing::freeze);
        drop(stage);
        self.play_until(end + EPILOGUE);
        for program in self.programs.iter_mut().flatten() {
            program.publish();
            program.note_sound();
        }
        let mut outcome = self.account(connected_at_end, end);
        for (member, program) in outcome.members.iter_mut().zip(&mut self.programs) {
            member.said = program.as_mut().and_then(|program| program.microphone.take_said());
        }
        for program in self.programs.iter_mut().flatten() {
            program.hang_up();
        }
        let left = end + EPILOGUE + FAREWELL;
        self.play_until(left);
        if self.programs.iter().flatten().any(|program| program.tasks() > 0) {
            self.play_until(left + LAST_FAREWELL);
        }
        self.close(outcome)
    }

    fn set_the_scene(&mut self) {
        let mut world = self.world.lock();
        for (index, member) in (0..).zip(&self.scenario.members) {
            world.set_alarm(seconds(member.join_at_s), Alarm { owner: index, what: BOOT });
            if let Some(leave) = member.leave_at_s {
                world.set_alarm(seconds(leave), Alarm { owner: index, what: LEAVE });
            }
        }
        for (number, fault) in (0..).zip(&self.scenario.faults) {
            let what = FIRST_FAULT + 2 * number;
            world.set_alarm(seconds(fault.at_s), Alarm { owner: DIRECTOR, what });
            if let Some(lasts) = fault.for_s {
                world.set_alarm(seconds(fault.at_s + lasts), Alarm { owner: DIRECTOR, what: what + 1 });
            }
        }
        world.set_alarm(TICK, Alarm { owner: DIRECTOR, what: NEXT_TICK });
    }

    fn play_until(&mut self, end: Duration) {
        let mut now = self.world.lock().now();
        while now < end {
            let next_ms = MILLISECOND * (now.as_micros() / 1000 + 1) as u32;
            let due = self.world.lock().next_due();
            now = due.map_or(next_ms, |due| due.clamp(now, next_ms));
            self.moment(now, now == next_ms);
        }
    }

    /// Everything that happens at `now`. At full milliseconds everybody's timers are looked at as well.
    fn moment(&mut self, now: Duration, timers: bool) {
        let mut first = true;
        loop {
            let mut alarms = std::mem::take(&mut self.alarms);
            self.world.lock().advance(now, &mut alarms);
            let mut busy: Vec<bool> = self.programs.iter().map(|_| timers && first).collect();
            first = false;
            for alarm in alarms.drain(..) {
                self.on_alarm(now, alarm, &mut busy);
            }
            self.alarms = alarms;
            let woken = self.world.lock().take_woken();
            for (index, program) in self.programs.iter_mut().enumerate() {
                if (busy[index] || woken.contains(&self.places.hosts[index].0))
                    && let Some(program) = program
                {
                    program.run_to(now);
                }
            }
            self.hear_events(now);
            if self.world.lock().next_due().is_none_or(|due| due > now) {
                return;
            }
        }
    }

    fn on_alarm(&mut self, now: Duration, alarm: Alarm, busy: &mut [bool]) {
        if alarm.owner == DIRECTOR {
            if alarm.what == NEXT_TICK {
                self.on_tick(now);
                busy.fill(true);
            } else {
                self.on_fault(now, alarm.what - FIRST_FAULT);
                busy.fill(true);
            }
            return;
        }
        let index = alarm.owner as usize;
        busy[index] = true;
        match alarm.what {
            BOOT => self.boot(now, index),
            LEAVE => {
                if let Some(program) = &mut self.programs[index] {
                    program.hang_up();
                }
                self.leave_the_seat(index);
            }
            _ => self.on_device(now, alarm),
        }
    }

    fn on_device(&mut self, now: Duration, alarm: Alarm) {
        let Some(program) = &mut self.programs[alarm.owner as usize] else { return };
        // A suspended machine's devices begin again when it wakes; who has hung up listens no more.
        if program.suspended() || program.hung_up() {
            return;
        }
        // An alarm from before a sleep: the devices were paused, and have others now.
        let due = if alarm.what == CAPTURE { program.microphone.next() } else { program.speaker.next() };
        if due > now {
            // Later by a trifle only when the clock has just changed its rate.
            if due - now < MILLISECOND {
                self.world.lock().set_alarm(due, alarm);
            }
            return;
        }
        let next = if alarm.what == CAPTURE {
            program.microphone.complete();
            program.microphone.next()
        } else {
            program.speaker.ask();
            program.speaker.next()
        };
        program.tick(now);
        self.world.lock().set_alarm(next, alarm);
    }

    fn boot(&mut self, now: Duration, index: usize) {
        let member = &self.scenario.members[index];
        let (microphone, speaker) = self.devices(now, member);
        let way = if index == 0 {
            Way::Found(self.board.clone())
        } else {
            let ticket = self.board.lock().expect("nobody panics at the board").clone();
            let Some(mut ticket) = ticket else {
                self.say(now, &member.name, "there is no group yet to be joined".into());
                return;
            };
            if member.entry == Entry::ForgedTicket {
                ticket.secret = TicketSecret::from_bytes(self.random.random());
            }
            Way::Enter(Box::new(ticket))
        };
        self.stage.lock().roles[index].admitted = member.entry == Entry::Invited;
        let (first_capture, first_render) = (microphone.next(), speaker.next());
        let start = Start {
            index,
            name: &member.name,
            seed: self.identities[index],
            world: &self.world,
            host: self.places.hosts[index].0,
            stage: &self.stage,
            names: self.names.clone(),
            way,
            microphone,
            speaker,
            with_log: self.options.rtlog,
            settings: self.settings(member),
        };
        let mut program = Program::start(start).expect("a simulated machine always starts");
        // The founder's ticket is there before the next one asks for it.
        program.run_to(now);
        self.programs[index] = Some(program);
        let mut world = self.world.lock();
        let owner = index as u32;
        world.set_alarm(first_capture, Alarm { owner, what: CAPTURE });
        world.set_alarm(first_render, Alarm { owner, what: RENDER });
        drop(world);
        self.say(now, &member.name, "starts".into());
    }

    /// What a member's program uses to find paths.
    fn settings(&self, member: &MemberConfig) -> Settings {
        let world = self.world.lock();
        let address = |name: &String| {
            let host = self.places.servers[name];
            let addresses = world.addresses(host);
            addresses.iter().find(|ip| ip.is_ipv4()).or(addresses.first()).copied().expect("a server has one")
        };
        let turn = |name: &String| {
            let config = self.scenario.servers.iter().find(|server| server.name == *name);
            let users = &config.expect("names are checked when a scenario is loaded").turn.users;
            let (username, password) = users.first_key_value().expect("users are checked when it is loaded");
            TurnServer {
                username: username.clone(),
                password: password.clone(),
                host: address(name).to_string(),
                port: STUN_PORT,
                transport: Transport::Udp,
            }
        };
        Settings {
            stun: member.stun.iter().map(|name| (address(name).to_string(), STUN_PORT)).collect(),
            turn: member.turn.iter().map(turn).collect(),
            relay_only: member.relay_only,
            ..Settings::default()
        }
    }

    /// The devices begin within their first two blocks, the speaker not earlier than its first rendering can be.
    fn devices(&mut self, now: Duration, member: &MemberConfig) -> (SimMicrophone, SimSpeaker) {
        let block = Duration::from_secs_f64(member.block_ms / 1e3);
        let frames = (member.block_ms * 48.0).round() as u64;
        let mut later = || now + MILLISECOND * 5 + block.mul_f64(self.random.random());
        let (spoken, heard) = (later(), later());
        let file = match &member.talk {
            Talk::File(path) => self.loaded.recordings.get(path),
            Talk::Speech | Talk::Conversation | Talk::Steady | Talk::Silence => None,
        };
        let voice = Voice::new(&member.talk, file, self.random.next_u64());
        let mut microphone = SimMicrophone::new(spoken, member.clock_ppm, frames, voice);
        if self.options.sound {
            microphone.keep();
        }
        (microphone, SimSpeaker::new(heard, member.clock_ppm, frames))
    }

    fn on_tick(&mut self, now: Duration) {
        self.ticks += 1;
        let sampling = self.ticks.is_multiple_of(TICKS_PER_SAMPLE);
        if sampling {
            for program in self.programs.iter_mut().flatten() {
                program.publish();
            }
            self.check_bounds();
        }
        let mut stage = self.stage.lock();
        stage.now = now;
        for hearing in stage.hearings.values_mut() {
            hearing.on_tick(now);
            if sampling {
                hearing.sample(now);
            }
        }
        drop(stage);
        self.world.lock().set_alarm(now + TICK, Alarm { owner: DIRECTOR, what: NEXT_TICK });
    }

    /// Every queue and table has a bound.
    fn check_bounds(&mut self) {
        let mut world = self.world.lock();
        let mut found = world.overgrown();
        let waiting = world.events_waiting();
        drop(world);
        if waiting > EVENTS_MAX {
            found.push(format!("{waiting} events wait"));
        }
        if super::quiet::take_panics() > 0 {
            found.push("a task of a program panicked".into());
        }
        let tasks_max = TASKS_MAX + TASKS_MAX_PER_MEMBER * self.names.len();
        for (name, program) in self.names.iter().zip(&self.programs) {
            if let Some(tasks) = program.as_ref().map(Program::tasks).filter(|tasks| *tasks > tasks_max) {
                found.push(format!("{name} has {tasks} tasks"));
            }
        }
        let mut stage = self.stage.lock();
        for breach in found
            .into_iter()
            .chain(self.errors.take().into_iter().map(|e| format!("an ERROR was logged: {e}")))
        {
            stage.violate(breach);
        }
    }

    fn on_fault(&mut self, now: Duration, what: u32) {
        let fault = &self.scenario.faults[(what / 2) as usize];
        let usual: Vec<AccessConfig> =
            self.scenario.members.iter().map(|member| member.access.clone()).collect();
        let mut actors = Actors {
            world: &self.world,
            built: &self.places,
            names: &self.names,
            programs: &mut self.programs,
        };
        let words = if what.is_multiple_of(2) {
            Some(actors.begin(now, fault))
        } else {
            let ended = actors.end(now, fault, &usual);
            self.restart_devices(now);
            ended
        };
        if let FaultKind::Kill { member } | FaultKind::Suspend { member } = &fault.kind
            && let Some(index) = self.names.iter().position(|name| name == member)
        {
            self.leave_the_seat(index);
        }
        if let Some(words) = words {
            self.say(now, "", words);
        }
    }

    /// Nobody sits there to listen.
    fn leave_the_seat(&self, index: usize) {
        let mut stage = self.stage.lock();
        let deaf = stage.hearings.iter_mut().filter(|((_, to), _)| *to == index);
        deaf.for_each(|(_, hearing)| hearing.listening = false);
    }

    /// Devices of a machine that has just woken up have no alarm.
    fn restart_devices(&mut self, now: Duration) {
        let mut world = self.world.lock();
        for (owner, program) in (0..).zip(&mut self.programs) {
            let Some(program) = program else { continue };
            if program.take_woken() {
                world.set_alarm(program.microphone.next().max(now), Alarm { owner, what: CAPTURE });
                world.set_alarm(program.speaker.next().max(now), Alarm { owner, what: RENDER });
            }
        }
    }

    fn hear_events(&mut self, now: Duration) {
        for index in 0..self.programs.len() {
            while let Some(event) = self.programs[index].as_mut().and_then(Program::take_event) {
                self.on_event(now, index, &event);
            }
            if let Some(reason) = self.programs[index].as_mut().and_then(Program::take_end) {
                self.say_of(now, index, format!("is out: {reason}"));
                self.leave_the_seat(index);
            }
        }
    }

    fn on_event(&mut self, now: Duration, index: usize, event: &Event) {
        // A ticket is as random as the system makes it.
        if !matches!(event, Event::Ticket { .. } | Event::Ready { .. }) {
            let line = event.to_json(now.as_secs_f64());
            self.world.lock().trace().note_bytes(Kind::Event, now, line.as_bytes());
        }
        match event {
            Event::Connected { peer, path, ms, .. } => {
                let Some(&from) = self.peers.get(peer) else { return };
                self.connected.entry((from, index)).or_insert(now);
                let words = format!("hears {} ({}, {ms} ms)", self.names[from], path_word(*path));
                self.with_hearing(from, index, |hearing| {
                    hearing.path = path_word(*path);
                    hearing.connected_at.get_or_insert(now);
                });
                self.say_of(now, index, words);
            }
            Event::Path { peer, kind, reason } => {
                let Some(&from) = self.peers.get(peer) else { return };
                self.with_hearing(from, index, |hearing| hearing.path = path_word(*kind));
                let words = format!("reaches {}: {} ({reason})", self.names[from], path_word(*kind));
                self.say_of(now, index, words);
            }
            Event::Lost { peer, reason } => {
                let Some(&from) = self.peers.get(peer) else { return };
                self.times_lost[index] += 1;
                self.with_hearing(from, index, |hearing| hearing.listening = false);
                let words = format!("has lost {}: {reason}", self.names[from]);
                self.say_of(now, index, words);
            }
            Event::Left { peer, .. } => {
                let Some(&from) = self.peers.get(peer) else { return };
                self.with_hearing(from, index, |hearing| hearing.listening = false);
                let words = format!("sees {} leave", self.names[from]);
                self.say_of(now, index, words);
            }
            Event::Group { members, locked, epoch, .. } => {
                let mut members: Vec<String> = members.iter().map(|member| member.name.clone()).collect();
                members.sort();
                self.groups[index] = Some(GroupOutcome { members, locked: *locked, epoch: *epoch });
            }
            Event::Error { message, .. } => self.say_of(now, index, message.clone()),
            Event::Ready { .. }
            | Event::Found { .. }
            | Event::Audio { .. }
            | Event::Talking { .. }
            | Event::State { .. }
            | Event::Ticket { .. }
            | Event::Knock { .. }
            | Event::Waiting
            | Event::Revoked { .. }
            | Event::Known { .. }
            | Event::KeyChanged { .. }
            | Event::Words { .. }
            | Event::Message { .. }
            | Event::Reply { .. }
            | Event::Opened { .. }
            | Event::Stats(_)
            | Event::Bye { .. } => {}
        }
    }

    fn with_hearing(&self, from: usize, to: usize, change: impl FnOnce(&mut super::hearing::Hearing)) {
        if let Some(hearing) = self.stage.lock().hearings.get_mut(&(from, to)) {
            change(hearing);
        }
    }

    fn say_of(&mut self, now: Duration, index: usize, what: String) {
        let who = self.names[index].clone();
        self.say(now, &who, what);
    }

    fn say(&mut self, now: Duration, who: &str, what: String) {
        self.timeline.push(Happening { t: now.as_secs_f64(), who: who.into(), what });
    }

    /// Members that hear all others who are in the call.
    fn connected_at_end(&self) -> u32 {
        let present = |index: usize| {
            self.programs[index].as_ref().is_some_and(|program| program.ended().is_none())
                && self.scenario.members[index].entry == Entry::Invited
        };
        let all: Vec<usize> = (0..self.names.len()).filter(|index| present(*index)).collect();
        let hears_all = |index: &&usize| {
            let hears = self.programs[**index].as_ref().map(Program::connected).unwrap_or_default();
            all.iter().all(|other| other == *index || hears.contains(&self.names[*other]))
        };
        all.iter().filter(hears_all).count() as u32
    }

    fn account(&mut self, connected_at_end: u32, end: Duration) -> Outcome {
        let join = |index: usize| seconds(self.scenario.members[index].join_at_s);
        let connect_ms = |from: usize, to: usize| {
            let at = self.connected.get(&(from, to))?;
            Some(at.saturating_sub(join(from).max(join(to))).as_secs_f64() * 1e3)
        };
        let mut stage = self.stage.lock();
        let hearings = std::mem::take(&mut stage.hearings);
        drop(stage);
        let directions = hearings
            .into_iter()
            .filter(|(_, hearing)| hearing.connected_at.is_some())
            .map(|((from, to), hearing)| {
                hearing.finish(&self.names[from], &self.names[to], connect_ms(from, to), end)
            })
            .collect();
        let world = self.world.lock();
        let member = |index: usize| {
            // Everybody who was there when it came, and stayed for as long as a handshake takes.
            let earlier = (0..self.names.len()).filter(|other| {
                let member = &self.scenario.members[*other];
                *other != index
                    && join(*other) <= join(index)
                    && member.leave_at_s.is_none_or(|leave| seconds(leave) > join(index))
                    && member.entry == Entry::Invited
            });
            let times: Option<Vec<f64>> = earlier.map(|other| connect_ms(other, index)).collect();
            let (bytes_up, bytes_down) = world.traffic(self.places.hosts[index].0);
            MemberOutcome {
                name: self.names[index].clone(),
                connect_ms: times.map(|times| times.into_iter().fold(0.0, f64::max)),
                times_lost: self.times_lost[index],
                group: self.groups[index].clone(),
                ended: self.programs[index].as_ref().and_then(Program::ended),
                bytes_up,
                bytes_down,
                rtlog: None,
                said: None,
            }
        };
        Outcome {
            scenario: self.loaded.name.clone(),
            description: self.scenario.description.clone(),
            seed: self.seed,
            simulated_s: end.as_secs_f64(),
            trace: String::new(),
            directions,
            members: (0..self.names.len()).map(member).collect(),
            connected_at_end,
            timeline: std::mem::take(&mut self.timeline),
            dropped: world.dropped().iter().map(|(reason, count)| ((*reason).to_string(), *count)).collect(),
            violations: Vec::new(),
            unmet: Vec::new(),
        }
    }

    /// Everybody has left: nothing may be left over.
    fn close(mut self, mut outcome: Outcome) -> Outcome {
        self.check_bounds();
        for (name, program) in self.names.iter().zip(&self.programs) {
            let Some(program) = program.as_ref().filter(|program| !program.suspended()) else { continue };
            match (program.ended(), program.tasks()) {
                (None, _) => self.stage.lock().violate(format!("{name} did not leave")),
                (Some(_), 0) => {}
                (Some(_), tasks) => {
                    self.stage
                        .lock()
                        .violate(format!("{name} has left, and {tasks} tasks of it have not ended"));
                }
            }
        }
        for (member, program) in outcome.members.iter_mut().zip(&mut self.programs) {
            member.rtlog = program.as_mut().and_then(Program::take_log);
        }
        outcome.violations = std::mem::take(&mut self.stage.lock().violations);
        outcome.trace = self.world.lock().trace().hex();
        outcome
    }
}

fn seconds(s: f64) -> Duration {
    Duration::from_secs_f64(s.max(0.0))
}

fn path_word(kind: PathKind) -> &'static str {
    match kind {
        PathKind::Direct => "direct",
        PathKind::Relayed => "relayed",
        PathKind::Lan => "lan",
    }
}
