//! Whatever comes, in whatever order, the buffer neither panics nor miscounts.

use super::scenario::frame_at;
use super::{Cause, Decision, Inserted, JitterBuffer, JitterConfig};
use crate::limits::JITTER_FRAMES_MAX;
use crate::media::{Frame, FrameBytes, FrameOrigin, MediaTime};
use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use std::time::Duration;

#[derive(Clone, Debug)]
enum Step {
    Insert(Box<Frame>),
    /// The frame that a well-behaved sender would send next.
    InsertNext {
        lost: u8,
        silence: u8,
    },
    Pull(usize),
    Wait(u64),
    Stretched(i32),
    PathSwitch,
}

fn frames() -> impl Strategy<Value = Frame> {
    let time = prop_oneof![0..4_000_u64, any::<u64>(), Just((1 << 50) - 1)];
    let sequence = prop_oneof![0..500_u64, any::<u64>(), Just(u64::MAX)];
    let payload = prop::collection::vec(any::<u8>(), 0..4);
    (sequence, time, 0..30_u8, any::<(bool, bool, bool)>(), payload).prop_map(
        |(sequence, time, ticks, (start, end, copy), payload)| Frame {
            sequence,
            time: MediaTime(time),
            ticks,
            talkspurt_start: start,
            talkspurt_end: end,
            origin: if copy { FrameOrigin::Redundant } else { FrameOrigin::Primary },
            payload: FrameBytes::new(&payload).expect("four bytes fit"),
        },
    )
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => frames().prop_map(|frame| Step::Insert(Box::new(frame))),
        8 => (0..3_u8, 0..40_u8).prop_map(|(lost, silence)| Step::InsertNext {
            lost: lost / 2,
            silence: silence.saturating_sub(37),
        }),
        8 => (0..=960_usize).prop_map(Step::Pull),
        6 => (0..30_000_u64).prop_map(Step::Wait),
        1 => any::<u64>().prop_map(Step::Wait),
        1 => (-700..700).prop_map(Step::Stretched),
        1 => Just(Step::PathSwitch),
    ];
    prop::collection::vec(step, 0..400)
}

proptest! {
    #[test]
    fn nothing_panics_and_accounts_add_up(steps in steps()) {
        let mut buffer = JitterBuffer::new(JitterConfig::default());
        let (mut now, mut queued) = (Duration::ZERO, 0);
        let (mut sequence, mut time) = (0, 4_000);
        let (mut queued_frames, mut decoded, mut concealed) = (0_u64, 0_u64, 0_u64);
        let mut last_played: Option<(u64, u64)> = None;
        for step in steps {
            match step {
                Step::Insert(frame) => {
                    let inserted = buffer.insert(now, &frame);
                    queued_frames += u64::from(matches!(
                        inserted,
                        Inserted::Queued | Inserted::DisplacedOldest | Inserted::StreamRestarted
                    ));
                }
                Step::InsertNext { lost, silence } => {
                    sequence += u64::from(lost);
                    time += 8 * u64::from(lost) + u64::from(silence);
                    let mut frame = frame_at(sequence, time, 8);
                    frame.talkspurt_start = silence > 0;
                    sequence += 1;
                    time += 8;
                    let inserted = buffer.insert(now, &frame);
                    queued_frames += u64::from(matches!(
                        inserted,
                        Inserted::Queued | Inserted::DisplacedOldest | Inserted::StreamRestarted
                    ));
                }
                Step::Pull(block) => {
                    buffer.on_pull(now, block);
                    let mut rounds = 0;
                    while queued < block {
                        rounds += 1;
                        prop_assert!(rounds <= 1_000);
                        let restarts = buffer.report().restarts;
                        match buffer.next(now, queued) {
                            Decision::Decode { frame, .. } => {
                                decoded += 1;
                                prop_assert!(!frame.payload.as_slice().is_empty());
                                if let Some((before, generation)) = last_played {
                                    prop_assert!(generation != restarts || frame.time.0 > before);
                                }
                                last_played = Some((frame.time.0, restarts));
                                queued += usize::from(frame.ticks) * 120;
                            }
                            Decision::DecodeFec { ticks, .. } => queued += usize::from(ticks) * 120,
                            Decision::Conceal { ticks, cause } => {
                                prop_assert!(ticks > 0 && cause != Cause::Late);
                                concealed += u64::from(ticks);
                                queued += usize::from(ticks) * 120;
                            }
                            Decision::Silence { ticks } => {
                                prop_assert!(ticks > 0);
                                queued += usize::from(ticks) * 120;
                            }
                            Decision::Idle => queued = block,
                        }
                    }
                    queued -= block;
                }
                Step::Wait(micros) => now = now.saturating_add(Duration::from_micros(micros)),
                Step::Stretched(samples) => buffer.on_stretched(now, samples),
                Step::PathSwitch => buffer.on_path_switch(now),
            }
            let report = buffer.report();
            prop_assert!(report.waiting <= JITTER_FRAMES_MAX);
            prop_assert_eq!(report.decoded, decoded);
            prop_assert_eq!(report.concealed.total(), Duration::from_micros(concealed * 2_500));
            prop_assert!(queued_frames <= report.received + report.recovered);
            prop_assert!(report.decoded + report.waiting as u64 <= queued_frames);
        }
    }
}
