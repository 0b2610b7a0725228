//! Delay: base, jitter, stalls, spikes, changes, outages.

use netsim::link::{DropReason, Link, LinkConfig, Spread};

use super::{VOICE_BYTES, arrivals_in_order, config, delays_ms, link, ms, offer, quantile};

const PACKETS: usize = 50_000;

#[test]
fn a_perfect_link_takes_no_time_and_loses_nothing() {
    let fates = offer(&mut link("", 1), 1000, 20.0);
    assert!(fates.iter().all(|&(now, fate)| fate.arrival() == Some(now)));
}

#[test]
fn jitter_has_the_distribution_asked_for() {
    for text in [
        "{ shape = 'uniform', min_ms = 2, max_ms = 30 }",
        "{ shape = 'normal', mean_ms = 5, deviation_ms = 5 }",
        "{ shape = 'normal', mean_ms = 20, deviation_ms = 10, max_ms = 25 }",
        "{ shape = 'exponential', mean_ms = 8 }",
        "{ shape = 'log-normal', median_ms = 3, p95_ms = 25 }",
    ] {
        for kind in ["jitter", "reorder"] {
            let config = config(&format!("{kind} = {text}"));
            let spread = config.jitter.or(config.reorder).unwrap();
            // So far apart that none waits for the one before.
            let mut measured = delays_ms(&offer(&mut Link::new(&config, 2).unwrap(), PACKETS, 70_000.0));
            for part in [0.5, 0.95_f64] {
                let asked = spread.quantile_ms(part);
                let below = measured.iter().filter(|&&delay| delay < asked).count() as f64 / PACKETS as f64;
                let error = (part * (1.0 - part) / PACKETS as f64).sqrt();
                assert!(
                    (below - part).abs() < 4.0 * error,
                    "{text}: {below} are below {asked} ms, not {part}"
                );
            }
            measured.sort_by(f64::total_cmp);
            let distance = (1..1000).map(|thousandth| {
                let part = f64::from(thousandth) / 1000.0;
                let asked = spread.quantile_ms(part);
                (measured.partition_point(|&delay| delay < asked) as f64 / PACKETS as f64 - part).abs()
            });
            let furthest = distance.fold(0.0, f64::max);
            assert!(furthest < 1.95 / (PACKETS as f64).sqrt(), "{text}: {furthest}");
        }
    }
}

#[test]
fn a_log_normal_is_given_by_its_median_and_p95() {
    let spread = Spread::LogNormal { median_ms: 3.0, p95_ms: 25.0, max_ms: Some(40.0) };
    assert!((spread.quantile_ms(0.5) - 3.0).abs() < 1e-3);
    assert!((spread.quantile_ms(0.95) - 25.0).abs() < 1e-3);
    assert_eq!(spread.quantile_ms(0.999), 40.0);
}

#[test]
fn jitter_in_order_never_reorders_and_the_other_does() {
    let spread = "{ shape = 'exponential', mean_ms = 30 }";
    let in_order = offer(&mut link(&format!("jitter = {spread}"), 3), PACKETS, 10.0);
    assert!(arrivals_in_order(&in_order));
    let free = offer(&mut link(&format!("reorder = {spread}"), 3), PACKETS, 10.0);
    assert!(!arrivals_in_order(&free));
    // Two packets 10 ms apart with exponential delays change places with chance exp(-10/30) / 2.
    let overtaken = free.windows(2).filter(|pair| pair[1].1.arrival() < pair[0].1.arrival()).count();
    let share = overtaken as f64 / (PACKETS - 1) as f64;
    assert!((share - 0.358).abs() < 0.01, "{share}");
}

