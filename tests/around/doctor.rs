//! What `roundtable doctor` says of networks of which we know the truth.

use super::{
    answer,
    lab::{Lab, Nat, SERVERS},
    miniupnpd::{Miniupnpd, nft},
};
use serde_json::Value;
use std::{fs, path::Path};

/// The findings of one look, from the only host of a home.
fn look(lab: &Lab, home: usize, more: &[&str]) -> (i32, Vec<Value>) {
    let stun = SERVERS.map(|ip| format!("{ip}:3478"));
    let words = [&["doctor", "--json", "--stun", &stun[0], "--stun", &stun[1]], more].concat();
    let (code, lines) = answer(lab.homes[home].host(), &words);
    (code, lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect())
}

fn of<'a>(findings: &'a [Value], check: &str) -> &'a Value {
    let found = findings.iter().find(|finding| finding["check"] == check);
    found.unwrap_or_else(|| panic!("no {check} among {findings:#?}"))
}

#[test]
fn each_network_is_called_what_it_is_and_each_server_is_tested() {
    let nats =
        [Nat::Open, Nat::PortRestricted, Nat::SymmetricRandom, Nat::SymmetricSequential, Nat::UdpBlocked];
    let dir = tempfile::tempdir().expect("a folder for temporary files");
    let lab = Lab::new("doctor", &nats).with_coturn(dir.path());
    let good = format!("turn:ada:secret@{}", SERVERS[0]);
    let bad = format!("turn:ada:wrong@{}", SERVERS[0]);
    let expected = ["none", "one port for all", "another random port", "another port for each"];
    for (home, expected) in expected.iter().enumerate() {
        let (code, findings) = look(&lab, home, &["--turn", &good]);
        assert_eq!((code, &of(&findings, "udp")["mark"]), (0, &"ok".into()), "{findings:#?}");
        let nat = of(&findings, "nat")["found"].as_str().expect("a text").to_owned();
        assert!(nat.starts_with(expected), "{nat} instead of {expected}");
        assert_eq!(of(&findings, "turn")["mark"], "ok", "{findings:#?}");
        assert_eq!(findings.iter().filter(|one| one["check"] == "stun" && one["mark"] == "ok").count(), 2);
        // There is no time server in here.
        assert_eq!(of(&findings, "clock")["mark"], "warn");
    }
    let (code, findings) = look(&lab, 4, &["--turn", &good]);
    assert_eq!((code, &of(&findings, "udp")["mark"]), (0, &"fail".into()), "{findings:#?}");
    assert_eq!(of(&findings, "turn")["mark"], "ok", "it is reached over TCP: {findings:#?}");
    assert_eq!(findings.iter().filter(|one| one["check"] == "stun" && one["mark"] == "warn").count(), 2);
    let (_, findings) = look(&lab, 1, &["--turn", &bad]);
    let turn = of(&findings, "turn");
    assert!(
        turn["mark"] == "fail" && turn["found"].as_str().is_some_and(|text| text.contains("password")),
        "{turn}"
    );
}

#[test]
fn a_router_that_sends_our_packets_back_is_told_from_one_that_does_not() {
    let dir = tempfile::tempdir().expect("a folder for temporary files");
    let lab = Lab::new("hairpin", &[Nat::PortRestricted, Nat::PortRestricted]).with_coturn(dir.path());
    let (host, outside) = ("192.168.1.14", lab.homes[1].outside());
    let rules = format!(
        "table ip hairpin {{
            chain way_in {{ type nat hook prerouting priority dstnat; iifname \"lan\" ip daddr {outside} udp dport != 53 \
         dnat to {host}; }}
            chain source {{ type nat hook postrouting priority srcnat; oifname \"lan\" ct status dnat masquerade; }}
        }}"
    );
    let router = &lab.homes[1].routers[0];
    nft(router, &rules);
    // Where the kernel filters bridged packets too, it would bridge these instead of routing them.
    let filters_bridged = Path::new("/proc/sys/net/bridge/bridge-nf-call-iptables");
    let _ = router.inside(|| fs::write(filters_bridged, "0"));
    for (home, mark) in [(0, "warn"), (1, "ok")] {
        let (_, findings) = look(&lab, home, &["--no-port-mapping"]);
        assert_eq!(of(&findings, "hairpin")["mark"], mark, "{findings:#?}");
        assert!(findings.iter().all(|one| one["check"] != "port_mapping"), "it was not to be asked for");
    }
}

#[test]
fn a_router_that_maps_ports_is_found_and_left_as_it_was() {
    let dir = tempfile::tempdir().expect("a folder for temporary files");
    let lab = Lab::new("mapped", &[Nat::PortRestricted]);
    let outside = lab.homes[0].outside();
    let router = Miniupnpd::start(&lab.homes[0], dir.path(), "enable_natpmp=yes\nenable_upnp=no");
    let (_, lines) = answer(lab.homes[0].host(), &["doctor", "--json", "--no-stun"]);
    let mapping = lines.iter().find(|line| line.contains("port_mapping")).expect("it is looked at");
    assert!(mapping.contains("\"ok\"") && mapping.contains(&format!("{outside}:")), "{mapping}");
    assert!(!router.rules().contains("dnat"), "{}", router.rules());
}

#[test]
fn a_router_that_forgets_soon_is_found_by_waiting() {
    let dir = tempfile::tempdir().expect("a folder for temporary files");
    let lab = Lab::new("life", &[Nat::PortRestricted]).with_coturn(dir.path());
    let timeout = Path::new("/proc/sys/net/netfilter/nf_conntrack_udp_timeout");
    lab.homes[0].routers[0].inside(|| fs::write(timeout, "4")).expect("each namespace has its own");
    let (_, findings) = look(&lab, 0, &["--no-port-mapping", "--lifetime", "12"]);
    let lifetime = of(&findings, "lifetime");
    let found = lifetime["found"].as_str().expect("a text");
    let is_right = ["3 s to 4 s", "4 s to 5 s"].iter().any(|expected| found.contains(expected));
    assert!(lifetime["mark"] == "warn" && is_right, "{lifetime}");
}
