//! Outcomes made up for tests of what is done with outcomes: no call is behind them.

use netsim::call::Options;
use netsim::outcome::{
    Budget, Concealed, Direction, Happening, MemberOutcome, NetEqOutcome, Outcome, Quantiles, Sample,
};
use netsim::scenario::Loaded;

/// Everybody hears everybody for as long as the scenario lasts, a little worse with every seed. Seeds that 7
/// divides break an invariant, and 1001 panics.
pub(crate) fn run(loaded: &Loaded, seed: u64, options: &Options) -> Outcome {
    assert_ne!(seed, 1001, "this seed panics");
    let scenario = &loaded.scenario;
    let names = scenario.members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>();
    let pairs =
        names.iter().flat_map(|from| names.iter().map(move |to| (from, to))).filter(|(from, to)| from != to);
    let directions = pairs
        .map(|(from, to)| direction(from, to, scenario.duration_s, scenario.delay_ms, seed, options.sound));
    let member = |name: &&str| MemberOutcome {
        name: (*name).into(),
        connect_ms: Some(180.0),
        times_lost: 0,
        bytes_up: (7000.0 * scenario.duration_s) as u64,
        bytes_down: (6900.0 * scenario.duration_s) as u64,
        group: None,
        ended: None,
        rtlog: None,
        said: options.sound.then(|| speech(scenario.duration_s)),
    };
    let happening = |t, who: &str, what: &str| Happening { t, who: who.into(), what: what.into() };
    Outcome {
        scenario: loaded.name.clone(),
        description: scenario.description.clone(),
        seed,
        simulated_s: scenario.duration_s,
        trace: format!("{seed:064x}"),
        directions: directions.collect(),
        members: names.iter().map(member).collect(),
        connected_at_end: names.len() as u32,
        timeline: vec![
            happening(0.2, "ada", "connected to ben"),
            happening(5.0, "", "the route becomes 40 ms longer <b>&"),
            happening(5.25, "ben", "lost ada for a moment that has a very long description indeed"),
        ],
        dropped: [("lost by chance".to_owned(), 12), ("queue full".to_owned(), 3)].into(),
        violations: if seed.is_multiple_of(7) { vec!["voice from a stranger".into()] } else { Vec::new() },
        unmet: Vec::new(),
    }
}

fn direction(from: &str, to: &str, duration_s: f64, delay_ms: f64, seed: u64, sound: bool) -> Direction {
    let delay = delay_ms + 40.0 + seed as f64;
    let samples = (duration_s * 10.0) as usize;
    Direction {
        from: from.into(),
        to: to.into(),
        path: "direct".into(),
        connect_ms: Some(180.0),
        mouth_to_ear: Quantiles { median: delay, p5: delay - 5.0, p95: delay + 22.0, mean: delay + 1.0 },
        budget: Budget {
            capture_ms: 12.5,
            codec_ms: 6.5,
            network_ms: delay_ms,
            buffer_ms: 8.0,
            playout_ms: 10.0,
        },
        speech_ms: duration_s * 400.0,
        concealed_ms: Concealed { lost: 120.0, late: 40.0, ..Default::default() },
        concealed_pct: 0.4,
        unheard_pct: 0.0,
        expanded_ms: 80.0,
        accelerated_ms: 60.0,
        stretched_pct: 1.2,
        lost_pct: 2.0,
        redundancy_pct: 24.0,
        frames: 1500,
        recovered: 20,
        oracle_ms: Some(11.0),
        regret_ms: Some(4.5),
        neteq: NetEqOutcome {
            delay: Quantiles { median: 58.0, ..Default::default() },
            ours: Quantiles { median: 15.0, ..Default::default() },
            concealed_pct: 0.7,
        },
        series: (0..samples).map(|at| sample(at, delay)).collect(),
        sound: sound.then(|| speech(duration_s)),
    }
}

fn sample(at: usize, delay: f64) -> Sample {
    let wave = (at as f32 / 15.0).sin();
    let silent = at % 60 > 45;
    Sample {
        t: at as f32 / 10.0,
        mouth_to_ear_ms: (!silent).then_some(delay as f32 + 12.0 * wave),
        network_ms: (!silent).then_some(20.0 + 6.0 * wave.abs()),
        depth_ms: 15.0 + 8.0 * wave,
        target_ms: 14.0 + 4.0 * wave,
        neteq_target_ms: 60.0,
        lost: if at % 37 == 5 { 2 } else { 0 },
        concealed_ms: if at % 74 == 5 { 20.0 } else { 0.0 },
        stretched_ms: if at % 50 == 9 {
            -8.0
        } else if at % 50 == 7 {
            6.0
        } else {
            0.0
        },
    }
}

fn speech(duration_s: f64) -> Vec<f32> {
    let samples = (duration_s * 48_000.0) as usize;
    (0..samples).map(|at| (at as f32 * 220.0 / 48_000.0 * std::f32::consts::TAU).sin() * 0.3).collect()
}
