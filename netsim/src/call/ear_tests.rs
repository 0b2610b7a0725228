use super::Ear;
use crate::call::stage::{Said, SharedStage, Stage};
use protocol::jitter::Inserted;
use protocol::media::{Arrival, Frame, FrameBytes, FrameOrigin, MediaTime};
use roundtable::voice::observer::{Origin, Played, VoiceObserver};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

fn stage() -> SharedStage {
    let stage = Stage::share(&["ada", "ben"], false);
    let mut inner = stage.lock();
    inner.roles[0].admitted = true;
    inner.roles[1].admitted = true;
    for sequence in 0..10 {
        let ended = Duration::from_millis(10 * sequence);
        inner.on_said(
            0,
            Said { sequence, began: ended, ended, encoded: ended, speech: true, carries_fec: false },
        );
    }
    drop(inner);
    stage
}

fn arrival(sequence: u64) -> Arrival {
    let frame = Frame {
        sequence,
        time: MediaTime(4 * sequence),
        ticks: 4,
        talkspurt_start: false,
        talkspurt_end: false,
        origin: FrameOrigin::Primary,
        payload: FrameBytes::new(&[0xf0, 1]).expect("it fits"),
    };
    Arrival { at: Duration::from_millis(20 + 10 * sequence), frame }
}

fn played(sequence: u64) -> Played {
    let from = Origin::Frame { sequence, time: MediaTime(4 * sequence), low_delay: true };
    Played { from, ahead: 0, samples: 480 }
}

#[test]
fn a_voice_of_somebody_who_is_no_member_is_a_violation() {
    let stage = stage();
    let mut ear = Ear::new(stage.clone(), 0, 1, Arc::default());
    ear.on_arrival(&arrival(1), Inserted::Queued);
    assert!(stage.lock().violations.is_empty());
    stage.lock().roles[0].admitted = false;
    ear.on_arrival(&arrival(2), Inserted::Queued);
    let violations = &stage.lock().violations;
    assert!(violations[0].contains("ben hears ada, and one of them is no member"), "{violations:?}");
}

#[test]
fn playout_that_runs_backwards_is_a_violation() {
    for (sequence, written) in [(3, 960), (5, 100)] {
        let stage = stage();
        let position = Arc::new(AtomicU64::new(480));
        let mut ear = Ear::new(stage.clone(), 0, 1, position.clone());
        ear.on_played(played(3));
        ear.on_played(played(4));
        assert!(stage.lock().violations.is_empty());
        position.store(written, Ordering::Relaxed);
        ear.on_played(played(sequence));
        let violations = &stage.lock().violations;
        assert!(violations[0].contains("playout ran backwards"), "{violations:?}");
    }
}
