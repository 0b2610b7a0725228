//! Recording: one WAV per voice plus the mix, written away from the voice thread.
//!
//! The engine copies what it renders into rings; a thread of its own empties them into files twenty times a
//! second. All files begin at the same moment, the start of the recording: a voice that comes later begins with
//! silence. Headers are brought up to date every second, so a crash costs at most that. Files are 16-bit
//! PCM, 48 kHz, mono.

use hound::{SampleFormat, WavSpec, WavWriter};
use protocol::media::SAMPLE_RATE;
use rtrb::{Consumer, Producer, RingBuffer};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Two seconds: the disk may be slow for that long before a recording has a gap.
const RING_SAMPLES: usize = 2 * SAMPLE_RATE as usize;

const WRITE_INTERVAL: Duration = Duration::from_millis(50);

/// Writes between two updates of the headers: one second.
const WRITES_PER_FLUSH: u32 = 20;

/// `RIFF` and the size after it, which does not count them.
const RIFF_PREFIX: u64 = 8;

/// The engine's end of one track. A full ring drops samples rather than wait.
pub struct Track(Producer<f32>);

impl Track {
    /// Appends samples (48 kHz mono); never waits or allocates.
    pub fn write(&mut self, samples: &[f32]) {
        for sample in samples {
            // Full: the disk has stood still for two seconds.
            let _ = self.0.push(*sample);
        }
    }
}

/// Writes tracks to a folder until it is dropped.
pub struct Recorder {
    folder: PathBuf,
    tracks: Option<Sender<(PathBuf, u64, Consumer<f32>)>>,
    thread: Option<JoinHandle<()>>,
    started: Instant,
}

impl Recorder {
    /// Starts a recorder; makes the folder if it is missing.
    pub fn start(folder: &Path) -> io::Result<Self> {
        create_folder(folder)?;
        let (tracks, new_tracks) = mpsc::channel::<(PathBuf, u64, Consumer<f32>)>();
        let thread = thread::Builder::new().name("recorder".into()).spawn(move || {
            let mut open: Vec<(Consumer<f32>, WavWriter<BufWriter<File>>)> = Vec::new();
            let mut writes = 0u32;
            loop {
                let mut finished = false;
                match new_tracks.recv_timeout(WRITE_INTERVAL) {
                    Ok((path, silence, samples)) => match create(&path, silence) {
                        Ok(writer) => open.push((samples, writer)),
                        Err(error) => tracing::warn!(%error, path = %path.display(), "not recorded"),
                    },
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => finished = true,
                }
                writes = writes.wrapping_add(1);
                let flush = writes.is_multiple_of(WRITES_PER_FLUSH);
                open.retain_mut(|(samples, writer)| {
                    let gone = samples.is_abandoned();
                    let written =
                        drain(samples, writer).and_then(|()| if flush { writer.flush() } else { Ok(()) });
                    written.is_ok() && !gone
                });
                if finished {
                    return;
                }
            }
        })?;
        Ok(Self {
            folder: folder.to_owned(),
            tracks: Some(tracks),
            thread: Some(thread),
            started: Instant::now(),
        })
    }

    /// A new track in a file called after `name`.
    pub fn track(&self, name: &str) -> io::Result<Track> {
        let safe: String =
            name.chars().map(|c| if c.is_alphanumeric() || c == '-' { c } else { '_' }).collect();
        let path = self.claim(&safe)?;
        let (producer, consumer) = RingBuffer::new(RING_SAMPLES);
        let silence = (self.started.elapsed().as_secs_f64() * f64::from(SAMPLE_RATE)) as u64;
        if let Some(tracks) = &self.tracks {
            // The thread ends only when this sender is dropped.
            let _ = tracks.send((path, silence, consumer));
        }
        Ok(Track(producer))
    }

