//! The engine's tick: everything between the devices' rings and the network's queues.
//!
//! One tick takes what the microphone delivered and encodes it, moves frames that arrived into their
//! peers' jitter buffers, and renders as much as the speaker wants. How often it is called does not matter:
//! the rings' levels, and so the devices' clocks, say how much there is to do. Inside a tick nothing is
//! allocated, freed, locked or logged; peers are made and unmade on the other side of [`EngineControl`].

use super::encoder::VoiceEncoder;
use super::mixer::Mixer;
use super::observer::ObserverMaker;
use super::receiver::{Receiver, ReceiverReport};
use super::recorder::{Recorder, Track};
use super::rtlog::LogSink;
use anyhow::Context;
use protocol::limits::MEMBERS_MAX;
use protocol::media::{Arrival, Frame, TICK_SAMPLES};
use rtrb::{Consumer, Producer, RingBuffer};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Frames between network and engine, per peer: over a second. What does not fit is dropped.
const ARRIVALS_MAX: usize = 128;

/// Commands waiting for the next tick, which comes within a few milliseconds.
const COMMANDS_MAX: usize = 256;

/// The two devices' blocks never drift further apart than this before samples are dropped: 100 ms.
const OWN_WAITING_SAMPLES: usize = 4800;

/// Where a tick's microphone samples come from.
pub trait Microphone {
    /// Samples that can be read now (48 kHz mono).
    fn available(&mut self) -> usize;
    /// Fills `out`; false when there is not enough.
    fn read(&mut self, out: &mut [f32]) -> bool;
}

/// Where a tick's mixed voices go.
pub trait Speaker {
    /// Samples that should be rendered now (48 kHz mono).
    fn wanted(&mut self) -> usize;
    /// Takes rendered samples.
    fn write(&mut self, samples: &[f32]);
}

/// Names a peer between session and engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VoiceKey(pub u64);

/// What a tick found to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// The microphone had samples.
    pub captured: bool,
    /// The speaker wanted some.
    pub rendered: bool,
}

/// What the engine last said about one peer.
#[derive(Debug, Clone, Copy)]
pub struct PeerVoice {
    /// What came of its frames.
    pub report: ReceiverReport,
    /// Heard to speak now.
    pub talking: bool,
}

/// One peer's side of the engine.
struct VoicePeer {
    key: VoiceKey,
    /// The mixer's number for it, given when it is added.
    place: usize,
    arrivals: Consumer<Arrival>,
    receiver: Receiver,
    gain: f32,
    track: Option<Track>,
    shared: Arc<Mutex<PeerVoice>>,
}

/// What a recording takes from the engine besides each peer's voice.
struct Recording {
    own: Track,
    mix: Track,
    /// The own voice on its way from the microphone's clock to the speaker's, where it joins the mix.
    waiting: (Producer<f32>, Consumer<f32>),
}

enum Command {
    Add(Box<VoicePeer>),
    Remove(VoiceKey),
    Gain(VoiceKey, f32),
    Muted(bool),
    Deafened(bool),
    ExpectedLoss(u8),
    FrameTicks(u8),
}

/// Levels and flags that the engine shows without being asked.
#[derive(Debug, Default)]
pub struct OwnVoice {
    peak: AtomicU32,
    talking: AtomicBool,
}

impl OwnVoice {
    /// The microphone's loudest sample since the last call, 0 to 1.
    pub fn take_peak(&self) -> f32 {
        f32::from_bits(self.peak.swap(0, Ordering::Relaxed))
    }

    /// Whether the own microphone is in a talkspurt.
    pub fn talking(&self) -> bool {
        self.talking.load(Ordering::Relaxed)
    }
}

/// The engine. Owned by the voice thread, or by a simulation.
pub struct Engine {
    encoder: VoiceEncoder,
    mixer: Mixer,
    #[expect(clippy::vec_box, reason = "the box itself travels through the rings, so that no tick frees it")]
    peers: Vec<Box<VoicePeer>>,
    commands: Consumer<Command>,
    removed: Producer<Box<VoicePeer>>,
    own: Arc<OwnVoice>,
    deafened: bool,
    recording: Option<Recording>,
    log: Option<LogSink>,
    alignment: Alignment,
}

