//! Commands typed during a call change what is heard.

use crate::{
    ANN_HZ, BOB_HZ, CARL_HZ, TONE, beside_others, connect, listen,
    process::{Call, SOON},
    seat,
    sound::{Heard, level},
};
use std::{thread, time::Duration};

/// What a command changes is heard after so long, also on a busy machine.
const TAKES_EFFECT: Duration = Duration::from_millis(700);

/// Types a command, then listens.
fn after(call: &mut Call, command: &str) -> (u64, u64) {
    call.say(command);
    thread::sleep(TAKES_EFFECT);
    listen(Duration::from_secs(1))
}

/// How loud the listener heard a tone at that time, against how loud it was spoken.
#[track_caller]
fn loudness((from, to): (u64, u64), heard: &Heard, hz: f64) -> f64 {
    level(heard.between(from, to), hz) / TONE
}

#[test]
fn muting_deafening_and_volume_change_what_is_heard() {
    let _machine = beside_others();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut ann = seat(dir.path(), "ann", ANN_HZ).host();
    let mut bob = seat(dir.path(), "bob", BOB_HZ).join(ann.ticket());
    connect(&mut ann, &mut bob);

    let me = ann.id();
    let muted = after(&mut ann, "mute");
    bob.wait_for("state", |event| event["peer"] == me.as_str() && event["muted"] == true, SOON);
    let unmuted = after(&mut ann, "unmute");
    bob.wait_for("state", |event| event["peer"] == me.as_str() && event["muted"] == false, SOON);
    let deafened = after(&mut ann, "deafen");
    bob.wait_for("state", |event| event["peer"] == me.as_str() && event["deafened"] == true, SOON);
    let undeafened = after(&mut ann, "undeafen");
    let quieter = after(&mut ann, "volume bob -12");
    let louder = after(&mut ann, "volume bob 6");
    thread::sleep(Duration::from_millis(300));

    let (by_ann, by_bob) = (ann.leave(), bob.leave());
    for (what, time, ann_heard, bob_heard) in [
        ("mute", muted, 1.0, 0.0),
        ("unmute", unmuted, 1.0, 1.0),
        ("deafen", deafened, 0.0, 0.0),
        ("undeafen", undeafened, 1.0, 1.0),
        ("volume -12", quieter, 0.25, 1.0),
        ("volume 6", louder, 2.0, 1.0),
    ] {
        let found = [loudness(time, &by_ann, BOB_HZ), loudness(time, &by_bob, ANN_HZ)];
        println!("{what}: heard by ann, by bob: {found:.2?}");
        for (found, expected) in found.into_iter().zip([ann_heard, bob_heard]) {
            let (least, most) = (expected * 0.7 - 0.001, expected * 1.4 + 0.02);
            assert!((least..most).contains(&found), "after {what}: {found:.3} instead of {expected}");
        }
    }
}

#[test]
fn undeafening_never_opens_a_microphone_that_was_muted() {
    let _machine = beside_others();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut ann = seat(dir.path(), "ann", ANN_HZ).host();
    for (words, muted) in [
        (&["deafen", "deafen", "undeafen"][..], false),
        (&["mute", "undeafen"], true),
        (&["deafen", "undeafen"], true),
        (&["unmute", "deafen", "mute", "undeafen"], true),
    ] {
        // What the last `status` told may still be on its way.
        thread::sleep(Duration::from_millis(100));
        ann.forget();
        for word in words {
            ann.say(word);
        }
        // The answer to `status` comes after everything that was asked before it.
        ann.say("status");
        ann.wait_for("group", |_| true, SOON);
        let state =
            ann.wait_for("state", |event| event["deafened"] == false && event["muted"] == muted, SOON);
        let last = ann.all("state").pop().expect("just seen");
        assert_eq!(last["muted"], muted, "after {words:?}: {state}");
    }
}

#[test]
fn wrong_commands_are_told_and_who_lists_the_group() {
    let _machine = beside_others();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut ann = seat(dir.path(), "ann", ANN_HZ).host();
    let mut bob = seat(dir.path(), "bob", BOB_HZ).join(ann.ticket());
    connect(&mut ann, &mut bob);
    bob.say("mute");
    let muted = bob.id();
    ann.wait_for("state", |event| event["peer"] == muted.as_str() && event["muted"] == true, SOON);
    ann.forget();

    ann.say("who");
    let group = ann.wait_for("group", |_| true, SOON);
    let names: Vec<_> = group["members"].as_array().expect("a list").iter().map(|m| &m["name"]).collect();
    assert_eq!(names, ["ann", "bob"], "{group}");
    ann.wait_for("state", |event| event["peer"] == muted.as_str() && event["muted"] == true, SOON);
    ann.say("volume nobody 3");
    ann.wait_for("error", |event| event["code"] == "no_such_peer", SOON);
    ann.say("dance");
    ann.wait_for("error", |event| event["code"] == "bad_command", SOON);
    ann.say("mute");
    let me = ann.id();
    ann.wait_for("state", |event| event["peer"] == me.as_str() && event["muted"] == true, SOON);
}

#[test]
fn a_members_invitation_opens_the_group_after_its_host_has_left() {
    let _machine = beside_others();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut ann = seat(dir.path(), "ann", ANN_HZ).host();
    let mut bob = seat(dir.path(), "bob", BOB_HZ).join(ann.ticket());
    connect(&mut ann, &mut bob);
    bob.say("invite");
    let invitation = bob.wait_for("ticket", |_| true, SOON);
    let host = ann.id();
    ann.leave();
    bob.wait_for("left", |event| event["peer"] == host.as_str(), SOON);

    let ticket = invitation["ticket"].as_str().expect("a line to send to friends");
    let mut carl = seat(dir.path(), "carl", CARL_HZ).join(ticket);
    connect(&mut bob, &mut carl);
    thread::sleep(TAKES_EFFECT);
    let time = listen(Duration::from_secs(1));
    thread::sleep(Duration::from_millis(300));
    let found = [loudness(time, &bob.leave(), CARL_HZ), loudness(time, &carl.leave(), BOB_HZ)];
    assert!(found.iter().all(|found| *found > 0.7), "they hear each other: {found:?}");
}

#[test]
fn a_terminating_signal_says_goodbye_to_the_others() {
    let _machine = beside_others();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut ann = seat(dir.path(), "ann", ANN_HZ).host();
    let mut bob = seat(dir.path(), "bob", BOB_HZ).join(ann.ticket());
    connect(&mut ann, &mut bob);
    let id = bob.id();
    bob.signal("TERM");
    ann.wait_for("left", |event| event["peer"] == id.as_str(), Duration::from_secs(2));
    assert!(ann.all("lost").is_empty(), "leaving is not vanishing");
    bob.end();
}
