//! A log file as what it says: the device's pulls, which all peers share, and each peer's arrivals among them.
//!
//! Memory is in proportion to the file, whatever is in it: nothing is expanded, and counts are bounded by the format.

use protocol::jitter::{JitterConfig, Report};
use roundtable::voice::rtlog::{
    Arrived, COUNTERS, Decoder, Fault, HEADER_VERSION, PLACES_MAX, Record, report_of,
};
use std::ops::Range;
use std::time::Duration;

/// Far beyond any real configuration, and far below what the buffer's sums could not hold.
const TARGET_MAX: Duration = Duration::from_secs(60);
const SHIFT_MAX_US: u64 = 60_000_000;

/// Why a file is no log that can be replayed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// It does not begin like one.
    #[error(
        "this is no log of a call: {0}; one is written by `roundtable host --rtlog FILE` and `join --rtlog FILE`"
    )]
    NotALog(&'static str),
    /// It ends within its header.
    #[error("the log is cut off within its header, after {0} bytes: nothing of the call is in it")]
    NoHeader(usize),
    /// Written by a newer version.
    #[error(
        "the log has version {0}, this program reads version {HEADER_VERSION}: use the roundtable that wrote it"
    )]
    Version(u8),
    /// Damaged.
    #[error("the log is damaged at byte {offset}: {reason}")]
    Damaged {
        /// Bytes from the start of the file.
        offset: usize,
        /// What should be there.
        reason: &'static str,
    },
}

/// A call as one member's engine saw it.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// How the buffers were configured.
    pub config: JitterConfig,
    /// What the device asked for, in order.
    pub pulls: Vec<PullRun>,
    /// The peers, in the order in which they came.
    pub peers: Vec<LoggedPeer>,
    /// Records that could not be written in time. If there are any, the replay differs from the call.
    pub missing: u64,
    /// Where the file ends within a record, in bytes: the program broke off while writing, or a copy is incomplete.
    pub cut_at: Option<usize>,
}

/// Pulls at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PullRun {
    /// When, in microseconds since the start of the program.
    pub at_us: u64,
    /// Samples of each, at 48 kHz.
    pub samples: u16,
    /// How many.
    pub count: u8,
}

/// One peer.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedPeer {
    /// From 1, in the order in which peers came.
    pub number: usize,
    /// When it came, in microseconds.
    pub added_us: u64,
    /// When it went; `None` if the log ends before.
    pub gone_us: Option<u64>,
    /// Its part of [`Log::pulls`].
    pub pulls: Range<usize>,
    /// What its buffer was given.
    pub inputs: Vec<Input>,
    /// What depended on its sound, in order.
    pub notes: Vec<Note>,
    /// Its buffer's account at the end of the live call; `None` if the log ends before.
    pub live: Option<Report>,
}

/// Something that a buffer was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input {
    /// Before this one of [`Log::pulls`].
    pub before: usize,
    /// When, in microseconds.
    pub at_us: u64,
    /// What.
    pub what: What,
}

/// What a buffer is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A frame.
    Frame(Arrived),
    /// The news that the path was changed.
    PathSwitch,
}

/// What the sound made of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Note {
    /// In the last pull of this one of [`Log::pulls`].
    pub pull: usize,
    /// The operation of the pull, from 0.
    pub operation: u8,
    /// Samples that stretching inserted, or removed when negative.
    pub stretched: i32,
    /// Samples that the operation yielded, when not the nominal ones.
    pub yielded: Option<u32>,
}

/// Reads a log. One that is cut short is read up to the cut.
///
/// # Errors
/// When the bytes are no log, or damaged.
pub fn read(bytes: &[u8]) -> Result<Log, LogError> {
    let (mut decoder, config) = Decoder::new(bytes).map_err(|fault| match fault {
        Fault::Cut => LogError::NoHeader(bytes.len()),
        Fault::Wrong(reason) => LogError::NotALog(reason),
        Fault::Version(version) => LogError::Version(version),
    })?;
    let bounded = |time: Duration| time <= TARGET_MAX;
    if !bounded(config.target_min)
        || !bounded(config.target_max)
        || config.target_shift_us.unsigned_abs() > SHIFT_MAX_US
    {
        let reason = "no buffer is configured so: its target is beyond a minute";
        return Err(LogError::Damaged { offset: decoder.offset(), reason });
    }
    let log = Log { config, pulls: Vec::new(), peers: Vec::new(), missing: 0, cut_at: None };
    let mut reader = Reader { log, places: [const { None }; PLACES_MAX] };
    loop {
        let began = decoder.offset();
        match decoder.read() {
            Ok(Some(record)) => {
                reader.take(record).map_err(|reason| LogError::Damaged { offset: began, reason })?;
            }
            Ok(None) => break,
            Err(Fault::Cut) => {
                reader.log.cut_at = Some(began);
                break;
            }
            Err(Fault::Wrong(reason)) => {
                return Err(LogError::Damaged { offset: decoder.offset(), reason });
            }
            Err(Fault::Version(version)) => return Err(LogError::Version(version)),
        }
    }
    Ok(reader.finish())
}

