//! The judge against brute force, and its two halves against each other.

use netsim::judge::{Judge, Oracle, SentFrame};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::VecDeque;
use std::time::Duration;

fn micros(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

/// One frame and all that becomes of it; delays in microseconds from its end.
#[derive(Clone, Debug)]
struct Told {
    duration_ms: u64,
    silence_ms: u64,
    speech: bool,
    fec: bool,
    skipped_numbers: u64,
    arrives: Option<u64>,
    copies: Vec<u64>,
}

fn told() -> impl Strategy<Value = Told> {
    // Mostly up to 400 ms, so that frames overtake each other often; at times around and beyond the 2 s told
    // from "never".
    let delay = || prop_oneof![8 => 0..400_000_u64, 1 => 1_999_000..2_001_000_u64, 1 => 0..4_000_000_u64];
    (
        prop::sample::select(vec![10_u64, 20]),
        prop_oneof![9 => Just(0_u64), 1 => 0..3_000_u64],
        prop::bool::weighted(0.8),
        any::<bool>(),
        prop_oneof![9 => Just(0_u64), 1 => 1..3_u64],
        prop::option::weighted(0.8, delay()),
        prop::collection::vec(delay(), 0..3),
    )
        .prop_map(|(duration_ms, silence_ms, speech, fec, skipped_numbers, arrives, copies)| Told {
            duration_ms,
            silence_ms,
            speech,
            fec,
            skipped_numbers,
            arrives,
            copies,
        })
}

type Line<'a> = (SentFrame, &'a Told);

/// The frames one after another, with the silences between them.
fn lined_up(call: &[Told]) -> Vec<Line<'_>> {
    let (mut ended, mut sequence) = (Duration::ZERO, 7);
    call.iter()
        .map(|told| {
            let duration = Duration::from_millis(told.duration_ms);
            ended += duration + Duration::from_millis(told.silence_ms);
            sequence += 1 + told.skipped_numbers;
            let (speech, carries_fec_of_previous) = (told.speech, told.fec);
            (SentFrame { sequence, ended, duration, speech, carries_fec_of_previous }, told)
        })
        .collect()
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Sent(usize),
    Arrived(u64),
    Copy(u64),
}

