//! The engine's end of the log: pushes records and never waits.

use super::record::{Arrived, Record, counters};
use crate::voice::receiver::PullNote;
use protocol::jitter::Report;
use protocol::media::Arrival;
use rtrb::Producer;
use std::time::Duration;

/// Takes what happens inside a tick. Nothing in here allocates, locks or waits; a full ring drops records, and the
/// next that fits is preceded by how many.
pub struct LogSink {
    records: Producer<Record>,
    dropped: u64,
    /// The latest time told: peers come and go between two ticks, without one of their own.
    at_us: u64,
}

impl LogSink {
    pub(super) fn new(records: Producer<Record>) -> Self {
        Self { records, dropped: 0, at_us: 0 }
    }

    /// A tick begins.
    pub fn tick(&mut self, now: Duration) {
        self.at_us = micros(now);
    }

    /// A peer's buffer was made. Places are below [`PLACES_MAX`](super::PLACES_MAX).
    pub fn added(&mut self, place: usize) {
        self.push(Record::Added { at_us: self.at_us, place: place as u8 });
    }

    /// A peer left with this account of its buffer.
    pub fn gone(&mut self, place: usize, report: &Report) {
        let place = place as u8;
        for (counter, value) in (0..).zip(counters(report)).filter(|(_, value)| *value != 0) {
            self.push(Record::Count { place, counter, value });
        }
        self.push(Record::Gone { at_us: self.at_us, place });
    }

    /// A frame goes into a peer's buffer.
    pub fn arrival(&mut self, place: usize, arrival: &Arrival) {
        let at_us = micros(arrival.at);
        self.push(Record::Arrival { at_us, place: place as u8, frame: Arrived::of(&arrival.frame) });
    }

    /// The device asks all buffers for so many samples, at most [`BLOCK_MAX`](protocol::jitter::BLOCK_MAX).
    pub fn pull(&mut self, now: Duration, samples: usize) {
        self.at_us = micros(now);
        self.push(Record::Pulls { at_us: self.at_us, samples: samples as u16, count: 1 });
    }

    /// What depended on a peer's sound in the pull last told.
    pub fn note(&mut self, place: usize, note: PullNote) {
        let place = place as u8;
        self.push(match note {
            PullNote::Stretched { operation, samples } => Record::Stretched { place, operation, samples },
            PullNote::Yielded { operation, samples } => Record::Yielded { place, operation, samples },
        });
    }

    fn push(&mut self, record: Record) {
        if self.dropped > 0 && self.records.push(Record::Gap { records: self.dropped }).is_ok() {
            self.dropped = 0;
        }
        if self.dropped > 0 || self.records.push(record).is_err() {
            self.dropped += 1;
        }
    }
}

/// As the jitter buffer counts time.
fn micros(time: Duration) -> u64 {
    time.as_micros() as u64
}

#[cfg(test)]
mod tests {
    use super::{LogSink, Record};
    use rtrb::RingBuffer;
    use std::time::Duration;

    #[test]
    fn what_did_not_fit_is_counted_where_it_is_missing() {
        let (producer, mut consumer) = RingBuffer::new(3);
        let mut sink = LogSink::new(producer);
        let pull = |n: u64| Record::Pulls { at_us: n * 1_000, samples: 120, count: 1 };
        (0..5).for_each(|n| sink.pull(Duration::from_millis(n), 120));
        let mut read = || std::iter::from_fn(|| consumer.pop().ok()).collect::<Vec<_>>();
        assert_eq!(read(), [pull(0), pull(1), pull(2)]);
        (5..7).for_each(|n| sink.pull(Duration::from_millis(n), 120));
        assert_eq!(read(), [Record::Gap { records: 2 }, pull(5), pull(6)]);
    }
}
