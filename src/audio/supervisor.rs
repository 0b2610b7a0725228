//! Keeps one direction supplied with a device, whatever happens to the real one.
//!
//! One thread for each direction, since a hung sound server must not take the other along. It
//! owns the device; all opening, closing and freeing happens here. Its states:
//!
//! - *simulated*: a file, a tone or silence was asked for; nothing can go wrong.
//! - *standing in*: the real device is gone or was never there; a silent simulated one keeps the
//!   engine's clock going, and the real one is tried again and again.
//! - *starting*: a stream is open, but does not call back steadily yet, which can take seconds;
//!   the silent one stands in until it does.
//! - *real*: the stream serves the engine and is watched: its fault flag, and whether callbacks
//!   still come.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed, mpsc},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    AudioCounters, AudioError, AudioEvent, DeviceSpec, Direction, EventHandler,
    counters::DeviceClock,
    hardware::{self, BUFFERS, HardwareSide, OpenStream},
    hosts::{self, FindError, Reach, Target},
    line::{Capture, ENGINE_RATE, LineEnd, Playback, Sender, Side},
    simulated::{Simulated, Sink, Source},
    wav::{WavSink, WavSource},
};

/// How often streams are looked at: a dead one is replaced within this.
const ROUND: Duration = Duration::from_millis(50);
/// No device pauses this long; the server it belongs to hangs, or lost it without a word.
const SILENT_MAX: Duration = Duration::from_secs(1);
/// A sleeping Bluetooth headset or an idle sound server takes a few seconds to bring anything.
const START_MAX: Duration = Duration::from_secs(4);
/// A playback stream asks for its two buffers at once, and only then waits for the device: from
/// the fourth callback on, the device itself is running.
const STARTED_CALLBACKS: u64 = 4;
/// Between two attempts to open the device.
const RETRY: Duration = Duration::from_millis(700);
/// How long only a sound server may bring the device back after one died.
const SERVER_GRACE: Duration = Duration::from_secs(5);
/// This many glitches inside the sound system within [`XRUN_SPAN`] are not accidents: the buffer
/// is too small for this machine.
const XRUNS_MAX: u32 = 20;
const XRUN_SPAN: Duration = Duration::from_secs(5);

/// The running supervisor of one direction.
pub(crate) struct Supervisor {
    stop: mpsc::Sender<()>,
    ended: mpsc::Receiver<()>,
    thread: JoinHandle<()>,
}

/// A direction that can be supervised: real or simulated.
pub(crate) trait SupervisedSide: HardwareSide {
    /// A simulated device as asked for, or `None` when a real one was.
    fn simulate(spec: &DeviceSpec, counters: &Arc<AudioCounters>) -> Result<Option<Stage<Self>>, AudioError>
    where
        Self: Sized;
    /// The silent device that stands in.
    fn stand_in(counters: &Arc<AudioCounters>) -> Result<Stage<Self>, AudioError>
    where
        Self: Sized;
}

/// A started simulated device and the engine's end of its line.
pub(crate) struct Stage<S: Side> {
    device: Simulated,
    end: LineEnd<S::Ring>,
    channels: usize,
}

/// A stream and the engine's end of its line, not yet handed over.
type Opened<S> = (Real, Box<LineEnd<<S as Side>::Ring>>);

enum State<S: Side> {
    Simulated { _device: Simulated },
    StandingIn(StandIn),
    Starting { stand_in: StandIn, real: Real, end: Box<LineEnd<S::Ring>> },
    Real(Real),
}

struct StandIn {
    _device: Simulated,
    next_try: Instant,
    /// After a sound server died: until when only it may bring the device back.
    server_until: Option<Instant>,
}

struct Real {
    stream: OpenStream,
    clock: Arc<DeviceClock>,
    on_server: bool,
    xruns: u32,
    xruns_since: Instant,
}

struct Worker<S: SupervisedSide> {
    target: Target,
    spec: DeviceSpec,
    lines: Sender<S::Ring>,
    counters: Arc<AudioCounters>,
    on_event: EventHandler,
    /// Index into [`BUFFERS`]: larger buffers after glitches.
    buffer_step: usize,
    /// Whether the person knows that the device is missing.
    told: bool,
}

