//! The whole of sound: starts both directions, and ends them.

use std::{
    fmt::{self, Display, Formatter},
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    time::Duration,
};

use super::{
    AudioCounters, AudioError, CaptureReader, DeviceSpec, PlaybackWriter,
    line::{Capture, Playback, handover},
    supervisor::Supervisor,
};

/// A device that is not open by then belongs to a hung server; the microphone may still come.
const OPEN_PATIENCE: Duration = Duration::from_secs(5);
/// Closing takes milliseconds, if it ends at all.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// Which way sound goes through a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From a microphone.
    Input,
    /// To a speaker.
    Output,
}

/// Something happened to a device. The call goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum AudioEvent {
    /// A device is in use: at the start, or again after it was lost.
    Opened {
        /// Which one.
        direction: Direction,
        /// Its name, or the spec of a simulated device.
        name: String,
        /// Its own sample rate in hertz.
        rate: u32,
        /// Its own number of channels.
        channels: usize,
        /// The buffer it granted, in frames at its rate.
        buffer_frames: u32,
        /// For simulated devices, microseconds since 1970 when its first sample was spoken
        /// (input) or leaves the speaker (output).
        started_unix_us: Option<u64>,
    },
    /// The device in use is gone. Silence takes its place until it is back.
    Lost {
        /// Which one.
        direction: Direction,
        /// Why, as far as it is known.
        reason: String,
    },
    /// The device could not be opened at the start. Silence takes its place until it can.
    Unavailable {
        /// Which one.
        direction: Direction,
        /// Why, as far as it is known.
        reason: String,
    },
}

/// Called from the supervisors' threads, never from a sound callback.
pub(crate) type EventHandler = Arc<dyn Fn(AudioEvent) + Send + Sync>;

/// Both devices, for as long as this lives. Dropping it is [`stop`](Self::stop).
pub struct AudioSystem {
    supervisors: Vec<Supervisor>,
    counters: Arc<AudioCounters>,
}

impl AudioSystem {
    /// Opens both devices and returns the engine's two ends.
    ///
    /// A microphone that exists but does not open, or is not there at all, is no error: one can
    /// still listen, `on_event` tells, and it is tried again. `on_event` is called from sound's
    /// own threads and should not wait for anything. Takes at most about five seconds.
    ///
    /// # Errors
    /// A file that cannot be used, a name that no device has, or no usable speaker.
    pub fn start(
        input: DeviceSpec,
        output: DeviceSpec,
        on_event: impl Fn(AudioEvent) + Send + Sync + 'static,
    ) -> Result<(Self, CaptureReader, PlaybackWriter), AudioError> {
        let counters: Arc<AudioCounters> = Arc::default();
        let on_event: EventHandler = Arc::new(on_event);
        let (capture_lines, capture_end) = handover();
        let (playback_lines, playback_end) = handover();
        let (input_ready, input_started) = mpsc::channel();
        let (output_ready, output_started) = mpsc::channel();
        let output_name = output.to_string();

        let mut system = Self { supervisors: Vec::with_capacity(2), counters: counters.clone() };
        system.supervisors.push(Supervisor::start::<Capture>(
            input,
            capture_lines,
            counters.clone(),
            on_event.clone(),
            input_ready,
        )?);
        system.supervisors.push(Supervisor::start::<Playback>(
            output,
            playback_lines,
            counters.clone(),
            on_event.clone(),
            output_ready,
        )?);

        match output_started.recv_timeout(OPEN_PATIENCE) {
            Ok(started) => started?,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                return Err(AudioError::Unavailable {
                    direction: Direction::Output,
                    name: output_name,
                    reason: HUNG.to_owned(),
                });
            }
        }
        match input_started.recv_timeout(OPEN_PATIENCE) {
            Ok(started) => started?,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                on_event(AudioEvent::Unavailable { direction: Direction::Input, reason: HUNG.to_owned() });
            }
        }
        let reader = CaptureReader::new(capture_end, counters.clone());
        let writer = PlaybackWriter::new(playback_end, counters);
        Ok((system, reader, writer))
    }

    /// What was counted so far; can be kept and read by anybody.
    pub fn counters(&self) -> Arc<AudioCounters> {
        self.counters.clone()
    }

    /// Closes both devices and finishes their files. The engine's ends then read nothing more and
    /// write to nobody.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for AudioSystem {
    fn drop(&mut self) {
        for supervisor in &self.supervisors {
            supervisor.signal_stop();
        }
        for supervisor in self.supervisors.drain(..) {
            supervisor.stop(CLOSE_PATIENCE);
        }
    }
}

const HUNG: &str = "the sound system does not answer";

/// As in the options `--input` and `--output`.
impl Display for Direction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Input => "input",
            Self::Output => "output",
        })
    }
}
