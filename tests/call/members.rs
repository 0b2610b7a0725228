//! Members coming, leaving, vanishing and coming back, as the others hear it.

use crate::{
    ANN_HZ, BOB_HZ, CARL_HZ, TONE, beside_others, connect, listen,
    process::{SOON, Seat},
    seat,
    sound::{RATE, level, longest_gap_ms, now_us, write_wav},
};
use std::{f64::consts::TAU, path::Path, thread, time::Duration};

const SECOND: u64 = 1_000_000;

/// Two of these at once would be far beyond full scale.
const LOUD: f64 = 0.8;

/// A member that speaks a tone close to full scale.
fn loud_seat(dir: &Path, name: &str, hz: f64) -> Seat {
    let path = dir.join(format!("{name}.loud.wav"));
    let sample = |n: u32| (LOUD * (TAU * hz * f64::from(n) / f64::from(RATE)).sin()) as f32;
    // A whole second of a whole number of hertz repeats without a seam.
    write_wav(&path, &(0..RATE).map(sample).collect::<Vec<_>>(), RATE);
    Seat::new(dir, name).input(format!("file:{}?loop", path.display()))
}

#[test]
fn each_of_three_hears_both_others_at_once_without_clipping() {
    let _machine = beside_others();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut ann = loud_seat(dir.path(), "ann", ANN_HZ).host();
    let mut bob = loud_seat(dir.path(), "bob", BOB_HZ).join(ann.ticket());
    connect(&mut ann, &mut bob);
    // Carl knows the way to Ann alone, and meets Bob all the same.
    let mut carl = loud_seat(dir.path(), "carl", CARL_HZ).join(ann.ticket());
    connect(&mut ann, &mut carl);
    connect(&mut bob, &mut carl);
    thread::sleep(Duration::from_millis(500));
    let (from, to) = listen(Duration::from_secs(3));
    thread::sleep(Duration::from_millis(300));

    let heard = [ann.leave(), bob.leave(), carl.leave()];
    let tones = [ANN_HZ, BOB_HZ, CARL_HZ];
    for (listener, heard) in heard.iter().enumerate() {
        assert!(heard.peak() < 0.99, "listener {listener} hears clipping: {}", heard.peak());
        for (speaker, hz) in tones.iter().enumerate() {
            let level = level(heard.between(from, to), *hz);
            println!("{listener} hears {speaker} at {level:.3}");
            if listener == speaker {
                assert!(level < 0.05, "nobody hears itself");
            } else {
                assert!(level > 0.3, "listener {listener} hears speaker {speaker} at {level:.3}");
            }
        }
    }
}

#[test]
fn when_the_host_leaves_the_others_go_on_hearing_each_other_without_a_gap() {
    let _machine = beside_others();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut ann = seat(dir.path(), "ann", ANN_HZ).host();
    let mut bob = seat(dir.path(), "bob", BOB_HZ).join(ann.ticket());
    connect(&mut ann, &mut bob);
    let mut carl = seat(dir.path(), "carl", CARL_HZ).join(ann.ticket());
    connect(&mut bob, &mut carl);
    connect(&mut ann, &mut carl);
    let id = ann.id();
    let (from, _) = listen(Duration::from_secs(2));
    let left = now_us();
    ann.leave();
    for other in [&mut bob, &mut carl] {
        other.wait_for("left", |event| event["peer"] == id.as_str(), SOON);
    }
    let (_, to) = listen(Duration::from_secs(3));
    thread::sleep(Duration::from_millis(300));

    for call in [&bob, &carl] {
        assert!(call.all("lost").is_empty(), "{} lost nobody: {:?}", call.name, call.all("lost"));
    }
    for (name, heard, other) in [("bob", bob.leave(), CARL_HZ), ("carl", carl.leave(), BOB_HZ)] {
        // The first half second is not judged: the two have only just met.
        let together = heard.between(from + SECOND / 2, to);
        let (level, gap) = (level(together, other), longest_gap_ms(together, other));
        println!("{name} hears the other at {level:.3}, longest gap {gap} ms");
        assert!(level > TONE / 2.0, "{name} hears the other: {level}");
        assert!(gap <= 40, "{name} missed {gap} ms of the other");
        let ann = crate::sound::level(heard.between(left + SECOND, to), ANN_HZ);
        assert!(ann < TONE / 20.0, "{name} hears nothing more of who left: {ann}");
    }
}

#[test]
fn a_frozen_member_is_lost_within_two_seconds_and_comes_back_by_itself() {
    let _machine = beside_others();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut ann = seat(dir.path(), "ann", ANN_HZ).host();
    let mut bob = seat(dir.path(), "bob", BOB_HZ).join(ann.ticket());
    connect(&mut ann, &mut bob);
    thread::sleep(Duration::from_secs(1));
    ann.forget();
    bob.forget();

    bob.signal("STOP");
    let id = bob.id();
    ann.wait_for("lost", |event| event["peer"] == id.as_str(), Duration::from_secs(2));
    let (from, to) = listen(Duration::from_secs(5));
    ann.forget();
    bob.signal("CONT");
    ann.wait_for_peer(&bob, Duration::from_secs(3));
    thread::sleep(Duration::from_secs(1));
    let (back, now) = listen(Duration::from_secs(2));
    thread::sleep(Duration::from_millis(300));

    let (ann_heard, bob_heard) = (ann.leave(), bob.leave());
    let silent = level(ann_heard.between(from, to), BOB_HZ);
    assert!(silent < TONE / 20.0, "who is frozen is not heard: {silent}");
    let again = [level(ann_heard.between(back, now), BOB_HZ), level(bob_heard.between(back, now), ANN_HZ)];
    println!("heard again at {again:?}");
    assert!(again.iter().all(|level| *level > TONE / 2.0), "both are heard again: {again:?}");
}

#[test]
fn a_killed_member_is_heard_again_from_a_new_process_with_the_same_ticket() {
    let _machine = beside_others();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut ann = seat(dir.path(), "ann", ANN_HZ).host();
    let mut bob = seat(dir.path(), "bob", BOB_HZ).join(ann.ticket());
    connect(&mut ann, &mut bob);
    thread::sleep(Duration::from_millis(500));
    let id = bob.id();
    ann.forget();
    bob.kill();
    ann.wait_for("lost", |event| event["peer"] == id.as_str(), Duration::from_secs(2));

    let mut bob = seat(dir.path(), "bob", CARL_HZ).recording("bob-again").join(ann.ticket());
    bob.wait_for("ready", |event| event["id"] == id.as_str(), SOON);
    ann.wait_for_peer(&bob, SOON);
    bob.wait_for_peer(&ann, SOON);
    thread::sleep(Duration::from_secs(1));
    let (back, now) = listen(Duration::from_secs(2));
    thread::sleep(Duration::from_millis(300));

    assert!(ann.all("left").is_empty(), "who comes back in time keeps its seat");
    let (ann_heard, bob_heard) = (ann.leave(), bob.leave());
    let again = [level(ann_heard.between(back, now), CARL_HZ), level(bob_heard.between(back, now), ANN_HZ)];
    println!("heard again at {again:?}");
    assert!(again.iter().all(|level| *level > TONE / 2.0), "both are heard again: {again:?}");
}
