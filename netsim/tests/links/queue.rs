//! Rate, queue, cross traffic, grants, MTU.

use netsim::link::{DropReason, Link};

use super::{VOICE_BYTES, arrivals_in_order, delays_ms, link, ms, offer, quantile};

#[test]
fn a_limited_link_delivers_at_its_rate() {
    // 1000 bytes every ms are 8 Mbit/s into 1 Mbit/s.
    let mut link = link("rate_kbps = 1000\nqueue_bytes = 20000", 1);
    let arrivals: Vec<_> =
        (0..10_000).filter_map(|packet| link.offer(ms(f64::from(packet)), 1000).arrival()).collect();
    let time = (*arrivals.last().unwrap() - arrivals[0]).as_secs_f64();
    let kbps = (arrivals.len() - 1) as f64 * 8.0 / time;
    assert!((kbps - 1000.0).abs() < 0.01, "{kbps}");
    assert!(time > 9.9);
}

#[test]
fn the_queue_never_holds_more_than_its_bytes_and_drops_the_rest() {
    let mut link = link("rate_kbps = 1000\nqueue_bytes = 20000", 2);
    let mut dropped = 0;
    let mut fullest = 0;
    for packet in 0..10_000 {
        let now = ms(f64::from(packet));
        let fate = link.offer(now, 700);
        dropped += usize::from(fate.dropped() == Some(DropReason::Queue));
        let queued = link.queued_bytes(now);
        assert!(queued <= link.queue_limit());
        fullest = fullest.max(queued);
    }
    assert!(fullest > 20_000 - 700, "{fullest}");
    // 5.6 Mbit/s offered, 1 taken.
    assert!((8150..8250).contains(&dropped), "{dropped}");
    assert_eq!(link.queued_bytes(ms(20_000.0)), 0);
}

#[test]
fn a_full_queue_delays_by_its_bytes_over_the_rate() {
    let text =
        "rate_kbps = 1000\nqueue_bytes = 75000\ncross_traffic = { flow = 'constant', rate_kbps = 1500 }";
    let delays = delays_ms(&offer(&mut link(text, 3), 3000, 20.0));
    let most = quantile(&delays, 1.0);
    // 75,000 bytes at 1 Mbit/s: 600 ms.
    assert!((587.0..=600.0).contains(&most), "{most}");
    assert!(quantile(&delays, 0.5) > 580.0);
}

#[test]
fn a_greedy_flow_fills_the_queue_in_saw_teeth() {
    let text =
        "rate_kbps = 1000\nqueue_bytes = 75000\ncross_traffic = { flow = 'greedy', round_trip_ms = 40 }";
    let mut link = link(text, 4);
    // One look every 100 ms, five minutes from when slow start is over.
    let queued: Vec<f64> =
        (100..3100).map(|tenth| link.queued_bytes(ms(f64::from(tenth) * 100.0)) as f64).collect();
    assert!(quantile(&queued, 1.0) > 70_000.0);
    let (low, high) = (quantile(&queued, 0.02), quantile(&queued, 0.98));
    // Half the window at a loss: window = queue + 5000 bytes in flight, so down to about 35,000.
    assert!((28_000.0..45_000.0).contains(&low), "{low}");
    assert!(high > 68_000.0, "{high}");
    // Teeth: slow rises, sudden falls.
    let falls = queued.windows(2).filter(|pair| pair[1] < pair[0] - 5_000.0).count();
    let rises = queued.windows(2).filter(|pair| pair[1] > pair[0] + 5_000.0).count();
    assert!(falls >= 10 && rises * 4 < falls, "{falls} falls, {rises} rises");
}

#[test]
fn a_flow_that_pauses_leaves_the_queue_empty() {
    let text = "rate_kbps = 1000\nqueue_bytes = 75000\n\
                cross_traffic = { flow = 'greedy', round_trip_ms = 40, on_s = 10, off_s = 10 }";
    let fates = offer(&mut link(text, 5), 30_000, 20.0);
    let delays = delays_ms(&fates);
    let empty = delays.iter().filter(|&&delay| delay < 1.1).count() as f64 / delays.len() as f64;
    assert!((0.42..0.5).contains(&empty), "{empty}");
    assert!(quantile(&delays, 0.9) > 400.0);
    assert!(arrivals_in_order(&fates));
}

#[test]
fn the_seed_chooses_where_in_its_period_a_flow_starts() {
    let text = "rate_kbps = 1000\nqueue_bytes = 75000\n\
                cross_traffic = { flow = 'constant', rate_kbps = 2000, on_s = 10, off_s = 10 }";
    let full_at_3_s = (0..200).filter(|&seed| link(text, seed).queued_bytes(ms(3000.0)) > 50_000).count();
    assert!((70..130).contains(&full_at_3_s), "{full_at_3_s}");
}

