//! A sender, a path and a device in plain loops, and what the buffer makes of them.

use super::{Decision, Inserted, JitterBuffer, JitterConfig, Report, Stretch};
use crate::media::{Frame, FrameBytes, FrameOrigin, MediaTime};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

/// SILK wideband, 20 ms, with a copy of the frame before.
const WITH_FEC: [u8; 3] = [9 << 3, 0b0100_0000, 0];

pub(super) fn frame_at(sequence: u64, time: u64, ticks: u8) -> Frame {
    Frame {
        sequence,
        time: MediaTime(time),
        ticks,
        talkspurt_start: false,
        talkspurt_end: false,
        origin: FrameOrigin::Primary,
        payload: FrameBytes::new(&[16 << 3, 1, 2]).expect("three bytes fit"),
    }
}

/// Continuous speech of `seconds`: arrival times in microseconds at a path of 30 ms, and frames.
fn speech(seconds: u64, ticks: u8) -> Vec<(i64, Frame)> {
    let frames = seconds * 400 / u64::from(ticks);
    (0..frames)
        .map(|n| {
            let mut frame = frame_at(n, 4_000 + n * u64::from(ticks), ticks);
            frame.talkspurt_start = n == 0;
            (30_300 + ((n + 1) * u64::from(ticks) * 2_500) as i64, frame)
        })
        .collect()
}

struct Rig {
    buffer: JitterBuffer,
    block: usize,
    pulls: u64,
    queued: usize,
    /// (time of the pull in us, decision)
    log: Vec<(i64, Decision)>,
}

impl Rig {
    fn new(block: usize) -> Self {
        Self {
            buffer: JitterBuffer::new(JitterConfig::default()),
            block,
            pulls: 0,
            queued: 0,
            log: Vec::new(),
        }
    }

    /// Lets packets come and the device pull until `until_us`.
    fn run(&mut self, mut packets: Vec<(i64, Frame)>, until_us: i64) {
        packets.sort_by_key(|&(arrival, _)| arrival);
        let mut packets = packets.into_iter().peekable();
        loop {
            let pull_us = (self.pulls * self.block as u64 * 1_000_000 / 48_000) as i64;
            while let Some((arrival, frame)) = packets.next_if(|&(arrival, _)| arrival <= pull_us) {
                self.buffer.insert(Duration::from_micros(arrival as u64), &frame);
            }
            if pull_us > until_us {
                return;
            }
            self.pull(pull_us);
            self.pulls += 1;
        }
    }

    fn pull(&mut self, now_us: i64) {
        let now = Duration::from_micros(now_us as u64);
        self.buffer.on_pull(now, self.block);
        while self.queued < self.block {
            let decision = self.buffer.next(now, self.queued);
            self.log.push((now_us, decision));
            match decision {
                Decision::Decode { frame, stretch } => {
                    self.queued += usize::from(frame.ticks) * 120;
                    self.stretch(now, stretch);
                }
                Decision::DecodeFec { ticks, .. } | Decision::Conceal { ticks, .. } => {
                    self.queued += usize::from(ticks) * 120;
                }
                Decision::Silence { ticks } => {
                    self.queued = self.block.min(self.queued + usize::from(ticks) * 120);
                }
                Decision::Idle => self.queued = self.block,
            }
        }
        self.queued -= self.block;
    }

    /// A voice of 125 Hz: 8 ms at a time.
    fn stretch(&mut self, now: Duration, stretch: Stretch) {
        match stretch {
            Stretch::Accelerate { samples_max, .. } if samples_max >= 384 && self.queued >= 384 => {
                self.queued -= 384;
                self.buffer.on_stretched(now, -384);
            }
            Stretch::Expand { .. } => {
                self.queued += 384;
                self.buffer.on_stretched(now, 384);
            }
            Stretch::Accelerate { .. } | Stretch::Normal => {}
        }
    }

    fn report(&self) -> Report {
        self.buffer.report()
    }

    fn count(&self, from_us: i64, wanted: impl Fn(&Decision) -> bool) -> usize {
        self.log.iter().filter(|(at, decision)| *at >= from_us && wanted(decision)).count()
    }
}

