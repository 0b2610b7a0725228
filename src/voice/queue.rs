//! Decoded sound on its way to the device, with what was played just before.
//!
//! One straight piece of memory, so that the stretcher can look back beyond what is still to be played;
//! it is moved to the front when the end is reached.

/// Two of the longest pitch periods: what the stretcher looks back on.
const HISTORY_MAX: usize = 1_440;
/// Room for the longest frame twice, a block, and what stretching inserts, several times over.
const CAPACITY: usize = 16_384;

pub(super) struct SoundQueue {
    samples: Vec<f32>,
    /// Index of the next sample to be played.
    read: usize,
    len: usize,
}

impl SoundQueue {
    pub(super) fn new() -> Self {
        Self { samples: vec![0.0; CAPACITY], read: 0, len: 0 }
    }

    /// Samples not yet played.
    pub(super) fn queued(&self) -> usize {
        self.len - self.read
    }

    /// Samples that still fit.
    pub(super) fn room(&self) -> usize {
        CAPACITY - HISTORY_MAX - self.queued()
    }

    /// Appends what fits; the rest is dropped.
    pub(super) fn push(&mut self, sound: &[f32]) {
        let sound = &sound[..sound.len().min(self.room())];
        self.make_room(sound.len());
        self.samples[self.len..self.len + sound.len()].copy_from_slice(sound);
        self.len += sound.len();
    }

    /// Fills `out` with the oldest samples, and with silence when there are too few.
    pub(super) fn pop(&mut self, out: &mut [f32]) {
        let count = out.len().min(self.queued());
        out[..count].copy_from_slice(&self.samples[self.read..self.read + count]);
        out[count..].fill(0.0);
        self.read += count;
    }

    /// History and queue as one: all samples, and the index of the first not yet played. The caller may
    /// change the latter and what follows, and shortens or lengthens it with [`Self::set_end`].
    pub(super) fn parts_mut(&mut self, room: usize) -> (&mut [f32], usize, usize) {
        self.make_room(room.min(self.room()));
        (&mut self.samples, self.read, self.len)
    }

    /// The end after stretching in place.
    pub(super) fn set_end(&mut self, len: usize) {
        self.len = len.clamp(self.read, CAPACITY);
    }

    fn make_room(&mut self, count: usize) {
        if self.len + count <= CAPACITY {
            return;
        }
        let keep_from = self.read.saturating_sub(HISTORY_MAX);
        self.samples.copy_within(keep_from..self.len, 0);
        self.len -= keep_from;
        self.read -= keep_from;
    }
}

#[cfg(test)]
mod tests {
    use super::SoundQueue;

    #[test]
    fn samples_come_out_as_they_went_in_however_long_it_runs() {
        let mut queue = SoundQueue::new();
        let (mut next_in, mut next_out) = (0_u32, 0_u32);
        for round in 0..2_000 {
            let sound: Vec<f32> = (0..480).map(|n| (next_in + n) as f32).collect();
            next_in += 480;
            queue.push(&sound);
            let mut out = vec![0.0; if round % 2 == 0 { 240 } else { 720 }];
            if queue.queued() < out.len() {
                continue;
            }
            queue.pop(&mut out);
            for sample in out {
                assert_eq!(sample, next_out as f32);
                next_out += 1;
            }
        }
    }
}
