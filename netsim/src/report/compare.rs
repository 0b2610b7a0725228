//! Two runs side by side.

use super::layout::{Layout, number};
use crate::outcome::{Direction, MemberOutcome, Outcome};

/// A table for each direction and member that is in both runs, and the names of those that are in one.
pub fn comparison(a: &Outcome, b: &Outcome) -> String {
    let heading = |outcome: &Outcome| format!("{}\nseed {}", outcome.scenario, outcome.seed);
    let (a_heading, b_heading) = (heading(a), heading(b));
    let mut table = Layout::new(&["", &a_heading, &b_heading, "difference"]);
    let mut alone = Vec::new();
    for ours in &a.directions {
        let voice = format!("{}→{}", ours.from, ours.to);
        match b.directions.iter().find(|theirs| (&theirs.from, &theirs.to) == (&ours.from, &ours.to)) {
            Some(theirs) => rows(&mut table, &voice, &direction_values(ours), &direction_values(theirs)),
            None => alone.push(format!("{voice} is in {} only", a.scenario)),
        }
    }
    for theirs in &b.directions {
        if !a.directions.iter().any(|ours| (&theirs.from, &theirs.to) == (&ours.from, &ours.to)) {
            alone.push(format!("{}→{} is in {} only", theirs.from, theirs.to, b.scenario));
        }
    }
    for ours in &a.members {
        if let Some(theirs) = b.members.iter().find(|theirs| theirs.name == ours.name) {
            let values = (member_values(ours, a.simulated_s), member_values(theirs, b.simulated_s));
            rows(&mut table, &ours.name, &values.0, &values.1);
        }
    }
    let mut text = table.text(1);
    for line in alone {
        text.push('\n');
        text += &line;
    }
    text
}

/// A value's name, its unit, and itself.
type Value = (&'static str, &'static str, Option<f64>);

fn rows(table: &mut Layout, whose: &str, a: &[Value], b: &[Value]) {
    table.row([whose, "", "", ""].map(str::to_owned));
    for ((name, unit, a), (_, _, b)) in a.iter().zip(b) {
        let difference = a.zip(*b).map(|(a, b)| b - a).filter(|difference| difference.is_finite());
        // Rounded first, as "-0.0" and "+0.0" would both claim a difference.
        let difference = difference.map(|difference| (difference * 10.0).round() / 10.0);
        let difference = match difference {
            None => "–".into(),
            Some(0.0) => "=".into(),
            Some(difference) => format!("{difference:+.1}"),
        };
        table.row([format!("  {name}, {unit}"), number(*a, 1), number(*b, 1), difference]);
    }
}

fn direction_values(direction: &Direction) -> Vec<Value> {
    let Direction { mouth_to_ear, concealed_ms, neteq, .. } = direction;
    vec![
        ("connected after", "ms", direction.connect_ms),
        ("mouth to ear, median", "ms", Some(mouth_to_ear.median)),
        ("mouth to ear, 95th percentile", "ms", Some(mouth_to_ear.p95)),
        ("of that in the network", "ms", Some(direction.budget.network_ms)),
        ("of that in the buffer", "ms", Some(direction.budget.buffer_ms)),
        ("concealed", "%", Some(direction.concealed_pct)),
        ("concealed as lost", "ms", Some(concealed_ms.lost)),
        ("concealed as late", "ms", Some(concealed_ms.late)),
        ("concealed in stalls", "ms", Some(concealed_ms.stalled)),
        ("concealed by underruns", "ms", Some(concealed_ms.underrun)),
        ("concealed in path changes", "ms", Some(concealed_ms.path)),
        ("stretched", "%", Some(direction.stretched_pct)),
        ("packets lost", "%", Some(direction.lost_pct)),
        ("redundancy", "%", Some(direction.redundancy_pct)),
        ("oracle", "ms", direction.oracle_ms),
        ("regret", "ms", direction.regret_ms),
        ("NetEQ model, delay", "ms", Some(neteq.delay.median)),
        ("our buffer, delay", "ms", Some(neteq.ours.median)),
        ("NetEQ model, concealed", "%", Some(neteq.concealed_pct)),
    ]
}

fn member_values(member: &MemberOutcome, simulated_s: f64) -> Vec<Value> {
    let rate = |bytes: u64| Some(bytes as f64 * 8.0 / 1000.0 / simulated_s);
    vec![
        ("connected to all after", "ms", member.connect_ms),
        ("lost someone", "times", Some(member.times_lost as f64)),
        ("sent", "kbit/s", rate(member.bytes_up)),
        ("received", "kbit/s", rate(member.bytes_down)),
    ]
}
