//! Sound waits for nothing: not for the allocator, not for the network, not for anybody's lock.

#[path = "support/counting.rs"]
mod counting;

use counting::count;
use protocol::media::{Arrival, Frame, TICK_SAMPLES};
use roundtable::audio::{AudioSystem, DeviceSpec};
use roundtable::voice::engine::{Engine, EngineControl, Microphone, PeerPort, Speaker, engine};
use roundtable::voice::rtlog::{Decoder, LogSink, Record, by_hand};
use roundtable::voice::thread::VoiceThread;
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::broadcast;

/// A buzz with pauses: talkspurts begin and end.
struct Voice {
    position: usize,
    waiting: usize,
}

impl Microphone for Voice {
    fn available(&mut self) -> usize {
        self.waiting
    }

    fn read(&mut self, out: &mut [f32]) -> bool {
        for sample in out.iter_mut() {
            let t = self.position as f32 / 48_000.0;
            let harmonics = (1..12).map(|h| (t * 140.0 * h as f32 * std::f32::consts::TAU).sin() / h as f32);
            *sample = if t.fract() < 0.6 { 0.2 * harmonics.sum::<f32>() } else { 0.0 };
            self.position += 1;
        }
        self.waiting -= out.len();
        true
    }
}

struct Ear {
    wanted: usize,
    loudest: f32,
}

impl Speaker for Ear {
    fn wanted(&mut self) -> usize {
        self.wanted
    }

    fn write(&mut self, samples: &[f32]) {
        self.wanted = self.wanted.saturating_sub(samples.len());
        self.loudest = samples.iter().fold(self.loudest, |loudest, sample| loudest.max(sample.abs()));
    }
}

/// One engine whose own frames come back as those of its peers.
struct Call {
    engine: Engine,
    control: EngineControl,
    voice: Voice,
    ear: Ear,
    now: Duration,
    sent: Vec<Frame>,
    in_ticks: u64,
}

impl Call {
    fn new() -> Self {
        let (engine, control) = engine(4, None).expect("Opus starts");
        Self {
            engine,
            control,
            voice: Voice { position: 0, waiting: 0 },
            ear: Ear { wanted: 0, loudest: 0.0 },
            now: Duration::ZERO,
            sent: Vec::with_capacity(64),
            in_ticks: 0,
        }
    }

    /// 2.5 ms pass: one tick, whose allocations and frees are counted. Returns the frames sent.
    fn tick(&mut self) -> Vec<Frame> {
        self.now += Duration::from_micros(2500);
        self.voice.waiting += TICK_SAMPLES;
        self.ear.wanted += TICK_SAMPLES;
        let sent = &mut self.sent;
        let before = count();
        self.engine.tick(self.now, &mut self.voice, &mut self.ear, |frame| sent.push(frame));
        self.engine.publish();
        self.in_ticks += count() - before;
        self.sent.drain(..).collect()
    }
}

#[test]
fn no_tick_allocates_or_frees_whatever_happens_in_the_call() {
    whatever_happens(None);
}

/// Nobody empties the ring: the log must neither wait nor grow once it is full.
#[test]
fn no_tick_allocates_or_frees_though_all_is_logged_and_the_disk_stands_still() {
    let mut bytes = Vec::new();
    let (log, mut drain) = by_hand(&mut bytes);
    whatever_happens(Some(log));
    drain.drain(&mut bytes);
    let (mut decoder, _) = Decoder::new(&bytes).expect("a header");
    let (mut arrivals, mut pulls) = (0, 0);
    while let Some(record) = decoder.read().expect("whole records") {
        match record {
            Record::Arrival { .. } => arrivals += 1,
            Record::Pulls { count, .. } => pulls += u32::from(count),
            Record::Added { .. }
            | Record::Gone { .. }
            | Record::PathSwitch { .. }
            | Record::Stretched { .. }
            | Record::Yielded { .. }
            | Record::Count { .. }
            | Record::Gap { .. } => {}
        }
    }
    assert!(arrivals > 4_000 && pulls > 4_000, "{arrivals} arrivals and {pulls} pulls before it was full");
}

