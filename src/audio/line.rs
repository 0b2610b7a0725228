//! A line: the ring between one device and the engine, and how its engine end is handed over.
//!
//! When a device is replaced, the supervisor makes a whole new line and sends the engine's end of
//! it through a small lock-free ring; the engine sends the old end back the same way, so that it
//! is freed by the supervisor and never inside a tick.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use rtrb::{Consumer, Producer, RingBuffer};

use super::{
    AudioCounters, Direction,
    callback::{CaptureCallback, PlaybackCallback},
    counters::{DeviceClock, DirectionCounters},
    rate::RateConverter,
};

/// The engine's sample rate in hertz, fixed by Opus.
pub(crate) const ENGINE_RATE: u32 = 48_000;
/// What a ring can hold. Neither end keeps it near full; it only has to outlast a stall that
/// the jitter buffers of the others would not outlast either.
const RING_MS: usize = 250;
/// Ends on their way. A device is replaced at most every few hundred milliseconds and the
/// engine looks every few, so one would do; when it is full the newest end waits with the supervisor.
const HANDOVER_FORTH: usize = 4;
/// More than can be on their way forth, so that the engine always has room to give one back.
const HANDOVER_BACK: usize = 2 * HANDOVER_FORTH;

/// The engine's end of a line, `R` being its end of the ring.
pub(crate) struct LineEnd<R> {
    pub(crate) ring: R,
    pub(crate) rate: u32,
    pub(crate) block_frames: u32,
    pub(crate) converter: Option<RateConverter>,
    pub(crate) clock: Arc<DeviceClock>,
}

/// What differs between the microphone's and the speaker's way.
pub(crate) trait Side: 'static {
    /// The engine's end of the ring.
    type Ring: Send + 'static;
    /// The device's end, inside its callback.
    type Callback: Send + 'static;

    const DIRECTION: Direction;

    /// A new line for a device of that rate (hertz) and interleaving.
    fn line(
        rate: u32,
        channels: usize,
        counters: &Arc<AudioCounters>,
    ) -> (Self::Callback, LineEnd<Self::Ring>);

    /// Empties the ring of what gathered before the engine has it: sound that old is only delay.
    fn discard_stale(ring: &mut Self::Ring);

    fn counters(counters: &AudioCounters) -> &DirectionCounters;
}

/// From the microphone to the engine.
pub(crate) enum Capture {}

/// From the engine to the speaker.
pub(crate) enum Playback {}

impl Side for Capture {
    type Ring = Consumer<f32>;
    type Callback = CaptureCallback;

    const DIRECTION: Direction = Direction::Input;

    fn line(
        rate: u32,
        channels: usize,
        counters: &Arc<AudioCounters>,
    ) -> (CaptureCallback, LineEnd<Self::Ring>) {
        let (device, ring) = RingBuffer::new(ring_frames(rate));
        let clock = Arc::new(DeviceClock::new());
        let callback = CaptureCallback::new(device, channels, clock.clone(), counters.clone());
        let converter = RateConverter::new(rate, ENGINE_RATE);
        (callback, LineEnd { ring, rate, block_frames: rate / 100, converter, clock })
    }

    fn discard_stale(ring: &mut Consumer<f32>) {
        if let Ok(stale) = ring.read_chunk(ring.slots()) {
            stale.commit_all();
        }
    }

    fn counters(counters: &AudioCounters) -> &DirectionCounters {
        &counters.capture
    }
}

impl Side for Playback {
    type Ring = Producer<f32>;
    type Callback = PlaybackCallback;

    const DIRECTION: Direction = Direction::Output;

    fn line(
        rate: u32,
        channels: usize,
        counters: &Arc<AudioCounters>,
    ) -> (PlaybackCallback, LineEnd<Self::Ring>) {
        let (ring, device) = RingBuffer::new(ring_frames(rate));
        let clock = Arc::new(DeviceClock::new());
        let callback = PlaybackCallback::new(device, channels, clock.clone(), counters.clone());
        let converter = RateConverter::new(ENGINE_RATE, rate);
        (callback, LineEnd { ring, rate, block_frames: rate / 100, converter, clock })
    }

