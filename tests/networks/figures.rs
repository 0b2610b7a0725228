//! The figures: each pair of networks and each fault, several times; the median and the 95th percentile.

use super::{
    alone, faults,
    lab::{Home, Lab, Nat},
    matrix,
    pair::Outcome,
    quiet::Harm,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How often; `REPEATS` in the environment says otherwise.
const REPEATS: usize = 5;

/// A row of figures, and what was asked for.
struct Row {
    what: &'static str,
    unit: &'static str,
    asked: f64,
    values: Vec<f64>,
}

impl Row {
    fn print(&self) {
        let (median, p95) = (percentile(&self.values, 50), percentile(&self.values, 95));
        let [what, unit] = [self.what, self.unit];
        println!(
            "{what:<60}{median:>7.0} {p95:>7.0} {unit:<6} (at most {}; n={})",
            self.asked,
            self.values.len()
        );
    }

    fn to_json(&self) -> Value {
        json!({
            "what": self.what, "unit": self.unit, "asked": self.asked, "n": self.values.len(),
            "median": percentile(&self.values, 50), "p95": percentile(&self.values, 95),
        })
    }
}

/// By nearest rank: what at least so many of a hundred do not exceed. NaN of nothing.
fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

#[test]
fn percentiles_are_of_the_nearest_rank() {
    let hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
    assert_eq!([50, 95].map(|percent| percentile(&hundred, percent)), [50.0, 95.0]);
    assert_eq!(percentile(&[7.0], 95), 7.0);
    assert!(percentile(&[], 50).is_nan());
}

#[test]
#[ignore = "takes ten minutes: see the top of main.rs"]
fn figures() {
    let _machine = alone();
    let repeats = std::env::var("REPEATS").map_or(REPEATS, |text| text.parse().expect("REPEATS is a number"));
    let outcomes = pairs(repeats);
    let pairs = print_pairs(&outcomes);
    let mut rows = ways(&outcomes);
    rows.extend(harms(repeats));
    println!("\n{:<60}{:>7} {:>7}", "", "median", "p95");
    rows.iter().for_each(Row::print);
    let rows: Vec<_> = rows.iter().map(Row::to_json).collect();
    matrix::write("network-figures.json", &json!({ "repeats": repeats, "rows": rows, "pairs": pairs }));
    let wrong = outcomes.iter().filter(|outcome| outcome.wrong().is_some()).count();
    assert_eq!(wrong, 0, "calls that were not as they should be, of {}", outcomes.len());
}

/// All pairs, so many times; each time in a lab of its own, whose routers remember nothing.
fn pairs(repeats: usize) -> Vec<Outcome> {
    let round = |number: usize| {
        let dir = tempfile::tempdir().expect("a directory");
        let outcomes = matrix::all_pairs(&matrix::lab("f", dir.path()));
        for wrong in outcomes.iter().filter(|outcome| outcome.wrong().is_some()) {
            println!("round {number}: {wrong}\n{}", wrong.story);
        }
        outcomes
    };
    (1..=repeats).flat_map(round).collect()
}

/// A line for each pair: median and 95th percentile of each time.
fn print_pairs(outcomes: &[Outcome]) -> Vec<Value> {
    let mut of_pair = BTreeMap::<_, Vec<&Outcome>>::new();
    for outcome in outcomes {
        of_pair.entry((outcome.joiner, outcome.host)).or_default().push(outcome);
    }
    println!(
        "\nmedian and 95th percentile in ms since the start of the joiner's process; gap: longest hole heard"
    );
    println!(
        "{:>19} to {:<19} {:^13} {:^13} {:^13} {:^9} direct",
        "joiner", "host", "connected", "voice", "direct", "gap"
    );
    let line = |((joiner, host), all): (&(Nat, Nat), &Vec<&Outcome>)| {
        let of = |figure: fn(&Outcome) -> Option<f64>| {
            let values: Vec<f64> = all.iter().filter_map(|outcome| figure(outcome)).collect();
            [50, 95].map(|percent| percentile(&values, percent))
        };
        let (connected, voice) = (of(|o| o.connected_ms), of(|o| o.voice_ms));
        let (direct, gap) = (of(|o| o.direct_ms), of(|o| o.gap_ms));
        let times = all.iter().filter(|outcome| outcome.direct_ms.is_some()).count();
        let [joiner, host] = [joiner, host].map(|nat| format!("{nat:?}"));
        let one = |ms: f64| if ms.is_nan() { "-".to_owned() } else { format!("{ms:.0}") };
        let two = |[median, p95]: [f64; 2]| format!("{:>6} {:>6}", one(median), one(p95));
        println!(
            "{joiner:>19} to {host:<19} {} {} {} {:>4.0} {:>4.0} {times:>3}/{}",
            two(connected),
            two(voice),
            two(direct),
            gap[0],
            gap[1],
            all.len()
        );
        json!({ "joiner": joiner, "host": host, "n": all.len(), "direct": times, "connected_ms": connected,
            "voice_ms": voice, "direct_ms": direct, "gap_ms": gap })
    };
    of_pair.iter().map(line).collect()
}

/// The same by the way they met.
fn ways(outcomes: &[Outcome]) -> Vec<Row> {
    let is_blocked = |outcome: &Outcome| [outcome.joiner, outcome.host].contains(&Nat::UdpBlocked);
    let met_directly = |outcome: &Outcome| outcome.direct_ms.is_some() && outcome.switch_ms.is_none();
    let voice = |fits: &dyn Fn(&Outcome) -> bool| {
        outcomes.iter().filter(|o| fits(o)).filter_map(|o| o.voice_after_open_ms).collect::<Vec<_>>()
    };
    let ms = |what, asked, values| Row { what, unit: "ms", asked, values };
    let switched = outcomes.iter().filter_map(|outcome| outcome.switch_ms).collect();
    let gaps = outcomes.iter().filter(|o| o.switch_ms.is_some()).filter_map(|o| o.gap_ms).collect();
    vec![
        ms("socket open to first sound, address reachable", 250.0, voice(&met_directly)),
        ms(
            "socket open to first sound, through TURN",
            1_000.0,
            voice(&|o| !met_directly(o) && !is_blocked(o)),
        ),
        ms("socket open to first sound, UDP blocked", 1_500.0, voice(&is_blocked)),
        ms("relayed to direct", 2_000.0, switched),
        ms("longest hole with a change from relayed to direct", 20.0, gaps),
    ]
}

/// What faults do to what is heard. A call that is lost counts as harmed without end.
fn harms(repeats: usize) -> Vec<Row> {
    let dir = tempfile::tempdir().expect("a directory");
    let row = |what, asked, name: &str, nats: &[Nat], fault: &dyn Fn(&Lab) -> Harm| {
        let once = |_| {
            let harm = fault(&Lab::new(name, nats).with_coturn(dir.path()));
            println!("{what}: {harm:?}");
            if harm.is_lost { f64::INFINITY } else { harm.worst_ms() as f64 }
        };
        Row { what, unit: "ms", asked, values: (0..repeats).map(once).collect() }
    };
    let closed = [Nat::PortRestricted; 2];
    let mut rows = vec![
        row("direct path dead, sound made up or missing", 120.0, "fc", &closed, &|lab| {
            faults::cut(lab, dir.path())
        }),
        row("machine's public address changed, the same", 500.0, "fo", &[Nat::Open, closed[0]], &|lab| {
            faults::renumber(lab, dir.path(), |home| lab.renumber(home))
        }),
        row("machine's LAN address changed, the same", 500.0, "fl", &closed, &|lab| {
            faults::renumber(lab, dir.path(), Home::renumber_host)
        }),
        row("router's public address changed, the same", 500.0, "fr", &closed, &|lab| {
            faults::renumber_router(lab, dir.path())
        }),
    ];
    let lab = Lab::new("fi", &closed).with_coturn(dir.path());
    let values = faults::idle(&lab, dir.path()).to_vec();
    rows.push(Row { what: "sent while both are muted", unit: "bit/s", asked: 1_500.0, values });
    rows
}
