//! One run as text.

use super::layout::{Layout, number};
use crate::outcome::{Concealed, Direction, MemberOutcome, Outcome};
use std::fmt::Write;

/// Everything about a run but its series, at most 100 columns wide.
pub fn outcome_table(outcome: &Outcome, colour: bool) -> String {
    let mut text = String::new();
    let Outcome { scenario, description, seed, simulated_s, trace, .. } = outcome;
    let trace = trace.chars().take(TRACE_SHOWN).collect::<String>();
    let mut line = |line: String| {
        text += line.trim_end();
        text.push('\n');
    };
    line(format!("{scenario}, seed {seed}, {} s simulated, trace {trace}", number(*simulated_s, 1)));
    line(description.clone());
    line(String::new());
    for table in [directions(&outcome.directions), members(&outcome.members, *simulated_s)] {
        table.lines().for_each(|row| line(row.to_owned()));
        line(String::new());
    }
    for happening in outcome.timeline.iter().take(TIMELINE_SHOWN) {
        let who = if happening.who.is_empty() { "network" } else { &happening.who };
        line(format!("{:>7} s  {who}: {}", number(happening.t, 2), happening.what));
    }
    if let Some(more @ 1..) = outcome.timeline.len().checked_sub(TIMELINE_SHOWN) {
        line(format!("           and {more} more, in --json and --html"));
    }
    if !outcome.dropped.is_empty() {
        let reasons = outcome.dropped.iter().map(|(reason, count)| format!("{count} {reason}"));
        line(format!("Packets dropped: {}", reasons.collect::<Vec<_>>().join(", ")));
    }
    for violation in &outcome.violations {
        line(painted(&format!("VIOLATION: {violation}"), colour));
    }
    for unmet in &outcome.unmet {
        line(painted(&format!("UNMET: {unmet}"), colour));
    }
    text.push('\n');
    text
}

/// One row for each voice and listener.
fn directions(directions: &[Direction]) -> String {
    let mut table = Layout::new(&DIRECTION_HEADER).gap(1);
    for direction in directions {
        table.row(direction_cells(direction));
    }
    table.text(2)
}

/// What the cells of [`direction_cells`] are.
pub(super) const DIRECTION_HEADER: [&str; 10] = [
    "voice",
    "path",
    "connect\nms",
    "mouth to ear\nmedian p95 ms",
    "concealed\n%, ms",
    "stretch\n%",
    "copies\n%",
    "oracle\nms",
    "regret\nms",
    "NetEQ model\nms (ours), %",
];

/// A direction in words and numbers.
pub(super) fn direction_cells(direction: &Direction) -> [String; 10] {
    let Direction { from, to, path, mouth_to_ear, neteq, .. } = direction;
    let delay = if *mouth_to_ear == Default::default() {
        "–".into()
    } else {
        format!("{} {:>6}", number(mouth_to_ear.median, 0), number(mouth_to_ear.p95, 0))
    };
    let model = format!("{} ({})", number(neteq.delay.median, 0), number(neteq.ours.median, 0));
    [
        voice(from, to),
        path.clone(),
        number(direction.connect_ms, 0),
        delay,
        concealed(direction),
        number(direction.stretched_pct, 1),
        number(direction.redundancy_pct, 0),
        number(direction.oracle_ms, 0),
        number(direction.regret_ms, 0),
        format!("{model} {:>4}", number(neteq.concealed_pct, 1)),
    ]
}

/// Long names stand below each other.
fn voice(from: &str, to: &str) -> String {
    let wide = from.chars().count() + to.chars().count() > VOICE_WIDE;
    format!("{from}{}→{to}", if wide { "\n" } else { "" })
}

/// The share that was made up, with its causes; and the share that was not heard where that is clearly more: in a long
/// outage nothing is made up after a while.
fn concealed(direction: &Direction) -> String {
    let mut text = number(direction.concealed_pct, 1);
    if direction.unheard_pct > direction.concealed_pct + 1.0 {
        let _ = write!(text, "\nunheard {} %", number(direction.unheard_pct, 1));
    }
    for (cause, ms) in causes(&direction.concealed_ms) {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{cause} {}", number(ms, 0));
    }
    text
}

/// The causes that there were, with ms.
fn causes(concealed: &Concealed) -> impl Iterator<Item = (&'static str, f64)> {
    let Concealed { lost, late, stalled, underrun, path } = *concealed;
    let all = [("lost", lost), ("late", late), ("stalled", stalled), ("underrun", underrun), ("path", path)];
    all.into_iter().filter(|(_, ms)| *ms > 0.0)
}

/// One row for each member. Rates are over the whole run, headers included.
fn members(members: &[MemberOutcome], simulated_s: f64) -> String {
    let mut table =
        Layout::new(&["member", "connected to all after ms", "lost someone", "kbit/s up", "kbit/s down"]);
    let rate = |bytes: u64| number(bytes as f64 * 8.0 / 1000.0 / simulated_s, 1);
    for MemberOutcome { name, connect_ms, times_lost, bytes_up, bytes_down, .. } in members {
        let lost = times_lost.to_string();
        table.row([name.clone(), number(*connect_ms, 0), lost, rate(*bytes_up), rate(*bytes_down)]);
    }
    table.text(1)
}

fn painted(text: &str, colour: bool) -> String {
    if colour { format!("\u{1b}[31m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// Up to here the other columns keep their width.
const VOICE_WIDE: usize = 16;
/// Enough to tell two runs apart at a glance.
const TRACE_SHOWN: usize = 12;
/// A screen's half.
const TIMELINE_SHOWN: usize = 15;
