//! What the command line says, word for word.

#[path = "support/spawn.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod spawn;

use std::io::{Read, Write};
use std::net::UdpSocket;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

/// Runs the program in `home` with these lines on stdin; what it said, with `home` as `[HOME]` and ports as `[PORT]`.
fn said(home: &Path, words: &[&str], input: &str) -> String {
    let mut command = spawn::program(home);
    command.args(words).env("XDG_RUNTIME_DIR", home).env("ALSA_CONFIG_PATH", "/dev/null");
    for other in ["COLUMNS", "PULSE_RUNTIME_PATH", "PULSE_SERVER"] {
        command.env_remove(other);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    // A program that has already complained does not read.
    let _ = child.stdin.take().expect("stdin is piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it writes UTF-8");
    let out = without_what_differs(&text(output.stdout));
    let complaint = text(output.stderr);
    let code = output.status.code().expect("no signal ended it");
    let shown = ["roundtable"]
        .iter()
        .chain(words)
        .copied()
        .collect::<Vec<_>>()
        .join(" ")
        .replace(&*home.to_string_lossy(), "[HOME]");
    let all = format!("$ {shown}\n{out}{complaint}[exit code {code}]\n");
    all.replace(&*home.to_string_lossy(), "[HOME]")
}

/// Two threads tell of two devices, in any order; and tickets and ports are new each time.
fn without_what_differs(out: &str) -> String {
    let lines =
        out.lines().filter(|line| !line.starts_with("Microphone: ") && !line.starts_with("Speaker: "));
    let lines = lines.map(|line| {
        let line = match line.split_once(" rt1") {
            Some((before, ticket)) if ticket.len() > 50 => format!("{before} rt1[TICKET]"),
            _ => line.to_owned(),
        };
        match line.split_once("127.0.0.1:") {
            Some((before, after)) => {
                let rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
                format!("{before}127.0.0.1:[PORT]{rest}")
            }
            None => line,
        }
    });
    lines.map(|line| line + "\n").collect()
}

/// One run after the other.
fn all_said(home: &Path, commands: &[&[&str]]) -> String {
    commands.iter().map(|words| said(home, words, "")).collect::<Vec<_>>().join("\n")
}

fn home() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder for temporary files")
}

/// A call that needs neither hardware nor a certain port.
const SILENT: [&str; 6] = ["--input", "null", "--output", "null", "--listen", "127.0.0.1:0"];

#[test]
fn help_says_what_can_be_done() {
    let home = home();
    for (name, words) in [
        ("help_long", vec!["--help"]),
        ("help_short", vec!["-h"]),
        ("help_nothing", vec![]),
        ("help_host", vec!["host", "--help"]),
        ("help_join", vec!["join", "--help"]),
        ("help_devices", vec!["devices", "--help"]),
        ("help_doctor", vec!["doctor", "--help"]),
        ("help_demo", vec!["demo", "--help"]),
    ] {
        insta::assert_snapshot!(name, said(home.path(), &words, ""));
    }
}

#[test]
fn wrong_options_say_what_is_wrong() {
    let home = home();
    insta::assert_snapshot!(all_said(
        home.path(),
        &[
            &["host", "--bogus"],
            &["dance"],
            &["join", "--no-lan"],
            &["host", "--listen", "4700"],
            &["host", "--duration", "-1"],
            &["host", "--input", "tone:x"],
            &["host", "--input", "file:"],
            &["host", "--input", "file:a.wav?lop"],
            &["host", "--psk", "words", "--psk-file", "file"],
        ],
    ));
}

#[test]
fn servers_that_cannot_be_used_say_why_without_telling_the_password() {
    let home = home();
    insta::assert_snapshot!(all_said(
        home.path(),
        &[
            &["host", "--relay-only"],
            &["host", "--turn", "turn.example.org"],
            &["host", "--turn", "turn:ada:secret@turn.example.org:port"],
            &["host", "--turn", "turn:ada:secret@turn.example.org?transport=pigeon"],
            &["host", "--stun", "stun.example.org:0"],
            &["doctor", "rt1abc"],
        ],
    ));
}

#[test]
fn a_target_that_leads_nowhere_says_why() {
    let home = home();
    insta::assert_snapshot!(all_said(
        home.path(),
        &[
            &["join", "nowhere.invalid", "--psk", "words"],
            &["join", "127.0.0.1:4700"],
            &["join", "rt1abc"],
            &["join", "rt1aaaaaaaaaaaaaaaaaaa"],
            &["join", "rt2abc"],
        ],
    ));
}

#[test]
fn a_password_that_cannot_be_had_says_how_to_give_it() {
    let home = home();
    let empty = home.path().join("empty");
    std::fs::write(&empty, "\n").expect("the folder is writable");
    let (empty, missing) = (empty.display().to_string(), home.path().join("missing").display().to_string());
    insta::assert_snapshot!(all_said(
        home.path(),
        &[&["host", "--psk"], &["host", "--psk-file", &empty], &["host", "--psk-file", &missing]],
    ));
}

#[test]
fn an_empty_password_in_the_environment_is_none_unless_one_was_asked_for() {
    let home = home();
    let ends = |more: &[&str]| {
        let mut command = spawn::program(home.path());
        command.arg("host").args(SILENT).args(["--duration", "0.1"]).args(more).env("ROUNDTABLE_PSK", "");
        command.stdin(Stdio::null()).output().expect("the program runs").status.code()
    };
    assert_eq!(ends(&[]), Some(0));
    assert_eq!(ends(&["--psk"]), Some(2));
}

