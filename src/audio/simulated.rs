//! Devices that need no hardware: silence, a tone, or a file, at the pace of a real device.
//!
//! Each is a thread that calls the same callbacks as a sound card would, every 10 ms by absolute
//! deadlines, so that it neither drifts nor hurries. A thread that was held up catches up at
//! once, as a sound card's buffer would let it; after more than [`LATE_MAX`] what was missed is
//! skipped, so that sound still lies at its place in time.

use std::{
    f64::consts::TAU,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{
    callback::{CaptureCallback, PlaybackCallback},
    line::ENGINE_RATE,
    wav::{WavSink, WavSource},
};

/// Blocks a second.
const BLOCKS: u64 = 100;
/// The length of a block.
const PERIOD: Duration = Duration::from_millis(1000 / BLOCKS);
/// What a sound card might buffer; a longer hold-up loses sound there as well.
const LATE_MAX: Duration = Duration::from_millis(300);
/// Loud enough to be heard, quiet enough not to hurt: -12 dB below full scale.
const TONE_PEAK: f64 = 0.25;

/// What a simulated microphone hears.
pub(crate) enum Source {
    Silence,
    Tone { hz: f32 },
    Wav(WavSource),
}

/// Where a simulated speaker's sound goes.
pub(crate) enum Sink {
    Nowhere,
    Wav(WavSink),
}

/// A running simulated device. Dropping it ends the thread and finishes its file.
pub(crate) struct Simulated {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// Microseconds since 1970 when sample 0 was spoken, or leaves the speaker.
    pub(crate) started_unix_us: u64,
}

impl Source {
    /// Samples a second.
    pub(crate) fn rate(&self) -> u32 {
        match self {
            Self::Silence | Self::Tone { .. } => ENGINE_RATE,
            Self::Wav(file) => file.rate(),
        }
    }

    /// Samples a frame.
    pub(crate) fn channels(&self) -> usize {
        match self {
            Self::Silence | Self::Tone { .. } => 1,
            Self::Wav(file) => file.channels(),
        }
    }

    fn fill(&mut self, first_frame: u64, block: &mut [f32]) {
        match self {
            Self::Silence => block.fill(0.0),
            Self::Tone { hz } => {
                let step = f64::from(*hz) / f64::from(ENGINE_RATE);
                for (n, sample) in (first_frame..).zip(block) {
                    *sample = (TONE_PEAK * (TAU * (n as f64 * step).fract()).sin()) as f32;
                }
            }
            Self::Wav(file) => file.fill(block),
        }
    }
}

impl Simulated {
    /// Sample 0 is spoken now; the callback gets it when its block is complete, 10 ms later.
    pub(crate) fn capture(mut source: Source, mut callback: CaptureCallback) -> io::Result<Self> {
        let (rate, channels) = (source.rate(), source.channels());
        let mut block = vec![0.0; (frames_until(1, rate) as usize + 1) * channels];
        let start = Instant::now();
        Self::spawn("simulated-mic", unix_us(start), start + PERIOD, move |index, missed| {
            let first = frames_until(index, rate);
            let frames = (frames_until(index + 1, rate) - first) as usize;
            let block = &mut block[..frames * channels];
            source.fill(first, block);
            if !missed {
                callback.handle(block);
            }
        })
    }

    /// Like a double-buffered device: a block asked for now leaves the speaker one block later.
    pub(crate) fn playback(mut sink: Sink, mut callback: PlaybackCallback) -> io::Result<Self> {
        let mut block = vec![0.0; frames_until(1, ENGINE_RATE) as usize];
        let start = Instant::now();
        Self::spawn("simulated-speaker", unix_us(start + PERIOD), start, move |_, missed| {
            if missed {
                block.fill(0.0);
            } else {
                callback.handle(&mut block);
            }
            match &mut sink {
                Sink::Nowhere => {}
                Sink::Wav(file) => file.write(&block),
            }
        })
    }

    /// Calls `tick(index, missed)` for every block, the first one at `first`.
    fn spawn(
        name: &str,
        started_unix_us: u64,
        first: Instant,
        mut tick: impl FnMut(u64, bool) + Send + 'static,
    ) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            for index in 0_u64.. {
                let deadline = first + Duration::from_nanos(index * (1_000_000_000 / BLOCKS));
                loop {
                    if stopped.load(Relaxed) {
                        return;
                    }
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    thread::park_timeout(left);
                }
                tick(index, deadline.elapsed() > LATE_MAX);
            }
        })?;
        Ok(Self { stop, thread: Some(thread), started_unix_us })
    }
}

