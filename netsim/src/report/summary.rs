//! Many runs of one scenario: how many failed, and the worst of each value with the seed it came from.

use super::layout::{Layout, number};
use crate::outcome::Outcome;

/// Everything kept of the runs of one scenario; its size does not grow with them.
#[derive(Debug, Clone)]
pub struct Summary {
    scenario: String,
    runs: u64,
    failures: u64,
    mouth_to_ear: Worst,
    concealed: Worst,
    stretched: Worst,
    regret: Worst,
    connect: Worst,
}

impl Summary {
    /// Of no run so far.
    pub fn new(scenario: &str) -> Self {
        let none = Worst::default();
        let scenario = scenario.to_owned();
        Self {
            scenario,
            runs: 0,
            failures: 0,
            mouth_to_ear: none,
            concealed: none,
            stretched: none,
            regret: none,
            connect: none,
        }
    }

    /// Takes a run in.
    pub fn add(&mut self, outcome: &Outcome) {
        self.runs += 1;
        self.failures += u64::from(outcome.failed());
        let seed = outcome.seed;
        for direction in &outcome.directions {
            self.mouth_to_ear.take(direction.mouth_to_ear.median, seed);
            self.concealed.take(direction.concealed_pct, seed);
            self.stretched.take(direction.stretched_pct, seed);
            direction.regret_ms.inspect(|regret| self.regret.take(*regret, seed));
        }
        for connect_ms in outcome.members.iter().filter_map(|member| member.connect_ms) {
            self.connect.take(connect_ms, seed);
        }
    }

    /// Takes in a run that did not reach its end.
    pub fn add_panic(&mut self) {
        self.runs += 1;
        self.failures += 1;
    }

    /// One row for each scenario.
    pub fn table(summaries: &[Self]) -> String {
        let mut table = Layout::new(&[
            "worst (seed)",
            "runs",
            "failed",
            "mouth to ear ms",
            "concealed %",
            "stretch %",
            "regret ms",
            "connect ms",
        ]);
        for summary in summaries {
            table.row([
                summary.scenario.clone(),
                summary.runs.to_string(),
                summary.failures.to_string(),
                summary.mouth_to_ear.said(0),
                summary.concealed.said(1),
                summary.stretched.said(1),
                summary.regret.said(0),
                summary.connect.said(0),
            ]);
        }
        table.text(1)
    }
}

/// The largest value so far and its seed; of equal values the least seed, so that order does not matter.
#[derive(Debug, Clone, Copy, Default)]
struct Worst(Option<(f64, u64)>);

impl Worst {
    fn take(&mut self, value: f64, seed: u64) {
        let worse = self.0.is_none_or(|(worst, from)| value > worst || (value == worst && seed < from));
        if worse && value.is_finite() {
            self.0 = Some((value, seed));
        }
    }

    fn said(&self, digits: usize) -> String {
        match self.0 {
            Some((value, seed)) => format!("{} ({seed})", number(value, digits)),
            None => "–".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Worst;

    #[test]
    fn the_worst_value_does_not_depend_on_the_order() {
        let runs = [(3.0, 1), (7.0, 4), (f64::NAN, 9), (7.0, 2), (1.0, 3)];
        let worst = |runs: &mut dyn Iterator<Item = (f64, u64)>| {
            let mut worst = Worst::default();
            runs.for_each(|(value, seed)| worst.take(value, seed));
            worst.said(0)
        };
        assert_eq!(worst(&mut runs.into_iter()), "7 (2)");
        assert_eq!(worst(&mut runs.into_iter().rev()), "7 (2)");
    }
}
