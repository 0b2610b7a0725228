//! The least constant delay any buffer could have had, with the future known.
//!
//! For every frame there is one number: the least delay, from the end of the frame in the microphone to the
//! start of its playing, at which a buffer would have had it. That is when the first of these is there: the
//! frame itself, a copy of it, or the next frame (or its copy, which is the same bytes) where that carries
//! FEC of it. A buffer that plays everything D after it was spoken conceals exactly the frames whose number
//! is above D. So a histogram of the numbers answers both questions: what would D have concealed, and which
//! D would have concealed no more than this.
//!
//! A frame waits 3 s for what may still arrive, and is then counted. Left out: the work of the buffer
//! itself, since nothing here takes time to decode or to play; and any change of delay, see [`Oracle::regret_ms`].

use super::histogram::DelayHistogram;
use super::{FRAMES_MAX, SentFrame, millis, nanos};
use std::collections::VecDeque;
use std::time::Duration;

/// Longer than the span of the histogram, so that what arrives after it would not have been counted either.
const WINDOW: Duration = Duration::from_secs(3);
const _: () = assert!(WINDOW.as_secs() > DelayHistogram::SPAN.as_secs());

/// Finds the least constant delay for one direction of a call.
#[derive(Clone, Debug)]
pub struct Oracle {
    /// Frames not yet counted, by sequence; never more than [`FRAMES_MAX`].
    waiting: VecDeque<Waiting>,
    /// Nanoseconds of speech by the delay they needed.
    needed: DelayHistogram,
    newest: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    sequence: u64,
    ended_ns: u64,
    duration_ns: u64,
    speech: bool,
    carries_fec_of_previous: bool,
    /// The least delay at which it would have been there, by what has arrived so far.
    needed_ns: Option<u64>,
}

impl Default for Oracle {
    fn default() -> Self {
        Self { waiting: VecDeque::with_capacity(FRAMES_MAX), needed: DelayHistogram::new(), newest: None }
    }
}

impl Oracle {
    /// An oracle who has seen nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A frame was sent. Counts the frames for which it is too late now.
    ///
    /// # Panics
    /// If its number is not above that of the frame before.
    pub fn on_sent(&mut self, frame: &SentFrame) {
        assert!(self.newest < Some(frame.sequence), "frames are numbered in the order they are sent");
        self.newest = Some(frame.sequence);

        let ended_ns = nanos(frame.ended);
        while self.waiting.front().is_some_and(|oldest| oldest.ended_ns + nanos(WINDOW) <= ended_ns)
            || self.waiting.len() == FRAMES_MAX
        {
            self.count_oldest();
        }
        self.waiting.push_back(Waiting {
            sequence: frame.sequence,
            ended_ns,
            duration_ns: nanos(frame.duration),
            speech: frame.speech,
            carries_fec_of_previous: frame.carries_fec_of_previous,
            needed_ns: None,
        });
    }

    /// The frame itself arrived. Only the earliest arrival counts.
    pub fn on_arrived(&mut self, sequence: u64, at: Duration) {
        let Ok(index) = self.waiting.binary_search_by_key(&sequence, |frame| frame.sequence) else {
            return;
        };
        self.waiting[index].is_there(at);

        if self.waiting[index].carries_fec_of_previous
            && let Some(previous) = index.checked_sub(1).map(|previous| &mut self.waiting[previous])
            && previous.sequence + 1 == sequence
        {
            previous.is_there(at);
        }
    }

    /// A copy of the frame arrived in another packet. It serves as well as the frame itself.
    pub fn on_copy(&mut self, sequence: u64, at: Duration) {
        self.on_arrived(sequence, at);
    }

    /// The call is over: counts the frames that ended by `until` and forgets the rest.
    ///
    /// What was still on its way when everything stopped was neither heard nor missed, so `until` is best
    /// set a network delay or more before the last event.
    pub fn finish(&mut self, until: Duration) {
        while self.waiting.front().is_some_and(|oldest| oldest.ended_ns <= nanos(until)) {
            self.count_oldest();
        }
        self.waiting.clear();
    }

    /// The share of speech, 0 to 1, that a buffer of this constant delay would have concealed of the frames
    /// counted so far; 0 where nobody spoke.
    ///
    /// Delays are taken in steps of 0.1 ms, rounded down, and above 2 s as 2 s.
    #[must_use]
    pub fn concealed_share_at(&self, delay: Duration) -> f64 {
        self.share(self.needed.within(delay))
    }