fn concealed(decision: &Decision) -> bool {
    matches!(decision, Decision::Conceal { .. })
}

#[test]
fn a_shifted_target_is_so_much_deeper_and_never_beyond_the_bounds() {
    let depth = |target_shift_us| {
        let mut rig = Rig::new(480);
        rig.buffer = JitterBuffer::new(JitterConfig { target_shift_us, ..Default::default() });
        rig.run(speech(10, 4), 9_900_000);
        (rig.report().target_ms, rig.report().depth_ms)
    };
    let ((plain, _), (shifted, deep)) = (depth(0), depth(30_000));
    assert!((25.9..=30.0).contains(&(shifted - plain)), "{plain} {shifted}");
    assert!((shifted - 2.0..shifted + 15.0).contains(&deep), "{shifted} {deep}");
    assert_eq!(depth(-30_000).0, 4.0);
    assert_eq!(depth(i64::MAX).0, 400.0);
}

#[test]
fn a_clean_path_adds_ten_ms_and_conceals_nothing() {
    for (ticks, block) in [(4, 480), (8, 480), (4, 120), (8, 256), (8, 240), (4, 441), (8, 960)] {
        let mut rig = Rig::new(block);
        rig.run(speech(20, ticks), 19_900_000);
        let report = rig.report();
        assert_eq!(report.concealed.total(), Duration::ZERO, "{ticks} {block} {report:?}");
        assert_eq!(report.late + report.lost + report.dropped, 0);
        // What blocks and frames of such sizes cost in any case comes on top of target and phase.
        let inevitable_ms = block as f32 / 48.0;
        assert!(report.depth_ms <= 5.0 + inevitable_ms, "{ticks} {block} {report:?}");
        let moved = report.expanded + report.accelerated;
        assert!(moved <= Duration::from_millis(30), "{ticks} {block} {report:?}");
    }
}

#[test]
fn whatever_the_phase_of_frames_and_blocks_playout_settles_and_stays() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let mut depths = 0.0;
    for phase in 0..40 {
        let mut packets = speech(20, 4);
        for (arrival, _) in &mut packets {
            // A quiet local network, scheduling included.
            *arrival += phase * 250 + random.random_range(0..600);
        }
        let mut rig = Rig::new(480);
        rig.run(packets, 19_900_000);
        let report = rig.report();
        assert_eq!(report.concealed.total(), Duration::ZERO, "{phase} {report:?}");
        assert!(report.depth_ms <= 14.5, "{phase} {report:?}");
        assert!(report.expanded + report.accelerated <= Duration::from_millis(40), "{phase} {report:?}");
        depths += report.depth_ms;
    }
    assert!(depths / 40.0 <= 10.0, "{} ms on average", depths / 40.0);
}

#[test]
fn jitter_is_met_within_a_second_and_forgotten_within_seconds() {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut packets = speech(40, 8);
    for (arrival, _) in &mut packets {
        if (10_000_000..20_000_000).contains(arrival) {
            *arrival += random.random_range(0..40_000);
        }
    }
    let mut rig = Rig::new(480);
    rig.run(packets, 39_900_000);
    let settled =
        rig.log.iter().filter(|(at, decision)| (11_000_000..20_000_000).contains(at) && concealed(decision));
    assert!(settled.count() <= 3, "{:?}", rig.report());
    assert!(rig.count(0, concealed) <= 12, "{:?}", rig.report());
    assert!(rig.count(20_000_000, concealed) == 0);
    assert!(rig.report().target_ms <= 8.0 && rig.report().depth_ms <= 16.0, "{:?}", rig.report());

    let mut early = Rig::new(480);
    let mut packets = speech(26, 8);
    for (arrival, _) in &mut packets {
        if (10_000_000..20_000_000).contains(arrival) {
            *arrival += random.random_range(0..40_000);
        }
    }
    early.run(packets, 25_900_000);
    assert!(early.report().depth_ms <= 22.0, "six seconds later: {:?}", early.report());
}

