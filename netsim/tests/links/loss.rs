//! Loss and duplication.

use netsim::link::{DropReason, GilbertElliott};

use super::{arrivals_in_order, bursts, delays_ms, link, lost_share, offer};

const PACKETS: usize = 100_000;

#[test]
fn random_loss_is_what_was_asked() {
    for percent in [0.5, 5.0, 20.0] {
        let fates = offer(&mut link(&format!("loss_percent = {percent}"), 1), PACKETS, 20.0);
        let asked = percent / 100.0;
        let error = (asked * (1.0 - asked) / PACKETS as f64).sqrt();
        let measured = lost_share(&fates);
        assert!((measured - asked).abs() < 4.0 * error, "asked {asked}, measured {measured}");
        assert!(fates.iter().filter_map(|(_, fate)| fate.dropped()).all(|reason| reason == DropReason::Loss));
    }
}

#[test]
fn random_loss_does_not_remember() {
    // The mean length of a run of losses is 1 / (1 - p).
    let runs = bursts(&offer(&mut link("loss_percent = 20", 2), PACKETS, 20.0));
    let mean = runs.iter().sum::<usize>() as f64 / runs.len() as f64;
    assert!((mean - 1.25).abs() < 0.02, "{mean}");
}

#[test]
fn burst_loss_has_the_loss_and_the_burst_length_asked_for() {
    for (percent, length) in [(10.0_f64, 4.0_f64), (5.0, 2.0), (30.0, 10.0)] {
        let text = format!("burst_loss = {{ loss_percent = {percent}, burst_packets = {length} }}");
        let fates = offer(&mut link(&text, 3), PACKETS, 20.0);
        let runs = bursts(&fates);
        let mean = runs.iter().sum::<usize>() as f64 / runs.len() as f64;
        // A geometric length's deviation is about its mean.
        let error = (length * (length - 1.0)).sqrt() / (runs.len() as f64).sqrt();
        assert!((mean - length).abs() < 4.0 * error, "asked {length}, measured {mean}");
        let measured = lost_share(&fates);
        // Of a burst's length and a gap's, independent and geometric: the relative error of the share.
        let spread = 4.0 * (percent / 100.0) * (2.0 / runs.len() as f64).sqrt();
        assert!((measured - percent / 100.0).abs() < spread, "asked {percent} %, measured {measured}");
    }
}

#[test]
fn burst_lengths_are_geometric() {
    let text = "burst_loss = { loss_percent = 10, burst_packets = 4 }";
    let runs = bursts(&offer(&mut link(text, 4), 400_000, 20.0));
    let count = runs.len() as f64;
    for length in 1..=12 {
        let longer = runs.iter().filter(|&&run| run > length).count() as f64 / count;
        let expected = 0.75_f64.powi(length as i32);
        let error = (expected * (1.0 - expected) / count).sqrt();
        assert!((longer - expected).abs() < 4.0 * error, "longer than {length}: {longer}, not {expected}");
    }
}

#[test]
fn the_four_parameters_give_the_loss_of_the_formula() {
    let text = "gilbert_elliott = { good_to_bad_percent = 2, bad_to_good_percent = 10, good_loss_percent = 1, \
                bad_loss_percent = 40 }";
    let model = GilbertElliott {
        good_to_bad_percent: 2.0,
        bad_to_good_percent: 10.0,
        good_loss_percent: 1.0,
        bad_loss_percent: 40.0,
    };
    // A sixth of the packets meets the bad state.
    assert!((model.mean_loss_percent() - 7.5).abs() < 1e-9);
    let measured = lost_share(&offer(&mut link(text, 5), 4 * PACKETS, 20.0));
    assert!((measured - 0.075).abs() < 0.003, "{measured}");
}

#[test]
fn so_many_packets_as_asked_arrive_twice_and_copies_stay_in_order() {
    let fates = offer(&mut link("duplicate_percent = 3\ndelay_ms = 7", 6), PACKETS, 20.0);
    let twice = fates.iter().filter(|(_, fate)| fate.arrivals().count() == 2).count() as f64 / PACKETS as f64;
    assert!((twice - 0.03).abs() < 4.0 * (0.03_f64 * 0.97 / PACKETS as f64).sqrt(), "{twice}");
    assert!(arrivals_in_order(&fates));
}

#[test]
fn other_loss_leaves_every_other_packets_delay_as_it_was() {
    let with = |loss: &str| {
        let text = format!(
            "delay_ms = 20\nrate_kbps = 500\n{loss}\njitter = {{ shape = 'exponential', mean_ms = 15 }}\n\
             stalls = {{ per_minute = 30, length = {{ shape = 'constant', ms = 90 }} }}"
        );
        offer(&mut link(&text, 7), 20_000, 20.0)
    };
    let clean = with("");
    assert_eq!(lost_share(&clean), 0.0);
    for loss in ["loss_percent = 20", "burst_loss = { loss_percent = 10, burst_packets = 4 }"] {
        let lossy = with(loss);
        assert!(lost_share(&lossy) > 0.05);
        let survivors = lossy.iter().zip(&clean).filter(|((_, fate), _)| fate.arrival().is_some());
        assert!(survivors.into_iter().all(|(lossy, clean)| lossy == clean), "{loss}");
    }
    assert_eq!(delays_ms(&clean).len(), 20_000);
}