fn whatever_happens(log: Option<LogSink>) {
    let mut call = Call::new();
    if let Some(log) = log {
        call.engine.log_to(log);
    }
    let (mut peers, mut on_their_way): (Vec<PeerPort>, Vec<(Duration, u64, Frame)>) = Default::default();
    let (mut decoded, mut lost) = (0, 0);
    for n in 0..8_000_usize {
        // Everything the session ever asks of the engine, at times that fall together in many ways.
        match n % 400 {
            0 if peers.len() < 6 => peers.push(call.control.add_peer("x").expect("a decoder")),
            100 => call.control.set_muted(n % 1600 == 100),
            150 => peers.iter().for_each(|peer| call.control.set_gain(peer.key, (n % 7) as f32 / 4.0)),
            200 => call.control.set_deafened(n % 1600 == 200),
            250 => call.control.set_expected_loss((n % 31) as u8),
            300 => call.control.set_frame_ticks(if n % 800 == 300 { 8 } else { 4 }),
            350 if n % 2000 == 1550 => {
                let gone = peers.swap_remove(0);
                call.control.remove_peer(gone.key);
                let report = gone.voice.lock().expect("nobody panics with it").report.jitter;
                (decoded, lost) = (decoded + report.decoded, lost + report.lost);
            }
            _ => {}
        }
        // Each peer loses others of our frames; the rest come up to 40 ms late and out of order, some twice.
        for frame in call.tick() {
            for peer in peers.iter().filter(|peer| !(frame.sequence + peer.key.0 * 3).is_multiple_of(9)) {
                let at = call.now + Duration::from_millis(frame.sequence * 7 % 40);
                on_their_way.push((at, peer.key.0, frame));
                if (frame.sequence + peer.key.0).is_multiple_of(5) {
                    on_their_way.push((at + Duration::from_millis(3), peer.key.0, frame));
                }
            }
        }
        on_their_way.retain(|(at, key, frame)| {
            let due = *at <= call.now;
            if due && let Some(peer) = peers.iter_mut().find(|peer| peer.key.0 == *key) {
                let _ = peer.arrivals.push(Arrival { at: *at, frame: *frame });
            }
            !due
        });
    }
    assert_eq!(call.in_ticks, 0, "allocations and frees inside ticks");
    assert!(call.ear.loudest > 0.1, "voices were heard: {}", call.ear.loudest);
    assert!(decoded > 500 && lost > 20, "{decoded} frames decoded, {lost} lost");
}

#[test]
fn the_devices_ends_neither_allocate_nor_free_in_a_tick() {
    let (system, mut microphone, mut speaker) =
        AudioSystem::start(DeviceSpec::Tone { hz: 440.0 }, DeviceSpec::Null, |_| {}).expect("simulated");
    let (mut engine, _control) = engine(4, None).expect("Opus starts");
    let (mut frames, mut counted, start) = (0, 0, Instant::now());
    while start.elapsed() < Duration::from_millis(500) {
        let before = count();
        engine.tick(start.elapsed(), &mut microphone, &mut speaker, |_| frames += 1);
        counted += count() - before;
        thread::sleep(Duration::from_millis(2));
    }
    system.stop();
    assert_eq!(counted, 0);
    assert!(frames > 20, "{frames} frames of 10 ms in half a second");
}

/// The network's side stands still for a second in every way it can: its runtime is blocked, nobody takes the encoded
/// frames, the arrivals are full, and somebody sits on the lock that reports go through.
#[test]
fn a_stalled_network_does_not_stall_sound() {
    const STALL: Duration = Duration::from_secs(1);
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let path = folder.path().join("out.wav");
    let output = DeviceSpec::File { path: path.clone(), repeat: false };
    let (system, microphone, speaker) =
        AudioSystem::start(DeviceSpec::Tone { hz: 440.0 }, output, |_| {}).expect("simulated devices");
    let started = Instant::now();
    let (engine, mut control) = engine(4, None).expect("Opus starts");
    let (frames, mut heard) = broadcast::channel(8);
    let mut port = control.add_peer("x").expect("a decoder");
    let voice =
        VoiceThread::start(engine, microphone, speaker, started, frames.clone()).expect("a thread starts");
    let counters = system.counters();
    thread::sleep(Duration::from_millis(300));

    let (before, stalled) = (counters.playback.read(), Instant::now());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut first = None;
    runtime.block_on(async {
        let link = tokio::spawn(async move {
            loop {
                if let Ok(frame) = heard.recv().await {
                    return (frame, heard);
                }
            }
        });
        first = Some(link.await.expect("the link does not panic"));
        let (frame, _) = first.as_ref().expect("set above");
        let at = started.elapsed();
        while port.arrivals.push(Arrival { at, frame: *frame }).is_ok() {}
        let report = port.voice.lock().expect("nobody panics with it");
        // Nothing of the network runs from here to the end of the stall.
        thread::sleep(STALL);
        drop(report);
    });
    let (after, lasted) = (counters.playback.read(), stalled.elapsed());
    let (_, mut heard) = first.expect("the runtime ran");
    let missed = match heard.try_recv() {
        Err(broadcast::error::TryRecvError::Lagged(missed)) => missed,
        other => panic!("nobody took frames for a second, and none was dropped: {other:?}"),
    };
    drop(voice);
    let ran = started.elapsed();
    system.stop();

    // The encoder went on: 100 frames a second, of which the channel keeps the last 8.
    assert!((80..=115).contains(&missed), "{missed} frames were dropped");
    let callbacks = after.callbacks - before.callbacks;
    let due = lasted.as_millis() as u64 / 10;
    assert!(callbacks.abs_diff(due) <= 3, "{callbacks} callbacks, {due} were due");
    // A stall of sound would be a second long; the rest is for a busy machine.
    let silent_ms = (after.glitch_frames - before.glitch_frames) / 48;
    assert!(silent_ms <= 50, "{silent_ms} ms of silence for want of sound");
    let written = hound::WavReader::open(&path).expect("the file was finished").duration();
    let expected = ran.as_millis() as u32 * 48;
    assert!(written.abs_diff(expected) <= 48 * 50, "{written} samples in {ran:?}");
}
