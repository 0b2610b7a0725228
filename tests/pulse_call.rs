//! A call over sound devices: two processes, each with a PulseAudio daemon of its own.
#![cfg(target_os = "linux")]

#[allow(dead_code, reason = "each test crate needs another part of it")]
#[path = "support/process.rs"]
mod process;
#[allow(dead_code, reason = "each test crate needs another part of it")]
#[path = "support/pulse.rs"]
mod pulse;
#[allow(dead_code, reason = "each test crate needs another part of it")]
#[path = "support/sound.rs"]
mod sound;

use process::{Call, SOON, Seat};
use pulse::PulseServer;
use std::{
    f32::consts::TAU,
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

const ANN_HZ: f64 = 450.0;
const BOB_HZ: f64 = 700.0;

/// An idle null sink takes up to two seconds to wake, and so does what waits for a new daemon.
const DEVICE_OPENS: Duration = Duration::from_secs(10);

/// One member's room: a sound system that nobody else uses, so that no voice finds a way around the call.
struct Room {
    runtime: PathBuf,
    server: Option<PulseServer>,
}

impl Room {
    fn new(dir: &Path, name: &str) -> Self {
        let runtime = dir.join(name);
        fs::create_dir_all(&runtime).expect("the test's directory is writable");
        let server = Some(PulseServer::start(&runtime, 48_000));
        Self { runtime, server }
    }

    fn server(&self) -> &PulseServer {
        self.server.as_ref().expect("the daemon runs")
    }

    fn seat(&self, dir: &Path, name: &str) -> Seat {
        let seat = Seat::new(dir, name).input("mic").output("speaker");
        seat.environment("XDG_RUNTIME_DIR", &self.runtime).environment("HOME", &self.runtime)
    }

    fn kill_sound(&mut self) {
        self.server.take().expect("the daemon runs").kill();
    }

    fn restart_sound(&mut self) {
        self.server = Some(PulseServer::start(&self.runtime, 48_000));
    }
}

/// A steady tone at half of full scale.
fn tone(hz: f64, seconds: usize) -> Vec<f32> {
    let step = hz as f32 / sound::RATE as f32;
    (0..sound::RATE as usize * seconds).map(|n| 0.5 * (TAU * (step * n as f32).fract()).sin()).collect()
}

fn wait_for_devices(call: &mut Call) {
    for direction in ["input", "output"] {
        call.wait_for("audio", |event| event["direction"] == direction, DEVICE_OPENS);
    }
}

/// Waits until each room's speaker plays the tone that is spoken in the other room, for half a second.
#[track_caller]
fn assert_heard_in_both(ann: &Room, bob: &Room) {
    let _voices = (ann.server().speak(&tone(ANN_HZ, 30)), bob.server().speak(&tone(BOB_HZ, 30)));
    for (name, room, other, own) in [("ann", ann, BOB_HZ, ANN_HZ), ("bob", bob, ANN_HZ, BOB_HZ)] {
        let recording = room.server().listen();
        let deadline = Instant::now() + SOON;
        loop {
            thread::sleep(Duration::from_millis(600));
            let heard = recording.take();
            if heard.len() < sound::RATE as usize / 2 {
                assert!(Instant::now() < deadline, "{name}'s speaker plays nothing");
                continue;
            }
            let (other, own) = (sound::level(&heard, other), sound::level(&heard, own));
            if (0.3..0.7).contains(&other) {
                println!("{name} hears the other at {other:.3}, itself at {own:.3}");
                assert!(own < 0.02, "{name} hears itself: {own}");
                break;
            }
            assert!(Instant::now() < deadline, "{name} hears the other at {other}, itself at {own}");
        }
    }
}

#[test]
fn a_call_over_sound_devices_survives_the_death_of_the_sound_system() {
    let dir = tempfile::Builder::new().prefix("rt-rooms").tempdir().expect("a temporary directory");
    let (mut ann_room, bob_room) = (Room::new(dir.path(), "room-ann"), Room::new(dir.path(), "room-bob"));
    let mut ann = ann_room.seat(dir.path(), "ann").host();
    let mut bob = bob_room.seat(dir.path(), "bob").join(ann.ticket());
    for call in [&mut ann, &mut bob] {
        wait_for_devices(call);
    }
    bob.wait_for_peer(&ann, SOON);
    assert_heard_in_both(&ann_room, &bob_room);

    ann.forget();
    bob.forget();
    ann_room.kill_sound();
    ann.wait_for("error", |event| event["code"] == "sound_lost", DEVICE_OPENS);
    // Long enough for a call to break if anything in it waited for the sound system.
    thread::sleep(Duration::from_secs(3));
    for call in [&ann, &bob] {
        let told = [call.all("lost"), call.all("left"), call.all("bye")].concat();
        assert!(told.is_empty(), "{}'s call went on: {told:?}", call.name);
        assert!(!call.all("stats").is_empty(), "{} still measures", call.name);
    }

    ann.forget();
    ann_room.restart_sound();
    wait_for_devices(&mut ann);
    assert_heard_in_both(&ann_room, &bob_room);
}
