//! Wrong configs are refused by the name of the field.

use netsim::link::{Link, LinkConfig};

use super::config;

#[test]
fn every_wrong_field_is_refused_by_its_name() {
    for (text, field) in [
        ("delay_ms = -1", "delay_ms"),
        ("delay_ms = 60001", "delay_ms"),
        ("delay_ms = nan", "delay_ms"),
        ("loss_percent = 101", "loss_percent"),
        ("duplicate_percent = -0.1", "duplicate_percent"),
        ("rate_kbps = 0", "rate_kbps"),
        ("rate_kbps = inf", "rate_kbps"),
        ("queue_bytes = 100", "queue_bytes"),
        ("mtu_bytes = 67", "mtu_bytes"),
        ("mtu_bytes = 70000", "mtu_bytes"),
        ("jitter = { shape = 'constant', ms = -1 }", "jitter.ms"),
        ("jitter = { shape = 'uniform', min_ms = -1, max_ms = 2 }", "jitter.min_ms"),
        ("jitter = { shape = 'uniform', min_ms = 3, max_ms = 2 }", "jitter.max_ms"),
        ("jitter = { shape = 'normal', mean_ms = -3, deviation_ms = 2 }", "jitter.mean_ms"),
        ("jitter = { shape = 'normal', mean_ms = 3, deviation_ms = 0 }", "jitter.deviation_ms"),
        ("jitter = { shape = 'normal', mean_ms = 30, deviation_ms = 1, max_ms = 20 }", "jitter.max_ms"),
        ("reorder = { shape = 'exponential', mean_ms = nan }", "reorder.mean_ms"),
        ("reorder = { shape = 'exponential', mean_ms = 1, max_ms = 1e9 }", "reorder.max_ms"),
        ("reorder = { shape = 'log-normal', median_ms = 0, p95_ms = 2 }", "reorder.median_ms"),
        ("reorder = { shape = 'log-normal', median_ms = 3, p95_ms = 2 }", "reorder.p95_ms"),
        ("stalls = { per_minute = 0, length = { shape = 'constant', ms = 9 } }", "stalls.per_minute"),
        ("stalls = { per_minute = 60, length = { shape = 'constant', ms = 950 } }", "stalls.per_minute"),
        ("stalls = { per_minute = 6, length = { shape = 'constant', ms = -9 } }", "stalls.length.ms"),
        ("burst_loss = { loss_percent = 100, burst_packets = 4 }", "burst_loss.loss_percent"),
        ("burst_loss = { loss_percent = 10, burst_packets = 0.5 }", "burst_loss.burst_packets"),
        ("burst_loss = { loss_percent = 80, burst_packets = 2 }", "burst_loss.burst_packets"),
        (
            "burst_loss = { loss_percent = 1, burst_packets = 2 }\ngilbert_elliott = { good_to_bad_percent = 1, \
             bad_to_good_percent = 1, bad_loss_percent = 1 }",
            "burst_loss",
        ),
        (&gilbert_elliott(-1, 1, 1, 1), "gilbert_elliott.good_to_bad_percent"),
        (&gilbert_elliott(1, 101, 1, 1), "gilbert_elliott.bad_to_good_percent"),
        (&gilbert_elliott(1, 1, 101, 1), "gilbert_elliott.good_loss_percent"),
        (&gilbert_elliott(1, 1, 1, -1), "gilbert_elliott.bad_loss_percent"),
        ("grants = { period_ms = 0 }", "grants.period_ms"),
        ("grants = { request_ms = -1 }", "grants.request_ms"),
        ("grants = { grant_bytes = 0 }", "grants.grant_bytes"),
        ("grants = { retransmit_percent = 200 }", "grants.retransmit_percent"),
        ("grants = { retransmit_ms = -8 }", "grants.retransmit_ms"),
        ("grants = { retransmissions_max = 101 }", "grants.retransmissions_max"),
        ("cross_traffic = { flow = 'greedy', round_trip_ms = 40 }", "cross_traffic"),
        (&crossed("flow = 'greedy', round_trip_ms = 0"), "cross_traffic.round_trip_ms"),
        (&crossed("flow = 'constant', rate_kbps = 0"), "cross_traffic.rate_kbps"),
        (&crossed("flow = 'constant', rate_kbps = 9, on_s = 1"), "cross_traffic.on_s"),
        (&crossed("flow = 'constant', rate_kbps = 9, on_s = 0, off_s = 1"), "cross_traffic.on_s"),
        (&crossed("flow = 'constant', rate_kbps = 9, on_s = 1, off_s = 0"), "cross_traffic.off_s"),
        ("outages = [{ at_s = -1, for_s = 1 }]", "outages[0].at_s"),
        ("outages = [{ at_s = 1, for_s = 1 }, { at_s = 1, for_s = 0 }]", "outages[1].for_s"),
        ("outages = [{ at_s = 1, for_s = 2, every_s = 1 }]", "outages[0].every_s"),
        ("spikes = [{ at_s = -1, height_ms = 1, drain_s = 1 }]", "spikes[0].at_s"),
        ("spikes = [{ at_s = 1, height_ms = -1, drain_s = 1 }]", "spikes[0].height_ms"),
        ("spikes = [{ at_s = 1, height_ms = 1, drain_s = 0 }]", "spikes[0].drain_s"),
        ("spikes = [{ at_s = 1, height_ms = 1, drain_s = 2, every_s = 1 }]", "spikes[0].every_s"),
        ("delay_trace = { file = 'x' }", "delay_trace.file"),
        ("opportunity_trace = { file = 'x' }", "opportunity_trace.file"),
        ("changes = [{ at_s = -1 }]", "changes[0].at_s"),
        ("changes = [{ at_s = 2 }, { at_s = 1 }]", "changes[1].at_s"),
        ("changes = [{ at_s = 2, loss_percent = 200 }]", "changes[0].loss_percent"),
        (
            "rate_kbps = 9\ncross_traffic = { flow = 'constant', rate_kbps = 9 }\n\
             changes = [{ at_s = 1, delay_ms = 1 }, { at_s = 2, off = ['rate'] }]",
            "changes[1].cross_traffic",
        ),
    ] {
        let error = Link::new(&config(text), 1).expect_err(text);
        assert_eq!(error.field(), field, "{text}: {error}");
        assert!(error.to_string().contains(&format!("`{field}`")), "{error}");
    }
}

