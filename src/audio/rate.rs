//! From one sample rate to another, in steps of a millisecond.
//!
//! The filter is a windowed sinc rather than a polynomial: it costs well under one percent of a
//! core for one mono voice, and keeps the images of an 8 kHz file and the aliases of a 96 kHz
//! one out of the call. What it must not cost is time, hence the short filter.

use rubato::{
    Async, FixedAsync, Resampler, SincInterpolationParameters, SincInterpolationType, WindowFunction,
    audioadapter_buffers::direct::InterleavedSlice,
};

/// Taps of the filter: half of them are delay, 0.7 ms at 44.1 kHz.
const SINC_TAPS: usize = 64;
/// Rates that a device or a file may have. Below, a 10 ms block is too small to pace by; above is
/// no sound hardware.
pub(crate) const RATES: std::ops::RangeInclusive<u32> = 2_000..=768_000;

/// Converts a mono stream. Everything it needs is allocated by [`new`](Self::new).
pub struct RateConverter {
    inner: Async<f32>,
    chunk: Box<[f32]>,
    filled: usize,
    converted: Box<[f32]>,
}

impl RateConverter {
    /// `None` when the rates (in hertz, 2,000 to 768,000) are equal and nothing is to be done.
    ///
    /// # Panics
    /// When a rate is outside these bounds.
    pub fn new(from: u32, to: u32) -> Option<Self> {
        if from == to {
            return None;
        }
        assert!(RATES.contains(&from) && RATES.contains(&to), "rates are checked when a device opens");
        let parameters = SincInterpolationParameters::new(SINC_TAPS, WindowFunction::Blackman2)
            .oversampling_factor(256)
            .interpolation(SincInterpolationType::Linear);
        let chunk = (from / 1000) as usize;
        let ratio = f64::from(to) / f64::from(from);
        let inner = Async::new_sinc(ratio, 1.0, &parameters, chunk, 1, FixedAsync::Input)
            .expect("the ratio is finite and positive, and the chunk is not empty");
        let converted = vec![0.0; inner.output_frames_max()].into_boxed_slice();
        Some(Self { inner, chunk: vec![0.0; chunk].into_boxed_slice(), filled: 0, converted })
    }

    /// Takes all of `input` and hands `sink` what has become ready, in one or more pieces. Up to
    /// a millisecond stays inside until more comes.
    pub fn push(&mut self, mut input: &[f32], mut sink: impl FnMut(&[f32])) {
        while !input.is_empty() {
            let take = input.len().min(self.chunk.len() - self.filled);
            let (now, later) = input.split_at(take);
            self.chunk[self.filled..self.filled + take].copy_from_slice(now);
            self.filled += take;
            input = later;
            if self.filled == self.chunk.len() {
                self.filled = 0;
                sink(self.convert());
            }
        }
    }

    fn convert(&mut self) -> &[f32] {
        let (chunk, room) = (self.chunk.len(), self.converted.len());
        let input =
            InterleavedSlice::new(&self.chunk, 1, chunk).expect("the slice has as many frames as said");
        let mut output = InterleavedSlice::new_mut(&mut self.converted, 1, room)
            .expect("the slice has as many frames as said");
        let (_, written) = self
            .inner
            .process_into_buffer(&input, &mut output, None)
            .expect("the buffers are sized for this converter");
        &self.converted[..written]
    }
}

#[cfg(test)]
mod tests {
    use super::RateConverter;
    use crate::audio::signal::{level, pitch, sine};

    #[test]
    fn equal_rates_need_no_conversion() {
        assert!(RateConverter::new(48_000, 48_000).is_none());
    }

    #[test]
    fn pitch_and_level_survive_every_rate() {
        for (from, to) in
            [(8_000, 48_000), (11_025, 48_000), (44_100, 48_000), (96_000, 48_000), (48_000, 44_100)]
        {
            let mut converter = RateConverter::new(from, to).unwrap();
            let mut heard = Vec::new();
            for block in sine(1000.0, from, 2 * from as usize, 0.5).chunks(137) {
                converter.push(block, |ready| heard.extend_from_slice(ready));
            }
            let steady = &heard[to as usize / 2..];
            assert!((heard.len() as f64 / f64::from(to) - 2.0).abs() < 0.01, "{from}: {}", heard.len());
            assert!((pitch(steady, to) - 1000.0).abs() < 2.0, "{from}: {}", pitch(steady, to));
            assert!((level(steady) - 0.5).abs() < 0.01, "{from}: {}", level(steady));
        }
    }

    #[test]
    fn what_would_fold_into_hearing_is_filtered_out() {
        let mut converter = RateConverter::new(96_000, 48_000).unwrap();
        let mut heard = Vec::new();
        converter.push(&sine(33_000.0, 96_000, 96_000, 0.5), |ready| heard.extend_from_slice(ready));
        assert!(level(&heard[4800..]) < 0.005, "{}", level(&heard[4800..]));
    }
}