/// The other threads' handle on an engine.
pub struct EngineControl {
    commands: Producer<Command>,
    removed: Consumer<Box<VoicePeer>>,
    own: Arc<OwnVoice>,
    recorder: Option<Recorder>,
    observers: Option<ObserverMaker>,
    next_key: u64,
}

/// What the network needs to feed one peer's voice into the engine, and to read about it.
#[derive(Debug)]
pub struct PeerPort {
    /// The peer's name towards the engine.
    pub key: VoiceKey,
    /// Where frames go; when it is full, drop them.
    pub arrivals: Producer<Arrival>,
    /// What the engine says about this peer.
    pub voice: Arc<Mutex<PeerVoice>>,
}

/// An engine and its control. `frame_ticks` is the duration of the frames sent, in ticks of 2.5 ms. With a
/// recorder every voice and the mix of all is recorded.
pub fn engine(frame_ticks: u8, recorder: Option<Recorder>) -> anyhow::Result<(Engine, EngineControl)> {
    let (command_sender, commands) = RingBuffer::new(COMMANDS_MAX);
    let (removed, removed_receiver) = RingBuffer::new(COMMANDS_MAX);
    let own = Arc::new(OwnVoice::default());
    let recording = match &recorder {
        Some(recorder) => {
            let (own, mix) = (recorder.track("me")?, recorder.track("mix")?);
            Some(Recording { own, mix, waiting: RingBuffer::new(OWN_WAITING_SAMPLES) })
        }
        None => None,
    };
    let engine = Engine {
        encoder: VoiceEncoder::new(frame_ticks).context("libopus makes no encoder")?,
        mixer: Mixer::new(TICK_SAMPLES),
        peers: Vec::with_capacity(MEMBERS_MAX),
        commands,
        removed,
        own: own.clone(),
        deafened: false,
        recording,
        log: None,
        alignment: Alignment::default(),
    };
    let control = EngineControl {
        commands: command_sender,
        removed: removed_receiver,
        own,
        recorder,
        observers: None,
        next_key: 0,
    };
    Ok((engine, control))
}

/// Looks for samples that are always left over when a device's block has been taken: they wait a whole block for
/// the rest of their frame, and everything behind them is late by as much.
#[derive(Debug, Default)]
struct Alignment {
    least: usize,
    blocks: u32,
}

impl Alignment {
    /// Blocks watched before something counts as always left over.
    const BLOCKS: u32 = 16;

    /// Told what is left after each block; says what could be skipped, once in a while.
    fn excess(&mut self, left: usize) -> Option<usize> {
        self.least = if self.blocks == 0 { left } else { self.least.min(left) };
        self.blocks += 1;
        if self.blocks < Self::BLOCKS {
            return None;
        }
        self.blocks = 0;
        (self.least > 0).then_some(self.least)
    }
}

impl Engine {
    /// Logs from now on what the peers' buffers are given and asked. To be called before the first peer is added.
    pub fn log_to(&mut self, log: LogSink) {
        self.log = Some(log);
    }

    /// Does what there is to do at `now`; each frame to be sent goes to `send`.
    pub fn tick(
        &mut self,
        now: Duration,
        microphone: &mut impl Microphone,
        speaker: &mut impl Speaker,
        mut send: impl FnMut(Frame),
    ) -> Done {
        if let Some(log) = &mut self.log {
            log.tick(now);
        }
        self.obey();
        let captured = self.capture(microphone, &mut send);
        for peer in &mut self.peers {
            while let Ok(arrival) = peer.arrivals.pop() {
                if let Some(log) = &mut self.log {
                    log.arrival(peer.place, &arrival);
                }
                peer.receiver.insert(arrival.at, &arrival.frame);
            }
        }
        let mut mixed = [0.0; TICK_SAMPLES];
        let mut rendered = false;
        while speaker.wanted() >= TICK_SAMPLES {
            self.render(now, &mut mixed);
            speaker.write(&mixed);
            rendered = true;
        }
        Done { captured, rendered }
    }

