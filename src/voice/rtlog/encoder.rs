//! Makes bytes of records.

use super::format::{
    ARRIVAL, BACKWARDS, COPY, COUNT, Context, END, FEC, GAP, HEADER_VERSION, IN_SEQUENCE, MAGIC, PEER, PULLS,
    PULLS_MAX, PULLS_SHIFT, REMOVED, SAME, SIZE, START, STRETCHED, SWITCHED, WENT, YIELDED,
};
use super::record::{Arrived, Record};
use protocol::jitter::JitterConfig;

/// Makes bytes of records.
pub struct Encoder {
    context: Context,
    /// Pulls that more of the same may follow: time, samples, how many.
    pending: Option<(u64, u16, u8)>,
}

impl Encoder {
    /// Begins a file of buffers configured so.
    pub fn new(config: &JitterConfig, out: &mut Vec<u8>) -> Self {
        out.extend_from_slice(MAGIC);
        out.push(HEADER_VERSION);
        put(out, config.target_min.as_micros() as u64);
        put(out, config.target_max.as_micros() as u64);
        put(out, zigzag(config.target_shift_us));
        Self { context: Context::new(), pending: None }
    }

    /// Appends a record; one of pulls may be held back for others like it to be joined to it.
    pub fn put(&mut self, record: &Record, out: &mut Vec<u8>) {
        if let Record::Pulls { at_us, samples, count } = *record {
            if let Some((at, length, pulls)) = &mut self.pending
                && (*at, *length) == (at_us, samples)
                && *pulls + count <= PULLS_MAX
            {
                *pulls += count;
            } else {
                self.flush(out);
                self.pending = Some((at_us, samples, count));
            }
            return;
        }
        self.flush(out);
        self.put_other(record, out);
    }

    /// Appends what was held back.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        let Some((at_us, samples, count)) = self.pending.take() else { return };
        let same = if samples == self.context.samples { SAME } else { 0 };
        let tag = PULLS | same | (count - 1) << PULLS_SHIFT;
        self.put_timed(tag, at_us, |_, _| {}, out);
        if same == 0 {
            put(out, u64::from(samples));
            self.context.samples = samples;
        }
    }

    fn put_other(&mut self, record: &Record, out: &mut Vec<u8>) {
        match *record {
            Record::Added { at_us, place } => {
                self.context.expected[usize::from(place)] = Arrived::default();
                self.put_peer(0, at_us, place, out);
            }
            Record::Gone { at_us, place } => self.put_peer(WENT, at_us, place, out),
            Record::PathSwitch { at_us, place } => self.put_peer(SWITCHED, at_us, place, out),
            Record::Arrival { at_us, place, frame } => self.put_arrival(at_us, place, &frame, out),
            Record::Stretched { place, operation, samples } => {
                let removed = if samples < 0 { REMOVED } else { 0 };
                self.put_place(STRETCHED | removed, place, out);
                out.push(operation);
                put(out, u64::from(samples.unsigned_abs()));
            }
            Record::Yielded { place, operation, samples } => {
                self.put_place(YIELDED, place, out);
                out.push(operation);
                put(out, u64::from(samples));
            }
            Record::Count { place, counter, value } => {
                self.put_place(COUNT, place, out);
                out.push(counter);
                put(out, value);
            }
            Record::Gap { records } => {
                out.push(GAP);
                put(out, records);
            }
            Record::Pulls { .. } => unreachable!("pulls are held back before this"),
        }
    }

    fn put_arrival(&mut self, at_us: u64, place: u8, frame: &Arrived, out: &mut Vec<u8>) {
        let expected = self.context.expected[usize::from(place)];
        let in_sequence = (frame.sequence, frame.time, frame.ticks)
            == (expected.sequence, expected.time, expected.ticks)
            && !frame.copy;
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let same = self.context.place == place;
        let tag = ARRIVAL
            | flag(same, SAME)
            | flag(in_sequence, IN_SEQUENCE)
            | flag(frame.copy, COPY)
            | flag(frame.fec, FEC);
        let marks = (frame.size_steps & SIZE) | flag(frame.start, START) | flag(frame.end, END);
        self.put_timed(
            tag,
            at_us,
            |_, out| {
                out.push(marks);
                if !same {
                    out.push(place);
                }
            },
            out,
        );
        self.context.place = place;
        if !in_sequence {
            put(out, zigzag(frame.sequence.wrapping_sub(expected.sequence) as i64));
            put(out, zigzag(frame.time.wrapping_sub(expected.time) as i64));
            out.push(frame.ticks);
        }
        self.context.follow(place, frame);
    }

    fn put_peer(&mut self, what: u8, at_us: u64, place: u8, out: &mut Vec<u8>) {
        let same = self.context.place == place;
        let tag = PEER | what | if same { SAME } else { 0 };
        self.put_timed(tag, at_us, |_, out| out.extend((!same).then_some(place)), out);
        self.context.place = place;
    }

    fn put_place(&mut self, tag: u8, place: u8, out: &mut Vec<u8>) {
        if self.context.place == place {
            out.push(tag | SAME);
        } else {
            out.extend([tag, place]);
            self.context.place = place;
        }
    }

    /// `between` puts what stands between the first byte and the time.
    fn put_timed(
        &mut self,
        tag: u8,
        at_us: u64,
        between: impl FnOnce(&Self, &mut Vec<u8>),
        out: &mut Vec<u8>,
    ) {
        let back = if at_us < self.context.at_us { BACKWARDS } else { 0 };
        out.push(tag | back);
        between(self, out);
        put(out, at_us.abs_diff(self.context.at_us));
        self.context.at_us = at_us;
    }
}

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}
