//! Trace files: delays packet by packet, and delivery opportunities.
//!
//! Both are text, one number a line; empty lines, spaces and whatever follows a `#` are ignored. A wrong line is told by
//! its number.

use super::spread::{LONGEST_MS, ns_from_ms};

/// Longer files are refused: an hour of 10 ms packets is 360,000 lines.
const VALUES_MAX: usize = 2_000_000;

/// What a file gives each packet: a delay, or loss. At least one value.
#[derive(Clone, Debug, PartialEq)]
pub struct DelayTrace {
    /// In ns; `None` is a lost packet.
    delays: Vec<Option<u64>>,
}

impl DelayTrace {
    /// Reads one value a packet: ms, or -1 for a lost one.
    pub fn parse(text: &str) -> Result<Self, TraceError> {
        let mut delays = Vec::new();
        for (line, value) in values(text) {
            delays.push(delay(line, value)?);
            check_length(line, delays.len())?;
        }
        if delays.is_empty() { Err(TraceError::Empty) } else { Ok(DelayTrace { delays }) }
    }

    /// How many packets it has values for.
    pub fn packets(&self) -> usize {
        self.delays.len()
    }

    /// The delay in ns of packet `index` modulo its length; `None` is a lost packet.
    pub(super) fn at(&self, index: usize) -> Option<u64> {
        self.delays[index % self.delays.len()]
    }
}

/// Times at which a link can deliver, as mahimahi's traces say them (Netravali et al., Mahimahi: Accurate
/// Record-and-Replay for HTTP, USENIX ATC 2015): each line is a time in whole ms at which 1500 bytes can leave, the same
/// time twice is twice as much, and the last time is when the trace begins again.
#[derive(Clone, Debug, PartialEq)]
pub struct OpportunityTrace {
    /// In ns, never decreasing; the last is above 0.
    times: Vec<u64>,
}

impl OpportunityTrace {
    /// Reads one time a line.
    pub fn parse(text: &str) -> Result<Self, TraceError> {
        let mut times = Vec::new();
        let mut previous = 0;
        for (line, value) in values(text) {
            let ms = opportunity(line, value, previous)?;
            times.push(ms * 1_000_000);
            check_length(line, times.len())?;
            previous = ms;
        }
        if times.is_empty() {
            return Err(TraceError::Empty);
        }
        if previous == 0 { Err(TraceError::NoTime) } else { Ok(OpportunityTrace { times }) }
    }

    /// How many opportunities one pass through it has.
    pub fn opportunities(&self) -> usize {
        self.times.len()
    }

    /// In ns, of one pass.
    pub(super) fn times(&self) -> &[u64] {
        &self.times
    }
}

/// What is wrong with a trace file. Lines count from 1.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// Nothing but comments.
    #[error("it holds no values; write one number a line")]
    Empty,
    /// Not a number.
    #[error("line {line}: `{text}` is no number of milliseconds; write e.g. 23.5, or -1 for a lost packet")]
    NotANumber {
        /// Where.
        line: usize,
        /// What stands there.
        text: String,
    },
    /// NaN or infinite.
    #[error(
        "line {line}: `{text}` is no delay that a packet can have; write e.g. 23.5, or -1 for a lost packet"
    )]
    NotFinite {
        /// Where.
        line: usize,
        /// What stands there.
        text: String,
    },
    /// Below 0, but not -1.
    #[error("line {line}: {ms} ms is a negative delay; only -1, for a lost packet, may be below 0")]
    Negative {
        /// Where.
        line: usize,
        /// What stands there.
        ms: f64,
    },
    /// More than a minute.
    #[error("line {line}: {ms} ms is more than a minute (60000 ms); is the file in milliseconds?")]
    TooLong {
        /// Where.
        line: usize,
        /// The delay, or the time since the opportunity before.
        ms: f64,
    },
    /// An opportunity that is no whole number of ms.
    #[error("line {line}: `{text}` is no whole number of milliseconds; an opportunity is e.g. 23")]
    NotWhole {
        /// Where.
        line: usize,
        /// What stands there.
        text: String,
    },
    /// An opportunity before the one before it.
    #[error("line {line}: {ms} ms comes after {previous} ms; opportunities never go back in time")]
    Decreasing {
        /// Where.
        line: usize,
        /// What stands there.
        ms: u64,
        /// What stands before.
        previous: u64,
    },
    /// All opportunities at 0.
    #[error(
        "its last opportunity is at 0 ms, so it never ends; the last line says when the trace begins again"
    )]
    NoTime,
    /// Too many values.
    #[error("line {line}: more than {VALUES_MAX} values; cut the file")]
    TooManyValues {
        /// Where.
        line: usize,
    },
}

