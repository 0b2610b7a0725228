//! What a call does with sound: devices, recording, log, and the voice thread between them.

use super::args::CallArgs;
use super::exit::{Exit, Failure};
use crate::audio::{AudioEvent, AudioSystem, CaptureReader, DeviceSpec, Direction, PlaybackWriter};
use crate::config;
use crate::session::event::Event;
use crate::voice::engine::{EngineControl, engine};
use crate::voice::recorder::Recorder;
use crate::voice::rtlog::{self, LogSink, LogWriter};
use crate::voice::thread::VoiceThread;
use std::path::Path;
use std::time::Instant;
use tokio::sync::{broadcast, mpsc};

/// Frames are 10 ms until the session knows how many listen.
const FRAME_TICKS: u8 = 4;

pub(super) type Sound = (AudioSystem, CaptureReader, PlaybackWriter);

pub(super) fn open_sound(
    args: &CallArgs,
    file: &config::ConfigFile,
    events: mpsc::Sender<Event>,
) -> Result<Sound, Failure> {
    let choose = |option: &Option<DeviceSpec>, key: &str, text: &Option<String>| match (option, text) {
        (Some(spec), _) => Ok(spec.clone()),
        (None, Some(text)) => text.parse().map_err(|error| {
            Failure::new(Exit::Files, "files", format!("`{key}` in the configuration file: {error}"), "")
        }),
        (None, None) => Ok(DeviceSpec::Default),
    };
    let input = choose(&args.input, "input", &file.input)?;
    let output = choose(&args.output, "output", &file.output)?;
    let sound = AudioSystem::start(input, output, move |event| {
        // Dropped when nobody has printed 4096 events: sound goes on.
        let _ = events.try_send(audio_event(event));
    })?;
    Ok(sound)
}

fn audio_event(event: AudioEvent) -> Event {
    let word = |direction| match direction {
        Direction::Input => "input",
        Direction::Output => "output",
    };
    match event {
        AudioEvent::Opened { direction, name, rate, channels, buffer_frames, started_unix_us } => {
            Event::Audio {
                direction: word(direction),
                device: name,
                rate,
                channels: channels as u16,
                buffer_frames,
                started_unix_us,
            }
        }
        AudioEvent::Lost { direction, reason } => Event::Error {
            code: "sound_lost",
            message: format!("the {direction} device is gone: {reason}"),
            hint: "the call goes on; it is used again when it is back".into(),
        },
        AudioEvent::Unavailable { direction: Direction::Input, reason } => Event::Error {
            code: "no_microphone",
            message: format!("no microphone: {reason}"),
            hint: "you can listen; connect one and it is used".into(),
        },
        AudioEvent::Unavailable { direction: Direction::Output, reason } => Event::Error {
            code: "no_speaker",
            message: format!("no speaker: {reason}"),
            hint: "connect one and it is used".into(),
        },
    }
}

/// The voice thread, and what must outlive it.
pub(super) struct Voice {
    pub(super) thread: VoiceThread,
    _sound: AudioSystem,
    _log: Option<LogWriter>,
}

pub(super) fn start_recorder(folder: &Path) -> Result<Recorder, Failure> {
    Recorder::start(folder).map_err(|error| {
        Failure::new(Exit::Files, "files", format!("cannot record into {}: {error}", folder.display()), "")
    })
}

pub(super) fn start_log(file: &Path) -> Result<(LogSink, LogWriter), Failure> {
    rtlog::create(file).map_err(|error| {
        Failure::new(Exit::Files, "files", format!("cannot write the log {}: {error}", file.display()), "")
    })
}

pub(super) fn start_voice(
    sound: Sound,
    recorder: Option<Recorder>,
    log: Option<(LogSink, LogWriter)>,
    epoch: Instant,
    frames: broadcast::Sender<protocol::media::Frame>,
) -> Result<(Voice, EngineControl), Failure> {
    let (sound, microphone, speaker) = sound;
    let bug = |error: &dyn std::fmt::Display| Failure::new(Exit::Bug, "voice", error.to_string(), "");
    let (mut engine, control) = engine(FRAME_TICKS, recorder).map_err(|error| bug(&error))?;
    let writer = log.map(|(sink, writer)| {
        engine.log_to(sink);
        writer
    });
    let thread =
        VoiceThread::start(engine, microphone, speaker, epoch, frames).map_err(|error| bug(&error))?;
    Ok((Voice { thread, _sound: sound, _log: writer }, control))
}