    /// The least constant delay, in steps of 0.1 ms, that would have concealed at most this share of the
    /// speech; none where 2 s would not do, or nobody spoke.
    #[must_use]
    pub fn least_delay(&self, concealed_share: f64) -> Option<Duration> {
        if self.needed.total() == 0 {
            return None;
        }
        self.needed.least_where(|within| self.share(within) <= concealed_share)
    }

    /// How many milliseconds the real call was slower than it had to be: its mean delay, from the end of a
    /// frame to the start of its playing, less the least constant delay that conceals no more than it did.
    ///
    /// What to make of it:
    /// - Near zero there is nothing left to win in the receiver by choosing a better constant delay; fewer
    ///   losses, or more redundancy, can still lower both numbers.
    /// - It may be negative. The oracle stays at one delay, and an adaptive buffer need not: after a route step
    ///   from 20 to 120 ms, a constant delay must be 120 ms all along or conceal half of the call.
    /// - It forgives concealing: a call that conceals much is measured against an oracle who may, too. Read
    ///   it beside the concealed share, and compare two buffers by both.
    /// - It is only as good as the share it is given, which must be of the same frames. A call that conceals
    ///   nothing but what no delay could have saved is measured against the one slowest frame. So is one that
    ///   concealed even less, by means the oracle does not know.
    ///
    /// None where nobody spoke.
    #[must_use]
    pub fn regret_ms(&self, actual_mean: Duration, concealed_share: f64) -> Option<f64> {
        let least = self.least_delay(concealed_share.max(self.unavoidable_share()))?;
        Some(millis(actual_mean) - millis(least))
    }

    /// The share of speech, 0 to 1, that was there neither as a frame nor a copy nor by FEC, even after 2 s.
    #[must_use]
    pub fn unavoidable_share(&self) -> f64 {
        self.concealed_share_at(DelayHistogram::SPAN)
    }

    fn share(&self, heard_ns: u64) -> f64 {
        let speech_ns = self.needed.total();
        if speech_ns == 0 { 0.0 } else { (speech_ns - heard_ns) as f64 / speech_ns as f64 }
    }

    fn count_oldest(&mut self) {
        if let Some(frame) = self.waiting.pop_front().filter(|frame| frame.speech) {
            self.needed.add(frame.needed_ns, frame.duration_ns);
        }
    }
}