#[test]
fn grants_let_packets_leave_on_their_beat_only() {
    let mut link = link("grants = { period_ms = 10, request_ms = 8 }", 6);
    // Every 7 ms: at all phases of the beat.
    let fates = offer(&mut link, 10_000, 7.0);
    let first = fates[0].1.arrival().unwrap().as_nanos() % 10_000_000;
    assert!(fates.iter().all(|(_, fate)| fate.arrival().unwrap().as_nanos() % 10_000_000 == first));
    let delays = delays_ms(&fates);
    assert!(quantile(&delays, 0.0) >= 8.0 && quantile(&delays, 1.0) < 18.0);
    assert!((quantile(&delays, 0.5) - 13.0).abs() < 1.0);
}

#[test]
fn retransmissions_cost_their_steps_and_hold_back_what_follows() {
    let text = "grants = { period_ms = 1, request_ms = 0, retransmit_percent = 10, retransmit_ms = 8, \
                retransmissions_max = 3 }";
    let mut far_apart = link(text, 7);
    let delays = delays_ms(&offer(&mut far_apart, 100_000, 100.0));
    // Phase and steps: 0.x, 8.x, 16.x, 24.x ms.
    for (step, expected) in [(0, 0.9), (1, 0.09), (2, 0.009), (3, 0.001)] {
        let share = delays.iter().filter(|&&delay| (delay / 8.0) as i32 == step).count() as f64 / 100_000.0;
        let error = (expected * (1.0 - expected) / 100_000.0_f64).sqrt();
        assert!((share - expected).abs() < 4.0 * error, "{step} retransmissions: {share}");
    }
    let close = offer(&mut link(text, 7), 100_000, 2.0);
    assert!(arrivals_in_order(&close));
    // Every packet sent within 8 ms after a retransmitted one waits for it.
    assert!(quantile(&delays_ms(&close), 0.75) > 2.0);
}

#[test]
fn packets_of_one_grant_share_its_retransmissions() {
    let text = "grants = { period_ms = 20, request_ms = 0, retransmit_percent = 30 }";
    let fates = offer(&mut link(text, 8), 40_000, 5.0);
    let arrivals: Vec<_> = fates.iter().filter_map(|(_, fate)| fate.arrival()).collect();
    // Four packets a grant, or more where a late grant runs into the next.
    let groups: Vec<usize> = arrivals.chunk_by(|a, b| a == b).map(<[_]>::len).collect();
    assert!(groups[1..groups.len() - 1].iter().all(|length| length % 4 == 0), "{groups:?}");
}

#[test]
fn a_small_grant_spreads_a_packet_over_several() {
    let mut link = link("grants = { period_ms = 10, request_ms = 0, grant_bytes = 50 }", 9);
    let at = link.offer(ms(0.0), VOICE_BYTES).arrival().unwrap();
    assert!(at >= ms(20.0) && at < ms(30.0), "{at:?}");
}

#[test]
fn what_is_larger_than_the_mtu_is_dropped() {
    let mut link = link("mtu_bytes = 1280", 10);
    assert_eq!(link.offer(ms(0.0), 1280).dropped(), None);
    assert_eq!(link.offer(ms(0.0), 1281).dropped(), Some(DropReason::Mtu));
}

#[test]
fn a_faster_rate_from_a_change_on_does_not_let_packets_overtake() {
    let text = "rate_kbps = 100\nchanges = [{ at_s = 1, rate_kbps = 10000 }]";
    let mut link = link(text, 11);
    let offer = |link: &mut Link, now: f64| link.offer(ms(now), 1250).arrival().unwrap();
    // 100 ms each, from 999 ms on.
    assert_eq!([offer(&mut link, 999.0), offer(&mut link, 999.0)], [ms(1099.0), ms(1199.0)]);
    assert_eq!(offer(&mut link, 1000.0), ms(1200.0));
    assert_eq!(offer(&mut link, 2000.0), ms(2001.0));
}

#[test]
fn packets_that_wait_for_a_grant_are_sent_first_when_grants_end() {
    let text =
        "grants = { period_ms = 5000, request_ms = 1000 }\nchanges = [{ at_s = 0.5, off = ['grants'] }]";
    let mut link = link(text, 12);
    let first = link.offer(ms(0.0), VOICE_BYTES).arrival().unwrap();
    assert!(first >= ms(1000.0));
    assert_eq!(link.offer(ms(600.0), VOICE_BYTES).arrival(), Some(first));
    assert_eq!(link.queued_bytes(ms(600.0)), 2 * VOICE_BYTES);
    assert_eq!(link.queued_bytes(first), 0);
}
