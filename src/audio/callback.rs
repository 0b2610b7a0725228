//! What runs when a device brings or wants sound: copy, count, return.
//!
//! Nothing here allocates, locks, logs, frees or calls out, whatever the other end of the ring
//! does. The same two callbacks serve real and simulated devices. Frames are mono inside:
//! [`to_mono`] and [`PlaybackCallback::handle`] are the two places that would change for stereo.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use cpal::FromSample;
use rtrb::{Consumer, Producer};

use super::{AudioCounters, counters::DeviceClock};

/// Takes what the microphone brings: averages the channels, fills the ring, and drops (counted)
/// what does not fit.
pub(crate) struct CaptureCallback {
    ring: Producer<f32>,
    channels: usize,
    clock: Arc<DeviceClock>,
    counters: Arc<AudioCounters>,
}

impl CaptureCallback {
    /// `channels` is the interleaving of what [`handle`](Self::handle) will be given, at least 1.
    pub(crate) fn new(
        ring: Producer<f32>,
        channels: usize,
        clock: Arc<DeviceClock>,
        counters: Arc<AudioCounters>,
    ) -> Self {
        assert!(channels > 0, "a device has at least one channel");
        Self { ring, channels, clock, counters }
    }

    /// One callback: interleaved samples of any format, full scale at +-1.
    pub(crate) fn handle<T: Copy>(&mut self, interleaved: &[T])
    where
        f32: FromSample<T>,
    {
        let frames = interleaved.len() / self.channels;
        let fitting = frames.min(self.ring.slots());
        if let Ok(chunk) = self.ring.write_chunk_uninit(fitting) {
            let scale = 1.0 / self.channels as f32;
            chunk.fill_from_iter(
                interleaved.chunks_exact(self.channels).take(fitting).map(|frame| to_mono(frame, scale)),
            );
        }
        let counters = &self.counters.capture;
        if fitting < frames && counters.engaged.load(Relaxed) {
            counters.count_glitch(frames - fitting);
        }
        counters.callbacks.fetch_add(1, Relaxed);
        self.clock.on_callback(frames);
    }
}

/// Gives the speaker what the ring holds, on every channel, and silence (counted) beyond that.
pub(crate) struct PlaybackCallback {
    ring: Consumer<f32>,
    channels: usize,
    /// Whether this ring ever held sound: the silence before is a start, not a glitch.
    primed: bool,
    clock: Arc<DeviceClock>,
    counters: Arc<AudioCounters>,
}

impl PlaybackCallback {
    /// `channels` is the interleaving of what [`handle`](Self::handle) is to fill, at least 1.
    pub(crate) fn new(
        ring: Consumer<f32>,
        channels: usize,
        clock: Arc<DeviceClock>,
        counters: Arc<AudioCounters>,
    ) -> Self {
        assert!(channels > 0, "a device has at least one channel");
        Self { ring, channels, primed: false, clock, counters }
    }

    /// One callback: fills all of `interleaved`, in any sample format, full scale at +-1.
    pub(crate) fn handle<T: Copy + FromSample<f32>>(&mut self, interleaved: &mut [T]) {
        let frames = interleaved.len() / self.channels;
        let held = frames.min(self.ring.slots());
        let (sound, silence) = interleaved.split_at_mut(held * self.channels);
        if let Ok(chunk) = self.ring.read_chunk(held) {
            let (first, second) = chunk.as_slices();
            let mono = first.iter().chain(second);
            for (frame, sample) in sound.chunks_exact_mut(self.channels).zip(mono) {
                frame.fill(T::from_sample_(sample.clamp(-1.0, 1.0)));
            }
            chunk.commit_all();
        }
        silence.fill(T::from_sample_(0.0));
        let counters = &self.counters.playback;
        self.primed |= held > 0;
        if held < frames && self.primed {
            counters.count_glitch(frames - held);
        }
        counters.callbacks.fetch_add(1, Relaxed);
        self.clock.on_callback(frames);
    }
}

/// The average: a voice on all channels keeps its level, and nothing can clip.
fn to_mono<T: Copy>(frame: &[T], scale: f32) -> f32
where
    f32: FromSample<T>,
{
    frame.iter().map(|&sample| f32::from_sample_(sample)).sum::<f32>() * scale
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, atomic::Ordering::Relaxed};

    use rtrb::RingBuffer;

    use super::{CaptureCallback, PlaybackCallback};
    use crate::audio::{AudioCounters, counters::DeviceClock};

    fn counters() -> (Arc<DeviceClock>, Arc<AudioCounters>) {
        (Arc::new(DeviceClock::new()), Arc::default())
    }

    #[test]
    fn captured_channels_are_averaged() {
        let (clock, counters) = counters();
        let (producer, mut consumer) = RingBuffer::new(8);
        let mut callback = CaptureCallback::new(producer, 2, clock, counters);
        callback.handle(&[1.0_f32, 0.0, -0.5, -0.5]);
        callback.handle(&[i16::MIN, i16::MIN]);
        let heard: Vec<f32> = std::iter::from_fn(|| consumer.pop().ok()).collect();
        assert_eq!(heard, [0.5, -0.5, -1.0]);
    }

    #[test]
    fn a_full_ring_drops_the_newest_and_counts_only_once_someone_listens() {
        let (clock, counters) = counters();
        let (producer, mut consumer) = RingBuffer::new(3);
        let mut callback = CaptureCallback::new(producer, 1, clock.clone(), counters.clone());
        callback.handle(&[0.1_f32, 0.2, 0.3, 0.4]);
        assert_eq!(counters.capture.read().glitches, 0);
        counters.capture.engaged.store(true, Relaxed);
        callback.handle(&[0.5_f32, 0.6]);
        let stats = counters.capture.read();
        assert_eq!((stats.callbacks, stats.glitches, stats.glitch_frames), (2, 1, 2));
        assert_eq!(consumer.pop(), Ok(0.1));
        assert_eq!(clock.beat().frames, 6);
    }

    #[test]
    fn playback_reaches_every_channel_and_silence_follows() {
        let (clock, counters) = counters();
        let (mut producer, consumer) = RingBuffer::new(8);
        let mut callback = PlaybackCallback::new(consumer, 3, clock, counters.clone());
        let mut block = [9.0_f32; 6];
        callback.handle(&mut block);
        assert_eq!((block, counters.playback.read().glitches), ([0.0; 6], 0));

        producer.push_entire_slice(&[0.25]).unwrap();
        callback.handle(&mut block);
        assert_eq!(block, [0.25, 0.25, 0.25, 0.0, 0.0, 0.0]);
        let stats = counters.playback.read();
        assert_eq!((stats.callbacks, stats.glitches, stats.glitch_frames), (2, 1, 1));
    }

    #[test]
    fn playback_in_unsigned_bytes_rests_in_the_middle() {
        let (clock, counters) = counters();
        let (mut producer, consumer) = RingBuffer::new(8);
        let mut callback = PlaybackCallback::new(consumer, 1, clock, counters);
        producer.push_entire_slice(&[4.0, -4.0]).unwrap();
        let mut block = [7_u8; 3];
        callback.handle(&mut block);
        assert_eq!(block, [255, 0, 128]);
    }
}