fn gilbert_elliott(p: i32, r: i32, good: i32, bad: i32) -> String {
    format!(
        "gilbert_elliott = {{ good_to_bad_percent = {p}, bad_to_good_percent = {r}, good_loss_percent = {good}, \
         bad_loss_percent = {bad} }}"
    )
}

fn crossed(flow: &str) -> String {
    format!("rate_kbps = 100\ncross_traffic = {{ {flow} }}")
}

#[test]
fn an_offset_beyond_a_traces_end_is_refused() {
    for kind in ["delay_trace", "opportunity_trace"] {
        let mut used = config(&format!("{kind} = {{ file = 'x', offset_lines = 3 }}"));
        used.resolve(|_| Ok("1\n2\n3".to_owned())).unwrap();
        assert_eq!(Link::new(&used, 1).unwrap_err().field(), format!("{kind}.offset_lines"));
    }
}

#[test]
fn unknown_fields_and_names_are_refused_by_line() {
    for (text, named) in [
        ("\nlos_percent = 1", "los_percent"),
        ("\njitter = { shape = 'exponential', mean = 1 }", "mean"),
        ("\njitter = { shape = 'gamma' }", "gamma"),
        ("\nstalls = { per_minute = 1, length = { shape = 'constant', ms = 1 }, more = 1 }", "more"),
        ("\ngrants = { period = 1 }", "period"),
        ("\ncross_traffic = { flow = 'constant', rate_kbps = 1, round_trip_ms = 1 }", "round_trip_ms"),
        ("\nchanges = [{ at_s = 1, outages = [] }]", "outages"),
        ("\nchanges = [{ at_s = 1, off = ['delay'] }]", "delay"),
        ("\ndelay_trace = { file = 'x', trace = 1 }", "trace"),
    ] {
        let error = toml::from_str::<LinkConfig>(text).expect_err(text).to_string();
        assert!(error.contains("line 2") && error.contains(named), "{error}");
    }
}

#[test]
fn the_messages_say_what_to_write() {
    let error = Link::new(&config("loss_percent = 101"), 1).unwrap_err();
    assert_eq!(error.to_string(), "`loss_percent` is 101; write a number from 0 to 100");
    let error = Link::new(&config("cross_traffic = { flow = 'greedy', round_trip_ms = 40 }"), 1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`cross_traffic`: only a link with a rate has a queue to fill; give `rate_kbps`"
    );
}
