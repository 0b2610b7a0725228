//! The other end of the ring: takes records out, encodes them, and writes them on a thread of its own.

use super::encoder::Encoder;
use super::record::Record;
use super::sink::LogSink;
use protocol::jitter::JitterConfig;
use rtrb::{Consumer, RingBuffer};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// 20 seconds of a call of two, 2 of a full group: so long may the disk stand still.
const RING_RECORDS: usize = 16_384;

/// What a crash may cost.
const WRITE_INTERVAL: Duration = Duration::from_millis(250);

/// Makes bytes of what the engine pushes, for whoever drains it: the [`LogWriter`], or a simulation, which has no
/// time of its own for a thread to keep up with.
pub struct LogDrain {
    encoder: Encoder,
    records: Consumer<Record>,
}

/// A log that is drained by hand. `out` gets the header.
pub fn by_hand(out: &mut Vec<u8>) -> (LogSink, LogDrain) {
    let (producer, records) = RingBuffer::new(RING_RECORDS);
    let encoder = Encoder::new(&JitterConfig::default(), out);
    (LogSink::new(producer), LogDrain { encoder, records })
}

impl LogDrain {
    /// Appends all that was pushed so far, as whole records.
    pub fn drain(&mut self, out: &mut Vec<u8>) {
        while let Ok(record) = self.records.pop() {
            self.encoder.put(&record, out);
        }
        self.encoder.flush(out);
    }
}

/// Writes the log; dropped, it writes what is left and ends.
pub struct LogWriter {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Starts a log in a file of this name, in place of any that was there; only this user can read it.
///
/// # Errors
/// When the file cannot be made, or no thread be started.
pub fn create(path: &Path) -> io::Result<(LogSink, LogWriter)> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    LogWriter::start(options.open(path)?)
}

impl LogWriter {
    fn start(mut file: impl Write + Send + 'static) -> io::Result<(LogSink, Self)> {
        let mut bytes = Vec::new();
        let (sink, drain) = by_hand(&mut bytes);
        // A disk that is full is told before the call begins.
        file.write_all(&bytes)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::Builder::new().name("rtlog".into()).spawn(move || {
            if let Err(error) = write(file, drain, &stopped) {
                tracing::warn!(%error, "the log ends here");
            }
        })?;
        Ok((sink, Self { stop, thread: Some(thread) }))
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic has already been reported on its own thread.
            let _ = thread.join();
        }
    }
}

fn write(mut file: impl Write, mut log: LogDrain, stop: &AtomicBool) -> io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        // Asked before the ring is emptied: what was pushed before that is in it.
        let last = stop.load(Ordering::Acquire) || log.records.is_abandoned();
        log.drain(&mut bytes);
        file.write_all(&bytes)?;
        bytes.clear();
        if last {
            return file.flush();
        }
        thread::park_timeout(WRITE_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::{LogWriter, create};
    use crate::voice::rtlog::{Decoder, Record};
    use std::time::{Duration, Instant};

    fn pulls(bytes: &[u8]) -> usize {
        let (mut decoder, _) = Decoder::new(bytes).expect("a header");
        let mut pulls = 0;
        while let Some(record) = decoder.read().expect("whole records") {
            pulls += if let Record::Pulls { count, .. } = record { usize::from(count) } else { 0 };
        }
        pulls
    }

    #[test]
    fn a_log_is_there_within_a_second_and_whole_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("call.rtlog");
        let (mut sink, writer) = create(&path).unwrap();
        (0..1_000).for_each(|n| sink.pull(Duration::from_millis(n), 120));
        let deadline = Instant::now() + Duration::from_secs(10);
        while pulls(&std::fs::read(&path).unwrap()) < 1_000 {
            assert!(Instant::now() < deadline, "nothing is written while the call goes on");
            std::thread::sleep(Duration::from_millis(20));
        }
        (0..500).for_each(|n| sink.pull(Duration::from_millis(1_000 + n), 120));
        drop(sink);
        drop(writer);
        assert_eq!(pulls(&std::fs::read(&path).unwrap()), 1_500);
    }

    #[test]
    fn a_writer_ends_though_the_engine_is_still_there() {
        let (mut sink, writer) = LogWriter::start(std::io::sink()).unwrap();
        sink.pull(Duration::ZERO, 120);
        drop(writer);
        sink.pull(Duration::ZERO, 120);
    }
}