impl Supervisor {
    /// Starts the thread. `ready` receives how the first attempt ended, once.
    pub(crate) fn start<S: SupervisedSide>(
        spec: DeviceSpec,
        lines: Sender<S::Ring>,
        counters: Arc<AudioCounters>,
        on_event: EventHandler,
        ready: mpsc::Sender<Result<(), AudioError>>,
    ) -> Result<Self, AudioError> {
        let target = match &spec {
            DeviceSpec::Named(name) => Target::Named(name.clone()),
            DeviceSpec::Default | DeviceSpec::Null | DeviceSpec::Tone { .. } | DeviceSpec::File { .. } => {
                Target::Default
            }
        };
        let (stop, stopped) = mpsc::channel();
        let (ending, ended) = mpsc::channel();
        let mut worker = Worker::<S> { target, spec, lines, counters, on_event, buffer_step: 0, told: false };
        let thread = thread::Builder::new().name(format!("sound-{}", S::DIRECTION)).spawn(move || {
            let _ending = ending;
            match worker.begin() {
                Ok(mut state) => {
                    let _ = ready.send(Ok(()));
                    while stopped.recv_timeout(ROUND) == Err(mpsc::RecvTimeoutError::Timeout) {
                        state = worker.round(state);
                    }
                }
                Err(error) => {
                    let _ = ready.send(Err(error));
                }
            }
        })?;
        Ok(Self { stop, ended, thread })
    }

    /// Tells the thread to end, and does not wait.
    pub(crate) fn signal_stop(&self) {
        let _ = self.stop.send(());
    }

    /// Ends the thread and its device, waiting for them at most `patience`: a hung sound server
    /// must not keep the program from ending.
    pub(crate) fn stop(self, patience: Duration) {
        self.signal_stop();
        if self.ended.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Disconnected) {
            // It has let go of everything and is about to return.
            let _ = self.thread.join();
        }
    }
}

impl<S: SupervisedSide> Worker<S> {
    fn begin(&mut self) -> Result<State<S>, AudioError> {
        if let Some(stage) = S::simulate(&self.spec, &self.counters)? {
            let opened = AudioEvent::Opened {
                direction: S::DIRECTION,
                name: self.spec.to_string(),
                rate: stage.end.rate,
                channels: stage.channels,
                buffer_frames: stage.end.block_frames,
                started_unix_us: Some(stage.device.started_unix_us),
            };
            self.lines.send(Box::new(stage.end), S::counters(&self.counters));
            (self.on_event)(opened);
            return Ok(State::Simulated { _device: stage.device });
        }
        // Stands in already while the first attempt lasts, which a hung server can make long.
        let stand_in = self.stand_in(Instant::now() + RETRY, None)?;
        match self.open(Reach::Any) {
            Ok((real, end)) => Ok(State::Starting { stand_in, real, end }),
            Err(FindError::Unknown(names)) => Err(AudioError::DeviceNotFound {
                direction: S::DIRECTION,
                name: self.spec.to_string(),
                available: format!("the devices are: {}", names.join(", ")),
            }),
            Err(FindError::Failed(error)) => match S::DIRECTION {
                Direction::Input => {
                    self.tell_unavailable(hosts::reason(&error));
                    Ok(State::StandingIn(stand_in))
                }
                Direction::Output => Err(AudioError::Unavailable {
                    direction: S::DIRECTION,
                    name: self.spec.to_string(),
                    reason: hosts::reason(&error),
                }),
            },
        }
    }

    fn round(&mut self, state: State<S>) -> State<S> {
        self.lines.flush();
        match state {
            State::Simulated { .. } => state,
            State::StandingIn(stand_in) => self.try_again(stand_in),
            State::Starting { stand_in, real, end } => self.await_steady_callbacks(stand_in, real, end),
            State::Real(real) => self.watch(real),
        }
    }

    fn try_again(&mut self, mut stand_in: StandIn) -> State<S> {
        let now = Instant::now();
        if now < stand_in.next_try {
            return State::StandingIn(stand_in);
        }
        let reach = match stand_in.server_until {
            Some(until) if now < until => Reach::Server,
            Some(_) | None => Reach::Any,
        };
        match self.open(reach) {
            Ok((real, end)) => State::Starting { stand_in, real, end },
            Err(_) => {
                stand_in.next_try = Instant::now() + RETRY;
                State::StandingIn(stand_in)
            }
        }
    }

    fn await_steady_callbacks(
        &mut self,
        mut stand_in: StandIn,
        real: Real,
        mut end: Box<LineEnd<S::Ring>>,
    ) -> State<S> {
        let beat = real.clock.beat();
        let late = Duration::from_nanos(beat.since_ns) > START_MAX;
        if let Some(reason) = real.stream.health.fault().or(late.then_some("it does not start")) {
            self.tell_unavailable(reason.to_owned());
            stand_in.next_try = Instant::now() + RETRY;
            return State::StandingIn(stand_in);
        }
        if beat.callbacks < STARTED_CALLBACKS {
            return State::Starting { stand_in, real, end };
        }
        let opened = AudioEvent::Opened {
            direction: S::DIRECTION,
            name: real.stream.name.clone(),
            rate: end.rate,
            channels: real.stream.channels,
            buffer_frames: end.block_frames,
            started_unix_us: None,
        };
        S::discard_stale(&mut end.ring);
        self.lines.send(end, S::counters(&self.counters));
        self.told = false;
        (self.on_event)(opened);
        State::Real(real)
    }

