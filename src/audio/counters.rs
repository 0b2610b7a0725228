//! What sound has gone through, counted by the callbacks and readable from anywhere.
//!
//! Everything here is an atomic written with relaxed ordering: each value stands alone, and a
//! reader who catches two of them a callback apart is none the worse.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Instant,
};

/// Both directions, for as long as the [`AudioSystem`](super::AudioSystem) lives.
#[derive(Debug, Default)]
pub struct AudioCounters {
    /// From the microphone.
    pub capture: DirectionCounters,
    /// To the speaker.
    pub playback: DirectionCounters,
}

/// The totals of one direction, across all devices that served it.
#[derive(Debug, Default)]
pub struct DirectionCounters {
    pub(crate) callbacks: AtomicU64,
    pub(crate) glitches: AtomicU64,
    pub(crate) glitch_frames: AtomicU64,
    pub(crate) device_xruns: AtomicU64,
    pub(crate) level_us: AtomicU32,
    pub(crate) lead_us: AtomicU32,
    pub(crate) buffer_frames: AtomicU32,
    pub(crate) device_rate: AtomicU32,
    /// Set by the engine's first look: what overflows before anybody listens is no glitch.
    pub(crate) engaged: AtomicBool,
}

/// A reading of [`DirectionCounters`].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct DirectionStats {
    /// How often the device asked for or brought sound.
    pub callbacks: u64,
    /// Callbacks that found the ring full (capture: overrun) or too empty (playback: underrun).
    pub glitches: u64,
    /// Frames, at the device's rate, dropped or replaced by silence in those.
    pub glitch_frames: u64,
    /// Glitches inside the sound system, beyond our rings, where it tells of them.
    pub device_xruns: u64,
    /// Sound waiting in the ring when the engine last looked, in milliseconds.
    pub level_ms: f32,
    /// How long before a callback the playback ring is filled, in milliseconds; 0 for capture.
    pub lead_ms: f32,
    /// Frames, at the device's rate, of one device buffer as granted.
    pub buffer_frames: u32,
    /// Sample rate of the device now in use, in hertz.
    pub device_rate: u32,
}

impl DirectionCounters {
    /// The values now.
    pub fn read(&self) -> DirectionStats {
        DirectionStats {
            callbacks: self.callbacks.load(Relaxed),
            glitches: self.glitches.load(Relaxed),
            glitch_frames: self.glitch_frames.load(Relaxed),
            device_xruns: self.device_xruns.load(Relaxed),
            level_ms: self.level_us.load(Relaxed) as f32 / 1000.0,
            lead_ms: self.lead_us.load(Relaxed) as f32 / 1000.0,
            buffer_frames: self.buffer_frames.load(Relaxed),
            device_rate: self.device_rate.load(Relaxed),
        }
    }

    pub(crate) fn count_glitch(&self, frames: usize) {
        self.glitches.fetch_add(1, Relaxed);
        self.glitch_frames.fetch_add(frames as u64, Relaxed);
    }
}

/// The heartbeat of one device: the supervisor sees from it that the device is alive, the
/// playback writer when it will ask again.
#[derive(Debug)]
pub(crate) struct DeviceClock {
    epoch: Instant,
    callbacks: AtomicU64,
    frames: AtomicU64,
    last_ns: AtomicU64,
}

/// A reading of [`DeviceClock`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Beat {
    /// Callbacks so far.
    pub(crate) callbacks: u64,
    /// Frames they carried, at the device's rate.
    pub(crate) frames: u64,
    /// Nanoseconds since the last callback, or since the device was made if there was none.
    pub(crate) since_ns: u64,
}

impl DeviceClock {
    pub(crate) fn new() -> Self {
        Self {
            epoch: Instant::now(),
            callbacks: AtomicU64::new(0),
            frames: AtomicU64::new(0),
            last_ns: AtomicU64::new(0),
        }
    }

    pub(crate) fn on_callback(&self, frames: usize) {
        self.last_ns.store(self.elapsed_ns(), Relaxed);
        self.frames.fetch_add(frames as u64, Relaxed);
        self.callbacks.fetch_add(1, Relaxed);
    }

    pub(crate) fn beat(&self) -> Beat {
        Beat {
            callbacks: self.callbacks.load(Relaxed),
            frames: self.frames.load(Relaxed),
            since_ns: self.elapsed_ns().saturating_sub(self.last_ns.load(Relaxed)),
        }
    }

    fn elapsed_ns(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}
