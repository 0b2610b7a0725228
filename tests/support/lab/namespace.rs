//! A network namespace: made, entered, deleted.
//!
//! A thread enters one with setns(2), and sockets and processes made by that thread stay there. Namespaces have
//! names (`ip netns list` shows them), so that a look into a lab that runs is easy:
//! `ip netns exec rt1234-m-home0 nft list ruleset`.

use super::tun;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::{
    fs::{self, File},
    io::Write,
    os::fd::{AsFd, OwnedFd},
    panic,
    path::Path,
    process::{Command, Stdio},
    thread,
};

/// Where `ip netns` keeps them.
const DIRECTORY: &str = "/run/netns";

/// One namespace. Deleted with its value; processes in it should be dead by then.
pub(crate) struct Namespace {
    pub(crate) name: String,
    handle: File,
}

impl Namespace {
    pub(super) fn create(name: &str) -> Self {
        feed("ip", &["-batch", "-"], &format!("netns add {name}"));
        let handle = File::open(Path::new(DIRECTORY).join(name)).expect("`ip netns add` made it");
        let namespace = Self { name: name.to_owned(), handle };
        namespace.ip("link set lo up");
        // Some distributions drop what comes in on another interface than answers would leave by.
        namespace.set("net/ipv4/conf/all/rp_filter", "0");
        namespace.set("net/ipv4/conf/default/rp_filter", "0");
        namespace
    }

    /// Runs `work` in here, on a thread of its own. Sockets opened and processes started by it stay in here.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            move_into_link_name_space(self.handle.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("root may enter a namespace of its own");
            work()
        };
        let ended = thread::scope(|scope| scope.spawn(inside).join());
        ended.unwrap_or_else(|panic| panic::resume_unwind(panic))
    }

    /// Lines for `ip`.
    pub(super) fn ip(&self, lines: &str) {
        self.inside(|| feed("ip", &["-batch", "-"], lines));
    }

    /// Rules for `nft`.
    pub(super) fn nft(&self, rules: &str) {
        self.inside(|| feed("nft", &["-f", "-"], rules));
    }

    /// A setting, by its path below `/proc/sys`.
    pub(super) fn set(&self, path: &str, value: &str) {
        self.inside(|| fs::write(Path::new("/proc/sys").join(path), value))
            .unwrap_or_else(|error| panic!("cannot set {path} in {}: {error}", self.name));
    }

    /// An interface whose other end is a file.
    pub(super) fn tun(&self, interface: &str) -> OwnedFd {
        self.inside(|| tun::open(interface))
            .unwrap_or_else(|error| panic!("no interface {interface}: {error}"))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).stderr(Stdio::null()).status();
    }
}

/// Deletes what processes that are gone left behind: their namespaces, and all that still runs in there.
pub(super) fn sweep() {
    let Ok(entries) = fs::read_dir(DIRECTORY) else { return };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    for name in names.filter(|name| owner(name).is_some_and(|id| !Path::new("/proc").join(id).exists())) {
        let pids = Command::new("ip").args(["netns", "pids", &name]).stderr(Stdio::null()).output();
        let pids =
            pids.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        for pid in pids.split_whitespace() {
            let _ = Command::new("kill").args(["-KILL", pid]).stderr(Stdio::null()).status();
        }
        // Another lab may be sweeping as well: whoever comes second finds nothing.
        let _ = Command::new("ip").args(["netns", "del", &name]).stderr(Stdio::null()).status();
    }
}

/// The id of the process whose lab a namespace belongs to, if it is a lab's.
fn owner(name: &str) -> Option<&str> {
    let (id, _) = name.strip_prefix("rt")?.split_once('-')?;
    (!id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit())).then_some(id)
}

/// Runs a program with this input; it must succeed.
#[track_caller]
fn feed(program: &str, arguments: &[&str], input: &str) {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot run {program}: {error}"));
    let mut stdin = child.stdin.take().expect("the pipe was asked for");
    // A program that does not even read says why on stderr.
    let _ = stdin.write_all(input.as_bytes()).and_then(|()| stdin.write_all(b"\n"));
    drop(stdin);
    let output = child.wait_with_output().expect("a child can be waited for");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} refused:\n{input}\n{complaint}");
}
