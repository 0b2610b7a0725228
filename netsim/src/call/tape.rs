//! Sound written down so that tapes of several devices can be laid side by side: sample 0 is the world's zero.

use protocol::media::SAMPLE_RATE;
use std::time::Duration;

/// More than clocks of common sound cards (100 ppm) run astray in ten minutes; less than any suspension.
const PAUSE: usize = SAMPLE_RATE as usize / 10;

/// What one device heard or said, 48 kHz mono, silent where nothing was written.
///
/// What follows on without a gap is kept as it is, sample for sample: what a device's clock runs astray in one
/// stretch stays in, as in a real recording.
#[derive(Debug, Default)]
pub(super) struct Tape {
    samples: Vec<f32>,
    next: u64,
}

impl Tape {
    /// Writes a block: `position` is its first sample's in the device's own count, `at` the world's time of it.
    pub(super) fn write(&mut self, position: u64, at: Duration, block: &[f32]) {
        let start = (at.as_secs_f64() * f64::from(SAMPLE_RATE)).round() as usize;
        let seamless = position == self.next && !self.samples.is_empty();
        if start > self.samples.len() + if seamless { PAUSE } else { 0 } {
            self.samples.resize(start, 0.0);
        }
        self.samples.extend_from_slice(block);
        self.next = position + block.len() as u64;
    }

    /// All of it.
    pub(super) fn into_samples(self) -> Vec<f32> {
        self.samples
    }
}

#[cfg(test)]
mod tests {
    use super::Tape;
    use std::time::Duration;

    #[test]
    fn the_first_block_lies_where_the_world_had_it_and_the_next_follows_seamlessly() {
        let mut tape = Tape::default();
        tape.write(7, Duration::from_millis(10), &[0.5; 3]);
        // A clock that is slow by two samples.
        tape.write(10, Duration::from_nanos(10_000_000 + 5 * 20_833), &[0.25; 3]);
        let samples = tape.into_samples();
        assert_eq!(samples[..480], [0.0; 480]);
        assert_eq!(samples[480..], [0.5, 0.5, 0.5, 0.25, 0.25, 0.25]);
    }

    #[test]
    fn what_was_left_out_and_time_stood_still_are_silence() {
        let mut tape = Tape::default();
        tape.write(0, Duration::ZERO, &[0.5; 480]);
        tape.write(960, Duration::from_millis(20), &[0.5; 480]);
        tape.write(1440, Duration::from_secs(2), &[0.25; 480]);
        let samples = tape.into_samples();
        assert_eq!((samples[480], samples[959], samples[960]), (0.0, 0.0, 0.5));
        assert_eq!((samples[1440], samples[95_999], samples[96_000]), (0.0, 0.0, 0.25));
        assert_eq!(samples.len(), 96_480);
    }
}