    /// Makes a file whose name no other recording in this folder has.
    fn claim(&self, name: &str) -> io::Result<PathBuf> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        for number in 1.. {
            let file = if number == 1 { format!("{name}.wav") } else { format!("{name}-{number}.wav") };
            let path = self.folder.join(file);
            match options.open(&path) {
                Ok(_) => return Ok(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        unreachable!("an endless count has a free number")
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.tracks = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Makes a folder that only this user can look into: it holds what others said.
fn create_folder(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Begins a track with `silence` samples of zeros. They are a hole in the file: hours of them are there at once
/// and take no space, where writing them would hold up every other track.
fn create(path: &Path, silence: u64) -> hound::Result<WavWriter<BufWriter<File>>> {
    let spec = WavSpec {
        channels: 1,
        sample_rate: SAMPLE_RATE,
        bits_per_sample: 16,
        sample_format: SampleFormat::Int,
    };
    WavWriter::create(path, spec)?.finalize()?;
    let mut file = OpenOptions::new().write(true).open(path)?;
    let header = file.metadata()?.len();
    let data = silence * u64::from(spec.bits_per_sample / 8);
    let too_long = |_| io::Error::new(io::ErrorKind::FileTooLarge, "a WAV file holds no more than 12 hours");
    let riff_size = u32::try_from(header + data - RIFF_PREFIX).map_err(too_long)?;
    let data_size = u32::try_from(data).map_err(too_long)?;
    file.set_len(header + data)?;
    file.seek(SeekFrom::Start(4))?;
    file.write_all(&riff_size.to_le_bytes())?;
    // An empty file ends with the size of its data.
    file.seek(SeekFrom::Start(header - 4))?;
    file.write_all(&data_size.to_le_bytes())?;
    drop(file);
    WavWriter::append(path)
}

fn drain(samples: &mut Consumer<f32>, writer: &mut WavWriter<BufWriter<File>>) -> hound::Result<()> {
    while let Ok(sample) = samples.pop() {
        writer.write_sample((sample.clamp(-1.0, 1.0) * 32767.0) as i16)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Recorder, create, drain};
    use std::time::{Duration, Instant};

    #[test]
    fn a_track_can_be_read_while_it_is_still_being_written() {
        let dir = tempfile::tempdir().unwrap();
        let recorder = Recorder::start(dir.path()).unwrap();
        let mut first = recorder.track("Ada ../x").unwrap();
        let _second = recorder.track("Ada ../x").unwrap();
        first.write(&[0.5; 4800]);
        let path = dir.path().join("Ada____x.wav");
        let deadline = Instant::now() + Duration::from_secs(10);
        while hound::WavReader::open(&path).map_or(0, |wav| wav.duration()) < 4800 {
            assert!(Instant::now() < deadline, "the header is never brought up to date");
            std::thread::sleep(Duration::from_millis(50));
        }
        drop(recorder);
        let mut wav = hound::WavReader::open(&path).unwrap();
        let samples: Vec<i16> = wav.samples().map(Result::unwrap).collect();
        // The track began a moment after the recording did.
        assert!(samples[samples.len() - 4800..].iter().all(|sample| *sample == 16383));
        assert!(dir.path().join("Ada____x-2.wav").exists());
    }

    #[test]
    fn hours_of_silence_before_a_late_track_are_there_at_once_and_take_no_space() {
        const SILENCE: u32 = 3 * 3600 * 48_000;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("late.wav");
        let mut writer = create(&path, u64::from(SILENCE)).unwrap();
        let (mut voice, mut samples) = rtrb::RingBuffer::new(480);
        (0..480).for_each(|_| voice.push(0.5).unwrap());
        drain(&mut samples, &mut writer).unwrap();
        writer.finalize().unwrap();
        #[cfg(unix)]
        {
            let blocks = std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(&path).unwrap());
            assert!(blocks * 512 < 1 << 20, "{blocks} blocks");
        }
        let mut wav = hound::WavReader::open(&path).unwrap();
        assert_eq!(wav.duration(), SILENCE + 480);
        wav.seek(SILENCE - 1).unwrap();
        let heard: Vec<i16> = wav.samples().map(Result::unwrap).collect();
        assert_eq!((heard[0], heard[1], heard.len()), (0, 16383, 481));
        assert!(create(&path, u64::from(u32::MAX)).is_err(), "more than a header can say");
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_can_hear_a_recording() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/call");
        let recorder = Recorder::start(&folder).unwrap();
        let _track = recorder.track("Ada").unwrap();
        drop(recorder);
        let mode = |path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(folder.clone()), mode(folder.join("Ada.wav"))), (0o700, 0o600));
    }
}
