//! One end of a TCP connection (RFC 9293): a reliable byte stream in order, over packets that get lost, doubled and
//! overtake each other.
//!
//! It is opening (our SYN is out, or theirs has come), then open, then over. Both directions close on their own; the
//! connection is over when both have, when a reset comes, or when nothing is acknowledged for too long.
//!
//! Kept from the real thing is what a call notices: the round trip of the handshake, segments, acknowledgements,
//! retransmission after a timeout (RFC 6298, with the 200 ms minimum that Linux has) or after three duplicate
//! acknowledgements (RFC 6582), and that later bytes wait for earlier ones. Left out: congestion and flow control (the
//! window is fixed), delayed and selective acknowledgements, Nagle's algorithm, simultaneous opening, TIME-WAIT, and
//! sequence numbers that begin anywhere or wrap.

use std::collections::{BTreeMap, VecDeque};
use std::io::ErrorKind;
use std::time::Duration;

/// Payload of one segment: fits an Ethernet frame with tunnels' headers around it.
const SEGMENT_BYTES: usize = 1400;
/// Bytes under way: a second of eight voices.
const WINDOW_BYTES: u64 = 64 * 1024;
/// Bytes that wait to be sent, and bytes that wait to be read.
pub(super) const BUFFER_BYTES: usize = 256 * 1024;
/// RFC 6298, section 2.1.
const TIMEOUT_FIRST: Duration = Duration::from_secs(1);
/// Linux's TCP_RTO_MIN and TCP_RTO_MAX.
const TIMEOUT_MIN: Duration = Duration::from_millis(200);
const TIMEOUT_MAX: Duration = Duration::from_secs(120);
/// Retransmissions before giving up: as Linux for a SYN; for data about the 100 s of RFC 9293, section 3.8.3.
const SYN_TRIES: u32 = 6;
const DATA_TRIES: u32 = 8;

/// The header of a segment. Numbers count bytes from the connection's beginning; the SYN is number 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Segment {
    /// The number of its first byte.
    pub sequence: u64,
    /// The number expected next from the other end.
    pub acknowledged: Option<u64>,
    /// Opens.
    pub syn: bool,
    /// Nothing follows.
    pub fin: bool,
    /// Breaks off.
    pub rst: bool,
}

/// What a read came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// So many bytes.
    Bytes(usize),
    /// Nothing yet.
    Later,
    /// Nothing any more.
    End,
    /// The connection broke.
    Broken(ErrorKind),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// We asked; our SYN is out.
    Asking,
    /// We were asked; our answer is out.
    Answering,
    Open,
    Broken(ErrorKind),
}

/// One end.
#[derive(Debug)]
pub(super) struct Connection {
    state: State,
    /// What the other end has not acknowledged, from byte `unacknowledged` on.
    outgoing: VecDeque<u8>,
    unacknowledged: u64,
    next: u64,
    /// The number of our FIN, once there is one.
    fin: Option<u64>,
    incoming: VecDeque<u8>,
    expected: u64,
    /// What came before its turn.
    ahead: BTreeMap<u64, Vec<u8>>,
    their_fin: Option<u64>,
    acknowledge: bool,
    resend: bool,
    duplicates: u32,
    /// Until this is acknowledged, each acknowledgement asks for the next hole (RFC 6582).
    recovering: Option<u64>,
    /// A segment whose round trip is measured: its end, and when it was sent.
    timed: Option<(u64, Duration)>,
    smoothed: Option<(Duration, Duration)>,
    timeout: Duration,
    timer: Option<Duration>,
    tries: u32,
    reset_told: bool,
}

impl Connection {
    fn new(state: State) -> Self {
        Self {
            state,
            outgoing: VecDeque::new(),
            unacknowledged: 0,
            next: 0,
            fin: None,
            incoming: VecDeque::new(),
            expected: 0,
            ahead: BTreeMap::new(),
            their_fin: None,
            acknowledge: false,
            resend: false,
            duplicates: 0,
            recovering: None,
            timed: None,
            smoothed: None,
            timeout: TIMEOUT_FIRST,
            timer: None,
            tries: 0,
            reset_told: false,
        }
    }

    /// Asks for a connection.
    pub(super) fn ask() -> Self {
        Self::new(State::Asking)
    }

    /// Answers a SYN.
    pub(super) fn answer() -> Self {
        Self { expected: 1, ..Self::new(State::Answering) }
    }

    /// Whether the handshake is done.
    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Why it broke, if it did.
    pub(super) fn broken(&self) -> Option<ErrorKind> {
        match self.state {
            State::Broken(kind) => Some(kind),
            State::Asking | State::Answering | State::Open => None,
        }
    }

