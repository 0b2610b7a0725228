//! The engine's end of the microphone: 48 kHz mono, whatever the device gives.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use rtrb::Consumer;

use super::{
    AudioCounters,
    line::{Capture, ENGINE_RATE, LineEnd, Receiver, Side},
};

/// Converted sound that is waiting for the engine; what is beyond it waits in the ring.
const READY_FRAMES: usize = ENGINE_RATE as usize / 10;

/// Reads captured sound. Belongs to the voice thread; no method allocates, blocks or logs.
pub struct CaptureReader {
    lines: Receiver<Consumer<f32>>,
    ready: VecDeque<f32>,
    engaged: bool,
    counters: Arc<AudioCounters>,
}

impl CaptureReader {
    pub(crate) fn new(lines: Receiver<Consumer<f32>>, counters: Arc<AudioCounters>) -> Self {
        Self { lines, ready: VecDeque::with_capacity(READY_FRAMES), engaged: false, counters }
    }

    /// How many samples, 48 kHz mono, can be read now (at most 100 ms; ask again after reading).
    ///
    /// What was captured before the first call is dropped: sound that old is only delay.
    pub fn available(&mut self) -> usize {
        self.lines.refresh();
        let Some(line) = self.lines.current() else {
            return self.ready.len();
        };
        if !self.engaged {
            self.engaged = true;
            self.counters.capture.engaged.store(true, Relaxed);
            Capture::discard_stale(&mut line.ring);
        }
        take_ready(line, &mut self.ready);
        let held_us = self.ready.len() as u64 * 1_000_000 / u64::from(ENGINE_RATE)
            + line.ring.slots() as u64 * 1_000_000 / u64::from(line.rate);
        self.counters.capture.level_us.store(u32::try_from(held_us).unwrap_or(u32::MAX), Relaxed);
        self.ready.len()
    }

    /// Fills `out` with the oldest samples, 48 kHz mono, full scale at +-1. When there are too
    /// few it returns `false` and takes none; `out` is then silence.
    pub fn read(&mut self, out: &mut [f32]) -> bool {
        if self.ready.len() < out.len() && self.available() < out.len() {
            out.fill(0.0);
            return false;
        }
        let wanted = out.len();
        for (slot, sample) in out.iter_mut().zip(self.ready.drain(..wanted)) {
            *slot = sample;
        }
        true
    }
}

/// Moves as much from the ring as fits into `ready` without growing it.
fn take_ready(line: &mut LineEnd<Consumer<f32>>, ready: &mut VecDeque<f32>) {
    // Two milliseconds for what the converter still holds and for its uneven pieces.
    let room_us = READY_FRAMES.saturating_sub(ready.len() + ENGINE_RATE as usize / 500) * 1000 / 48;
    let room = room_us * line.rate as usize / 1_000_000;
    let Ok(chunk) = line.ring.read_chunk(room.min(line.ring.slots())) else {
        return;
    };
    let (first, second) = chunk.as_slices();
    for piece in [first, second] {
        match &mut line.converter {
            Some(converter) => converter.push(piece, |converted| ready.extend(converted)),
            None => ready.extend(piece),
        }
    }
    chunk.commit_all();
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{CaptureReader, READY_FRAMES};
    use crate::audio::{
        AudioCounters,
        line::{Capture, Side, handover},
        signal::sine,
    };

    #[test]
    fn what_was_captured_before_anybody_listened_is_dropped() {
        let counters: Arc<AudioCounters> = Arc::default();
        let (mut sender, receiver) = handover();
        let (mut callback, end) = Capture::line(48_000, 1, &counters);
        sender.send(Box::new(end), &counters.capture);
        let mut reader = CaptureReader::new(receiver, counters);
        callback.handle(&[0.5_f32; 480]);
        assert_eq!(reader.available(), 0);
        callback.handle(&[0.25_f32; 480]);
        let mut out = [9.0; 481];
        assert!(!reader.read(&mut out));
        assert_eq!(out, [0.0; 481]);
        let mut out = [0.0; 480];
        assert!(reader.read(&mut out));
        assert_eq!(out, [0.25; 480]);
    }

    #[test]
    fn a_stalled_engine_finds_the_oldest_sound_first_and_memory_does_not_grow() {
        for rate in [8_000, 44_100, 48_000, 192_000] {
            let counters: Arc<AudioCounters> = Arc::default();
            let (mut sender, receiver) = handover();
            let (mut callback, end) = Capture::line(rate, 1, &counters);
            sender.send(Box::new(end), &counters.capture);
            let mut reader = CaptureReader::new(receiver, counters.clone());
            let capacity = reader.ready.capacity();
            reader.available();
            callback.handle(&sine(300.0, rate, rate as usize, 0.5));
            assert_eq!(counters.capture.read().glitches, 1);
            let mut heard = 0;
            let mut block = [0.0; 120];
            while reader.available() >= block.len() {
                assert!(reader.ready.len() <= READY_FRAMES);
                assert!(reader.read(&mut block));
                heard += block.len();
            }
            assert!((11_800..=12_000).contains(&heard), "{rate}: {heard}");
            assert_eq!(reader.ready.capacity(), capacity);
        }
    }
}
