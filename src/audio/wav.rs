//! WAV files as microphones and speakers.
//!
//! Reading takes any rate, any channel count, integers of 8 to 32 bits and floats. Writing is
//! always 16-bit mono at 48 kHz. Samples are read and written by the simulated device's own
//! thread, never by a callback.

use std::{
    fs::File,
    io::{BufReader, BufWriter},
    path::Path,
};

use hound::{SampleFormat, WavReader, WavSpec, WavWriter};

use super::{AudioError, line::ENGINE_RATE, rate::RATES};

/// A WAV header counts bytes in 32 bits; past this (12 hours) the file stays as it is.
const FRAMES_MAX: u32 = (u32::MAX - 4096) / 2;
/// More channels are no recording of a voice, and would make blocks of any size.
const CHANNELS_MAX: u16 = 64;

/// A file being recorded from.
pub(crate) struct WavSource {
    reader: WavReader<BufReader<File>>,
    repeat: bool,
    ended: bool,
}

impl WavSource {
    pub(crate) fn open(path: &Path, repeat: bool) -> Result<Self, AudioError> {
        let unreadable = |reason: String| AudioError::FileUnreadable { path: path.to_owned(), reason };
        let reader = WavReader::open(path).map_err(|error| unreadable(describe(&error)))?;
        let WavSpec { channels, sample_rate, .. } = reader.spec();
        if !RATES.contains(&sample_rate) {
            return Err(unreadable(format!("a sample rate of {sample_rate} Hz is not supported")));
        }
        if !(1..=CHANNELS_MAX).contains(&channels) {
            return Err(unreadable(format!("{channels} channels are not supported")));
        }
        if reader.duration() == 0 {
            return Err(unreadable("it holds no sound".to_owned()));
        }
        Ok(Self { reader, repeat, ended: false })
    }

    /// Samples a second.
    pub(crate) fn rate(&self) -> u32 {
        self.reader.spec().sample_rate
    }

    /// How many samples make a frame.
    pub(crate) fn channels(&self) -> usize {
        usize::from(self.reader.spec().channels)
    }

    /// The next interleaved samples, full scale at +-1; silence after the end.
    pub(crate) fn fill(&mut self, block: &mut [f32]) {
        let mut filled = 0;
        let mut barren = false;
        while filled < block.len() && !self.ended {
            let read = self.read(&mut block[filled..]);
            filled += read;
            if filled < block.len() {
                // The first empty read may be the file's end at a block's end; two have no sound
                // between them.
                let rewound = self.repeat && self.reader.seek(0).is_ok();
                self.ended = !rewound || (read == 0 && barren);
                barren = read == 0;
            }
        }
        block[filled..].fill(0.0);
    }

    /// Reads until `block` is full, the file ends, or a sample is broken.
    fn read(&mut self, block: &mut [f32]) -> usize {
        let WavSpec { bits_per_sample, sample_format, .. } = self.reader.spec();
        let mut read = 0;
        match sample_format {
            SampleFormat::Float => {
                for (slot, sample) in block.iter_mut().zip(self.reader.samples::<f32>().map_while(Result::ok))
                {
                    *slot = if sample.is_finite() { sample } else { 0.0 };
                    read += 1;
                }
            }
            SampleFormat::Int => {
                let scale = 1.0 / 2_f32.powi(i32::from(bits_per_sample) - 1);
                for (slot, sample) in block.iter_mut().zip(self.reader.samples::<i32>().map_while(Result::ok))
                {
                    *slot = sample as f32 * scale;
                    read += 1;
                }
            }
        }
        read
    }
}

/// A file being played into: 16-bit mono at [`ENGINE_RATE`].
pub(crate) struct WavSink {
    writer: WavWriter<BufWriter<File>>,
    written: u32,
    unflushed: u32,
}

