//! A model of NetEQ, the jitter buffer of WebRTC, to compare with in the same run.
//!
//! It is a model of how NetEQ is described to behave, in its documentation and by the constants it is known
//! for, and contains none of its code. Every 10 ms it does one of these, as NetEQ does:
//!
//! - *Playing*: the next 10 ms are here. With the filtered level outside the limits around the `target`, a
//!   pitch period is cut out or played twice (`level`).
//! - *Making sound up*: the next frame is not here. Where a later one is, playing goes on with that as soon as
//!   the filtered level is at the target, the made-up sound is as long as the hole, or 100 ms passed. Where none is,
//!   the frame is awaited, and the delay grows by the wait. After a wait so long that the sound has faded, the
//!   buffer first fills to half the target.
//! - *Silence*: nothing was sent, so comfort noise is played, and the next talkspurt starts at its target.
//!
//! A frame that is here as a copy or rebuilt by FEC is played like any other; one that comes after playing has
//! passed it is dropped. The first packet is played at once, and the start target of 80 ms reached by stretching.
//!
//! What is simpler than in NetEQ:
//! - The pitch is always 8 ms, and time is stretched every 100 ms at most where NetEQ looks for alike
//!   periods every 60 ms. Frames that hold silence but were sent are stretched like speech.
//! - Reordered packets go into the one histogram; NetEQ weighs them in a second one, by their cost.
//! - A talkspurt starts at its target; NetEQ keeps the delay from before where that is not far off.
//! - Made-up sound ends where a frame begins, without the overlap of NetEQ's merging.
//! - No minimum or maximum delay is set, nothing is retransmitted (NACK), decoding takes no time.

mod level;
mod queue;
mod report;
mod target;

pub use report::NetEqReport;

use super::{Concealment, MouthToEar, SentFrame, millis, nanos};
use level::{Level, PITCH, Stretch};
use queue::{Queue, Queued};
use std::time::Duration;
use target::Target;

/// What is played at once.
const PULL: Duration = Duration::from_millis(10);
const PULL_NS: u64 = PULL.as_nanos() as u64;
const PITCH_NS: u64 = PITCH.as_nanos() as u64;

/// NetEQ cuts and repeats only with this much sound to look at; repeating may look back at what was played.
const ACCELERATE_NEEDS_NS: u64 = 30_000_000;

/// NetEQ waits no longer than this for a frame while a later one is here.
const HOLE_MAX_NS: u64 = 100_000_000;

/// By then made-up sound has faded to less than half.
const FADED_NS: u64 = 60_000_000;

/// After so much made-up sound NetEQ starts afresh, with whatever comes first.
const AFRESH_NS: u64 = 1_000_000_000;

/// Packets that wait at most. A full buffer is emptied but for the newest.
const PACKETS_MAX: usize = 200;

/// NetEQ at the listener's end of one direction of a call.
#[derive(Clone, Debug)]
pub struct NetEq {
    queue: Queue,
    target: Target,
    level: Level,
    started: bool,
    /// Sound made up since the last that was played.
    made_up_ns: u64,
    delays: MouthToEar,
    concealment: Concealment,
    accelerated: Duration,
    expanded: Duration,
    late_frames: u64,
}

/// What is to be done between two frames.
enum Next {
    /// The frame at this place in the line is played; those before it are given up.
    Play(usize),
    /// Sound is made up, for at most so long before the question is asked again.
    MakeUp(u64),
}

impl Default for NetEq {
    fn default() -> Self {
        Self {
            queue: Queue::new(),
            target: Target::new(),
            level: Level::default(),
            started: false,
            made_up_ns: 0,
            delays: MouthToEar::new(),
            concealment: Concealment::default(),
            accelerated: Duration::ZERO,
            expanded: Duration::ZERO,
            late_frames: 0,
        }
    }
}

impl NetEq {
    /// A buffer that has seen nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A frame was sent. Tells the model only what is silence and what is loss.
    ///
    /// # Panics
    /// If its number is not above that of the frame before.
    pub fn on_sent(&mut self, frame: &SentFrame) {
        if let Some(oldest) = self.queue.push(frame) {
            let unheard = self.give_up(&oldest);
            self.concealment.on_hole(Duration::ZERO, unheard);
        }
    }

