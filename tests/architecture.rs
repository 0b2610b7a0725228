//! Which part of the house may know which: the direction of dependencies, read off the sources.
//!
//! Plain text scanning: comments, strings and `#[cfg(test)]` items are taken out, `use` trees are spelled out
//! and what a file imported is put in place of its short name. That sees every ordinary way of naming a thing;
//! macros that assemble paths, and aliases of aliases, it does not see.

#[path = "support/paths.rs"]
mod paths;

use paths::{Source, sources};
use std::path::Path;

/// What the sources of one place may not name.
struct Rule {
    /// The module whose files are meant, with everything in it.
    place: &'static str,
    /// Paths, each with all that is below it.
    forbidden: &'static [&'static str],
    /// Exceptions within `forbidden`.
    allowed: &'static [&'static str],
    why: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        place: "protocol",
        forbidden: &[
            "std::net::UdpSocket",
            "std::net::TcpStream",
            "std::net::TcpListener",
            "std::net::ToSocketAddrs",
            "std::time::Instant",
            "std::time::SystemTime",
            "std::thread",
            "std::fs",
            "std::env",
            "std::process",
            "std::io::stdin",
            "std::io::stdout",
            "tokio",
            "quinn",
            "cpal",
            "socket2",
            "getrandom",
            "rand",
            "rand_core::OsRng",
        ],
        allowed: &[],
        why: "the core is pure: sockets, clocks, threads, files and randomness are its callers'",
    },
    Rule {
        place: "roundtable::audio",
        forbidden: &[
            "roundtable::net",
            "roundtable::session",
            "roundtable::voice",
            "roundtable::cli",
            "roundtable::tui",
        ],
        allowed: &[],
        why: "devices know nothing of calls",
    },
    Rule {
        place: "roundtable::voice",
        forbidden: &["roundtable::net", "roundtable::session", "roundtable::cli", "roundtable::tui", "quinn"],
        allowed: &[],
        why: "the voice engine is handed frames and hands out frames; who carries them it does not know",
    },
    Rule {
        place: "roundtable::net",
        forbidden: &[
            "roundtable::cli",
            "roundtable::tui",
            "roundtable::voice",
            "roundtable::audio",
            "roundtable::session",
        ],
        allowed: &[],
        why: "the network carries frames and messages without knowing what they are for",
    },
    Rule {
        place: "roundtable::session",
        forbidden: &["roundtable::cli", "roundtable::tui"],
        allowed: &[],
        why: "a session is the same under every interface",
    },
    Rule {
        place: "roundtable::tui",
        forbidden: &["roundtable", "tokio", "quinn", "cpal"],
        allowed: &[
            "roundtable::tui",
            "roundtable::session::Command",
            "roundtable::session::Event",
            "roundtable::session::Snapshot",
            "roundtable::session::command",
            "roundtable::session::event",
            "roundtable::session::snapshot",
        ],
        why: "the terminal interface knows commands, events and snapshots, and nothing else",
    },
];

/// Top modules of the application that may name any other.
const WITHOUT_RULE: &[&str] = &["cli", "config", "doctor", "relay"];

/// Crates that a manifest must not depend on, but for its tests.
const MANIFESTS: &[(&str, &[&str])] = &[
    (
        "protocol/Cargo.toml",
        &[
            "tokio",
            "mio",
            "quinn",
            "quinn-proto",
            "quinn-udp",
            "socket2",
            "cpal",
            "rtrb",
            "rand",
            "getrandom",
            "roundtable",
        ],
    ),
    ("Cargo.toml", &["netsim"]),
];

const MAIN_LINES_MAX: usize = 60;

