//! The frames NetEQ has not played yet, on one line of media time, whether they are here or not.
//!
//! Media time is what the sender's timestamps count: frames end to end, and gaps only where silence was
//! not sent. A drifting sender's media time runs at the pace of its own clock. Unlike NetEQ, which sees
//! packets only, this knows of every frame sent. That tells silence from loss, which NetEQ knows from the
//! last packet before a silence, and it is never asked about a frame that could not have been known of.

use super::super::{FRAMES_MAX, SentFrame, nanos};
use std::collections::VecDeque;
use std::time::Duration;

/// A frame on the line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queued {
    pub(super) sequence: u64,
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
    pub(super) ended: Duration,
    pub(super) speech: bool,
    /// Nothing was sent of the time just before it.
    pub(super) after_silence: bool,
    pub(super) carries_fec_of_previous: bool,
    /// When it, a copy of it or what rebuilds it came.
    pub(super) here_since: Option<Duration>,
}

/// The line of frames and the position of playing on it.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    /// By sequence and by media time; the first is what is played, or awaited.
    frames: VecDeque<Queued>,
    position_ns: u64,
    here_ns: u64,
    here_frames: usize,
    /// The last frames sent, played or not, by sequence.
    sent: VecDeque<Sent>,
}

/// What is remembered of a frame when it has left the line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    sequence: u64,
    ended: Duration,
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            frames: VecDeque::with_capacity(FRAMES_MAX),
            position_ns: 0,
            here_ns: 0,
            here_frames: 0,
            sent: VecDeque::with_capacity(FRAMES_MAX),
        }
    }

    /// Lines up a frame; where there is no room any more, the oldest is handed back.
    pub(super) fn push(&mut self, frame: &SentFrame) -> Option<Queued> {
        assert!(!frame.duration.is_zero(), "a frame holds sound");
        let began = frame.ended.saturating_sub(frame.duration);
        let (start_ns, after_silence) = match self.sent.back() {
            None => (nanos(began), true),
            Some(last) => {
                assert!(last.sequence < frame.sequence, "frames are numbered in the order they are sent");
                // Less than half a frame is a clock that runs slow, or time that was rounded.
                let silence = began.saturating_sub(last.ended);
                let after_silence = silence > frame.duration / 2;
                (last.end_ns + if after_silence { nanos(silence) } else { 0 }, after_silence)
            }
        };
        let end_ns = start_ns + nanos(frame.duration);
        if self.sent.len() == FRAMES_MAX {
            self.sent.pop_front();
        }
        self.sent.push_back(Sent { sequence: frame.sequence, ended: frame.ended, start_ns, end_ns });

        let oldest = if self.frames.len() == FRAMES_MAX { self.skip() } else { None };
        self.frames.push_back(Queued {
            sequence: frame.sequence,
            start_ns,
            end_ns,
            ended: frame.ended,
            speech: frame.speech,
            after_silence,
            carries_fec_of_previous: frame.carries_fec_of_previous,
            here_since: None,
        });
        oldest
    }

    /// Where in the line the frame is, unless playing has passed it.
    pub(super) fn find(&self, sequence: u64) -> Option<usize> {
        self.frames.binary_search_by_key(&sequence, |frame| frame.sequence).ok()
    }

    /// Where on the line the frame was, even if playing has passed it.
    pub(super) fn sent(&self, sequence: u64) -> Option<&Sent> {
        let index = self.sent.binary_search_by_key(&sequence, |sent| sent.sequence).ok()?;
        self.sent.get(index)
    }

    pub(super) fn get(&self, index: usize) -> Option<&Queued> {
        self.frames.get(index)
    }

    /// The frame can be played from now on.
    pub(super) fn is_here(&mut self, index: usize, at: Duration) {
        let frame = &mut self.frames[index];
        if frame.here_since.is_none() {
            frame.here_since = Some(at);
            self.here_ns += frame.end_ns - frame.start_ns;
            self.here_frames += 1;
        }
    }

    /// The first frame that is here, by its place in the line.
    pub(super) fn first_here(&self) -> Option<(usize, &Queued)> {
        self.frames.iter().enumerate().find(|(_, frame)| frame.here_since.is_some())
    }

    /// Whether playing stands between two frames.
    pub(super) fn between_frames(&self) -> bool {
        self.frames.front().is_none_or(|frame| self.position_ns <= frame.start_ns)
    }

    pub(super) fn position_ns(&self) -> u64 {
        self.position_ns
    }

    /// How much sound is here, played sound excluded.
    pub(super) fn here_ns(&self) -> u64 {
        self.here_ns
    }

    pub(super) fn here_frames(&self) -> usize {
        self.here_frames
    }

    /// Whether the next so many nanoseconds can be played without a hole.
    pub(super) fn can_play(&self, needed_ns: u64) -> bool {
        if self.between_frames() && self.frames.front().is_some_and(|frame| frame.after_silence) {
            return false;
        }
        let unbroken = |(index, frame): &(usize, &Queued)| {
            frame.here_since.is_some() && (*index == 0 || !frame.after_silence)
        };
        let last = self
            .frames
            .iter()
            .enumerate()
            .take_while(unbroken)
            .find(|(_, frame)| frame.end_ns >= self.position_ns + needed_ns);
        last.is_some()
    }

    /// Moves to the start of the first frame in the line.
    pub(super) fn start_first(&mut self) {
        if let Some(frame) = self.frames.front() {
            self.position_ns = frame.start_ns;
        }
    }

    /// Plays on in the first frame, at most so much; how much it was. A frame that is over leaves the line.
    pub(super) fn play(&mut self, wanted_ns: u64) -> u64 {
        let Some(frame) = self.frames.front() else { return 0 };
        let played_ns = wanted_ns.min(frame.end_ns - self.position_ns);
        self.position_ns += played_ns;
        self.here_ns -= played_ns;
        if self.position_ns == frame.end_ns {
            self.frames.pop_front();
            self.here_frames -= 1;
        }
        played_ns
    }

    /// Takes the first frame off the line, unplayed or half played.
    pub(super) fn skip(&mut self) -> Option<Queued> {
        let frame = self.frames.pop_front()?;
        if frame.here_since.is_some() {
            self.here_ns -= frame.end_ns - self.position_ns.clamp(frame.start_ns, frame.end_ns);
            self.here_frames -= 1;
        }
        Some(frame)
    }

    /// Places set aside, for the proof that they stay the same.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> [usize; 2] {
        [self.frames.capacity(), self.sent.capacity()]
    }
}
