//! Two ends and a bad line between them.

use super::{Connection, DATA_TRIES, Read, SEGMENT_BYTES, SYN_TRIES, Segment};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const DELAY: Duration = Duration::from_millis(25);

/// What the line does to a packet.
#[derive(Clone, Copy)]
struct Line {
    lost: f64,
    doubled: f64,
    jitter_ms: u64,
}

const GOOD: Line = Line { lost: 0.0, doubled: 0.0, jitter_ms: 0 };

struct Pair {
    now: Duration,
    ends: [Connection; 2],
    /// Whether the second end knows that it is wanted.
    asked: bool,
    read: [Vec<u8>; 2],
    line: Line,
    random: ChaCha8Rng,
    flying: BTreeMap<(Duration, u64), (usize, Segment, Vec<u8>)>,
    sent: u64,
}

impl Pair {
    fn new(line: Line, seed: u64) -> Self {
        Self {
            now: Duration::ZERO,
            ends: [Connection::ask(), Connection::answer()],
            asked: false,
            read: [Vec::new(), Vec::new()],
            line,
            random: ChaCha8Rng::seed_from_u64(seed),
            flying: BTreeMap::new(),
            sent: 0,
        }
    }

    fn open(line: Line, seed: u64) -> Self {
        let mut pair = Self::new(line, seed);
        pair.ends[0].write(b"x");
        pair.run(Duration::from_secs(60), |pair| pair.ends[1].is_open());
        assert!(pair.ends.iter().all(Connection::is_open), "seed {seed}");
        pair
    }

    fn step(&mut self) {
        for end in 0..2 {
            if self.ends[end].timer().is_some_and(|timer| timer <= self.now) {
                self.ends[end].on_timer(self.now);
            }
            self.send(end);
        }
        self.now += MS;
        while let Some(first) = self.flying.first_entry().filter(|first| first.key().0 <= self.now) {
            let (end, segment, bytes) = first.remove();
            if end == 1 && !self.asked {
                self.asked = segment.syn;
            } else {
                self.ends[end].on_segment(self.now, &segment, &bytes);
            }
            self.send(end);
        }
        for end in 0..2 {
            let mut buffer = [0; 333];
            while let Read::Bytes(count) = self.ends[end].read(&mut buffer) {
                self.read[end].extend(&buffer[..count]);
            }
        }
    }

    fn send(&mut self, end: usize) {
        if end == 1 && !self.asked {
            return;
        }
        while let Some((segment, bytes)) = self.ends[end].poll_segment(self.now) {
            assert!(bytes.len() <= SEGMENT_BYTES);
            self.sent += 1;
            for copy in 0..1 + u64::from(self.random.random_bool(self.line.doubled)) {
                if !self.random.random_bool(self.line.lost) {
                    let later = MS * self.random.random_range(0..=self.line.jitter_ms) as u32;
                    let key = (self.now + DELAY + later, self.sent * 2 + copy);
                    self.flying.insert(key, (1 - end, segment, bytes.clone()));
                }
            }
        }
    }

    fn run(&mut self, at_most: Duration, until: impl Fn(&Self) -> bool) {
        let end = self.now + at_most;
        while self.now < end && !until(self) {
            self.step();
        }
    }
}

fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..length).map(|_| random.random()).collect()
}

#[test]
fn whatever_the_line_does_all_bytes_arrive_once_and_in_order() {
    for seed in 0..40 {
        let line = Line { lost: 0.15, doubled: 0.1, jitter_ms: 40 };
        let mut pair = Pair::open(line, seed);
        let sent = [noise(60_000, seed), noise(20_000, seed + 1000)];
        for (end, bytes) in sent.iter().enumerate() {
            assert_eq!(pair.ends[end].write(bytes), bytes.len());
            pair.ends[end].close();
        }
        pair.run(Duration::from_secs(600), |pair| pair.ends.iter().all(Connection::is_over));
        assert_eq!(pair.read[1][1..], sent[0], "seed {seed}");
        assert_eq!(pair.read[0], sent[1], "seed {seed}");
        assert_eq!(pair.ends.each_mut().map(|end| end.read(&mut [0])), [Read::End, Read::End]);
    }
}

#[test]
fn a_good_line_costs_one_round_trip_to_open_and_no_segment_twice() {
    let mut pair = Pair::open(GOOD, 1);
    assert_eq!(pair.now, DELAY * 3, "the SYN, its answer, and the first byte");
    let before = pair.sent;
    pair.ends[0].write(&noise(14_000, 1));
    pair.run(DELAY * 4, |_| false);
    assert_eq!(pair.read[1].len(), 14_001);
    assert_eq!(pair.sent - before, 10 + 10, "segments and their acknowledgements");
}

#[test]
fn one_lost_segment_of_many_is_sent_again_before_the_timeout() {
    let mut pair = Pair::open(GOOD, 1);
    pair.run(DELAY * 4, |_| false);
    pair.ends[0].write(&noise(7000, 1));
    pair.line.lost = 1.0;
    let began = pair.now;
    let _lost = pair.ends[0].poll_segment(pair.now).expect("the first segment");
    pair.line.lost = 0.0;
    pair.run(Duration::from_secs(2), |pair| pair.read[1].len() == 7001);
    assert_eq!(pair.now - began, DELAY * 3, "one way, the acknowledgements back, and once more");
}

#[test]
fn nobody_waits_for_ever() {
    let dead = Line { lost: 1.0, ..GOOD };
    let mut asked = Pair::new(dead, 1);
    asked.run(Duration::from_secs(1000), |pair| pair.ends[0].broken().is_some());
    assert_eq!((asked.ends[0].broken(), asked.sent), (Some(ErrorKind::TimedOut), 1 + u64::from(SYN_TRIES)));
    assert_eq!(asked.now.as_secs(), 127, "1 + 2 + 4 + 8 + 16 + 32 + 64");
    let mut open = Pair::open(GOOD, 1);
    open.run(DELAY * 4, |_| false);
    open.line = dead;
    let (began, before) = (open.now, open.sent);
    open.ends[0].write(b"anybody there?");
    open.run(Duration::from_secs(1000), |pair| pair.ends[0].broken().is_some());
    assert_eq!(open.sent - before, 1 + u64::from(DATA_TRIES));
    assert!((90..220).contains(&(open.now - began).as_secs()), "{:?}", open.now - began);
    assert_eq!(open.ends[0].read(&mut [0]), Read::Broken(ErrorKind::TimedOut));
}

#[test]
fn a_reset_is_a_refusal_before_the_answer_and_a_break_after_it() {
    let reset = Segment { rst: true, ..Segment::default() };
    let mut asking = Connection::ask();
    asking.poll_segment(Duration::ZERO);
    asking.on_segment(MS, &reset, &[]);
    assert_eq!(asking.broken(), Some(ErrorKind::ConnectionRefused));
    let mut pair = Pair::open(GOOD, 1);
    pair.ends[1].abort();
    pair.run(DELAY * 2, |_| false);
    assert_eq!(pair.ends[0].broken(), Some(ErrorKind::ConnectionReset));
    assert!(pair.ends.iter().all(Connection::is_over));
}

#[test]
fn a_writer_that_is_not_read_is_held_up() {
    let mut connection = Connection::ask();
    let much = vec![0; super::BUFFER_BYTES + 1];
    assert_eq!(connection.write(&much), super::BUFFER_BYTES);
    assert_eq!((connection.write(b"more"), connection.room()), (0, 0));
    connection.close();
    assert_eq!(Connection::ask().write(b"fine"), 4);
}