#[test]
fn sound_that_cannot_be_used_says_what_to_choose() {
    let home = home();
    let missing = format!("file:{}", home.path().join("missing.wav").display());
    let nowhere = format!("file:{}", home.path().join("no/folder.wav").display());
    let listen = ["host", "--listen", "127.0.0.1:0"];
    let with = |words: &[&str]| said(home.path(), &[&listen, words].concat(), "");
    insta::assert_snapshot!(
        [
            with(&["--input", &missing, "--output", "null"]),
            with(&["--input", "null", "--output", &nowhere]),
            with(&["--input", "null", "--output", "tone"]),
        ]
        .join("\n")
    );
}

/// With neither a sound server nor ALSA's configuration there is no device at all.
#[cfg(target_os = "linux")]
#[test]
fn without_any_sound_device_it_says_so() {
    let home = home();
    let listen = ["host", "--listen", "127.0.0.1:0", "--duration", "0.2"];
    let with = |words: &[&str]| said(home.path(), &[&listen, words].concat(), "");
    insta::assert_snapshot!(
        [
            with(&["--input", "null"]),
            with(&["--input", "null", "--output", "headset"]),
            with(&["--output", "null"]),
            said(home.path(), &["devices"], ""),
        ]
        .join("\n")
    );
}

#[test]
fn files_that_cannot_be_used_are_named_with_the_line() {
    let home = home();
    let path = |name: &str| home.path().join(name);
    std::fs::write(path("config.toml"), "name = \"Ada\"\n\ninptu = \"null\"\n").expect("writable");
    std::fs::write(path("device.toml"), "input = \"tone:x\"\n").expect("writable");
    let [config, device, missing, ticket, log] =
        ["config.toml", "device.toml", "missing.toml", "no/ticket", "no/log"]
            .map(|name| path(name).display().to_string());
    let with = |words: &[&str]| said(home.path(), &[&["host"], words].concat(), "");
    insta::assert_snapshot!(
        [
            with(&["--config", &config]),
            with(&["--config", &device, "--listen", "127.0.0.1:0"]),
            with(&["--config", &missing]),
            with(&[&["--ticket-file", &ticket][..], &SILENT].concat()),
            with(&[&["--rtlog", &log][..], &SILENT].concat()),
        ]
        .join("\n")
    );
}

#[cfg(unix)]
#[test]
fn an_identity_that_is_not_private_or_not_one_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let home = home();
    let mut said_all = Vec::new();
    for (name, content, mode) in [("wide", "ab".repeat(32), 0o644), ("broken", "nonsense".into(), 0o600)] {
        let folder = home.path().join(name);
        std::fs::create_dir(&folder).expect("writable");
        let identity = folder.join("identity");
        std::fs::write(&identity, content).expect("writable");
        std::fs::set_permissions(&identity, PermissionsExt::from_mode(mode)).expect("our own file");
        let folder = folder.display().to_string();
        said_all.push(said(home.path(), &[&["host", "--data-dir", &folder][..], &SILENT].concat(), ""));
    }
    insta::assert_snapshot!(said_all.join("\n"));
}

#[test]
fn a_port_in_use_says_how_to_choose_another() {
    let home = home();
    let holder = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = holder.local_addr().expect("it is bound").to_string();
    let said = said(home.path(), &["host", "--listen", &address], "");
    insta::assert_snapshot!(said.replace(&address, "127.0.0.1:[PORT]"));
}

#[test]
fn a_line_that_is_no_command_says_which_there_are() {
    let home = home();
    let lines = "dance\nkick ada\nvolume ada\nvolume ada 90\nptt\nleave\n";
    insta::assert_snapshot!(said(home.path(), &[&["host"][..], &SILENT].concat(), lines));
}

#[test]
fn leaving_works_while_nobody_answers_the_join() {
    let home = home();
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let target = silent.local_addr().expect("it is bound").to_string();
    let mut command = spawn::program(home.path());
    command.args(["join", &target]).args(SILENT).env("ROUNDTABLE_PSK", "words");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let started = Instant::now();
    let mut child = command.spawn().expect("the program starts");
    child.stdin.as_mut().expect("stdin is piped").write_all(b"mute\nleave\n").expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stdout).ends_with("Bye (left).\n"));
    assert!(started.elapsed() < Duration::from_secs(6), "it went on trying for {:?}", started.elapsed());
}

#[test]
fn a_call_whose_output_nobody_reads_any_more_is_left() {
    let home = home();
    for (json, input) in [(Some("--json"), ""), (None, "help\n"), (None, "dance\n")] {
        let mut command = spawn::program(home.path());
        command.arg("host").args(SILENT).args(json).args(["--duration", "20"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = Instant::now();
        let mut child = command.spawn().expect("the program starts");
        let stdout = child.stdout.as_mut().expect("stdout is piped");
        assert_eq!(stdout.read(&mut [0]).expect("it says something"), 1);
        // By then all is said that a host says while it is alone: nothing that is printed tells it.
        thread::sleep(Duration::from_secs(1));
        drop(child.stdout.take());
        let mut stdin = child.stdin.take().expect("stdin is piped");
        // It may be gone already.
        let _ = stdin.write_all(input.as_bytes());
        let output = child.wait_with_output().expect("it ends");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*complaint), (Some(0), ""), "{json:?} {input:?}");
        assert!(started.elapsed() < Duration::from_secs(15), "{json:?} {input:?}: it went on unseen");
        drop(stdin);
    }
}