    fn discard_stale(_ring: &mut Producer<f32>) {}

    fn counters(counters: &AudioCounters) -> &DirectionCounters {
        &counters.playback
    }
}

fn ring_frames(rate: u32) -> usize {
    rate as usize * RING_MS / 1000
}

/// The supervisor's side of the handover.
pub(crate) struct Sender<R> {
    forth: Producer<Box<LineEnd<R>>>,
    back: Consumer<Box<LineEnd<R>>>,
    waiting: Option<Box<LineEnd<R>>>,
}

/// The engine's side: holds the end in use.
pub(crate) struct Receiver<R> {
    forth: Consumer<Box<LineEnd<R>>>,
    back: Producer<Box<LineEnd<R>>>,
    current: Option<Box<LineEnd<R>>>,
}

/// A handover with nothing in it yet.
pub(crate) fn handover<R>() -> (Sender<R>, Receiver<R>) {
    let (forth, forth_out) = RingBuffer::new(HANDOVER_FORTH);
    let (back_in, back) = RingBuffer::new(HANDOVER_BACK);
    (Sender { forth, back, waiting: None }, Receiver { forth: forth_out, back: back_in, current: None })
}

impl<R> Sender<R> {
    /// Sends a new end, or keeps it for [`flush`](Self::flush) when the engine is not looking.
    pub(crate) fn send(&mut self, end: Box<LineEnd<R>>, counters: &DirectionCounters) {
        counters.device_rate.store(end.rate, Relaxed);
        counters.buffer_frames.store(end.block_frames, Relaxed);
        self.waiting = Some(end);
        self.flush();
    }

    /// Frees what came back and sends what is waiting. Called on every round of the supervisor.
    pub(crate) fn flush(&mut self) {
        while self.back.pop().is_ok() {}
        if let Some(end) = self.waiting.take()
            && let Err(rtrb::PushError::Full(end)) = self.forth.push(end)
        {
            self.waiting = Some(end);
        }
    }
}

impl<R> Receiver<R> {
    /// Takes over the newest end; `true` when there was one. Real-time safe.
    pub(crate) fn refresh(&mut self) -> bool {
        let mut changed = false;
        while self.back.slots() > 0
            && let Ok(newer) = self.forth.pop()
        {
            changed = true;
            if let Some(older) = self.current.replace(newer) {
                // There is room: it was looked for, and only this end pushes.
                let _ = self.back.push(older);
            }
        }
        changed
    }

    /// The end in use.
    pub(crate) fn current(&mut self) -> Option<&mut LineEnd<R>> {
        self.current.as_deref_mut()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Capture, HANDOVER_FORTH, Side, handover};
    use crate::audio::AudioCounters;

    #[test]
    fn the_newest_end_is_used_and_older_ones_return_to_be_freed() {
        let counters: Arc<AudioCounters> = Arc::default();
        let (mut sender, mut receiver) = handover();
        let mut clocks = Vec::new();
        for n in 0..HANDOVER_FORTH as u32 + 3 {
            let (_, end) = Capture::line(40_000 + n, 1, &counters);
            clocks.push(Arc::downgrade(&end.clock));
            sender.send(Box::new(end), &counters.capture);
        }
        assert!(receiver.refresh());
        sender.flush();
        assert!(receiver.refresh());
        let newest = 40_000 + HANDOVER_FORTH as u32 + 2;
        assert_eq!(receiver.current().unwrap().rate, newest);
        assert!(!receiver.refresh());
        sender.flush();
        let alive = clocks.iter().filter(|clock| clock.upgrade().is_some()).count();
        assert_eq!(alive, 1, "only the end in use is left");
    }
}