/// All that happens, in the order of the clock.
fn events(frames: &[Line<'_>]) -> Vec<(Duration, Event)> {
    let mut events = Vec::new();
    for (index, (frame, told)) in frames.iter().enumerate() {
        events.push((frame.ended, Event::Sent(index)));
        let at = |delay: &u64| frame.ended + micros(*delay);
        events.extend(told.arrives.iter().map(|delay| (at(delay), Event::Arrived(frame.sequence))));
        events.extend(told.copies.iter().map(|delay| (at(delay), Event::Copy(frame.sequence))));
    }
    events.sort();
    events
}

/// The concealed share at a delay, straight from the definition: for each frame of speech, is there anything
/// at `ended + delay` that it could be played from?
fn brute_force(frames: &[Line<'_>], delay: Duration) -> f64 {
    let came_by = |(frame, told): &Line<'_>, time: Duration| {
        told.arrives.iter().chain(&told.copies).any(|delay| frame.ended + micros(*delay) <= time)
    };
    let (mut speech, mut concealed) = (0_u128, 0_u128);
    for (index, entry) in frames.iter().enumerate() {
        let needed_at = entry.0.ended + delay;
        let rebuilt = frames.get(index + 1).is_some_and(|next| {
            let follows = next.0.sequence == entry.0.sequence + 1;
            follows && next.0.carries_fec_of_previous && came_by(next, needed_at)
        });
        if entry.0.speech {
            speech += entry.0.duration.as_nanos();
            concealed += if came_by(entry, needed_at) || rebuilt { 0 } else { entry.0.duration.as_nanos() };
        }
    }
    if speech == 0 { 0.0 } else { concealed as f64 / speech as f64 }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_oracle_knows_what_going_through_all_frames_would_tell(
        call in prop::collection::vec(told(), 1..120),
        delays in prop::collection::vec(0..20_000_u64, 1..8),
        allowed in 0.0..1.0_f64,
    ) {
        let frames = lined_up(&call);
        let mut oracle = Oracle::new();
        for (at, event) in events(&frames) {
            match event {
                Event::Sent(index) => oracle.on_sent(&frames[index].0),
                Event::Arrived(sequence) => oracle.on_arrived(sequence, at),
                Event::Copy(sequence) => oracle.on_copy(sequence, at),
            }
        }
        oracle.finish(Duration::from_secs(1_000_000));

        for tenths in delays {
            let delay = micros(tenths * 100);
            prop_assert_eq!(oracle.concealed_share_at(delay), brute_force(&frames, delay));
        }
        let anybody_spoke = frames.iter().any(|(frame, _)| frame.speech);
        for share in [0.0, allowed, brute_force(&frames, micros(50_000))] {
            if let Some(least) = oracle.least_delay(share) {
                prop_assert!(brute_force(&frames, least) <= share);
                if let Some(less) = least.checked_sub(micros(100)) {
                    prop_assert!(brute_force(&frames, less) > share, "{:?} would do as well", less);
                }
            } else if anybody_spoke {
                prop_assert!(brute_force(&frames, micros(2_000_000)) > share);
            }
        }
    }

    #[test]
    fn neteq_accounts_for_all_speech_and_plays_nothing_before_it_is_here(
        call in prop::collection::vec(told(), 1..200),
        pull_offset in 0..10_000_u64,
    ) {
        let frames = lined_up(&call);
        let mut judge = Judge::new();
        let mut now = micros(pull_offset);
        for (at, event) in events(&frames) {
            while now < at {
                judge.tick(now);
                now += micros(10_000);
            }
            match event {
                Event::Sent(index) => judge.on_sent(&frames[index].0),
                Event::Arrived(sequence) => judge.on_arrived(sequence, at),
                Event::Copy(sequence) => judge.on_copy(sequence, at),
            }
        }
        let over = now + Duration::from_secs(30);
        while now < over {
            judge.tick(now);
            now += micros(10_000);
        }
        prop_assert_eq!(judge.neteq.depth_ms(), 0.0, "all that came was played or dropped");

        judge.finish(over);
        let report = judge.neteq.report();
        let spoken_ms: u64 = call.iter().filter(|told| told.speech).map(|told| told.duration_ms).sum();
        prop_assert_eq!(report.speech_ms, spoken_ms as f64);
        prop_assert!((0.0..=1.0).contains(&report.concealed_share));
        if let Some(delay) = report.delay {
            let fastest = call.iter().flat_map(|told| told.arrives.iter().chain(&told.copies)).min();
            prop_assert!(delay.p5_ms + 0.1 >= *fastest.expect("something was played") as f64 / 1e3);
        }
    }
}

/// A call of 20 ms frames over a path of these delays, judged; frames keep their order.
fn judged(seconds: u64, mut delay: impl FnMut(u64) -> Option<Duration>) -> Judge {
    let mut judge = Judge::new();
    let mut on_the_way = VecDeque::new();
    let mut latest = Duration::ZERO;
    for pull in 1..=seconds * 100 {
        let ended = micros(pull * 10_000);
        // The last seconds are for what is still on its way.
        if pull.is_multiple_of(2) && pull < (seconds - 3) * 100 {
            let (sequence, duration) = (pull / 2, micros(20_000));
            let sent = SentFrame { sequence, ended, duration, speech: true, carries_fec_of_previous: false };
            judge.on_sent(&sent);
            if let Some(delay) = delay(sequence) {
                latest = latest.max(ended + delay);
                on_the_way.push_back((latest, sequence));
            }
        }
        while let Some((at, sequence)) = on_the_way.front().copied().filter(|(at, _)| *at <= ended) {
            on_the_way.pop_front();
            judge.on_arrived(sequence, at);
        }
        judge.tick(ended);
    }
    judge.finish(Duration::from_secs(seconds));
    judge
}

/// How much slower NetEQ was than it had to be, in milliseconds.
fn regret_ms(judge: &Judge) -> f64 {
    let report = judge.neteq.report();
    let mean_ms = report.delay.expect("speech was played").mean_ms;
    let regret = judge.oracle.regret_ms(Duration::from_secs_f64(mean_ms / 1e3), report.concealed_share);
    regret.expect("some delay conceals no more")
}

#[test]
fn where_delays_keep_their_distribution_neteq_is_slower_than_the_oracle() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let jitter = judged(300, |_| Some(micros(random.random_range(30_000..60_000))));
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let loss = judged(300, |_| (!random.random_bool(0.05)).then_some(micros(30_000)));
    for judge in [&jitter, &loss] {
        assert!(regret_ms(judge) > 0.0);
    }
}

#[test]
fn after_a_route_step_an_adaptive_buffer_beats_any_constant_delay() {
    let judge = judged(600, |frame| Some(micros(if frame < 20_000 { 20_000 } else { 300_000 })));
    assert!(regret_ms(&judge) < -100.0);
}

#[test]
fn an_hour_of_10_ms_frames_with_copies_and_fec_is_judged() {
    let mut judge = Judge::new();
    let duration = micros(10_000);
    for sequence in 0..360_000_u64 {
        let ended = duration * u32::try_from(sequence + 1).expect("an hour");
        let speech = sequence % 3000 < 2000;
        judge.on_sent(&SentFrame { sequence, ended, duration, speech, carries_fec_of_previous: true });
        let at = ended + micros(sequence % 7 * 100);
        if sequence % 20 != 0 {
            judge.on_arrived(sequence, at);
            judge.on_copy(sequence.saturating_sub(2), at);
        }
        judge.tick(ended + micros(1000));
    }
    judge.finish(Duration::from_secs(3590));
    assert!(judge.neteq.report().concealed_share < 0.001);
    // A lost frame is rebuilt from the next, which is at most 10.6 ms behind.
    assert_eq!(judge.oracle.least_delay(0.0), Some(micros(10_600)));
}