/// Somebody who is there.
#[derive(Clone)]
struct Present {
    peer: usize,
    counters: [u64; COUNTERS],
}

struct Reader {
    log: Log,
    places: [Option<Present>; PLACES_MAX],
}

impl Reader {
    fn take(&mut self, record: Record) -> Result<(), &'static str> {
        match record {
            Record::Added { at_us, place } => return self.add(at_us, place),
            Record::Gone { at_us, place } => {
                self.present(place)?;
                if let Some(present) = self.places[usize::from(place)].take() {
                    let pulls = self.log.pulls.len();
                    let peer = &mut self.log.peers[present.peer];
                    peer.gone_us = Some(at_us);
                    peer.pulls.end = pulls;
                    peer.live = Some(report_of(&present.counters));
                }
            }
            Record::PathSwitch { at_us, place } => self.input(place, at_us, What::PathSwitch)?,
            Record::Arrival { at_us, place, frame } => self.input(place, at_us, What::Frame(frame))?,
            Record::Pulls { at_us, samples, count } => self.log.pulls.push(PullRun { at_us, samples, count }),
            Record::Stretched { place, operation, samples } => {
                self.note(place, operation, |note| note.stretched = samples)?;
            }
            Record::Yielded { place, operation, samples } => {
                self.note(place, operation, |note| note.yielded = Some(samples))?;
            }
            Record::Count { place, counter, value } => {
                self.present(place)?;
                if let Some(present) = &mut self.places[usize::from(place)] {
                    present.counters[usize::from(counter)] = value;
                }
            }
            Record::Gap { records } => self.log.missing = self.log.missing.saturating_add(records),
        }
        Ok(())
    }

    fn add(&mut self, at_us: u64, place: u8) -> Result<(), &'static str> {
        let place = &mut self.places[usize::from(place)];
        if let Some(before) = place.take() {
            if self.log.missing == 0 {
                return Err("a peer comes where another still is");
            }
            // That it went is among what is missing.
            self.log.peers[before.peer].pulls.end = self.log.pulls.len();
        }
        *place = Some(Present { peer: self.log.peers.len(), counters: [0; COUNTERS] });
        let began = self.log.pulls.len();
        self.log.peers.push(LoggedPeer {
            number: self.log.peers.len() + 1,
            added_us: at_us,
            gone_us: None,
            pulls: began..began,
            inputs: Vec::new(),
            notes: Vec::new(),
            live: None,
        });
        Ok(())
    }

    /// The peer there; none only when its coming may be among what is missing.
    fn present(&mut self, place: u8) -> Result<Option<&mut LoggedPeer>, &'static str> {
        match &self.places[usize::from(place)] {
            Some(present) => Ok(Some(&mut self.log.peers[present.peer])),
            None if self.log.missing > 0 => Ok(None),
            None => Err("this peer is not there"),
        }
    }

    fn input(&mut self, place: u8, at_us: u64, what: What) -> Result<(), &'static str> {
        let before = self.log.pulls.len();
        if let Some(peer) = self.present(place)? {
            peer.inputs.push(Input { before, at_us, what });
        }
        Ok(())
    }

    fn note(&mut self, place: u8, operation: u8, set: impl FnOnce(&mut Note)) -> Result<(), &'static str> {
        let pulls = self.log.pulls.len();
        let Some(peer) = self.present(place)? else { return Ok(()) };
        if pulls == peer.pulls.start {
            return Err("nothing was pulled from this peer yet");
        }
        let (pull, blank) = (pulls - 1, Note { pull: pulls - 1, operation, stretched: 0, yielded: None });
        match peer.notes.last_mut() {
            Some(note) if (note.pull, note.operation) == (pull, operation) => set(note),
            _ => {
                let mut note = blank;
                set(&mut note);
                peer.notes.push(note);
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Log {
        for present in self.places.into_iter().flatten() {
            self.log.peers[present.peer].pulls.end = self.log.pulls.len();
        }
        self.log
    }
}