#[test]
fn random_loss_with_error_correction_is_rebuilt_and_never_late() {
    let mut random = ChaCha8Rng::seed_from_u64(2);
    let mut packets = speech(60, 8);
    let sent = packets.len();
    for (_, frame) in &mut packets {
        frame.payload = FrameBytes::new(&WITH_FEC).expect("three bytes fit");
    }
    packets.retain(|(_, frame)| frame.sequence == 0 || random.random_bool(0.95));
    let lost = (sent - packets.len()) as u64;
    let mut rig = Rig::new(480);
    rig.run(packets, 59_900_000);
    let report = rig.report();
    assert_eq!(report.lost, lost);
    assert_eq!(report.concealed.late + report.concealed.sender_stalled, Duration::ZERO, "{report:?}");
    assert!(report.recovered * 10 >= lost * 8, "{report:?}");
}

#[test]
fn copies_fill_holes() {
    let mut packets = Vec::new();
    for (arrival, frame) in speech(10, 4) {
        let copy = Frame { origin: FrameOrigin::Redundant, ..frame };
        packets.push((arrival + 10_000, copy));
        if frame.sequence % 10 != 5 {
            packets.push((arrival, frame));
        }
    }
    let mut rig = Rig::new(480);
    // Deep enough for copies that come a frame later.
    rig.buffer =
        JitterBuffer::new(JitterConfig { target_min: Duration::from_millis(14), ..Default::default() });
    rig.run(packets, 10_050_000);
    let report = rig.report();
    assert_eq!((report.lost, report.recovered), (100, 100), "{report:?}");
    assert_eq!((report.late, report.duplicates), (0, 0), "{report:?}");
    assert_eq!(report.concealed.total(), Duration::ZERO, "{report:?}");
    assert_eq!(rig.buffer.path_loss().lost, 99, "the last ones may still come: {report:?}");
}

#[test]
fn a_burst_after_a_stall_is_played_and_worked_off() {
    let mut packets = speech(10, 8);
    for (arrival, _) in &mut packets {
        if (5_000_000..5_120_000).contains(arrival) {
            *arrival = 5_120_000;
        }
    }
    let mut rig = Rig::new(480);
    rig.run(packets, 9_900_000);
    let report = rig.report();
    assert_eq!((report.lost, report.late, report.dropped), (0, 0, 0), "{report:?}");
    let stalled = report.concealed.sender_stalled;
    assert!((90..=130).contains(&stalled.as_millis()), "{report:?}");
    assert_eq!(report.concealed.total(), stalled);
    assert!(report.depth_ms < 25.0, "{report:?}");
}

#[test]
fn a_single_frame_out_of_time_is_late_not_lost() {
    let mut packets = speech(5, 8);
    packets[100].0 += 19_000;
    let mut rig = Rig::new(480);
    rig.run(packets, 4_900_000);
    let report = rig.report();
    assert_eq!((report.lost, report.concealed.lost_on_path), (0, Duration::ZERO), "{report:?}");
    assert!(report.concealed.late > Duration::ZERO, "{report:?}");
    assert_eq!(report.concealed.late, report.concealed.total());
}

#[test]
fn a_route_step_costs_its_height_once() {
    for step in [60_000, -25_000] {
        let mut packets = speech(20, 8);
        for (arrival, _) in &mut packets {
            if *arrival > 8_000_000 {
                *arrival += step;
            }
        }
        let mut rig = Rig::new(480);
        rig.run(packets, 19_900_000);
        let report = rig.report();
        assert!(report.concealed.total() <= Duration::from_millis(80), "{report:?}");
        assert_eq!(rig.count(9_500_000, concealed), 0, "{report:?}");
        assert!(report.depth_ms <= 20.0, "{report:?}");
    }
}

#[test]
fn clocks_that_differ_by_200_ppm_cost_neither_delay_nor_concealment() {
    for ppm in [-200, 200] {
        for block in [480, 256] {
            let mut packets = speech(600, 4);
            for (arrival, _) in &mut packets {
                *arrival += *arrival * ppm / 1_000_000;
            }
            let mut rig = Rig::new(block);
            rig.run(packets, 599_000_000);
            let report = rig.report();
            assert_eq!(report.concealed.total(), Duration::ZERO, "{ppm} {report:?}");
            assert!(report.depth_ms <= 22.0, "{ppm} {report:?}");
            let moved = report.expanded.abs_diff(report.accelerated);
            assert!((90..=150).contains(&moved.as_millis()), "{ppm} {report:?}");
            let both = report.expanded + report.accelerated;
            assert!(both.as_millis() < 600, "{ppm} {report:?}");
        }
    }
}

