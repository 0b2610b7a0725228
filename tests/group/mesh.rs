//! Everybody with everybody, whoever comes and goes.

use super::{group, join, meet, ticket};
use crate::spawn::Running;
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn after_the_founder_has_gone_the_ticket_leads_to_others_and_the_most_senior_decides() {
    let (host, _, others) = group(&["Ada", "Ben"]);
    let line = ticket(&host, "invite");
    let id = host.wait_for("ready", |_| true)["id"].clone();
    host.say("leave");
    others.iter().for_each(|other| drop(other.wait_for("left", |event| event["peer"] == id)));
    drop(host);
    let carl = join(&line, "Carl");
    others.iter().for_each(|other| meet(other, &carl));
    let [ada, ben] = &others[..] else { panic!("two joined") };
    ben.say("lock");
    ben.wait_for("error", |event| event["code"] == "not_allowed");
    ada.say("kick carl");
    assert_eq!(carl.end().code, 4);
}

#[test]
fn after_a_crash_of_the_founder_its_ticket_still_leads_to_the_others() {
    let (host, _, others) = group(&["Ada", "Ben"]);
    let line = ticket(&host, "invite");
    drop(host);
    let carl = join(&line, "Carl");
    others.iter().for_each(|other| meet(other, &carl));
    assert!(!others[0].has("left", |_| true), "the founder's seat is kept for a minute");
}

#[test]
fn eight_members_find_each_other() {
    let started = Instant::now();
    let (host, ticket, _) = Running::host(&[]);
    let others: Vec<Running> = ["A", "B", "C", "D", "E", "F", "G"].map(|name| join(&ticket, name)).into();
    for (index, other) in others.iter().enumerate() {
        meet(&host, other);
        others[..index].iter().for_each(|earlier| meet(earlier, other));
    }
    println!("a mesh of eight after {} ms", started.elapsed().as_millis());
    thread::sleep(Duration::from_secs(2));
    for member in others.iter().chain([&host]) {
        assert!(!member.has("lost", |_| true), "{:#?}", member.events());
    }
}
