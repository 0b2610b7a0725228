//! Real sound hardware's stand-in: a PulseAudio daemon with a virtual microphone and speaker.
#![cfg(target_os = "linux")]

#[path = "support/pulse.rs"]
mod pulse;

use std::{
    f32::consts::TAU,
    path::Path,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use pulse::{PulseServer, in_own_runtime};
use roundtable::audio::{
    AudioError, AudioEvent, AudioSystem, CaptureReader, DeviceSpec, Direction, PlaybackWriter, list_devices,
};

const LIMIT: Duration = Duration::from_secs(60);

/// An engine of the simplest kind: plays a tone and keeps what it hears.
struct Engine {
    reader: CaptureReader,
    writer: PlaybackWriter,
    phase: f32,
    hz: f32,
    heard: Vec<f32>,
}

impl Engine {
    fn run(&mut self, time: Duration) -> &[f32] {
        self.heard.clear();
        let end = Instant::now() + time;
        let mut block = [0.0; 48];
        while Instant::now() < end {
            while self.reader.available() >= block.len() {
                assert!(self.reader.read(&mut block));
                self.heard.extend_from_slice(&block);
            }
            let tone: Vec<f32> = (0..self.writer.wanted())
                .map(|_| {
                    self.phase = (self.phase + self.hz / 48_000.0).fract();
                    0.5 * (TAU * self.phase).sin()
                })
                .collect();
            self.writer.write(&tone);
            thread::sleep(Duration::from_millis(2));
        }
        &self.heard
    }
}

/// The share of energy at `hz`: 1 for a pure tone of that pitch, about 0 for anything else.
fn purity(samples: &[f32], hz: f32) -> f32 {
    let (mut re, mut im, mut energy) = (0.0_f64, 0.0_f64, 1e-9_f64);
    for (n, &sample) in samples.iter().enumerate() {
        let angle = std::f64::consts::TAU * f64::from(hz) * n as f64 / 48_000.0;
        re += f64::from(sample) * angle.cos();
        im += f64::from(sample) * angle.sin();
        energy += f64::from(sample).powi(2);
    }
    (2.0 * (re * re + im * im) / (samples.len().max(1) as f64 * energy)) as f32
}

/// The share of the time in which the tone is heard; a busy machine's dropouts may cut into it.
fn share_of_tone(samples: &[f32], hz: f32) -> f32 {
    let windows = samples.chunks_exact(1200);
    let all = windows.len().max(1);
    windows.filter(|window| purity(window, hz) > 0.95).count() as f32 / all as f32
}

fn tone(hz: f32, seconds: usize) -> Vec<f32> {
    (0..48_000 * seconds).map(|n| 0.5 * (TAU * (hz * n as f32 / 48_000.0).fract()).sin()).collect()
}

fn last(samples: &[f32], seconds: f32) -> &[f32] {
    &samples[samples.len().saturating_sub((48_000.0 * seconds) as usize)..]
}

fn start() -> (AudioSystem, Engine, mpsc::Receiver<AudioEvent>) {
    let (events, happened) = mpsc::channel();
    let (system, reader, writer) =
        AudioSystem::start(DeviceSpec::Default, DeviceSpec::Default, move |event| drop(events.send(event)))
            .expect("the daemon's devices open");
    (system, Engine { reader, writer, phase: 0.0, hz: 1000.0, heard: Vec::new() }, happened)
}

#[test]
fn sound_passes_both_ways_and_returns_after_the_daemon_died() {
    in_own_runtime("sound_passes_both_ways_and_returns_after_the_daemon_died", LIMIT, |runtime| {
        let server = PulseServer::start(runtime, 48_000);
        let (system, mut engine, events) = start();
        run_until_opened(&mut engine, &events, 48_000);
        assert_sound_passes(&server, &mut engine);
        let stats = system.counters().capture.read();
        println!("capture {stats:?}");
        println!("playback {:?}", system.counters().playback.read());
        assert!((1..=480).contains(&stats.buffer_frames), "a small buffer was granted");
        assert!(engine.run(Duration::from_millis(200)).len() > 4800, "the microphone runs");

        server.kill();
        let heard = engine.run(Duration::from_secs(3)).len();
        assert!((115_000..160_000).contains(&heard), "the engine's clock went on: {heard} samples in 3 s");
        let lost: Vec<AudioEvent> = events.try_iter().collect();
        for end in [Direction::Input, Direction::Output] {
            let count = lost
                .iter()
                .filter(|e| matches!(e, AudioEvent::Lost { direction, .. } if *direction == end))
                .count();
            assert_eq!(count, 1, "{end}: {lost:?}");
        }

        let server = PulseServer::start(runtime, 44_100);
        run_until_opened(&mut engine, &events, 44_100);
        assert_sound_passes(&server, &mut engine);

        let asked = Instant::now();
        system.stop();
        assert!(asked.elapsed() < Duration::from_secs(1), "stopping took {:?}", asked.elapsed());
    });
}

#[test]
fn devices_are_listed_and_found_by_name_and_a_wrong_name_lists_them() {
    in_own_runtime("devices_are_listed_and_found_by_name_and_a_wrong_name_lists_them", LIMIT, |runtime| {
        let _server = PulseServer::start(runtime, 48_000);
        let devices = list_devices().expect("the daemon answers");
        println!("{devices:?}");
        let mic = devices.iter().find(|d| d.id == "mic").expect("the microphone is listed");
        assert_eq!((mic.direction, mic.is_default, mic.rate), (Direction::Input, true, 48_000));
        let speaker = devices.iter().find(|d| d.id == "speaker").expect("the speaker is listed");
        assert_eq!((speaker.direction, speaker.is_default, speaker.channels), (Direction::Output, true, 2));

        let named = |name: &str| DeviceSpec::Named(name.to_owned());
        let (system, _, _) =
            AudioSystem::start(named("mic"), named(&speaker.name), |_| {}).expect("they open");
        system.stop();
        let Err(AudioError::DeviceNotFound { available, .. }) =
            AudioSystem::start(DeviceSpec::Null, named("trumpet"), |_| {})
        else {
            panic!("there is no trumpet");
        };
        assert!(available.contains(&speaker.name), "{available}");
    });
}

#[test]
fn without_any_sound_system_one_can_listen_to_files_but_not_speak() {
    in_own_runtime("without_any_sound_system_one_can_listen_to_files_but_not_speak", LIMIT, |_: &Path| {
        let (events, happened) = mpsc::channel();
        let (_system, reader, writer) =
            AudioSystem::start(DeviceSpec::Default, DeviceSpec::Null, move |event| drop(events.send(event)))
                .expect("a missing microphone is no error");
        let happened: Vec<AudioEvent> = happened.try_iter().collect();
        assert!(
            happened.iter().any(|e| matches!(e, AudioEvent::Unavailable { direction: Direction::Input, .. })),
            "{happened:?}"
        );
        let mut engine = Engine { reader, writer, phase: 0.0, hz: 1000.0, heard: Vec::new() };
        assert!(engine.run(Duration::from_secs(1)).len() > 45_000, "the clock runs without a microphone");

        let error = AudioSystem::start(DeviceSpec::Null, DeviceSpec::Default, |_| {}).err();
        let error = error.expect("a missing speaker is an error").to_string();
        assert!(error.contains("--output null"), "{error}");
    });
}

/// Both devices open and nothing else happens. An idle null sink takes up to two seconds to wake.
fn run_until_opened(engine: &mut Engine, events: &mpsc::Receiver<AudioEvent>, hertz: u32) {
    let deadline = Instant::now() + Duration::from_secs(6);
    let mut opened = 0;
    while opened < 2 {
        engine.run(Duration::from_millis(100));
        for event in events.try_iter() {
            println!("{event:?}");
            assert!(matches!(event, AudioEvent::Opened { rate, .. } if rate == hertz), "{event:?}");
            opened += 1;
        }
        assert!(Instant::now() < deadline, "{opened} devices opened");
    }
}

fn assert_sound_passes(server: &PulseServer, engine: &mut Engine) {
    let _voice = server.speak(&tone(600.0, 10));
    let recording = server.listen();
    engine.run(Duration::from_millis(1000));
    let heard = share_of_tone(last(engine.run(Duration::from_millis(1500)), 0.75), 600.0);
    assert!(heard > 0.5, "the microphone's tone arrives: {heard}");
    let played = recording.take();
    let played = share_of_tone(last(&played, 0.75), 1000.0);
    assert!(played > 0.5, "the speaker's tone arrives: {played}");
}
