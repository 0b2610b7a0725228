//! What `--rtlog` leaves behind: enough to replay the call, and nothing that tells whose it was.

use crate::{
    ANN_HZ, BOB_HZ, beside_others, connect,
    lossy::LossyPath,
    process::{Call, SOON},
    seat,
};
use netsim::replay::{WhatIf, read, replay};
use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// A name as no other bytes are likely to be.
const ANN: &str = "Annabella";
const BOB: &str = "Bartholomew";
const WORDS: &str = "fifteen quiet llamas";

/// Both log, and the path between them loses packets.
fn call(dir: &Path) -> (Call, Call, LossyPath) {
    let ann = seat(dir, ANN, ANN_HZ).password(WORDS).rtlog(&dir.join("ann.rtlog"));
    let mut ann = ann.host();
    let path = LossyPath::start(ann.port(), 0.05, 3);
    let bob = seat(dir, BOB, BOB_HZ).password(WORDS).rtlog(&dir.join("bob.rtlog"));
    let mut bob = bob.join(&path.address().to_string());
    connect(&mut ann, &mut bob);
    (ann, bob, path)
}

#[test]
fn a_logged_call_replays_as_it_was_and_its_log_names_nobody() {
    let _machine = beside_others();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut ann, bob, path) = call(dir.path());
    let (ids, address) = ([ann.id(), bob.id()], path.address().to_string());
    let talked = Instant::now();
    thread::sleep(Duration::from_secs(4));
    bob.leave();
    ann.wait_for("left", |_| true, SOON);
    let talked = talked.elapsed();
    ann.leave();
    for name in ["ann", "bob"] {
        let bytes = fs::read(dir.path().join(format!("{name}.rtlog"))).expect("the log is there");
        for secret in [ANN, BOB, WORDS, &address, &ids[0], &ids[1], "127.0.0.1"] {
            let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "`{secret}` is in {name}'s log");
        }
        let log = read(&bytes).unwrap_or_else(|error| panic!("{name}'s log: {error}"));
        let replayed = replay(&log, &WhatIf::default());
        let minute = bytes.len() as f64 * 60.0 / talked.as_secs_f64();
        println!("{name}: {} bytes, {minute:.0} a minute\n{replayed}", bytes.len());
        assert_eq!((replayed.missing_records, replayed.cut_at), (0, None));
        let [peer] = &replayed.peers[..] else { panic!("one peer was there: {replayed}") };
        assert_eq!(peer.same_as_live, Some(true), "{replayed}");
        assert!(peer.summary.arrived > 200 && peer.summary.lost > 3, "{replayed}");
    }
}

#[test]
fn a_crash_costs_the_log_a_second_at_most() {
    let _machine = beside_others();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (ann, bob, _path) = call(dir.path());
    thread::sleep(Duration::from_secs(3));
    bob.kill();
    ann.kill();
    let log =
        read(&fs::read(dir.path().join("bob.rtlog")).expect("the log is there")).expect("it is readable");
    let replayed = replay(&log, &WhatIf::default());
    let [peer] = &replayed.peers[..] else { panic!("one peer was there: {replayed}") };
    assert_eq!(peer.same_as_live, None, "nobody could write down how it ended");
    assert!(peer.to_s - peer.from_s > 2.0, "{replayed}");
}
