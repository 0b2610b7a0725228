//! Whatever a file holds, it is read or refused, and what is read can be replayed.

use super::{LogError, What, WhatIf, Why, read, replay};
use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_oneof, proptest};
use protocol::jitter::JitterConfig;
use roundtable::voice::rtlog::{Arrived, Encoder, Record};

fn encode(records: &[Record]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&JitterConfig::default(), &mut bytes);
    records.iter().for_each(|record| encoder.put(record, &mut bytes));
    encoder.flush(&mut bytes);
    bytes
}

/// A second of a peer that talks, and a second peer for its half.
fn second() -> Vec<Record> {
    let mut records = vec![Record::Added { at_us: 5, place: 3 }];
    for n in 0..100_u64 {
        let at_us = n * 10_000 + 5_000;
        let frame = Arrived { sequence: n, time: n * 4, ticks: 4, size_steps: 2, ..Arrived::default() };
        records.push(Record::Arrival { at_us, place: 3, frame });
        match n {
            30 => records.push(Record::Added { at_us, place: 0 }),
            31..80 => {
                let frame = Arrived { fec: true, end: n == 60, ..frame };
                records.push(Record::Arrival { at_us: at_us + 700, place: 0, frame });
            }
            80 => {
                records.push(Record::Count { place: 0, counter: 0, value: 49 });
                records.push(Record::Gone { at_us, place: 0 });
            }
            _ => {}
        }
        records.push(Record::Pulls { at_us: n * 10_000 + 9_000, samples: 120, count: 4 });
        if n == 50 {
            records.push(Record::Stretched { place: 3, operation: 0, samples: -200 });
            records.push(Record::Yielded { place: 3, operation: 1, samples: 77 });
            records.push(Record::PathSwitch { at_us, place: 3 });
        }
    }
    records
}

fn what_ifs() -> Vec<WhatIf> {
    ["", "target+20ms,loss+10%", "jitter*3", "target=0ms no-jitter no-fec"]
        .map(|text| text.parse().unwrap())
        .into()
}

/// What no call would log, though it can be written, and what one would.
fn strange() -> impl Strategy<Value = Record> {
    let number =
        || prop_oneof![3 => 0..200_u64, 1 => any::<u64>(), 1 => Just(u64::MAX), 1 => Just((1 << 50) - 9)];
    let at = || prop_oneof![6 => 0..5_000_000_u64, 1 => any::<u64>(), 1 => Just(u64::MAX)];
    let frame = (number(), number(), any::<[bool; 4]>(), 0..30_u8, 0..16_u8).prop_map(
        |(sequence, time, [start, end, copy, fec], ticks, size_steps)| Arrived {
            sequence,
            time,
            ticks,
            start,
            end,
            copy,
            fec,
            size_steps,
        },
    );
    let place = 0..2_u8;
    prop_oneof![
        1 => (at(), place.clone()).prop_map(|(at_us, place)| Record::PathSwitch { at_us, place }),
        8 => (at(), place.clone(), frame).prop_map(|(at_us, place, frame)| Record::Arrival { at_us, place, frame }),
        8 => (at(), prop_oneof![Just(120_u16), 1..=960_u16], 1..=8_u8)
            .prop_map(|(at_us, samples, count)| Record::Pulls { at_us, samples, count }),
        2 => (place.clone(), 0..64_u8, prop_oneof![-900..900_i32, any::<i32>()])
            .prop_map(|(place, operation, samples)| Record::Stretched { place, operation, samples: samples.max(-i32::MAX) }),
        2 => (place.clone(), 0..64_u8, prop_oneof![0..900_u32, any::<u32>()])
            .prop_map(|(place, operation, samples)| Record::Yielded { place, operation, samples }),
        1 => (place, 0..20_u8, any::<u64>()).prop_map(|(place, counter, value)| Record::Count { place, counter, value }),
    ]
}

