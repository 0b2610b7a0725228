//! Networks by distances: our buffer beside a model of NetEQ's on the same packets.

use super::layout::{Layout, median, number};
use crate::outcome::Outcome;
use serde_json::Value;

/// What the medians of a cell are taken over: every direction of every seed.
#[derive(Debug, Clone, Default)]
pub struct Medians {
    ours_ms: Vec<f64>,
    neteq_ms: Vec<f64>,
    concealed_pct: Vec<f64>,
    neteq_concealed_pct: Vec<f64>,
    stretched_pct: Vec<f64>,
    regret_ms: Vec<f64>,
}

impl Medians {
    /// Takes a run in.
    pub fn add(&mut self, outcome: &Outcome) {
        for direction in &outcome.directions {
            let (ours_ms, neteq) = (direction.mouth_to_ear.median, &direction.neteq);
            self.ours_ms.push(ours_ms);
            // The model only replaces the buffer: all other stations stay.
            self.neteq_ms.push(ours_ms + neteq.delay.median - neteq.ours.median);
            self.concealed_pct.push(direction.concealed_pct);
            self.neteq_concealed_pct.push(neteq.concealed_pct);
            self.stretched_pct.push(direction.stretched_pct);
            self.regret_ms.extend(direction.regret_ms);
        }
    }
}

/// For programs, a row for each direction: scenario, delay (ms) and seed, and the direction's figures.
///
/// # Errors
/// None but of the serialiser.
pub fn matrix_rows(outcome: &Outcome, delay_ms: f64) -> serde_json::Result<Vec<Value>> {
    let row = |direction| {
        let mut row = serde_json::to_value(direction)?;
        // How it went over time is no figure, and longer than all of them.
        row.as_object_mut().map(|figures| figures.remove("series"));
        row["scenario"] = outcome.scenario.clone().into();
        row["delay_ms"] = delay_ms.into();
        row["seed"] = outcome.seed.into();
        Ok(row)
    };
    outcome.directions.iter().map(row).collect()
}

/// One row for each scenario and delay (ms).
pub fn matrix_table(rows: &[(String, f64, Medians)]) -> String {
    let mut table = Layout::new(&[
        "network",
        "one way\nms",
        "mouth to ear\nours, ms",
        "\nNetEQ model",
        "concealed\nours, %",
        "\nNetEQ model",
        "stretch\n%",
        "regret\nms",
    ]);
    for (name, delay_ms, medians) in rows {
        table.row([
            name.clone(),
            delay_ms.to_string(),
            number(median(&medians.ours_ms), 0),
            number(median(&medians.neteq_ms), 0),
            number(median(&medians.concealed_pct), 1),
            number(median(&medians.neteq_concealed_pct), 1),
            number(median(&medians.stretched_pct), 1),
            number(median(&medians.regret_ms), 0),
        ]);
    }
    table.text(1)
}