/// Each value with its line number.
fn values(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.split('#').next().unwrap_or_default().trim()))
        .filter(|(_, value)| !value.is_empty())
}

fn delay(line: usize, value: &str) -> Result<Option<u64>, TraceError> {
    let text = || value.to_owned();
    let ms: f64 = value.parse().map_err(|_| TraceError::NotANumber { line, text: text() })?;
    if !ms.is_finite() {
        return Err(TraceError::NotFinite { line, text: text() });
    }
    if ms == -1.0 {
        return Ok(None);
    }
    if ms < 0.0 {
        return Err(TraceError::Negative { line, ms });
    }
    if ms > LONGEST_MS {
        return Err(TraceError::TooLong { line, ms });
    }
    Ok(Some(ns_from_ms(ms)))
}

fn opportunity(line: usize, value: &str, previous: u64) -> Result<u64, TraceError> {
    let ms: u64 = value.parse().map_err(|_| TraceError::NotWhole { line, text: value.to_owned() })?;
    if ms < previous {
        return Err(TraceError::Decreasing { line, ms, previous });
    }
    let gap = (ms - previous) as f64;
    if gap > LONGEST_MS { Err(TraceError::TooLong { line, ms: gap }) } else { Ok(ms) }
}

fn check_length(line: usize, count: usize) -> Result<(), TraceError> {
    if count > VALUES_MAX { Err(TraceError::TooManyValues { line }) } else { Ok(()) }
}

/// The traces that come with the program, by name: also examples of the two formats.
pub const BUNDLED_TRACES: [(&str, &str); 3] = [
    ("stalls.delays", include_str!("../../traces/stalls.delays")),
    ("reordering.delays", include_str!("../../traces/reordering.delays")),
    ("fading.opportunities", include_str!("../../traces/fading.opportunities")),
];

/// The text of a bundled trace.
pub fn bundled_trace(name: &str) -> Option<&'static str> {
    BUNDLED_TRACES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(text: &str) -> Result<Vec<Option<u64>>, TraceError> {
        DelayTrace::parse(text).map(|trace| trace.delays)
    }

    #[test]
    fn comments_and_empty_lines_are_skipped_but_counted() {
        let text = "# ms\r\n\r\n 23.5 # first\r\n-1\n-1.0\n0\n";
        assert_eq!(delays(text).unwrap(), [Some(23_500_000), None, None, Some(0)]);
        assert_eq!(
            delays("# ms\n\n1\nabc").unwrap_err().to_string(),
            "line 4: `abc` is no number of milliseconds; write e.g. 23.5, or -1 for a lost packet"
        );
    }

    #[test]
    fn each_mistake_in_a_delay_trace_has_its_own_error() {
        assert_eq!(delays("# nothing\n\n"), Err(TraceError::Empty));
        assert_eq!(delays("1\nNaN"), Err(TraceError::NotFinite { line: 2, text: "NaN".into() }));
        assert_eq!(delays("inf"), Err(TraceError::NotFinite { line: 1, text: "inf".into() }));
        assert_eq!(delays("-2"), Err(TraceError::Negative { line: 1, ms: -2.0 }));
        assert_eq!(delays("1\n2\n60000.5"), Err(TraceError::TooLong { line: 3, ms: 60_000.5 }));
        assert!(matches!(delays("1 2"), Err(TraceError::NotANumber { line: 1, .. })));
        assert!(delays("60000").is_ok());
    }

    #[test]
    fn each_mistake_in_an_opportunity_trace_has_its_own_error() {
        let parse = OpportunityTrace::parse;
        assert_eq!(parse(""), Err(TraceError::Empty));
        assert_eq!(parse("1.5"), Err(TraceError::NotWhole { line: 1, text: "1.5".into() }));
        assert_eq!(parse("-1"), Err(TraceError::NotWhole { line: 1, text: "-1".into() }));
        assert_eq!(parse("# x\n7\n5"), Err(TraceError::Decreasing { line: 3, ms: 5, previous: 7 }));
        assert_eq!(parse("1\n60002"), Err(TraceError::TooLong { line: 2, ms: 60_001.0 }));
        assert_eq!(parse("0\n0"), Err(TraceError::NoTime));
        assert_eq!(parse("0\n0\n3\n3").unwrap().opportunities(), 4);
    }

    #[test]
    fn too_long_a_file_is_refused() {
        let text = "1\n".repeat(VALUES_MAX + 1);
        assert_eq!(delays(&text), Err(TraceError::TooManyValues { line: VALUES_MAX + 1 }));
    }
}
