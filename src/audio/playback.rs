//! The engine's end of the speaker: takes 48 kHz mono, and says when and how much it wants.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

use rtrb::Producer;

use super::{
    AudioCounters,
    demand::Demand,
    line::{ENGINE_RATE, Receiver},
};

/// Writes sound to be played. Belongs to the voice thread; no method allocates, blocks or logs.
pub struct PlaybackWriter {
    lines: Receiver<Producer<f32>>,
    demand: Demand,
    start: Instant,
    counters: Arc<AudioCounters>,
}

impl PlaybackWriter {
    pub(crate) fn new(lines: Receiver<Producer<f32>>, counters: Arc<AudioCounters>) -> Self {
        Self { lines, demand: Demand::new(0), start: Instant::now(), counters }
    }

    /// How many samples, 48 kHz mono, should be rendered and written now.
    ///
    /// Mostly 0, and then the device's next block at once, as late as is safe: ask every 2 ms or
    /// so. Writing more than wanted (to fill a whole frame) is fine; it is wanted less next time.
    pub fn wanted(&mut self) -> usize {
        let now = self.start.elapsed();
        let changed = self.lines.refresh();
        let counters = &self.counters.playback;
        let Some(line) = self.lines.current() else {
            return 0;
        };
        if changed {
            self.demand.on_device(now, line.rate, line.block_frames);
        }
        let held = line.ring.buffer().capacity() - line.ring.slots();
        let level_us = held as u64 * 1_000_000 / u64::from(line.rate);
        counters.level_us.store(u32::try_from(level_us).unwrap_or(u32::MAX), Relaxed);
        let demanded = self.demand.frames(now, line.clock.beat(), counters.glitches.load(Relaxed));
        counters.lead_us.store(self.demand.lead().as_micros() as u32, Relaxed);
        let missing = demanded.saturating_sub(held);
        if missing == 0 {
            return 0;
        }
        // A converter may keep back up to a millisecond, which must not be what is missing.
        let kept_back = if line.converter.is_some() { ENGINE_RATE as usize / 1000 } else { 0 };
        (missing * ENGINE_RATE as usize).div_ceil(line.rate as usize) + kept_back
    }

    /// Appends samples, 48 kHz mono, full scale at +-1. What does not fit (250 ms) is dropped.
    pub fn write(&mut self, samples: &[f32]) {
        let Some(line) = self.lines.current() else {
            return;
        };
        let ring = &mut line.ring;
        // Too much was written: the device is stalled, and the newest can go as well as any.
        let mut append = |sound: &[f32]| {
            let (_written, _dropped) = ring.push_partial_slice(sound);
        };
        match &mut line.converter {
            Some(converter) => converter.push(samples, append),
            None => append(samples),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::PlaybackWriter;
    use crate::audio::{
        AudioCounters,
        line::{Playback, Side, handover},
    };

    #[test]
    fn the_first_block_is_wanted_at_once_and_nothing_after_it() {
        for (rate, wanted) in [(48_000, 480), (44_100, 480 + 48), (96_000, 480 + 48)] {
            let counters: Arc<AudioCounters> = Arc::default();
            let (mut sender, receiver) = handover();
            let mut writer = PlaybackWriter::new(receiver, counters.clone());
            assert_eq!(writer.wanted(), 0, "no device yet");
            let (mut callback, end) = Playback::line(rate, 2, &counters);
            sender.send(Box::new(end), &counters.playback);
            assert_eq!(writer.wanted(), wanted, "{rate}");
            writer.write(&vec![0.5; wanted]);
            assert_eq!(writer.wanted(), 0, "{rate}");
            let mut block = vec![0.0_f32; rate as usize / 50];
            callback.handle(&mut block);
            assert_eq!(counters.playback.read().glitches, 0, "{rate}");
            assert!((block.last().unwrap() - 0.5).abs() < 0.01, "{rate}");
        }
    }

    #[test]
    fn a_stalled_device_cannot_make_writing_block_or_grow() {
        let counters: Arc<AudioCounters> = Arc::default();
        let (mut sender, receiver) = handover();
        let mut writer = PlaybackWriter::new(receiver, counters.clone());
        let (_callback, end) = Playback::line(48_000, 1, &counters);
        sender.send(Box::new(end), &counters.playback);
        for _ in 0..1000 {
            writer.wanted();
            writer.write(&[0.5; 480]);
        }
        writer.wanted();
        assert_eq!(counters.playback.read().level_ms, 250.0);
    }
}
