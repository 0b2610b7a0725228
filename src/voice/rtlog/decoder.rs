//! Makes records of bytes, and says of others what is wrong with them.

use super::format::{
    ARRIVAL, BACKWARDS, COPY, COUNT, Context, END, FEC, GAP, HEADER_VERSION, IN_SEQUENCE, KIND, MAGIC, PEER,
    PLACES_MAX, PULLS, PULLS_MAX, PULLS_SHIFT, REMOVED, SAME, SIZE, START, STRETCHED, SWITCHED, WENT,
    YIELDED,
};
use super::record::{Arrived, COUNTERS, Record};
use protocol::jitter::{BLOCK_MAX, JitterConfig, OPERATIONS_MAX};
use std::time::Duration;

/// What is wrong with some bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// They end within a record, or within the header.
    Cut,
    /// They are no log: what they should have been.
    Wrong(&'static str),
    /// A log of a version that this program does not know.
    Version(u8),
}

/// Makes records of bytes.
pub struct Decoder<'a> {
    bytes: &'a [u8],
    offset: usize,
    context: Context,
}

impl<'a> Decoder<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// When this is no log of a known version.
    pub fn new(bytes: &'a [u8]) -> Result<(Self, JitterConfig), Fault> {
        let mut decoder = Self { bytes, offset: 0, context: Context::new() };
        for byte in MAGIC {
            if decoder.byte()? != *byte {
                return Err(Fault::Wrong("a log begins with `rtlog`"));
            }
        }
        let version = decoder.byte()?;
        if version != HEADER_VERSION {
            return Err(Fault::Version(version));
        }
        let config = JitterConfig {
            target_min: Duration::from_micros(decoder.number()?),
            target_max: Duration::from_micros(decoder.number()?),
            target_shift_us: unzigzag(decoder.number()?),
        };
        Ok((decoder, config))
    }

    /// Where the next record begins, or after a fault, where it was found.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The next record; `None` at the end.
    ///
    /// # Errors
    /// When what follows is no record. Nothing can be read after that.
    pub fn read(&mut self) -> Result<Option<Record>, Fault> {
        if self.offset == self.bytes.len() {
            return Ok(None);
        }
        let tag = self.byte()?;
        let record = match tag & KIND {
            ARRIVAL => self.arrival(tag)?,
            PULLS => self.pulls(tag)?,
            STRETCHED => {
                self.only(tag, SAME | REMOVED)?;
                let (place, operation) = (self.place(tag)?, self.operation()?);
                let amount = i32::try_from(self.number()?).map_err(|_| Fault::Wrong("too many samples"))?;
                Record::Stretched {
                    place,
                    operation,
                    samples: if tag & REMOVED != 0 { -amount } else { amount },
                }
            }
            YIELDED => {
                self.only(tag, SAME)?;
                let (place, operation) = (self.place(tag)?, self.operation()?);
                let samples = u32::try_from(self.number()?).map_err(|_| Fault::Wrong("too many samples"))?;
                Record::Yielded { place, operation, samples }
            }
            PEER => self.peer(tag)?,
            COUNT => {
                self.only(tag, SAME)?;
                let (place, counter) = (self.place(tag)?, self.byte()?);
                if usize::from(counter) >= COUNTERS {
                    return Err(Fault::Wrong("there is no such counter"));
                }
                Record::Count { place, counter, value: self.number()? }
            }
            GAP => {
                self.only(tag, 0)?;
                Record::Gap { records: self.number()? }
            }
            _ => return Err(Fault::Wrong("there is no such kind of record")),
        };
        Ok(Some(record))
    }

    fn arrival(&mut self, tag: u8) -> Result<Record, Fault> {
        let marks = self.byte()?;
        if marks & !(SIZE | START | END) != 0 {
            return Err(Fault::Wrong("an arrival has no such mark"));
        }
        let place = self.place(tag)?;
        let at_us = self.time(tag)?;
        let expected = self.context.expected[usize::from(place)];
        let mut frame = Arrived {
            start: marks & START != 0,
            end: marks & END != 0,
            copy: tag & COPY != 0,
            fec: tag & FEC != 0,
            size_steps: marks & SIZE,
            ..expected
        };
        if tag & IN_SEQUENCE == 0 {
            frame.sequence = expected.sequence.wrapping_add(unzigzag(self.number()?) as u64);
            frame.time = expected.time.wrapping_add(unzigzag(self.number()?) as u64);
            frame.ticks = self.byte()?;
        }
        self.context.follow(place, &frame);
        Ok(Record::Arrival { at_us, place, frame })
    }

    fn pulls(&mut self, tag: u8) -> Result<Record, Fault> {
        let at_us = self.time(tag)?;
        if tag & SAME == 0 {
            let samples = self.number()?;
            let fits = (1..=BLOCK_MAX as u64).contains(&samples);
            self.context.samples = if fits { samples as u16 } else { 0 };
        }
        if self.context.samples == 0 {
            return Err(Fault::Wrong("a pull is of 1 to 960 samples"));
        }
        let count = ((tag >> PULLS_SHIFT) & (PULLS_MAX - 1)) + 1;
        Ok(Record::Pulls { at_us, samples: self.context.samples, count })
    }

    fn peer(&mut self, tag: u8) -> Result<Record, Fault> {
        self.only(tag, SAME | WENT | SWITCHED | BACKWARDS)?;
        let place = self.place(tag)?;
        let at_us = self.time(tag)?;
        match tag & (WENT | SWITCHED) {
            0 => {
                self.context.expected[usize::from(place)] = Arrived::default();
                Ok(Record::Added { at_us, place })
            }
            WENT => Ok(Record::Gone { at_us, place }),
            SWITCHED => Ok(Record::PathSwitch { at_us, place }),
            _ => Err(Fault::Wrong("a peer does one thing at a time")),
        }
    }

    fn only(&self, tag: u8, allowed: u8) -> Result<(), Fault> {
        if tag & !(KIND | allowed) == 0 { Ok(()) } else { Err(Fault::Wrong("a record has no such flag")) }
    }

    fn place(&mut self, tag: u8) -> Result<u8, Fault> {
        if tag & SAME == 0 {
            let place = self.byte()?;
            if usize::from(place) >= PLACES_MAX {
                return Err(Fault::Wrong("peers are numbered 0 to 63"));
            }
            self.context.place = place;
        }
        Ok(self.context.place)
    }

    fn operation(&mut self) -> Result<u8, Fault> {
        let operation = self.byte()?;
        if usize::from(operation) < OPERATIONS_MAX {
            Ok(operation)
        } else {
            Err(Fault::Wrong("a pull has at most 64 operations"))
        }
    }

    fn time(&mut self, tag: u8) -> Result<u64, Fault> {
        let distance = self.number()?;
        let at_us = if tag & BACKWARDS != 0 {
            self.context.at_us.checked_sub(distance)
        } else {
            self.context.at_us.checked_add(distance)
        };
        self.context.at_us = at_us.ok_or(Fault::Wrong("a time is out of range"))?;
        Ok(self.context.at_us)
    }

    fn number(&mut self) -> Result<u64, Fault> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Fault::Wrong("a number has at most 64 bits"))
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        let byte = self.bytes.get(self.offset).ok_or(Fault::Cut)?;
        self.offset += 1;
        Ok(*byte)
    }
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}
