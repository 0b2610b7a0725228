//! The internet of a lab: a thread that takes packets from one line and puts them on another, later.
//!
//! Each line belongs to one home, or to the server, and has a delay of its own; a packet is delayed by both its
//! lines'. Nothing is lost, reordered or limited unless a test asks for it. It is several routers deep ([`HOPS`]):
//! a packet whose time to live is shorter vanishes, without the ICMP message of RFC 792. IPv4 only.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    net::Ipv4Addr,
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Routers on the way: more than an opening punch of a short life passes, fewer than any real packet does.
const HOPS: u8 = 4;

/// What waits is dropped beyond this, as any queue's end is: a second of a hundred calls.
const QUEUE_MAX: usize = 20_000;

/// So often the thread looks whether it shall end.
const IDLE: Duration = Duration::from_millis(100);

/// A line: its end, how long packets take on it, and the addresses it leads to.
pub(super) struct Line {
    pub(super) tun: OwnedFd,
    pub(super) delay: Duration,
    pub(super) addresses: Vec<Ipv4Addr>,
}

/// What passed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) packets: u64,
    /// Of IP packets.
    pub(crate) bytes: u64,
}

/// What the thread and the test share.
#[derive(Default)]
struct Shared {
    ending: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Which line an address is on.
    routes: BTreeMap<Ipv4Addr, usize>,
    /// Pairs of lines between which nothing passes, the lower number first.
    cuts: BTreeSet<(usize, usize)>,
    /// By line and destination. Also what could not be delivered.
    sent: BTreeMap<(usize, Ipv4Addr), Tally>,
}

/// The running thread. Ends with its value.
pub(crate) struct Internet {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Internet {
    pub(super) fn start(lines: Vec<Line>) -> Self {
        let shared = Arc::<Shared>::default();
        let routes =
            lines.iter().enumerate().flat_map(|(line, of)| of.addresses.iter().map(move |ip| (*ip, line)));
        shared.state().routes = routes.collect();
        let theirs = shared.clone();
        let thread = thread::spawn(move || {
            // Before all programs under test: their load shall not become the network's delay.
            let _ = rustix::process::setpriority_process(None, -20);
            Forwarding { lines, waiting: BinaryHeap::new(), number: 0, shared: theirs }.run();
        });
        Self { shared, thread: Some(thread) }
    }

    /// Nothing passes between two lines any more.
    pub(super) fn cut(&self, one: usize, other: usize) {
        self.shared.state().cuts.insert((one.min(other), one.max(other)));
    }

    pub(super) fn restore(&self, one: usize, other: usize) {
        self.shared.state().cuts.remove(&(one.min(other), one.max(other)));
    }

    /// An address of a line gives way to another.
    pub(super) fn renumber(&self, line: usize, old: Ipv4Addr, new: Ipv4Addr) {
        let mut state = self.shared.state();
        state.routes.remove(&old);
        state.routes.insert(new, line);
    }

    /// What came from a line so far, by destination.
    pub(super) fn sent(&self, line: usize) -> Vec<(Ipv4Addr, Tally)> {
        let state = self.shared.state();
        let mine = state.sent.iter().filter(|((of, _), _)| *of == line);
        mine.map(|((_, to), tally)| (*to, *tally)).collect()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Internet {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// When it is due, which one it is (those of one moment keep their order), its line, itself.
type Waiting = (Instant, u64, usize, Vec<u8>);

/// The thread's own.
struct Forwarding {
    lines: Vec<Line>,
    waiting: BinaryHeap<Reverse<Waiting>>,
    number: u64,
    shared: Arc<Shared>,
}

impl Forwarding {
    fn run(&mut self) {
        let mut buffer = [0; 2048];
        while !self.shared.ending.load(Ordering::Relaxed) {
            for line in self.wait() {
                while let Ok(length) = rustix::io::read(&self.lines[line].tun, &mut buffer) {
                    self.take(line, &mut buffer[..length]);
                }
            }
            self.deliver(Instant::now());
        }
    }

    /// Waits until something came or is due; returns the lines on which something came.
    fn wait(&self) -> Vec<usize> {
        let next =
            self.waiting.peek().map(|Reverse((due, ..))| due.saturating_duration_since(Instant::now()));
        let timeout = next.unwrap_or(IDLE).min(IDLE);
        let timeout = Timespec { tv_sec: 0, tv_nsec: timeout.as_nanos() as _ };
        let mut fds: Vec<_> = self.lines.iter().map(|line| PollFd::new(&line.tun, PollFlags::IN)).collect();
        let _ = poll(&mut fds, Some(&timeout));
        let came = fds.iter().enumerate().filter(|(_, fd)| fd.revents().contains(PollFlags::IN));
        came.map(|(line, _)| line).collect()
    }

    /// Takes a packet in.
    fn take(&mut self, from: usize, packet: &mut [u8]) {
        let Some((source, destination)) = addresses(packet) else { return };
        let mut state = self.shared.state();
        count(&mut state.sent, (from, destination), packet.len());
        // Nobody sends with an address that is not its own (BCP 38).
        let is_own = state.routes.get(&source) == Some(&from);
        let Some(to) = state.routes.get(&destination).copied().filter(|_| is_own) else { return };
        let is_cut = state.cuts.contains(&(from.min(to), from.max(to)));
        drop(state);
        if is_cut || self.waiting.len() >= QUEUE_MAX || !age(packet) {
            return;
        }
        let due = Instant::now() + self.lines[from].delay + self.lines[to].delay;
        self.number += 1;
        self.waiting.push(Reverse((due, self.number, to, packet.to_vec())));
    }

    /// Hands out what is due.
    fn deliver(&mut self, now: Instant) {
        while self.waiting.peek().is_some_and(|Reverse((due, ..))| *due <= now) {
            let Some(Reverse((_, _, to, packet))) = self.waiting.pop() else { return };
            // An interface that is down or full drops it, as a line does.
            let _ = rustix::io::write(self.lines[to].tun.as_fd(), &packet);
        }
    }
}

fn count(tallies: &mut BTreeMap<(usize, Ipv4Addr), Tally>, key: (usize, Ipv4Addr), bytes: usize) {
    let tally = tallies.entry(key).or_default();
    tally.packets += 1;
    tally.bytes += bytes as u64;
}

/// Source and destination of an IPv4 packet (RFC 791, section 3.1).
fn addresses(packet: &[u8]) -> Option<(Ipv4Addr, Ipv4Addr)> {
    if packet.first()? >> 4 != 4 {
        return None;
    }
    let at = |from: usize| Some(Ipv4Addr::from(*packet.get(from..)?.first_chunk::<4>()?));
    Some((at(12)?, at(16)?))
}

/// Takes [`HOPS`] from the time to live, and mends the checksum (RFC 1624). False when that was all it had.
fn age(packet: &mut [u8]) -> bool {
    let Some(left) = packet[8].checked_sub(HOPS).filter(|left| *left > 0) else { return false };
    packet[8] = left;
    // Less by HOPS in the upper byte of one word: its complement's sum is more by as much, with the carry added.
    let sum = u32::from(u16::from_be_bytes([packet[10], packet[11]])) + (u32::from(HOPS) << 8);
    let sum = (sum & 0xffff) + (sum >> 16);
    packet[10..12].copy_from_slice(&(sum as u16).to_be_bytes());
    true
}
