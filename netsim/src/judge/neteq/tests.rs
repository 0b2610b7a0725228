//! NetEQ as a whole, over paths whose every delay is written down.

use super::*;

const FRAME: Duration = Duration::from_millis(20);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A call of 20 ms frames; each question is asked of a frame's number.
struct Call<'a> {
    frames: u64,
    /// The path's delay; none is a loss. Frames stay in order if their delays say so.
    delay: &'a dyn Fn(u64) -> Option<Duration>,
    /// Whether the frame is sent at all; what is not is silence.
    sent: &'a dyn Fn(u64) -> bool,
    fec: bool,
}

const ALWAYS: &dyn Fn(u64) -> bool = &|_| true;

impl Call<'_> {
    /// Lives through the call, asking the buffer after every pull.
    fn run(&self, mut each: impl FnMut(Duration, &NetEq)) -> NetEq {
        let mut neteq = NetEq::new();
        let mut arrivals = Vec::new();
        let (mut frame, mut sequence) = (0, 0);
        for pull in 1..=self.frames * 2 + 100 {
            let now = PULL * u32::try_from(pull).expect("a short call");
            while frame < self.frames && FRAME * u32::try_from(frame + 1).expect("a short call") <= now {
                if (self.sent)(frame) {
                    let ended = FRAME * u32::try_from(frame + 1).expect("a short call");
                    let carries_fec_of_previous = self.fec && sequence > 0;
                    neteq.on_sent(&SentFrame {
                        sequence,
                        ended,
                        duration: FRAME,
                        speech: true,
                        carries_fec_of_previous,
                    });
                    arrivals.extend((self.delay)(frame).map(|delay| (ended + delay, sequence)));
                    sequence += 1;
                }
                frame += 1;
            }
            arrivals.sort();
            let due = arrivals.partition_point(|(at, _)| *at <= now);
            arrivals.drain(..due).for_each(|(at, sequence)| neteq.on_arrived(sequence, at));
            neteq.tick(now);
            each(now, &neteq);
        }
        neteq.finish(FRAME * u32::try_from(self.frames).expect("a short call"));
        neteq
    }

    fn report(&self) -> NetEqReport {
        self.run(|_, _| {}).report()
    }
}

fn mean_ms(report: &NetEqReport) -> f64 {
    report.delay.expect("something was played").mean_ms
}

#[test]
fn on_a_steady_path_it_conceals_nothing_once_it_has_filled_and_stays_near_its_floor() {
    let report = Call { frames: 3000, delay: &|_| Some(ms(30)), sent: ALWAYS, fec: false }.report();
    assert_eq!((report.target_ms, report.concealed_ms, report.late_frames), (20, 0.0, 0));
    let median_ms = report.delay.expect("speech was played").median_ms;
    // 30 ms of path, and a level between 15 and 35 ms, half a frame of which is no delay.
    assert!((35.0..=60.0).contains(&median_ms), "{median_ms}");
}

#[test]
fn a_lost_frame_is_concealed_once_and_costs_no_delay() {
    let lost = |frame: u64| (frame % 50 != 25).then_some(ms(30));
    let report = Call { frames: 3000, delay: &lost, sent: ALWAYS, fec: false }.report();
    assert!((report.concealed_share - 0.02).abs() < 0.004, "{}", report.concealed_share);
    assert!(mean_ms(&report) < 65.0);
    assert_eq!(report.speech_ms, 60_000.0);
}

#[test]
fn the_next_frame_rebuilds_a_lost_one_where_the_buffer_is_deep_enough_for_it() {
    // A packet in ten is 70 ms late, so the target is 80 ms.
    let lost = |frame: u64| (frame % 50 != 25).then_some(ms(if frame.is_multiple_of(10) { 100 } else { 30 }));
    let call = |fec| Call { frames: 3000, delay: &lost, sent: ALWAYS, fec }.report();
    let (with, without) = (call(true), call(false));
    assert_eq!(with.target_ms, 80);
    assert!(with.concealed_share < 0.003, "{}", with.concealed_share);
    assert!(without.concealed_share > 0.015, "{}", without.concealed_share);
}

#[test]
fn a_frame_that_comes_after_playing_went_on_is_dropped() {
    let late = |frame: u64| Some(ms(if frame == 2000 { 300 } else { 30 }));
    let report = Call { frames: 3000, delay: &late, sent: ALWAYS, fec: false }.report();
    assert_eq!(report.late_frames, 1);
    assert_eq!(report.concealed_ms, 20.0);
}