    /// Whether nothing will happen any more.
    pub(super) fn is_over(&self) -> bool {
        let ours = self.fin.is_some_and(|fin| self.unacknowledged > fin);
        (ours && self.their_end_reached()) || (self.broken().is_some() && self.reset_told)
    }

    /// Takes as many bytes as there is room for.
    pub(super) fn write(&mut self, bytes: &[u8]) -> usize {
        let room = if self.fin.is_some() { 0 } else { BUFFER_BYTES.saturating_sub(self.outgoing.len()) };
        let taken = bytes.len().min(room);
        self.outgoing.extend(&bytes[..taken]);
        taken
    }

    /// Bytes that can be written now.
    pub(super) fn room(&self) -> usize {
        BUFFER_BYTES.saturating_sub(self.outgoing.len())
    }

    /// Takes what has come.
    pub(super) fn read(&mut self, into: &mut [u8]) -> Read {
        let taken = into.len().min(self.incoming.len());
        for (place, byte) in into.iter_mut().zip(self.incoming.drain(..taken)) {
            *place = byte;
        }
        match (taken, self.broken()) {
            (0, _) if self.their_end_reached() => Read::End,
            (0, Some(kind)) => Read::Broken(kind),
            (0, None) => Read::Later,
            (taken, _) => Read::Bytes(taken),
        }
    }

    /// Nothing more will be written.
    pub(super) fn close(&mut self) {
        let end = self.end();
        self.fin.get_or_insert(end);
    }

    /// Breaks off.
    pub(super) fn abort(&mut self) {
        if self.broken().is_none() {
            self.state = State::Broken(ErrorKind::ConnectionAborted);
        }
    }

    /// When [`Connection::on_timer`] is due.
    pub(super) fn timer(&self) -> Option<Duration> {
        self.timer.filter(|_| self.broken().is_none())
    }

    /// The timer has come up.
    pub(super) fn on_timer(&mut self, now: Duration) {
        self.tries += 1;
        let most = if self.state == State::Open { DATA_TRIES } else { SYN_TRIES };
        if self.tries > most {
            self.state = State::Broken(ErrorKind::TimedOut);
            self.reset_told = true;
            return;
        }
        // RFC 6298, sections 5.4 to 5.6; Karn's rule: what is sent again is not measured.
        self.timeout = (self.timeout * 2).min(TIMEOUT_MAX);
        self.timer = Some(now + self.timeout);
        self.timed = None;
        self.recovering = Some(self.next);
        self.resend = true;
    }

    /// Nothing could be sent meanwhile, so that nothing may be concluded from silence.
    pub(super) fn postpone(&mut self, now: Duration) {
        self.timer = self.timer.map(|_| now + self.timeout);
    }

    /// A segment of this connection has come.
    pub(super) fn on_segment(&mut self, now: Duration, segment: &Segment, bytes: &[u8]) {
        if self.broken().is_some() {
            return;
        }
        if segment.rst {
            let refused = self.state == State::Asking;
            self.state = State::Broken(if refused {
                ErrorKind::ConnectionRefused
            } else {
                ErrorKind::ConnectionReset
            });
            self.reset_told = true;
            return;
        }
        match (self.state, segment.syn, segment.acknowledged) {
            (State::Asking, true, Some(1)) => {
                self.state = State::Open;
                self.expected = 1;
            }
            (State::Asking, _, _) => return,
            // Our answer was lost.
            (State::Answering, true, _) => self.resend = true,
            (State::Answering, false, Some(1..)) => self.state = State::Open,
            (State::Answering | State::Open | State::Broken(_), _, _) => {}
        }
        if let Some(acknowledged) = segment.acknowledged {
            self.on_acknowledged(now, acknowledged, bytes.is_empty() && !segment.fin && !segment.syn);
        }
        if segment.syn || segment.fin || !bytes.is_empty() {
            self.acknowledge = true;
            self.take_in(segment, bytes);
        }
    }

    fn on_acknowledged(&mut self, now: Duration, number: u64, empty: bool) {
        if number == self.unacknowledged && empty && self.next > number {
            self.duplicates += 1;
            if self.duplicates == 3 && self.recovering.is_none() {
                self.recovering = Some(self.next);
                self.timed = None;
                self.resend = true;
            }
        }
        if number <= self.unacknowledged || number > self.next {
            return;
        }
        // The SYN and the FIN have numbers and are no bytes.
        let gone = number.min(self.end()).saturating_sub(self.unacknowledged.max(1));
        self.outgoing.drain(..gone as usize);
        self.unacknowledged = number;
        self.duplicates = 0;
        self.tries = 0;
        if let Some((_, sent)) = self.timed.take_if(|(end, _)| *end <= number) {
            self.measure(now.saturating_sub(sent));
        }
        self.recovering = self.recovering.filter(|until| number < *until);
        self.resend = self.recovering.is_some();
        self.timer = (self.next > number).then(|| now + self.timeout);
    }

