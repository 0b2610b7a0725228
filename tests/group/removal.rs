//! Putting somebody out.

use super::{code_of, group, join, meet, ticket};
use crate::spawn::Running;
use std::time::Instant;

#[test]
fn a_kicked_member_is_cut_everywhere_at_once_and_its_ticket_is_worthless() {
    let (host, old, mut others) = group(&["Ada", "Ben", "Eve"]);
    let eve = others.pop().expect("three joined");
    let id = eve.wait_for("ready", |_| true)["id"].clone();
    let kicked = Instant::now();
    host.say("kick eve");
    let ended = eve.end();
    println!("out after {} ms", kicked.elapsed().as_millis());
    assert_eq!((ended.code, code_of(&ended.events)), (4, Some("removed")), "{}", ended.complaint);
    for other in others.iter().chain([&host]) {
        other.wait_for("left", |event| event["peer"] == id && event["reason"] == "removed");
        other.wait_for("group", |event| {
            event["epoch"] == 2 && event["members"].as_array().is_some_and(|m| m.len() == 3)
        });
        assert!(!other.has("lost", |_| true), "nobody was lost");
    }
    println!("all know after {} ms", kicked.elapsed().as_millis());

    let again = Running::join(&[&old, "--name", "Eve"]);
    assert_eq!((again.code, code_of(&again.events)), (4, Some("revoked_ticket")));
    // Those who stay go on letting people in.
    let carl = join(&ticket(&others[0], "invite"), "Carl");
    meet(&host, &carl);
    meet(&others[0], &carl);
    meet(&others[1], &carl);
}

#[test]
fn a_banned_identity_stays_out_with_a_fresh_ticket_and_a_kicked_one_may_come_back() {
    let home = tempfile::tempdir().expect("a folder");
    let dir = home.path().to_str().expect("a path in UTF-8");
    let (host, _, _others) = group(&["Ada"]);
    let come = |ticket: &str| Running::start(&["join", ticket, "--name", "Eve", "--data-dir", dir]);
    let eve = come(&ticket(&host, "invite"));
    meet(&host, &eve);
    host.say("kick eve");
    assert_eq!(eve.end().code, 4);
    let eve = come(&ticket(&host, "invite"));
    meet(&host, &eve);
    host.say("ban eve");
    assert_eq!(eve.end().code, 4);
    let ended = come(&ticket(&host, "invite")).end();
    assert_eq!((ended.code, code_of(&ended.events)), (4, Some("removed")));
}

#[test]
fn who_does_not_moderate_removes_nobody_until_made_a_moderator() {
    let (host, _, others) = group(&["Ada", "Eve"]);
    let [ada, eve] = &others[..] else { panic!("two joined") };
    ada.say("kick eve");
    ada.wait_for("error", |event| event["code"] == "not_allowed");
    ada.say("lock");
    host.say("promote ada");
    ada.wait_for("group", |event| {
        let members = event["members"].as_array().expect("a list");
        members.iter().any(|member| member["me"] == true && member["role"] == "moderator")
    });
    ada.say("kick host");
    ada.say("kick eve");
    host.wait_for("group", |event| event["epoch"] == 2);
    assert!(!host.has("group", |event| event["locked"] == true));
    eve.wait_for("bye", |_| true);
    assert!(!host.has("bye", |_| true), "nobody removes the founder");
}
