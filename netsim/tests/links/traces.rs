//! Traces from files.

use std::collections::BTreeSet;
use std::time::Duration;

use netsim::link::{BUNDLED_TRACES, DropReason, Fate, Link, LinkConfig, TraceFileError, bundled_trace};

use super::{arrivals_in_order, config, ms, offer};

fn with_file(text: &str, content: &str) -> LinkConfig {
    let mut config = config(text);
    config.resolve(|_| Ok(content.to_owned())).expect("the test's trace reads");
    config
}

#[test]
fn a_delay_trace_is_reproduced_line_by_line_and_round_again() {
    let config = with_file("delay_trace = { file = 'x', offset_lines = 1 }", "10\n250.5\n-1\n0\n3.25\n");
    let fates = offer(&mut Link::new(&config, 1).unwrap(), 9, 20.0);
    let expected =
        [Some(250.5), None, Some(0.0), Some(3.25), Some(10.0), Some(250.5), None, Some(0.0), Some(3.25)];
    for (&(now, fate), expected) in fates.iter().zip(expected) {
        match expected {
            Some(delay) => assert_eq!(fate, Fate::Arrives { at: now + ms(delay) }),
            None => assert_eq!(fate.dropped(), Some(DropReason::Trace)),
        }
    }
    assert!(!arrivals_in_order(&fates));
}

#[test]
fn a_delay_trace_adds_to_the_other_delays_and_keeps_order_on_demand() {
    let text = "delay_ms = 5\ndelay_trace = { file = 'x', offset_lines = 0, keep_order = true }";
    let fates = offer(&mut Link::new(&with_file(text, "100\n0\n20"), 1).unwrap(), 3, 20.0);
    let arrivals: Vec<Duration> = fates.iter().filter_map(|(_, fate)| fate.arrival()).collect();
    assert_eq!(arrivals, [ms(105.0), ms(105.0), ms(105.0)]);
}

#[test]
fn a_line_belongs_to_a_packet_whatever_becomes_of_it() {
    let text = "mtu_bytes = 1000\ndelay_trace = { file = 'x', offset_lines = 0 }";
    let mut link = Link::new(&with_file(text, "1\n2\n3"), 1).unwrap();
    assert_eq!(link.offer(ms(0.0), 100).arrival(), Some(ms(1.0)));
    assert_eq!(link.offer(ms(0.0), 1001).dropped(), Some(DropReason::Mtu));
    assert_eq!(link.offer(ms(0.0), 100).arrival(), Some(ms(3.0)));
}

#[test]
fn the_seed_chooses_where_a_trace_starts_unless_it_is_given() {
    let lines: String = (0..100).map(|line| format!("{}\n", line * line)).collect();
    let starts = |text: &str| -> BTreeSet<Duration> {
        let config = with_file(text, &lines);
        (0..50).filter_map(|seed| Link::new(&config, seed).unwrap().offer(ms(0.0), 100).arrival()).collect()
    };
    assert!(starts("delay_trace = { file = 'x' }").len() > 25);
    assert_eq!(starts("delay_trace = { file = 'x', offset_lines = 42 }"), BTreeSet::from([ms(1764.0)]));
    assert!(starts("opportunity_trace = { file = 'x' }").len() > 25);
    // What was skipped took no time: 42^2 - 41^2.
    assert_eq!(starts("opportunity_trace = { file = 'x', offset_lines = 42 }"), BTreeSet::from([ms(83.0)]));
}

#[test]
fn opportunities_give_their_times_and_throughput_exactly() {
    // 4 opportunities in 10 ms: 600 bytes a ms.
    let text = "opportunity_trace = { file = 'x', offset_lines = 0 }\nqueue_bytes = 30000";
    let config = with_file(text, "1\n1\n7\n10\n");
    let mut link = Link::new(&config, 1).unwrap();
    let arrivals: Vec<u128> =
        (0..8).map(|_| link.offer(ms(0.0), 1500).arrival().unwrap().as_millis()).collect();
    assert_eq!(arrivals, [1, 1, 7, 10, 11, 11, 17, 20]);

    let mut link = Link::new(&config, 1).unwrap();
    let in_10_s = (0..20_000)
        .filter_map(|packet| link.offer(ms(f64::from(packet) / 2.0), 1500).arrival())
        .filter(|&at| at <= ms(10_000.0))
        .count();
    assert_eq!(in_10_s, 4000);
    assert!(link.queued_bytes(ms(10_000.0)) <= 30_000);
}

#[test]
fn bundled_traces_read_and_run() {
    for (name, content) in BUNDLED_TRACES {
        let kind = if name.ends_with(".delays") { "delay_trace" } else { "opportunity_trace" };
        let config = with_file(&format!("{kind} = {{ file = '{name}', offset_lines = 0 }}"), content);
        let fates = offer(&mut Link::new(&config, 1).unwrap(), 500, 20.0);
        let arrived = fates.iter().filter(|(_, fate)| fate.arrival().is_some()).count();
        assert!(arrived > 450, "{name}: {arrived}");
        assert_eq!(arrivals_in_order(&fates), name != "reordering.delays", "{name}");
    }
    assert_eq!(bundled_trace("none"), None);
}

#[test]
fn a_wrong_file_is_told_with_its_name_and_line() {
    let mut used = config("delay_trace = { file = 'my/trace.txt' }");
    let error = used.resolve(|_| Ok("1\nabc".to_owned())).unwrap_err();
    assert_eq!(
        error.to_string(),
        "my/trace.txt: line 2: `abc` is no number of milliseconds; write e.g. 23.5, or -1 for a lost packet"
    );
    let error = used.resolve(|file| Err(format!("no file {file}"))).unwrap_err();
    assert!(
        matches!(error, TraceFileError::Unreadable { ref problem, .. } if problem == "no file my/trace.txt")
    );
    let error = Link::new(&used, 1).unwrap_err();
    assert_eq!(error.field(), "delay_trace.file");
}