    /// RFC 6298, section 2.
    fn measure(&mut self, round_trip: Duration) {
        let (mean, spread) = match self.smoothed {
            None => (round_trip, round_trip / 2),
            Some((mean, spread)) => {
                ((mean * 7 + round_trip) / 8, (spread * 3 + mean.abs_diff(round_trip)) / 4)
            }
        };
        self.smoothed = Some((mean, spread));
        self.timeout = (mean + spread * 4).clamp(TIMEOUT_MIN, TIMEOUT_MAX);
    }

    fn take_in(&mut self, segment: &Segment, bytes: &[u8]) {
        let first = segment.sequence + u64::from(segment.syn);
        if segment.fin {
            self.their_fin = Some(first + bytes.len() as u64);
        }
        if !bytes.is_empty() && first < self.expected + WINDOW_BYTES {
            let kept = self.ahead.entry(first).or_default();
            if kept.len() < bytes.len() {
                *kept = bytes.to_vec();
            }
        }
        while let Some(next) = self.ahead.first_entry().filter(|next| *next.key() <= self.expected) {
            let (first, bytes) = next.remove_entry();
            let known = ((self.expected - first) as usize).min(bytes.len());
            let fresh = &bytes[known..];
            if self.incoming.len() + fresh.len() > BUFFER_BYTES {
                // Nobody reads: it has to come again.
                return;
            }
            self.incoming.extend(fresh);
            self.expected += fresh.len() as u64;
        }
        if self.their_fin == Some(self.expected) {
            self.expected += 1;
        }
    }

    fn their_end_reached(&self) -> bool {
        self.their_fin.is_some_and(|fin| self.expected > fin)
    }

    /// The number after the last byte that was written.
    fn end(&self) -> u64 {
        self.unacknowledged.max(1).min(self.fin.unwrap_or(u64::MAX)) + self.outgoing.len() as u64
    }

    /// What is to be sent now; call it until there is nothing.
    pub(super) fn poll_segment(&mut self, now: Duration) -> Option<(Segment, Vec<u8>)> {
        if self.broken().is_some() {
            let told = std::mem::replace(&mut self.reset_told, true);
            return (!told).then(|| (Segment { rst: true, ..self.header(self.next) }, Vec::new()));
        }
        let more = match self.state {
            State::Asking | State::Answering => self.next == 0,
            State::Open | State::Broken(_) => {
                let last = self.fin.map_or(self.end(), |fin| fin + 1);
                self.next < last && self.next < self.unacknowledged + WINDOW_BYTES
            }
        };
        let again = std::mem::take(&mut self.resend) && self.next > self.unacknowledged;
        if !again && !more {
            let due = std::mem::take(&mut self.acknowledge);
            return due.then(|| (self.header(self.next), Vec::new()));
        }
        let from = if again { self.unacknowledged } else { self.next };
        let (segment, bytes) = self.cut(from);
        let end = from + u64::from(segment.syn) + bytes.len() as u64 + u64::from(segment.fin);
        self.next = self.next.max(end);
        if !again {
            self.timed.get_or_insert((end, now));
        }
        self.timer.get_or_insert(now + self.timeout);
        self.acknowledge = false;
        Some((segment, bytes))
    }

    fn header(&self, sequence: u64) -> Segment {
        let acknowledged = (self.state != State::Asking).then_some(self.expected);
        Segment { sequence, acknowledged, ..Segment::default() }
    }

    /// The segment that begins with a number.
    fn cut(&self, from: u64) -> (Segment, Vec<u8>) {
        let header = self.header(from);
        if from == 0 {
            return (Segment { syn: true, ..header }, Vec::new());
        }
        let skipped = (from - self.unacknowledged.max(1)) as usize;
        let bytes: Vec<u8> = self.outgoing.iter().skip(skipped).take(SEGMENT_BYTES).copied().collect();
        let fin = self.fin == Some(from + bytes.len() as u64);
        (Segment { fin, ..header }, bytes)
    }
}

#[cfg(test)]
#[path = "tcp_tests.rs"]
mod tests;