impl WavSink {
    pub(crate) fn create(path: &Path) -> Result<Self, AudioError> {
        let unwritable = |error: hound::Error| AudioError::FileUnwritable {
            path: path.to_owned(),
            reason: describe(&error),
        };
        let spec = WavSpec {
            channels: 1,
            sample_rate: ENGINE_RATE,
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        let mut writer = WavWriter::create(path, spec).map_err(unwritable)?;
        writer.flush().map_err(unwritable)?;
        Ok(Self { writer, written: 0, unflushed: 0 })
    }

    /// Appends mono samples. Each second the header is brought up to date, so that the file is
    /// whole up to there even if the process is killed.
    ///
    /// A full disk ends the recording, not the call: errors are dropped here, and what was
    /// flushed stays readable.
    pub(crate) fn write(&mut self, samples: &[f32]) {
        for &sample in samples {
            if self.written >= FRAMES_MAX
                || self.writer.write_sample((sample.clamp(-1.0, 1.0) * 32_767.0).round() as i16).is_err()
            {
                return;
            }
            self.written += 1;
        }
        self.unflushed += samples.len() as u32;
        if self.unflushed >= ENGINE_RATE {
            self.unflushed = 0;
            let _ = self.writer.flush();
        }
    }
}

fn describe(error: &hound::Error) -> String {
    match error {
        hound::Error::IoError(io) => io.to_string(),
        hound::Error::FormatError(what) => format!("it is not a WAV file ({what})"),
        hound::Error::TooWide
        | hound::Error::UnfinishedSample
        | hound::Error::Unsupported
        | hound::Error::InvalidSampleFormat => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use hound::{SampleFormat, WavReader, WavSpec, WavWriter};

    use super::{WavSink, WavSource};

    fn write(path: &Path, bits: u16, format: SampleFormat, samples: &[f32]) {
        let spec = WavSpec { channels: 1, sample_rate: 8000, bits_per_sample: bits, sample_format: format };
        let mut writer = WavWriter::create(path, spec).unwrap();
        for &sample in samples {
            match format {
                SampleFormat::Float => writer.write_sample(sample).unwrap(),
                SampleFormat::Int => {
                    let full = 2_f64.powi(i32::from(bits) - 1);
                    writer.write_sample((f64::from(sample) * full) as i32).unwrap();
                }
            }
        }
        writer.finalize().unwrap();
    }

    #[test]
    fn every_sample_width_reads_at_the_same_level_and_silence_follows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("in.wav");
        for (bits, format) in [
            (8, SampleFormat::Int),
            (16, SampleFormat::Int),
            (24, SampleFormat::Int),
            (32, SampleFormat::Int),
            (32, SampleFormat::Float),
        ] {
            write(&path, bits, format, &[0.5, -0.25]);
            let mut block = [9.0; 4];
            WavSource::open(&path, false).unwrap().fill(&mut block);
            assert_eq!(block, [0.5, -0.25, 0.0, 0.0], "{bits} bits");
        }
    }

    #[test]
    fn a_looped_file_starts_again_without_a_gap() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("in.wav");
        write(&path, 16, SampleFormat::Int, &[0.5, 0.25, -0.5]);
        let mut source = WavSource::open(&path, true).unwrap();
        let mut block = [9.0; 7];
        source.fill(&mut block);
        assert_eq!(block, [0.5, 0.25, -0.5, 0.5, 0.25, -0.5, 0.5]);
        source.fill(&mut block[..2]);
        assert_eq!(block[..2], [0.25, -0.5], "up to the file's end");
        source.fill(&mut block[..3]);
        assert_eq!(block[..3], [0.5, 0.25, -0.5], "from its beginning");
    }

    #[test]
    fn unusable_files_are_refused_with_a_reason() {
        let dir = tempfile::tempdir().unwrap();
        let missing = WavSource::open(&dir.path().join("none.wav"), false).err().unwrap().to_string();
        assert!(missing.contains("none.wav") && missing.contains("No such file"), "{missing}");
        let path = dir.path().join("text.wav");
        std::fs::write(&path, "this is no sound").unwrap();
        let text = WavSource::open(&path, false).err().unwrap().to_string();
        assert!(text.contains("not a WAV file"), "{text}");
        write(&path, 16, SampleFormat::Int, &[]);
        let empty = WavSource::open(&path, false).err().unwrap().to_string();
        assert!(empty.contains("no sound"), "{empty}");
        assert!(WavSink::create(&dir.path().join("no/such/out.wav")).is_err());
    }

    #[test]
    fn what_was_written_is_readable_though_the_file_was_never_closed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.wav");
        let mut sink = WavSink::create(&path).unwrap();
        assert_eq!(WavReader::open(&path).unwrap().duration(), 0);
        for _ in 0..250 {
            sink.write(&[0.5; 480]);
        }
        std::mem::forget(sink);
        let mut reader = WavReader::open(&path).unwrap();
        assert_eq!(reader.duration(), 2 * 48_000, "whole seconds are safe");
        assert!(reader.samples::<i16>().all(|sample| sample.unwrap() == 16_384));
    }
}