#[test]
fn the_path_is_learned_from_frames_too_late_to_be_played() {
    let late = |frame: u64| Some(ms(if frame.is_multiple_of(10) { 130 } else { 30 }));
    let report = Call { frames: 6000, delay: &late, sent: ALWAYS, fec: false }.report();
    assert_eq!(report.target_ms, 120);
    assert!(report.late_frames > 0);
    assert!(report.concealed_share < 0.01, "{}", report.concealed_share);
}

#[test]
fn a_hole_is_used_to_catch_up_where_the_buffer_is_deeper_than_its_target() {
    let lost = |frame: u64| (frame != 2000).then_some(ms(30));
    let mut depths = Vec::new();
    let call = Call { frames: 3000, delay: &lost, sent: ALWAYS, fec: false };
    let report = call.run(|_, neteq| depths.push(neteq.depth_ms())).report();
    let mean = |from: usize| depths[from..from + 100].iter().sum::<f64>() / 100.0;
    let gone_ms = mean(3900) - mean(4100);
    assert!((1.0..=10.0).contains(&gone_ms), "10 ms or more were made up for 20, {gone_ms} ms are gone");
    assert_eq!(report.concealed_ms, 20.0, "and 20 not heard");
}

#[test]
fn after_a_long_hole_it_fills_to_half_the_target_first() {
    // Stalls have brought the target to 160 ms; then 200 ms of frames are lost.
    let stall = |frame: u64| 30 + 150_u64.saturating_sub(frame % 200 * 20);
    let lost = |frame: u64| (!(5100..5110).contains(&frame)).then_some(ms(stall(frame)));
    let (mut played, mut resumed) = (0, None);
    let call = Call { frames: 6000, delay: &lost, sent: ALWAYS, fec: false };
    call.run(|now, neteq| {
        let count = neteq.delays.quantiles().map_or(0, |delays| delays.count);
        if count > played && now > FRAME * 5110 {
            resumed.get_or_insert((now, neteq.depth_ms()));
        }
        played = count;
    });
    let (_, depth_ms) = resumed.expect("it goes on");
    assert!((70.0..=90.0).contains(&depth_ms), "{depth_ms}");
}

#[test]
fn a_talkspurt_owes_nothing_to_the_level_of_the_one_before() {
    let waits = |frame: u64| 300_u64.saturating_sub(frame.saturating_sub(20_060) * 20);
    let stall = |frame: u64| Some(ms(if frame < 20_060 { 30 } else { 30 + waits(frame) }));
    let speech = |frame: u64| frame % 250 < 100;
    let mut cut_ms = Vec::new();
    let call = Call { frames: 20_400, delay: &stall, sent: &speech, fec: false };
    let neteq = call.run(|_, neteq| cut_ms.push(neteq.report().accelerated_ms));
    assert_eq!(neteq.target_ms(), 20);
    let (before, silence, after) = (cut_ms[40_100], cut_ms[40_400], cut_ms[40_700]);
    assert!(silence > before, "the stall left the buffer too full");
    assert_eq!(after, silence);
}

#[test]
fn frames_that_all_come_late_are_awaited_and_the_delay_is_won_back_by_cutting() {
    // For 300 ms nothing comes, then everything at once.
    let waits = |frame: u64| 300_u64.saturating_sub(frame.saturating_sub(2000) * 20);
    let stall = |frame: u64| Some(ms(if frame < 2000 { 30 } else { 30 + waits(frame) }));
    let mut depths = Vec::new();
    let call = Call { frames: 4000, delay: &stall, sent: ALWAYS, fec: false };
    let report = call.run(|_, neteq| depths.push(neteq.depth_ms())).report();
    assert!((200.0..310.0).contains(&report.concealed_ms), "{}", report.concealed_ms);
    let after_s = |s: usize| depths[4030 + s * 100..4130 + s * 100].iter().sum::<f64>() / 100.0;
    assert!(after_s(0) > 200.0, "the whole stall is in the delay");
    assert!(after_s(1) > 100.0, "a pitch period every 100 ms takes seconds");
    assert!(after_s(4) < 50.0, "one stall in a while moves no target, so it goes");
    assert!(report.accelerated_ms > 200.0);
}

#[test]
fn silence_that_was_not_sent_is_no_concealment_and_a_talkspurt_starts_at_its_target() {
    // Two seconds of speech, three of silence; a packet in ten is 50 ms late.
    let delay = |frame: u64| Some(ms(if frame.is_multiple_of(10) { 80 } else { 30 }));
    let speech = |frame: u64| frame % 250 < 100;
    let mut starts = Vec::new();
    let mut played = 0;
    let call = Call { frames: 10_000, delay: &delay, sent: &speech, fec: false };
    let report = call
        .run(|now, neteq| {
            let count = neteq.delays.quantiles().map_or(0, |delays| delays.count);
            if count > played && count % 100 == 1 {
                starts.push(now);
            }
            played = count;
        })
        .report();
    assert_eq!((report.target_ms, report.speech_ms), (60, 80_000.0));
    assert!(report.concealed_share < 0.005, "{}", report.concealed_share);
    // The first frame of each is 80 ms on its way and then waits for 60 ms less half a frame.
    let talkspurt = 10;
    assert_eq!(starts[talkspurt], FRAME * (250 * 10 + 1) + ms(80 + 50));
}