proptest! {
    #[test]
    fn whatever_can_be_written_can_be_replayed(strange in prop::collection::vec(strange(), 0..200)) {
        let mut records = vec![
            Record::Added { at_us: 0, place: 0 },
            Record::Added { at_us: 0, place: 1 },
            Record::Pulls { at_us: 0, samples: 480, count: 1 },
        ];
        records.extend(strange);
        records.push(Record::Gone { at_us: 7, place: 1 });
        let log = read(&encode(&records)).expect("it was just written");
        for what_if in what_ifs() {
            let replayed = replay(&log, &what_if);
            prop_assert!(!replayed.to_string().is_empty());
            for peer in &replayed.peers {
                let explained = peer.glitches.iter().filter(|glitch| glitch.why.is_heard() && glitch.why != Why::Skipped);
                let explained: f64 = explained.map(|glitch| glitch.duration_ms).sum();
                let made_up: f64 = peer.series.concealed.iter().map(|point| point.ms).sum();
                prop_assert!((explained - made_up).abs() < 1e-3 * made_up.max(1.0), "{} of {}", explained, made_up);
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(noise in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&noise);
        let bytes = [encode(&[]), noise].concat();
        let Ok(log) = read(&bytes) else { return Ok(()) };
        prop_assert!(log.pulls.len() + log.peers.len() <= bytes.len());
        what_ifs().iter().for_each(|what_if| drop(replay(&log, what_if)));
    }

    #[test]
    fn a_damaged_log_is_read_or_refused(
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = encode(&second());
        for (place, byte) in places {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        match read(&bytes) {
            Ok(log) => what_ifs().iter().for_each(|what_if| drop(replay(&log, what_if).to_string())),
            Err(LogError::Damaged { offset, .. }) => prop_assert!(offset <= bytes.len()),
            Err(_) => {}
        }
    }
}

#[test]
fn peers_pulls_and_notes_are_put_together() {
    let log = read(&encode(&second())).unwrap();
    assert_eq!((log.pulls.len(), log.peers.len(), log.missing, log.cut_at), (100, 2, 0, None));
    let [one, other] = &log.peers[..] else { unreachable!("two, as above") };
    assert_eq!((one.pulls.clone(), other.pulls.clone()), (0..100, 30..80));
    assert_eq!((one.inputs.len(), other.inputs.len()), (101, 49));
    assert_eq!(one.inputs[51].what, What::PathSwitch);
    let [stretch, other_yield] = one.notes[..] else { panic!("{:?}", one.notes) };
    assert_eq!((stretch.pull, stretch.operation, stretch.stretched), (50, 0, -200));
    assert_eq!((other_yield.pull, other_yield.yielded), (50, Some(77)));
    assert_eq!((one.live, other.live.map(|live| live.received)), (None, Some(49)));
    assert_eq!((one.gone_us, other.gone_us), (None, Some(805_000)));
}

#[test]
fn what_cannot_have_happened_is_refused_with_its_place_in_the_file() {
    let added = Record::Added { at_us: 0, place: 1 };
    let pulls = Record::Pulls { at_us: 9, samples: 120, count: 1 };
    let note = Record::Stretched { place: 1, operation: 0, samples: 5 };
    for (records, reason) in [
        (&[added, added][..], "a peer comes where another still is"),
        (&[added, pulls, Record::Gone { at_us: 1, place: 2 }][..], "this peer is not there"),
        (&[added, note][..], "nothing was pulled from this peer yet"),
        (&[pulls, added, note][..], "nothing was pulled from this peer yet"),
    ] {
        let good = encode(&records[..records.len() - 1]).len();
        match read(&encode(records)) {
            Err(LogError::Damaged { offset, reason: said }) => assert_eq!((offset, said), (good, reason)),
            other => panic!("{records:?} is read as {other:?}"),
        }
    }
    // What is missing may have been their coming or going.
    let gap = Record::Gap { records: 9 };
    let log = read(&encode(&[gap, note, added, pulls, added, pulls, note])).unwrap();
    assert_eq!((log.missing, log.peers.len(), log.peers[0].pulls.clone()), (9, 2, 0..1));
}

#[test]
fn what_is_no_log_says_so() {
    let says = |bytes: &[u8], words: &str| {
        let said = read(bytes).unwrap_err().to_string();
        assert!(said.contains(words), "{said}");
    };
    says(b"RIFF\0\0\0\0WAVE", "no log of a call");
    says(b"", "cut off within its header, after 0 bytes");
    says(b"rtlog\x01\x80", "cut off within its header, after 7 bytes");
    says(b"rtlog\x02\0\0\0", "version 2, this program reads version 1");
    says(b"rtlog\x01\xff\xff\xff\xff\xff\x7f\0\0", "damaged at byte 14");
    says(b"rtlog\x01\0\0\0\x07", "damaged at byte 10: there is no such kind of record");
}