    fn tell_unavailable(&mut self, reason: String) {
        if !std::mem::replace(&mut self.told, true) {
            (self.on_event)(AudioEvent::Unavailable { direction: S::DIRECTION, reason });
        }
    }

    fn watch(&mut self, mut real: Real) -> State<S> {
        let silent = Duration::from_nanos(real.clock.beat().since_ns) > SILENT_MAX;
        let fault = real.stream.health.fault().or(silent.then_some("it stopped answering"));
        let xruns = real.stream.health.take_xruns();
        S::counters(&self.counters).device_xruns.fetch_add(u64::from(xruns), Relaxed);
        if real.xruns_since.elapsed() > XRUN_SPAN {
            (real.xruns, real.xruns_since) = (0, Instant::now());
        }
        real.xruns = real.xruns.saturating_add(xruns);
        let too_small = real.xruns > XRUNS_MAX && self.buffer_step + 1 < BUFFERS.len();
        let (reason, next_try) = match fault {
            Some(reason) => (reason, Instant::now() + RETRY),
            None if too_small => {
                self.buffer_step += 1;
                ("its buffer was too small for this machine", Instant::now())
            }
            None => return State::Real(real),
        };
        let server_until = real.on_server.then(|| Instant::now() + SERVER_GRACE);
        let stand_in = self.stand_in(next_try, server_until);
        self.told = true;
        (self.on_event)(AudioEvent::Lost { direction: S::DIRECTION, reason: reason.to_owned() });
        match stand_in {
            Ok(stand_in) => State::StandingIn(stand_in),
            // No thread to be had: the dead stream stays and is looked at again.
            Err(_) => State::Real(real),
        }
    }

    fn stand_in(&mut self, next_try: Instant, server_until: Option<Instant>) -> Result<StandIn, AudioError> {
        let stage = S::stand_in(&self.counters)?;
        self.lines.send(Box::new(stage.end), S::counters(&self.counters));
        Ok(StandIn { _device: stage.device, next_try, server_until })
    }

    fn open(&self, reach: Reach) -> Result<Opened<S>, FindError> {
        let device = hosts::find::<S>(&self.target, reach)?;
        let (stream, end) =
            hardware::open::<S>(&device, self.buffer_step, &self.counters).map_err(FindError::Failed)?;
        let (clock, on_server) = (end.clock.clone(), hosts::on_server(&device));
        let real = Real { stream, clock, on_server, xruns: 0, xruns_since: Instant::now() };
        Ok((real, Box::new(end)))
    }
}

impl SupervisedSide for Capture {
    fn simulate(spec: &DeviceSpec, counters: &Arc<AudioCounters>) -> Result<Option<Stage<Self>>, AudioError> {
        let source = match spec {
            DeviceSpec::Default | DeviceSpec::Named(_) => return Ok(None),
            DeviceSpec::Null => Source::Silence,
            DeviceSpec::Tone { hz } => Source::Tone { hz: *hz },
            DeviceSpec::File { path, repeat } => Source::Wav(WavSource::open(path, *repeat)?),
        };
        capture_stage(source, counters).map(Some)
    }

    fn stand_in(counters: &Arc<AudioCounters>) -> Result<Stage<Self>, AudioError> {
        capture_stage(Source::Silence, counters)
    }
}

impl SupervisedSide for Playback {
    fn simulate(spec: &DeviceSpec, counters: &Arc<AudioCounters>) -> Result<Option<Stage<Self>>, AudioError> {
        let sink = match spec {
            DeviceSpec::Default | DeviceSpec::Named(_) => return Ok(None),
            DeviceSpec::Null => Sink::Nowhere,
            DeviceSpec::Tone { .. } | DeviceSpec::File { repeat: true, .. } => {
                return Err(AudioError::NotAnOutput { spec: spec.to_string() });
            }
            DeviceSpec::File { path, repeat: false } => Sink::Wav(WavSink::create(path)?),
        };
        playback_stage(sink, counters).map(Some)
    }

    fn stand_in(counters: &Arc<AudioCounters>) -> Result<Stage<Self>, AudioError> {
        playback_stage(Sink::Nowhere, counters)
    }
}

fn capture_stage(source: Source, counters: &Arc<AudioCounters>) -> Result<Stage<Capture>, AudioError> {
    let channels = source.channels();
    let (callback, end) = Capture::line(source.rate(), channels, counters);
    Ok(Stage { device: Simulated::capture(source, callback)?, end, channels })
}

fn playback_stage(sink: Sink, counters: &Arc<AudioCounters>) -> Result<Stage<Playback>, AudioError> {
    let (callback, end) = Playback::line(ENGINE_RATE, 1, counters);
    Ok(Stage { device: Simulated::playback(sink, callback)?, end, channels: 1 })
}