#[test]
fn a_device_that_asks_two_blocks_at_a_time_is_served_without_concealment() {
    let mut packets = speech(10, 4).into_iter().peekable();
    let mut rig = Rig::new(480);
    for pull in 0..990_i64 {
        let now_us = pull / 2 * 20_000;
        while let Some((arrival, frame)) = packets.next_if(|&(arrival, _)| arrival <= now_us) {
            rig.buffer.insert(Duration::from_micros(arrival as u64), &frame);
        }
        rig.pull(now_us);
    }
    let report = rig.report();
    assert_eq!(rig.count(1_000_000, concealed), 0, "{report:?}");
    assert!(report.concealed.total() <= Duration::from_millis(20), "{report:?}");
    assert!(report.depth_ms <= 26.0, "{report:?}");
}

#[test]
fn a_device_that_stood_still_has_itself_to_blame_and_catches_up() {
    let mut rig = Rig::new(480);
    rig.run(speech(5, 8), 4_000_000);
    // It asks for 60 ms at once, well before any of that can be here.
    for _ in 0..6 {
        rig.pull(4_010_000);
    }
    let report = rig.report();
    assert!(report.concealed.own_underrun > Duration::ZERO, "{report:?}");
    assert_eq!(report.concealed.own_underrun, report.concealed.total(), "{report:?}");

    let mut rig = Rig::new(480);
    rig.run(speech(5, 8), 4_000_000);
    let mut rest = speech(10, 8).split_off(198);
    for (arrival, frame) in rest.extract_if(.., |(arrival, _)| *arrival < 5_000_000) {
        rig.buffer.insert(Duration::from_micros(arrival as u64), &frame);
    }
    rig.pulls += 100;
    rig.run(rest, 7_000_000);
    let report = rig.report();
    assert!(report.dropped > 30 && report.depth_ms < 25.0, "{report:?}");
    assert_eq!(report.concealed.total(), Duration::ZERO, "{report:?}");
}

#[test]
fn what_a_path_switch_loses_is_counted_as_its_own() {
    let mut packets = speech(10, 8);
    packets.retain(|(_, frame)| !(200..204).contains(&frame.sequence));
    let (before, after) = packets.split_at(200);
    let mut rig = Rig::new(480);
    rig.run(before.to_vec(), 4_050_000);
    rig.buffer.on_path_switch(Duration::from_millis(4_050));
    rig.run(after.to_vec(), 9_900_000);
    let report = rig.report();
    assert_eq!(report.lost, 4, "{report:?}");
    assert!(report.concealed.path_switch >= Duration::from_millis(60), "{report:?}");
    assert_eq!(report.concealed.path_switch, report.concealed.total(), "{report:?}");
}

/// Talkspurts of `talk_ms` with silences of `silence_ms` in which a keepalive is sent every 400 ms.
fn conversation(spurts: u64, talk_ms: u64, silence_ms: u64) -> Vec<(i64, Frame)> {
    let mut packets = Vec::new();
    let (mut sequence, mut time) = (0, 4_000);
    for _ in 0..spurts {
        let frames = talk_ms / 20;
        for n in 0..frames {
            let mut frame = frame_at(sequence, time, 8);
            frame.talkspurt_start = n == 0;
            frame.talkspurt_end = n + 1 == frames;
            packets.push(frame);
            sequence += 1;
            time += 8;
        }
        for n in 1..=silence_ms / 400 {
            let mut keepalive = frame_at(sequence, time + n * 160 - 8, 8);
            keepalive.talkspurt_end = true;
            keepalive.payload = FrameBytes::EMPTY;
            packets.push(keepalive);
            sequence += 1;
        }
        time += silence_ms * 2 / 5;
    }
    packets.into_iter().map(|frame| (30_300 + (frame.time.0 as i64 + 8 - 4_000) * 2_500, frame)).collect()
}