    /// Publishes what [`PeerPort::voice`] shows. Call between ticks; a reader that holds a lock is not waited for.
    pub fn publish(&self) {
        for peer in &self.peers {
            if let Ok(mut shared) = peer.shared.try_lock() {
                *shared = PeerVoice { report: peer.receiver.report(), talking: peer.receiver.talking() };
            }
        }
    }

    fn obey(&mut self) {
        while let Ok(command) = self.commands.pop() {
            match command {
                Command::Add(peer) => self.add(peer),
                Command::Remove(key) => {
                    if let Some(at) = self.peers.iter().position(|peer| peer.key == key) {
                        let peer = self.peers.swap_remove(at);
                        self.mixer.remove(peer.place);
                        if let Some(log) = &mut self.log {
                            log.gone(peer.place, &peer.receiver.report().jitter);
                        }
                        self.retire(peer);
                    }
                }
                Command::Gain(key, gain) => {
                    if let Some(peer) = self.peers.iter_mut().find(|peer| peer.key == key) {
                        peer.gain = gain;
                    }
                }
                Command::Muted(muted) => self.encoder.set_muted(muted),
                Command::Deafened(deafened) => self.deafened = deafened,
                Command::ExpectedLoss(percent) => self.encoder.set_expected_loss(percent),
                Command::FrameTicks(ticks) => self.encoder.set_frame_ticks(ticks),
            }
        }
    }

    fn add(&mut self, mut peer: Box<VoicePeer>) {
        match (0..MEMBERS_MAX).find(|place| self.peers.iter().all(|other| other.place != *place)) {
            Some(place) => {
                peer.place = place;
                if let Some(log) = &mut self.log {
                    log.added(place);
                }
                self.peers.push(peer);
            }
            None => self.retire(peer),
        }
    }

    fn retire(&mut self, peer: Box<VoicePeer>) {
        if let Err(rtrb::PushError::Full(peer)) = self.removed.push(peer) {
            // Freeing here would be worse than leaking: the control side empties this ring at every command,
            // so it is only ever full when that side is gone.
            std::mem::forget(peer);
        }
    }

    fn capture(&mut self, microphone: &mut impl Microphone, send: &mut impl FnMut(Frame)) -> bool {
        let mut captured = false;
        let mut samples = [0.0; TICK_SAMPLES];
        let mut peak = 0.0f32;
        while microphone.available() >= TICK_SAMPLES && microphone.read(&mut samples) {
            captured = true;
            peak = samples.iter().fold(peak, |peak, s| peak.max(s.abs()));
            if let Some(recording) = &mut self.recording {
                let heard = if self.encoder.muted() { [0.0; TICK_SAMPLES] } else { samples };
                recording.own.write(&heard);
                for sample in heard {
                    // Full: the speaker stands still, and so does the mix.
                    let _ = recording.waiting.0.push(sample);
                }
            }
            if let Some(frame) = self.encoder.push(&samples) {
                send(frame);
            }
        }
        if captured && let Some(samples) = self.alignment.excess(self.encoder.pending()) {
            // Nobody misses a few milliseconds of a silence.
            if self.peers.is_empty() || !self.encoder.talking() {
                self.encoder.skip(samples);
            }
        }
        // Positive floats order like their bits.
        self.own.peak.fetch_max(peak.to_bits(), Ordering::Relaxed);
        self.own.talking.store(self.encoder.talking(), Ordering::Relaxed);
        captured
    }

