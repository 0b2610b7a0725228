//! What holds for every valid config and every sequence of offers.

use std::time::Duration;

use netsim::link::{
    BurstLoss, Change, CrossTraffic, Grants, Link, LinkConfig, Mechanism, Outage, Spike, Spread, Stalls,
};
use proptest::option::of;
use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
};

fn spread() -> impl Strategy<Value = Spread> {
    let cap = of(0.0..500.0_f64);
    prop_oneof![
        (0.0..300.0).prop_map(|ms| Spread::Constant { ms }),
        (0.0..100.0, 0.0..300.0)
            .prop_map(|(min_ms, width)| Spread::Uniform { min_ms, max_ms: min_ms + width }),
        (0.0..100.0, 0.1..100.0).prop_map(|(mean_ms, deviation_ms)| Spread::Normal {
            mean_ms,
            deviation_ms,
            max_ms: None
        }),
        (0.0..100.0, cap.clone()).prop_map(|(mean_ms, max_ms)| Spread::Exponential { mean_ms, max_ms }),
        (0.1..50.0, 1.0..20.0, cap).prop_map(|(median_ms, ratio, max_ms)| Spread::LogNormal {
            median_ms,
            p95_ms: median_ms * ratio,
            max_ms
        }),
    ]
}

fn cross_traffic() -> impl Strategy<Value = CrossTraffic> {
    let phases = of((0.05..5.0_f64, 0.05..5.0_f64));
    prop_oneof![
        (1.0..200.0, phases.clone()).prop_map(|(round_trip_ms, phases)| CrossTraffic::Greedy {
            round_trip_ms,
            on_s: phases.map(|(on, _)| on),
            off_s: phases.map(|(_, off)| off)
        }),
        (10.0..5000.0, phases).prop_map(|(rate_kbps, phases)| CrossTraffic::Constant {
            rate_kbps,
            on_s: phases.map(|(on, _)| on),
            off_s: phases.map(|(_, off)| off)
        }),
    ]
}

fn grants() -> impl Strategy<Value = Grants> {
    (0.5..40.0, 0.0..20.0, of(40_usize..5000), 0.0..60.0).prop_map(
        |(period_ms, request_ms, grant_bytes, retransmit_percent)| Grants {
            period_ms,
            request_ms,
            grant_bytes,
            retransmit_percent,
            ..Grants::default()
        },
    )
}

fn change() -> impl Strategy<Value = Change> {
    let off = prop_oneof![
        Just(vec![]),
        Just(vec![Mechanism::Jitter, Mechanism::Stalls]),
        Just(vec![Mechanism::Reorder, Mechanism::Loss, Mechanism::Grants]),
        Just(vec![Mechanism::CrossTraffic, Mechanism::Rate]),
    ];
    (off, of(0.0..200.0_f64), of(spread()), of(20.0..5000.0_f64), of(1500_usize..100_000)).prop_map(
        |(off, delay_ms, jitter, rate_kbps, queue_bytes)| Change {
            off,
            delay_ms,
            jitter,
            rate_kbps,
            queue_bytes,
            ..Change::default()
        },
    )
}

fn any_config() -> impl Strategy<Value = LinkConfig> {
    let delays = (0.0..200.0_f64, of(spread()), of(spread()), of((1.0..60.0_f64, 1.0..500.0_f64)));
    let losses = (0.0..30.0_f64, of((0.0..40.0_f64, 1.0..8.0_f64)), 0.0..30.0_f64, of(500_usize..1500));
    let queue = (of(20.0..5000.0_f64), of(1500_usize..100_000), of(cross_traffic()), of(grants()));
    let changes = prop::collection::vec(change(), 0..4);
    (delays, losses, queue, changes, any::<bool>()).prop_map(|(delays, losses, queue, changes, gates)| {
        let (delay_ms, jitter, reorder, stalls) = delays;
        let (loss_percent, burst, duplicate_percent, mtu_bytes) = losses;
        let (rate_kbps, queue_bytes, cross_traffic, grants) = queue;
        let at_s = |index: usize| 0.4 * index as f64;
        let changes = changes.into_iter().enumerate();
        LinkConfig {
            delay_ms,
            jitter,
            reorder,
            stalls: stalls.map(|(per_minute, ms)| Stalls { per_minute, length: Spread::Constant { ms } }),
            loss_percent,
            burst_loss: burst.map(|(loss_percent, burst_packets)| BurstLoss { loss_percent, burst_packets }),
            duplicate_percent,
            rate_kbps,
            queue_bytes,
            cross_traffic: cross_traffic.filter(|_| rate_kbps.is_some()),
            grants,
            mtu_bytes,
            outages: gates
                .then_some(Outage { at_s: 0.5, for_s: 0.1, every_s: Some(1.0) })
                .into_iter()
                .collect(),
            spikes: gates
                .then_some(Spike { at_s: 0.7, height_ms: 300.0, drain_s: 0.2, every_s: None })
                .into_iter()
                .collect(),
            changes: changes.map(|(index, change)| Change { at_s: at_s(index), ..change }).collect(),
            ..LinkConfig::default()
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arrivals_follow_offers_order_is_kept_where_promised_and_the_queue_is_bounded(
        config in any_config(),
        seed in any::<u64>(),
        offers in prop::collection::vec((0_u64..40_000, 40_usize..1600), 1..150),
    ) {
        let valid = config.check().is_ok();
        let Ok(mut link) = Link::new(&config, seed) else {
            prop_assert!(!valid);
            return Ok(());
        };
        let mut twin = Link::new(&config, seed).unwrap();
        let shrinks = config.changes.iter().any(|change| change.queue_bytes.is_some());
        let (mut now, mut last) = (Duration::ZERO, Duration::ZERO);
        for (wait_us, bytes) in offers {
            now += Duration::from_micros(wait_us);
            let fate = link.offer(now, bytes);
            prop_assert_eq!(fate, twin.offer(now, bytes));
            for at in fate.arrivals() {
                prop_assert!(at >= now);
                prop_assert!(at >= last || !link.config().keeps_order(), "{:?} after {:?}", at, last);
                last = last.max(at);
            }
            prop_assert!(link.queued_bytes(now) <= link.queue_limit() || shrinks);
        }
    }
}