#[test]
fn silence_is_never_loss() {
    let mut rig = Rig::new(480);
    let packets = conversation(10, 1_000, 1_900);
    let spoken = packets.iter().filter(|(_, frame)| !frame.payload.as_slice().is_empty()).count();
    rig.run(packets, 31_000_000);
    let report = rig.report();
    assert_eq!(report.concealed.total(), Duration::ZERO, "{report:?}");
    assert_eq!((report.lost, report.late, report.dropped), (0, 0, 0), "{report:?}");
    assert_eq!(report.decoded, spoken as u64);
    assert!(report.depth_ms <= 16.0);
}

#[test]
fn a_pause_without_any_mark_is_a_stall_and_not_loss() {
    let mut packets = conversation(5, 1_000, 300);
    packets.iter_mut().for_each(|(_, frame)| frame.talkspurt_end = false);
    let mut rig = Rig::new(480);
    rig.run(packets, 6_600_000);
    let report = rig.report();
    assert_eq!((report.lost, report.late, report.dropped), (0, 0, 0), "{report:?}");
    assert_eq!(report.concealed.sender_stalled, report.concealed.total(), "{report:?}");
    assert_eq!(report.decoded, 250);
}

#[test]
fn a_lost_end_conceals_a_moment_and_then_is_silence() {
    let mut packets = conversation(2, 1_000, 4_000);
    packets.retain(|(_, frame)| !(frame.talkspurt_end && frame.time.0 < 5_500));
    let mut rig = Rig::new(480);
    rig.run(packets, 9_000_000);
    let report = rig.report();
    assert!((380..=420).contains(&report.concealed.total().as_millis()), "{report:?}");
    assert_eq!(report.late + report.dropped, 0, "{report:?}");
}

#[test]
fn after_an_outage_playout_resumes_at_once() {
    let mut packets = speech(20, 8);
    packets.retain(|(arrival, _)| !(8_000_000..13_000_000).contains(arrival));
    let mut rig = Rig::new(480);
    rig.run(packets, 19_900_000);
    let report = rig.report();
    assert!(report.concealed.total() <= Duration::from_millis(420), "{report:?}");
    let resumed =
        rig.log.iter().find(|(at, decision)| *at > 12_900_000 && matches!(decision, Decision::Decode { .. }));
    assert!(resumed.is_some_and(|(at, _)| *at < 13_050_000), "{resumed:?}");
    assert_eq!(rig.count(13_050_000, |decision| !matches!(decision, Decision::Decode { .. })), 0);
    assert!(report.depth_ms <= 16.0, "{report:?}");
}

#[test]
fn a_restarted_sender_is_heard_after_three_frames() {
    let mut packets = speech(5, 8);
    for (arrival, mut frame) in speech(5, 8) {
        frame.time.0 += 1 << 40;
        packets.push((arrival + 5_500_000, frame));
    }
    let mut rig = Rig::new(480);
    rig.run(packets, 10_600_000);
    let report = rig.report();
    assert_eq!((report.restarts, report.implausible), (1, 2), "{report:?}");
    assert_eq!(report.decoded, 498, "{report:?}");
}

#[test]
fn two_hundred_packets_at_once_leave_the_buffer_bounded_and_playing() {
    let mut packets = speech(4, 8);
    for (arrival, _) in &mut packets {
        *arrival = 4_000_000;
    }
    packets.extend(speech(12, 8).split_off(200));
    let mut rig = Rig::new(480);
    rig.run(packets, 11_900_000);
    let report = rig.report();
    assert!(report.decoded >= 380 && report.depth_ms < 30.0, "{report:?}");
}

#[test]
fn malformed_frames_are_refused() {
    let mut buffer = JitterBuffer::new(JitterConfig::default());
    let empty = Frame { payload: FrameBytes::EMPTY, ..frame_at(0, 0, 8) };
    for frame in [empty, frame_at(0, 0, 0), frame_at(0, 0, 25), frame_at(0, u64::MAX, 8)] {
        assert_eq!(buffer.insert(Duration::ZERO, &frame), Inserted::Malformed);
    }
    assert_eq!(buffer.next(Duration::ZERO, 0), Decision::Idle);
}
