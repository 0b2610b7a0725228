//! The named profiles read, and are what their names say.

use std::time::Duration;

use netsim::link::{DropReason, Fate, Link, LinkConfig, PROFILES, Profile, profile};

use super::{arrivals_in_order, bursts, delays_ms, lost_share, offer, quantile};

/// Ten minutes of voice.
const PACKETS: usize = 30_000;

fn named(name: &str) -> Profile {
    profile(name).expect("a profile of that name")
}

fn run(config: &LinkConfig, seed: u64) -> Vec<(Duration, Fate)> {
    offer(&mut Link::new(config, seed).expect("a valid profile"), PACKETS, 20.0)
}

fn up(name: &str) -> Vec<(Duration, Fate)> {
    run(&named(name).up, 1)
}

#[test]
fn every_profile_reads_runs_and_keeps_order() {
    let names = [
        "clean",
        "wifi",
        "wifi-stalls",
        "lte",
        "dsl-bufferbloat",
        "loss5",
        "loss10",
        "loss20",
        "bursts",
        "spike",
        "route-step",
        "drift",
        "outage",
    ];
    assert_eq!(PROFILES.len(), names.len());
    for name in names {
        let profile = named(name);
        assert!((20..140).contains(&profile.description.len()), "{name}");
        for config in [&profile.up, &profile.down] {
            assert!(arrivals_in_order(&run(config, 2)), "{name}");
        }
    }
    assert_eq!(profile("none"), None);
}

#[test]
fn every_profile_says_where_its_numbers_come_from() {
    for (name, text) in PROFILES {
        let comments = text.lines().filter(|line| line.starts_with('#')).count();
        assert!(comments >= 1, "{name}");
    }
}

#[test]
fn clean_and_drift_are_perfect() {
    for name in ["clean", "drift"] {
        let profile = named(name);
        assert_eq!((&profile.up, &profile.down), (&LinkConfig::default(), &LinkConfig::default()), "{name}");
    }
}

#[test]
fn wifi_jitters_by_a_few_ms_and_loses_little() {
    let fates = up("wifi");
    let delays = delays_ms(&fates);
    let (median, p95) = (quantile(&delays, 0.5), quantile(&delays, 0.95));
    assert!((1.0..4.0).contains(&median) && (10.0..30.0).contains(&p95), "{median}, {p95}");
    assert!(quantile(&delays, 1.0) < 65.0);
    assert!(lost_share(&fates) < 0.004);
}

#[test]
fn wifi_stalls_come_every_few_seconds_and_end_in_a_burst() {
    let fates = up("wifi-stalls");
    let delays = delays_ms(&fates);
    assert!(quantile(&delays, 0.5) < 3.0);
    let late = delays.iter().filter(|&&delay| delay > 50.0).count() as f64 / delays.len() as f64;
    assert!((0.005..0.04).contains(&late), "{late}");
    let onsets = delays.windows(2).filter(|pair| pair[0] < 50.0 && pair[1] >= 50.0).count();
    // 12 a minute, of which about 3 in 4 are longer than 50 ms.
    assert!((60..140).contains(&onsets), "{onsets}");
    assert!((200.0..900.0).contains(&quantile(&delays, 1.0)), "{}", quantile(&delays, 1.0));
}

#[test]
fn lte_moves_in_steps_up_and_jitters_down() {
    let profile = named("lte");
    let fates = run(&profile.up, 3);
    let beat = |at: Duration| at.as_nanos() % 2_000_000;
    let arrivals: Vec<Duration> = fates.iter().filter_map(|(_, fate)| fate.arrival()).collect();
    assert!(
        arrivals.iter().all(|&at| beat(at) == beat(arrivals[0])),
        "grants and steps are whole 2 ms apart"
    );
    let (up, down) = (delays_ms(&fates), delays_ms(&run(&profile.down, 3)));
    assert!((13.0..24.0).contains(&quantile(&up, 0.5)) && quantile(&up, 0.97) > quantile(&up, 0.5) + 7.9);
    assert!((6.0..10.0).contains(&quantile(&down, 0.5)), "{}", quantile(&down, 0.5));
    assert!(lost_share(&fates) < 0.003);
}

#[test]
fn dsl_bufferbloat_queues_up_to_600_ms_up_and_nothing_down() {
    let profile = named("dsl-bufferbloat");
    let up = delays_ms(&run(&profile.up, 4));
    assert!((560.0..=605.0).contains(&quantile(&up, 1.0)), "{}", quantile(&up, 1.0));
    assert!(quantile(&up, 0.75) > 350.0);
    assert!(quantile(&up, 0.2) < 10.0, "{}", quantile(&up, 0.2));
    assert!(quantile(&delays_ms(&run(&profile.down, 4)), 1.0) < 6.0);
}

#[test]
fn loss_profiles_lose_what_they_are_called() {
    for (name, asked) in [("loss5", 0.05), ("loss10", 0.10), ("loss20", 0.20)] {
        for config in [named(name).up, named(name).down] {
            let lost = lost_share(&run(&config, 5));
            assert!((lost - asked).abs() < 0.1 * asked, "{name}: {lost}");
        }
    }
}

#[test]
fn bursts_lose_a_tenth_four_at_a_time() {
    let fates = up("bursts");
    let runs = bursts(&fates);
    let mean = runs.iter().sum::<usize>() as f64 / runs.len() as f64;
    assert!((mean - 4.0).abs() < 0.5, "{mean}");
    assert!((lost_share(&fates) - 0.1).abs() < 0.015);
}

#[test]
fn a_spike_jumps_by_250_ms_every_10_s() {
    let delays = delays_ms(&up("spike"));
    let jumps = delays.windows(2).filter(|pair| pair[1] > pair[0] + 100.0).count();
    assert_eq!(jumps, 60);
    assert!((240.0..=250.0).contains(&quantile(&delays, 1.0)));
    assert_eq!(quantile(&delays, 0.8), 0.0);
}

#[test]
fn the_route_steps_twice() {
    let delays = delays_ms(&up("route-step"));
    let at = |s: usize| delays[s * 50];
    assert_eq!([at(9), at(11), at(24), at(26)], [20.0, 70.0, 70.0, 40.0]);
}

#[test]
fn the_outage_takes_three_seconds() {
    let fates = up("outage");
    let lost: Vec<Duration> = fates
        .iter()
        .filter(|(_, fate)| fate.dropped() == Some(DropReason::Outage))
        .map(|&(now, _)| now)
        .collect();
    assert_eq!(lost.len(), 150);
    assert_eq!((lost[0], lost[149]), (Duration::from_secs(10), Duration::from_millis(12_980)));
}