impl Waiting {
    fn is_there(&mut self, at: Duration) {
        let delay_ns = nanos(at).saturating_sub(self.ended_ns);
        self.needed_ns = Some(self.needed_ns.map_or(delay_ns, |needed| needed.min(delay_ns)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(20);

    fn ms(ms: f64) -> Duration {
        Duration::from_secs_f64(ms / 1e3)
    }

    fn frame(sequence: u64) -> SentFrame {
        SentFrame {
            sequence,
            ended: FRAME * u32::try_from(sequence + 1).expect("few frames"),
            duration: FRAME,
            speech: true,
            carries_fec_of_previous: false,
        }
    }

    /// Ten frames of speech that took 30 ms each, with one change.
    fn ten_frames(change: impl Fn(&mut SentFrame), delay_ms: impl Fn(u64) -> Option<f64>) -> Oracle {
        let mut oracle = Oracle::new();
        for sequence in 0..10 {
            let mut frame = frame(sequence);
            change(&mut frame);
            oracle.on_sent(&frame);
            if let Some(delay_ms) = delay_ms(sequence) {
                oracle.on_arrived(sequence, frame.ended + ms(delay_ms));
            }
        }
        oracle
    }

    #[test]
    fn the_least_delay_follows_the_share_that_may_be_concealed() {
        let mut oracle = ten_frames(|_| {}, |sequence| Some(30.0 + sequence as f64));
        oracle.finish(ms(1000.0));
        assert_eq!(oracle.least_delay(0.0), Some(ms(39.0)));
        assert_eq!(oracle.least_delay(0.1), Some(ms(38.0)));
        assert_eq!(oracle.least_delay(0.19), Some(ms(38.0)));
        assert_eq!(oracle.least_delay(1.0), Some(Duration::ZERO));
        assert_eq!(oracle.concealed_share_at(ms(34.0)), 0.5);
        assert_eq!(oracle.concealed_share_at(ms(33.95)), 0.6);
        assert_eq!(oracle.regret_ms(ms(60.0), 0.0), Some(21.0));
        assert_eq!(oracle.regret_ms(ms(35.0), 0.0), Some(-4.0));
    }

    #[test]
    fn no_delay_makes_up_for_a_lost_frame() {
        let mut oracle = ten_frames(|_| {}, |sequence| (sequence != 4).then_some(30.0));
        oracle.finish(ms(1000.0));
        assert_eq!(oracle.least_delay(0.0), None);
        assert_eq!(oracle.least_delay(0.1), Some(ms(30.0)));
        assert_eq!(oracle.unavoidable_share(), 0.1);
        assert_eq!(oracle.regret_ms(ms(50.0), 0.0), Some(20.0));
    }

    #[test]
    fn a_copy_is_as_good_as_the_frame() {
        let mut oracle = ten_frames(|_| {}, |sequence| (sequence != 4).then_some(30.0));
        oracle.on_copy(4, frame(4).ended + ms(55.5));
        oracle.on_copy(5, frame(5).ended + ms(90.0));
        oracle.on_copy(6, frame(6).ended + ms(10.0));
        oracle.finish(ms(1000.0));
        assert_eq!(oracle.least_delay(0.0), Some(ms(55.5)));
        assert_eq!(oracle.concealed_share_at(ms(10.0)), 0.9);
    }

    #[test]
    fn the_next_frame_rebuilds_a_lost_one_a_frame_later() {
        let fec = |frame: &mut SentFrame| frame.carries_fec_of_previous = frame.sequence == 5;
        let mut oracle = ten_frames(fec, |sequence| (sequence != 4).then_some(30.0));
        oracle.finish(ms(1000.0));
        assert_eq!(oracle.least_delay(0.0), Some(ms(50.0)));
        assert_eq!(oracle.concealed_share_at(ms(49.9)), 0.1);
    }

    #[test]
    fn a_frame_rebuilt_from_fec_rebuilds_no_other() {
        let fec = |frame: &mut SentFrame| frame.carries_fec_of_previous = true;
        let mut oracle = ten_frames(fec, |sequence| (![4, 5].contains(&sequence)).then_some(30.0));
        oracle.finish(ms(1000.0));
        assert_eq!(oracle.concealed_share_at(ms(2000.0)), 0.1);
    }

    #[test]
    fn only_speech_is_judged() {
        let silence = |frame: &mut SentFrame| frame.speech = frame.sequence != 4;
        let mut oracle = ten_frames(silence, |sequence| (sequence != 4).then_some(30.0));
        oracle.finish(ms(1000.0));
        assert_eq!(oracle.least_delay(0.0), Some(ms(30.0)));

        let mut oracle = ten_frames(|frame| frame.speech = false, |_| Some(30.0));
        oracle.finish(ms(1000.0));
        assert_eq!(oracle.regret_ms(ms(50.0), 1.0), None);
        assert_eq!((oracle.least_delay(1.0), oracle.concealed_share_at(Duration::ZERO)), (None, 0.0));
    }

    #[test]
    fn what_is_on_its_way_when_the_call_ends_is_not_held_against_it() {
        let mut oracle = ten_frames(|_| {}, |sequence| (sequence < 9).then_some(30.0));
        oracle.finish(frame(8).ended);
        assert_eq!(oracle.least_delay(0.0), Some(ms(30.0)));
    }

    #[test]
    #[should_panic(expected = "numbered in the order")]
    fn a_number_sent_twice_is_a_fault_of_the_caller() {
        let mut oracle = Oracle::new();
        oracle.on_sent(&frame(3));
        oracle.on_sent(&frame(3));
    }

    #[test]
    fn an_hour_of_frames_takes_no_more_memory_than_a_minute() {
        let mut oracle = Oracle::new();
        let size = |oracle: &Oracle| (oracle.waiting.capacity(), oracle.needed.bins());
        let before = size(&oracle);
        for sequence in 0..360_000 {
            let ended = Duration::from_millis(10 * (sequence + 1));
            oracle.on_sent(&SentFrame { ended, duration: ms(10.0), ..frame(0).numbered(sequence) });
            if sequence % 50 != 0 {
                oracle.on_arrived(sequence, ended + ms(20.0));
            }
        }
        assert_eq!(size(&oracle), before);
        assert!((oracle.concealed_share_at(ms(20.0)) - 0.02).abs() < 1e-6);
    }

    impl SentFrame {
        fn numbered(self, sequence: u64) -> Self {
            Self { sequence, ..self }
        }
    }
}