#[test]
fn a_stall_holds_packets_and_releases_them_at_once() {
    let text = "stalls = { per_minute = 10, length = { shape = 'constant', ms = 200 } }";
    let fates = offer(&mut link(text, 4), 300_000, 20.0);
    assert!(arrivals_in_order(&fates));
    let delays = delays_ms(&fates);
    let held = delays.iter().filter(|&&delay| delay > 0.0).count() as f64 / delays.len() as f64;
    // Overlapping Poisson stalls: the share of time stalled is 1 - exp(-rate * length).
    let expected = 1.0 - (-10.0 / 60.0 * 0.2_f64).exp();
    assert!((held - expected).abs() < 0.15 * expected, "{held}, not {expected}");
    let longest_alone = quantile(&delays, 0.999);
    assert!((150.0..=400.0).contains(&longest_alone), "{longest_alone}");
    // Each burst: ten packets or so with one arrival.
    let arrivals: Vec<_> = fates.iter().filter_map(|(_, fate)| fate.arrival()).collect();
    let bursts = arrivals.chunk_by(|a, b| a == b).map(<[_]>::len).filter(|&length| length > 1);
    let (count, packets) = bursts.fold((0, 0), |(count, packets), length| (count + 1, packets + length));
    let mean = packets as f64 / f64::from(count);
    assert!((9.5..11.5).contains(&mean), "{mean}");
}

#[test]
fn released_packets_leave_at_the_links_rate() {
    let text = "rate_kbps = 104\nstalls = { per_minute = 5, length = { shape = 'constant', ms = 300 } }";
    let fates = offer(&mut link(text, 5), 50_000, 20.0);
    let gaps: Vec<f64> = fates
        .windows(2)
        .filter_map(|pair| Some((pair[1].1.arrival()? - pair[0].1.arrival()?).as_secs_f64() * 1000.0))
        .collect();
    // 130 bytes at 104 kbit/s take 10 ms.
    assert!((quantile(&gaps, 0.0) - 10.0).abs() < 0.001);
    assert!(gaps.iter().filter(|&&gap| gap < 10.001).count() > 500);
}

#[test]
fn a_spike_jumps_and_drains_and_comes_again() {
    let text = "delay_ms = 20\nspikes = [{ at_s = 5, height_ms = 200, drain_s = 1, every_s = 10 }]";
    let mut link = link(text, 6);
    let mut delay_at = |s: f64| {
        let now = ms(s * 1000.0);
        (link.offer(now, VOICE_BYTES).arrival().unwrap() - now).as_secs_f64() * 1000.0
    };
    let measured = [4.99, 5.0, 5.25, 5.5, 6.0, 14.9, 15.5].map(&mut delay_at);
    for (is, expected) in measured.into_iter().zip([20.0, 220.0, 170.0, 120.0, 20.0, 20.0, 120.0]) {
        assert!((is - expected).abs() < 0.001, "{measured:?}");
    }
}

#[test]
fn changes_come_at_their_times_and_reorder_nothing() {
    let text = "delay_ms = 20\nmtu_bytes = 1000\n\
                changes = [{ at_s = 1, delay_ms = 70 }, { at_s = 2, delay_ms = 10, off = ['mtu'] }]";
    let mut link = link(text, 7);
    assert_eq!(link.offer(ms(500.0), 1001).dropped(), Some(DropReason::Mtu));
    let at = |link: &mut Link, now: f64| link.offer(ms(now), 1000).arrival().unwrap();
    assert_eq!(at(&mut link, 999.0), ms(1019.0));
    assert_eq!(at(&mut link, 1000.0), ms(1070.0));
    assert_eq!(at(&mut link, 1990.0), ms(2060.0));
    // 10 ms now, but not before the one that left at 1990.
    assert_eq!(at(&mut link, 2010.0), ms(2060.0));
    assert_eq!(at(&mut link, 2100.0), ms(2110.0));
    assert!(link.offer(ms(2200.0), 1001).arrival().is_some());
    assert_eq!(link.config().delay_ms, 10.0);
}

