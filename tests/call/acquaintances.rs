//! Members make sure of each other, remember each other, and write to each other.

use crate::{
    beside_others, connect,
    process::{Call, SOON, Seat},
};

/// What `verify` tells one member of another: the pair's words and the group's.
fn words(asker: &mut Call, other: &Call) -> (String, String) {
    let id = other.id();
    asker.say(&format!("verify {}", other.name));
    let told = asker.wait_for("words", |event| event["peer"] == id.as_str(), SOON);
    let text = |key: &str| told[key].as_str().expect("words are text").to_owned();
    (text("words"), text("group_words"))
}

#[test]
fn both_sides_read_the_same_words_and_all_the_same_group_phrase() {
    let _machine = beside_others();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut ann = Seat::new(dir.path(), "ann").host();
    let mut bob = Seat::new(dir.path(), "bob").join(ann.ticket());
    connect(&mut ann, &mut bob);
    let (pair, of_two) = words(&mut ann, &bob);
    assert_eq!(words(&mut bob, &ann), (pair.clone(), of_two.clone()));
    let mut carl = Seat::new(dir.path(), "carl").join(ann.ticket());
    connect(&mut ann, &mut carl);
    connect(&mut bob, &mut carl);
    let (other_pair, of_three) = words(&mut carl, &bob);
    assert_eq!(words(&mut bob, &carl), (other_pair.clone(), of_three.clone()));
    ann.forget();
    assert_eq!(words(&mut ann, &bob), (pair.clone(), of_three.clone()), "the words stay, the group grew");
    assert!(pair != other_pair && of_two != of_three && pair.split(' ').count() == 6);
}

#[test]
fn who_comes_back_is_known_and_a_new_key_under_a_known_name_is_told() {
    let _machine = beside_others();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut ann = Seat::new(dir.path(), "ann").host();
    let mut bob = Seat::new(dir.path(), "bob").join(ann.ticket());
    connect(&mut ann, &mut bob);
    let id = bob.id();
    let known = ann.wait_for("known", |event| event["peer"] == id.as_str(), SOON);
    assert!(known["first_seen"].is_null() && known["verified"] == false, "{known}");
    ann.say("verified bob");
    ann.wait_for("known", |event| event["verified"] == true, SOON);
    bob.leave();
    ann.wait_for("left", |event| event["peer"] == id.as_str(), SOON);
    ann.leave();

    let mut ann = Seat::new(dir.path(), "ann").host();
    let mut bob = Seat::new(dir.path(), "bob").join(ann.ticket());
    connect(&mut ann, &mut bob);
    let known = ann.wait_for("known", |event| event["peer"] == id.as_str(), SOON);
    assert!(known["first_seen"].is_u64() && known["verified"] == true, "{known}");
    assert!(ann.all("key_changed").is_empty());
    bob.leave();
    ann.wait_for("left", |event| event["peer"] == id.as_str(), SOON);

    std::fs::remove_dir_all(dir.path().join("bob")).expect("Bob's data directory is there");
    let mut impostor = Seat::new(dir.path(), "bob").join(ann.ticket());
    connect(&mut ann, &mut impostor);
    let new = impostor.id();
    let told = ann.wait_for("key_changed", |event| event["peer"] == new.as_str(), SOON);
    assert_eq!((told["name"].as_str(), told["known_as"].as_str()), (Some("bob"), Some(id.as_str())));
}

#[test]
fn a_damaged_file_of_known_peers_is_told_and_left_alone() {
    let _machine = beside_others();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("ann").join("known_peers");
    std::fs::create_dir(dir.path().join("ann")).expect("the test's directory is writable");
    std::fs::write(&file, "[[peer]]\nrubbish\n").expect("the test's directory is writable");
    let mut ann = Seat::new(dir.path(), "ann").host();
    let error = ann.wait_for("error", |event| event["code"] == "known_peers", SOON);
    assert!(error["message"].as_str().is_some_and(|message| message.contains("line 2")), "{error}");
    let mut bob = Seat::new(dir.path(), "bob").join(ann.ticket());
    connect(&mut ann, &mut bob);
    ann.leave();
    assert_eq!(std::fs::read_to_string(&file).expect("the file is still there"), "[[peer]]\nrubbish\n");
}

#[test]
fn a_line_of_text_arrives_everywhere_and_cannot_harm() {
    let _machine = beside_others();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut ann = Seat::new(dir.path(), "ann").host();
    let mut bob = Seat::new(dir.path(), "bob").join(ann.ticket());
    connect(&mut ann, &mut bob);
    let mut carl = Seat::new(dir.path(), "carl").join(ann.ticket());
    connect(&mut ann, &mut carl);
    connect(&mut bob, &mut carl);
    let id = bob.id();
    for (said, shown) in [
        ("say hello  \"you\" 👩\u{200d}👧 שלום", "hello \"you\" 👩\u{200d}👧 שלום"),
        ("say a\x1b[2Jb\x07\u{9b}c\u{202e}d\u{2028}ann: e", "a [2Jb cd ann: e"),
    ] {
        bob.say(said);
        for (call, me) in [(&mut ann, false), (&mut carl, false), (&mut bob, true)] {
            let heard = call.wait_for("message", |event| event["text"] == shown, SOON);
            assert_eq!((heard["peer"].as_str(), heard["name"].as_str()), (Some(id.as_str()), Some("bob")));
            assert_eq!(heard["me"], me);
        }
    }
    bob.say(&format!("say {}", "x".repeat(1001)));
    bob.wait_for("error", |event| event["code"] == "not_said", SOON);
    bob.forget();
    for _ in 0..9 {
        bob.say("say flood");
    }
    bob.wait_for("error", |event| event["code"] == "not_said", SOON);
}
