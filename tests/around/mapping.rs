//! A port mapped by the router: strangers come in by it without STUN or TURN, and it goes with the call.

use super::{
    answer,
    lab::{Lab, Nat},
    leave,
    miniupnpd::Miniupnpd,
    start,
};
use std::time::{Duration, Instant};

const SEPARATE: [&str; 1] = ["--no-stun"];

/// The joiner's NAT gives each destination another random port, so nothing but the mapping can let it in.
fn joins_by_mapping(name: &str, options: &str) {
    let lab = Lab::new(name, &[Nat::PortRestricted, Nat::SymmetricRandom]);
    let dir = tempfile::tempdir().expect("a folder for temporary files");
    let router = Miniupnpd::start(&lab.homes[0], dir.path(), options);
    assert!(!router.rules().contains("dnat"), "nothing is mapped yet: {}", router.rules());

    let host = start(lab.homes[0].host(), &[&["host", "--name", "Host"], &SEPARATE[..]].concat());
    let ready = host.wait_for("ready", |_| true);
    let ticket = ready["ticket"].as_str().expect("a host has a ticket");
    assert!(router.rules().contains("dnat"), "a port is mapped: {}", router.rules());

    let words =
        [&["join", ticket, "--name", "Joiner", "--no-port-mapping", "--no-port-search"], &SEPARATE[..]];
    let joiner = start(lab.homes[1].host(), &words.concat());
    let connected = joiner.wait_for("connected", |_| true);
    assert_eq!(connected["path"], "direct", "{connected}");
    assert_eq!(host.wait_for("connected", |_| true)["path"], "direct");

    leave(joiner);
    leave(host);
    assert!(!router.rules().contains("dnat"), "the port was given back: {}", router.rules());
}

#[test]
fn a_stranger_comes_in_by_a_port_mapped_with_pcp_and_the_mapping_goes_with_the_call() {
    joins_by_mapping("pcp", "enable_natpmp=yes\nenable_upnp=no");
}

#[test]
fn a_stranger_comes_in_by_a_port_mapped_with_upnp_and_the_mapping_goes_with_the_call() {
    joins_by_mapping("upnp", "enable_natpmp=no\nenable_upnp=yes");
}

#[test]
fn no_port_is_mapped_for_who_does_not_want_it_or_hides() {
    let dir = tempfile::tempdir().expect("a folder for temporary files");
    let lab = Lab::new("nomap", &[Nat::PortRestricted]).with_coturn(dir.path());
    let router = Miniupnpd::start(&lab.homes[0], dir.path(), "enable_natpmp=yes");
    let turn = format!("turn:ada:secret@{}", super::lab::SERVERS[0]);
    for words in [&["host", "--no-stun", "--no-port-mapping"][..], &["host", "--relay-only", "--turn", &turn]]
    {
        let host = start(lab.homes[0].host(), words);
        host.wait_for("ready", |_| true);
        std::thread::sleep(Duration::from_secs(1));
        assert!(!router.rules().contains("dnat"), "{words:?}: {}", router.rules());
        leave(host);
    }
}

#[test]
fn a_silent_router_delays_the_start_by_no_more_than_a_third_of_a_second() {
    let lab = Lab::new("silent", &[Nat::PortRestricted]);
    // Not even an error message comes back.
    let silence = "table inet silence {
        chain input {
            type filter hook input priority filter;
            iifname \"lan\" udp dport { 1900, 5351 } drop
        }
    }";
    super::miniupnpd::nft(&lab.homes[0].routers[0], silence);
    let took = |words: &[&str]| {
        let began = Instant::now();
        let host = start(lab.homes[0].host(), words);
        host.wait_for("ready", |_| true);
        let took = began.elapsed();
        leave(host);
        took
    };
    let without = took(&["host", "--no-stun", "--no-port-mapping", "--no-lan"]);
    let with = took(&["host", "--no-stun", "--no-lan"]);
    assert!(with < without + Duration::from_millis(450), "{with:?} instead of {without:?}");
}

#[test]
fn a_router_behind_another_is_not_believed_and_doctor_says_so() {
    let lab = Lab::new("double", &[Nat::Cgnat]);
    let dir = tempfile::tempdir().expect("a folder for temporary files");
    let options = "enable_natpmp=yes\nenable_upnp=yes";
    let _router = Miniupnpd::start(&lab.homes[0], dir.path(), options);
    let (_, lines) = answer(lab.homes[0].host(), &["doctor", "--json", "--no-stun"]);
    let mapping = lines.iter().find(|line| line.contains("port_mapping")).expect("it is looked at");
    assert!(mapping.contains("warn") && mapping.contains("public address"), "{mapping}");
}

#[test]
fn a_host_that_gets_another_address_has_its_port_mapped_to_it_soon() {
    let lab = Lab::new("moved", &[Nat::PortRestricted]);
    let dir = tempfile::tempdir().expect("a folder for temporary files");
    let router = Miniupnpd::start(&lab.homes[0], dir.path(), "enable_natpmp=yes\nenable_upnp=no");
    let host = start(lab.homes[0].host(), &["host", "--no-stun"]);
    host.wait_for("ready", |_| true);
    assert!(router.rules().contains("192.168.1.10"), "{}", router.rules());
    lab.homes[0].renumber_host();
    let deadline = Instant::now() + Duration::from_secs(5);
    while !router.rules().contains("192.168.1.200") {
        assert!(Instant::now() < deadline, "it is still mapped to the old address: {}", router.rules());
        std::thread::sleep(Duration::from_millis(50));
    }
    leave(host);
    assert!(!router.rules().contains("192.168.1.200"), "{}", router.rules());
}