    /// The frame itself arrived for the first time. Arrivals may be out of order.
    pub fn on_arrived(&mut self, sequence: u64, at: Duration) {
        // The path is learned from late frames most of all.
        if let Some(sent) = self.queue.sent(sequence) {
            self.target.on_packet(sent.start_ns, sent.end_ns - sent.start_ns, nanos(at));
        }
        match self.queue.find(sequence) {
            Some(index) => self.is_here(index, at),
            None => self.late_frames += 1,
        }
    }

    /// A copy of the frame arrived in another packet. Copies say nothing of the path's delay.
    pub fn on_copy(&mut self, sequence: u64, at: Duration) {
        if let Some(index) = self.queue.find(sequence) {
            self.is_here(index, at);
        }
    }

    /// The device asks for its next 10 ms, whose first sample it plays now.
    pub fn tick(&mut self, now: Duration) {
        let in_silence =
            self.queue.between_frames() && self.queue.get(0).is_none_or(|next| next.after_silence);
        if !in_silence {
            self.level.measure(self.queue.here_ns() as f64 / 1e6, self.target.ms());
        }

        let (stretch, sound_ns) = self.stretch(now);
        let mut left_ns = sound_ns;
        while left_ns > 0 {
            let at = now + Duration::from_nanos(PULL_NS - PULL_NS * left_ns / sound_ns);
            if self.queue.between_frames() {
                match self.next(now) {
                    Next::Play(index) => self.start(index, at),
                    Next::MakeUp(most_ns) => {
                        let made_up_ns = most_ns.min(left_ns);
                        self.made_up_ns += made_up_ns;
                        left_ns -= made_up_ns;
                        continue;
                    }
                }
            }
            left_ns -= self.queue.play(left_ns);
        }
        self.level.stretched(stretch, now);
    }

    /// The depth wanted now, in milliseconds.
    #[must_use]
    pub fn target_ms(&self) -> u64 {
        self.target.ms()
    }

    /// The sound that is here and not yet played, in milliseconds.
    #[must_use]
    pub fn depth_ms(&self) -> f64 {
        self.queue.here_ns() as f64 / 1e6
    }

    /// The call is over: frames that ended by `until` and never came are lost, the rest is forgotten.
    pub fn finish(&mut self, until: Duration) {
        let awaited = self.queue.get(0).is_some_and(|next| next.here_since.is_none() && !next.after_silence);
        let mut unheard = Duration::ZERO;
        while let Some(frame) = self.queue.skip() {
            if frame.here_since.is_none() && frame.ended <= until {
                unheard += self.give_up(&frame);
            }
        }
        let made_up =
            if awaited { Duration::from_nanos(self.made_up_ns).min(unheard) } else { Duration::ZERO };
        self.concealment.on_hole(made_up, unheard);
        self.made_up_ns = 0;
    }

    /// What came of the call so far.
    #[must_use]
    pub fn report(&self) -> NetEqReport {
        NetEqReport {
            delay: self.delays.quantiles(),
            concealed_share: self.concealment.share(),
            speech_ms: millis(self.concealment.speech),
            concealed_ms: millis(self.concealment.concealed),
            accelerated_ms: millis(self.accelerated),
            expanded_ms: millis(self.expanded),
            late_frames: self.late_frames,
            target_ms: self.target.ms(),
        }
    }

    fn is_here(&mut self, index: usize, at: Duration) {
        let Some(frame) = self.queue.get(index).copied() else { return };
        self.queue.is_here(index, at);
        if frame.carries_fec_of_previous
            && let Some(previous) = index.checked_sub(1)
            && self.queue.get(previous).is_some_and(|previous| previous.sequence + 1 == frame.sequence)
        {
            self.queue.is_here(previous, at);
        }
        if self.queue.here_frames() > PACKETS_MAX {
            self.empty_but_newest();
        }
    }

    /// How this pull is stretched, and how much of the sound it takes.
    fn stretch(&mut self, now: Duration) -> (Stretch, u64) {
        let wanted = self.level.wanted(self.target.ms(), now);
        match wanted {
            Stretch::Accelerate | Stretch::FastAccelerate if self.queue.can_play(ACCELERATE_NEEDS_NS) => {
                self.accelerated += PITCH;
                (wanted, PULL_NS + PITCH_NS)
            }
            Stretch::PreemptiveExpand if self.made_up_ns == 0 && self.queue.can_play(PULL_NS) => {
                self.expanded += PITCH;
                (wanted, PULL_NS - PITCH_NS)
            }
            Stretch::None | Stretch::Accelerate | Stretch::FastAccelerate | Stretch::PreemptiveExpand => {
                (Stretch::None, PULL_NS)
            }
        }
    }

