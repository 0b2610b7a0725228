//! Sound devices: a microphone and a speaker on one clock of their own, which may run fast or slow.
//!
//! As real ones do, the microphone hands over a block when it is complete, and the speaker asks for a block one
//! block before it is heard. The engine renders [`LEAD`] before that.

use super::tape::Tape;
use super::voices::Voice;
use protocol::media::{SAMPLE_RATE, TICK_SAMPLES};
use roundtable::voice::engine::{Microphone, Speaker};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long before the speaker asks its block is rendered: what the real engine starts with.
const LEAD: Duration = Duration::from_millis(5);

/// When each frame of a device is due, in the world's time.
#[derive(Debug, Clone, Copy)]
pub struct DeviceClock {
    since: Duration,
    frame: u64,
    rate: f64,
}

impl DeviceClock {
    /// A clock whose frame 0 is at `start`, `ppm` millionths faster than true.
    pub fn new(start: Duration, ppm: f64) -> Self {
        Self { since: start, frame: 0, rate: true_rate(ppm) }
    }

    /// When a frame is due.
    pub fn at(&self, frame: u64) -> Duration {
        if frame >= self.frame {
            self.since + Duration::from_secs_f64((frame - self.frame) as f64 / self.rate)
        } else {
            self.since.saturating_sub(Duration::from_secs_f64((self.frame - frame) as f64 / self.rate))
        }
    }

    /// From `frame` on the rate is another one.
    pub fn drift(&mut self, frame: u64, ppm: f64) {
        *self = Self { since: self.at(frame), frame, rate: true_rate(ppm) };
    }

    /// Everything from `frame` on is `pause` later: the machine stood still.
    pub fn pause(&mut self, frame: u64, pause: Duration) {
        *self = Self { since: self.at(frame) + pause, frame, rate: self.rate };
    }
}

fn true_rate(ppm: f64) -> f64 {
    f64::from(SAMPLE_RATE) * (1.0 + ppm * 1e-6)
}

/// A microphone before which somebody talks.
pub struct SimMicrophone {
    clock: DeviceClock,
    block: u64,
    captured: u64,
    /// Samples the engine has read; shared with who wants to know when a frame was full.
    read: Arc<AtomicU64>,
    voice: Voice,
    said: Option<Tape>,
}

impl SimMicrophone {
    /// One that begins at `start`.
    pub fn new(start: Duration, ppm: f64, block: u64, voice: Voice) -> Self {
        let clock = DeviceClock::new(start, ppm);
        Self { clock, block, captured: 0, read: Arc::default(), voice, said: None }
    }

    /// What it reads is kept from now on.
    pub fn keep(&mut self) {
        self.said = Some(Tape::default());
    }

    /// What was said, 48 kHz from the world's zero, if it was [kept](Self::keep).
    pub fn take_said(&mut self) -> Option<Vec<f32>> {
        self.said.take().map(Tape::into_samples)
    }

    /// When its next block is complete.
    pub fn next(&self) -> Duration {
        self.clock.at(self.captured + self.block)
    }

    /// The block is complete.
    pub fn complete(&mut self) {
        self.captured += self.block;
    }

    /// When samples are spoken.
    pub fn spoken(&self) -> DeviceClock {
        self.clock
    }

    /// Samples that were read.
    pub fn read_position(&self) -> Arc<AtomicU64> {
        self.read.clone()
    }

    /// The clock's rate changes with the next block.
    pub fn drift(&mut self, ppm: f64) {
        self.clock.drift(self.captured, ppm);
    }

    /// The machine stood still.
    pub fn pause(&mut self, pause: Duration) {
        self.clock.pause(self.captured, pause);
    }
}

impl Microphone for SimMicrophone {
    fn available(&mut self) -> usize {
        (self.captured - self.read.load(Ordering::Relaxed)) as usize
    }