#[test]
fn a_lost_end_of_a_talkspurt_costs_what_was_lost_however_long_the_silence() {
    let lost = |frame: u64| (frame % 250 != 99).then_some(ms(30));
    let speech = |frame: u64| frame % 250 < 100;
    let report = Call { frames: 2500, delay: &lost, sent: &speech, fec: false }.report();
    assert!((report.concealed_ms - 200.0).abs() <= 1.0, "{}", report.concealed_ms);
}

#[test]
fn a_stall_of_150_ms_every_four_seconds_keeps_the_delay_up_for_good() {
    let stall = |frame: u64| Some(ms(30 + 150_u64.saturating_sub(frame % 200 * 20)));
    let report = Call { frames: 9000, delay: &stall, sent: ALWAYS, fec: false }.report();
    assert_eq!(report.target_ms, 160);
    assert!(mean_ms(&report) > 30.0 + 100.0, "{}", mean_ms(&report));
    assert!(report.concealed_share < 0.01, "{}", report.concealed_share);
}

#[test]
fn after_an_outage_it_starts_again_and_counts_what_was_lost() {
    let outage = |frame: u64| (!(1000..1500).contains(&frame)).then_some(ms(30));
    let report = Call { frames: 3000, delay: &outage, sent: ALWAYS, fec: false }.report();
    assert!((10_000.0..10_060.0).contains(&report.concealed_ms), "{}", report.concealed_ms);
    assert!(mean_ms(&report) < 80.0);
}

#[test]
fn a_device_that_falls_asleep_within_a_frame_finds_the_newest_ones_only() {
    let mut neteq = NetEq::new();
    for sequence in 0..300_u64 {
        let ended = FRAME * u32::try_from(sequence + 1).expect("a short call");
        let speech =
            SentFrame { sequence, ended, duration: FRAME, speech: true, carries_fec_of_previous: false };
        neteq.on_sent(&speech);
        neteq.on_arrived(sequence, ended + ms(30));
        if sequence == 0 {
            neteq.tick(ended + ms(30));
        }
    }
    assert_eq!(neteq.depth_ms(), (300.0 - 200.0) * 20.0);
    assert_eq!(neteq.report().concealed_ms, 200.0 * 20.0 - 10.0);

    (0..1000).for_each(|pull| neteq.tick(FRAME * 300 + PULL * pull));
    assert_eq!(neteq.report().speech_ms, 300.0 * 20.0);
}

#[test]
fn a_sender_whose_clock_runs_fast_or_slow_is_followed_by_stretching() {
    for ppm in [-300_i64, 300] {
        let mut neteq = NetEq::new();
        let mut sequence = 0;
        for pull in 1..=30_000_u64 {
            let now = Duration::from_millis(pull * 10);
            let ended = |n: u64| Duration::from_nanos((n + 1) * (20_000_000 + 20 * ppm).cast_unsigned());
            while ended(sequence) <= now {
                let ended = ended(sequence);
                neteq.on_sent(&SentFrame {
                    sequence,
                    ended,
                    duration: FRAME,
                    speech: true,
                    carries_fec_of_previous: false,
                });
                neteq.on_arrived(sequence, ended);
                sequence += 1;
            }
            neteq.tick(now);
        }
        let report = neteq.report();
        let delay = report.delay.expect("speech was played");
        assert!(delay.p95_ms < 60.0 && report.target_ms == 20);
        assert!(report.concealed_share < 0.005, "{}", report.concealed_share);
    }
}

#[test]
fn an_hour_of_frames_takes_no_more_memory_than_a_minute() {
    let mut neteq = NetEq::new();
    let before = neteq.queue.capacity();
    for sequence in 0..360_000_u64 {
        let ended = Duration::from_millis((sequence + 1) * 10);
        neteq.on_sent(&SentFrame {
            sequence,
            ended,
            duration: PULL,
            speech: true,
            carries_fec_of_previous: true,
        });
        // A minute of outage in the middle, when frames are sent and none leaves the line.
        if sequence % 50 != 0 && !(180_000..186_000).contains(&sequence) {
            neteq.on_arrived(sequence, ended);
        }
        neteq.tick(ended);
    }
    assert_eq!(neteq.queue.capacity(), before);
    assert!(neteq.queue.here_frames() < 10);
}
