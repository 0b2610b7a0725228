//! What happens to networks in the middle of a call.

use super::lab::{Lab, Nat};
use super::member::Member;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(12);

/// Two members, connected directly.
fn direct_call(lab: &Lab, dir: &std::path::Path) -> (Member, Member) {
    let (host, ticket) = Member::host(&lab.homes[1], dir, "Host", &[]);
    let joiner = Member::join(&lab.homes[0], dir, "Joiner", &ticket, &[]);
    for member in [&host, &joiner] {
        member.wait("path", |event| event["kind"] == "direct", SOON);
        member.wait("talking", |event| event["on"] == true, SOON);
    }
    // The relayed path is checked as well by then, and the jitter buffer has settled.
    std::thread::sleep(Duration::from_secs(4));
    (host, joiner)
}

/// What happens counts from now on; what was made up until now.
fn begin(member: &Member) -> u64 {
    let before = member.concealed();
    member.forget();
    before
}

#[test]
fn a_direct_path_that_is_cut_is_replaced_by_the_relay_and_taken_up_again() {
    let lab = Lab::new("c", &[Nat::PortRestricted, Nat::PortRestricted]);
    let dir = tempfile::tempdir().expect("a directory");
    let (host, joiner) = direct_call(&lab, dir.path());
    let before = [&host, &joiner].map(begin);
    lab.cut(&lab.homes[0], &lab.homes[1]);
    for member in [&host, &joiner] {
        member.wait("path", |event| event["kind"] == "relayed", Duration::from_secs(3));
    }
    std::thread::sleep(Duration::from_secs(3));
    let gaps = [host.concealed() - before[0], joiner.concealed() - before[1]];
    println!("cut: {gaps:?} ms made up");
    assert!(gaps.iter().all(|gap| *gap < 600), "{gaps:?} ms made up");
    for member in [&host, &joiner] {
        assert!(member.look("lost", |_| true, Duration::ZERO).is_none(), "{}", member.story());
        member.forget();
    }
    lab.restore();
    for member in [&host, &joiner] {
        member.wait("path", |event| event["kind"] == "direct", Duration::from_secs(30));
    }
}

#[test]
fn a_turn_server_that_dies_takes_nobody_on_a_direct_path_with_it() {
    let mut lab = Lab::new("t", &[Nat::PortRestricted, Nat::FullCone]);
    let dir = tempfile::tempdir().expect("a directory");
    let (host, joiner) = direct_call(&lab, dir.path());
    let before = [&host, &joiner].map(begin);
    lab.kill_server();
    std::thread::sleep(Duration::from_secs(12));
    for (member, before) in [(&host, before[0]), (&joiner, before[1])] {
        assert!(member.look("lost", |_| true, Duration::ZERO).is_none(), "{}", member.story());
        assert!(member.concealed() - before < 100, "{} ms made up", member.concealed() - before);
    }
}

#[test]
fn a_machine_that_gets_another_address_goes_on_talking() {
    let lab = Lab::new("r", &[Nat::Open, Nat::PortRestricted]);
    let dir = tempfile::tempdir().expect("a directory");
    let (host, joiner) = direct_call(&lab, dir.path());
    let before = [&host, &joiner].map(begin);
    lab.renumber(&lab.homes[0]);
    std::thread::sleep(Duration::from_secs(6));
    let gaps = [host.concealed() - before[0], joiner.concealed() - before[1]];
    println!("renumbered: {gaps:?} ms made up");
    for member in [&host, &joiner] {
        assert!(member.look("lost", |_| true, Duration::ZERO).is_none(), "{}", member.story());
    }
    assert!(gaps.iter().all(|gap| *gap < 1500), "{gaps:?} ms made up");
}

#[test]
fn relay_only_sends_nothing_to_the_other_side() {
    let lab = Lab::new("o", &[Nat::Open, Nat::Open]);
    let dir = tempfile::tempdir().expect("a directory");
    lab.count(&lab.homes[0], &lab.homes[1]);
    let (host, ticket) = Member::host(&lab.homes[1], dir.path(), "Host", &["--relay-only"]);
    let joiner = Member::join(&lab.homes[0], dir.path(), "Joiner", &ticket, &[]);
    for member in [&host, &joiner] {
        member.wait("connected", |event| event["path"] == "relayed", SOON);
    }
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(lab.counted(), 0, "packets between the two machines");
    assert!(joiner.look("path", |event| event["kind"] != "relayed", Duration::ZERO).is_none());
}

#[test]
fn where_only_web_traffic_passes_the_relay_is_reached_over_tls() {
    let lab = Lab::new("w", &[Nat::OnlyTls, Nat::PortRestricted]);
    let dir = tempfile::tempdir().expect("a directory");
    let (host, ticket) = Member::host(&lab.homes[1], dir.path(), "Host", &[]);
    let joiner = Member::join(&lab.homes[0], dir.path(), "Joiner", &ticket, &[]);
    for member in [&host, &joiner] {
        member.wait("connected", |event| event["path"] == "relayed", SOON);
        member.wait("talking", |event| event["on"] == true, SOON);
    }
    let (at, _) = joiner.wait("connected", |_| true, SOON);
    println!("over TLS: connected after {:.2} s", (at - joiner.started).as_secs_f32());
}

#[test]
fn two_closed_routers_without_a_relay_are_opened_by_a_reply_code() {
    let lab = Lab::new("y", &[Nat::Closed, Nat::Closed]);
    let dir = tempfile::tempdir().expect("a directory");
    let (mut host, ticket) = Member::host_without_relay(&lab.homes[1], dir.path(), "Host");
    let joiner = Member::join(&lab.homes[0], dir.path(), "Joiner", &ticket, &["--reply"]);
    let (_, told) = joiner.wait("reply", |_| true, Duration::from_secs(20));
    host.say(&format!("reply {}", told["code"].as_str().expect("a code")));
    let (_, connected) = joiner.wait("connected", |_| true, Duration::from_secs(30));
    assert_eq!(connected["path"], "direct");
}