impl Drop for Simulated {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic in the thread was already printed; there is nothing to save.
            let _ = thread.join();
        }
    }
}

/// Frames before block `index`: exact for every rate, also those that 10 ms does not divide.
fn frames_until(index: u64, rate: u32) -> u64 {
    index * u64::from(rate) / BLOCKS
}

/// The wall clock at `at`, a moment near now.
fn unix_us(at: Instant) -> u64 {
    let (now, wall) = (Instant::now(), SystemTime::now());
    let wall = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
    let wall = (wall + at.saturating_duration_since(now)).saturating_sub(now.saturating_duration_since(at));
    u64::try_from(wall.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, Mutex},
        thread,
        time::{Duration, Instant},
    };

    use super::{PERIOD, Simulated, frames_until, unix_us};

    #[test]
    fn blocks_of_any_rate_add_up_to_the_rate() {
        for rate in [8_000, 11_025, 22_050, 44_100, 48_000, 96_001] {
            assert_eq!(frames_until(100, rate), u64::from(rate));
        }
    }

    #[test]
    fn pacing_follows_absolute_deadlines_even_after_being_held_up() {
        let ticks = Arc::new(Mutex::new(Vec::new()));
        let log = ticks.clone();
        let first = Instant::now();
        let device = Simulated::spawn("test", 0, first, move |index, missed| {
            log.lock().unwrap().push((first.elapsed(), missed));
            if index == 20 {
                thread::sleep(Duration::from_millis(105));
            }
        });
        thread::sleep(Duration::from_millis(1205));
        drop(device.unwrap());
        let ticks = ticks.lock().unwrap();
        assert!((115..=121).contains(&ticks.len()), "{} blocks in 1.2 s", ticks.len());
        for (n, (at, missed)) in ticks.iter().enumerate() {
            assert!(*at >= PERIOD * n as u32, "block {n} came early");
            assert!(!missed, "nothing was too late to be made up for");
        }
    }

    #[test]
    fn what_was_missed_by_far_is_skipped_and_not_hurried_through() {
        let ticks = Arc::new(Mutex::new(Vec::new()));
        let log = ticks.clone();
        let device = Simulated::spawn("test", 0, Instant::now(), move |index, missed| {
            log.lock().unwrap().push(missed);
            if index == 5 {
                thread::sleep(Duration::from_millis(600));
            }
        });
        thread::sleep(Duration::from_millis(800));
        drop(device.unwrap());
        let missed = ticks.lock().unwrap().iter().filter(|missed| **missed).count();
        assert!((20..=50).contains(&missed), "{missed} blocks skipped");
    }

    #[test]
    fn a_device_ends_at_once() {
        let device =
            Simulated::spawn("test", 0, Instant::now() + Duration::from_secs(60), |_, _| {}).unwrap();
        let asked = Instant::now();
        drop(device);
        assert!(asked.elapsed() < Duration::from_millis(200));
    }

    #[test]
    fn the_wall_clock_is_known_for_moments_around_now() {
        let now = Instant::now();
        let apart = unix_us(now + Duration::from_secs(1)).abs_diff(unix_us(now));
        assert!(apart.abs_diff(1_000_000) < 5_000, "{apart}");
    }
}
