//! What may come of a scenario: ranges, both ends included. What is not written is not judged.

use serde::Deserialize;

/// Ranges `[least, most]` over every direction of the call, unless said otherwise.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// Median delay from mouth to ear, ms.
    pub mouth_to_ear_ms: Option<[f64; 2]>,
    /// Its 95th percentile, ms.
    pub mouth_to_ear_p95_ms: Option<[f64; 2]>,
    /// Share of speech that was made up, percent.
    pub concealed_pct: Option<[f64; 2]>,
    /// Share of speech that was stretched or compressed, percent.
    pub stretched_pct: Option<[f64; 2]>,
    /// Voice packets that did not arrive, percent.
    pub lost_pct: Option<[f64; 2]>,
    /// Mean delay beyond the oracle's, ms.
    pub regret_ms: Option<[f64; 2]>,
    /// From a member's `join_at_s` until it is connected to all, ms.
    pub connect_ms: Option<[f64; 2]>,
    /// How often a connected member was lost, over all members.
    pub times_lost: Option<[f64; 2]>,
    /// Members that are connected to all others at the end.
    pub connected_at_end: Option<[f64; 2]>,
}

impl Expect {
    /// Every range with the name it is written by.
    pub fn ranges(&self) -> [(&'static str, Option<[f64; 2]>); 9] {
        [
            ("mouth_to_ear_ms", self.mouth_to_ear_ms),
            ("mouth_to_ear_p95_ms", self.mouth_to_ear_p95_ms),
            ("concealed_pct", self.concealed_pct),
            ("stretched_pct", self.stretched_pct),
            ("lost_pct", self.lost_pct),
            ("regret_ms", self.regret_ms),
            ("connect_ms", self.connect_ms),
            ("times_lost", self.times_lost),
            ("connected_at_end", self.connected_at_end),
        ]
    }
}
