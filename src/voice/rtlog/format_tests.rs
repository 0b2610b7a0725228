//! What goes in comes out, and whatever else there is, is refused.

use crate::voice::rtlog::{Arrived, COUNTERS, Decoder, Encoder, Fault, PLACES_MAX, PULLS_MAX, Record};
use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use protocol::jitter::JitterConfig;

fn frames() -> impl Strategy<Value = Arrived> {
    let number = || prop_oneof![0..300_u64, any::<u64>(), Just(u64::MAX)];
    (number(), number(), any::<u8>(), any::<[bool; 4]>(), 0..16_u8).prop_map(
        |(sequence, time, ticks, [start, end, copy, fec], size_steps)| Arrived {
            sequence,
            time,
            ticks,
            start,
            end,
            copy,
            fec,
            size_steps,
        },
    )
}

fn records() -> impl Strategy<Value = Record> {
    let at = || prop_oneof![0..1_000_000_u64, any::<u64>()];
    let place = || 0..PLACES_MAX as u8;
    let operation = 0..64_u8;
    prop_oneof![
        (at(), place()).prop_map(|(at_us, place)| Record::Added { at_us, place }),
        (at(), place()).prop_map(|(at_us, place)| Record::Gone { at_us, place }),
        (at(), place()).prop_map(|(at_us, place)| Record::PathSwitch { at_us, place }),
        (at(), place(), frames()).prop_map(|(at_us, place, frame)| Record::Arrival { at_us, place, frame }),
        (at(), 1..=960_u16, 1..=PULLS_MAX).prop_map(|(at_us, samples, count)| Record::Pulls {
            at_us,
            samples,
            count
        }),
        (place(), operation.clone(), -2_000_000_000..2_000_000_000_i32)
            .prop_map(|(place, operation, samples)| Record::Stretched { place, operation, samples }),
        (place(), operation, any::<u32>()).prop_map(|(place, operation, samples)| Record::Yielded {
            place,
            operation,
            samples
        }),
        (place(), 0..COUNTERS as u8, any::<u64>()).prop_map(|(place, counter, value)| Record::Count {
            place,
            counter,
            value
        }),
        any::<u64>().prop_map(|records| Record::Gap { records }),
    ]
}

fn encode(records: &[Record]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&JitterConfig::default(), &mut bytes);
    records.iter().for_each(|record| encoder.put(record, &mut bytes));
    encoder.flush(&mut bytes);
    bytes
}

/// Pulls one by one, as joining them is the encoder's business.
fn apart(records: &[Record]) -> Vec<Record> {
    let mut all = Vec::new();
    for record in records {
        match *record {
            Record::Pulls { at_us, samples, count } => {
                all.extend((0..count).map(|_| Record::Pulls { at_us, samples, count: 1 }));
            }
            other => all.push(other),
        }
    }
    all
}

fn decode(bytes: &[u8]) -> Result<Vec<Record>, (usize, Fault)> {
    let (mut decoder, config) = Decoder::new(bytes).map_err(|fault| (0, fault))?;
    assert_eq!(config, JitterConfig::default());
    let mut records = Vec::new();
    loop {
        match decoder.read() {
            Ok(Some(record)) => records.push(record),
            Ok(None) => return Ok(records),
            Err(fault) => return Err((decoder.offset(), fault)),
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(records in prop::collection::vec(records(), 0..60)) {
        let read = decode(&encode(&records)).expect("it was just written");
        prop_assert_eq!(apart(&read), apart(&records));
    }

    #[test]
    fn a_cut_anywhere_leaves_what_stands_before_it(
        records in prop::collection::vec(records(), 1..20), cut in any::<prop::sample::Index>(),
    ) {
        let bytes = encode(&records);
        let cut = cut.index(bytes.len());
        let Ok((mut decoder, _)) = Decoder::new(&bytes[..cut]) else { return Ok(()) };
        let mut read = Vec::new();
        let fault = loop {
            match decoder.read() {
                Ok(Some(record)) => read.push(record),
                Ok(None) => break None,
                Err(fault) => break Some(fault),
            }
        };
        prop_assert!(fault.is_none_or(|fault| fault == Fault::Cut), "{:?}", fault);
        let all = apart(&records);
        let read = apart(&read);
        prop_assert_eq!(&read[..], &all[..read.len()]);
    }
}

#[test]
fn pulls_at_one_moment_take_one_record_and_an_arrival_in_sequence_four_bytes() {
    let arrival = |n: u64| Record::Arrival {
        at_us: n * 10_000 + 3_000,
        place: 0,
        frame: Arrived { sequence: n, time: n * 4, ticks: 4, size_steps: 2, ..Arrived::default() },
    };
    let pull = |n: u64| Record::Pulls { at_us: n * 10_000 + 9_000, samples: 120, count: 1 };
    let second = |n| [arrival(n), pull(n), pull(n), pull(n), pull(n)];
    let records: Vec<Record> = (0..100).flat_map(second).collect();
    let bytes = encode(&records);
    assert!(bytes.len() <= 7 * 100 + 20, "{} bytes", bytes.len());
    assert_eq!(apart(&decode(&bytes).unwrap()), records);
}

#[test]
fn what_is_no_log_is_refused_with_a_reason() {
    let good = encode(&[]);
    assert!(matches!(decode(b"RIFF...."), Err((_, Fault::Wrong("a log begins with `rtlog`")))));
    assert_eq!(decode(&good[..4]), Err((0, Fault::Cut)));
    assert_eq!(decode(b"rtlog\x09"), Err((0, Fault::Version(9))));
    for (bad, reason) in [
        (&[7][..], "there is no such kind of record"),
        (&[6 | 8, 1][..], "a record has no such flag"),
        (&[2, 64][..], "peers are numbered 0 to 63"),
        (&[2 | 8, 64][..], "a pull has at most 64 operations"),
        (&[1 | 8, 0][..], "a pull is of 1 to 960 samples"),
        (&[1, 0, 0][..], "a pull is of 1 to 960 samples"),
        (&[1, 0, 0xc1, 7][..], "a pull is of 1 to 960 samples"),
        (&[8, 64][..], "an arrival has no such mark"),
        (&[5 | 8, 20][..], "there is no such counter"),
        (&[4 | 8 | 128, 1][..], "a time is out of range"),
        (&[4 | 8 | 16 | 32, 0][..], "a peer does one thing at a time"),
        (&[6, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2][..], "a number has at most 64 bits"),
    ] {
        let bytes = [&good[..], bad].concat();
        match decode(&bytes) {
            Err((offset, Fault::Wrong(said))) => {
                assert_eq!(said, reason);
                assert!(offset > good.len() && offset <= bytes.len());
            }
            other => panic!("{bad:?} is read as {other:?}"),
        }
    }
}
