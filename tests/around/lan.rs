//! Hosts on one network find each other by multicast DNS.

use super::{
    answer,
    lab::{Lab, Nat},
    leave, start,
};
use serde_json::Value;
use std::time::{Duration, Instant};

#[test]
fn hosts_are_listed_with_what_it_takes_and_joined_by_name_and_password() {
    let lab = Lab::with_hosts("lan", &[(Nat::PortRestricted, 2)]);
    let [there, here] = &lab.homes[0].hosts[..] else { panic!("two hosts were asked for") };
    let quiet = ["--no-stun", "--no-port-mapping"];
    let open = start(there, &[&["host", "--name", "Ada", "--psk", "three plain words"], &quiet[..]].concat());
    let closed = start(there, &[&["host", "--name", "\u{1b}[2JEve"], &quiet[..]].concat());
    let hidden = start(there, &[&["host", "--name", "Mallory", "--no-lan"], &quiet[..]].concat());
    let port = |call: &super::spawn::Running| {
        let listen = call.wait_for("ready", |_| true)["listen"].as_str().expect("it listens").to_owned();
        listen.rsplit_once(':').expect("with a port").1.to_owned()
    };
    let (ada, eve) = (port(&open), port(&closed));
    port(&hidden);
    // An announcement is preceded by three questions whether somebody else has the name (RFC 6762, section 8.1).
    std::thread::sleep(Duration::from_millis(1200));

    let began = Instant::now();
    let (code, lines) = answer(here, &["join", "--json"]);
    let took = began.elapsed();
    let events: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let found: Vec<_> = events.iter().filter(|event| event["event"] == "found").collect();
    assert_eq!((code, found.len(), events.len()), (0, 2, 3), "{lines:#?}");
    assert_eq!(
        (&found[1]["name"], &found[1]["takes_password"]),
        (&"[2JEve".into(), &false.into()),
        "{lines:#?}"
    );
    assert_eq!(found[0]["addresses"], serde_json::json!([format!("192.168.1.10:{ada}")]));
    assert_eq!(found[1]["addresses"], serde_json::json!([format!("192.168.1.10:{eve}")]));
    assert!(took < Duration::from_millis(2500), "{took:?}");
    let said = lines.join("\n");
    let ticket = open.wait_for("ready", |_| true)["ticket"].as_str().expect("it has one").to_owned();
    assert!(!said.contains("Mallory") && !said.contains("plain") && !said.contains(&ticket[..12]), "{said}");

    let (_, lines) = answer(here, &["join"]);
    assert!(
        lines.iter().any(|line| line.contains("Ada") && line.ends_with("roundtable join Ada --psk")),
        "{lines:#?}"
    );

    let joiner = start(here, &[&["join", "ada", "--psk", "three plain words"], &quiet[..]].concat());
    assert_eq!(joiner.wait_for("connected", |_| true)["path"], "lan");
    leave(joiner);
    leave(open);
    leave(closed);
    let (code, lines) = answer(here, &["join", "--json"]);
    assert_eq!(code, 3, "those who left are not listed: {lines:#?}");
    leave(hidden);
}
