//! Recording: one WAV per voice plus the mix, written away from the voice thread.
//!
//! The engine copies what it renders into rings; a thread of its own empties them into files twenty times a
//! second. All files begin at the same moment, the start of the recording: a voice that comes later begins with
//! silence. Headers are brought up to date every second, so a crash costs at most that. Files are 16-bit
//! PCM, 48 kHz, mono.

use hound::{SampleFormat, WavSpec, WavWriter};
use protocol::media::SAMPLE_RATE;
use rtrb::{Consumer, Producer, RingBuffer};
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Two seconds: the disk may be slow for that long before a recording has a gap.
const RING_SAMPLES: usize = 2 * SAMPLE_RATE as usize;

const WRITE_INTERVAL: Duration = Duration::from_millis(50);

/// Writes between two updates of the headers: one second.
const WRITES_PER_FLUSH: u32 = 20;

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
        std::fs::create_dir_all(folder)?;
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
        for number in 1.. {
            let file = if number == 1 { format!("{name}.wav") } else { format!("{name}-{number}.wav") };
            let path = self.folder.join(file);
            match File::create_new(&path) {
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

fn create(path: &Path, silence: u64) -> hound::Result<WavWriter<BufWriter<File>>> {
    let spec = WavSpec {
        channels: 1,
        sample_rate: SAMPLE_RATE,
        bits_per_sample: 16,
        sample_format: SampleFormat::Int,
    };
    let mut writer = WavWriter::create(path, spec)?;
    for _ in 0..silence {
        writer.write_sample(0i16)?;
    }
    writer.flush()?;
    Ok(writer)
}

fn drain(samples: &mut Consumer<f32>, writer: &mut WavWriter<BufWriter<File>>) -> hound::Result<()> {
    while let Ok(sample) = samples.pop() {
        writer.write_sample((sample.clamp(-1.0, 1.0) * 32767.0) as i16)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Recorder;
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
}