#[test]
fn no_part_names_one_that_it_must_not_know() {
    let all = everything();
    let broken: Vec<String> = RULES.iter().flat_map(|rule| breaches(rule, &all)).collect();
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn every_top_module_is_under_a_rule_or_known_to_need_none() {
    let all = everything();
    let lib = all.iter().find(|source| source.module == "roundtable").expect("src/lib.rs");
    for module in &lib.modules {
        let place = format!("roundtable::{module}");
        let known = RULES.iter().any(|rule| rule.place == place) || WITHOUT_RULE.contains(&module.as_str());
        assert!(known, "src/{module} is new or renamed: give it a rule in tests/architecture.rs");
        assert!(all.iter().any(|source| is_within(&source.module, &place)), "src/{module} was not read");
    }
    assert!(all.iter().any(|source| source.module == "protocol::limits"), "protocol was not read");
    // What is certainly there is seen: else nothing else would be either.
    let session = all.iter().filter(|source| is_within(&source.module, "roundtable::session"));
    let named: Vec<&String> = session.flat_map(|source| &source.paths).collect();
    assert!(
        named.iter().any(|named| is_within(named, "roundtable::net")),
        "the scanner sees nothing: {named:?}"
    );
}

#[test]
fn no_manifest_brings_in_what_its_crate_must_not_have() {
    for (manifest, forbidden) in MANIFESTS {
        let text = std::fs::read_to_string(root().join(manifest)).expect("a manifest");
        let found: Vec<_> = forbidden_dependencies(&text, forbidden).into_iter().collect();
        assert!(found.is_empty(), "{manifest} depends on {found:?}");
    }
}

#[test]
fn main_stays_a_door() {
    let lines = std::fs::read_to_string(root().join("src/main.rs")).expect("src/main.rs").lines().count();
    assert!(lines <= MAIN_LINES_MAX, "src/main.rs has {lines} lines; what it does belongs into a module");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn everything() -> Vec<Source> {
    let mut all = sources(&root().join("src"), "roundtable");
    all.extend(sources(&root().join("protocol/src"), "protocol"));
    all
}

fn breaches(rule: &Rule, all: &[Source]) -> Vec<String> {
    let within = all.iter().filter(|source| is_within(&source.module, rule.place));
    within
        .flat_map(|source| {
            let named = source.paths.iter().filter(|named| is_forbidden(named, rule));
            named.map(|named| format!("{} names {named}: {}", source.file.display(), rule.why))
        })
        .collect()
}

fn is_forbidden(named: &str, rule: &Rule) -> bool {
    let forbidden = rule.forbidden.iter().any(|forbidden| {
        // Everything of a module above, as in `use std::time::*`.
        let above = named.strip_suffix("::*").is_some_and(|above| is_within(forbidden, above));
        is_within(named, forbidden) || above
    });
    forbidden && !rule.allowed.iter().any(|allowed| is_within(named, allowed))
}

/// Whether `path` is `place` or something in it.
fn is_within(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Which of `forbidden` stand in the sections `[dependencies]` and `[target.….dependencies]`.
fn forbidden_dependencies<'a>(manifest: &str, forbidden: &[&'a str]) -> Vec<&'a str> {
    let mut counts = false;
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            counts = section == "dependencies"
                || section.ends_with(".dependencies") && section != "workspace.dependencies";
            continue;
        }
        let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
        found.extend(forbidden.iter().filter(|&&forbidden| counts && forbidden == name));
    }
    found
}

#[test]
fn a_source_that_breaks_a_rule_is_found_however_it_is_written() {
    let breaking = [
        ("protocol::x", "use std::time::{Duration, Instant};"),
        ("protocol::x", "use std::{net::{IpAddr, UdpSocket as Socket}, fmt};"),
        ("protocol::x", "fn now() -> u64 { std::time::SystemTime::now() }"),
        ("protocol::x", "use std::thread; fn f() { thread::sleep(d) }"),
        ("protocol::x", "use std::time; fn f() { time::Instant::now(); }"),
        ("protocol::x", "use std::time::*;"),
        ("protocol::x", "fn f() { ::rand::random::<u8>() }"),
        ("protocol::x", "/* a /* nested */ comment */ use tokio::net as network;"),
        ("protocol::x", "#[cfg(test)] mod tests { } use std::fs::File;"),
        ("protocol::x", "#[cfg(not(test))] use std::fs::File;"),
        ("roundtable::audio::capture", "use crate::net::node::Node;"),
        ("roundtable::audio::capture", "use super::super::session;"),
        ("roundtable::voice", "use super::net::Link;"),
        ("roundtable::tui::view", "use crate::session::{Snapshot, members::Members};"),
        ("roundtable::tui::view", "use crate::net::Link;"),
        ("roundtable::session", "fn f() { crate::cli::exit::Exit::Usage }"),
    ];
    for (module, text) in breaking {
        assert!(is_broken(module, text), "not found: {text}");
    }
}

#[test]
fn a_source_that_keeps_to_the_rules_passes() {
    let keeping = [
        ("protocol::x", "use std::net::{IpAddr, SocketAddr}; use std::time::Duration;"),
        ("protocol::x", "// std::time::Instant\n/// [`std::fs`]\nconst TEXT: &str = \"std::fs::read\";"),
        (
            "protocol::x",
            "const TEXT: &str = r#\"a \" std::env::var\"#; const QUOTE: char = '\"'; const SLASH: char = '\\'';",
        ),
        ("protocol::x", "#[cfg(test)]\nmod tests { use std::time::Instant; fn f() { if a { b } } }"),
        ("protocol::x", "#[cfg(test)] #[rustfmt::skip] use std::fs::File;"),
        ("protocol::x", "fn f<'a>(random: &'a Random) { random::bytes(); rand_core::impls::fill(); }"),
        ("roundtable::audio::x", "use crate::audio::signal; use super::voice;"),
        (
            "roundtable::tui::view",
            "use crate::session::{Command, Snapshot, event::PathKind}; use super::model;",
        ),
    ];
    for (module, text) in keeping {
        assert!(!is_broken(module, text), "wrongly found: {text}");
    }
}

#[test]
fn a_forbidden_dependency_is_found_in_every_section_that_counts() {
    let manifest = "[dependencies]\nbytes = \"1\"\ntokio.workspace = true\n[dev-dependencies]\nrand = \"1\"\n\
                    [workspace.dependencies]\nquinn = \"1\"\n[target.'cfg(unix)'.dependencies]\nsocket2 = \"1\"\n";
    let found = forbidden_dependencies(manifest, &["tokio", "rand", "quinn", "socket2"]);
    assert_eq!(found, ["tokio", "socket2"]);
}

fn is_broken(module: &str, text: &str) -> bool {
    let source = Source::new(module.into(), Path::new("example.rs"), text);
    RULES.iter().any(|rule| !breaches(rule, std::slice::from_ref(&source)).is_empty())
}