    fn read(&mut self, out: &mut [f32]) -> bool {
        if self.available() < out.len() {
            out.fill(0.0);
            return false;
        }
        self.voice.fill(out);
        let position = self.read.fetch_add(out.len() as u64, Ordering::Relaxed);
        if let Some(said) = &mut self.said {
            said.write(position, self.clock.at(position), out);
        }
        true
    }
}

/// A speaker.
pub struct SimSpeaker {
    clock: DeviceClock,
    block: u64,
    /// Samples the engine has rendered: the index of the next one. Shared with who listens in.
    written: Arc<AtomicU64>,
    /// Samples the device has asked for.
    asked: u64,
    sink: blake3::Hasher,
}

impl SimSpeaker {
    /// One that asks for its first block at `start`.
    pub fn new(start: Duration, ppm: f64, block: u64) -> Self {
        let clock = DeviceClock::new(start, ppm);
        Self { clock, block, written: Arc::default(), asked: 0, sink: blake3::Hasher::new() }
    }

    /// When the engine is to render the next block.
    pub fn next(&self) -> Duration {
        self.clock.at(self.asked).saturating_sub(LEAD)
    }

    /// The engine is about to render; the device will ask for it [`LEAD`] later.
    pub fn ask(&mut self) {
        self.asked += self.block;
    }

    /// Samples rendered so far: the index of the next one.
    pub fn written(&self) -> Arc<AtomicU64> {
        self.written.clone()
    }

    /// When samples are heard: frame 0 of this clock is the first one.
    pub fn heard(&self) -> DeviceClock {
        DeviceClock { since: self.clock.at(self.clock.frame + self.block), ..self.clock }
    }

    /// The clock's rate changes with the next block.
    pub fn drift(&mut self, ppm: f64) {
        self.clock.drift(self.asked, ppm);
    }

    /// The machine stood still.
    pub fn pause(&mut self, pause: Duration) {
        self.clock.pause(self.asked, pause);
    }

    /// A hash of all sound so far.
    pub fn sound_hash(&self) -> [u8; 32] {
        *self.sink.finalize().as_bytes()
    }
}

impl Speaker for SimSpeaker {
    fn wanted(&mut self) -> usize {
        // Whole ticks, as the engine renders no less.
        (self.asked.saturating_sub(self.written.load(Ordering::Relaxed)) as usize)
            .next_multiple_of(TICK_SAMPLES)
    }

    fn write(&mut self, samples: &[f32]) {
        self.written.fetch_add(samples.len() as u64, Ordering::Relaxed);
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        self.sink.update(&bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::{DeviceClock, SimSpeaker};
    use roundtable::voice::engine::Speaker;
    use std::time::Duration;

    #[test]
    fn a_fast_clock_gains_its_ppm_and_a_change_of_rate_leaves_no_gap() {
        let mut clock = DeviceClock::new(Duration::from_secs(1), 100.0);
        let hour = 3600 * 48_000;
        let gained = Duration::from_secs(3601).saturating_sub(clock.at(hour));
        assert!((gained.as_secs_f64() - 0.36).abs() < 0.001, "{gained:?}");
        let before = clock.at(hour);
        clock.drift(hour, -100.0);
        assert!(clock.at(hour).abs_diff(before) < Duration::from_micros(1));
        assert!(clock.at(2 * hour) > before + Duration::from_secs(3600));
    }

    #[test]
    fn a_block_is_rendered_before_it_is_asked_for_and_heard_one_block_later() {
        let mut speaker = SimSpeaker::new(Duration::from_millis(100), 0.0, 480);
        assert_eq!(speaker.wanted(), 0);
        assert_eq!(speaker.next(), Duration::from_millis(95));
        speaker.ask();
        assert_eq!(speaker.wanted(), 480);
        speaker.write(&[0.0; 480]);
        assert_eq!((speaker.wanted(), speaker.next()), (0, Duration::from_millis(105)));
        assert_eq!(speaker.heard().at(0), Duration::from_millis(110));
    }
}