    fn render(&mut self, now: Duration, mixed: &mut [f32; TICK_SAMPLES]) {
        let mut voice = [0.0; TICK_SAMPLES];
        self.mixer.begin(TICK_SAMPLES);
        if let Some(log) = self.log.as_mut().filter(|_| !self.peers.is_empty()) {
            log.pull(now, TICK_SAMPLES);
        }
        for peer in &mut self.peers {
            // Pulled even when nobody listens, so that the buffers keep their time.
            match &mut self.log {
                Some(log) => peer.receiver.pull_noting(now, &mut voice, |note| log.note(peer.place, note)),
                None => peer.receiver.pull(now, &mut voice),
            }
            if let Some(track) = &mut peer.track {
                track.write(&voice);
            }
            self.mixer.add(peer.place, if self.deafened { 0.0 } else { peer.gain }, &voice);
        }
        self.mixer.finish(mixed);
        if let Some(recording) = &mut self.recording {
            let own = &mut recording.waiting.1;
            let all = mixed.map(|others| others + own.pop().unwrap_or(0.0));
            recording.mix.write(&all);
        }
    }
}

impl Drop for Engine {
    /// The end of the call is everybody's end; the log has their accounts.
    fn drop(&mut self) {
        if let Some(log) = &mut self.log {
            self.peers.iter().for_each(|peer| log.gone(peer.place, &peer.receiver.report().jitter));
        }
    }
}

impl EngineControl {
    /// Has every peer that is added from now on observed.
    pub fn observe(&mut self, observers: ObserverMaker) {
        self.observers = Some(observers);
    }

    /// Adds a peer's voice. `name` is what its recording is called, if there is one.
    pub fn add_peer(&mut self, name: &str) -> anyhow::Result<PeerPort> {
        let key = VoiceKey(self.next_key);
        self.next_key += 1;
        let (arrivals, consumer) = RingBuffer::new(ARRIVALS_MAX);
        let mut receiver = Receiver::new()?;
        let voice = Arc::new(Mutex::new(PeerVoice { report: receiver.report(), talking: false }));
        if let Some(observers) = &mut self.observers {
            receiver.set_observer(observers(name, &voice));
        }
        // A full disk must not keep anybody out of the call.
        let track = self.recorder.as_ref().and_then(|recorder| {
            recorder.track(name).inspect_err(|error| tracing::warn!(%error, name, "not recorded")).ok()
        });
        let peer = VoicePeer {
            key,
            place: 0,
            track,
            arrivals: consumer,
            receiver,
            gain: 1.0,
            shared: voice.clone(),
        };
        self.command(Command::Add(Box::new(peer)));
        Ok(PeerPort { key, arrivals, voice })
    }

    /// Removes a peer's voice.
    pub fn remove_peer(&mut self, key: VoiceKey) {
        self.command(Command::Remove(key));
    }

    /// Sets a peer's linear gain.
    pub fn set_gain(&mut self, key: VoiceKey, gain: f32) {
        self.command(Command::Gain(key, gain));
    }

    /// Mutes or unmutes the microphone.
    pub fn set_muted(&mut self, muted: bool) {
        self.command(Command::Muted(muted));
    }

    /// Silences or restores everybody else.
    pub fn set_deafened(&mut self, deafened: bool) {
        self.command(Command::Deafened(deafened));
    }

    /// Tells the encoder what the worst listener loses, in percent.
    pub fn set_expected_loss(&mut self, percent: u8) {
        self.command(Command::ExpectedLoss(percent));
    }

    /// Sets the duration of the frames sent, in ticks of 2.5 ms (4 or 8).
    pub fn set_frame_ticks(&mut self, ticks: u8) {
        self.command(Command::FrameTicks(ticks));
    }

    /// The own microphone's level and state.
    pub fn own(&self) -> &OwnVoice {
        &self.own
    }

    fn command(&mut self, command: Command) {
        while self.removed.pop().is_ok() {}
        if self.commands.push(command).is_err() {
            tracing::error!("the voice engine takes no commands");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Alignment;

    #[test]
    fn only_what_is_left_over_after_every_block_is_skipped() {
        let mut alignment = Alignment::default();
        let mut skipped =
            |left: &dyn Fn(u32) -> usize| (0..Alignment::BLOCKS).find_map(|b| alignment.excess(left(b)));
        assert_eq!(skipped(&|_| 240), Some(240));
        assert_eq!(skipped(&|b| if b % 2 == 0 { 240 } else { 0 }), None);
        assert_eq!(skipped(&|b| if b % 2 == 0 { 360 } else { 120 }), Some(120));
    }
}
