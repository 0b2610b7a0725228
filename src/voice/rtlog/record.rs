//! What one record says.

use super::format::SIZE_STEP;
use protocol::jitter::{Concealed, Report, has_fec};
use protocol::limits::OPUS_FRAME_BYTES_MAX;
use protocol::media::{Frame, FrameBytes, FrameOrigin, MediaTime};
use std::time::Duration;

/// One thing that happened. Times are microseconds since the engine's epoch; `place` is the peer's seat in the
/// mixer, which another may take once it is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Record {
    /// A peer's buffer was made.
    Added {
        /// When.
        at_us: u64,
        /// Whose.
        place: u8,
    },
    /// A peer left, or the call ended; its counters stand before this.
    Gone {
        /// When.
        at_us: u64,
        /// Whose.
        place: u8,
    },
    /// The buffer was told that the path to its peer changed.
    PathSwitch {
        /// When.
        at_us: u64,
        /// Whose.
        place: u8,
    },
    /// A frame was put into a peer's buffer.
    Arrival {
        /// When its packet was read.
        at_us: u64,
        /// Whose.
        place: u8,
        /// The frame.
        frame: Arrived,
    },
    /// The device asked every buffer for sound, several times over.
    Pulls {
        /// When.
        at_us: u64,
        /// Samples of each pull, at 48 kHz.
        samples: u16,
        /// How many pulls in a row, 1 to [`PULLS_MAX`](super::PULLS_MAX).
        count: u8,
    },
    /// In the last pull, stretching did something.
    Stretched {
        /// Whose.
        place: u8,
        /// The operation of the pull, from 0.
        operation: u8,
        /// Samples inserted, or removed when negative.
        samples: i32,
    },
    /// In the last pull, an operation yielded other than its nominal samples.
    Yielded {
        /// Whose.
        place: u8,
        /// The operation of the pull, from 0.
        operation: u8,
        /// Samples.
        samples: u32,
    },
    /// A counter of a buffer that is about to go. Those that are 0 are left out.
    Count {
        /// Whose.
        place: u8,
        /// Its index in [`counters`].
        counter: u8,
        /// Its value.
        value: u64,
    },
    /// So many records are missing here: they could not be written in time.
    Gap {
        /// How many.
        records: u64,
    },
}

/// A frame, without its sound.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Arrived {
    /// Number of the packet whose primary frame this is.
    pub sequence: u64,
    /// Media time in ticks of 2.5 ms.
    pub time: u64,
    /// Duration in ticks.
    pub ticks: u8,
    /// First frame of a talkspurt.
    pub start: bool,
    /// Last frame of a talkspurt.
    pub end: bool,
    /// A copy of an earlier frame.
    pub copy: bool,
    /// Carries error correction for the frame before it.
    pub fec: bool,
    /// Payload in steps of [`SIZE_STEP`] bytes, rounded up; 0 is none.
    pub size_steps: u8,
}

impl Arrived {
    /// What is logged of `frame`.
    pub fn of(frame: &Frame) -> Self {
        let payload = frame.payload.as_slice();
        Self {
            sequence: frame.sequence,
            time: frame.time.0,
            ticks: frame.ticks,
            start: frame.talkspurt_start,
            end: frame.talkspurt_end,
            copy: frame.origin == FrameOrigin::Redundant,
            fec: has_fec(payload),
            size_steps: payload.len().div_ceil(SIZE_STEP) as u8,
        }
    }

    /// A frame that a jitter buffer treats as the logged one. Its payload is no sound: one second byte says whether
    /// there is error correction, the rest is zeros.
    pub fn frame(&self) -> Frame {
        let mut payload = [0; OPUS_FRAME_BYTES_MAX];
        // SILK wideband of 20 ms with LBRR flag, or CELT, which has none (RFC 6716, sections 3.1 and 4.2.3).
        payload[..2].copy_from_slice(if self.fec { &[9 << 3, 0b0100_0000] } else { &[16 << 3, 0] });
        let len = (usize::from(self.size_steps) * SIZE_STEP).min(OPUS_FRAME_BYTES_MAX);
        Frame {
            sequence: self.sequence,
            time: MediaTime(self.time),
            ticks: self.ticks,
            talkspurt_start: self.start,
            talkspurt_end: self.end,
            origin: if self.copy { FrameOrigin::Redundant } else { FrameOrigin::Primary },
            payload: FrameBytes::new(&payload[..len]).expect("cut to the most that fits"),
        }
    }
}

/// Numbers in a buffer's report.
pub const COUNTERS: usize = 20;

/// A report as plain numbers: durations in microseconds, fractions by their bits.
pub fn counters(report: &Report) -> [u64; COUNTERS] {
    let us = |time: Duration| time.as_micros() as u64;
    let bits = |ms: f32| u64::from(ms.to_bits());
    let concealed = &report.concealed;
    [
        report.received,
        report.decoded,
        report.recovered,
        report.lost,
        report.late,
        report.duplicates,
        report.dropped,
        report.implausible,
        report.restarts,
        us(concealed.lost_on_path),
        us(concealed.late),
        us(concealed.sender_stalled),
        us(concealed.own_underrun),
        us(concealed.path_switch),
        us(report.expanded),
        us(report.accelerated),
        bits(report.target_ms),
        bits(report.depth_ms),
        bits(report.jitter_ms),
        report.waiting as u64,
    ]
}

/// The report of which `numbers` are the [`counters`].
pub fn report_of(numbers: &[u64; COUNTERS]) -> Report {
    let us = Duration::from_micros;
    let ms = |bits: u64| f32::from_bits(bits as u32);
    let [received, decoded, recovered, lost, late, duplicates, dropped, implausible, restarts, ..] = *numbers;
    let [
        ..,
        path_lost,
        path_late,
        stalled,
        own,
        switch,
        expanded,
        accelerated,
        target,
        depth,
        jitter,
        waiting,
    ] = *numbers;
    Report {
        received,
        decoded,
        recovered,
        lost,
        late,
        duplicates,
        dropped,
        implausible,
        restarts,
        concealed: Concealed {
            lost_on_path: us(path_lost),
            late: us(path_late),
            sender_stalled: us(stalled),
            own_underrun: us(own),
            path_switch: us(switch),
        },
        expanded: us(expanded),
        accelerated: us(accelerated),
        target_ms: ms(target),
        depth_ms: ms(depth),
        jitter_ms: ms(jitter),
        waiting: waiting as usize,
    }
}

#[cfg(test)]
mod tests {
    use super::{Arrived, COUNTERS, counters, report_of};
    use protocol::jitter::has_fec;

    #[test]
    fn a_logged_frame_stands_for_the_real_one() {
        for (fec, size_steps) in [(false, 0), (false, 1), (true, 1), (true, 13)] {
            let arrived =
                Arrived { sequence: 7, time: 99, ticks: 8, end: true, fec, size_steps, ..Arrived::default() };
            let frame = arrived.frame();
            assert_eq!(Arrived::of(&frame), arrived);
            assert_eq!(has_fec(frame.payload.as_slice()), fec);
            assert_eq!(frame.payload.as_slice().is_empty(), size_steps == 0);
        }
    }

    #[test]
    fn a_report_survives_as_numbers() {
        let numbers: [u64; COUNTERS] = std::array::from_fn(|n| n as u64 * 2_500 + 1);
        assert_eq!(counters(&report_of(&numbers)), numbers);
    }
}