    /// What comes next where one frame is over, or none has begun.
    fn next(&self, now: Duration) -> Next {
        let awhile = Next::MakeUp(PULL_NS);
        let (Some(awaited), Some((index, first))) = (self.queue.get(0), self.queue.first_here()) else {
            return awhile;
        };
        if !self.started || self.made_up_ns >= AFRESH_NS && !awaited.after_silence {
            return Next::Play(index);
        }

        let target_ns = self.target.ms() * 1_000_000;
        let here_ns = self.queue.here_ns();
        if awaited.after_silence {
            // The level is a frame when one arrives and nothing just before the next: half a frame in the mean.
            let half_frame_ns = (first.end_ns - first.start_ns) / 2;
            let waited_ns = first.here_since.map_or(0, |since| nanos(now.saturating_sub(since)));
            let deep = waited_ns + half_frame_ns >= target_ns || here_ns >= target_ns + half_frame_ns;
            return if deep { Next::Play(index) } else { awhile };
        }
        if self.made_up_ns >= FADED_NS && here_ns < target_ns / 2 {
            return awhile;
        }
        if index == 0 {
            return Next::Play(0);
        }

        let hole_ns = first.start_ns.saturating_sub(self.queue.position_ns());
        let filled = self.made_up_ns >= hole_ns.min(HOLE_MAX_NS);
        let deep = self.made_up_ns >= PULL_NS && self.level.filtered_ms() >= self.target.ms() as f64;
        if filled || deep {
            Next::Play(index)
        } else {
            Next::MakeUp(hole_ns.min(HOLE_MAX_NS) - self.made_up_ns)
        }
    }

    /// Starts to play the frame at this place in the line, whose first sample is heard at this time.
    fn start(&mut self, index: usize, at: Duration) {
        self.close_hole(index);
        let Some(frame) = self.queue.get(0).copied() else { return };
        if frame.speech {
            self.concealment.on_speech(Duration::from_nanos(frame.end_ns - frame.start_ns));
            self.delays.record(at.saturating_sub(frame.ended));
        }
        if frame.after_silence && self.started {
            self.level.reset(self.target.ms() as f64);
        }
        self.started = true;
        self.queue.start_first();
    }

    /// Gives up the first frames in the line, and puts down the hole they leave, with the sound made up for it.
    fn close_hole(&mut self, frames: usize) {
        let awaited = self.queue.get(0).filter(|next| next.speech && !next.after_silence).is_some();
        let mut unheard = Duration::ZERO;
        for _ in 0..frames {
            if let Some(frame) = self.queue.skip() {
                unheard += self.give_up(&frame);
            }
        }
        // What was made up when the speaker had fallen silent took the place of nothing.
        let silent_since = frames > 0 && self.queue.get(0).is_none_or(|next| next.after_silence);
        let made_up = Duration::from_nanos(if awaited { self.made_up_ns } else { 0 });
        self.concealment.on_hole(if silent_since { made_up.min(unheard) } else { made_up }, unheard);
        self.made_up_ns = 0;
    }

    /// This frame will not be heard; how much speech that is.
    fn give_up(&mut self, frame: &Queued) -> Duration {
        if !frame.speech {
            return Duration::ZERO;
        }
        // Of a frame that was being played the speech is put down already.
        let position_ns = self.queue.position_ns();
        if position_ns > frame.start_ns {
            return Duration::from_nanos(frame.end_ns.saturating_sub(position_ns));
        }
        let duration = Duration::from_nanos(frame.end_ns - frame.start_ns);
        self.concealment.on_speech(duration);
        duration
    }

    /// NetEQ throws everything away rather than grow without bounds.
    fn empty_but_newest(&mut self) {
        let Some(newest) = (0..).map_while(|index| Some((index, self.queue.get(index)?))).fold(
            None,
            |newest, (index, frame)| if frame.here_since.is_some() { Some(index) } else { newest },
        ) else {
            return;
        };
        self.close_hole(newest);
        self.level.reset(0.0);
    }
}

#[cfg(test)]
mod tests;
