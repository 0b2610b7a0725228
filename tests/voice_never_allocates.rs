//! Receiving and mixing run on a thread that must not wait for the allocator.

#[path = "support/counting.rs"]
mod counting;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[path = "support/counting_c.rs"]
mod counting_c;

use counting::count;
use opus::{Application, Channels, Encoder};
use protocol::media::{Arrival, Frame, FrameBytes, FrameOrigin, MediaTime};
use roundtable::voice::rtlog::create;
use roundtable::voice::{Mixer, Receiver};
use std::time::Duration;

fn frames(application: Application) -> Vec<Frame> {
    let mut encoder = Encoder::new(48_000, Channels::Mono, application).expect("an encoder");
    let mut packet = [0; 400];
    (0..400)
        .map(|n| {
            let voice: Vec<f32> =
                (0..960).map(|k| 0.3 * ((n * 960 + k) as f32 / 48_000.0 * 880.0).sin()).collect();
            let len = encoder.encode_float(&voice, &mut packet).expect("it encodes");
            Frame {
                sequence: n,
                time: MediaTime(n * 8),
                ticks: 8,
                talkspurt_start: n % 100 == 0,
                talkspurt_end: n % 100 == 99,
                origin: FrameOrigin::Primary,
                payload: FrameBytes::new(&packet[..len]).expect("it fits"),
            }
        })
        .collect()
}

#[test]
fn receiving_and_mixing_never_allocate() {
    receive(Application::Voip, false);
    receive(Application::LowDelay, false);
}

#[test]
fn receiving_never_allocates_while_it_is_logged() {
    receive(Application::Voip, true);
}

fn receive(application: Application, logged: bool) {
    let frames = frames(application);
    let dir = tempfile::tempdir().expect("a folder for temporary files");
    let mut log = logged.then(|| create(&dir.path().join("call.rtlog")).expect("a file in a new folder"));
    let mut receiver = Receiver::new().expect("a decoder");
    let mut mixer = Mixer::new(480);
    let mut sound = [0.0; 480];
    let before = count();
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    let before_in_c = counting_c::count();
    let mut next = 0;
    for pull in 0..1_000_u64 {
        let now = Duration::from_millis(pull * 10);
        // In bursts of five and later evenly, with losses: every operation has its turn.
        while (pull % 10 == 0 || pull > 350) && next < frames.len() && next as u64 * 2 <= pull {
            if !matches!(next % 13, 5 | 6) {
                if let Some((log, _)) = &mut log {
                    log.arrival(3, &Arrival { at: now, frame: frames[next] });
                }
                receiver.insert(now, &frames[next]);
            }
            next += 1;
        }
        match &mut log {
            Some((log, _)) => {
                log.pull(now, sound.len());
                receiver.pull_noting(now, &mut sound, |note| log.note(3, note));
            }
            None => receiver.pull(now, &mut sound),
        }
        mixer.begin(480);
        mixer.add(3, 0.8, &sound);
        mixer.finish(&mut sound);
    }
    let report = receiver.report();
    let allocations = count() - before;
    assert_eq!(allocations, 0);
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    assert_eq!(counting_c::count() - before_in_c, 0, "libopus allocated");
    assert!(report.jitter.decoded > 300 && report.jitter.lost > 20, "{report:?}");
    assert!(report.jitter.accelerated + report.jitter.expanded > Duration::ZERO, "{report:?}");
}

#[test]
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn what_libopus_allocates_is_counted() {
    let (before, before_in_c) = (count(), counting_c::count());
    let decoder = roundtable::voice::decoder::Decoder::new().expect("a decoder");
    assert_eq!((count() - before, counting_c::count() - before_in_c), (0, 1));
    drop(decoder);
}