#[test]
fn a_new_config_leaves_packets_under_way_alone_and_is_not_overtaken() {
    let mut link = link("reorder = { shape = 'uniform', min_ms = 100, max_ms = 300 }", 8);
    let last = (0..20).filter_map(|_| link.offer(ms(0.0), VOICE_BYTES).arrival()).max().unwrap();
    link.reconfigure(ms(1.0), &LinkConfig::default()).unwrap();
    assert_eq!(link.offer(ms(1.0), VOICE_BYTES).arrival(), Some(last));
    assert_eq!(link.offer(ms(500.0), VOICE_BYTES).arrival(), Some(ms(500.0)));
    let wrong = LinkConfig { loss_percent: 101.0, ..LinkConfig::default() };
    assert_eq!(link.reconfigure(ms(501.0), &wrong).unwrap_err().field(), "loss_percent");
    assert_eq!(link.config(), &LinkConfig::default());
}

#[test]
fn a_new_config_goes_on_with_what_stays_the_same() {
    let text = "jitter = { shape = 'exponential', mean_ms = 5 }";
    let (mut left, mut right) = (link(text, 9), link(text, 9));
    right.reconfigure(ms(3000.0), &config(&format!("{text}\nloss_percent = 10"))).unwrap();
    for packet in 0..1000 {
        let now = ms(3000.0 + 20.0 * f64::from(packet));
        let (left, right) = (left.offer(now, VOICE_BYTES), right.offer(now, VOICE_BYTES));
        assert!(right.dropped().is_some() || left == right);
    }
}

#[test]
fn changes_of_a_new_config_that_have_passed_are_in_force() {
    let mut link = link("", 10);
    let text = "delay_ms = 5\nchanges = [{ at_s = 1, delay_ms = 6 }, { at_s = 3, delay_ms = 7 }]";
    link.reconfigure(ms(2000.0), &config(text)).unwrap();
    assert_eq!(link.offer(ms(2000.0), 100).arrival(), Some(ms(2006.0)));
    assert_eq!(link.offer(ms(3000.0), 100).arrival(), Some(ms(3007.0)));
}

#[test]
fn an_outage_takes_what_is_sent_in_it_and_nothing_else() {
    let mut link = link("delay_ms = 30\noutages = [{ at_s = 1, for_s = 0.5, every_s = 2 }]", 11);
    for (now, lost) in [(999.0, false), (1000.0, true), (1499.0, true), (1500.0, false), (3200.0, true)] {
        let expected = lost.then_some(DropReason::Outage);
        assert_eq!(link.offer(ms(now), VOICE_BYTES).dropped(), expected, "at {now} ms");
    }
}

#[test]
#[should_panic(expected = "never goes back")]
fn time_that_goes_back_is_the_callers_bug() {
    let mut link = link("", 12);
    link.offer(ms(2.0), 100);
    link.offer(ms(1.0), 100);
}

#[test]
fn the_same_seed_gives_the_same_fates_and_another_seed_others() {
    let text = "loss_percent = 5\njitter = { shape = 'exponential', mean_ms = 5 }\nrate_kbps = 500\n\
                stalls = { per_minute = 20, length = { shape = 'uniform', min_ms = 20, max_ms = 200 } }\n\
                cross_traffic = { flow = 'constant', rate_kbps = 300, on_s = 1, off_s = 2 }\n\
                grants = { retransmit_percent = 10 }";
    let run = |seed| offer(&mut link(text, seed), 5000, 20.0);
    assert_eq!(run(13), run(13));
    assert_ne!(run(13), run(14));
}

#[test]
fn a_long_stall_outlasts_a_short_one_that_begins_within_it() {
    let text = "stalls = { per_minute = 120, length = { shape = 'uniform', min_ms = 0, max_ms = 400 } }";
    // So far apart that a packet held does not hold the next as well.
    let delays = delays_ms(&offer(&mut link(text, 15), 300_000, 1000.0));
    let held = delays.iter().filter(|&&delay| delay > 0.0).count() as f64 / delays.len() as f64;
    // As above, whatever the lengths' distribution: 2 a second of 0.2 s.
    let expected = 1.0 - (-0.4_f64).exp();
    assert!((held - expected).abs() < 0.03 * expected, "{held}, not {expected}");
}
