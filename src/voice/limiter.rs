//! Keeps a mix below full scale without audible distortion.
//!
//! Sound is delayed by the look-ahead. The gain that a peak needs is held from when it is seen until it
//! has left, and averaged over the same time: it is reached exactly when the peak is, in a straight line.
//! Below the ceiling the gain is exactly one.

/// 1.5 ms at 48 kHz.
pub(super) const LOOK_AHEAD: usize = 72;
/// -0.26 dBFS: what a device's own resampling adds must not clip either.
const CEILING: f32 = 0.97;
/// Per sample at 48 kHz: back within about 80 ms.
const RELEASE: f32 = 1.0 / 1_600.0;
const WINDOW: usize = LOOK_AHEAD + 1;

pub(super) struct Limiter {
    delayed: [f32; WINDOW],
    needed: [f32; WINDOW],
    smoothed: [f32; WINDOW],
    sum: f64,
    released: f32,
    place: usize,
    /// Samples until no needed gain below one is left in the window.
    active: usize,
}

impl Limiter {
    pub(super) fn new() -> Self {
        Self {
            delayed: [0.0; WINDOW],
            needed: [1.0; WINDOW],
            smoothed: [1.0; WINDOW],
            sum: WINDOW as f64,
            released: 1.0,
            place: 0,
            active: 0,
        }
    }

    /// The sample of [`LOOK_AHEAD`] samples ago, limited.
    pub(super) fn process(&mut self, sample: f32) -> f32 {
        // One peer's broken sound must not silence the others.
        let sample = if sample.is_finite() { sample } else { 0.0 };
        let needed = if sample.abs() > CEILING { CEILING / sample.abs() } else { 1.0 };
        self.delayed[self.place] = sample;
        self.needed[self.place] = needed;
        self.active = if needed < 1.0 { WINDOW } else { self.active.saturating_sub(1) };
        let least = if self.active == 0 { 1.0 } else { self.needed.iter().copied().fold(1.0, f32::min) };
        let rising = self.released + (1.0 - self.released) * RELEASE;
        self.released = least.min(if rising > 0.9999 { 1.0 } else { rising });
        self.sum += f64::from(self.released) - f64::from(self.smoothed[self.place]);
        self.smoothed[self.place] = self.released;
        self.place = (self.place + 1) % WINDOW;
        let gain = (self.sum / WINDOW as f64) as f32;
        (self.delayed[self.place] * gain).clamp(-1.0, 1.0)
    }
}
